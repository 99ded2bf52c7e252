"""Collateral that a set of related markets frees: merge, negRisk convert, and collateral return, in exact integers.

Positions are two ``(n,)`` int64 arrays of lots, ``yes_qty`` and ``no_qty``, one entry per outcome of a set. Payouts of
the set's YES lie in [0, 1] and add up to 1 (``exhaustive``: exactly one happens) or to no more than 1 (at most one).

* merge, both venues: one YES and one NO of the same outcome are $1. Kalshi does it at the fill, Polymarket on request.
* convert, Polymarket negRisk (docs.polymarket.com, negative risk, read 2026-08-22): a NO of each of k of n outcomes is
  (k - 1) dollars and a YES of each other outcome. Proof: k - sum of YES over the k = (k - 1) + sum of YES over the
  rest, for all YES add up to 1. No fee is charged here. Only a set of which exactly one happens can be converted; in an
  augmented set "Other" changes its meaning, and unnamed placeholders are not to be traded.
* collateral return, Kalshi (docs.kalshi.com, subaccount netting, read 2026-10-15): what a set pays in the worst case is
  not needed as collateral. MECNET: at most one happens, and nothing says that one must. The page's example: NO
  positions that cost $1.30 and pay $1.00 at least need $0.30 only. DIRECNET: nested strikes, see ``return_nested``. The
  money is advanced: settlement pays the payout less it.

The worst case over payouts that are neither 0 nor 1 is no worse: what a set pays is linear in the payouts, and a linear
function is smallest at a corner. A void settlement whose YES add up to more than 1 breaks the premise; the venue bears
that, and generated markets never pay so (``sim.scenarios.payouts``).
"""

from __future__ import annotations

from sim.kernel import kernel
from sim.types import PAIR_UUSD


@kernel
def merge(yes_qty, no_qty, index, wanted_qty):
    """Turn up to ``wanted_qty`` lots of YES and NO of outcome ``index`` into dollars; returns micro-dollars freed."""
    qty = min(wanted_qty, min(yes_qty[index], no_qty[index]))
    yes_qty[index] -= qty
    no_qty[index] -= qty
    return qty * PAIR_UUSD


@kernel
def convertible(no_qty, chosen):
    """Lots that can be converted: the smallest NO among the outcomes with ``chosen`` != 0; 0 where none is chosen."""
    least = -1
    for index in range(len(no_qty)):
        if chosen[index] != 0 and (least < 0 or no_qty[index] < least):
            least = no_qty[index]
    return max(0, least)


@kernel
def convert(yes_qty, no_qty, chosen, qty):
    """Convert ``qty`` lots of NO of each of the k chosen outcomes into YES of all others, and (k - 1) x qty dollars.

    Returns the micro-dollars; -1, with nothing changed, where a chosen NO is short or none is chosen. The set must be
    one of which exactly one outcome happens.
    """
    if qty <= 0 or qty > convertible(no_qty, chosen):
        return -1
    k = 0
    for index in range(len(no_qty)):
        if chosen[index] != 0:
            no_qty[index] -= qty
            k += 1
        else:
            yes_qty[index] += qty
    return (k - 1) * qty * PAIR_UUSD


@kernel
def pays_if(yes_qty, no_qty, winner):
    """Micro-dollars a set pays if ``winner`` happens and no other; -1 = none of them does."""
    total = 0
    for index in range(len(yes_qty)):
        total += yes_qty[index] if index == winner else no_qty[index]
    return total * PAIR_UUSD


@kernel
def collateral_return(yes_qty, no_qty, exhaustive):
    """Micro-dollars a mutually exclusive set pays in the worst case: collateral that is not needed (MECNET).

    ``exhaustive`` 1: one of them happens for certain; 0: none may. Pairs count: merge first where the venue has
    already paid for them.
    """
    all_no = pays_if(yes_qty, no_qty, -1)
    worst = all_no
    for winner in range(len(yes_qty)):
        pays = all_no + (yes_qty[winner] - no_qty[winner]) * PAIR_UUSD
        if pays < worst or (winner == 0 and exhaustive != 0):
            worst = pays
    return worst


@kernel
def return_nested(yes_qty, no_qty):
    """As :func:`collateral_return` for nested strikes (DIRECNET): each outcome implies all before it.

    The outcomes are those of "above K" with K rising; m of n strikes are passed, and these are the first m.
    """
    pays = 0
    for index in range(len(yes_qty)):
        pays += no_qty[index]
    worst = pays
    for passed in range(len(yes_qty)):
        pays += yes_qty[passed] - no_qty[passed]
        worst = min(worst, pays)
    return worst * PAIR_UUSD


@kernel
def locked(cost_uusd, returned_uusd):
    """Micro-dollars a set still ties up: what it cost less what its worst case pays. Negative: it cannot lose."""
    return cost_uusd - returned_uusd
