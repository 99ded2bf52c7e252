"""Our messages in flight: when an order, a cancel or an amend reaches the venue (docs/fills.md, Delays).

The delay includes the feed's: the agent sees the book as it was one feed delay ago, so one book suffices, and what
counts is the time from the state it saw to the state its message meets:

    delay = (own + feed + own tail + feed tail) x (1 + a log(1 + prints a second) + s max(0, spread in cents - 1))

A tail is exponential or log-normal, drawn by the message's number. A cancel that is slower than an order can be crossed
by a fill.
"""

from __future__ import annotations

import math

from sim.activity import print_rate
from sim.kernel import hot, inner
from sim.mathematics import exp, log, normal
from sim.rng import LATENCY, philox, uniform
from sim.state import AMEND, CANCEL, MESSAGE_SLOTS, NEW, ORDER_SLOTS, RESET
from sim.types import BID, GTC, IOC, PX_ONE, REJECT_NO_SLOT, SECOND_NS, YES

NEVER_NS = 9_223_372_036_854_775_807
LONGEST_DELAY_NS = 600 * SECOND_NS  # a random delay is cut here
_CENT_PX = PX_ONE // 100


@inner
def reduces(side, leg):
    """Whether an order sells what is held: YES on the ask side, NO on the bid side (in YES space)."""
    return (side == BID) != (leg == YES)


@hot
def refuse(account, reason):
    """Count a refused message or request and keep the last reason."""
    account["n_rejects"] += 1
    account["last_reject"] = reason


@inner
def reject(desk, reason):
    """As :func:`refuse`, at a desk."""
    refuse(desk.account, reason)


@inner
def _tail(word, scale, sigma):
    """A random delay: exponential with mean ``scale``, or log-normal with median ``scale``; ns."""
    if scale == 0.0:
        return 0.0
    if sigma == 0.0:
        return -log(uniform(word)) * scale
    return scale * exp(sigma * normal(uniform(word)))


@inner
def _slowed(desk, delay):
    """A delay in a busy or wide market."""
    row = desk.row
    market = desk.market
    factor = 1.0
    if row["delay_activity"] > 0.0:
        factor += row["delay_activity"] * log(1.0 + print_rate(market, desk.account["now_ns"]))
    if row["delay_spread"] > 0.0 and market["best_bid"] >= 0 and market["best_ask"] < desk.book.shape[1]:
        cents = (desk.px_of[market["best_ask"]] - desk.px_of[market["best_bid"]]) / _CENT_PX
        factor += row["delay_spread"] * max(0.0, cents - 1.0)
    return delay * factor


@inner
def _delay(desk, kind):
    """Nanoseconds until the message with the next number arrives; all but new orders are as slow as cancels."""
    row = desk.row
    account = desk.account
    base = row["order_delay_ns"] if kind == NEW else row["cancel_delay_ns"]
    scale = row["order_tail_ns"] if kind == NEW else row["cancel_tail_ns"]
    sigma = row["order_sigma"] if kind == NEW else row["cancel_sigma"]
    delay = float(base + row["feed_delay_ns"])
    if scale > 0.0 or row["feed_tail_ns"] > 0.0:
        own, feed, _, _ = philox(account["seed"], account["episode"], account["next_id"], LATENCY, account["number"], 0)
        delay += _tail(own, scale, sigma) + _tail(feed, row["feed_tail_ns"], row["feed_sigma"])
    return int(math.floor(min(_slowed(desk, delay), float(LONGEST_DELAY_NS))))


@inner
def _free_slot(desk):
    for index in range(MESSAGE_SLOTS):
        if desk.market["messages"][index]["due_ns"] == 0:
            return index
    return -1


@inner
def _post(desk, kind):
    """Put a message on the wire; what every message has is filled in. Its slot, or -1 where none is free."""
    index = _free_slot(desk)
    if index < 0:
        reject(desk, REJECT_NO_SLOT)
        return -1
    account = desk.account
    due = account["now_ns"] + _delay(desk, kind)
    if desk.row["fifo"] == 1:
        for other in range(MESSAGE_SLOTS):
            if desk.market["messages"][other]["held"] == 0:
                due = max(due, desk.market["messages"][other]["due_ns"])
    message = desk.market["messages"][index]
    message["due_ns"] = due  # it may be now, but never 0, which marks a free slot
    message["sent"] = account["next_id"]
    message["kind"] = kind
    message["held"] = 0
    account["next_id"] += 1
    account["n_messages"] += 1
    if due < desk.market["due_ns"]:
        desk.market["due_ns"] = due
    return index


