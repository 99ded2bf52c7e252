"""Writing down what a compiled strategy wants: quotes that are kept while they fit, orders that take, cancels."""

from __future__ import annotations

from sim.kernel import inner
from sim.strategies.quoting import may_move
from sim.types import BID, DO_CANCEL, DO_PLACE, GTC, IOC, LOTS_PER_CONTRACT, NO, SECOND_NS, YES


@inner
def own_order(seen, side):
    """Price, lots and seconds of rest of our order on a side of a SIGHT; lots 0 = none, seconds 0 = on its way."""
    if side == BID:
        px, qty, since = seen["own_bid_px"], seen["own_bid_qty"], seen["own_bid_ns"]
    else:
        px, qty, since = seen["own_ask_px"], seen["own_ask_qty"], seen["own_ask_ns"]
    return px, qty, (seen["now_ns"] - since) / SECOND_NS if since > 0 else 0.0


@inner
def fill_in(order, px, qty, leg, tif, post_only):
    """Write an order without a budget into an INTENT."""
    order["do"] = DO_PLACE
    order["px"] = px
    order["qty"] = qty
    order["leg"] = leg
    order["tif"] = tif
    order["post_only"] = post_only
    order["budget_uusd"] = 0


@inner
def place(seen, order, side, px, qty, tif, post_only):
    """Want an order on a side. What is held of the other leg is sold before anything is bought."""
    held = seen["no_qty"] if side == BID else seen["yes_qty"]
    reduces = held > 0
    leg = (NO if reduces else YES) if side == BID else (YES if reduces else NO)
    fill_in(order, px, min(qty, held) if reduces else qty, leg, tif, post_only)


@inner
def quote(seen, order, side, px, qty, min_life, tolerance_px):
    """Keep a post-only order at ``px``: place it where there is none, replace it where it may move."""
    own_px, own_qty, age = own_order(seen, side)
    if own_qty == 0 or may_move(own_px, px, side, age, min_life, tolerance_px):
        place(seen, order, side, px, qty, GTC, 1)


@inner
def take(seen, order, side, px, qty):
    """Take up to ``qty`` lots at ``px`` or better; what is left does not rest."""
    place(seen, order, side, px, qty, IOC, 0)


@inner
def pull(seen, order, side):
    """Cancel what we have on a side."""
    _, own_qty, _ = own_order(seen, side)
    if own_qty > 0:
        order["do"] = DO_CANCEL


@inner
def net_contracts(seen):
    """YES less NO held, in contracts."""
    return (seen["yes_qty"] - seen["no_qty"]) / LOTS_PER_CONTRACT
