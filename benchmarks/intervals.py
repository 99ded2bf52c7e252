"""Intervals and exact tests for the laws: ratio estimates clustered by episode, and a count of unequal coins."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

Z99 = 2.5758293035489004  # standard normal: 99 % lie within this many standard errors


class Estimate(NamedTuple):
    """A mean with its 99 % interval, in the unit of what was averaged."""

    mean: float
    low: float
    high: float
    error: float  # standard error
    n: int  # observations behind it

    def within(self, bound: float) -> bool:
        """Whether the whole interval lies within ``bound`` of zero."""
        return -bound < self.low and self.high < bound

    def false_alarm(self, bound: float) -> float:
        """Probability that :meth:`within` fails with a fresh seed although the true mean is zero."""
        if self.error == 0.0:
            return 0.0
        return math.erfc((bound / self.error - Z99) / math.sqrt(2.0))

    def figures(self) -> dict[str, float]:
        """Rounded, for a line of JSON."""
        return {"mean": round(self.mean, 4), "low": round(self.low, 4), "high": round(self.high, 4), "n": self.n}


def per_contract(total: np.ndarray, contracts: np.ndarray, episode: np.ndarray) -> Estimate:
    """Sum of ``total`` over sum of ``contracts``; the error is that of a ratio, trades of one episode being one draw.

    Source: linearised ratio estimator, Cochran, "Sampling Techniques", 3rd ed., 1977, section 6.3.
    """
    _, cluster = np.unique(episode, return_inverse=True)
    sums = np.bincount(cluster, total)
    weights = np.bincount(cluster, contracts)
    mean = float(sums.sum() / weights.sum())
    clusters = len(sums)
    residual = sums - mean * weights
    error = math.sqrt((residual**2).sum() * clusters / max(1, clusters - 1)) / float(weights.sum())
    return Estimate(mean, mean - Z99 * error, mean + Z99 * error, error, len(total))


def less(first: Estimate, second: Estimate) -> Estimate:
    """First minus second, of independent samples."""
    mean = first.mean - second.mean
    error = math.hypot(first.error, second.error)
    return Estimate(mean, mean - Z99 * error, mean + Z99 * error, error, min(first.n, second.n))


def count_p_value(probabilities: np.ndarray, hits: int) -> float:
    """Exact two-sided p-value of ``hits`` successes of independent coins with these ``probabilities``."""
    chance = np.zeros(len(probabilities) + 1)
    chance[0] = 1.0
    for index, p in enumerate(probabilities):
        chance[1 : index + 2] = chance[1 : index + 2] * (1.0 - p) + chance[: index + 1] * p
        chance[0] *= 1.0 - p
    return float(min(1.0, 2.0 * min(chance[: hits + 1].sum(), chance[hits:].sum())))
