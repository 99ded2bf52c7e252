"""What a feed reads of the venues' REST: requests as they are sent, answers as they are read, in YES space."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Answers, client_of, served

from live import kalshi_rest, polymarket_rest
from live.books import book_of
from live.errors import VenueError
from live.kalshi_rest import KalshiRest
from live.limits import Costs, Rate
from live.polymarket_rest import PolymarketRest
from sim.types import ASK, BID, PX_ONE
from sim.venues.rules import TickRange
from sim.wire.units import contracts, dollars

MARKET = {
    "ticker": "KXA-26-T1",
    "event_ticker": "KXA-26",
    "status": "active",
    "result": "",
    "yes_sub_title": "Above 1",
    "open_time": "2026-09-26T00:00:00Z",
    "close_time": "2026-09-27T00:00:00.5Z",
    "price_level_structure": "tapered_deci_cent",
    "price_ranges": [
        {"start": "0.0000", "end": "0.1000", "step": "0.0010"},
        {"start": "0.1000", "end": "0.9000", "step": "0.0100"},
        {"start": "0.9000", "end": "1.0000", "step": "0.0010"},
    ],
    "some_new_key": {"price_level_structure": "not this one"},
}
TRADE = {
    "trade_id": "t1",
    "ticker": "KXA-26-T1",
    "count_fp": "8.94",
    "yes_price_dollars": "0.7700",
    "taker_book_side": "bid",
    "taker_outcome_side": "yes",
    "created_time": "2026-09-26T22:52:42.728645Z",
    "is_block_trade": False,
}
TOKENS = ("111", "222")
GAMMA = {
    "conditionId": "0x" + "ab" * 32,
    "question": "Up or down?",
    "slug": "up-or-down",
    "clobTokenIds": json.dumps(TOKENS),
    "outcomes": '["Up", "Down"]',
    "outcomePrices": '["0.505", "0.495"]',
    "closed": False,
    "acceptingOrders": True,
    "startDate": "2026-07-23T02:48:35.302901Z",
    "endDate": "2026-07-24T00:00:00Z",
    "orderPriceMinTickSize": 0.001,
    "orderMinSize": 5,
    "feesEnabled": True,
    "feeType": "crypto_fees_v2",
    "feeSchedule": {"rate": 0.07, "exponent": 1, "takerOnly": True, "rebateRate": 0.2},
    "negRisk": False,
}


def told(venue, call, *answers):
    """Result or error of a call, and the requests that were made: method, path with query, body."""
    server = Answers(*((200, answer) for answer in answers))

    async def main():
        async with served(server) as url, client_of(url) as client:
            rest = KalshiRest(client) if venue == "kalshi" else PolymarketRest(client, client)
            try:
                return await call(rest)
            except VenueError as error:
                return error

    return asyncio.run(main()), [seen[:3] for seen in server.seen]


def test_a_kalshi_market():
    market, seen = told("kalshi", lambda rest: rest.market("KXA-26-T1"), {"market": MARKET})
    assert seen == [("GET", "/api/markets/KXA-26-T1", "")]
    assert (market.title, market.status, market.result, market.payout_px) == ("Above 1", "active", "", None)
    assert market.close_ns - market.open_ns == 86_400_500_000_000
    assert market.rules.ticks == (TickRange(0, 1000, 10), TickRange(1000, 9000, 100), TickRange(9000, PX_ONE, 10))


def test_a_settled_kalshi_market_says_what_yes_pays():
    ended = {
        **MARKET,
        "settlement_value_dollars": "0.5000",
        "settlement_ts": "2026-09-28T00:00:00Z",
        "result": "scalar",
    }
    market, _ = told("kalshi", lambda rest: rest.market("KXA-26-T1"), {"market": ended})
    assert (market.payout_px, market.result, market.settled_ns) == (5000, "scalar", 1_790_553_600 * 10**9)


def test_kalshi_markets_come_in_parts_of_a_hundred():
    names = [f"KXA-{number}" for number in range(150)]
    parts = [{"markets": [{**MARKET, "ticker": name} for name in part]} for part in (names[:100], names[100:149])]
    markets, seen = told("kalshi", lambda rest: rest.markets(names), *parts)
    assert list(markets) == names[:149] and len(seen) == 2
    assert seen[1][1] == f"/api/markets?tickers={','.join(names[100:])}&limit=1000"


def test_a_kalshi_series_and_an_event_with_its_override():
    said = {"series": {"ticker": "KXA", "title": "A", "fee_type": "quadratic_with_maker_fees", "fee_multiplier": 0.5}}
    series, seen = told("kalshi", lambda rest: rest.series("KXA"), said)
    assert seen[0][1] == "/api/series/KXA"
    # taker .07 x .5, maker a quarter of it
    assert (series.rules.fees.taker_ppm, series.rules.fees.maker_ppm) == (35_000, 8_750)

    event = {
        "event_ticker": "KXA-26",
        "series_ticker": "KXA",
        "collateral_return_type": "MECNET",
        "mutually_exclusive": True,
    }
    plain, seen = told("kalshi", lambda rest: rest.event("KXA-26"), {"event": {**event, "markets": [MARKET]}})
    assert seen[0][1] == "/api/events/KXA-26?with_nested_markets=true"
    assert (plain.rules.fees, plain.rules.exclusive, plain.mutually_exclusive) == (None, "MECNET", True)
    assert [market.ticker for market in plain.markets] == ["KXA-26-T1"]
    over = {**event, "fee_type_override": "quadratic", "fee_multiplier_override": 1}
    beside, _ = told("kalshi", lambda rest: rest.event("KXA-26"), {"event": over, "markets": [MARKET]})
    assert beside.rules.fees.taker_ppm == 70_000 and len(beside.markets) == 1


def test_kalshi_books_are_two_sides_of_bids():
    said = {"ticker": "A", "orderbook_fp": {"yes_dollars": [["0.4000", "1.00"], ["0.4200", "2.50"]],
                                            "no_dollars": [["0.5000", "3.00"], ["0.5500", "4.00"]]}}  # fmt: skip
    empty = {"ticker": "B", "orderbook_fp": {"yes_dollars": [], "no_dollars": None}}
    books, seen = told("kalshi", lambda rest: rest.orderbooks(["A", "B", "C"]), {"orderbooks": [said, empty]})
    assert seen[0][1] == "/api/markets/orderbooks?tickers=A&tickers=B&tickers=C"  # repeated, not joined
    # a NO bid of .55 is a YES ask of .45, of .50 one of .50
    assert books == {
        "A": {BID: [(4200, 2_500_000), (4000, 1_000_000)], ASK: [(4500, 4_000_000), (5000, 3_000_000)]},
        "B": {BID: [], ASK: []},
    }
    single, seen = told("kalshi", lambda rest: rest.orderbook("A"), said)
    assert single == books["A"] and seen[0][1] == "/api/markets/A/orderbook"


def test_more_books_than_the_venue_gives_at_once_is_an_error():
    with pytest.raises(ValueError, match="101 books"):
        told("kalshi", lambda rest: rest.orderbooks(["A"] * 101))
    with pytest.raises(ValueError, match="0 books"):
        told("polymarket", lambda rest: rest.books({}))


def test_kalshi_trades_oldest_first():
    newer = {**TRADE, "trade_id": "t2", "taker_book_side": "ask", "created_time": "2026-09-26T22:52:43Z"}
    bare = {key: value for key, value in TRADE.items() if not key.startswith("taker")} | {"trade_id": "t0"}
    leg = {**bare, "taker_outcome_side": "no", "trade_id": "t3"}
    trades, seen = told(
        "kalshi",
        lambda rest: rest.trades("KXA-26-T1", 1_790_000_000_900_000_000),
        {"trades": [newer, TRADE, bare, leg]},
    )
    assert seen[0][1] == "/api/markets/trades?ticker=KXA-26-T1&limit=1000&min_ts=1790000000"
    assert [(trade.trade_id, trade.side) for trade in trades] == [("t3", ASK), ("t0", -1), ("t1", BID), ("t2", ASK)]
    assert (trades[2].px, trades[2].qty, trades[2].venue_ns) == (7700, 8_940_000, 1_790_463_162_728_645_000)


def test_kalshi_status_limits_costs_and_fee_changes():
    status, _ = told("kalshi", lambda rest: rest.exchange_status(), {"exchange_active": True, "trading_active": False})
    assert (status.exchange_active, status.trading_active) == (True, False)
    said = {"usage_tier": "basic", "read": {"bucket_capacity": 400, "refill_rate": 200},
            "write": {"bucket_capacity": 100, "refill_rate": 100}}  # fmt: skip
    account, _ = told("kalshi", lambda rest: rest.account_limits(), said)
    assert account.rates == {"read": Rate(400, 200), "write": Rate(100, 100)}
    table = [{"cost": 2, "method": "GET", "path": "/a/:id"}]
    said = {"default_cost": 10, "endpoint_costs": table}
    costs, _ = told("kalshi", lambda rest: rest.endpoint_costs(), said)
    assert costs == Costs(10, (("GET", "/a/:id", 2),))
    assert (costs.of("GET", "/a/7"), costs.of("GET", "/b")) == (2, 10)
    change = {"id": "1", "series_ticker": "KXA", "fee_type": "quadratic", "fee_multiplier": 1}
    change["scheduled_ts"] = "2026-12-01"
    changes, seen = told("kalshi", lambda rest: rest.series_fee_changes("KXA"), {"series_fee_change_arr": [change]})
    assert seen[0][1] == "/api/series/fee_changes?series_ticker=KXA"
    assert [(rules.market, rules.effective) for rules in changes] == [("KXA", "2026-12-01")]
    assert told("kalshi", lambda rest: rest.series_fee_changes(), {"series_fee_change_arr": []})[0] == []
    clear = {"event_ticker": "KXA-26", "fee_type_override": None, "fee_multiplier_override": None, "scheduled_ts": "x"}
    changes, _ = told("kalshi", lambda rest: rest.event_fee_changes(), {"event_fee_change_arr": [clear]})
    assert [(rules.market, rules.fees) for rules in changes] == [("KXA-26", None)]


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda rest: rest.market("A"), {"markets": []}),
        (lambda rest: rest.market("A"), [1]),
        (lambda rest: rest.market("A"), {"market": {**MARKET, "close_time": "soon"}}),
        (lambda rest: rest.orderbook("A"), {"orderbook": {"yes": []}}),
        (lambda rest: rest.orderbook("A"), {"orderbook_fp": {"yes_dollars": [["1.0000", "1.00"]]}}),
        (lambda rest: rest.orderbook("A"), {"orderbook_fp": {"yes_dollars": [["0.5000", "0.00"]]}}),
        (lambda rest: rest.orderbook("A"), {"orderbook_fp": {"yes_dollars": [["0.5000", "1"], ["0.50", "2"]]}}),
        (lambda rest: rest.orderbook("A"), {"orderbook_fp": {"yes_dollars": [[0.5, 1]]}}),
        (lambda rest: rest.orderbooks(["A"]), {"orderbooks": [{"orderbook_fp": {}}]}),
        (lambda rest: rest.trades("A"), {"trades": None}),
        (lambda rest: rest.exchange_status(), {"exchange_active": "yes", "trading_active": True}),
        (lambda rest: rest.account_limits(), {"read": {}}),
        (lambda rest: rest.series_fee_changes(), {"changes": "none"}),
        (lambda rest: rest.series_fee_changes(), None),
    ],
)
def test_answers_that_are_not_what_they_should_be(call, answer):
    error, _ = told("kalshi", call, answer)
    assert isinstance(error, VenueError) and error.code == "shape" and "GET" in str(error)


@pytest.mark.parametrize(
    "bad", [{"count_fp": "0.00"}, {"yes_price_dollars": "1.5"}, {"created_time": None}, {"count_fp": 8.94}]
)
def test_a_bad_print_does_not_take_the_others_with_it(bad, caplog):
    answer = {"trades": [{**TRADE, "trade_id": "t2", **bad}, TRADE]}
    trades, _ = told("kalshi", lambda rest: rest.trades("KXA-26-T1"), answer)
    assert [trade.trade_id for trade in trades] == ["t1"] and "print of KXA-26-T1: cannot be read" in caplog.text


def test_a_bad_book_does_not_take_the_others_with_it(caplog):
    good, bad = ({"yes_dollars": [["0.4000", size]]} for size in ("1.00", "-1.00"))
    answer = {
        "orderbooks": [{"ticker": "A", "orderbook_fp": bad}, {"ticker": "B", "orderbook_fp": good}, {"ticker": "C"}]
    }
    books, _ = told("kalshi", lambda rest: rest.orderbooks(["A", "B", "C"]), answer)
    assert list(books) == ["B"] and "A: cannot be read" in caplog.text and "C: cannot be read" in caplog.text


@pytest.mark.parametrize("name", ["", "A/B", "A?x=1", "A B", "../x"])
def test_what_is_no_ticker_is_not_sent(name):
    with pytest.raises(ValueError, match="no ticker"):
        told("kalshi", lambda rest: rest.market(name), {})


LEVELS = st.dictionaries(st.integers(1, PX_ONE - 1), st.integers(1, 10**12), max_size=30)


@given(LEVELS, LEVELS, st.booleans())
def test_a_book_of_either_leg_is_the_same_book(bids, asks, is_yes):
    """Told by the YES leg, or mirrored by the NO leg: bids of p become asks of 1 - p."""
    sides = ((BID, bids), (ASK, asks))
    told_levels = [
        (is_yes, side if is_yes else 1 - side, dollars(px if is_yes else PX_ONE - px), contracts(qty))
        for side, levels in sides
        for px, qty in levels.items()
    ]
    book = book_of(told_levels)
    assert book == {BID: sorted(bids.items(), reverse=True), ASK: sorted(asks.items())}


def test_a_polymarket_market():
    market, seen = told("polymarket", lambda rest: rest.market(GAMMA["conditionId"]), [GAMMA])
    assert seen == [("GET", f"/api/markets?condition_ids={GAMMA['conditionId']}&closed=false&limit=100", "")]
    assert (market.tokens, market.outcomes, market.payout_px) == (TOKENS, ("Up", "Down"), None)
    assert market.rules.fees.taker_ppm == 70_000 and market.rules.min_qty == 500  # 5 contracts in lots
    assert market.rules.ticks == (TickRange(0, PX_ONE, 10),)


def test_a_closed_market_is_asked_for_second_and_pays_once_resolved():
    resolved = {**GAMMA, "closed": True, "umaResolutionStatus": "resolved", "outcomePrices": '["0", "1"]',
                "closedTime": "2026-07-24 00:00:16+00"}  # fmt: skip
    market, seen = told("polymarket", lambda rest: rest.market_of_slug("up-or-down"), [], [resolved])
    assert [path for _, path, _ in seen] == [
        f"/api/markets?slug=up-or-down&closed={closed}&limit=100" for closed in ("false", "true")
    ]
    assert (market.payout_px, market.closed, market.closed_ns) == (0, True, 1_784_851_216 * 10**9)
    pending = {**resolved, "umaResolutionStatus": "proposed"}
    assert told("polymarket", lambda rest: rest.market_of_token("111"), [pending])[0].payout_px is None
    error, _ = told("polymarket", lambda rest: rest.market_of_token("111"), [])
    assert error.status == 404 and "0 markets of 111" in str(error)


def test_polymarket_books_are_told_in_any_order_and_of_either_token():
    yes = {"market": "0x1", "asset_id": "111", "timestamp": "1703875200000", "hash": "0xh", "tick_size": "0.01",
           "min_order_size": "5", "bids": [{"price": ".48", "size": "30"}, {"price": "0.49", "size": "19.285713"}],
           "asks": [{"price": "0.53", "size": "1"}, {"price": "0.51", "size": "2"}]}  # fmt: skip
    no = {"market": "0x1", "asset_id": "222", "timestamp": "1", "bids": [{"price": "0.49", "size": "2"}], "asks": []}
    book, seen = told("polymarket", lambda rest: rest.book("111", True), yes)
    assert seen == [("GET", "/api/book?token_id=111", "")]
    assert book.levels == {BID: [(4900, 19_285_713), (4800, 30_000_000)], ASK: [(5100, 2_000_000), (5300, 1_000_000)]}
    assert (book.venue_ns, book.rules.tick_label) == (1_703_875_200 * 10**9, "0.01")
    books, seen = told("polymarket", lambda rest: rest.books({"111": True, "222": False}), [yes, no])
    assert seen == [("POST", "/api/books", '[{"token_id":"111"},{"token_id":"222"}]')]
    assert books["222"].levels == {BID: [], ASK: [(5100, 2_000_000)]} and books["222"].rules is None


def test_the_compact_market_of_the_clob():
    said = {"c": "0xcc", "mts": 0.01, "mos": 5, "fd": {"r": 0.04, "e": 1, "to": True}, "nr": True, "t": []}
    rules, seen = told("polymarket", lambda rest: rest.rules("0x" + "cc" * 31), said)  # 31 bytes: protocol version 2
    assert seen[0][1] == "/api/clob-markets/0x" + "cc" * 31
    assert (rules.fees.taker_ppm, rules.exclusive, rules.min_qty) == (40_000, "negRisk", 500)


@pytest.mark.parametrize(
    "wrong",
    [{"clobTokenIds": '["1"]'}, {"clobTokenIds": "["}, {"outcomes": None}, {"conditionId": None, "startDate": "x"},
     {"closed": True, "umaResolutionStatus": "resolved", "outcomePrices": '["0", "0"]'}],
)  # fmt: skip
def test_a_market_of_gamma_that_cannot_be(wrong):
    error, _ = told("polymarket", lambda rest: rest.market_of_slug("x"), [{**GAMMA, **wrong}])
    assert isinstance(error, VenueError) and error.code == "shape"


def test_names_of_polymarket_are_checked_before_they_are_sent():
    for call in (
        lambda rest: rest.market("0x12"),
        lambda rest: rest.book("x", True),
        lambda rest: rest.markets("id", ["1"]),
    ):
        with pytest.raises(ValueError, match="expected"):
            told("polymarket", call, [])


def test_real_answers_of_kalshi(venue_samples):
    folder = venue_samples / "kalshi"
    books = json.loads((folder / "rest_combo_orderbooks_202608.json").read_text(encoding="utf-8"))
    assert len(kalshi_rest.books_of({"orderbooks": books})) == len(books) > 5
    for line in (folder / "rest_orderbook_weather_20260716.jsonl").read_text(encoding="utf-8").splitlines():
        book = kalshi_rest.rest_book(json.loads(line)["orderbook_fp"])
        assert book[ASK] and (not book[BID] or book[BID][0][0] < book[ASK][0][0])
    quotes = json.loads((folder / "rest_live_quotes_20260926.json").read_text(encoding="utf-8"))
    trade = kalshi_rest.trade_of(quotes["trade_rest"])
    assert (trade.px, trade.qty, trade.side) == (7700, 8_940_000, BID)
    single = json.loads((folder / "rest_market_single_202608.json").read_text(encoding="utf-8"))
    assert kalshi_rest.market_of(single["nested"]).rules.tick_label == "linear_cent"
    series = json.loads((folder / "rest_series_fee_fields_20260820.json").read_text(encoding="utf-8"))
    read = {name: kalshi_rest.series_of(said) for name, said in series["payloads"].items()}
    assert read["KXMLBGAME"].rules.fees.taker_ppm == 35_000


def test_real_answers_of_polymarket(venue_samples):
    folder = venue_samples / "polymarket"
    lines = (folder / "gamma_markets_btc5m_20260724.jsonl").read_text(encoding="utf-8").splitlines()
    for said in map(json.loads, lines):
        market = polymarket_rest.gamma_market(said["raw"])
        assert market.tokens == tuple(said["token_ids"]) and market.condition_id == said["condition_id"]
        assert market.start_ns == said["start_sec"] * 10**9
        assert market.payout_px == {"1": PX_ONE, "0": 0}[said["outcome_prices"][0]]
    for name in ("nautilus_rs_clob_book_response.json", "nautilus_py_http_book.json"):
        book = polymarket_rest.token_book(json.loads((folder / name).read_text(encoding="utf-8")), True)
        assert book.levels[BID][0][0] < book.levels[ASK][0][0]
