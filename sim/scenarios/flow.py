"""The synthetic market's arrivals: limit orders, cancels, takers, forecasts. The model is described in docs/market.md.

One Philox block an arrival: wait, kind, place, size; ``sim.scenarios.blocks`` computes eight of them at a time. The
functions that every arrival goes through are inlined, so each changes a level, or walks the book, in one place only.
"""

from __future__ import annotations

import math

import numpy as np

from sim.book import clear_book
from sim.kernel import hot, inner, kernel
from sim.latency import NEVER_NS
from sim.mathematics import exp, log, normal
from sim.queue import on_level
from sim.resting import change_status
from sim.rng import RESET, SIGNAL, below, uniform
from sim.scenarios.blocks import EXPO_UNIT, KIND, PLACE, SIZE, WAIT, exponential, refill
from sim.scenarios.compiled import ADD, CANCEL, FORECAST, INFORMED, NOISE, PPM, REPRICE
from sim.scenarios.makers import fill_book, level_behind, reprice
from sim.scenarios.takers import (
    MARKET_BITS,
    draw,
    follow,
    informed_side,
    lots,
    next_stop,
    no_limit,
    noise_lots,
    react,
    seldom,
    walk,
)
from sim.state import BLOCKS
from sim.types import OPEN, SECOND_NS

_UNIT16 = 2.0**-16


@hot
def wait_ns(expo, mean_ns):
    """Nanoseconds to the next of arrivals that come every ``mean_ns``, at least one."""
    return 1 + int(math.floor(expo * EXPO_UNIT * mean_ns))


@inner
def _clumped_ns(expo, row):
    """As :func:`wait_ns`, of gaps with a Weibull law: an exponential variate to the power ``clump``, of the same mean.

    Half a unit more than the variate, which may be 0.
    """
    return 1 + int(math.floor(exp(row["clump"] * log((expo + 0.5) * EXPO_UNIT)) * row["clump_ns"]))


@inner
def start_flow(desk):
    """A new synthetic market at its belief: makers' estimate, book, first arrival. Its clock starts at one second."""
    market = desk.market
    row = desk.row
    _, second, third, _ = draw(desk, RESET, 1, 0)
    clear_book(desk.market, desk.book)
    market["status"] = OPEN
    market["open_ns"] = SECOND_NS
    market["close_ns"] = SECOND_NS + row["life_ns"]
    market["flow_ns"] = SECOND_NS + wait_ns(exponential(second), row["interval_ns"])
    market["mid2_px"] = 2 * market["latent_ppm"] // 100  # until the first two-sided book
    _forget(market)
    fill_book(desk, third, SECOND_NS)
    market["trend2_px"] = market["mid2_px"]
    next_stop(market)


@inner
def _forget(market):
    """What takers, cascades and opponents leave behind."""
    market["draws"] = 0
    market["bursts"] = 0
    market["wide_ppm"] = 0.0
    market["excess"] = 0.0
    market["burst_side"] = 0
    market["cascade_side"] = 0
    market["cascade_until_ns"] = 0
    market["stale_until_ns"] = 0
    market["burst_ns"] = NEVER_NS
    market["resume_ns"] = NEVER_NS
    market["wide_ns"] = SECOND_NS
    market["excess_ns"] = SECOND_NS
    market["trend_ns"] = SECOND_NS
    market["ours_net_qty"] = 0.0
    market["ours_all_qty"] = 0.0
    market["ours_ns"] = SECOND_NS
    market["unseen_net_qty"] = 0
    market["unseen_all_qty"] = 0
    market["unseen_ns"] = 0
    market["front_qty"] = 0.0
    market["copy_qty"] = 0.0


@hot
def _change_level(desk, row, kind, place, expo, now):
    """A limit order joins one of the levels behind the makers' quotes, or a cancel takes part of it away."""
    pick = below(place, 2 * row["levels"])
    side = pick & 1
    steps = 0 if (kind & 0xFFFF) < row["touch_word"] else pick >> 1
    level = level_behind(desk, side, steps)
    if level < 0:
        return
    shown = desk.book[side, level]
    share = ((place & 0xFFFF) + 0.5) * _UNIT16 * row["cancel_share"]
    more = lots(expo, row["add_qty"] * row["profile"][steps])
    less = min(shown, 1 + int(math.floor(shown * share)))
    on_level(desk, side, level, shown + (more if kind < row["threshold"][ADD] else -less), now)


@hot
def _take(desk, row, kind, place, expo, now):
    """A taker comes: one who knows nothing takes a random side, one who knows the belief what is mispriced."""
    if kind < row["threshold"][NOISE]:
        side = place & 1
        limit = no_limit(side)
        qty = noise_lots(row, kind, expo)
    else:
        side, limit = informed_side(desk, row["informed_edge_ppm"])
        qty = lots(expo, row["informed_qty"])
    filled = walk(desk, side, limit, qty, now)
    if filled > 0 and row["reacts"] == 1:
        react(desk, side, filled, now)


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


@kernel
def draw_anew(accounts, markets):
    """Compute again, after the seeds have changed, the words that synthetic markets keep of their coming arrivals."""
    count = len(markets) // len(accounts)
    for slot in range(len(markets)):
        market, account = markets[slot], accounts[slot // count]
        coming = market["draws"]
        if market["tape"] < 0 and coming % BLOCKS > 0:
            market["draws"] = coming - coming % BLOCKS
            stream = market["index"] << MARKET_BITS
            refill(market, account["seed"], account["episode"], account["number"], stream, BLOCKS)
            market["draws"] = coming


@hot
def _arrival(desk):
    """Draw the time of the next arrival, and apply the one that is due."""
    market = desk.market
    row = desk.row
    now = market["flow_ns"]
    number = market["draws"]
    lane = number % BLOCKS
    if lane == 0:
        account = desk.account
        stream = market["index"] << MARKET_BITS
        refill(market, account["seed"], account["episode"], account["number"], stream, BLOCKS)
    kind = np.int64(market["words"][KIND, lane])
    place = np.int64(market["words"][PLACE, lane])
    expo = np.int64(market["expo"][SIZE * BLOCKS + lane])
    market["draws"] = number + 1
    wait = np.int64(market["expo"][WAIT * BLOCKS + lane])
    market["flow_ns"] = now + (wait_ns(wait, row["interval_ns"]) if row["clump"] == 1.0 else _clumped_ns(wait, row))
    threshold = row["threshold"]
    if kind < threshold[CANCEL]:
        _change_level(desk, row, kind, place, expo, now)
    elif kind < threshold[INFORMED]:
        _take(desk, row, kind, place, expo, now)
    elif kind < threshold[REPRICE]:
        reprice(desk, place, now)
    elif kind < threshold[FORECAST]:
        _forecast(desk, row, number, now)
    else:
        seldom(desk, kind, place, expo, now)


@inner
def _stop(desk):
    """What is not an arrival, nor the close: a follower, or a halt's end."""
    market = desk.market
    if market["resume_ns"] <= market["burst_ns"]:
        change_status(desk, OPEN)
        market["resume_ns"] = NEVER_NS
    else:
        follow(desk)
    next_stop(market)


@hot
def flow_events(desk, until, last_event):
    """Everything that happens to a synthetic market up to the stamp ``until``, or to the account's event number.

    ``until`` lies before the close.
    """
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
