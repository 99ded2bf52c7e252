"""How well a split of drops into trades stands in for true prints: tried where the venue told its prints.

Trades are taken off a recording that has them and handed back as a venue's ticker would tell them, once a second:
cumulative volume, last price, last size. Each split makes prints of that; the same orders are then followed by the true
and by the made-up prints.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from sim.fillfit.hypothetical import walk
from sim.fillfit.playing import DISTANCE, Found
from sim.fillfit.prints import SPLITS, Tickers, split_share, split_volume, split_whole, touch_drops, with_prints
from sim.fillfit.sources import Recording, ticker_rows
from sim.fillfit.walker import Rules
from sim.tape import Tape, seal
from sim.types import MICRO_PER_LOT, SECOND_NS, TRADE

_MS_PER_S = 1000


def compare(recordings: Iterable[Recording], rules: Rules, every_s: float = 2.0) -> dict[str, Any]:
    """Share of orders reached within the longest life, by distance, under the true prints and under each split.

    ``agree`` is the share of orders of which true and made-up prints say the same. ``blind`` is the true prints without
    the memory of drops (window 0). The splits ``share`` and ``whole`` get each recording's own share of trades.
    Raises ValueError where no recording has trades.
    """
    walks: dict[str, list[Found]] = {name: [] for name in ("true", "blind", *SPLITS)}
    for recording in recordings:
        tape = recording.tape
        traded = tape.events["kind"] == TRADE
        silent, tickers = _without_trades(tape, traded)
        rows = ticker_rows(silent.events, tickers.ts_ms, every_s)
        if not len(rows) or not traded.any():
            continue
        kept = np.flatnonzero(~traded)
        walks["true"].append(walk(tape, kept[rows], rules))
        walks["blind"].append(walk(tape, kept[rows], rules._replace(window_ns=0)))
        for name, made in _splits(silent, tickers).items():
            shift = np.searchsorted(np.flatnonzero(made > 0), rows, side="right")
            walks[name].append(walk(with_prints(silent, made, name), rows + shift, rules))
    if not walks["true"]:
        raise ValueError("compare: no recording has trades; splits are judged where the prints are known")
    life = int(rules.lives[-1])
    truth = [_reached(found, life) for found in walks["true"]]
    return {name: _summary(found, truth, life) for name, found in walks.items()}


def _without_trades(tape: Tape, traded: np.ndarray) -> tuple[Tape, Tickers]:
    """The tape without its trades, stamped by its own clock, and the tickers that its trades amount to."""
    clock = np.maximum.accumulate(tape.events["local_ns"])
    quiet = tape.events[~traded].copy()
    quiet["venue_ns"] = clock[~traded]
    ts_ms = np.arange(clock[0] // SECOND_NS + 1, clock[-1] // SECOND_NS + 2) * _MS_PER_S
    trades = tape.events[traded]
    lots = trades["qty"] // MICRO_PER_LOT
    last = np.searchsorted(clock[traded] // 1_000_000, ts_ms, side="right") - 1
    seen = last >= 0

    def told(values: np.ndarray, unknown: int) -> np.ndarray:
        out = np.full(len(ts_ms), unknown, np.int64)
        out[seen] = values[last[seen]]
        return out

    return seal(quiet, tape.header), Tickers(ts_ms, told(np.cumsum(lots), 0), told(trades["px"], -1), told(lots, 0))


def _splits(tape: Tape, tickers: Tickers) -> dict[str, np.ndarray]:
    drops = touch_drops(tape.events)
    share = min(1.0, float(tickers.volume[-1]) * MICRO_PER_LOT / max(1, int(drops.sum())))
    return {
        "share": split_share(drops, share),
        "whole": split_whole(drops, share),
        "volume": split_volume(tape.events, drops, tickers),
    }


def _reached(found: Found, life: int) -> np.ndarray:
    return (found.filled_ns[:, 0] >= 0) & (found.filled_ns[:, 0] - found.entry_ns <= life)


def _summary(walks: list[Found], truth: list[np.ndarray], life: int) -> dict[str, Any]:
    whole = np.concatenate([found.followed_ns >= life for found in walks])
    reached = np.concatenate([_reached(found, life) for found in walks])[whole]
    distance = np.concatenate([found.noted[:, DISTANCE] for found in walks])[whole]
    return {
        "orders": len(reached),
        "agree": float((reached == np.concatenate(truth)[whole]).mean()),
        "reached": {int(d): float(reached[distance == d].mean()) for d in np.unique(distance)},
    }
