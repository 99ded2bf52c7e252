"""Legs of packages as a compiled strategy sees them: what they cost now, what they bring, what is held of them.

``seen`` is a SIGHT record of the leg's market; see sim.links for packages and sim.sight for SIGHT. A leg is bought by
lifting the ask (YES) or hitting the bid (NO), and sold the other way round; nothing here rests.
"""

from __future__ import annotations

from sim.kernel import kernel
from sim.types import ASK, BID, DO_PLACE, IOC, NO, PX_ONE, YES

_UNIT = 10**10  # lots x 1e-4 x 1e-4 x 1e-6 in micro-dollars, as in sim.venues.fees


@kernel
def taker_fee(rate_ppm, px, qty):
    """Micro-dollars of rate x contracts x p (1 - p), rounded up; a venue's coarser rounding is left out."""
    amount = qty * px * (PX_ONE - px)
    return amount // _UNIT * rate_ppm + (amount % _UNIT * rate_ppm + (_UNIT - 1)) // _UNIT


@kernel
def buying(seen, leg):
    """Price in 1e-4 dollar at which a leg can be bought now, and the lots shown; (0, 0) where it cannot."""
    if seen["open"] == 0:
        return 0, 0
    if leg == YES:
        return (seen["ask_px"], seen["ask_qty"]) if seen["ask_qty"] > 0 else (0, 0)
    return (PX_ONE - seen["bid_px"], seen["bid_qty"]) if seen["bid_qty"] > 0 else (0, 0)


@kernel
def selling(seen, leg):
    """Price at which a leg can be sold now, $1 less the other leg's, and the lots shown; (0, 0) where it cannot."""
    px, shown = buying(seen, NO if leg == YES else YES)
    return (PX_ONE - px, shown) if shown > 0 else (0, 0)


@kernel
def net_held(seen, leg):
    """Lots of a leg held, less those of the other one."""
    net = seen["yes_qty"] - seen["no_qty"]
    return net if leg == YES else -net


@kernel
def take_leg(seen, orders, leg, qty):
    """Write into ``orders`` (2,) INTENT: buy ``qty`` lots of a leg at the touch, the rest is cancelled."""
    order = orders[BID if leg == YES else ASK]
    _fill_in(order, seen["ask_px"] if leg == YES else seen["bid_px"], qty, leg)


@kernel
def give_leg(seen, orders, leg, qty):
    """Write into ``orders`` (2,) INTENT: be rid of ``qty`` lots of a leg at the touch.

    What is held is sold; where the venue has netted it away, the other leg is bought.
    """
    held = seen["yes_qty"] if leg == YES else seen["no_qty"]
    order = orders[ASK if leg == YES else BID]
    other = NO if leg == YES else YES
    _fill_in(order, seen["bid_px"] if leg == YES else seen["ask_px"], qty, leg if held >= qty else other)


@kernel
def _fill_in(order, px, qty, leg):
    order["do"] = DO_PLACE
    order["px"] = px
    order["qty"] = qty
    order["leg"] = leg
    order["tif"] = IOC
    order["post_only"] = 0
    order["budget_uusd"] = 0
