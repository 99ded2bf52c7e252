"""The synthetic market: a belief, makers who learn it late, takers who know nothing or everything.

*Belief.* A latent probability moves by symmetric jumps ``+-a``, ``a = news_size x 4 p (1 - p)``, which is a martingale
in exact integers and stays inside (0, 1). At the close the market pays $1 with probability p.

*Makers* hold an estimate that jumps to the belief at the times of a Poisson clock. The belief being a martingale, the
estimate is unbiased given everything the book shows: whoever takes at random loses the half-spread and the fee, no more
and no less. Quotes are the estimate less and plus the half-spread, rounded outwards to whole cents; at a reprice the
makers pull what their new estimate would lose on and refill what is empty.

*Takers* arrive at random sides and sizes (noise), or know the belief and take what is mispriced by more than their edge
(informed). A taker's walk is a print and a level change per level, as on a venue's feed.

*Forecasts* are the belief plus a normal error of a stated size, drawn anew with every forecast.

Everything is symmetric under YES <-> NO. One Philox block an arrival: time, kind, place, size.
"""

from __future__ import annotations

import math

from sim.book import clear_book, set_level
from sim.kernel import hot, inner
from sim.mathematics import log, normal
from sim.queue import on_level, on_print
from sim.rng import FLOW, OUTCOME, RESET, SIGNAL, below, philox, uniform
from sim.scenarios.compiled import CANCEL, FORECAST, INFORMED, LIMIT, NEWS, NOISE, PPM, REPRICE
from sim.types import ASK, BID, OPEN, PX_ONE, SECOND_NS

TICK_PX = 100  # synthetic makers quote whole cents
_PPM_PER_TICK = PPM // 100
MARKET_BITS = 16  # streams of one market; those of the next lie above
_BOOK_DRAWS = 1 << 31  # counters of the blocks that size a new level lie above those of the arrivals


@hot
def _exponential(word, mean):
    """Exponential variate from a word."""
    return -log(uniform(word)) * mean


@hot
def _lots(word, mean_qty):
    """A size of at least one lot, exponential with about the given mean."""
    return 1 + int(math.floor(_exponential(word, mean_qty)))


@hot
def _draw(desk, purpose, step, stream):
    account = desk.account
    stream += desk.market["index"] << MARKET_BITS
    return philox(account["seed"], account["episode"], step, purpose, account["number"], stream)


