"""Regimes of an account, why they changed, and why an order was changed or refused. Codes are places in the tables."""

from __future__ import annotations

NORMAL = 0
WARNING = 1  # caps shrink, and nothing is opened near the mid
CRITICAL = 2  # the kill switch: everything is cancelled, then only what reduces goes through
REGIMES = ("normal", "warning", "critical")

# Why the regime last changed.
WHY_BEGUN = 0  # the episode began
WHY_CALM = 1  # no warning for long enough
WHY_OPERATOR = 2  # an operator lifted the latch
WHY_DRAWDOWN = 3
WHY_MARKED_LOSS = 4
WHY_STALE = 5  # a market in use has shown no change for too long
WHY_GAP = 6  # the feed lost messages
WHY_FEES = 7  # a venue changed its fees
REGIME_REASONS = (
    "begun", "calm", "operator", "drawdown", "marked_loss", "stale_data", "feed_gap", "fee_change",
)  # fmt: skip

# Why an order was changed, or refused where nothing was left of it. The first that applies is given.
PASSED = 0
MALFORMED = 1  # a number or a code that no order has
NOT_OPEN = 2  # the market takes no orders now
SELF_CROSS = 3  # it would meet one of our own
DISTANCE = 4  # too far from the mid
ORDER_SIZE = 5
HOLDING = 6  # a sale of more than is held
PRICE_BAND = 7
NEAR_MID = 8  # in WARNING too near the mid to open
KILL_SWITCH = 9  # in CRITICAL more than closes, or more than may be closed at once
PER_TRADE = 10
PER_MARKET = 11
PER_EVENT = 12
GROSS = 13
NET = 14
DAILY_LOSS = 15
CASH_BUFFER = 16
MESSAGES = 17  # the message budget is used up
MINIMUM = 18  # smaller than the venue's smallest order
CONVERSION = 19  # a conversion while its set has orders of ours, or an order while its set converts
STALE_BOOK = 20  # the market's book is too old to open anything
ORDER_REASONS = (
    "passed", "malformed", "not_open", "self_cross", "distance", "order_size", "holding", "price_band", "near_mid",
    "kill_switch", "per_trade", "per_market", "per_event", "gross", "net", "daily_loss", "cash_buffer", "messages",
    "minimum", "conversion", "stale_book",
)  # fmt: skip
