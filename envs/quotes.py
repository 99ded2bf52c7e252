"""From a point of the control surface (``envs.surface``) to the quotes that are wanted, and from these to intents.

What may be sent is judged by the rules of ``envs.decode``. A side is brought to what is wanted:

* an order of ours that rests at the wanted price, no larger than wanted and at least half as large, stays in its queue,
  and nothing is sent;
* anything else of ours on the side is replaced, or taken back where nothing is wanted or nothing can be sent.

What is held of the other leg is sold, as strategies do (``sim.strategies.ordering``), where that makes at least half of
the quote, or where the cash does not pay for more; else the quote buys in its full size. The bid is served first: the
ask gets the cash that it leaves.
"""

from __future__ import annotations

import math

from envs.decode import Offer, make_offer, most_cost, place, reason_of_size
from envs.surface import ASK_SIZE, BID_SIZE, OFFSET, SKEW, SPREAD
from sim.feed import hide_feeds, show_feeds
from sim.kernel import inner, kernel
from sim.latency import NEVER_NS
from sim.state import ORDER_SLOTS
from sim.strategies.decision import BUY, SELL
from sim.types import (
    ASK,
    BID,
    DO_CANCEL,
    DO_NOTHING,
    DO_PLACE,
    LOTS_PER_CONTRACT,
    NO,
    PX_ONE,
    REJECT_CASH,
    REJECT_MARKET_CLOSED,
    REJECT_NO_QUOTE,
    REJECT_NONE,
    YES,
)

_SKEW_QTY = 100 * LOTS_PER_CONTRACT  # lots that ``skew`` is stated for


@inner
def _value(ranges, controls, index):
    """A coordinate in its unit: linear from low to default to high."""
    at, default = controls[index], ranges.default[index]
    if at < 0.0:
        return default + at * (default - ranges.low[index])
    return default + at * (ranges.high[index] - default)


@inner
def _lots(contracts, step_qty):
    """Whole steps, the nearest; halves up."""
    return int(math.floor(contracts * LOTS_PER_CONTRACT / step_qty + 0.5)) * step_qty


@inner
def _nearest_px(reference_px, ticks, tick, side):
    """The price ``ticks`` from a reference on the grid of ``tick``, halves outwards: a bid down, an ask up."""
    at = reference_px / tick + ticks
    if side == BID:
        return int(math.ceil(at - 0.5)) * tick
    return int(math.floor(at + 0.5)) * tick


@inner
def _legal_bid(down, px, best_ask_px):
    """Highest legal price at or below ``px`` and below the best ask; -1 = none."""
    px = min(px, best_ask_px - 1)
    return int(down[px]) if px > 0 else -1


@inner
def _legal_ask(up, px, best_bid_px):
    """Lowest legal price at or above ``px`` and above the best bid; -1 = none."""
    px = max(px, best_bid_px + 1)
    return int(up[px]) if px < PX_ONE else -1


