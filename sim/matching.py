"""How the venue treats our orders: refusals, depth walk, time in force, price limit, self-trade prevention."""

from __future__ import annotations

import math

from sim.account import (
    count_fill,
    drop_order,
    execute,
    free_cash,
    held_free,
    leg_price,
    locks_cash,
    needed_price,
    opposite,
    stop_triggered,
)
from sim.activity import fade_until
from sim.book import set_level
from sim.kernel import inner
from sim.latency import refresh_due, reject
from sim.resting import rest, shut, too_soon
from sim.state import ORDER_SLOTS, USED_NS, USED_QTY
from sim.types import (
    BID,
    FOK,
    GTC,
    PX_ONE,
    REJECT_CASH,
    REJECT_EXPIRY,
    REJECT_FOK_UNFILLED,
    REJECT_GROUP,
    REJECT_NONE,
    REJECT_NOTHING_TO_REDUCE,
    REJECT_NOTIONAL,
    REJECT_OFF_GRID,
    REJECT_ORDER_TYPE,
    REJECT_POST_ONLY_CROSS,
    REJECT_SELF_TRADE,
    REJECT_SIZE,
)
from sim.venues.amend import CANCEL_INCOMING
from sim.venues.fees import MAX_QTY, fee_bound


@inner
def available(desk, side, level, now):
    """Lots of a level we can still take.

    In a recording what we took stays taken for a while, ``max(0, shown - floor(used x max(0, 1 - age / life)))``: two
    orders in a row cannot take the same contracts twice. The synthetic book forgets nothing: its flow refills it.
    """
    shown = desk.book[side, level]
    if desk.market["tape"] < 0 or shown == 0:
        return shown
    used = desk.book[USED_QTY + side, level]
    if used == 0:
        return shown
    life = desk.row["used_life_ns"]
    age = now - desk.book[USED_NS + side, level]
    if age >= life:
        return shown
    # times before divided by: a result that is a whole number comes out as one
    return max(0, shown - int(math.floor(used * float(life - age) / life)))


@inner
def _consume(desk, side, level, qty, now):
    """Take ``qty`` lots off a level."""
    shown = desk.book[side, level]
    if desk.market["tape"] < 0:
        fade_until(desk.market, desk.px_of, now)
        set_level(desk.market, desk.book, desk.px_of, side, level, shown - qty)
        return
    still_used = shown - available(desk, side, level, now)
    desk.book[USED_QTY + side, level] = still_used + qty
    desk.book[USED_NS + side, level] = now


@inner
def _within(desk, taker_side, level, limit):
    px = desk.px_of[level]
    return px <= limit if taker_side == BID else px >= limit


