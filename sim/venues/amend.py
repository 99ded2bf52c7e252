"""Changing orders and meeting our own: amends and queue priority, self-trade prevention, order groups.

Kalshi (openapi.yaml 3.34.0, read 2026-10-26; docs.kalshi.com, order groups, read 2026-10-15):

* an amend keeps its place in the queue if it only lowers the size or only changes the expiry; another price or a larger
  size goes to the back, and may trade at once. Its count is what has been filled plus what is wanted beside that.
* ``taker_at_cross`` ends the incoming order where it would meet one of our own, and what it took before stands;
  ``maker`` cancels our resting order and goes on. A FOK that would meet our own behaves as IOC (since 2025-10-01).
* an order group counts contracts filled over a rolling 15 s. Above its limit it is triggered: its resting orders are
  cancelled and new ones refused, until a reset, which also clears the count. (The page says "exceeds", the reference
  of the endpoint says "hit": here only more than the limit triggers.)

Polymarket (docs.polymarket.com, read 2026-08-22): no amend, an order is cancelled and placed anew, at the back. What
happens when an order meets one of our own is not documented; the simulator cancels the resting one, as ``maker`` does.
Neither venue promises a window's exact edge: a fill counts while it is less than 15 s old.
"""

from __future__ import annotations

import numpy as np

from sim.kernel import kernel
from sim.types import FOK, IOC, LOTS_PER_CONTRACT, SECOND_NS
from sim.venues.fees import KALSHI

# Who gives way when an order of ours would meet another of ours.
CANCEL_RESTING = 0  # Kalshi: maker
CANCEL_INCOMING = 1  # Kalshi: taker_at_cross
KALSHI_SELF_TRADE = {"maker": CANCEL_RESTING, "taker_at_cross": CANCEL_INCOMING}
POLYMARKET_SELF_TRADE = {"not documented": CANCEL_RESTING}  # an assumption

# What a change of a resting order comes to.
AMEND_KEEPS = 0  # in place, with its priority
AMEND_BACK = 1  # in place, behind everyone at its price
AMEND_REPLACE = 2  # cancel, then a new order with its own delay: the two can part ways
AMEND_CANCEL = 3  # nothing is left

GROUP_WINDOW_NS = 15 * SECOND_NS
GROUP_FILLS = 8  # fills remembered; see group_add
MAX_GROUP_CONTRACTS = 1_000_000

ORDER_GROUP = np.dtype(
    [
        ("limit_qty", "<i8"),  # lots within the window
        ("triggered", "<i8"),
        ("first", "<i8"),  # ring of fills: the oldest one ...
        ("count", "<i8"),  # ... and how many
        ("ns", "<i8", (GROUP_FILLS,)),
        ("qty", "<i8", (GROUP_FILLS,)),
    ]
)


def new_group(limit_contracts: int) -> np.void:
    """An order group's record, of dtype ORDER_GROUP. Raises ValueError outside [1, 1,000,000] contracts."""
    if not 1 <= limit_contracts <= MAX_GROUP_CONTRACTS:
        raise ValueError(
            f"order group: limit of {limit_contracts} contracts; the venue allows 1 to {MAX_GROUP_CONTRACTS:,}"
        )
    group = np.zeros(1, ORDER_GROUP)[0]
    group["limit_qty"] = limit_contracts * LOTS_PER_CONTRACT
    return group


@kernel
def keeps_priority(old_px, new_px, old_qty, new_qty):
    """Whether an amend from (old_px, old_qty left) to (new_px, new_qty left) keeps its place in Kalshi's queue."""
    return new_px == old_px and new_qty <= old_qty


@kernel
def amend_outcome(venue, old_px, new_px, old_qty, new_qty):
    """What a wanted change comes to at ``venue`` (KALSHI or POLYMARKET): one of the AMEND codes. Sizes: lots left."""
    if new_qty <= 0:
        return AMEND_CANCEL
    if new_px == old_px and new_qty == old_qty:
        return AMEND_KEEPS
    if venue != KALSHI:
        return AMEND_REPLACE
    return AMEND_KEEPS if keeps_priority(old_px, new_px, old_qty, new_qty) else AMEND_BACK


@kernel
def left_after_amend(count_qty, filled_qty):
    """Lots that rest after a Kalshi amend to ``count_qty``, which includes what has been filled. Not below 0."""
    return max(0, count_qty - filled_qty)


@kernel
def gives_way(mode, resting_id, incoming_id):
    """The number of the order that is cancelled when two of ours meet."""
    return incoming_id if mode == CANCEL_INCOMING else resting_id


@kernel
def tif_meeting_own(tif, meets_own):
    """The time in force that holds: a FOK that would meet an order of ours on its way is an IOC."""
    return IOC if tif == FOK and meets_own != 0 else tif


@kernel
def takeable(mode, shown_qty, ahead_qty):
    """Lots of others an incoming order may take at the price of an own resting order, before that order matters.

    ``shown_qty``: what others show there; ``ahead_qty``: how much of it stands ahead of our resting order. Under
    CANCEL_INCOMING what stands behind our own is out of reach, and so is every worse price.
    """
    return min(shown_qty, ahead_qty) if mode == CANCEL_INCOMING else shown_qty


@kernel
def group_volume(group, now_ns):
    """Lots filled within the window that ends now. Forgets older fills; ``group``: an ORDER_GROUP record."""
    while group["count"] > 0 and now_ns - group["ns"][group["first"]] >= GROUP_WINDOW_NS:
        group["first"] = (group["first"] + 1) % GROUP_FILLS
        group["count"] -= 1
    total = 0
    for step in range(group["count"]):
        total += group["qty"][(group["first"] + step) % GROUP_FILLS]
    return total


@kernel
def group_add(group, now_ns, qty):
    """Count a fill of ``qty`` lots; 1 if the group is triggered after it, else 0. Times must not run backwards.

    Fills of one moment share a place. Where all places are taken the newest fill moves to this moment and takes this
    one in: it then counts a little too long, so the group may trigger early and never late.
    """
    group_volume(group, now_ns)
    last = (group["first"] + group["count"] - 1) % GROUP_FILLS
    if group["count"] == GROUP_FILLS or (group["count"] > 0 and group["ns"][last] == now_ns):
        group["ns"][last] = now_ns
        group["qty"][last] += qty
    else:
        place = (group["first"] + group["count"]) % GROUP_FILLS
        group["ns"][place] = now_ns
        group["qty"][place] = qty
        group["count"] += 1
    if group_volume(group, now_ns) > group["limit_qty"]:
        group["triggered"] = 1
    return group["triggered"]


@kernel
def group_limit(group, now_ns, limit_qty):
    """Set another limit; 1 if the group is triggered after it, for the window may hold more already."""
    group["limit_qty"] = limit_qty
    if group_volume(group, now_ns) > limit_qty:
        group["triggered"] = 1
    return group["triggered"]


@kernel
def group_trigger(group):
    """Trigger by hand: the same as passing the limit."""
    group["triggered"] = 1


@kernel
def group_reset(group):
    """Back to active, nothing counted."""
    group["triggered"] = 0
    group["count"] = 0
