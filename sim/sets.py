"""Sets of mutually exclusive markets that their venue nets: collateral return, merge and convert, in exact integers.

What the venue does for such a set follows from its rule for one market (``VenueRules.netting``; docs/portfolios.md):

* it nets by itself (Kalshi, event netting): what the set pays in the worst case is advanced to the agent at once,
  and taken back as positions are sold and as markets settle. Escrow holds $1 per open pair less what was advanced.
* it merges on request (Polymarket, negRisk): ``DO_CONVERT`` turns NO of some markets into dollars and YES of others.

``DO_MERGE`` turns YES and NO of one market into dollars where the venue holds both. Requests are executed when they are
submitted: the delay of a transaction on the chain is left out.

The worst case. The YES of a set pay x_i >= 0 with sum x_i <= 1. Markets that have settled have paid theirs; of the
others the set pays sum no_i + sum (yes_i - no_i) x_i, which is linear, so least at a corner: with ``left`` of the
dollar not yet paid,

    worst = sum no_i x $1 + left x min(0, min_i (yes_i - no_i)).

It is never negative, a settlement pays at least what it takes back, and a fill of ``qty`` lots changes it by at most
``qty`` dollars: that much less its price is what a sale has to lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sim.account import free_lots, merge, take_out
from sim.kernel import inner
from sim.latency import refuse
from sim.links import Exclusive, Link
from sim.types import (
    ASK,
    BID,
    DO_CONVERT,
    DO_MERGE,
    NO,
    PAIR_UUSD,
    PX_ONE,
    REJECT_CANNOT_CONVERT,
    REJECT_NOTHING_TO_MERGE,
    SETTLED,
    YES,
)

SET = np.dtype([("first", "<i8"), ("count", "<i8")])  # its markets are members [first, first + count)


class Sets(NamedTuple):
    """Compiled netting sets, for the kernels."""

    sets: np.ndarray  # (S,) SET
    members: np.ndarray  # (Z,) int64: markets
    set_of: np.ndarray  # (M,) int64: the set a market belongs to; -1 = none
    returns: np.ndarray  # (M,) int64: 1 where the set's collateral is returned


def compile_sets(links: Sequence[Link], venue_of: Sequence[int], netting: Sequence[bool]) -> Sets:
    """The sets among ``links`` that their venue nets (``Exclusive.nets``).

    ``venue_of`` is the venue of each of the M markets, ``netting`` whether a venue nets by itself. Raises ValueError
    naming the link where its markets lie on several venues, where one stands in another set already, and where a set
    is to be converted of which no market need pay.
    """
    sets: list[tuple[int, int]] = []
    members: list[int] = []
    set_of = np.full(len(venue_of), -1)
    nets = np.array([netting[venue] for venue in venue_of], np.int64)
    for index, link in enumerate(links):
        if not isinstance(link, Exclusive) or not link.nets:
            continue
        places = list(link.markets)
        if len({venue_of[market] for market in places}) > 1:
            raise ValueError(f"link {index}, {link}: a set that nets lies on one venue, this one on several")
        if (set_of[places] >= 0).any():
            raise ValueError(f"link {index}, {link}: a market nets in one set only, and one of these is in another")
        if not link.exhaustive and not netting[venue_of[places[0]]]:
            raise ValueError(f"link {index}, {link}: only a set of which exactly one pays can be converted")
        set_of[places] = len(sets)
        sets.append((len(members), len(places)))
        members.extend(places)
    return Sets(np.array(sets, SET), np.array(members, np.int64), set_of, np.where(set_of >= 0, nets, 0))


@inner
def worst_payout(markets, sets, index):
    """Micro-dollars that what is held in set ``index`` pays at least. ``markets``: (M,) MARKET, one environment's."""
    first = sets.sets[index]["first"]
    certain = 0
    turn = 0
    left = PX_ONE
    for place in range(first, first + sets.sets[index]["count"]):
        market = markets[sets.members[place]]
        if market["status"] == SETTLED:
            left -= market["payout_px"]
        else:
            position = market["position"]
            certain += position["no_qty"]
            turn = min(turn, position["yes_qty"] - position["no_qty"])
    return certain * PAIR_UUSD + max(0, left) * turn


@inner
def return_collateral(returned, pools, markets, sets, index):
    """Bring what set ``index`` has been returned up to date.

    ``returned`` (S,) int64, ``pools`` (V,) POOL and ``markets`` (M,) MARKET of one environment.
    """
    more = worst_payout(markets, sets, index) - returned[index]
    venue = markets[sets.members[sets.sets[index]["first"]]]["venue"]
    pools[venue]["cash_uusd"] += more
    pools[venue]["escrow_uusd"] -= more
    returned[index] += more


@inner
def requested_qty(wanted, do):
    """Lots of a request in a market's two columns, the column BID first; -1 = it asks for nothing of the kind."""
    if wanted[BID]["do"] == do:
        return max(0, wanted[BID]["qty"])
    return max(0, wanted[ASK]["qty"]) if wanted[ASK]["do"] == do else -1


