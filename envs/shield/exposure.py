"""What an account can lose, in integers: two outcomes a market, every order of ours filled or not, whichever is worse.

A market pays YES x dollars and NO 1 - x, with x in [0, 1]. What the account loses in it is linear in x and in how much
of each order fills, so the most it can lose lies at x = 0 or x = 1, with every order filled wholly or not at all:

    loss[BID] = cost held - NO held x $1 + sum over bids of (k q + F(q)) + fees of asks that may not pay for themselves
    loss[ASK] = cost held - YES held x $1 + sum over asks of (k q + F(q)) + fees of bids that may not pay for themselves
    at risk   = max(0, loss[BID], loss[ASK])

``loss[side]`` is what is lost in the outcome against that side. In YES space a bid at px, whether it buys YES or sells
NO, loses k = px a contract where NO wins, and an ask loses k = $1 - px where YES wins. ``F(q)`` bounds the fees of any
split of q lots into fills (`sim.venues.fees.fee_bound`): as taker unless the order is post-only, as maker if it can
rest. In the other outcome an order gains $1 - k a contract: where that pays for the largest fee of a single lot it
loses nothing there, else F(q). Orders count while the venue may still fill them: at rest, under way, and those whose
cancel is still under way. An order with a budget costs at most that.
"""

from __future__ import annotations

import numpy as np

from sim.kernel import inner
from sim.latency import NEVER_NS, waits_to_rest
from sim.state import MESSAGE_SLOTS, NEW, ORDER_SLOTS
from sim.types import ASK, BID, GTC, PX_ONE
from sim.venues.fees import fee_bound

LEDGER = np.dtype(
    [
        ("loss", "<i8", (2,)),  # micro-dollars lost in the outcome against each side, see above
        ("held", "<i8", (2,)),  # the same without orders
        ("buys", "<i8", (2,)),  # lots of orders on a side that open a leg
        ("sells", "<i8", (2,)),  # lots of orders on a side that sell what is held
        ("edge_px", "<i8", (2,)),  # highest bid and lowest ask among our orders; -1 and 10001 = none
        ("live", "<i8", (2,)),  # orders that a wish on that side would cancel
        ("cash_uusd", "<i8"),  # what orders under way may lock when they arrive
        ("event_uusd", "<i8"),  # at risk in all markets of the event that bears this market's number
        ("converting", "<i8"),  # 1: a conversion of the set that bears this market's number was granted
        ("merging", "<i8"),  # 1: a merge in this market was granted
    ]
)


@inner
def fees_of(fees, fee, price, qty, rests, takes):
    """F: micro-dollars of fees that ``qty`` lots at cost ``price`` or better cannot exceed."""
    total = 0
    if takes:
        total += fee_bound(fees, fee, 0, price, qty, False)
    if rests:
        total += fee_bound(fees, fee, price, price, qty, True)
    return total


@inner
def burden(fees, fee, price, qty, budget, rests, takes):
    """Micro-dollars an order adds to the loss against its side, and to the other one. ``budget`` 0 = none."""
    most = fees_of(fees, fee, price, qty, rests, takes)
    cost = price * qty
    if budget > 0:
        cost = min(cost, budget)
    return cost + most, 0 if _pays(fees, fee, price, rests, takes) else most


@inner
def _pays(fees, fee, price, rests, takes):
    """Whether what a lot gains covers the largest fees of a single lot: then no number of lots loses by its fees."""
    gain = PX_ONE - price
    # no fee of a lot, takers' and makers' together, exceeds this: mostly no need to look closer
    rates = fees[fee]["taker_ppm"] + fees[fee]["maker_ppm"]
    if 4 * fees[fee]["step_uusd"] + rates // 200 + 20 <= gain:
        return True
    return fees_of(fees, fee, price, 1, rests, takes) <= gain


@inner
def cost_price(side, px):
    """k: micro-dollars a lot loses in the outcome against its side."""
    return px if side == BID else PX_ONE - px