@inner
def wanted_prices(ranges, controls, market, bid_px, ask_px, tick, down, up):
    """Prices of both quotes, -1 = none, from the best quotes of others, the ``tick`` at the mid and legal prices."""
    position = market["position"]
    net = (position["yes_qty"] - position["no_qty"]) / _SKEW_QTY
    shift = _value(ranges, controls, OFFSET) - _value(ranges, controls, SKEW) * net
    spread = _value(ranges, controls, SPREAD)
    mid_px = 0.5 * market["mid2_px"]
    below = mid_px if ranges.at_mid[0] == 1 else 1.0 * bid_px
    above = mid_px if ranges.at_mid[0] == 1 else 1.0 * ask_px
    bid = _legal_bid(down, _nearest_px(below, shift - spread, tick, BID), ask_px)
    ask = _legal_ask(up, _nearest_px(above, shift + spread, tick, ASK), bid_px)
    if 0 < ask <= bid:
        bid = _legal_bid(down, (bid + ask) // 2, ask_px)
        ask = _legal_ask(up, bid + 1, bid_px)
    return bid, ask


@inner
def _stays(market, side, px, qty):
    """Whether what rests on a side is one order that may keep its place."""
    count, fits = 0, False
    for index in range(ORDER_SLOTS):
        order = market["orders"][index]
        if order["id"] == 0 or order["side"] != side or order["leaving"] == 1:
            continue
        count += 1
        fits = order["px"] == px and order["qty"] <= qty <= 2 * order["qty"]
    return fits and count == 1


@inner
def _pull(intent, market, quoted):
    """Take back what rests on a side or is under way to rest there."""
    if quoted == 1 or market["due_ns"] != NEVER_NS:
        intent["do"] = DO_CANCEL


@inner
def _quote(intent, market, offer, fees, side, px, qty, quoted):
    """Want ``qty`` lots at ``px`` on a side. Returns why they are not sent; 0 = they are, rest already, or are none."""
    if qty < offer.min_qty:
        _pull(intent, market, quoted)
        return REJECT_NONE
    if px > 0 and market["live_orders"] > 0 and _stays(market, side, px, qty):
        return REJECT_NONE
    held = offer.no if side == BID else offer.yes
    sells = held >= offer.min_qty and 2 * held >= qty
    reason = REJECT_NO_QUOTE
    if px > 0:
        reason = _send(intent, offer, fees, side, qty, sells)
    if reason == REJECT_CASH and not sells and held >= offer.min_qty:
        reason = _send(intent, offer, fees, side, qty, True)
    if reason != REJECT_NONE:
        _pull(intent, market, quoted)
    return reason


@inner
def _send(intent, offer, fees, side, qty, sells):
    """Write a side's order, a sale of what is held or a purchase, if it can be done. Returns why not; 0 = it is."""
    verb = SELL if sells else BUY
    leg = YES if (side == BID) == (verb == BUY) else NO
    reason = reason_of_size(offer, fees, verb, leg, qty, 0)
    if reason == REJECT_NONE:
        place(intent, offer, side, verb, leg, qty, 0)
    return reason


@inner
def _locked(intent, offer, fees):
    """Micro-dollars that a bid just written locks beyond those that what it replaces sets free."""
    if intent["do"] != DO_PLACE:
        return 0
    if intent["leg"] == YES:
        return most_cost(fees, offer.fee, intent["px"], intent["qty"], 0)
    return 0 if offer.returns == 0 else most_cost(fees, offer.fee, intent["px"], intent["qty"], 0)


@inner
def _joining(offer, bid_px, ask_px, cash_ask):
    """The offer with other prices to join at, and what cash is left for the ask."""
    return Offer(
        offer.open, offer.fee, offer.min_qty, offer.min_take, offer.returns, offer.pairs, offer.convertible,
        offer.cross_bid, offer.cross_ask, bid_px, ask_px, offer.cash_bid, cash_ask, offer.yes, offer.no,
        offer.quoted_bid, offer.quoted_ask,
    )  # fmt: skip


@inner
def _quote_both(rules, pool, market, ranges, controls, wanted):
    """Write both columns of ``wanted`` (2,) INTENT of a market. Returns the first reason of a side not sent."""
    levels = len(rules.px_of)
    offer = make_offer(
        rules.join_bid, rules.join_ask, rules.cross_bid, rules.cross_ask, rules.cancels_first, pool, market, levels,
        (0, 0),
    )  # fmt: skip
    two_sided = market["best_bid"] >= 0 and market["best_ask"] < levels
    if offer.open == 0 or not two_sided:
        _pull(wanted[BID], market, offer.quoted_bid)
        _pull(wanted[ASK], market, offer.quoted_ask)
        return REJECT_MARKET_CLOSED if offer.open == 0 else REJECT_NO_QUOTE
    grid = market["tick_grid"]
    tick = int(rules.tick[grid, market["mid2_px"] >> 1])
    bid_px, ask_px = rules.px_of[market["best_bid"]], rules.px_of[market["best_ask"]]
    bid, ask = wanted_prices(ranges, controls, market, bid_px, ask_px, tick, rules.down[grid], rules.up[grid])
    bid_qty = _lots(_value(ranges, controls, BID_SIZE), ranges.step_qty[0])
    ask_qty = _lots(_value(ranges, controls, ASK_SIZE), ranges.step_qty[0])
    first = _joining(offer, bid, ask, offer.cash_ask)
    reason = _quote(wanted[BID], market, first, rules.fees, BID, bid, bid_qty, offer.quoted_bid)
    freed = offer.cash_bid - (pool["cash_uusd"] - pool["reserved_uusd"])
    left = offer.cash_ask - max(0, _locked(wanted[BID], first, rules.fees) - freed)
    second = _joining(offer, bid, ask, left)
    other = _quote(wanted[ASK], market, second, rules.fees, ASK, ask, ask_qty, offer.quoted_ask)
    return reason if reason != REJECT_NONE else other


@kernel
def decode_controls(rules, state, ranges, first, last, controls, intents, rejects):
    """Turn ``controls`` float64 ``(N x M, D)`` into ``intents`` INTENT ``(N, M, 2)``.

    ``rejects`` int32 ``(N x M,)`` says why a quote was not sent, the bid's reason first; 0 = all that is wanted is sent
    or rests. Finished episodes send nothing and are refused nothing. Each market is judged as if nothing were done in
    the others: quotes that only together cost too much are refused by the venue, in the order they arrive there.
    """
    show_feeds(state, first, last)
    accounts, pools, markets = state.account, state.pool, state.market
    width = len(markets) // len(accounts)
    for slot in range(first * width, last * width):
        env, index = slot // width, slot % width
        wanted = intents[env, index]
        wanted[BID]["do"] = DO_NOTHING
        wanted[ASK]["do"] = DO_NOTHING
        rejects[slot] = REJECT_NONE
        if accounts[env]["done"] == 0:
            pool = pools[env, markets[slot]["venue"]]
            rejects[slot] = _quote_both(rules, pool, markets[slot], ranges, controls[slot], wanted)
    hide_feeds(state, first, last)