@hot
def _quote_px(fair_ppm, half_spread_ppm, side):
    """The price the makers would quote, rounded outwards to whole cents; it may lie off the ladder."""
    if side == BID:
        return (fair_ppm - half_spread_ppm) // _PPM_PER_TICK * TICK_PX
    return -((-fair_ppm - half_spread_ppm) // _PPM_PER_TICK) * TICK_PX


@hot
def _level_behind(desk, quote, side, steps):
    """Ladder level ``steps`` ticks behind the makers' quote; -1 where no price exists."""
    px = quote - steps * TICK_PX if side == BID else quote + steps * TICK_PX
    if px < TICK_PX or px > PX_ONE - TICK_PX:
        return -1
    return desk.level_of[px]


@hot
def _next_arrival(desk, word):
    row = desk.row
    wait = 1 + int(math.floor(_exponential(word, row["interval_ns"])))
    desk.market["flow_ns"] += wait


@inner
def start_flow(desk):
    """A new synthetic market: belief, makers' estimate, book, first arrival. Its clock starts at one second."""
    market = desk.market
    row = desk.row
    market["draws"] = 0
    market["flow_ns"] = SECOND_NS
    first, second, _, _ = _draw(desk, RESET, 1, 0)
    span = row["belief_high_ppm"] - row["belief_low_ppm"] + 1
    belief = row["belief_low_ppm"] + below(first, span)
    clear_book(desk.market, desk.book)
    market["status"] = OPEN
    market["open_ns"] = SECOND_NS
    market["close_ns"] = SECOND_NS + row["life_ns"]
    market["latent_ppm"] = belief
    market["fair_ppm"] = belief
    market["mid2_px"] = 2 * belief // 100  # until the first two-sided book
    for side in range(2):
        quote = _quote_px(belief, row["half_spread_ppm"], side)
        for steps in range(row["levels"]):
            level = _level_behind(desk, quote, side, steps)
            if level >= 0:
                set_level(desk.market, desk.book, desk.px_of, side, level, _new_depth(desk, row, side, steps))
    _next_arrival(desk, second)


@inner
def _new_depth(desk, row, side, steps):
    word, _, _, _ = _draw(desk, FLOW, desk.market["draws"] + _BOOK_DRAWS, 2 * steps + side)
    return _lots(word, row["depth_qty"])


@hot
def _news(desk, row, word):
    belief = desk.market["latent_ppm"]
    jump = row["news_size_ppm"] * 4 * belief // PPM * (PPM - belief) // PPM
    desk.market["latent_ppm"] = belief + jump if word & 1 else belief - jump


@hot
def _reprice(desk, row, now):
    """The makers learn the belief: they pull what it makes a gift and refill what is empty."""
    market = desk.market
    fair = market["latent_ppm"]
    market["fair_ppm"] = fair
    bid = _quote_px(fair, row["half_spread_ppm"], BID)
    ask = _quote_px(fair, row["half_spread_ppm"], ASK)
    while market["best_bid"] >= 0 and desk.px_of[market["best_bid"]] > bid:
        on_level(desk, BID, market["best_bid"], 0, now)
    while market["best_ask"] < desk.book.shape[1] and desk.px_of[market["best_ask"]] < ask:
        on_level(desk, ASK, market["best_ask"], 0, now)
    for side in range(2):
        quote = bid if side == BID else ask
        for steps in range(row["levels"]):
            level = _level_behind(desk, quote, side, steps)
            if level >= 0 and desk.book[side, level] == 0:
                on_level(desk, side, level, _new_depth(desk, row, side, steps), now)


@hot
def _arriving_level(desk, row, word):
    """Side and level a limit order or a cancel picks, from one word."""
    place = below(word, 2 * row["levels"])
    side = place & 1
    quote = _quote_px(desk.market["fair_ppm"], row["half_spread_ppm"], side)
    return side, _level_behind(desk, quote, side, place >> 1)


@hot
def _limit(desk, row, place, size, now):
    side, level = _arriving_level(desk, row, place)
    if level >= 0:
        qty = desk.book[side, level] + _lots(size, row["add_qty"])
        on_level(desk, side, level, qty, now)


@hot
def _cancel(desk, row, place, size, now):
    side, level = _arriving_level(desk, row, place)
    if level >= 0 and desk.book[side, level] > 0:
        qty = desk.book[side, level]
        gone = 1 + int(math.floor(qty * row["cancel_share"] * uniform(size)))
        on_level(desk, side, level, max(0, qty - gone), now)


@hot
def _sweep(desk, taker_side, limit, qty, now):
    """A taker of the flow walks the book up to a limit: per level a print, then the level's change."""
    side = BID if taker_side == ASK else ASK
    while qty > 0:
        level = desk.market["best_bid"] if side == BID else desk.market["best_ask"]
        if level < 0 or level >= desk.book.shape[1]:
            return
        px = desk.px_of[level]
        if px > limit if taker_side == BID else px < limit:
            return
        shown = desk.book[side, level]
        size = min(qty, shown)
        on_print(desk, taker_side, px, size, now)
        on_level(desk, side, level, shown - size, now)
        qty -= size


@hot
def _noise(desk, row, place, size, now):
    taker_side = place & 1
    limit = PX_ONE if taker_side == BID else 0
    _sweep(desk, taker_side, limit, _lots(size, row["noise_qty"]), now)


@hot
def _informed(desk, row, size, now):
    """Takes whatever the belief says is mispriced by more than the edge; at most one side can be."""
    belief = desk.market["latent_ppm"]
    edge = row["informed_edge_ppm"]
    qty = _lots(size, row["informed_qty"])
    # a price of p ppm-dollars is p / 100 price units; the limit is rounded against the taker
    highest = (belief - edge) // 100
    lowest = -((-belief - edge) // 100)
    _sweep(desk, BID, highest, qty, now)
    _sweep(desk, ASK, lowest, qty, now)


@inner
def _forecast(desk, row, draw, now):
    first, second, _, _ = _draw(desk, SIGNAL, draw, 0)
    span = row["signal_err_high_ppm"] - row["signal_err_low_ppm"]
    error = row["signal_err_low_ppm"] + below(first, span + 1)
    value = desk.market["latent_ppm"] + int(math.floor(error * normal(uniform(second)) + 0.5))
    # a forecast is a probability; clipping at 0.1 % and 99.9 % is part of its definition
    desk.market["signal_ppm"] = min(PPM - 1000, max(1000, value))
    desk.market["signal_err_ppm"] = error
    desk.market["signal_ns"] = now


@hot
def flow_event(desk):
    """Apply the arrival that is due, and draw the time of the next."""
    row = desk.row
    now = desk.market["flow_ns"]
    draw = desk.market["draws"]
    wait, kind, place, size = _draw(desk, FLOW, draw, 0)
    desk.market["draws"] = draw + 1
    threshold = row["threshold"]
    if kind < threshold[NEWS]:
        _news(desk, row, place)
    elif kind < threshold[REPRICE]:
        _reprice(desk, row, now)
    elif kind < threshold[LIMIT]:
        _limit(desk, row, place, size, now)
    elif kind < threshold[CANCEL]:
        _cancel(desk, row, place, size, now)
    elif kind < threshold[NOISE]:
        _noise(desk, row, place, size, now)
    elif kind < threshold[INFORMED]:
        _informed(desk, row, size, now)
    elif kind < threshold[FORECAST]:
        _forecast(desk, row, draw, now)
    _next_arrival(desk, wait)


@inner
def outcome(desk):
    """Payout of one YES contract, drawn from the belief at the close."""
    word, _, _, _ = _draw(desk, OUTCOME, 0, 0)
    return PX_ONE if uniform(word) * PPM < desk.market["latent_ppm"] else 0