@inner
def enter(row, side, px, qty, reduce, more, other):
    """Enter an order that adds ``more`` and ``other`` micro-dollars into a market's LEDGER record."""
    row["loss"][side] += more
    row["loss"][1 - side] += other
    if reduce == 1:
        row["sells"][side] += qty
    else:
        row["buys"][side] += qty
    edge = row["edge_px"][side]
    row["edge_px"][side] = max(edge, px) if side == BID else min(edge, px)


@inner
def locks(market, reduce):
    """Whether an order takes cash when it rests or fills: one that buys, and a sale that may give collateral back.

    A sale of a set's returned collateral takes at most $1 less the price of its leg a lot (`sim.account`): that is k.
    """
    return reduce == 0 or market["returns"] == 1


@inner
def _add_resting(row, market, fees):
    for index in range(ORDER_SLOTS):
        order = market["orders"][index]
        if order["id"] == 0:
            continue
        side = order["side"]
        price = cost_price(side, order["px"])
        more, other = burden(fees, market["fee"], price, order["qty"], 0, True, False)
        enter(row, side, order["px"], order["qty"], order["reduce"], more, other)
        row["live"][side] += 1 - order["leaving"]


@inner
def _add_under_way(row, market, fees):
    for index in range(MESSAGE_SLOTS):
        message = market["messages"][index]
        if message["due_ns"] == 0 or message["kind"] != NEW:
            continue
        side, reduce = message["side"], message["reduce"]
        price = cost_price(side, message["px"])
        budget = 0 if reduce == 1 else message["budget_uusd"]
        rests = message["tif"] == GTC
        takes = message["post_only"] == 0 or not rests
        more, other = burden(fees, market["fee"], price, message["qty"], budget, rests, takes)
        enter(row, side, message["px"], message["qty"], reduce, more, other)
        row["live"][side] += waits_to_rest(message, side)
        if locks(market, reduce):
            row["cash_uusd"] += more


@inner
def take_stock(row, market, fees):
    """Fill a market's LEDGER record from its MARKET record: position, orders at rest and orders under way."""
    position = market["position"]
    cost = position["yes_cost_uusd"] + position["no_cost_uusd"]
    row["held"][BID] = cost - PX_ONE * position["no_qty"]
    row["held"][ASK] = cost - PX_ONE * position["yes_qty"]
    row["cash_uusd"] = 0
    row["event_uusd"] = 0
    row["converting"] = 0
    row["merging"] = 0
    for side in range(2):
        row["loss"][side] = row["held"][side]
        row["buys"][side] = 0
        row["sells"][side] = 0
        row["live"][side] = 0
    row["edge_px"][BID] = -1
    row["edge_px"][ASK] = PX_ONE + 1
    if market["live_orders"] > 0:
        _add_resting(row, market, fees)
    if market["due_ns"] != NEVER_NS:
        _add_under_way(row, market, fees)


@inner
def at_risk(row):
    """Micro-dollars that the account can lose in a market at most; ``row``: its LEDGER record."""
    return max(0, max(row["loss"][BID], row["loss"][ASK]))


@inner
def one_way(row, side):
    """What a market adds to the net risk of a direction: all that may be lost against ``side``, less what is held
    against the other side in a market where no order of ``side`` may close it.
    """
    opposite = 0 if row["buys"][side] + row["sells"][side] > 0 else max(0, row["held"][1 - side])
    return max(0, row["loss"][side]) - opposite


@inner
def closing_lots(row, position, side, reduce, own_qty):
    """Largest order on ``side`` that only closes: with all other orders of that side it sells no more than is held.

    Net of both legs. Sales cannot come to more than is held, whatever they ask for. ``own_qty``: lots among the orders
    counted that are this order itself.
    """
    net = position["yes_qty"] - position["no_qty"]
    held = position["no_qty"] if side == BID else position["yes_qty"]
    room = -net if side == BID else net
    if reduce == 1:
        room -= row["buys"][side]
        if room >= held:
            return held
        return max(0, min(held, room - row["sells"][side] + own_qty))
    return max(0, room - row["buys"][side] + own_qty - min(held, row["sells"][side]))
