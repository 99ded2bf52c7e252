"""Orders at rest: how they come to rest, shrink, expire, and what the venue's own events do to them."""

from __future__ import annotations

from sim.account import (
    cut_promise,
    drop_order,
    drop_orders,
    free_cash,
    leg_price,
    locks_cash,
    needed_price,
    reserve,
)
from sim.kernel import inner
from sim.latency import keep_order, next_expiry, refresh_due, reject
from sim.queue import join_queue
from sim.state import MESSAGE_SLOTS, NEW, ORDER_SLOTS
from sim.types import (
    HALTED,
    OPEN,
    PAUSED,
    REJECT_EXPIRY,
    REJECT_GONE,
    REJECT_HALTED,
    REJECT_IN_DELAY,
    REJECT_MARKET_CLOSED,
    REJECT_NO_SLOT,
    REJECT_NONE,
    REJECT_PAUSED,
)
from sim.venues.fees import fee_bound
from sim.venues.orders import whole_expiry

KEEP_NONE = 0  # what a pause does to resting orders: all go
KEEP_ALL = 1  # all stay
KEEP_UNTIL_OPEN = 2  # all stay, and go when the market comes back


@inner
def shut(status):
    """Why a market takes no orders and amends; 0 where it does."""
    if status == OPEN:
        return REJECT_NONE
    if status == PAUSED:
        return REJECT_PAUSED
    return REJECT_HALTED if status == HALTED else REJECT_MARKET_CLOSED


@inner
def too_soon(desk, expiry, now):
    """Whether an expiry lies in the past, or nearer than the venue allows. 0 = no expiry."""
    if expiry == 0:
        return False
    return expiry - now < desk.pool["lead_ns"] or whole_expiry(desk.pool["early_ns"], expiry) <= now


@inner
def _to_lock(desk, leg, reduce, px, qty):
    """Cash that ``qty`` lots of a resting order lock, where it locks cash."""
    price = leg_price(leg, px)
    bound = fee_bound(desk.fees, desk.market["fee"], price, price, qty, True)
    return needed_price(leg, reduce, px) * qty + bound


@inner
def rest(desk, message, qty, overshoot, now):
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
        order["expiry_ns"] = whole_expiry(desk.pool["early_ns"], message["expiry_ns"])
        if order["expiry_ns"] > 0:
            desk.market["due_ns"] = min(desk.market["due_ns"], order["expiry_ns"])
        reserve(desk, index, _to_lock(desk, message["leg"], message["reduce"], message["px"], qty))
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
            if order["id"] > done and locks_cash(desk, order["reduce"]):
                if oldest < 0 or order["id"] < desk.market["orders"][oldest]["id"]:
                    oldest = index
        if oldest < 0:
            return
        done = desk.market["orders"][oldest]["id"]
        _reserve_anew(desk, oldest)


@inner
def _reserve_anew(desk, index):
    order = desk.market["orders"][index]
    needed = _to_lock(desk, order["leg"], order["reduce"], order["px"], order["qty"])
    more = needed - order["reserved_uusd"]
    if more > free_cash(desk):
        drop_order(desk, index)
        return
    desk.market["orders"][index]["reserved_uusd"] = needed
    desk.pool["reserved_uusd"] += more


@inner
def expire(desk, now):
    """End the order whose time is up. Returns whether there was one."""
    index = next_expiry(desk.market)
    if index < 0 or desk.market["orders"][index]["expiry_ns"] > now:
        return False
    drop_order(desk, index)
    return True


@inner
def change_status(desk, status):
    """The market opens, pauses, halts or closes. Whether orders outlive a pause is the row's ``pause_keeps``."""
    before = desk.market["status"]
    keeps = desk.row["pause_keeps"]
    desk.market["status"] = status
    if status == OPEN:
        if keeps == KEEP_UNTIL_OPEN and before != OPEN:
            drop_orders(desk)
    elif keeps == KEEP_NONE or shut(status) == REJECT_MARKET_CLOSED:
        drop_orders(desk)


@inner
def accept_cancel(desk, message):
    """A cancel of ours reaches the venue. An order that is gone needs none; one it overtook will need another."""
    order_id = message["id"]
    if desk.market["status"] == HALTED:
        reject(desk, REJECT_HALTED)
        keep_order(desk.market, order_id)
        return
    for index in range(ORDER_SLOTS):
        if desk.market["orders"][index]["id"] == order_id:
            drop_order(desk, index)
    for index in range(MESSAGE_SLOTS):
        other = desk.market["messages"][index]
        if other["kind"] == NEW and other["id"] == order_id and other["due_ns"] != 0 and other["held"] == 1:
            reject(desk, REJECT_IN_DELAY)
    keep_order(desk.market, order_id)


@inner
def accept_amend(desk, message, now):
    """An amend of ours reaches the venue: less size or another expiry, and the order keeps its place."""
    reason = shut(desk.market["status"])
    if reason == REJECT_NONE and too_soon(desk, message["expiry_ns"], now):
        reason = REJECT_EXPIRY
    if reason != REJECT_NONE:
        reject(desk, reason)
        return
    for index in range(ORDER_SLOTS):
        if desk.market["orders"][index]["id"] == message["id"]:
            _amend(desk, index, message)
            return
    reject(desk, REJECT_GONE)


@inner
def _amend(desk, index, message):
    order = desk.market["orders"][index]
    order["expiry_ns"] = whole_expiry(desk.pool["early_ns"], message["expiry_ns"])
    left = message["qty"] - order["filled_qty"]
    if left <= 0:
        drop_order(desk, index)
    elif left < order["qty"]:
        cut = order["qty"] - left
        order["qty"] = left
        if order["reduce"] == 1:
            cut_promise(desk, order["leg"], cut)
        if locks_cash(desk, order["reduce"]):
            _reserve_anew(desk, index)
    refresh_due(desk.market)
