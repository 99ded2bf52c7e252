"""Our messages in flight: an order or a cancel reaches the book a constant delay after the decision.

The delay includes the feed's: the agent sees the book as it was one feed delay ago, so with a constant delay one book
suffices, and what counts is the time from the state it saw to the state its order meets. A cancel that is slower than
an order can be crossed by a fill.
"""

from __future__ import annotations

from sim.kernel import inner
from sim.state import MESSAGE_SLOTS, ORDER_SLOTS
from sim.types import BID, DO_CANCEL, GTC, IOC, REJECT_NO_SLOT, YES

NEVER_NS = 9_223_372_036_854_775_807


@inner
def reduces(side, leg):
    """Whether an order sells what is held: YES on the ask side, NO on the bid side (in YES space)."""
    return (side == BID) != (leg == YES)


@inner
def reject(desk, reason):
    """Count a refused message and keep the last reason."""
    desk.account["n_rejects"] += 1
    desk.account["last_reject"] = reason


@inner
def _free_slot(desk):
    for index in range(MESSAGE_SLOTS):
        if desk.market["messages"][index]["due_ns"] == 0:
            return index
    return -1


@inner
def _post(desk, index, due):
    """Fill in what every message has. ``due`` may be now, but never 0, which marks a free slot."""
    account = desk.account
    desk.market["messages"][index]["due_ns"] = due
    desk.market["messages"][index]["sent"] = account["next_id"]
    account["next_id"] += 1
    account["n_messages"] += 1
    if due < desk.market["due_ns"]:
        desk.market["due_ns"] = due


@inner
def send_order(desk, side, intent):
    """Put a new order on the wire."""
    account = desk.account
    account["sent_qty"] += intent["qty"]
    index = _free_slot(desk)
    if index < 0:
        reject(desk, REJECT_NO_SLOT)
        return
    row = desk.row
    _post(desk, index, account["now_ns"] + row["order_delay_ns"])
    message = desk.market["messages"][index]
    message["id"] = message["sent"]
    message["cancel"] = 0
    message["qty"] = intent["qty"]
    message["budget_uusd"] = intent["budget_uusd"]
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
    account = desk.account
    index = _free_slot(desk)
    if index < 0:
        reject(desk, REJECT_NO_SLOT)
        return False
    row = desk.row
    _post(desk, index, account["now_ns"] + row["cancel_delay_ns"])
    message = desk.market["messages"][index]
    message["id"] = order_id
    message["cancel"] = 1
    return True


@inner
def _clear_side(desk, side, intent):
    """Cancel what rests or is under way on a side. Returns whether the wanted order is among it: that one is kept."""
    kept = False
    for index in range(ORDER_SLOTS):
        order = desk.market["orders"][index]
        if order["id"] == 0 or order["side"] != side or order["leaving"] == 1:
            continue
        same = order["px"] == intent["px"] and order["qty"] == intent["qty"]
        same = same and order["leg"] == intent["leg"]
        if same and intent["do"] != DO_CANCEL and intent["tif"] == GTC and not kept:
            kept = True
        elif send_cancel(desk, order["id"]):
            order["leaving"] = 1
    for index in range(MESSAGE_SLOTS):
        message = desk.market["messages"][index]
        on_side = message["due_ns"] != 0 and message["side"] == side
        if on_side and message["cancel"] == 0 and message["tif"] == GTC and message["leaving"] == 0:
            same = message["px"] == intent["px"] and message["qty"] == intent["qty"] and message["leg"] == intent["leg"]
            same = same and message["post_only"] == intent["post_only"] and intent["budget_uusd"] == 0
            if same and intent["do"] != DO_CANCEL and intent["tif"] == GTC and not kept:
                kept = True
            elif send_cancel(desk, message["id"]):
                message["leaving"] = 1
    return kept


@inner
def want(desk, side, intent):
    """Bring one side of our book to the wanted state, which is not DO_NOTHING: place, replace, keep or cancel."""
    kept = _clear_side(desk, side, intent)
    if intent["do"] != DO_CANCEL and not kept:
        send_order(desk, side, intent)


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
def forget_message(market, index):
    """Free a delivered message's slot and find out when the next one is due."""
    market["messages"][index]["due_ns"] = 0
    market["messages"][index]["leaving"] = 0
    upcoming = next_message(market)
    market["due_ns"] = NEVER_NS if upcoming < 0 else market["messages"][upcoming]["due_ns"]
