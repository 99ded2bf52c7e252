"""Fields of a scenario row from a recording's facts, by formulas: where a fit begins, and no search is needed.

Each says which law it inverts. They use fitted days only, as everything that leads to a table does.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from sim.scenarios.facts import SIZE_PROBS, Fact
from sim.scenarios.row import FIELDS


class Sizes(NamedTuple):
    """Takers' orders: a mixture of two exponentials, contracts."""

    mean: float
    large_mean: float
    large_share: float


def clump(interarrival: Fact) -> float:
    """``clump``: the power k of an exponential variate whose 50, 90 and 99 % quantiles stand to each other as recorded.

    A quantile at p of E^k is (-log(1 - p))^k, so log(q90 / q50) = k log(log 10 / log 2) and log(q99 / q50) = k log(log
    100 / log 2); the two k are averaged, and kept to the field's bounds. 1 where the recording cannot say. The 10 %
    quantile is left out: it is as short as venues' stamps are exact.
    """
    if not interarrival.known:
        return 1.0
    _, middle, high, highest = interarrival.values
    pairs = ((high, math.log(10.0)), (highest, math.log(100.0)))
    powers = [math.log(value / middle) / math.log(at / math.log(2.0)) for value, at in pairs]
    field = FIELDS["clump"]
    return min(field.high, max(field.low, 0.5 * sum(powers)))


def sizes(trade_size: Fact) -> Sizes | None:
    """``noise_size``, ``large_size`` and ``large_share``: nearest to the recorded quantiles, in logarithms.

    A mixture of exponentials of means a and b, b with the share w, is larger than x with the chance
    (1 - w) exp(-x / a) + w exp(-x / b). None where the recording cannot say.
    """
    if not trade_size.known:
        return None
    wanted = np.log(np.array(trade_size.values) + trade_size.resolution)

    def away(point: np.ndarray) -> float:
        return float(np.abs(np.log(quantiles(_sizes(point), SIZE_PROBS) + trade_size.resolution) - wanted).sum())

    first = np.array([wanted[2], wanted[-1] - wanted[2], -1.5])  # log a, log b / a, log w / (1 - w)
    found = minimize(away, first, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-4, "maxiter": 2000})
    return _sizes(found.x)


def quantiles(mixture: Sizes, probs: tuple[float, ...]) -> np.ndarray:
    """Quantiles of a mixture of two exponentials, by halving."""
    low, high = np.zeros(len(probs)), np.full(len(probs), 40.0 * max(mixture.mean, mixture.large_mean))
    beyond = 1.0 - np.array(probs)
    for _ in range(60):
        middle = 0.5 * (low + high)
        left = (1.0 - mixture.large_share) * np.exp(-middle / mixture.mean)
        above = left + mixture.large_share * np.exp(-middle / mixture.large_mean) > beyond
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high


def followers(flow: Fact, same: float, most: float = 0.6) -> float:
    """``excite``: the share of takers who follow, from the autocorrelation of sides at a lag of one order.

    Of takers the share n follow, n being the branching ratio (of an immigrant come n / (1 - n) followers). Who follows
    the last one takes his side with the chance ``same``: the correlation is n (2 same - 1). 0 where the recording
    cannot say, or the sides alternate; at most ``most``.
    """
    if not flow.known:
        return 0.0
    return min(most, max(0.0, flow.values[0] / (2.0 * same - 1.0)))


def _sizes(point: np.ndarray) -> Sizes:
    mean, ratio = math.exp(float(np.clip(point[0], -5.0, 12.0))), math.exp(float(np.clip(abs(point[1]), 0.0, 8.0)))
    return Sizes(mean, mean * ratio, 1.0 / (1.0 + math.exp(-float(np.clip(point[2], -8.0, 0.0)))))
