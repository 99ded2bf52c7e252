"""What the venues take and refuse: a table of orders, every combination, pauses, and the venues' own words."""

from __future__ import annotations

from itertools import product

import pytest

from sim.types import (
    CLOSED,
    FOK,
    GTC,
    IOC,
    OPEN,
    PAUSED,
    PENDING,
    REJECT_CASH,
    REJECT_FOK_UNFILLED,
    REJECT_MARKET_CLOSED,
    REJECT_NAMES,
    REJECT_NONE,
    REJECT_NOTHING_TO_REDUCE,
    REJECT_OFF_GRID,
    REJECT_POST_ONLY_CROSS,
    REJECT_SIZE,
    SETTLED,
)
from sim.venues import VENUES, rejects
from sim.venues.orders import (
    CANCEL_ONLY,
    EVENT_CLOSE,
    EVENT_PAUSE,
    EVENT_RESUME,
    EVENT_SILENCE,
    EVENT_START,
    HALTED,
    POST_ONLY_ONLY,
    TRADING,
    OrderKind,
    OrderSpec,
    admissible,
    cancellable,
    ended_by,
    ends_at,
    order_table,
)
from sim.venues.rejects import (
    ALL_REJECT_NAMES,
    REJECT_BOOK_CLEARED,
    REJECT_DUPLICATE,
    REJECT_EXPIRY,
    REJECT_GONE,
    REJECT_GROUP,
    REJECT_HALTED,
    REJECT_IN_DELAY,
    REJECT_IOC_UNFILLED,
    REJECT_NOTIONAL,
    REJECT_ORDER_TYPE,
    REJECT_PAUSED,
    REJECT_POST_ONLY_MODE,
    REJECT_RATE_LIMIT,
    REJECT_SELF_TRADE,
    REJECT_VENUE,
)

RULES = order_table([VENUES["kalshi"].orders, VENUES["polymarket"].orders])
K, P = 0, 1
SECOND = 1_000_000_000
NOW = 1_000_000 * SECOND
PLAIN = {
    "tif": GTC, "post_only": 0, "reduce_only": 0, "expiry_ns": 0, "now_ns": NOW, "leg_px": 5000, "qty": 1000,
    "budget_uusd": 0, "buys": 1, "status": OPEN, "mode": TRADING, "on_grid": 1, "crosses": 0, "held_qty": 0,
    "min_qty": 500, "group_open": 1,
}  # fmt: skip


def verdict(venue, **changes):
    return admissible(RULES, venue, *{**PLAIN, **changes}.values())


