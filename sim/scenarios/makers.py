"""The synthetic market's makers: where they quote, what they pull, with what they refill. See docs/market.md.

A reprice may refill a dozen levels, so their sizes do not come from a Philox block each: the arrival's word and the
level's place are mixed as in C. Wellons' hash prospector, and a table of the exponential distribution's quantiles turns
the mix into a size.
"""

from __future__ import annotations

import math

import numpy as np

from sim.book import set_level
from sim.kernel import hot, inner
from sim.queue import on_level
from sim.types import ASK, BID, PX_ONE

QUANTILE_ONE = 1 << 16  # the table's unit: the distribution's mean
_MASK = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9
_MIX1 = 0x2C1B3C6D  # both below 2**31: the product of one with a word fits an int64
_MIX2 = 0x297A2D39


def quantile_table() -> np.ndarray:
    """``(257,)`` int64: quantiles ``i / 256`` of the exponential distribution in units of 2**-16 of its mean.

    Between two of them a size is linear. The last is set so that the mean of all is one: it is
    ``2 x 256 - 2 x (sum of the others) + first``, the others being ``-log(1 - i / 256)``.
    """
    inside = [-math.log(1.0 - index / 256) for index in range(256)]
    last = 2.0 * 256 - 2.0 * sum(inside) + inside[0]
    return np.array([round(value * QUANTILE_ONE) for value in (*inside, last)])


_QUANTILES = quantile_table()


@hot
def mix(word, place):
    """32 bits that look random and differ for every place."""
    mixed = (word + place * _GOLDEN) & _MASK
    mixed ^= mixed >> 15
    mixed = (mixed * _MIX1) & _MASK
    mixed ^= mixed >> 12
    mixed = (mixed * _MIX2) & _MASK
    return mixed ^ (mixed >> 15)


@hot
def _depth(word, side, steps, mean_qty):
    """Size of a level quoted anew."""
    mixed = mix(word, 2 * steps + side)
    index = mixed >> 24
    low = _QUANTILES[index]
    quantile = low + ((_QUANTILES[index + 1] - low) * ((mixed >> 16) & 255) >> 8)
    return 1 + int(math.floor(quantile * mean_qty / QUANTILE_ONE))


@hot
def _quote(desk):
    """Write where the makers quote: their estimate less and plus the half-spread, rounded outwards to ticks.

    A rank is the number of a price in the tick table, 1 for the lowest; 0 and ``last_rank`` + 1 are no prices.
    """
    market = desk.market
    half = desk.row["half_spread_ppm"]
    grid = market["tick_grid"]
    fair = market["fair_ppm"]
    bid_px = max(0, (fair - half) // 100)
    ask_px = min(PX_ONE, -((-fair - half) // 100))
    market["last_rank"] = int(desk.ticks[grid, 0, PX_ONE])
    market["bid_rank"] = int(desk.ticks[grid, 0, bid_px])
    market["ask_rank"] = int(desk.ticks[grid, 0, ask_px - 1]) + 1


@inner
def fill_book(desk, word):
    """The first book of a market."""
    market = desk.market
    market["fair_ppm"] = market["latent_ppm"]
    _quote(desk)
    for side in range(2):
        for steps in range(desk.row["levels"]):
            level = _level_behind(desk, side, steps)
            if level >= 0:
                qty = _depth(word, side, steps, desk.row["depth_qty"])
                set_level(desk.market, desk.book, desk.px_of, side, level, qty)


@hot
def _level_behind(desk, side, steps):
    """Ladder level ``steps`` ticks behind the makers' quote; -1 where no price exists."""
    market = desk.market
    rank = market["bid_rank"] - steps if side == BID else market["ask_rank"] + steps
    if rank < 1 or rank > market["last_rank"]:
        return -1
    return int(desk.ticks[market["tick_grid"], 1, rank])


@inner
def _pull(desk, now):
    """Quotes that the new estimate would lose on are cancelled."""
    market = desk.market
    bid = int(desk.ticks[market["tick_grid"], 1, market["bid_rank"]])
    ask = int(desk.ticks[market["tick_grid"], 1, market["ask_rank"]])
    while market["best_bid"] > bid:
        on_level(desk, BID, market["best_bid"], 0, now)
    while market["best_ask"] < ask:
        on_level(desk, ASK, market["best_ask"], 0, now)


@inner
def reprice(desk, word, now):
    """The makers learn the belief: they pull what it makes a gift and refill what is empty."""
    market = desk.market
    market["fair_ppm"] = market["latent_ppm"]
    _quote(desk)
    _pull(desk, now)
    for side in range(2):
        for steps in range(desk.row["levels"]):
            level = _level_behind(desk, side, steps)
            if level >= 0 and desk.book[side, level] == 0:
                on_level(desk, side, level, _depth(word, side, steps, desk.row["depth_qty"]), now)
