"""Reject codes beyond those of sim.types, in one run after them, and the names of all."""

from __future__ import annotations

from sim.types import REJECT_NAMES

# Reasons beyond those of sim.types, in one run after them.
REJECT_PAUSED = 10  # no new orders for now; cancels still work
REJECT_HALTED = 11  # nothing is taken, cancels included
REJECT_POST_ONLY_MODE = 12  # only post-only orders for now
REJECT_ORDER_TYPE = 13  # the venue does not offer this combination
REJECT_EXPIRY = 14  # the expiry lies in the past, or too near
REJECT_NOTIONAL = 15  # price x size is below what an order that trades at once must be worth
REJECT_GROUP = 16  # its order group has been triggered
REJECT_SELF_TRADE = 17  # it would have traded with one of our own
REJECT_DUPLICATE = 18  # the client's order number has been used
REJECT_GONE = 19  # the order to cancel or amend is no longer there
REJECT_RATE_LIMIT = 20  # too many messages
REJECT_IN_DELAY = 21  # a cancel came while the venue holds the order back
REJECT_IOC_UNFILLED = 22  # nothing to take
REJECT_EXPIRED = 23  # its time was up
REJECT_BOOK_CLEARED = 24  # the venue emptied the book
REJECT_VENUE = 25  # the venue's own reason, none of the others
MORE_REJECT_NAMES = (
    "paused", "halted", "post_only_mode", "order_type", "expiry", "notional", "group", "self_trade", "duplicate",
    "gone", "rate_limit", "in_delay", "ioc_unfilled", "expired", "book_cleared", "venue",
)  # fmt: skip
ALL_REJECT_NAMES = (*REJECT_NAMES[:REJECT_PAUSED], *MORE_REJECT_NAMES)