@pytest.mark.parametrize(
    ("venue", "changes", "code"),
    [
        (K, {}, REJECT_NONE),
        (P, {}, REJECT_NONE),
        # exchange and market
        (K, {"status": PENDING}, REJECT_MARKET_CLOSED),
        (K, {"status": CLOSED}, REJECT_MARKET_CLOSED),
        (K, {"status": SETTLED}, REJECT_MARKET_CLOSED),
        (K, {"status": PAUSED}, REJECT_PAUSED),
        (K, {"mode": CANCEL_ONLY}, REJECT_PAUSED),
        (P, {"mode": CANCEL_ONLY}, REJECT_PAUSED),
        (P, {"mode": HALTED}, REJECT_HALTED),
        (K, {"mode": HALTED, "status": CLOSED}, REJECT_HALTED),
        (P, {"mode": POST_ONLY_ONLY}, REJECT_POST_ONLY_MODE),
        (P, {"mode": POST_ONLY_ONLY, "tif": IOC}, REJECT_POST_ONLY_MODE),
        (P, {"mode": POST_ONLY_ONLY, "post_only": 1}, REJECT_NONE),
        # expiry: Kalshi refuses the past, Polymarket anything below 3 minutes
        (K, {"expiry_ns": NOW}, REJECT_EXPIRY),
        (K, {"expiry_ns": NOW - 1}, REJECT_EXPIRY),
        (K, {"expiry_ns": NOW + 1}, REJECT_NONE),
        (P, {"expiry_ns": NOW + 180 * SECOND - 1}, REJECT_EXPIRY),
        (P, {"expiry_ns": NOW + 180 * SECOND}, REJECT_NONE),
        (K, {"expiry_ns": NOW + SECOND, "tif": IOC}, REJECT_ORDER_TYPE),
        # price
        (K, {"on_grid": 0}, REJECT_OFF_GRID),
        # sizes: 4.99 shares of a smallest 5; Kalshi takes 0.01
        (P, {"qty": 499}, REJECT_SIZE),
        (P, {"qty": 500}, REJECT_NONE),
        (K, {"qty": 1, "min_qty": 1}, REJECT_NONE),
        (K, {"qty": 0, "min_qty": 0}, REJECT_SIZE),
        (K, {"qty": -5, "min_qty": -9}, REJECT_SIZE),
        # a buy that trades at once: 9.99 x 10 c = $0.999 and 10 x 10 c = $1
        (P, {"leg_px": 1000, "qty": 999, "crosses": 1}, REJECT_NOTIONAL),
        (P, {"leg_px": 1000, "qty": 1000, "crosses": 1}, REJECT_NONE),
        (P, {"leg_px": 1000, "qty": 999, "crosses": 0}, REJECT_NONE),
        (P, {"leg_px": 1000, "qty": 999, "crosses": 1, "buys": 0}, REJECT_NONE),
        (K, {"leg_px": 1000, "qty": 999, "crosses": 1}, REJECT_NONE),
        # post-only
        (K, {"post_only": 1, "crosses": 1}, REJECT_POST_ONLY_CROSS),
        (K, {"post_only": 1}, REJECT_NONE),
        (P, {"post_only": 1, "crosses": 1}, REJECT_POST_ONLY_CROSS),
        # reduce-only: cut to what is held, and that must be large enough
        (K, {"tif": IOC, "reduce_only": 1}, REJECT_NOTHING_TO_REDUCE),
        (K, {"tif": IOC, "reduce_only": 1, "held_qty": 499}, REJECT_SIZE),
        (K, {"tif": IOC, "reduce_only": 1, "held_qty": 500}, REJECT_NONE),
        (K, {"tif": GTC, "reduce_only": 1, "held_qty": 500}, REJECT_ORDER_TYPE),
        (P, {"tif": IOC, "reduce_only": 1, "held_qty": 500}, REJECT_ORDER_TYPE),
        # by amount
        (P, {"tif": IOC, "budget_uusd": 5_000_000}, REJECT_NONE),
        (P, {"tif": FOK, "budget_uusd": 5_000_000}, REJECT_NONE),
        (P, {"tif": FOK, "budget_uusd": 5_000_000, "buys": 0}, REJECT_ORDER_TYPE),
        (P, {"budget_uusd": 5_000_000}, REJECT_ORDER_TYPE),
        (K, {"tif": IOC, "budget_uusd": 5_000_000}, REJECT_ORDER_TYPE),
        # times in force that do not exist
        (K, {"tif": -1}, REJECT_ORDER_TYPE),
        (K, {"tif": 3}, REJECT_ORDER_TYPE),
        # its group
        (K, {"group_open": 0}, REJECT_GROUP),
        # the first reason counts
        (P, {"status": CLOSED, "on_grid": 0, "qty": 1}, REJECT_MARKET_CLOSED),
        (P, {"tif": 7, "on_grid": 0, "qty": 1}, REJECT_ORDER_TYPE),
        (P, {"expiry_ns": 1, "on_grid": 0, "qty": 1}, REJECT_EXPIRY),
        (P, {"on_grid": 0, "qty": 1, "post_only": 1, "crosses": 1}, REJECT_OFF_GRID),
        (P, {"qty": 1, "post_only": 1, "crosses": 1}, REJECT_SIZE),
        (P, {"leg_px": 100, "post_only": 1, "crosses": 1}, REJECT_NOTIONAL),
    ],
)
def test_orders_of_the_table(venue, changes, code):
    assert ALL_REJECT_NAMES[verdict(venue, **changes)] == ALL_REJECT_NAMES[code]


