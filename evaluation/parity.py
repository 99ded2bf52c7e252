"""Is a clone as good as its teacher, and no riskier? Both played the same episodes, so differences are paired."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import bdtrc, betaincinv

from evaluation.bootstrap import LEVEL, Interval, difference
from evaluation.episodes import Episodes, check_pairs, clusters
from evaluation.metrics import max_drawdown
from sim.types import UUSD

KILL = "kill"  # the cost that is 1 in the step in which the kill limit is passed


def parity(clone: Episodes, teacher: Episodes, *, seed: int = 0) -> dict[str, Any]:
    """Results, drawdowns and kills of both, as plain numbers for JSON; None where a number does not exist.

    ``result_usd`` and ``drawdown_usd``: means an episode, and the paired difference clone - teacher with its 95 %
    bootstrap interval. ``kill``: see `kill_parity`; None where the environment does not charge it.

    Raises ValueError where they did not play the same episodes.
    """
    check_pairs(clone, teacher)
    groups = clusters(clone)
    falls = [max_drawdown(one.equity_uusd) / UUSD for one in (clone, teacher)]
    results = [one.result_uusd / UUSD for one in (clone, teacher)]
    report: dict[str, Any] = {"episodes": len(clone), "level": LEVEL}
    for name, (ours, theirs) in (("result_usd", results), ("drawdown_usd", falls)):
        report[name] = {
            "clone": float(ours.mean()),
            "teacher": float(theirs.mean()),
            "difference": _listed(difference(ours, theirs, groups, seed=seed)),
        }
    report["kill"] = None
    if KILL in clone.cost_names:
        killed = [one.costs[:, one.cost_names.index(KILL)] > 0.0 for one in (clone, teacher)]
        report["kill"] = kill_parity(*killed)
    return report


def kill_parity(clone: np.ndarray, teacher: np.ndarray) -> dict[str, Any]:
    """Kill rates of two policies on the same E episodes: ``clone`` and ``teacher`` bool ``(E,)``.

    Rates with 95 % intervals (Clopper and Pearson 1934), the number of episodes that killed one of them alone, and the
    exact one-sided test of McNemar (1947): were the clone's rate not higher, an episode that kills one alone would kill
    the clone with probability 1/2 or less, so p = P[Binomial(b + c, 1/2) >= b], b of them the clone's. ``higher``:
    p below 5 %.
    """
    only_clone, only_teacher = int((clone & ~teacher).sum()), int((teacher & ~clone).sum())
    p = float(bdtrc(only_clone - 1, only_clone + only_teacher, 0.5)) if only_clone else 1.0
    return {
        "clone": _listed(rate_interval(int(clone.sum()), len(clone))),
        "teacher": _listed(rate_interval(int(teacher.sum()), len(teacher))),
        "only_clone": only_clone,
        "only_teacher": only_teacher,
        "p_higher": p,
        "higher": p < 1.0 - LEVEL,
    }


def rate_interval(hits: int, count: int, level: float = LEVEL) -> Interval:
    """Exact interval of a probability of which ``hits`` of ``count`` independent trials came true."""
    tail = (1.0 - level) / 2.0
    low = float(betaincinv(hits, count - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 1.0 - tail)) if hits < count else 1.0
    return Interval(hits / count, low, high)


def _listed(interval: Interval) -> list[float | None]:
    return [None if math.isnan(number) else number for number in interval]