@inner
def send_order(desk, side, intent):
    """Put a new order on the wire."""
    desk.account["sent_qty"] += intent["qty"]
    index = _post(desk, NEW)
    if index < 0:
        return
    message = desk.market["messages"][index]
    message["id"] = message["sent"]
    message["qty"] = intent["qty"]
    message["budget_uusd"] = intent["budget_uusd"]
    message["expiry_ns"] = intent["expiry_ns"]
    message["px"] = intent["px"]
    message["sent_mid2_px"] = desk.market["mid2_px"]
    message["side"] = side
    message["leg"] = intent["leg"]
    message["reduce"] = 1 if reduces(side, intent["leg"]) else 0
    # a budget is for taking: an order that has one never rests
    message["tif"] = IOC if intent["budget_uusd"] > 0 and intent["tif"] == GTC else intent["tif"]
    message["post_only"] = intent["post_only"]


@inner
def send_cancel(desk, order_id):
    """Put a cancel on the wire. Returns whether there was room for it."""
    index = _post(desk, CANCEL)
    if index < 0:
        return False
    desk.market["messages"][index]["id"] = order_id
    return True


@inner
def send_amend(desk, order, intent):
    """Ask for less of a resting order, or for another expiry, in place."""
    index = _post(desk, AMEND)
    if index >= 0:
        message = desk.market["messages"][index]
        message["id"] = order["id"]
        message["qty"] = order["filled_qty"] + intent["qty"]
        message["expiry_ns"] = intent["expiry_ns"]


@inner
def send_reset(desk):
    """Ask that the triggered order group takes orders again."""
    index = _post(desk, RESET)
    if index >= 0:
        desk.market["messages"][index]["id"] = 0


@inner
def last_amend(market, order_id):
    """The latest amend of an order that is on its way; -1 when there is none."""
    found = -1
    for index in range(MESSAGE_SLOTS):
        message = market["messages"][index]
        if message["due_ns"] == 0 or message["kind"] != AMEND or message["id"] != order_id:
            continue
        if found < 0 or message["sent"] > market["messages"][found]["sent"]:
            found = index
    return found


@inner
def next_message(market):
    """Index of the message that arrives first; -1 when none is in flight."""
    best = -1
    for index in range(MESSAGE_SLOTS):
        message = market["messages"][index]
        if message["due_ns"] == 0:
            continue
        if best >= 0:
            other = market["messages"][best]
            if message["due_ns"] > other["due_ns"]:
                continue
            if message["due_ns"] == other["due_ns"] and message["sent"] > other["sent"]:
                continue
        best = index
    return best


@inner
def next_expiry(market):
    """Index of the resting order that ends first by itself; -1 when none does."""
    best = -1
    for index in range(ORDER_SLOTS):
        order = market["orders"][index]
        if order["id"] == 0 or order["expiry_ns"] == 0:
            continue
        if best >= 0 and order["expiry_ns"] >= market["orders"][best]["expiry_ns"]:
            continue
        best = index
    return best


@inner
def refresh_due(market):
    """Find out anew when a message of ours arrives or an order of ours expires."""
    message = next_message(market)
    order = next_expiry(market)
    due = NEVER_NS if message < 0 else market["messages"][message]["due_ns"]
    if order >= 0:
        due = min(due, market["orders"][order]["expiry_ns"])
    market["due_ns"] = due


@inner
def forget_message(market, index):
    """Free a delivered message's slot and find out what is due next."""
    market["messages"][index]["due_ns"] = 0
    market["messages"][index]["leaving"] = 0
    market["messages"][index]["held"] = 0
    refresh_due(market)


@inner
def keep_order(market, order_id):
    """A cancel was refused: the order stays, and may be sent another."""
    for index in range(ORDER_SLOTS):
        if market["orders"][index]["id"] == order_id:
            market["orders"][index]["leaving"] = 0
    for index in range(MESSAGE_SLOTS):
        message = market["messages"][index]
        if message["due_ns"] != 0 and message["kind"] == NEW and message["id"] == order_id:
            message["leaving"] = 0


@inner
def waits_to_rest(message, side):
    """Whether a message is an order on ``side`` that may rest, with no cancel after it."""
    if message["due_ns"] == 0 or message["kind"] != NEW or message["side"] != side:
        return False
    return message["tif"] == GTC and message["leaving"] == 0