# (tif, expiry, post_only, reduce_only, by amount) that a venue takes, written down from its pages
OFFERED = {
    K: {
        (GTC, 0, 0, 0, 0), (GTC, 0, 1, 0, 0), (GTC, 1, 0, 0, 0), (GTC, 1, 1, 0, 0),
        (IOC, 0, 0, 0, 0), (IOC, 0, 0, 1, 0), (FOK, 0, 0, 0, 0),
    },
    P: {
        (GTC, 0, 0, 0, 0), (GTC, 0, 1, 0, 0), (GTC, 1, 0, 0, 0), (GTC, 1, 1, 0, 0),
        (IOC, 0, 0, 0, 0), (IOC, 0, 0, 0, 1), (FOK, 0, 0, 0, 0), (FOK, 0, 0, 0, 1),
    },
}  # fmt: skip


@pytest.mark.parametrize("venue", [K, P])
def test_every_combination(venue):
    for combination in product((GTC, IOC, FOK), (0, 1), (0, 1), (0, 1), (0, 1)):
        tif, expiry, post_only, reduce_only, amount = combination
        code = verdict(
            venue, tif=tif, expiry_ns=expiry * (NOW + 600 * SECOND), post_only=post_only, reduce_only=reduce_only,
            budget_uusd=amount * 5_000_000, held_qty=1000,
        )  # fmt: skip
        assert (code == REJECT_NONE) == (combination in OFFERED[venue]), combination
        assert code in (REJECT_NONE, REJECT_ORDER_TYPE)


def test_when_an_order_ends():
    # Kalshi: the whole second before. Polymarket: a minute before that
    expiry = 1_000_600 * SECOND + 123
    assert ends_at(RULES, K, expiry) == 1_000_600 * SECOND
    assert ends_at(RULES, P, expiry) == 1_000_540 * SECOND
    assert ends_at(RULES, K, 0) == ends_at(RULES, P, 0) == 0


@pytest.mark.parametrize(
    ("status", "mode", "in_delay", "code"),
    [
        (OPEN, TRADING, 0, REJECT_NONE),
        (OPEN, CANCEL_ONLY, 0, REJECT_NONE),
        (OPEN, POST_ONLY_ONLY, 0, REJECT_NONE),
        (PAUSED, TRADING, 0, REJECT_NONE),
        (OPEN, HALTED, 0, REJECT_HALTED),
        (CLOSED, TRADING, 0, REJECT_MARKET_CLOSED),
        (SETTLED, TRADING, 0, REJECT_MARKET_CLOSED),
        (OPEN, TRADING, 1, REJECT_IN_DELAY),
    ],
)
def test_cancels(status, mode, in_delay, code):
    assert cancellable(status, mode, in_delay) == code


@pytest.mark.parametrize(
    ("venue", "event", "cancel_on_pause", "clear_on_start", "code"),
    [
        (K, EVENT_PAUSE, 0, 0, REJECT_NONE),
        (K, EVENT_PAUSE, 1, 0, REJECT_PAUSED),
        (P, EVENT_PAUSE, 1, 0, REJECT_NONE),  # Polymarket has no such wish
        (K, EVENT_RESUME, 0, 0, REJECT_PAUSED),
        (P, EVENT_RESUME, 0, 0, REJECT_NONE),
        (K, EVENT_CLOSE, 0, 0, REJECT_MARKET_CLOSED),
        (P, EVENT_CLOSE, 0, 0, REJECT_MARKET_CLOSED),
        (P, EVENT_START, 0, 1, REJECT_BOOK_CLEARED),
        (P, EVENT_START, 0, 0, REJECT_NONE),
        (P, EVENT_SILENCE, 0, 0, REJECT_VENUE),
        (K, EVENT_SILENCE, 0, 0, REJECT_NONE),
    ],
)
def test_events_that_end_resting_orders(venue, event, cancel_on_pause, clear_on_start, code):
    assert ended_by(RULES, venue, event, cancel_on_pause, clear_on_start) == code


