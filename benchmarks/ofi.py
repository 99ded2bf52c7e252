"""Does taker flow say more of the next 5 seconds than the book's imbalance? On recorded days, by day and market.

Tapes without trades are left out: their takers would be a share of what leaves the touch, which the book shows anyway.

The features are those of the observation, looked at once a second without trading. The correlation with the next move
of the mid needs no fit. The out-of-sample R2 uses the slope of the first day, which is not reported. Intervals: 2.5 and
97.5 % of 2,000 resamples of whole markets.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from gymnasium.vector import AutoresetMode
from tqdm import tqdm

from benchmarks.machine import describe, print_result
from envs.vector import TradingVectorEnv
from sim.importers import convert
from sim.scenarios import Place, Scenario
from sim.scenarios.row import default_rows
from sim.tape import Tape
from sim.types import SECOND_NS, TRADE

SIGNALS = ("imbalance", "taker_imbalance_fast", "taker_imbalance_middle", "taker_imbalance_slow")
AHEAD_S = 5
_DAY_NS = 86_400 * SECOND_NS


def watch(tapes: list[Tape]) -> list[np.ndarray]:
    """For each tape ``(seconds, 1 + signals)``: the move of the mid over the next 5 s in cents, and the signals now."""
    venue = tapes[0].header.venue
    scenario = Scenario(
        rows=default_rows(), places=(Place(venue),), tapes=tuple(tapes),
        names=tuple(str(i) for i in range(len(tapes))), replay_share=1.0, sequential=True,
    )  # fmt: skip
    env = TradingVectorEnv(
        len(tapes), scenario=scenario, features=("book", "time", "flow"), window_s=np.inf,
        autoreset_mode=AutoresetMode.DISABLED,
    )  # fmt: skip
    names = env.spec_sheet["observation"]
    columns = [names.index(name) for name in (*SIGNALS, "market_open")]
    env.reset(seed=0)
    hold = np.zeros(len(tapes), np.int64)
    rows, mids, alive = [], [], []
    playing = np.ones(len(tapes), np.bool_)
    while playing.any():
        obs, _, terminated, truncated, _ = env.step(hold)
        playing &= ~(terminated | truncated)
        market = env.engine.state.market
        quoted = (market["best_bid"] >= 0) & (market["best_ask"] < len(env.engine.grid.px_of))
        rows.append(obs[:, columns].astype(np.float32))
        mids.append(market["mid2_px"] / 200.0)
        alive.append(playing & quoted & (obs[:, columns[-1]] > 0.5))
    return _pairs(np.stack(rows), np.stack(mids), np.stack(alive))


def _pairs(rows: np.ndarray, mids: np.ndarray, alive: np.ndarray) -> list[np.ndarray]:
    """Signals now beside the move that follows, where the book is two-sided at both ends."""
    if len(rows) <= AHEAD_S:
        return []
    good = alive[:-AHEAD_S] & alive[AHEAD_S:]
    move = mids[AHEAD_S:] - mids[:-AHEAD_S]
    return [
        np.column_stack([move[good[:, i], i], rows[:-AHEAD_S][good[:, i], i, : len(SIGNALS)]])
        for i in range(good.shape[1])
    ]


def _sums(table: np.ndarray) -> np.ndarray:
    """Per signal: n, x, y, xx, yy, xy. Sums of markets add up, so that resampling them is cheap."""
    y, x = table[:, :1], table[:, 1:]
    parts = (np.ones_like(x), x, np.broadcast_to(y, x.shape), x * x, np.broadcast_to(y * y, x.shape), x * y)
    return np.stack([part.sum(axis=0) for part in parts])


def correlation(sums: np.ndarray) -> np.ndarray:
    """By signal, from ``(..., 6, signals)`` sums; 0 where one of them does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -2, 0)
    spread = (xx - x * x / n) * (yy - y * y / n)
    return np.where(spread > 0, (xy - x * y / n) / np.sqrt(np.maximum(spread, 1e-300)), 0.0)


def explained(sums: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """R2 of ``slope x signal``, by signal, against forecasting no move."""
    _, _, _, xx, yy, xy = np.moveaxis(sums, -2, 0)
    return (2 * slope * xy - slope * slope * xx) / np.maximum(yy, 1e-300)


def _interval(values: np.ndarray) -> list[float]:
    return [round(float(q), 4) for q in np.quantile(values, (0.025, 0.975))]


def judge(markets: list[np.ndarray], slope: np.ndarray, seed: int) -> dict:
    """One day: correlation and R2 by signal, and how much better the taker flow is than the book."""
    sums = np.stack([_sums(table) for table in markets])
    total = sums.sum(axis=0)
    picks = np.random.default_rng(seed).integers(0, len(sums), (2000, len(sums)))
    resampled = sums[picks].sum(axis=1)
    r, r2 = correlation(total), explained(total, slope)
    rs, r2s = correlation(resampled), explained(resampled, slope)
    best = SIGNALS.index("taker_imbalance_fast")  # chosen beforehand, not by its result
    return {
        "markets": len(markets),
        "seconds": int(total[0, 0]),
        "correlation": {name: round(float(v), 4) for name, v in zip(SIGNALS, r, strict=True)},
        "r2": {name: round(float(v), 5) for name, v in zip(SIGNALS, r2, strict=True)},
        "correlation_gain": [round(float(r[best] - r[0]), 4), _interval(rs[:, best] - rs[:, 0])],
        "r2_gain": [round(float(r2[best] - r2[0]), 5), _interval(r2s[:, best] - r2s[:, 0])],
    }


def measure(source: Path, limit: int | None, batch: int = 32) -> dict:
    """Every tape of a recording, by the day it begins."""
    days: dict[int, list[np.ndarray]] = {}
    conversion = convert(source)
    tapes = (tape for _, tape in islice(conversion.tapes, limit) if (tape.events["kind"] == TRADE).any())
    with tqdm(total=conversion.total, unit="tape") as bar:
        while chunk := list(islice(tapes, batch)):
            for tape, table in zip(chunk, watch(chunk), strict=False):
                if len(table) > 1:
                    days.setdefault(int(tape.events["local_ns"][0]) // _DAY_NS, []).append(table)
            bar.update(len(chunk))
    if len(days) < 2:
        raise ValueError(f"ofi: {source} has trades on {len(days)} days; expected at least two, one of them to fit on")
    first, *later = sorted(days)
    fitted = np.stack([_sums(table) for table in days[first]]).sum(axis=0)
    slope = fitted[5] / np.maximum(fitted[3], 1e-300)
    reported = {str(np.datetime64(day, "D")): judge(days[day], slope, seed=day) for day in later}
    if len(later) > 1:
        reported["all"] = judge([table for day in later for table in days[day]], slope, seed=0)
    return {
        "benchmark": "ofi",
        "source": source.name,
        "fitted_day": str(np.datetime64(first, "D")),
        "fitted_correlation": [round(float(v), 4) for v in correlation(fitted)],
        "days": reported,
    }


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks ofi``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks ofi", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--sets", nargs="+", default=["poly_mlb_live_l2"])
    parser.add_argument("--tapes", type=int, default=None, help="only so many of each set")
    options = parser.parse_args(arguments)
    for name in options.sets:
        if not (options.data / name).exists():
            print(f"ofi: there is no {options.data / name}; name another folder by --data, or other --sets")
            return 2
        print_result({**measure(options.data / name, options.tapes), **describe()})
    return 0
