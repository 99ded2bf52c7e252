"""The synthetic market's arrivals: limit orders, cancels, takers, forecasts. The model is described in docs/market.md.

One Philox block an arrival: wait, kind, place, size; ``sim.scenarios.blocks`` computes eight of them at a time. The
functions that every arrival goes through are inlined, so each changes a level, or walks the book, in one place only.
"""

from __future__ import annotations

import math

from sim.account import settle
from sim.book import clear_book
from sim.kernel import hot, inner
from sim.latency import NEVER_NS
from sim.mathematics import normal
from sim.queue import on_level, on_print
from sim.rng import OUTCOME, RESET, SIGNAL, below, philox, uniform
from sim.scenarios.blocks import BLOCKS, EXPO_UNIT, KIND, PLACE, SIZE, WAIT, exponential, refill
from sim.scenarios.compiled import ADD, CANCEL, FORECAST, INFORMED, NEWS, NOISE, PPM, REPRICE
from sim.scenarios.makers import fill_book, reprice
from sim.types import ASK, BID, OPEN, PX_ONE, SECOND_NS

MARKET_BITS = 16  # streams of one market; those of the next lie above
_UNIT16 = 2.0**-16


@hot
def draw(desk, purpose, step, stream):
    """A Philox block of a market's own."""
    account = desk.account
    stream += desk.market["index"] << MARKET_BITS
    return philox(account["seed"], account["episode"], step, purpose, account["number"], stream)


@inner
def start_flow(desk):
    """A new synthetic market: belief, makers' estimate, book, first arrival. Its clock starts at one second."""
    market = desk.market
    row = desk.row
    first, second, third, _ = draw(desk, RESET, 1, 0)
    span = row["belief_high_ppm"] - row["belief_low_ppm"] + 1
    belief = row["belief_low_ppm"] + below(first, span)
    clear_book(desk.market, desk.book)
    market["draws"] = 0
    market["status"] = OPEN
    market["open_ns"] = SECOND_NS
    market["close_ns"] = SECOND_NS + row["life_ns"]
    market["flow_ns"] = SECOND_NS + _wait(exponential(second), row["interval_ns"])
    market["latent_ppm"] = belief
    market["mid2_px"] = 2 * belief // 100  # until the first two-sided book
    fill_book(desk, third)
    next_stop(market)


@hot
def _wait(expo, mean_ns):
    return 1 + int(math.floor(expo * EXPO_UNIT * mean_ns))


@hot
def _lots(expo, mean_qty):
    """A size of at least one lot, exponential with about the given mean."""
    return 1 + int(math.floor(expo * EXPO_UNIT * mean_qty))


@hot
def next_stop(market):
    """Find out when something other than an arrival happens next to the market, and what its clock says."""
    market["stop_ns"] = market["close_ns"]
    market["event_ns"] = min(market["flow_ns"], market["stop_ns"])


@hot
def _news(desk, row, word):
    belief = desk.market["latent_ppm"]
    jump = row["news_size_ppm"] * 4 * belief // PPM * (PPM - belief) // PPM
    desk.market["latent_ppm"] = belief + jump if word & 1 else belief - jump


@hot
def _change_level(desk, row, adds, place, expo, now):
    """A limit order joins one of the levels behind the makers' quotes, or a cancel takes part of it away."""
    market = desk.market
    pick = below(place, 2 * row["levels"])
    side = pick & 1
    steps = pick >> 1
    rank = market["bid_rank"] - steps if side == BID else market["ask_rank"] + steps
    if rank < 1 or rank > market["last_rank"]:
        return
    level = int(desk.ticks[market["tick_grid"], 1, rank])
    shown = desk.book[side, level]
    share = ((place & 0xFFFF) + 0.5) * _UNIT16 * row["cancel_share"]
    more = _lots(expo, row["add_qty"])
    less = min(shown, 1 + int(math.floor(shown * share)))
    on_level(desk, side, level, shown + (more if adds else -less), now)


