"""The synthetic market's makers: where they quote, what they pull, with what they refill. See docs/market.md.

A reprice may refill a dozen levels, so their sizes do not come from a Philox block each: the arrival's word and the
level's place are mixed by an integer hash found by C. Wellons' hash prospector, and a table of the exponential
distribution's quantiles turns the mix into a size.
"""

from __future__ import annotations

import math

import numpy as np

from sim.book import set_level
from sim.kernel import hot, inner
from sim.mathematics import exp
from sim.queue import on_level
from sim.types import ASK, BID, PX_ONE

QUANTILE_ONE = 1 << 16  # the table's unit: the distribution's mean
ANCHOR_PPM = 250_000  # anchors lie at one, two and three of them
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
def faded(value, elapsed_ns, life_ns):
    """A value that falls to 1/e in ``life_ns``."""
    return value * exp(-elapsed_ns / life_ns) if value != 0.0 else 0.0


@hot
def _depth(mixed, mean_qty):
    """Size of a level quoted anew: an exponential variate from the high half of a mix."""
    index = mixed >> 24
    low = _QUANTILES[index]
    quantile = low + ((_QUANTILES[index + 1] - low) * ((mixed >> 16) & 255) >> 8)
    return 1 + int(math.floor(quantile * mean_qty / QUANTILE_ONE))


@hot
def _mean_depth(desk, steps, level, now):
    """Mean size of a new level: profile, anchors, a cascade's share, and what the size of our takes has scared away."""
    market, row = desk.market, desk.row
    mean = row["depth_qty"] * row["profile"][steps]
    if row["anchor_depth"] > 0.0:
        px = desk.px_of[level]
        if px == PX_ONE // 4 or px == PX_ONE // 2 or px == 3 * PX_ONE // 4:
            mean *= 1.0 + row["anchor_depth"]
    if now < market["cascade_until_ns"]:
        mean *= 1.0 - row["cascade_pull"]
    if row["fade_depth"] > 0.0:
        mean /= 1.0 + row["fade_depth"] * market["ours_all_qty"]
    return mean


@inner
def learn(market, row, now):
    """What opponents know of our takes, as of ``now``, and what they still want of them: one memory for both."""
    if market["ours_all_qty"] > 0.0:
        keep = faded(1.0, now - market["ours_ns"], row["watch_ns"])
        market["ours_net_qty"] *= keep
        market["ours_all_qty"] *= keep
        market["front_qty"] *= keep
        market["copy_qty"] *= keep
    market["ours_ns"] = now
    if market["unseen_all_qty"] > 0 and now >= market["unseen_ns"]:
        net = market["unseen_net_qty"]
        market["ours_net_qty"] += net
        market["ours_all_qty"] += market["unseen_all_qty"]
        market["front_qty"] += row["front_share"] * net
        market["copy_qty"] += row["copy_share"] * net
        market["unseen_net_qty"] = 0
        market["unseen_all_qty"] = 0


@inner
def widen(market, row, qty, now):
    """Someone took ``qty`` lots: the makers keep more distance for a while."""
    wide = faded(market["wide_ppm"], now - market["wide_ns"], row["resilience_ns"])
    market["wide_ppm"] = wide + qty * row["widen_ppm"]
    market["wide_ns"] = now


@hot
def _half_spread(market, row, now):
    """The distance the makers keep from their estimate, ppm."""
    half = row["half_spread_ppm"]
    wide = 0.0
    if market["wide_ppm"] > 0.0:
        wide = faded(market["wide_ppm"], now - market["wide_ns"], row["resilience_ns"])
        market["wide_ppm"] = wide
        market["wide_ns"] = now
    if row["watched"] == 1:
        learn(market, row, now)
        wide += row["fade_spread_ppm"] * market["ours_all_qty"]
    wide = min(wide, row["widen_max_ppm"])
    if now < market["cascade_until_ns"]:
        wide += row["cascade_widen_ppm"]
    return half + int(math.floor(wide))


