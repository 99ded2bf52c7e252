"""Estimates of a distribution's tail from a histogram of n independent draws, each with an interval.

Quantiles: the interval between two order statistics, exact for every law (H. A. David and H. N. Nagaraja, Order
Statistics, 3rd ed., 2003, section 7.1). CVaR: the Poisson bootstrap (N. Chamandy et al., Estimating Uncertainty for
Massive Data Streams, 2012), whose resample gives every draw a Poisson count of mean 1, and so every bin of c draws one
of mean c; its tails are corrected for bias and skewness (BCa, see `evaluation.bootstrap`). Probabilities:
`evaluation.parity.rate_interval`, exact (Clopper and Pearson 1934).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import bdtr, ndtri

from evaluation.bootstrap import LEAST_TAIL, LEVEL, RESAMPLES, Interval, bca_tails, skewness_of, tail_draws
from evaluation.montecarlo.histogram import Histogram

_PURPOSE = 0xC7A2
_FAR = 12.0  # standard deviations: no binomial quantile that is asked for lies further from the mean


def mean_interval(values: Histogram, total: float | None = None, *, level: float = LEVEL) -> Interval:
    """The mean with the normal interval: mean +- z s / sqrt(n). ``total``: the exact sum, where it is known better.

    The central limit theorem is trusted: n is large. NaN ends with fewer than two draws.
    """
    n = values.total
    centre = float(values.values @ values.counts) / n
    mean = centre if total is None else total / n
    if n < 2:
        return Interval(mean, math.nan, math.nan)
    variance = float(((values.values - centre) ** 2) @ values.counts) / (n - 1)
    reach = float(ndtri((1.0 + level) / 2.0)) * math.sqrt(variance / n)
    return Interval(mean, mean - reach, mean + reach)


def quantile_interval(values: Histogram, share: float, *, level: float = LEVEL) -> Interval:
    """The ``share`` quantile, the smallest value that at least that share of the draws does not exceed.

    The interval runs from the value of rank l to that of rank u, with P[Bin(n, share) < l] <= (1 - level) / 2 and
    P[Bin(n, share) >= u] <= (1 - level) / 2, l as large and u as small as they can be. It covers at least ``level``,
    whatever the law; where the law has atoms it covers more. An end that would need a rank of 0 or n + 1 is NaN.
    """
    n = values.total
    value = values.ranked(max(1, math.ceil(share * n - 1e-9)))  # 19 of 20 is 0.95, whatever 0.95 x 20 rounds to
    low, high = order_ranks(n, share, level)
    return Interval(
        float(value),
        float(values.ranked(low)) if low >= 1 else math.nan,
        float(values.ranked(high)) if high <= n else math.nan,
    )


def order_ranks(n: int, share: float, level: float = LEVEL) -> tuple[int, int]:
    """The ranks l and u of `quantile_interval`; 0 and n + 1 where n draws are too few."""
    tail, spread = (1.0 - level) / 2.0, math.sqrt(n * share * (1.0 - share))
    first = max(0, math.floor(n * share - _FAR * spread) - 1)
    last = min(n, math.ceil(n * share + _FAR * spread) + 1)
    at_most = np.arange(first, last + 1)  # ranks, and P[Bin <= rank]
    chance = bdtr(at_most.astype(np.float64), n, share)
    low = first + int((chance <= tail).sum())  # P[Bin <= low - 1] <= tail
    high = first + int((chance < 1.0 - tail).sum()) + 1  # P[Bin <= high - 1] >= 1 - tail
    return low, high


def cvar(losses: Histogram, share: float) -> float:
    """The mean of the worst ``1 - share`` of the losses; exact where the tail cuts through a bin.

    Source: Rockafellar and Uryasev (2002).
    """
    value, weight = losses.values[::-1].astype(np.float64), losses.counts[::-1].astype(np.float64)
    return float(_tail_means(value, weight[None, :], np.array([losses.total]), share)[0])


def cvar_interval(
    losses: Histogram, share: float, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """CVaR with its interval by the Poisson bootstrap, corrected (BCa).

    Resample b draws from Philox with key (seed, purpose) and counter b. Bins far below the tail are drawn as one. NaN
    ends with fewer than `evaluation.bootstrap.LEAST_TAIL` draws beyond the quantile.
    """
    value, n = cvar(losses, share), losses.total
    if tail_draws(n, share) < LEAST_TAIL:
        return Interval(value, math.nan, math.nan)
    drawn = _resampled(losses, share, resamples, seed)
    tails = np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    pull = _influence(losses, share, value)
    low, high = np.quantile(drawn, bca_tails(tails, value, drawn, skewness_of(pull, losses.counts)))
    return Interval(value, float(low), float(high))


def _resampled(losses: Histogram, share: float, resamples: int, seed: int) -> np.ndarray:
    """``(resamples,)`` CVaR of Poisson resamples."""
    value, count = losses.values[::-1].astype(np.float64), losses.counts[::-1]
    # with twice the tail and a hundred draws more, no resample's tail reaches the bins behind
    kept = int(np.searchsorted(np.cumsum(count), 2.0 * (1.0 - share) * losses.total + 100.0)) + 1
    rest = int(count[kept:].sum())
    result = np.empty(resamples)
    for index in range(resamples):
        generator = np.random.Generator(np.random.Philox(key=[seed, _PURPOSE], counter=[0, 0, 0, index]))
        weight = generator.poisson(count[:kept]).astype(np.float64)[None, :]
        size = weight.sum(axis=1) + generator.poisson(rest)
        result[index] = _tail_means(value[:kept], weight, size, share)[0]
    return result


def _tail_means(value: np.ndarray, weight: np.ndarray, size: np.ndarray, share: float) -> np.ndarray:
    """``(B,)`` means of the worst ``(1 - share) size`` of the weights ``(B, K)`` of ``value`` (K,), the worst first."""
    tail = (1.0 - share) * np.asarray(size, np.float64)
    reached = np.cumsum(weight, axis=1)
    part = np.minimum(weight, np.maximum(tail[:, None] - (reached - weight), 0.0))
    return (part @ value) / part.sum(axis=1)


def _influence(losses: Histogram, share: float, value: float) -> np.ndarray:
    """``(K,)``: how much a draw of each bin moves CVaR: VaR + (loss - VaR)+ / (1 - share) - CVaR."""
    at_risk = losses.ranked(max(1, math.ceil(share * losses.total - 1e-9)))
    return at_risk + np.maximum(losses.values - at_risk, 0.0) / (1.0 - share) - value
