"""Legs of packages as a compiled strategy sees them: what they cost now, what they bring, what is held of them.

``seen`` is a SIGHT record of the leg's market; see sim.links for packages and sim.sight for SIGHT. A leg is bought by
lifting the ask (YES) or hitting the bid (NO), and sold the other way round; nothing here rests.
"""

from __future__ import annotations

from sim.kernel import kernel
from sim.strategies.ordering import fill_in
from sim.types import ASK, BID, IOC, NO, PX_ONE, YES


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
    fill_in(order, seen["ask_px"] if leg == YES else seen["bid_px"], qty, leg, IOC, 0)


@kernel
def give_leg(seen, orders, leg, qty):
    """Write into ``orders`` (2,) INTENT: be rid of ``qty`` lots of a leg at the touch.

    What is held is sold; where the venue has netted it away, the other leg is bought.
    """
    held = seen["yes_qty"] if leg == YES else seen["no_qty"]
    order = orders[ASK if leg == YES else BID]
    other = NO if leg == YES else YES
    fill_in(order, seen["bid_px"] if leg == YES else seen["ask_px"], qty, leg if held >= qty else other, IOC, 0)
