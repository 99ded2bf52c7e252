"""Kalshi's orders: what it takes, and what it says when it does not. Every order is a limit order since 2026-02-11."""

from __future__ import annotations

from sim.types import (
    FOK,
    GTC,
    IOC,
    REJECT_CASH,
    REJECT_FOK_UNFILLED,
    REJECT_MARKET_CLOSED,
    REJECT_NONE,
    REJECT_NOTHING_TO_REDUCE,
    REJECT_OFF_GRID,
    REJECT_POST_ONLY_CROSS,
    REJECT_SIZE,
)
from sim.venues.orders import OrderKind, OrderSpec, Refusal
from sim.venues.rejects import (
    REJECT_DUPLICATE,
    REJECT_EXPIRED,
    REJECT_EXPIRY,
    REJECT_GONE,
    REJECT_GROUP,
    REJECT_HALTED,
    REJECT_ORDER_TYPE,
    REJECT_PAUSED,
    REJECT_RATE_LIMIT,
    REJECT_SELF_TRADE,
    REJECT_VENUE,
)

_SPEC = "2026-10-26"  # openapi.yaml 3.34.0 and asyncapi.yaml 2.0.0
_PAGES = "2026-10-15"  # docs.kalshi.com

KINDS = (
    OrderKind("good_till_canceled", "rests until it is filled or cancelled", GTC, post_only=True),
    OrderKind(
        "good_till_canceled, expiration_time",
        "rests until a second of the clock; a time that is past is refused",
        GTC,
        expiry=True,
        post_only=True,
    ),
    OrderKind("immediate_or_cancel", "takes what is there, the rest is cancelled", IOC, reduce_only=True),
    OrderKind("fill_or_kill", "all at once or nothing; as immediate_or_cancel where it meets our own order", FOK),
)

REFUSALS = (
    Refusal(REJECT_MARKET_CLOSED, "market_inactive", 0, "after the close, cancels included", "docs", _PAGES),
    Refusal(REJECT_PAUSED, "trading_is_paused", 409, "trading pause: cancels still work", "seen", "2026-07-30"),
    Refusal(REJECT_HALTED, "exchange_is_paused", 409, "exchange pause: cancels fail too", "seen", "2026-08-27"),
    Refusal(
        REJECT_FOK_UNFILLED,
        "fill_or_kill_insufficient_resting_volume",
        409,
        "the book cannot fill it whole",
        "seen",
        "2026-05-31",
    ),
    Refusal(REJECT_DUPLICATE, "order_already_exists", 409, "client_order_id used before, ever", "seen", "2026-06-11"),
    Refusal(REJECT_POST_ONLY_CROSS, "post only cross", 400, "post_only would trade", "seen", "2026-06-11"),
    Refusal(
        REJECT_CASH, "insufficient_balance", 400, "the cash does not cover the worst case", "third party", "2026-06-11"
    ),
    Refusal(
        REJECT_ORDER_TYPE, "invalid_parameters", 400, "a field or a combination is not offered", "seen", "2026-05-07"
    ),
    Refusal(REJECT_ORDER_TYPE, "deprecated_v1_order_endpoint", 410, "an endpoint of before June 2026", "docs", _PAGES),
    Refusal(REJECT_RATE_LIMIT, "too many requests", 429, "the write budget is spent", "docs", _PAGES),
    Refusal(REJECT_RATE_LIMIT, "too_many_requests", 429, "the write budget is spent", "seen", "2026-09-26"),
    Refusal(REJECT_GONE, "", 404, "cancel or amend of an order that is gone", "docs", _SPEC),
    Refusal(REJECT_OFF_GRID, "", 0, "price not on the market's price_ranges", "docs", _PAGES),
    Refusal(REJECT_SIZE, "", 0, "below 0.01 contract, or between its multiples", "docs", _SPEC),
    Refusal(REJECT_EXPIRY, "", 0, "expiration_time is past", "docs", _SPEC),
    Refusal(REJECT_GROUP, "", 0, "the order group is triggered and not reset", "docs", _PAGES),
)

# last_update_reason of an order
UPDATES = (
    Refusal(REJECT_SELF_TRADE, "selftradecancel", 0, "self-trade prevention ended it", "docs", _SPEC),
    Refusal(REJECT_EXPIRED, "expirycancel", 0, "its expiration_time came", "docs", _SPEC),
    Refusal(REJECT_MARKET_CLOSED, "closecancel", 0, "the market closed", "docs", _SPEC),
    Refusal(REJECT_PAUSED, "haltcancel", 0, "a pause ended it: it asked for that, or trading came back", "docs", _SPEC),
    Refusal(REJECT_POST_ONLY_CROSS, "postonlycrosscancel", 0, "post_only would trade", "docs", _SPEC),
    Refusal(REJECT_NOTHING_TO_REDUCE, "reduceonlycancel", 0, "nothing was left to reduce", "docs", _SPEC),
    Refusal(REJECT_CASH, "margincancel", 0, "the collateral was gone", "docs", _SPEC),
    Refusal(REJECT_VENUE, "settlementboundscancel", 0, "outside the settlement bounds", "docs", _SPEC),
    Refusal(REJECT_NONE, "decrease", 0, "our own decrease: it lives on", "docs", _SPEC),
    Refusal(REJECT_NONE, "amend", 0, "our own amend: it lives on", "docs", _SPEC),
    Refusal(REJECT_NONE, "trade", 0, "filled, or filled in part", "docs", _SPEC),
)

ORDERS = OrderSpec(KINDS, REFUSALS, UPDATES, pause_flag=True, resume_cancels=True)