@hot
def _estimate(market, row):
    """The makers' estimate: the belief, pulled toward an anchor within its reach."""
    belief = market["latent_ppm"]
    market["anchor_px"] = -1
    if row["anchor_strength"] > 0.0:
        anchor = min(3, max(1, (belief + ANCHOR_PPM // 2) // ANCHOR_PPM)) * ANCHOR_PPM
        away = abs(belief - anchor)
        if away < row["anchor_width_ppm"]:
            pull = int(math.floor(row["anchor_strength"] * away * (1.0 - away / row["anchor_width_ppm"])))
            market["anchor_px"] = anchor // 100
            return belief - pull if belief > anchor else belief + pull
    return belief


@hot
def quote(desk, half):
    """Write where the makers quote: their estimate less and plus the half-spread, rounded outwards to ticks.

    A rank is the number of a price in the tick table, 1 for the lowest; 0 and ``last_rank`` + 1 are no prices.
    """
    market = desk.market
    grid = market["tick_grid"]
    fair = market["fair_ppm"]
    bid_px = max(0, (fair - half) // 100)
    ask_px = min(PX_ONE, max(1, -((-fair - half) // 100)))
    market["last_rank"] = np.int64(desk.ticks[grid, 0, PX_ONE])
    market["bid_rank"] = np.int64(desk.ticks[grid, 0, bid_px])
    market["ask_rank"] = np.int64(desk.ticks[grid, 0, ask_px - 1]) + 1


@inner
def fill_book(desk, word, now):
    """The first book of a market."""
    market = desk.market
    market["fair_ppm"] = _estimate(desk.market, desk.row)
    quote(desk, desk.row["half_spread_ppm"])
    for side in range(2):
        for steps in range(desk.row["levels"]):
            level = level_behind(desk, side, steps)
            mixed = mix(word, 2 * steps + side)
            if level >= 0 and (mixed & 0xFFFF) < desk.row["presence_word"]:
                qty = _depth(mixed, _mean_depth(desk, steps, level, now))
                set_level(desk.market, desk.book, desk.px_of, side, level, qty)


@hot
def level_behind(desk, side, steps):
    """Ladder level ``steps`` ticks behind the makers' quote; -1 where no price exists."""
    market = desk.market
    rank = market["bid_rank"] - steps if side == BID else market["ask_rank"] + steps
    if rank < 1 or rank > market["last_rank"]:
        return -1
    return np.int64(desk.ticks[market["tick_grid"], 1, rank])


@inner
def change(desk, side, level, qty, now):
    """As :func:`sim.queue.on_level`, for changes that come seldom."""
    on_level(desk, side, level, qty, now)


@inner
def _pull(desk, now):
    """Quotes that the new estimate would lose on are cancelled."""
    market = desk.market
    bid = np.int64(desk.ticks[market["tick_grid"], 1, market["bid_rank"]])
    ask = np.int64(desk.ticks[market["tick_grid"], 1, market["ask_rank"]])
    while market["best_bid"] > bid:
        on_level(desk, BID, market["best_bid"], 0, now)
    while market["best_ask"] < ask:
        on_level(desk, ASK, market["best_ask"], 0, now)


@inner
def step_aside(desk, now):
    """The makers learn the belief and pull what it makes a gift."""
    desk.market["fair_ppm"] = _estimate(desk.market, desk.row)
    quote(desk, _half_spread(desk.market, desk.row, now))
    _pull(desk, now)


@inner
def reprice(desk, word, now):
    """The makers learn the belief: they pull what it makes a gift and refill what is empty."""
    step_aside(desk, now)
    market = desk.market
    levels = desk.ticks[market["tick_grid"], 1]
    for side in range(2):
        shown = desk.book[side]
        rank = market["bid_rank"] if side == BID else market["ask_rank"]
        way = -1 if side == BID else 1
        prices = rank if side == BID else market["last_rank"] + 1 - rank  # how many there are from the quote on
        for steps in range(min(desk.row["levels"], prices)):
            level = np.int64(levels[rank + way * steps])
            if shown[level] == 0:
                _refill(desk, side, steps, level, word, now)


@inner
def _refill(desk, side, steps, level, word, now):
    """Makers quote an empty level again, or leave it empty."""
    mixed = mix(word, 2 * steps + side)
    if (mixed & 0xFFFF) < desk.row["presence_word"]:
        on_level(desk, side, level, _depth(mixed, _mean_depth(desk, steps, level, now)), now)