@inner
def mergeable(position):
    """Pairs of YES and NO that no order has promised."""
    return min(free_lots(position, YES), free_lots(position, NO))


@inner
def converts(pools, markets, sets, index):
    """Whether set ``index`` may be converted: its venue does so, and no market of it has settled."""
    first = sets.sets[index]["first"]
    for place in range(first, first + sets.sets[index]["count"]):
        market = markets[sets.members[place]]
        if market["status"] == SETTLED or pools[market["venue"]]["netting"] == 1:
            return False
    return True


@inner
def _conversion(pools, markets, sets, index, wanted):
    """How many markets of a set ask to be converted, and their lots; lots -1 where that cannot be."""
    first = sets.sets[index]["first"]
    chosen = 0
    qty = 0
    possible = converts(pools, markets, sets, index)
    for place in range(first, first + sets.sets[index]["count"]):
        asked = requested_qty(wanted[sets.members[place]], DO_CONVERT)
        if asked >= 0:
            qty = asked if chosen == 0 else qty
            chosen += 1
            there = free_lots(markets[sets.members[place]]["position"], NO)
            possible = possible and asked == qty and 0 < asked <= there
    return chosen, qty if possible else -1


@inner
def _swap(markets, sets, index, wanted, qty):
    """Take the NO out of the markets that ask and put YES into the others; returns what the NO had cost."""
    first = sets.sets[index]["first"]
    cost = 0
    for place in range(first, first + sets.sets[index]["count"]):
        position = markets[sets.members[place]]["position"]
        position["converted_qty"] += qty
        if requested_qty(wanted[sets.members[place]], DO_CONVERT) >= 0:
            cost += take_out(position, NO, qty)
        else:
            position["yes_qty"] += qty
    return cost


@inner
def _hand_on(markets, sets, index, wanted, cost):
    """Spread ``cost`` evenly over the YES received, the odd micro-dollars over the first; what nothing takes is a
    result of the first market converted.
    """
    first = sets.sets[index]["first"]
    others = 0
    for place in range(first, first + sets.sets[index]["count"]):
        others += requested_qty(wanted[sets.members[place]], DO_CONVERT) < 0
    result = -cost if cost < 0 or others == 0 else 0
    rest = cost + result
    for place in range(first, first + sets.sets[index]["count"]):
        position = markets[sets.members[place]]["position"]
        if requested_qty(wanted[sets.members[place]], DO_CONVERT) >= 0:
            position["realised_uusd"] += result
            result = 0
        elif rest > 0:
            share = (rest + others - 1) // others
            position["yes_cost_uusd"] += share
            rest -= share
            others -= 1
        else:
            others -= 1


@inner
def _merge(account, pools, market, qty):
    """Merge up to ``qty`` pairs that no order has promised."""
    position = market["position"]
    pairs = min(qty, mergeable(position))
    account["n_messages"] += 1
    if pairs <= 0:
        refuse(account, REJECT_NOTHING_TO_MERGE)
    else:
        merge(pools[market["venue"]], position, pairs)


@inner
def answer(account, pools, markets, sets, wanted):
    """Execute the merges and the conversions in ``wanted`` (M, 2) INTENT, merges first.

    A merge is one message, and so is a conversion of all its markets together.
    """
    for index in range(len(markets)):
        qty = requested_qty(wanted[index], DO_MERGE)
        if qty >= 0:
            _merge(account, pools, markets[index], qty)
        if requested_qty(wanted[index], DO_CONVERT) >= 0 and sets.set_of[index] < 0:
            account["n_messages"] += 1
            refuse(account, REJECT_CANNOT_CONVERT)
    for index in range(len(sets.sets)):
        _convert(account, pools, markets, sets, index, wanted)


@inner
def _convert(account, pools, markets, sets, index, wanted):
    """Execute what ``wanted`` (M, 2) INTENT asks of set ``index``: all its markets with DO_CONVERT at once.

    NO of k of n markets become (k - 1) x qty dollars and YES of the n - k others. The counterparty, who holds the
    opposite, swaps YES of the k for NO of the others and pays n - k - 1; escrow goes from k to n - k.
    """
    chosen, qty = _conversion(pools, markets, sets, index, wanted)
    if chosen == 0:
        return
    account["n_messages"] += 1
    if qty < 0:
        refuse(account, REJECT_CANNOT_CONVERT)
        return
    count = sets.sets[index]["count"]
    pool = pools[markets[sets.members[sets.sets[index]["first"]]]["venue"]]
    dollars = (chosen - 1) * qty * PAIR_UUSD
    cost = _swap(markets, sets, index, wanted, qty)
    _hand_on(markets, sets, index, wanted, cost - dollars)
    pool["cash_uusd"] += dollars
    pool["counterparty_uusd"] -= (count - chosen - 1) * qty * PAIR_UUSD
    pool["escrow_uusd"] += (count - 2 * chosen) * qty * PAIR_UUSD
