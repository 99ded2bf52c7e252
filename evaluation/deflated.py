"""The Sharpe ratio of the best of many, deflated by what the best of so many would show without any skill.

With N trials whose Sharpe ratios have variance V and no skill, the best has on average about

    SR0 = sqrt(V) ((1 - g) z(1 - 1/N) + g z(1 - 1/(N e))),   g = 0.5772... (Euler), z the normal quantile.

The deflated Sharpe ratio is the probability that the true ratio of the best is above SR0, given T observations of
skewness g3 and kurtosis g4 (3 = normal):

    DSR = Phi((SR - SR0) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2)).

All ratios here are per observation, not yearly. Source: D. H. Bailey, M. Lopez de Prado, "The Deflated Sharpe Ratio:
Correcting for Selection Bias, Backtest Overfitting and Non-Normality", Journal of Portfolio Management 40 (2014).

Left out: trials that are alike count as if they were independent, so N is too large and SR0 too high: the figure is
then on the safe side. Observations that follow from one another make T too large, which is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from evaluation.metrics import DAYS_PER_YEAR

EULER = 0.5772156649015329


class Deflated(NamedTuple):
    """The best of several trials, judged; NaN = not defined on these results."""

    best: int  # index of the trial
    trials: int  # N
    days: int  # T of the best
    sharpe: float  # of the best, yearly
    expected_best: float  # SR0, yearly: what the best of N shows without skill
    probability: float  # the deflated Sharpe ratio; above 0.95 is what its authors ask for


def expected_maximum(trials: int, variance: float) -> float:
    """SR0, see the module: the Sharpe ratio that the best of ``trials`` shows on average without skill.

    One trial is no selection: 0. Raises ValueError for no trial or a negative variance.
    """
    if trials < 1 or not variance >= 0.0:
        raise ValueError(
            f"expected_maximum: expected a trial or more and a variance from 0 on, got {trials}, {variance}"
        )
    if trials == 1:
        return 0.0
    high, higher = ndtri(1.0 - 1.0 / trials), ndtri(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * float((1.0 - EULER) * high + EULER * higher)


def deflated_sharpe(
    sharpe: float, observations: int, *, trials: int, variance: float, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """The deflated Sharpe ratio, a probability; see the module.

    ``sharpe`` and the ``variance`` of the trials' ratios are per observation. NaN where the moments leave no variance.
    Raises ValueError for fewer than two observations, and as `expected_maximum`.
    """
    if observations < 2:
        raise ValueError(f"deflated_sharpe: expected two observations or more, got {observations}")
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if not spread > 0.0:
        return math.nan
    above = sharpe - expected_maximum(trials, variance)
    return float(ndtr(above * math.sqrt(observations - 1.0) / math.sqrt(spread)))


def deflate(
    results: Sequence[np.ndarray],
    *,
    trials: int | None = None,
    variance: float | None = None,
    allowed: Sequence[int] | None = None,
) -> Deflated:
    """The best of several trials by the Sharpe ratio of its daily results, deflated.

    ``results``: for each trial its results day by day, (T,) dollars; trials without variation, or of fewer than two
    days, have no ratio and are not counted. ``trials``: N, where some of what was tried is not among them.
    ``variance``: of the trials' ratios, per day; by default that of the results. ``allowed``: indices of the trials
    that may be the best, such as those within budgets; all were tried, so all count for N and the variance.

    Raises ValueError where no trial (of those allowed) has a ratio, for fewer ``trials`` than there are, and for more
    ``trials`` than one whose variance nobody can know: one result, and none given.
    """
    ratios = np.array([_sharpe(np.asarray(daily, np.float64)) for daily in results])
    known = ratios[~np.isnan(ratios)]
    if not len(known):
        raise ValueError(f"deflate: none of {len(results)} trials has two days or more that differ")
    count = len(known) if trials is None else trials
    if count < len(known):
        raise ValueError(f"deflate: {count} trials cannot have {len(known)} results")
    if count > 1 and len(known) < 2 and variance is None:
        raise ValueError(
            f"deflate: the variance of {count} trials' ratios cannot be known of one result: give the others, or "
            "variance"
        )
    chosen = ratios if allowed is None else np.where(np.isin(np.arange(len(ratios)), allowed), ratios, np.nan)
    if np.isnan(chosen).all():
        raise ValueError(f"deflate: none of the {len(allowed or ())} trials that are allowed has a Sharpe ratio")
    best = int(np.nanargmax(chosen))
    daily, ratio = np.asarray(results[best], np.float64), float(ratios[best])
    if variance is None:
        variance = float(known.var(ddof=1)) if len(known) > 1 else 0.0
    skew, kurtosis = _shape(daily)
    probability = deflated_sharpe(
        ratio, len(daily), trials=count, variance=variance, skew=skew, kurtosis=kurtosis
    )  # fmt: skip
    year = math.sqrt(DAYS_PER_YEAR)
    return Deflated(best, count, len(daily), year * ratio, year * expected_maximum(count, variance), probability)


def _sharpe(daily: np.ndarray) -> float:
    """Mean over standard deviation (n - 1), per day."""
    if len(daily) < 2 or np.ptp(daily) == 0.0:
        return math.nan
    return float(daily.mean() / daily.std(ddof=1))


def _shape(daily: np.ndarray) -> tuple[float, float]:
    """Skewness and kurtosis, moments divided by n; 3 is normal."""
    z = (daily - daily.mean()) / daily.std()
    return float((z**3).mean()), float((z**4).mean())