@hot
def _sweep(desk, taker_side, limit_px, qty, now):
    """A taker of the flow walks the book up to a limit: per level a print, then the level's change."""
    side = 1 - taker_side
    while qty > 0:
        level = desk.market["best_bid"] if side == BID else desk.market["best_ask"]
        if level < 0 or level >= desk.book.shape[1]:
            break
        px = desk.px_of[level]
        if px > limit_px if taker_side == BID else px < limit_px:
            break
        shown = desk.book[side, level]
        size = min(qty, shown)
        on_print(desk, taker_side, px, size, now)
        on_level(desk, side, level, shown - size, now)
        qty -= size


@hot
def _take(desk, row, kind, place, expo, now):
    """A taker comes: one who knows nothing takes a random side, one who knows the belief what is mispriced."""
    market = desk.market
    if kind < row["threshold"][NOISE]:
        side = place & 1
        _sweep(desk, side, PX_ONE if side == BID else 0, _lots(expo, row["noise_qty"]), now)
        return
    # a price of p ppm-dollars is p / 100 price units; the limit is rounded against the taker
    belief = market["latent_ppm"]
    edge = row["informed_edge_ppm"]
    highest = (belief - edge) // 100
    best = market["best_ask"]
    buys = best < desk.book.shape[1] and desk.px_of[best] <= highest
    side = BID if buys else ASK
    _sweep(desk, side, highest if buys else -((-belief - edge) // 100), _lots(expo, row["informed_qty"]), now)


@inner
def _forecast(desk, row, draw_number, now):
    first, second, _, _ = draw(desk, SIGNAL, draw_number, 0)
    span = row["signal_err_high_ppm"] - row["signal_err_low_ppm"]
    error = row["signal_err_low_ppm"] + below(first, span + 1)
    value = desk.market["latent_ppm"] + int(math.floor(error * normal(uniform(second)) + 0.5))
    # a forecast is a probability; clipping at 0.1 % and 99.9 % is part of its definition
    desk.market["signal_ppm"] = min(PPM - 1000, max(1000, value))
    desk.market["signal_err_ppm"] = error
    desk.market["signal_ns"] = now


@hot
def _arrival(desk):
    """Apply the arrival that is due, and draw the time of the next."""
    market = desk.market
    row = desk.row
    now = market["flow_ns"]
    number = market["draws"]
    lane = number % BLOCKS
    if lane == 0:
        account = desk.account
        stream = market["index"] << MARKET_BITS
        refill(market, account["seed"], account["episode"], account["number"], stream, BLOCKS)
    kind = int(market["words"][KIND, lane])
    place = int(market["words"][PLACE, lane])
    expo = int(market["expo"][SIZE * BLOCKS + lane])
    wait = int(market["expo"][WAIT * BLOCKS + lane])
    market["draws"] = number + 1
    market["flow_ns"] = now + _wait(wait, row["interval_ns"])
    threshold = row["threshold"]
    if kind < threshold[CANCEL]:
        _change_level(desk, row, kind < threshold[ADD], place, expo, now)
    elif kind < threshold[INFORMED]:
        _take(desk, row, kind, place, expo, now)
    elif kind < threshold[REPRICE]:
        reprice(desk, place, now)
    elif kind < threshold[NEWS]:
        _news(desk, row, place)
    elif kind < threshold[FORECAST]:
        _forecast(desk, row, number, now)


@inner
def _stop(desk):
    """What is not an arrival: the close."""
    market = desk.market
    settle(desk, outcome(desk))
    market["flow_ns"] = NEVER_NS
    market["stop_ns"] = NEVER_NS
    market["event_ns"] = NEVER_NS


@hot
def flow_events(desk, until, last_event):
    """Everything that happens to a synthetic market up to the stamp ``until``, or to the account's event number."""
    market = desk.market
    account = desk.account
    while True:
        account["now_ns"] = market["event_ns"]
        if market["flow_ns"] < market["stop_ns"]:
            _arrival(desk)
            market["event_ns"] = min(market["flow_ns"], market["stop_ns"])
        else:
            _stop(desk)
        if market["event_ns"] > until or account["events"] >= last_event:
            return


@inner
def outcome(desk):
    """Payout of one YES contract, drawn from the belief at the close."""
    word, _, _, _ = draw(desk, OUTCOME, 0, 0)
    return PX_ONE if uniform(word) * PPM < desk.market["latent_ppm"] else 0
