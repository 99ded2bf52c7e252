"""How the venue treats our messages: depth walk, time in force, price limit, self-cross, reservation."""

from __future__ import annotations

import math

from sim.account import (
    drop_order,
    execute,
    free_cash,
    held_free,
    leg_price,
    opposite,
    reserve,
    tradable,
)
from sim.book import set_level
from sim.kernel import inner
from sim.latency import reject
from sim.queue import join_queue
from sim.state import MESSAGE_SLOTS, ORDER_SLOTS, USED_NS, USED_QTY
from sim.types import (
    BID,
    FOK,
    GTC,
    PX_ONE,
    REJECT_CASH,
    REJECT_FOK_UNFILLED,
    REJECT_MARKET_CLOSED,
    REJECT_NO_SLOT,
    REJECT_NONE,
    REJECT_NOTHING_TO_REDUCE,
    REJECT_OFF_GRID,
    REJECT_POST_ONLY_CROSS,
    REJECT_SIZE,
)
from sim.venues.fees import fee_bound


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
def take(desk, message, qty, now):
    """Walk the book level by level up to the limit. Returns (lots left, rounding carried by the order).

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
    while qty > 0 and 0 <= level < levels and _within(desk, side, level, message["px"]):
        if desk.market["low"] > level or level > desk.market["high"]:
            break
        px = desk.px_of[level]
        size = min(qty, available(desk, resting_side, level, now))
        if message["budget_uusd"] > 0:
            size = min(size, budget // leg_price(leg, px))
        if size > 0:
            _consume(desk, resting_side, level, size, now)
            _, overshoot = execute(
                desk, message["id"], side, leg, message["reduce"], px, size, 0,
                overshoot, mid2, message["sent_mid2_px"], now,
            )  # fmt: skip
            qty -= size
            budget -= leg_price(leg, px) * size
        elif message["budget_uusd"] > 0 and budget < leg_price(leg, px):
            return 0, overshoot  # the cash meant for this order is spent
        level += step
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
    """Most that an opening order can cost, fee included: it pays no more than its limit."""
    leg = message["leg"]
    price = leg_price(leg, message["px"])
    cost = price * qty
    if message["budget_uusd"] > 0:
        cost = min(cost, message["budget_uusd"])
    fee = desk.market["fee"]
    if message["tif"] == GTC:
        cost += fee_bound(desk.fees, fee, price, price, qty, True)
    if _crosses(desk, message["side"], message["px"]):
        cost += fee_bound(desk.fees, fee, 0, price, qty, False)
    return cost


@inner
def _refusal(desk, tick_ok, message, qty):
    """Why the venue refuses an order of ``qty`` lots; 0 when it does not."""
    px = message["px"]
    if not tradable(desk):
        return REJECT_MARKET_CLOSED
    if px <= 0 or px >= PX_ONE or not tick_ok[desk.market["tick_grid"], px]:
        return REJECT_OFF_GRID
    if message["reduce"] == 1 and qty == 0:
        return REJECT_NOTHING_TO_REDUCE
    if qty < desk.pool["min_qty"]:
        return REJECT_SIZE
    if message["post_only"] == 1 and _crosses(desk, message["side"], px):
        return REJECT_POST_ONLY_CROSS
    if message["reduce"] == 0 and _worst_cost(desk, message, qty) > free_cash(desk):
        return REJECT_CASH
    return REJECT_NONE


@inner
def _rest(desk, message, qty, overshoot, now):
    """The remainder becomes a resting order behind the size shown at its level."""
    for index in range(ORDER_SLOTS):
        if desk.market["orders"][index]["id"] != 0:
            continue
        order = desk.market["orders"][index]
        desk.market["live_orders"] += 1
        order["id"] = message["id"]
        order["qty"] = qty
        order["filled_qty"] = 0
        order["reserved_uusd"] = 0
        order["overshoot_uusd"] = overshoot
        order["sent_mid2_px"] = message["sent_mid2_px"]
        order["px"] = message["px"]
        order["level"] = desk.level_of[message["px"]]
        order["side"] = message["side"]
        order["leg"] = message["leg"]
        order["reduce"] = message["reduce"]
        order["leaving"] = message["leaving"]
        price = leg_price(message["leg"], message["px"])
        bound = fee_bound(desk.fees, desk.market["fee"], price, price, qty, True)
        reserve(desk, index, price * qty + bound)
        join_queue(desk, index, now)
        return
    reject(desk, REJECT_NO_SLOT)


@inner
def change_fees(desk, fee):
    """Schedule ``fee`` holds from now on: where makers pay another rate, reserve anew, the oldest order first.

    An order that the free cash no longer covers is cancelled.
    """
    same = desk.fees[fee]["maker_ppm"] == desk.fees[desk.market["fee"]]["maker_ppm"]
    desk.market["fee"] = fee
    if same:
        return
    done = 0
    for _ in range(ORDER_SLOTS):
        oldest = -1
        for index in range(ORDER_SLOTS):
            order = desk.market["orders"][index]
            if order["id"] > done and order["reduce"] == 0:
                if oldest < 0 or order["id"] < desk.market["orders"][oldest]["id"]:
                    oldest = index
        if oldest < 0:
            return
        done = desk.market["orders"][oldest]["id"]
        _reserve_anew(desk, oldest)


@inner
def _reserve_anew(desk, index):
    order = desk.market["orders"][index]
    price = leg_price(order["leg"], order["px"])
    needed = price * order["qty"] + fee_bound(desk.fees, desk.market["fee"], price, price, order["qty"], True)
    more = needed - order["reserved_uusd"]
    if more > free_cash(desk):
        drop_order(desk, index)
        return
    desk.market["orders"][index]["reserved_uusd"] = needed
    desk.pool["reserved_uusd"] += more


@inner
def accept_order(desk, tick_ok, message, now):
    """An order of ours reaches the venue. ``tick_ok``: (G, 10001) bool, the tick tables."""
    side = message["side"]
    qty = message["qty"]
    if message["reduce"] == 1:
        qty = min(qty, held_free(desk, message["leg"]))
    reason = _refusal(desk, tick_ok, message, qty)
    if reason == REJECT_NONE and message["tif"] == FOK:
        if _depth(desk, message, qty, now) < qty:
            reason = REJECT_FOK_UNFILLED
    if reason != REJECT_NONE:
        reject(desk, reason)
        return
    _drop_self_crossed(desk, side, message["px"])
    left, overshoot = take(desk, message, qty, now)
    if left > 0 and message["tif"] == GTC:
        _rest(desk, message, left, overshoot, now)


@inner
def accept_cancel(desk, message):
    """A cancel of ours reaches the venue. An order that is gone needs none; one it overtook will need another."""
    for index in range(ORDER_SLOTS):
        if desk.market["orders"][index]["id"] == message["id"]:
            drop_order(desk, index)
    for index in range(MESSAGE_SLOTS):
        if desk.market["messages"][index]["id"] == message["id"]:
            desk.market["messages"][index]["leaving"] = 0