@inner
def _depth(desk, message, qty, now):
    """Lots that an order can take within its limit and its budget, counted up to ``qty``."""
    levels = desk.book.shape[1]
    taker_side = message["side"]
    side = opposite(taker_side)
    level = desk.market["best_ask"] if taker_side == BID else desk.market["best_bid"]
    step = 1 if taker_side == BID else -1
    budget = message["budget_uusd"]
    found = 0
    while 0 <= level < levels and found < qty and _within(desk, taker_side, level, message["px"]):
        if desk.market["low"] > level or level > desk.market["high"]:
            break
        size = min(qty - found, available(desk, side, level, now))
        if message["budget_uusd"] > 0:
            price = leg_price(message["leg"], desk.px_of[level])
            size = min(size, budget // price)
            budget -= size * price
        found += size
        level += step
    return found


@inner
def take(desk, message, qty, met, now):
    """Walk the book level by level up to the limit. Returns (lots left, rounding carried by the order).

    ``met``: own resting order at which the walk ends, behind what stands ahead of it; -1 = none.

    The order was accepted because free cash covers the most it can cost, so no fill has to ask for cash again.
    """
    side = message["side"]
    leg = message["leg"]
    levels = desk.book.shape[1]
    resting_side = opposite(side)
    level = desk.market["best_ask"] if side == BID else desk.market["best_bid"]
    step = 1 if side == BID else -1
    budget = message["budget_uusd"]
    mid2 = desk.market["mid2_px"]
    overshoot = 0
    limit = message["px"] if met < 0 else desk.market["orders"][met]["px"]
    while qty > 0 and 0 <= level < levels and _within(desk, side, level, limit):
        if desk.market["low"] > level or level > desk.market["high"]:
            break
        px = desk.px_of[level]
        size = min(qty, available(desk, resting_side, level, now))
        if met >= 0 and px == limit:
            size = min(size, desk.market["orders"][met]["ahead_qty"])
        if message["budget_uusd"] > 0:
            size = min(size, budget // leg_price(leg, px))
        if size > 0:
            _consume(desk, resting_side, level, size, now)
            _, overshoot = execute(
                desk, message["id"], side, leg, message["reduce"], px, size, 0,
                overshoot, mid2, message["sent_mid2_px"], now,
            )  # fmt: skip
            count_fill(desk, size, now)
            qty -= size
            budget -= leg_price(leg, px) * size
        elif message["budget_uusd"] > 0 and budget < leg_price(leg, px):
            return 0, overshoot  # the cash meant for this order is spent
        level += step
    if met >= 0 and message["budget_uusd"] > 0 and budget < leg_price(leg, limit):
        return 0, overshoot
    return qty, overshoot


@inner
def _crosses(desk, side, px):
    """Whether an order would trade at once against what others show."""
    if side == BID:
        best = desk.market["best_ask"]
        return best < desk.book.shape[1] and desk.px_of[best] <= px
    best = desk.market["best_bid"]
    return best >= 0 and desk.px_of[best] >= px


@inner
def _drop_self_crossed(desk, side, px):
    """Own resting orders that the new one would meet are cancelled, and the new one goes on."""
    for index in range(ORDER_SLOTS):
        order = desk.market["orders"][index]
        if order["id"] == 0 or order["side"] == side:
            continue
        if order["px"] <= px if side == BID else order["px"] >= px:
            drop_order(desk, index)


@inner
def _worst_cost(desk, message, qty):
    """Most that an order which locks cash can cost, fee included: it trades at its limit or better."""
    price = leg_price(message["leg"], message["px"])
    reduce = message["reduce"]
    cost = needed_price(message["leg"], reduce, message["px"]) * qty
    if message["budget_uusd"] > 0 and reduce == 0:
        cost = min(cost, message["budget_uusd"])
    fee = desk.market["fee"]
    if message["tif"] == GTC:
        cost += fee_bound(desk.fees, fee, price, price, qty, True)
    if _crosses(desk, message["side"], message["px"]):
        low, high = (price, PX_ONE) if reduce == 1 else (0, price)
        cost += fee_bound(desk.fees, fee, low, high, qty, False)
    return cost


@inner
def _notional(message, qty):
    """What an order is worth at its limit, or what it may spend."""
    worth = leg_price(message["leg"], message["px"]) * qty
    return min(worth, message["budget_uusd"]) if message["budget_uusd"] > 0 else worth


@inner
def _unwelcome(desk, message, now):
    """Why the venue refuses an order whatever its price and size; 0 when it does not."""
    reason = shut(desk.market["status"])
    if reason != REJECT_NONE:
        return reason
    if message["tif"] != GTC and (message["post_only"] == 1 or message["expiry_ns"] != 0):
        return REJECT_ORDER_TYPE
    if desk.market["group"]["triggered"] == 1:
        return REJECT_GROUP
    return REJECT_EXPIRY if too_soon(desk, message["expiry_ns"], now) else REJECT_NONE


@inner
def _refusal(desk, tick_ok, message, qty, now):
    """Why the venue refuses an order of ``qty`` lots; 0 when it does not."""
    px = message["px"]
    reason = _unwelcome(desk, message, now)
    if reason != REJECT_NONE:
        return reason
    if px <= 0 or px >= PX_ONE or not tick_ok[desk.market["tick_grid"], px]:
        return REJECT_OFF_GRID
    if message["reduce"] == 1 and qty == 0:
        return REJECT_NOTHING_TO_REDUCE
    if qty < desk.pool["min_qty"] or qty > MAX_QTY:
        return REJECT_SIZE
    if _crosses(desk, message["side"], px):
        if message["reduce"] == 0 and _notional(message, qty) < desk.pool["min_take_uusd"]:
            return REJECT_NOTIONAL
        if message["post_only"] == 1:
            return REJECT_POST_ONLY_CROSS
    if locks_cash(desk, message["reduce"]) and _worst_cost(desk, message, qty) > free_cash(desk):
        return REJECT_CASH
    return REJECT_NONE


@inner
def _first_met(desk, side, px):
    """Own resting order that an order of ours at ``px`` meets first: best price, then the oldest. -1 when none."""
    best = -1
    for index in range(ORDER_SLOTS):
        order = desk.market["orders"][index]
        if order["id"] == 0 or order["side"] == side:
            continue
        if order["px"] > px if side == BID else order["px"] < px:
            continue
        if best >= 0:
            other = desk.market["orders"][best]
            better = order["px"] < other["px"] if side == BID else order["px"] > other["px"]
            if not better and not (order["px"] == other["px"] and order["id"] < other["id"]):
                continue
        best = index
    return best


@inner
def _hold_back(desk, message, now):
    """The venue lets an order that would trade at once wait. Until it is over, its cancel is refused."""
    message["held"] = 1
    message["due_ns"] = now + desk.row["taker_delay_ns"]
    refresh_due(desk.market)


@inner
def _match(desk, message, qty, now):
    """An order that the venue takes: what meets ours gives way, the rest takes, rests or is cancelled."""
    met = -1
    if desk.row["self_trade"] == CANCEL_INCOMING:
        met = _first_met(desk, message["side"], message["px"])
    else:
        _drop_self_crossed(desk, message["side"], message["px"])
    left, overshoot = take(desk, message, qty, met, now)
    if left > 0 and met >= 0:
        reject(desk, REJECT_SELF_TRADE)
        left = 0
    if desk.market["group"]["triggered"] == 1:
        stop_triggered(desk)
    elif left > 0 and message["tif"] == GTC:
        rest(desk, message, left, overshoot, now)


@inner
def accept_order(desk, tick_ok, message, now):
    """An order of ours reaches the venue. ``tick_ok``: (G, 10001) bool, the tick tables.

    Returns whether the message is done with: one that the venue holds back comes again.
    """
    qty = message["qty"]
    if message["reduce"] == 1:
        qty = min(qty, held_free(desk, message["leg"]))
    reason = _refusal(desk, tick_ok, message, qty, now)
    if reason == REJECT_NONE and message["held"] == 0 and desk.row["taker_delay_ns"] > 0:
        if _crosses(desk, message["side"], message["px"]):
            _hold_back(desk, message, now)
            return False
    if reason == REJECT_NONE and message["tif"] == FOK and _first_met(desk, message["side"], message["px"]) < 0:
        if _depth(desk, message, qty, now) < qty:
            reason = REJECT_FOK_UNFILLED
    if reason != REJECT_NONE:
        reject(desk, reason)
    else:
        _match(desk, message, qty, now)
    return True
