"""Intervals by resampling whole episodes or whole markets, never steps.

A statistic is a function of weights: ``statistic(weights)`` with weights (B, C) float64, how often each of C clusters
is in a resample, returns (B,) values. That makes every resample of a mean or a ratio one row of a matrix product.

Resample b of a seed draws from Philox with key (seed, purpose) and counter b: the same clusters for every metric and
every policy, whatever the number of resamples.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 (percentile) and 14 (BCa).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

Statistic = Callable[[np.ndarray], np.ndarray]

RESAMPLES = 2000
LEVEL = 0.95
METHODS = ("bca", "percentile")
LEAST_TAIL = 100  # draws beyond a quantile that an interval of their mean asks for
_PURPOSE = 0xB007
_CHUNK = 2_000_000  # weights computed at once
_MAX_UNDEFINED = 0.05  # share of resamples that may leave the statistic undefined


class Interval(NamedTuple):
    """An estimate and its confidence interval; NaN = not defined on this data."""

    value: float
    low: float
    high: float


def plain(one: Interval) -> dict[str, float | None]:
    """An interval as JSON has it: null where it is not defined."""
    return {name: None if math.isnan(value) else value for name, value in one._asdict().items()}


def bootstrap(
    statistic: Statistic,
    count: int,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    method: str = "bca",
) -> Interval:
    """Confidence interval of ``statistic`` over ``count`` clusters.

    ``percentile`` takes the quantiles of the resampled values. ``bca`` shifts them by the bias z0 (the share of
    resampled values below the estimate) and the acceleration a (skewness of the jackknife values):
    alpha' = Phi(z0 + (z0 + z_alpha) / (1 - a (z0 + z_alpha))).

    The ends are NaN with fewer than two clusters, or where more than 5 % of the resamples leave the statistic
    undefined. A resample that leaves it undefined is otherwise left out of the quantiles.
    Raises ValueError for an unknown method, a level outside (0, 1), or a count or number of resamples below one.
    """
    if method not in METHODS:
        raise ValueError(f"bootstrap: no method {method!r}; the methods are {', '.join(METHODS)}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"bootstrap: level must lie between 0 and 1, got {level}")
    if count < 1 or resamples < 1:
        raise ValueError(f"bootstrap: needs a cluster and a resample, got {count} and {resamples}")
    value = float(statistic(np.ones((1, count)))[0])
    if count < 2 or math.isnan(value):
        return Interval(value, math.nan, math.nan)
    drawn = _resampled(statistic, count, resamples, seed)
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < (1.0 - _MAX_UNDEFINED) * resamples:
        return Interval(value, math.nan, math.nan)
    tails = np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    if method == "bca":
        left_out = _jackknife(statistic, count)
        left_out = left_out[~np.isnan(left_out)]
        pull = left_out.mean() - left_out if len(left_out) else np.zeros(1)
        tails = bca_tails(tails, value, defined, skewness_of(pull))
    low, high = np.quantile(defined, tails)
    return Interval(value, float(low), float(high))


def difference(one: np.ndarray, other: np.ndarray, cluster: np.ndarray, **options: object) -> Interval:
    """Interval of the mean of ``one - other``, paired: (E,) results of two policies on the same E episodes.

    ``cluster`` (E,) as `episodes.clusters` gives it; ``options`` as in `bootstrap`. Pairing removes what both
    policies met alike. Raises ValueError where shapes differ.
    """
    if not one.shape == other.shape == cluster.shape:
        raise ValueError(f"paired difference: shapes differ: {one.shape}, {other.shape}, clusters {cluster.shape}")
    count = int(cluster.max()) + 1
    total = np.bincount(cluster, one.astype(np.float64) - other, count)
    size = np.bincount(cluster, minlength=count).astype(np.float64)
    return bootstrap(lambda weights: (weights @ total) / (weights @ size), count, **options)  # type: ignore[arg-type]


def of_tail(found: Interval, count: int, share: float) -> Interval:
    """``found``, of the mean of the worst ``1 - share`` of ``count`` draws; without ends where those are too few.

    A resample holds no loss that was not drawn, so with few draws beyond the quantile the upper end is too low: with
    ten of them 95 % intervals of CVaR held the truth 86 % of the time, with two 38 %.
    """
    few = tail_draws(count, share) < LEAST_TAIL
    return found._replace(low=math.nan, high=math.nan) if few else found


def tail_draws(count: int, share: float) -> int:
    """How many of ``count`` draws lie beyond the ``share`` quantile."""
    return math.floor((1.0 - share) * count + 1e-6)  # 10,000 x (1 - 0.99) is 100, whatever it rounds to


def tail_note(count: int, shares: tuple[float, ...]) -> str:
    """Why the CVaR at some of ``shares`` has no interval; "" where all have one."""
    thin = [share for share in shares if tail_draws(count, share) < LEAST_TAIL]
    return " ".join(
        f"CVaR {100 * share:g} % has no interval: {tail_draws(count, share)} of {count:,} draws lie in the tail, and "
        f"fewer than {LEAST_TAIL} make one too narrow; {math.ceil(LEAST_TAIL / (1.0 - share) - 1e-6):,} draws do."
        for share in thin
    )


def false_alarms(comparisons: int, level: float = LEVEL) -> str:
    """One sentence: how many of so many intervals would miss zero if nothing were different."""
    if comparisons < 1:
        return "No comparison was made."
    miss = 1.0 - level
    least_one = 1.0 - level**comparisons
    plural = "comparison" if comparisons == 1 else "comparisons"
    return (
        f"{comparisons} {plural} at {100 * level:g} %: if no difference were real, {comparisons * miss:.2g} would "
        f"still exclude zero on average, and at least one would with a probability of {100 * least_one:.0f} % were "
        f"they independent. Judged together at {100 * level:g} %, each needs {100 * (1 - miss / comparisons):.4g} %."
    )


@lru_cache(maxsize=4)
def resample_counts(count: int, resamples: int, seed: int) -> np.ndarray:
    """``(resamples, count)`` uint16, read-only: how often each cluster was drawn, with replacement."""
    counts = np.empty((resamples, count), np.uint16)
    for index in range(resamples):
        generator = np.random.Generator(np.random.Philox(key=[seed, _PURPOSE], counter=[0, 0, 0, index]))
        counts[index] = np.bincount(generator.integers(0, count, count), minlength=count)
    counts.flags.writeable = False
    return counts


def _resampled(statistic: Statistic, count: int, resamples: int, seed: int) -> np.ndarray:
    counts = resample_counts(count, resamples, seed)
    rows = max(1, _CHUNK // count)
    parts = [statistic(counts[first : first + rows].astype(np.float64)) for first in range(0, resamples, rows)]
    return np.concatenate(parts)


def _jackknife(statistic: Statistic, count: int) -> np.ndarray:
    """``(C,)`` values, each with one cluster left out."""
    rows = max(1, _CHUNK // count)
    parts = []
    for first in range(0, count, rows):
        weights = np.ones((min(rows, count - first), count))
        index = np.arange(len(weights))
        weights[index, first + index] = 0.0
        parts.append(statistic(weights))
    return np.concatenate(parts)


def skewness_of(pull: np.ndarray, counts: np.ndarray | None = None) -> float:
    """BCa's acceleration: sum(pull^3) / (6 sum(pull^2)^1.5) of how far each draw pulls the estimate, (n,).

    ``counts`` (n,): how often each came.
    """
    square, cube = (pull**power if counts is None else counts * pull**power for power in (2, 3))
    spread = float(square.sum())
    return float(cube.sum()) / (6.0 * spread**1.5) if spread > 0.0 else 0.0


def bca_tails(tails: np.ndarray, value: float, drawn: np.ndarray, acceleration: float) -> np.ndarray:
    """The tails BCa reads off the resampled values ``drawn`` of an estimate ``value`` instead of ``tails``."""
    below = ((drawn < value).sum() + 0.5 * (drawn == value).sum()) / len(drawn)
    # a share of 0 or 1 would put the correction at infinity: there is half a resample at either end
    z0 = ndtri(np.clip(below, 0.5 / len(drawn), 1.0 - 0.5 / len(drawn)))
    z = z0 + ndtri(tails)
    return ndtr(z0 + z / (1.0 - acceleration * z))
