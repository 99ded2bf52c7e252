"""What happens when something of ours is due at the venue: a message arrives, or an order's time is up."""

from __future__ import annotations

from sim.kernel import inner
from sim.latency import forget_message, keep_order, next_message, refresh_due, reject
from sim.matching import accept_order
from sim.resting import accept_amend, accept_cancel, expire
from sim.state import AMEND, CANCEL, NEW
from sim.types import REJECT_RATE_LIMIT, SECOND_NS
from sim.venues.amend import group_reset


@inner
def _over_limit(desk, now):
    """Whether a message exceeds the row's rate limit; if not, it uses up a turn.

    A turn takes ``gap`` = 1 s / limit. From rest as many messages pass at once as one second has turns.
    """
    gap = desk.row["message_gap_ns"]
    if gap == 0:
        return False
    used = max(now, desk.pool["paid_until_ns"])
    if used - now > SECOND_NS - gap:
        return True
    desk.pool["paid_until_ns"] = used + gap
    return False


@inner
def _accept(desk, tick_ok, message, now):
    """A message reaches the venue. Returns whether it is done with."""
    if message["held"] == 0 and _over_limit(desk, now):
        reject(desk, REJECT_RATE_LIMIT)
        if message["kind"] == CANCEL:
            keep_order(desk.market, message["id"])
        return True
    if message["kind"] == NEW:
        return accept_order(desk, tick_ok, message, now)
    if message["kind"] == CANCEL:
        accept_cancel(desk, message)
    elif message["kind"] == AMEND:
        accept_amend(desk, message, now)
    else:
        group_reset(desk.market["group"])
    return True


@inner
def deliver(desk, tick_ok, now):
    """What is due now: an order's end comes before a message on the same nanosecond."""
    if expire(desk, now):
        return
    index = next_message(desk.market)
    if index < 0 or desk.market["messages"][index]["due_ns"] > now:
        refresh_due(desk.market)
    elif _accept(desk, tick_ok, desk.market["messages"][index], now):
        forget_message(desk.market, index)