@pytest.mark.parametrize(
    ("venue", "http", "text", "code"),
    [
        ("kalshi", 409, '{"error":{"code":"trading_is_paused"}}', REJECT_PAUSED),
        ("kalshi", 409, '{"error":{"code":"fill_or_kill_insufficient_resting_volume"}}', REJECT_FOK_UNFILLED),
        ("kalshi", 409, '{"error":{"code":"order_already_exists"}}', REJECT_DUPLICATE),
        ("kalshi", 400, '{"error":{"code":"invalid_order","details":"post only cross"}}', REJECT_POST_ONLY_CROSS),
        ("kalshi", 400, "MARKET_INACTIVE", REJECT_MARKET_CLOSED),
        ("kalshi", 429, '{"error":"too many requests"}', REJECT_RATE_LIMIT),
        ("kalshi", 429, '{"error":{"code":"too_many_requests"}}', REJECT_RATE_LIMIT),
        ("kalshi", 404, "not found", REJECT_GONE),
        ("kalshi", 500, "amend of a trade failed", REJECT_VENUE),  # no update's word is taken for consent
        ("polymarket", 400, "order 0xabc is invalid. Price (100) breaks minimum tick size rule: 0.1", REJECT_OFF_GRID),
        ("polymarket", 400, "Size (4) lower than the minimum: 5", REJECT_SIZE),
        ("polymarket", 400, "invalid amount for a marketable BUY order ($0.9982), min size: $1", REJECT_NOTIONAL),
        ("polymarket", 400, "not enough balance / allowance", REJECT_CASH),
        ("polymarket", 400, "invalid post-only order: order crosses book", REJECT_POST_ONLY_CROSS),
        (
            "polymarket",
            400,
            "invalid post-only order: only GTC and GTD order types are allowed",
            REJECT_ORDER_TYPE,
        ),
        (
            "polymarket",
            400,
            "order couldn't be fully filled. FOK orders are fully filled or killed.",
            REJECT_FOK_UNFILLED,
        ),
        ("polymarket", 400, "no orders found to match with FAK order. FAK orders are partially", REJECT_IOC_UNFILLED),
        ("polymarket", 503, "post-only mode: only post-only orders and cancels are allowed", REJECT_POST_ONLY_MODE),
        ("polymarket", 503, "Trading is currently cancel-only. New orders are not accepted", REJECT_PAUSED),
        ("polymarket", 503, "Trading is currently disabled.", REJECT_HALTED),
        ("polymarket", 425, "", REJECT_HALTED),
        ("polymarket", 200, "already canceled or matched", REJECT_GONE),
        ("polymarket", 400, "something new", REJECT_VENUE),
    ],
)
def test_words_of_the_venues(venue, http, text, code):
    assert ALL_REJECT_NAMES[VENUES[venue].orders.reason(text, http)] == ALL_REJECT_NAMES[code]


def test_updates_are_whole_words():
    orders = VENUES["kalshi"].orders
    assert orders.update("SelfTradeCancel") == REJECT_SELF_TRADE
    assert orders.update("Trade") == orders.update("Amend") == REJECT_NONE
    with pytest.raises(ValueError, match="no update reason 'TradeBust'; known are selftradecancel"):
        orders.update("TradeBust")


def test_codes_are_one_run_with_names():
    codes = {name: value for name, value in vars(rejects).items() if name.startswith("REJECT_") and name[7:] != "NAMES"}
    assert sorted(codes.values()) == list(range(10, 10 + len(codes)))
    assert {ALL_REJECT_NAMES[value] for value in codes.values()} == {name[7:].lower() for name in codes}
    assert ALL_REJECT_NAMES[:10] == REJECT_NAMES[:10]


@pytest.mark.parametrize("rules", VENUES.values(), ids=VENUES.keys())
def test_every_reason_a_venue_gives_has_a_name(rules):
    for item in (*rules.orders.refusals, *rules.orders.updates):
        assert 0 <= item.code < len(ALL_REJECT_NAMES)
        assert item.wording == item.wording.lower()
        assert item.evidence in ("docs", "seen", "third party")


def test_kinds_by_name_and_bad_specs():
    assert VENUES["polymarket"].orders.kind("FAK").tif == IOC
    with pytest.raises(ValueError, match="no order kind 'DAY'; known are GTC, GTD, FAK, FOK"):
        VENUES["polymarket"].orders.kind("DAY")
    with pytest.raises(ValueError, match="no kinds"):
        OrderSpec((), ())
    with pytest.raises(ValueError, match="lead_ns = 0; expected at least 1"):
        OrderSpec((OrderKind("GTC", "rests", GTC),), (), lead_ns=0)
