"""Are the intervals of a Monte Carlo run honest? Repeats on laws whose tails are known, and how often they were held.

A law is exact here: whole cents with their probabilities, or a formula. `check_holding` has the simulator draw from
it; `check_pareto` draws by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.special import bdtr, bdtrc, zeta
from tqdm import tqdm

from evaluation.bootstrap import LEVEL, Interval
from evaluation.montecarlo.histogram import histogram
from evaluation.montecarlo.intervals import cvar_interval, quantile_interval
from evaluation.montecarlo.report import TAILS, figures
from evaluation.montecarlo.shards import Shard, seed_of
from evaluation.parity import rate_interval

WANTED = (0.93, 0.97)  # the share of repeats in which an interval must hold the truth
WANTED_OF_FEW = (0.93, 1.0)  # of few draws: what is exact for every law then covers more
RESAMPLES = 1000
PARETO_SHAPE = 3.5  # three moments, no fourth
PARETO_SCALE = 1000  # cents, the smallest loss
_PARETO_KILL = 4000  # cents
_PURPOSE = 0xC0E
_CENTS = 100.0


class Law(NamedTuple):
    """What can happen, in whole cents, ascending, and how probable it is."""

    cents: np.ndarray  # (K,) int64
    chance: np.ndarray  # (K,) float64, 1 in all


def holding_law(beliefs: tuple[float, float], half_spread: float, contracts: int = 10) -> Law:
    """The result of buying ``contracts`` at the ask and holding them, in a market without news and without fees.

    The belief b is a whole number of millionths, uniform on [low, high]. The ask is the first tenth of a cent from
    b + half_spread up, and YES pays a dollar with probability b, else nothing.
    """
    low, high = (round(1e6 * belief) for belief in beliefs)
    belief = np.arange(low, high + 1)
    ask = -((-belief - round(1e6 * half_spread)) // 1000)  # tenths of a cent
    each = np.full(len(belief), 1.0 / len(belief))
    cents = np.concatenate([-contracts * ask, contracts * (1000 - ask)]) // 10
    chance = np.concatenate([each * (1.0 - belief / 1e6), each * belief / 1e6])
    values, place = np.unique(cents, return_inverse=True)
    return Law(values, np.bincount(place, chance))


def truths(law: Law, kill_cents: int) -> dict[str, float]:
    """The figures of `report.FIGURES` that a law of results has, in dollars; a loss above ``kill_cents`` kills.

    The largest drawdown of who holds to the end is the loss, where there is one; quantiles of drawdowns are those of
    losses as long as fewer than a share 1 - quantile of the episodes win, or none of the winners fell as far.
    """
    loss, chance = -law.cents[::-1], law.chance[::-1]
    found = {
        "result_usd": float(law.cents @ law.chance) / _CENTS,
        "kill": float(chance[loss > kill_cents].sum()),
    }
    for share in TAILS:
        at_risk = int(loss[np.searchsorted(np.cumsum(chance), share - 1e-12)])
        excess = float(np.maximum(loss - at_risk, 0) @ chance) / (1.0 - share)
        name = round(100 * share)
        found[f"var{name}_usd"] = found[f"drawdown{name}_usd"] = at_risk / _CENTS
        found[f"cvar{name}_usd"] = (at_risk + excess) / _CENTS
    return found


def pareto_truths() -> dict[str, float]:
    """Of a loss of floor(scale U**(-1/shape)) cents: P[loss >= k] = (scale / k)**shape, so sums are Hurwitz zetas."""

    def beyond(cents: int) -> float:
        """E[(loss - cents)+] = sum of P[loss >= k] over k > cents."""
        return PARETO_SCALE**PARETO_SHAPE * float(zeta(PARETO_SHAPE, cents + 1))

    found = {"kill": (PARETO_SCALE / (_PARETO_KILL + 1)) ** PARETO_SHAPE}
    for share in TAILS:
        # the smallest v with P[loss >= v + 1] <= 1 - share
        at_risk = math.ceil(PARETO_SCALE * (1.0 - share) ** (-1.0 / PARETO_SHAPE) - 1e-9) - 1
        name = round(100 * share)
        found[f"var{name}_usd"] = at_risk / _CENTS
        found[f"cvar{name}_usd"] = (at_risk + beyond(at_risk) / (1.0 - share)) / _CENTS
    return found


def check_holding(
    play: Callable[[int, int], Shard],
    beliefs: tuple[float, float],
    half_spread: float,
    kill_cents: int,
    repeats: int,
    episodes: int,
    seed: int,
) -> dict[str, Any]:
    """``repeats`` runs of ``play(episodes, seed)`` judged by `holding_law`."""
    truth = truths(holding_law(beliefs, half_spread), kill_cents)

    def repeat(number: int) -> dict[str, Interval]:
        return figures(play(episodes, seed_of(seed, number)), seed=number, resamples=RESAMPLES)

    return {"episodes": episodes, **tally(repeat, truth, repeats)}


def check_pareto(
    repeats: int, draws: int, seed: int, wanted: tuple[float, float] = WANTED, *, progress: bool = True
) -> dict[str, Any]:
    """``repeats`` samples of ``draws`` losses judged by `pareto_truths`."""

    def repeat(number: int) -> dict[str, Interval]:
        generator = np.random.Generator(np.random.Philox(key=[seed, _PURPOSE], counter=[0, 0, 0, number]))
        losses = np.floor(PARETO_SCALE * (1.0 - generator.random(draws)) ** (-1.0 / PARETO_SHAPE)).astype(np.int64)
        return _loss_figures(losses, number)

    return {"draws": draws, "shape": PARETO_SHAPE, **tally(repeat, pareto_truths(), repeats, wanted, progress=progress)}


def _loss_figures(losses: np.ndarray, seed: int) -> dict[str, Interval]:
    counted = histogram(losses)
    found = {"kill": rate_interval(int((losses > _PARETO_KILL).sum()), len(losses))}
    for share in TAILS:
        name = round(100 * share)
        at_risk = quantile_interval(counted, share)
        tail = cvar_interval(counted, share, seed=seed, resamples=RESAMPLES)
        found[f"var{name}_usd"] = Interval(*(value / _CENTS for value in at_risk))
        found[f"cvar{name}_usd"] = Interval(*(value / _CENTS for value in tail))
    return found


def tally(
    repeat: Callable[[int], Mapping[str, Interval]],
    truth: Mapping[str, float],
    repeats: int,
    wanted: tuple[float, float] = WANTED,
    *,
    progress: bool = True,
) -> dict[str, Any]:
    """How often the interval of each figure held the truth, and how often it lay on either side of it.

    ``none``: how often it had no interval. Coverage and width (None where there never was one) are of the others, and
    coverage has to lie within ``wanted``.
    """
    below, above, none = (dict.fromkeys(truth, 0) for _ in range(3))
    widths = dict.fromkeys(truth, 0.0)
    for number in tqdm(range(repeats), unit="repeat", disable=not progress, leave=False):
        found = repeat(number)
        for name, value in truth.items():
            one = found[name]
            if math.isnan(one.low) or math.isnan(one.high):
                none[name] += 1
                continue
            below[name] += one.high < value - 1e-9  # cents by way of dollars
            above[name] += one.low > value + 1e-9
            widths[name] += one.high - one.low
    rows = {
        name: {
            "truth": round(truth[name], 6),
            **_share_held(repeats - none[name], below[name] + above[name], widths[name]),
            "below": below[name],
            "above": above[name],
            "none": none[name],
        }
        for name in truth
    }
    low, high = wanted
    outside = [name for name, row in rows.items() if row["coverage"] is not None and not low <= row["coverage"] <= high]
    return {"figures": rows, "outside": outside, "holds": not outside, "false_alarm": round(false_alarm(repeats), 5)}


def _share_held(intervals: int, missed: int, width: float) -> dict[str, float | None]:
    if not intervals:
        return {"coverage": None, "width": None}
    return {"coverage": round(1.0 - missed / intervals, 4), "width": round(width / intervals, 6)}


def false_alarm(repeats: int, coverage: float = LEVEL) -> float:
    """Probability that a figure's coverage over ``repeats`` leaves WANTED though it is ``coverage``."""
    low, high = (share * repeats for share in WANTED)
    return float(bdtr(math.ceil(low - 1e-9) - 1, repeats, coverage) + bdtrc(math.floor(high + 1e-9), repeats, coverage))
