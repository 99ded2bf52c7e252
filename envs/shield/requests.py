"""What is no order: merges, conversions and resets of the order group; what passes of them.

A conversion (sim.sets) swaps NO of some markets of a set for YES of the others. An order judged to close a position
would open one after the swap, so a set is converted only while none of its markets has an order of ours, and no order
goes to it in the decision that converts it. What the conversion itself does lowers no worst case of the account.
"""

from __future__ import annotations

from envs.shield.codes import CONVERSION, CRITICAL, KILL_SWITCH, MALFORMED, MESSAGES, PASSED
from sim.kernel import inner
from sim.types import ASK, BID, DO_CONVERT, DO_MERGE, DO_NOTHING, DO_RESET_GROUP


@inner
def has_orders(row):
    """Whether an order of ours is at rest, under way, leaving or granted in a market; ``row``: its LEDGER record."""
    return row["buys"][BID] + row["buys"][ASK] + row["sells"][BID] + row["sells"][ASK] > 0


@inner
def converting(set_of, ledger, index):
    """Whether a conversion of the set of market ``index`` was granted in this decision."""
    return set_of[index] >= 0 and ledger[set_of[index]]["converting"] == 1


@inner
def _one_message(limits, totals):
    """Count a message where the budget has room for it. Returns the reason where not."""
    if totals["used"] + 1 > limits["messages"]:
        return MESSAGES
    totals["used"] += 1
    return PASSED


@inner
def _convert(limits, watch, set_of, ledger, totals, index):
    """Judge a conversion: all markets of a set that ask for it do so together, in one message."""
    if watch["regime"] == CRITICAL:
        return KILL_SWITCH
    own = set_of[index]
    if own < 0:
        return CONVERSION  # nothing is known of its set, so nothing of the orders there
    for other in range(len(set_of)):
        if set_of[other] == own and has_orders(ledger[other]):
            return CONVERSION
    if ledger[own]["converting"] == 0:
        reason = _one_message(limits, totals)
        if reason != PASSED:
            return reason
    ledger[own]["converting"] = 1
    return PASSED


@inner
def _merge(limits, row, totals):
    """Judge a merge: a market merges once, whichever of its sides ask."""
    if row["merging"] == 1:
        return PASSED
    reason = _one_message(limits, totals)
    row["merging"] = int(reason == PASSED)
    return reason


@inner
def request(limits, watch, set_of, ledger, totals, do, index):
    """Whether what is no order passes, in market ``index``. Returns the reason where not, counts its message where so.

    ``set_of`` (M,) the lowest market of the set that each stands in, -1 = none; ``ledger`` (M,) LEDGER.
    """
    if do == DO_NOTHING:
        return PASSED
    if do == DO_MERGE:
        return _merge(limits, ledger[index], totals)
    if do == DO_CONVERT:
        return _convert(limits, watch, set_of, ledger, totals, index)
    return _one_message(limits, totals) if do == DO_RESET_GROUP else MALFORMED
