"""Our place in a level's queue: what stands ahead, and which of the level's drops were trades (docs/fills.md).

A trade shows twice in a feed: as a print, and as a drop of the level. Either may come first, and it counts once:

* a print without its drop leaves a *credit*, which the next drops of the level use up;
* a drop without a print is a cancel for now, and a *debit*: a print that comes within the row's ``late_print_ms`` uses
  it up. The order then stands as if the cancel had not been, and the print eats what is ahead of it.

What is ahead is always the share rule applied to the whole debit: ``front - share_ahead(front, back, debit)``, so the
two orders of events end alike. Only recordings with prints keep debits: a synthetic market prints first.
"""

from __future__ import annotations

from sim.kernel import inner
from sim.shares import share_ahead
from sim.state import ORDER_SLOTS


@inner
def _alive(desk, order, now):
    """Whether a print may still explain the order's debit."""
    return order["debit_qty"] > 0 and now - order["debit_ns"] <= desk.row["late_print_ns"]


@inner
def _after_cancels(desk, order, shown, cancelled):
    """Lots ahead of an order, when of a level that now shows ``shown`` the lots ``cancelled`` have been cancelled."""
    front = order["front_qty"]
    back = shown + cancelled - front
    row = desk.row
    return min(shown, front - share_ahead(row["cancel_rule"], row["cancel_power"], front, back, cancelled))


@inner
def expect_print(desk, side, px, qty, now):
    """A print at ``px`` whose taker is known: it explains drops that have come, or is to be explained by one to come.

    Orders whose debit it uses stand as before those drops until :func:`cancel_again`.
    """
    for index in range(ORDER_SLOTS):
        order = desk.market["orders"][index]
        if order["id"] == 0 or order["side"] != side or order["px"] != px:
            continue
        explained = 0
        if _alive(desk, order, now):
            explained = min(qty, order["debit_qty"])
            order["ahead_qty"] = order["front_qty"]
            order["late"] = 1
        else:
            order["debit_qty"] = 0
        order["debit_qty"] -= explained
        order["credit_qty"] += qty - explained


@inner
def cancel_again(desk, side, px):
    """After a print has eaten its share: what it did not explain of earlier drops is cancelled as before."""
    for index in range(ORDER_SLOTS):
        order = desk.market["orders"][index]
        if order["id"] == 0 or order["late"] == 0 or order["side"] != side or order["px"] != px:
            continue
        order["late"] = 0
        order["front_qty"] = order["ahead_qty"]
        order["ahead_qty"] = _after_cancels(desk, order, desk.book[side, order["level"]], order["debit_qty"])


@inner
def level_fell(desk, side, level, old, new, mid2, now):
    """A level went from ``old`` to ``new`` lots; ``mid2``: bid + ask before. What was not printed was cancelled."""
    keeps = desk.market["tape"] >= 0 and desk.market["has_prints"] == 1
    for index in range(ORDER_SLOTS):
        order = desk.market["orders"][index]
        if order["id"] == 0 or order["side"] != side or order["level"] != level:
            continue
        printed = min(order["credit_qty"], old - new)
        order["credit_qty"] -= printed
        cancelled = old - new - printed
        if cancelled == 0:
            order["ahead_qty"] = min(order["ahead_qty"], new)
            continue
        if not keeps or not _alive(desk, order, now):
            order["debit_qty"] = 0
            order["front_qty"] = order["ahead_qty"]
            order["debit_mid2_px"] = mid2
        order["debit_qty"] += cancelled
        order["debit_ns"] = now
        order["ahead_qty"] = _after_cancels(desk, order, new, order["debit_qty"])
        if not keeps:
            order["debit_qty"] = 0


@inner
def forget_changes(order, shown):
    """A snapshot says nothing of why a level changed: it only cuts what is ahead to what it shows."""
    order["ahead_qty"] = min(order["ahead_qty"], shown)
    order["credit_qty"] = 0
    order["debit_qty"] = 0
