"""Metrics as pure functions of arrays. What each assumes is in docs/metrics.md.

Every statistic takes values (n,) and ``weights`` (..., n) float64, how often each value counts, and returns one
result per row of weights: with weights of one it is the plain estimate, with a bootstrap's weights a whole
distribution at once. Where it is not defined (no trade, no loss, one day) the result is NaN.
"""

from __future__ import annotations

import numpy as np

from sim.types import NO, PX_ONE

DAYS_PER_YEAR = 365  # these markets never close
TAIL = 0.95


def ratio(numerator: np.ndarray, denominator: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sum over weighted sum; NaN where the denominator's is not above zero."""
    below = weights @ np.asarray(denominator, np.float64)
    above = weights @ np.asarray(numerator, np.float64)
    return _divide(above, below)


def sharpe(daily: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over standard deviation of daily sums, times sqrt 365 (Sharpe 1994; the riskless rate is taken as 0).

    The deviation divides by n - 1. NaN with fewer than two days or without variation.
    """
    mean, variance, days = _moments(daily, weights)
    deviation = np.sqrt(_divide(variance * days, days - 1.0))
    return np.sqrt(DAYS_PER_YEAR) * _divide(mean, deviation)


def sortino(daily: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over downside deviation of daily sums, times sqrt 365 (Sortino and Price 1994; target 0).

    Downside deviation = sqrt(mean of min(daily, 0)^2) over all days. NaN with fewer than two days or no losing day.
    """
    mean, _, days = _moments(daily, weights)
    square = _divide(weights @ np.minimum(daily, 0.0) ** 2, days)
    return np.where(days >= 2.0, np.sqrt(DAYS_PER_YEAR) * _divide(mean, np.sqrt(square)), np.nan)


def value_at_risk(loss: np.ndarray, weights: np.ndarray, tail: float = TAIL) -> np.ndarray:
    """The smallest loss that at least a share ``tail`` of the episodes does not exceed."""
    order, reached = _tail_order(loss, weights, tail)
    return np.asarray(loss, np.float64)[order][reached.argmax(axis=-1)]


def expected_shortfall(loss: np.ndarray, weights: np.ndarray, tail: float = TAIL) -> np.ndarray:
    """CVaR, the mean of the worst ``1 - tail`` of the losses: VaR + E[(loss - VaR)+] / (1 - tail).

    Source: Rockafellar and Uryasev (2002), exact where the tail cuts through an atom.
    """
    loss = np.asarray(loss, np.float64)
    at_risk = value_at_risk(loss, weights, tail)
    excess = np.maximum(loss - at_risk[..., None], 0.0)
    return at_risk + (weights * excess).sum(-1) / weights.sum(-1) / (1.0 - tail)


def max_drawdown(equity: np.ndarray) -> np.ndarray:
    """``(E,)``: largest fall from a running peak of each row of ``equity`` (E, T), in its unit; 0 = never fell."""
    return (np.maximum.accumulate(equity, axis=1) - equity).max(axis=1)


def time_in_market(elapsed_ns: np.ndarray, net_qty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Time with a position open, and all the time: ``(E,)`` ns each, of paths (E, T + 1).

    The position held at the start of a step counts for the step.
    """
    step_ns = np.diff(elapsed_ns, axis=1)
    return (step_ns * (net_qty[:, :-1] != 0)).sum(axis=1), step_ns.sum(axis=1)


def turnover_uusd(fill: np.ndarray) -> np.ndarray:
    """``(F,)`` int64: money that changed hands in each fill, size times the price of the leg traded."""
    px = fill["px"].astype(np.int64)
    return np.abs(fill["qty"]) * np.where(fill["leg"] == NO, PX_ONE - px, px)


def slippage2_uusd(fill: np.ndarray) -> np.ndarray:
    """``(F,)`` int64: twice what each fill cost against the mid when its order was sent; + is worse than the mid."""
    return fill["qty"] * (2 * fill["px"].astype(np.int64) - fill["sent_mid2_px"])


def brier(forecast_px: np.ndarray, payout_px: np.ndarray) -> np.ndarray:
    """Squared distance of a forecast from the payout, both as probabilities (Brier 1950). The same for YES and NO."""
    return ((np.asarray(forecast_px, np.float64) - payout_px) / PX_ONE) ** 2


def entries(fill: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """``(F,)`` int64 lots of each fill that opened or added to a position; fills in order, ``episode`` never falling.

    With several markets ``episode`` is the lane. What merging and converting do to a position is left out.

    Of a fill that turns a position round, what lies beyond zero counts.
    """
    qty = fill["qty"]
    before = np.cumsum(qty) - qty
    first = np.searchsorted(episode, episode)  # index of the first fill of each fill's episode
    before = before - before[first]
    added = np.where(np.sign(before) * np.sign(qty) >= 0, np.abs(qty), np.abs(qty) - np.abs(before))
    return np.maximum(added, 0)


def _moments(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance (divided by n) and n of each row of weights; rounding is kept from making a variance."""
    values = np.asarray(values, np.float64)
    count = weights.sum(-1)
    middle = values.mean()
    shifted = values - middle
    mean = _divide(weights @ shifted, count)
    variance = _divide(weights @ shifted**2, count) - mean**2
    scale = np.abs(values).max(initial=0.0)
    variance = np.where(variance > (1e-12 * scale) ** 2, variance, 0.0)
    return mean + middle, variance, count


def _tail_order(loss: np.ndarray, weights: np.ndarray, tail: float) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(loss, kind="stable")
    share = np.cumsum(weights[..., order], axis=-1)
    # 19 of 20 is 0.95: a count is compared, with room for the rounding of 0.95 x 20
    return order, share >= tail * share[..., -1:] - 1e-9


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """``above / below``, NaN where ``below`` is not above zero."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    undefined = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    return np.divide(above, below, out=undefined, where=below > 0.0)
