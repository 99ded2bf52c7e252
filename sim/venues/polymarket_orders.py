"""Polymarket's orders (the international exchange): what it takes, and what it says when it does not.

An order by amount ("market order") is a FAK or FOK buy that says what to spend; there is no other market order.
"""

from __future__ import annotations

from sim.types import (
    FOK,
    GTC,
    IOC,
    REJECT_CASH,
    REJECT_FOK_UNFILLED,
    REJECT_MARKET_CLOSED,
    REJECT_NONE,
    REJECT_OFF_GRID,
    REJECT_POST_ONLY_CROSS,
    REJECT_SIZE,
    SECOND_NS,
    UUSD,
)
from sim.venues.orders import OrderKind, OrderSpec, Refusal
from sim.venues.rejects import (
    REJECT_BOOK_CLEARED,
    REJECT_DUPLICATE,
    REJECT_EXPIRED,
    REJECT_EXPIRY,
    REJECT_GONE,
    REJECT_HALTED,
    REJECT_IN_DELAY,
    REJECT_IOC_UNFILLED,
    REJECT_NOTIONAL,
    REJECT_ORDER_TYPE,
    REJECT_PAUSED,
    REJECT_POST_ONLY_MODE,
    REJECT_RATE_LIMIT,
    REJECT_VENUE,
)

_PAGES = "2026-08-22"  # docs.polymarket.com
_CLIENT = "2026-10-07"  # Polymarket's Python client

KINDS = (
    OrderKind("GTC", "rests until it is filled or cancelled", GTC, post_only=True),
    OrderKind("GTD", "rests until a minute before its expiration", GTC, expiry=True, post_only=True),
    OrderKind("FAK", "takes what is there, the rest is cancelled", IOC, by_amount=True),
    OrderKind("FOK", "all at once or nothing", FOK, by_amount=True),
)

REFUSALS = (
    Refusal(REJECT_OFF_GRID, "breaks minimum tick size rule", 400, "price not on the market's tick", "docs", _PAGES),
    Refusal(REJECT_SIZE, "lower than the minimum", 400, "below the market's minimum order size", "docs", _PAGES),
    Refusal(
        REJECT_NOTIONAL,
        "invalid amount for a marketable buy order",
        400,
        "a buy that would trade at once is worth less than $1",
        "seen",
        "2026-02-11",
    ),
    Refusal(
        REJECT_CASH,
        "not enough balance / allowance",
        400,
        "dollars or shares do not cover all open orders",
        "docs",
        _PAGES,
    ),
    Refusal(REJECT_EXPIRY, "invalid expiration", 400, "expiration past, or less than 3 minutes ahead", "docs", _PAGES),
    Refusal(REJECT_ORDER_TYPE, "only gtc and gtd order types are allowed", 400, "post-only FAK or FOK", "docs", _PAGES),
    Refusal(REJECT_POST_ONLY_CROSS, "order crosses book", 400, "post-only would trade", "docs", _PAGES),
    Refusal(REJECT_FOK_UNFILLED, "fok orders are fully filled", 400, "the book cannot fill it whole", "docs", _PAGES),
    Refusal(REJECT_IOC_UNFILLED, "no orders found to match with fak order", 400, "nothing to take", "docs", _CLIENT),
    Refusal(REJECT_DUPLICATE, "duplicated", 400, "the same signed order again", "docs", _PAGES),
    Refusal(REJECT_MARKET_CLOSED, "not yet ready to process new orders", 400, "market not open yet", "docs", _PAGES),
    Refusal(REJECT_POST_ONLY_MODE, "post-only mode", 503, "two minutes after a restart", "docs", _PAGES),
    Refusal(REJECT_PAUSED, "cancel-only", 503, "no new orders, cancels work", "docs", _PAGES),
    Refusal(REJECT_HALTED, "trading is currently disabled", 503, "nothing works", "docs", _PAGES),
    Refusal(REJECT_HALTED, "", 425, "the matching engine restarts", "docs", _PAGES),
    Refusal(REJECT_RATE_LIMIT, "too many requests", 429, "over the rate limit", "docs", _PAGES),
    Refusal(REJECT_GONE, "already canceled or matched", 200, "cancel of an order that is gone", "docs", _PAGES),
    Refusal(REJECT_VENUE, "closed only mode", 400, "the address may only close positions", "docs", _PAGES),
    Refusal(REJECT_VENUE, "could not insert order", 400, "the venue's own failure", "docs", _PAGES),
    Refusal(REJECT_VENUE, "could not run the execution", 400, "the venue's own failure", "docs", _PAGES),
    Refusal(REJECT_VENUE, "error delaying the order", 400, "the venue's own failure", "docs", _PAGES),
    Refusal(REJECT_IN_DELAY, "", 0, "cancel of an order in the taker delay", "docs", _PAGES),
)

# What becomes of an order that was taken. The last two are silent: the order is gone from the list of open orders.
UPDATES = (
    Refusal(REJECT_NONE, "live", 200, "rests", "docs", _PAGES),
    Refusal(REJECT_NONE, "matched", 200, "filled, or filled in part", "docs", _PAGES),
    Refusal(REJECT_NONE, "delayed", 200, "held back for the taker delay", "docs", _PAGES),
    Refusal(REJECT_NONE, "unmatched", 200, "could not be held back, and was placed at once", "docs", _PAGES),
    Refusal(REJECT_EXPIRED, "", 0, "one minute before its expiration", "docs", _PAGES),
    Refusal(REJECT_BOOK_CLEARED, "", 0, "game start of a market with clearBookOnStart", "seen", "2026-07-24"),
)

# Expirations lie about 3 minutes ahead at least, and work one minute early.
ORDERS = OrderSpec(
    KINDS, REFUSALS, UPDATES, lead_ns=180 * SECOND_NS, early_ns=60 * SECOND_NS, min_take_uusd=UUSD, heartbeat=True
)
