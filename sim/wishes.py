"""From what is wanted to messages: keep, shrink, cancel, place."""

from __future__ import annotations

from sim.kernel import inner
from sim.latency import last_amend, send_amend, send_cancel, send_order, send_reset, waits_to_rest
from sim.state import MESSAGE_SLOTS, ORDER_SLOTS
from sim.types import DO_CANCEL, DO_RESET_GROUP, GTC
from sim.venues.orders import whole_expiry

# What becomes of a resting order of ours, seen a wish.
_GO = 0
_STAY = 1
_SHRINK = 2


@inner
def _fate(desk, order, intent):
    """Whether a resting order is what is wanted. Where an amend is on its way it counts as done."""
    if intent["do"] == DO_CANCEL or intent["tif"] != GTC:
        return _GO
    if order["px"] != intent["px"] or order["leg"] != intent["leg"]:
        return _GO
    qty = order["qty"]
    expiry = order["expiry_ns"]
    amend = last_amend(desk.market, order["id"])
    if amend >= 0:
        qty = min(qty, desk.market["messages"][amend]["qty"] - order["filled_qty"])
        expiry = whole_expiry(desk.pool["early_ns"], desk.market["messages"][amend]["expiry_ns"])
    wanted = whole_expiry(desk.pool["early_ns"], intent["expiry_ns"])
    if qty == intent["qty"] and expiry == wanted:
        return _STAY
    return _SHRINK if desk.pool["amends"] == 1 and 0 < intent["qty"] <= qty else _GO


@inner
def _clear_resting(desk, side, intent):
    """Cancel or shrink what rests on a side. Returns whether the wanted order is among it: that one is kept."""
    kept = False
    for index in range(ORDER_SLOTS):
        order = desk.market["orders"][index]
        if order["id"] == 0 or order["side"] != side or order["leaving"] == 1:
            continue
        fate = _GO if kept else _fate(desk, order, intent)
        if fate == _SHRINK:
            send_amend(desk, order, intent)
        if fate != _GO:
            kept = True
        elif send_cancel(desk, order["id"]):
            order["leaving"] = 1
    return kept


@inner
def _on_its_way(message, intent):
    """Whether an order under way is the wanted one."""
    same = message["px"] == intent["px"] and message["qty"] == intent["qty"] and message["leg"] == intent["leg"]
    same = same and message["post_only"] == intent["post_only"] and message["expiry_ns"] == intent["expiry_ns"]
    return same and intent["budget_uusd"] == 0 and intent["do"] != DO_CANCEL and intent["tif"] == GTC


@inner
def _clear_wire(desk, side, intent, kept):
    """The same for what is under way."""
    for index in range(MESSAGE_SLOTS):
        message = desk.market["messages"][index]
        if not waits_to_rest(message, side):
            continue
        if not kept and _on_its_way(message, intent):
            kept = True
        elif send_cancel(desk, message["id"]):
            message["leaving"] = 1
    return kept


@inner
def want(desk, side, intent):
    """Bring one side of our book to the wanted state, which is not DO_NOTHING: place, replace, shrink, keep, cancel."""
    if intent["do"] == DO_RESET_GROUP:
        send_reset(desk)
        return
    kept = _clear_resting(desk, side, intent)
    kept = _clear_wire(desk, side, intent, kept)
    if intent["do"] != DO_CANCEL and not kept:
        send_order(desk, side, intent)


@inner
def standing(market, early_ns, amends, side, intent):
    """Lots, up to those of ``intent``, for which its order is there already and :func:`want` sends no new one.

    0 where there are none. Also whether that takes an amend: the order that is there is larger. ``early_ns`` and
    ``amends`` are the pool's.
    """
    best, smaller = 0, False
    if intent["tif"] != GTC or intent["budget_uusd"] != 0:
        return best, smaller
    expiry = whole_expiry(early_ns, intent["expiry_ns"])
    for index in range(ORDER_SLOTS):
        order = market["orders"][index]
        if order["id"] == 0 or order["side"] != side or order["leaving"] == 1 or order["px"] != intent["px"]:
            continue
        if order["leg"] != intent["leg"] or order["expiry_ns"] != expiry or last_amend(market, order["id"]) >= 0:
            continue
        if order["qty"] <= intent["qty"]:
            best = max(best, order["qty"])
        elif amends == 1:
            best, smaller = intent["qty"], True
    for index in range(MESSAGE_SLOTS):
        message = market["messages"][index]
        if waits_to_rest(message, side) and message["px"] == intent["px"] and message["leg"] == intent["leg"]:
            same = message["post_only"] == intent["post_only"] and message["expiry_ns"] == intent["expiry_ns"]
            if same and message["qty"] <= intent["qty"]:
                best = max(best, message["qty"])
    return best, smaller and best == intent["qty"]
