"""Fixed formulas that bring a quantity into [-1, 1], and their inverses.

Nothing here learns from data: a feature means the same in every run, so an old policy still reads a new observation,
and a baseline can rebuild what it needs from one (``sim.strategies.view_from_observation``). One division each:

* ``part(x, half) = x / (x + half)`` takes [0, inf) to [0, 1); ``half`` is the x that gives 1/2.
* ``soft(x, half) = x / (abs(x) + half)`` takes the line to (-1, 1); ``half`` is the x that gives 1/2.
"""

from __future__ import annotations

import numpy as np

from sim.kernel import kernel

SIZE_HALF = 100.0  # contracts
TICK_HALF = 0.01  # dollars
SPREAD_HALF = 0.02  # dollars
MOVE_HALF = 0.01  # dollars: a change of the mid, or its deviation
EDGE_HALF = 0.05  # dollars: a forecast less a price
ERROR_HALF = 0.02  # probability: a forecast's stated error
FEE_HALF = 0.01  # dollars per contract
DISTANCE_HALF = 5.0  # ticks between an own order and the touch
PRINTS_HALF = 10.0  # prints
MONEY_HALF = 0.01  # of the cash an episode starts with
TRADE_HALF = 10.0  # seconds since the last trade
BOOK_HALF = 1.0  # seconds since the book changed
AGE_HALF = 10.0  # seconds an own order has rested
SIGNAL_HALF = 5.0  # seconds since a forecast came
FLOW_FLOOR = 10.0  # contracts: less flow than this is not much of an imbalance
ANCHOR_HALF = 0.05  # dollars between the mid and an anchor
RESPONSE_HALF = 1.0  # seconds from a trade of ours to the market's next change
MINUTE_HALF = 60.0  # seconds to the close
HOUR_HALF = 3600.0  # seconds to the close


@kernel
def part(x, half):
    """``x / (x + half)`` for ``x >= 0`` and ``half > 0``: in [0, 1)."""
    return x / (x + half)


@kernel
def soft(x, half):
    """``x / (abs(x) + half)`` for ``half > 0``: in (-1, 1)."""
    return x / (abs(x) + half)


def unpart(y: np.ndarray, half: float) -> np.ndarray:
    """Inverse of :func:`part`, in float64."""
    y = np.asarray(y, np.float64)
    return half * y / (1.0 - y)


def unsoft(y: np.ndarray, half: float) -> np.ndarray:
    """Inverse of :func:`soft`, in float64."""
    y = np.asarray(y, np.float64)
    return half * y / (1.0 - np.abs(y))
