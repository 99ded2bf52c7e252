"""What the environment's kernels need of a market's rules: prices, ticks, fees.

What depends on a price alone is looked up instead of searched for: by ladder level, so that a table stays in the cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.scenarios.portfolio import MAX_MARKETS
from sim.sets import SET, Sets
from sim.types import PX_ONE

_NONE = np.zeros(0, np.int64)
NO_SETS = Sets(np.zeros(0, SET), _NONE, np.full(MAX_MARKETS, -1), np.zeros(MAX_MARKETS, np.int64))


class Rules(NamedTuple):
    """Read-only. L ladder levels, G tick tables, F fee schedules, R scenario rows. Prices in 1e-4 dollar."""

    px_of: np.ndarray  # (L,) price of a ladder level
    level_of: np.ndarray  # (10001,) ladder level of a price; -1 = off the ladder
    tick: np.ndarray  # (G, 10001) int16: distance between the legal prices around a price
    down: np.ndarray  # (G, 10001) int16: highest legal price at or below a price; -1 = none
    up: np.ndarray  # (G, 10001) int16: lowest legal price at or above a price; -1 = none
    join_bid: np.ndarray  # (G, L) int16: highest legal price at or below the level of the best bid; -1 = none
    join_ask: np.ndarray  # (G, L) int16: lowest legal price at or above the level of the best ask; -1 = none
    cross_bid: np.ndarray  # (G, L) int16: limit of a buyer who may pay some ticks more than that ask; -1 = none
    cross_ask: np.ndarray  # (G, L) int16: the same for a seller at the best bid
    fees: np.ndarray  # (F,) FEE
    cancels_first: np.ndarray  # (R,) bool: a cancel reaches the venue no later than an order sent with it
    sets: Sets  # that their venue nets


def make_rules(
    px_of: np.ndarray,
    tick_ok: np.ndarray,
    fees: np.ndarray,
    *,
    cross_ticks: int,
    cancels_first: np.ndarray,
    sets: Sets = NO_SETS,
) -> Rules:
    """Rules from a grid's ``px_of`` and ``tick_ok`` bool ``(G, 10001)``; takers reach ``cross_ticks`` past a quote."""
    legal = tick_ok.copy()
    legal[:, [0, PX_ONE]] = False  # never the price of an order
    up, down = _neighbours(legal)
    level_of = np.full(PX_ONE + 1, -1, np.int64)
    level_of[px_of] = np.arange(len(px_of))
    return Rules(
        px_of=px_of,
        level_of=level_of,
        tick=_distances(up, down).astype(np.int16),
        down=down.astype(np.int16),
        up=up.astype(np.int16),
        join_bid=_by_level(down, px_of),
        join_ask=_by_level(up, px_of),
        cross_bid=_by_level(_reach(up, 1, cross_ticks), px_of),
        cross_ask=_by_level(_reach(down, -1, cross_ticks), px_of),
        fees=fees,
        cancels_first=cancels_first,
        sets=sets,
    )


def _by_level(table: np.ndarray, px_of: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(table[:, px_of], np.int16)


def _neighbours(legal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest legal price at or above every price, highest at or below; -1 where there is none."""
    prices = np.arange(PX_ONE + 1)
    down = np.maximum.accumulate(np.where(legal, prices, -1), axis=1)
    up = np.minimum.accumulate(np.where(legal, prices, PX_ONE + 1)[:, ::-1], axis=1)[:, ::-1]
    return np.where(up > PX_ONE, -1, up), down


def _beyond(table: np.ndarray, step: int, px: np.ndarray) -> np.ndarray:
    """The next legal price after the legal prices ``px`` in a direction; -1 where ``px`` is -1 or the last."""
    return np.where(px >= 0, np.take_along_axis(table, np.clip(px + step, 0, PX_ONE), axis=1), -1)


def _reach(table: np.ndarray, step: int, ticks: int) -> np.ndarray:
    px = table
    for _ in range(ticks):
        further = _beyond(table, step, px)
        px = np.where(further >= 0, further, px)
    return px


def _distances(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Distance between the legal prices around every price; outside the table's ends, its first or last one."""
    low = np.where(down >= 0, down, up)
    high = _beyond(up, 1, low)
    below = _beyond(down, -1, low)
    return np.where(high >= 0, high - low, low - below)
