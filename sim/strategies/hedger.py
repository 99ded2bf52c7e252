"""The hedger: keeps what is held of linked markets near whole packages, by the leg that leaves the most.

A package (sim.links) of which ``most`` lots of one leg are held and only ``least`` of another is exposed by the
difference. Two ways out, compared by what they leave for certain, fees paid:

    complete: buy what the other legs lack;   leaves  floor x (most - least) - what that costs
    reduce:   sell what the legs have beyond; leaves  what that brings

Left out: exposure that no package covers, such as YES in a set that need not pay, and nested strikes further apart than
neighbours.
"""

from __future__ import annotations

from sim.backtest import strategy
from sim.kernel import kernel
from sim.strategies import Parameter
from sim.strategies.legs import buying, give_leg, net_held, selling, take_leg
from sim.types import LOTS_PER_CONTRACT, SECOND_NS
from sim.venues.fees import exact_fee

IMPOSSIBLE = -4_611_686_018_427_387_904
_SENT_NS = 1


@kernel
def exposure(seen, links, package):
    """(least, most) lots held of the legs of a package. ``seen`` (M,) SIGHT."""
    first = links.packages[package]["first"]
    least, most = 9_223_372_036_854_775_807, 0
    for index in range(first, first + links.packages[package]["count"]):
        held = max(0, net_held(seen[links.legs[index]["market"]], links.legs[index]["leg"]))
        least, most = min(least, held), max(most, held)
    return least, most


@kernel
def left_by_completing(seen, links, package, least, most):
    """Micro-dollars that buying the missing legs leaves for certain; IMPOSSIBLE where one has no quote."""
    first = links.packages[package]["first"]
    value = links.packages[package]["floor_px"] * (most - least)
    for index in range(first, first + links.packages[package]["count"]):
        there, leg = seen[links.legs[index]["market"]], links.legs[index]["leg"]
        missing = most - max(0, net_held(there, leg))
        if missing > 0:
            px, shown = buying(there, leg)
            if shown == 0:
                return IMPOSSIBLE
            value -= px * missing + exact_fee(px, missing, there["taker_ppm"])
    return value


@kernel
def left_by_reducing(seen, links, package, least):
    """Micro-dollars that selling what the legs have beyond ``least`` leaves; IMPOSSIBLE where one has no quote."""
    first = links.packages[package]["first"]
    value = 0
    for index in range(first, first + links.packages[package]["count"]):
        there, leg = seen[links.legs[index]["market"]], links.legs[index]["leg"]
        extra = max(0, net_held(there, leg)) - least
        if extra > 0:
            px, shown = selling(there, leg)
            if shown == 0:
                return IMPOSSIBLE
            value += px * extra - exact_fee(px, extra, there["taker_ppm"])
    return value


@kernel
def most_exposed(seen, links, limit_qty):
    """The package with the largest exposure above ``limit_qty`` lots; -1 = none."""
    worst, size = -1, limit_qty
    for package in range(len(links.packages)):
        least, most = exposure(seen, links, package)
        if most - least > size:
            worst, size = package, most - least
    return worst


@kernel
def hedge(seen, links, package, most_qty, orders):
    """Order the better way out for a package, at most ``most_qty`` lots a leg. Returns whether there is one."""
    least, most = exposure(seen, links, package)
    complete = left_by_completing(seen, links, package, least, most)
    reduce = left_by_reducing(seen, links, package, least)
    if complete == IMPOSSIBLE and reduce == IMPOSSIBLE:
        return False
    first = links.packages[package]["first"]
    for index in range(first, first + links.packages[package]["count"]):
        market, leg = links.legs[index]["market"], links.legs[index]["leg"]
        held = max(0, net_held(seen[market], leg))
        if complete >= reduce and held < most:
            take_leg(seen[market], orders[market], leg, min(most_qty, most - held))
        elif complete < reduce and held > least:
            give_leg(seen[market], orders[market], leg, min(most_qty, held - least))
    return True


@strategy(
    "keeps positions in linked markets near whole packages, by the cheapest leg",
    Parameter("size", 100.0, 0.01, 100_000.0, "contracts an order, at most"),
    Parameter("limit", 5.0, 0.0, 100_000.0, "contracts of exposure it lets be"),
    Parameter("patience_s", 1.0, 0.0, 600.0, "seconds between two hedges, for orders to arrive"),
)
def hedger(screen, orders):
    """Hedge the package that is most exposed, one at a time."""
    seen, memory, params = screen.seen, screen.memory, screen.params
    now = seen[0]["now_ns"]
    if memory[0, _SENT_NS] > 0 and now - memory[0, _SENT_NS] < params[2] * SECOND_NS:
        return
    package = most_exposed(seen, screen.links, int(params[1] * LOTS_PER_CONTRACT))
    if package >= 0 and hedge(seen, screen.links, package, int(params[0] * LOTS_PER_CONTRACT), orders):
        memory[0, _SENT_NS] = now
