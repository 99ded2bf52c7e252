"""The arbitrageur: buys the package that gains most, all legs in one step, and sells what was left alone.

An arbitrage is a deed, not a fact: each leg is an order of its own, which may come too late. After ``patience_s`` the
legs are counted by what the positions say; lots of a leg that have no counterpart in every other leg are orphans, and
are sold at the touch, again and again until none is left. Then the next package is looked for.

Left out: depth beyond the touch, resting legs, and several packages at a time. A leg whose market no longer takes
orders ends the attempt: its orphans are held to settlement.
"""

from __future__ import annotations

from sim.backtest import strategy
from sim.kernel import kernel
from sim.strategies import Parameter
from sim.strategies.legs import buying, give_leg, net_held, selling, take_leg
from sim.types import LOTS_PER_CONTRACT, PX_ONE, SECOND_NS
from sim.venues.fees import exact_fee

# a venue sets aside more than the fee will be: a cent for rounding, or 1.75 cents of fee at most, a contract and leg
CUSHION_PX = 200

# what it keeps: in the row of market 0 the attempt, in each market's what was held there before
_PACKAGE, _SENT_NS = 0, 1
_BASE = 7


@kernel
def offer(seen, links, package, most_qty):
    """Lots of a package to buy now, at most ``most_qty``, and what they gain at least, micro-dollars, fees paid.

    ``seen`` (M,) SIGHT. (0, 0) where a leg has no quote, where it costs its floor or more, or where the smallest purse
    among its venues cannot pay for it all.
    """
    first = links.packages[package]["first"]
    floor = links.packages[package]["floor_px"]
    price, qty, purse = 0, most_qty, 9_223_372_036_854_775_807
    count = links.packages[package]["count"]
    for index in range(first, first + count):
        there = seen[links.legs[index]["market"]]
        px, shown = buying(there, links.legs[index]["leg"])
        if shown == 0:
            return 0, 0
        price += px
        qty = min(qty, shown)
        purse = min(purse, there["free_uusd"])
    qty = min(qty, max(0, purse) // (price + count * CUSHION_PX))
    if qty <= 0 or price >= floor:
        return 0, 0
    edge = (floor - price) * qty
    for index in range(first, first + count):
        there = seen[links.legs[index]["market"]]
        px, _ = buying(there, links.legs[index]["leg"])
        edge -= exact_fee(px, qty, there["taker_ppm"])
    return qty, edge


@kernel
def best_offer(seen, links, most_qty, least_qty, margin_px):
    """The package that gains most, if it gains more than ``margin_px`` (1e-4 dollar) a contract, and its lots.

    (-1, 0) where none does with ``least_qty`` lots or more.
    """
    best, best_qty, best_edge = -1, 0, 0
    for package in range(len(links.packages)):
        qty, edge = offer(seen, links, package, most_qty)
        if qty >= least_qty and edge > margin_px * qty and edge > best_edge:
            best, best_qty, best_edge = package, qty, edge
    return best, best_qty


@kernel
def whole_qty(seen, links, package, memory):
    """Lots that every leg of the package got since the attempt began; -1 where a leg's market takes no orders."""
    first = links.packages[package]["first"]
    whole = 9_223_372_036_854_775_807
    for index in range(first, first + links.packages[package]["count"]):
        market, leg = links.legs[index]["market"], links.legs[index]["leg"]
        if seen[market]["open"] == 0:
            return -1
        whole = min(whole, max(0, net_held(seen[market], leg) - int(memory[market, _BASE])))
    return whole


@kernel
def unwind(seen, links, package, memory, dust_qty, orders):
    """Sell what the legs of the package got beyond the smallest of them. Returns whether there was anything to sell.

    Orphans of less than ``dust_qty`` lots stay. A leg without a quote is asked again later.
    """
    whole = whole_qty(seen, links, package, memory)
    first = links.packages[package]["first"]
    orphans = False
    if whole < 0:
        return orphans
    for index in range(first, first + links.packages[package]["count"]):
        market, leg = links.legs[index]["market"], links.legs[index]["leg"]
        extra = net_held(seen[market], leg) - int(memory[market, _BASE]) - whole
        if extra <= 0 or extra < dust_qty:
            continue
        orphans = True
        _, shown = selling(seen[market], leg)
        if shown > 0:
            give_leg(seen[market], orders[market], leg, extra)
    return orphans


@kernel
def begin(seen, links, package, qty, memory, orders):
    """Order ``qty`` lots of every leg of a package and remember what was held before."""
    first = links.packages[package]["first"]
    for index in range(first, first + links.packages[package]["count"]):
        market, leg = links.legs[index]["market"], links.legs[index]["leg"]
        memory[market, _BASE] = net_held(seen[market], leg)
        take_leg(seen[market], orders[market], leg, qty)
    memory[0, _PACKAGE] = package + 1
    memory[0, _SENT_NS] = seen[0]["now_ns"]


@strategy(
    "buys packages of linked markets below their floor and unwinds orphaned legs",
    Parameter("size", 100.0, 0.01, 100_000.0, "contracts of a package at a time, at most"),
    Parameter("least", 5.0, 0.01, 100_000.0, "contracts below which it is not worth it; smaller orphans stay"),
    Parameter("margin", 0.005, 0.0, 1.0, "dollars a contract it wants beyond the fees"),
    Parameter("patience_s", 1.0, 0.0, 600.0, "seconds after which what was left alone is sold"),
)
def arbitrageur(screen, orders):
    """One attempt at a time: order, wait, unwind, and look again."""
    seen, links, memory, params = screen.seen, screen.links, screen.memory, screen.params
    least = int(params[1] * LOTS_PER_CONTRACT)
    package = int(memory[0, _PACKAGE]) - 1
    if package >= 0:
        if seen[0]["now_ns"] - memory[0, _SENT_NS] < params[3] * SECOND_NS:
            return
        if unwind(seen, links, package, memory, least, orders):
            memory[0, _SENT_NS] = seen[0]["now_ns"]
            return
        memory[0, _PACKAGE] = 0.0
    package, qty = best_offer(seen, links, int(params[0] * LOTS_PER_CONTRACT), least, params[2] * PX_ONE)
    if package >= 0:
        begin(seen, links, package, qty, memory, orders)
