"""Floats become orders here: what cannot be one becomes an order that the shield refuses as malformed."""

from __future__ import annotations

import numpy as np

from sim.types import DO_PLACE, INTENT, LOTS_PER_CONTRACT, PX_ONE, UUSD
from sim.venues.fees import MAX_QTY

_LARGEST_BUDGET = 10**15  # micro-dollars


def orders_from_floats(
    price: np.ndarray, contracts: np.ndarray, budget: np.ndarray | float = 0.0, *, leg: int = 0, tif: int = 0
) -> np.ndarray:
    """INTENT orders from dollars (YES price), contracts and dollars of budget, arrays of one shape; DO_PLACE in all.

    A price goes to the nearest 1e-4 dollar, a size and a budget down to whole lots and micro-dollars; a positive budget
    below one micro-dollar becomes one. NaN and infinities, prices not between 0 and 1, and negative budgets become -1,
    which no order has; sizes above the largest that the arithmetic holds become that one, and those of a lot or less
    than none become 0, which no order has either.
    """
    price, contracts, budget = np.broadcast_arrays(
        np.asarray(price, np.float64), np.asarray(contracts, np.float64), np.asarray(budget, np.float64)
    )
    out = np.zeros(price.shape, INTENT)
    out["do"], out["leg"], out["tif"] = DO_PLACE, leg, tif
    out["px"] = _whole(np.rint(_times(price, PX_ONE)), 1, PX_ONE - 1, above=-1)
    out["qty"] = _whole(np.floor(_times(contracts, LOTS_PER_CONTRACT)), 0, MAX_QTY, above=MAX_QTY)
    spend = _times(budget, UUSD)
    spend = np.where((spend > 0) & (spend < 1), 1.0, np.floor(spend))
    out["budget_uusd"] = _whole(spend, 0, _LARGEST_BUDGET, above=_LARGEST_BUDGET)
    return out


def _times(value: np.ndarray, unit: int) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return value * float(unit)


def _whole(value: np.ndarray, low: int, high: int, *, above: int) -> np.ndarray:
    """Integers of finite whole numbers in [low, high]; ``above`` for larger finite ones, -1 for everything else."""
    inside = (value >= low) & (value <= high)
    result = np.where(inside, value, 0.0).astype(np.int64)
    return np.where(inside, result, np.where((value > high) & np.isfinite(value), above, -1))
