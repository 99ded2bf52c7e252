"""Kalshi's frames, one by one: rows spelled out."""

from __future__ import annotations

import json

import pytest
from wire_by_hand import (
    BOTH,
    CLOSE,
    END,
    MS,
    NOW,
    ONE,
    QUADRATIC,
    WHOLE,
    book,
    delta,
    kalshi,
    kalshi_listing,
    lifecycle,
    ok,
    reader,
    seen,
    snapshot,
    subscribed,
    ticker,
    told,
    trade,
)

from sim.tape import FeeRates
from sim.types import ASK, BID, CLOSED, OPEN, PAUSED, SECOND_NS
from sim.wire.kalshi import KalshiReader
from sim.wire.listing import CENT_TICKS
from sim.wire.units import Unclear

# Books ---------------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_a_whole_book_in_yes_space():
    taken, kept = told(book(7))
    assert seen(taken) == WHOLE
    assert {(row[0], row[1], row[4], row[6]) for row in taken.rows} == {(NOW, 0, 7, 0)}
    assert kept.books[0].sizes == ({4000: 10 * ONE, 4200: 20 * ONE}, {4500: 5 * ONE})
    assert (kept.books[0].best, kept.books[0].known, taken.lost, taken.notes) == ([4200, 4500], True, (), ())
    assert kept.counts == {"orderbook_snapshot": 1}


def test_a_second_snapshot_replaces_the_first():
    taken, kept = told(book(1), snapshot(2, yes_dollars_fp=[["0.0010", "0.01"]], ts_ms=MS))
    assert seen(taken, "venue_ns", "seq") == [
        ("CLEAR", -1, 0, 0, 0, MS * 10**6, 2),
        ("LEVEL", BID, 10, ONE // 100, END, MS * 10**6, 2),
    ]
    assert kept.books[0].sizes == ({10: ONE // 100}, {})


@pytest.mark.parametrize("sides", [{}, {"yes_dollars_fp": None}, {"yes_dollars_fp": [], "no_dollars_fp": None}])
def test_missing_null_and_empty_sides_are_empty(sides):
    taken, kept = told(book(1), snapshot(2, **sides))
    assert seen(taken) == [("CLEAR", -1, 0, 0, END)]  # the close is 100 s away
    assert (kept.books[0].sizes, kept.books[0].known) == (({}, {}), True)


def test_changes_of_both_legs():
    taken, kept = told(book(1), delta(2, "yes", "0.4200", "-5.50", ts="2026-08-07T06:46:27.97871Z"))
    assert seen(taken, "venue_ns", "seq", "local_ns") == [
        ("DELTA", BID, 4200, -5_500_000, END, (MS * 1000 + 710) * 1000, 2, NOW)  # .97871 s are 978,710 us
    ]
    taken = kept.take(delta(3, "no", "0.5500", "2.25"), NOW)  # NO bid at 55 c = YES ask at 45 c
    assert seen(taken, "venue_ns") == [("DELTA", ASK, 4500, 2_250_000, END, MS * 10**6)]
    assert kept.books[0].sizes == ({4000: 10 * ONE, 4200: 14_500_000}, {4500: 7_250_000})
    kept.take(delta(4, "yes", "0.4200", "-14.50"), NOW)
    assert kept.books[0].best == [4000, 4500]
    assert kept.take(delta(5, "no", "0.5550", "0.01"), NOW).rows[0][3] == 4450


@pytest.mark.parametrize(
    "text, micro",
    [
        ("2026-08-07T06:46:27.978Z", 0), ("2026-08-07T06:46:27.978001Z", 1), ("2026-08-07T06:46:27Z", 0),
        ("2026-08-07T06:46:27.500001Z", 0), ("2026-08-07T06:46:27.97800199999Z", 1), (1_786_085_187, 0), (None, 0),
    ],
)  # fmt: skip
def test_the_text_stamp_only_refines_the_millisecond_it_agrees_with(text, micro):
    taken, _ = told(book(1), delta(2, ts=text))
    assert taken.rows[0][1] == (MS * 1000 + micro) * 1000


def test_a_batch_stays_open_while_the_book_is_crossed():
    crossing, kept = told(book(1), delta(2, "yes", "0.4500", "3.00"))
    assert seen(crossing) == [("DELTA", BID, 4500, 3 * ONE, 0)]
    assert seen(kept.take(trade(1, taker_book_side="bid"), NOW))[0][4] == 0
    assert seen(kept.take(delta(3, "yes", "0.4500", "-3.00"), NOW)) == [("DELTA", BID, 4500, -3 * ONE, END)]


# What cannot be ------------------------------------------------------------------------------------------------------

BAD_DELTAS = [
    {"change": "-20.01"}, {"price": "0.4300", "change": "-0.01"}, {"price": "0.42001"}, {"price": "0.0000"},
    {"price": "1.0000"}, {"price": "-0.4200"}, {"price": "1e-1"}, {"price": "٠.٤٢"}, {"change": "NaN"},
    {"change": "1e2"}, {"change": ""}, {"change": "0.0000001"}, {"side": "YES"}, {"side": ""},
    {"change": "9" * 40}, {"ts_ms": -1},
    {"ts_ms": 10**16}, {"change": "100000000000"},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_DELTAS)
def test_a_change_that_cannot_be_makes_its_book_lost(bad):
    taken, kept = told(book(1), book(2, "B"), delta(3, **bad), names=("A", "B"))
    assert seen(taken, "market") == [("GAP", -1, 0, 0, 2, 0)]
    assert (taken.lost, taken.notes) == ((0,), ())
    assert [ladder.known for ladder in kept.books] == [False, True]
    assert kept.counts["unreadable"] == 1
    assert kept.take(delta(4), NOW) == ([], (), ())  # told of no more
    assert kept.counts["untrusted"] == 1
    assert seen(kept.take(delta(5, ticker="B"), NOW), "market") == [("DELTA", BID, 4200, -ONE, END, 1)]
    assert seen(kept.take(book(6), NOW)) == WHOLE
    assert kept.books[0].known


@pytest.mark.parametrize(
    "sides",
    [
        {"yes_dollars_fp": [["0.4200", "-1.00"]]}, {"yes_dollars_fp": [["0", "1.00"]]},
        {"no_dollars_fp": [["1.0000", "1.00"]]},
        {"yes_dollars_fp": [["0.4200", ""]]}, {"ts_ms": -1},
        {"yes_dollars_fp": [["0.4500", "1.00"]], "no_dollars_fp": [["0.5500", "1.00"]]},  # bid 45, ask 45
    ],
)  # fmt: skip
def test_a_snapshot_that_cannot_be_makes_its_book_lost(sides):
    taken, kept = told(book(1), snapshot(2, **sides))
    assert (seen(taken), taken.lost) == ([("GAP", -1, 0, 0, 2)], (0,))
    assert kept.counts == {"orderbook_snapshot": 1, "unreadable": 1}
    again = kept.take(snapshot(3, **sides), NOW)
    assert (again.rows, again.lost) == ([], (0,))  # no second GAP, but it is still to be asked for


def test_levels_of_size_zero_do_not_cross_a_snapshot():
    _, kept = told(snapshot(1, yes_dollars_fp=[["0.4500", "0.00"]], no_dollars_fp=[["0.5500", "1.00"]]))
    assert kept.books[0].sizes == ({}, {4500: ONE})


# Prints and quotes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, side",
    [
        ({"taker_book_side": "ask", "taker_outcome_side": "no"}, ASK), ({"taker_book_side": "bid"}, BID),
        ({"taker_outcome_side": "yes"}, BID), ({"taker_outcome_side": "no"}, ASK), ({}, -1), ({"taker_side": "no"}, -1),
        ({"taker_book_side": "?", "taker_outcome_side": "?"}, -1), ({"taker_book_side": None}, -1),
    ],
)  # fmt: skip
def test_prints_have_the_takers_side_where_it_is_said(fields, side):
    taken, _ = told(book(1), trade(1, **fields))
    assert seen(taken, "venue_ns", "seq") == [("TRADE", side, 3600, 136 * ONE, END, MS * 10**6, -1)]


def test_prints_come_without_a_book_too():
    taken, kept = told(trade(1))
    assert seen(taken) == [("TRADE", -1, 3600, 136 * ONE, 0)]
    for bad in ({"count_fp": "0.00"}, {"count_fp": "-1.00"}, {"yes_price_dollars": "1.01"}, {"ts_ms": 10**30}):
        bad_frame = trade(2 + kept.counts["unreadable"], **bad)
        assert kept.take(bad_frame, NOW) == ([], (), (Unclear(0, "message"),))
    assert kept.counts == {"trade": 1, "unreadable": 4}


def test_quotes_come_in_pairs_and_empty_sides_keep_the_venues_words():
    taken, kept = told(book(1), ticker(yes_bid_size_fp="300.00", yes_ask_size_fp="150.00"))
    assert seen(taken, "venue_ns") == [
        ("QUOTE", BID, 4500, 300 * ONE, 0, MS * 10**6),
        ("QUOTE", ASK, 5300, 150 * ONE, END, MS * 10**6),
    ]
    taken = kept.take(ticker(yes_bid_dollars="0.0000", yes_ask_dollars="1.0000", yes_bid_size_fp="0.00"), NOW)
    assert seen(taken) == [("QUOTE", BID, 0, 0, 0), ("QUOTE", ASK, 10_000, -1, END)]
    assert kept.take(ticker(yes_ask_size_fp="-1.00"), NOW).notes == (Unclear(0, "message"),)
    assert kept.take(ticker(ts_ms=-1), NOW).rows == []


# What becomes of a market --------------------------------------------------------------------------------------------


def test_states():
    assert seen(told(book(1), lifecycle(1, "deactivated"))[0]) == [("STATUS", -1, 0, PAUSED, END)]
    assert seen(told(book(1), lifecycle(1, "activated"))[0]) == [("STATUS", -1, 0, OPEN, END)]
    taken, kept = told(book(1), lifecycle(1, "determined", result="yes"))
    assert seen(taken) == [("STATUS", -1, 0, CLOSED, END)]
    assert kept.take(lifecycle(2, "determined", result="yes"), NOW) == ([], (), ())  # said before


@pytest.mark.parametrize(
    "determined, settled, payout",
    [
        ({}, {"settlement_value": "1.0000"}, 10_000), ({}, {"settlement_value": "0.3700"}, 3700), ({},
        {"result": "yes"}, 10_000),
        ({}, {"result": "no"}, 0), ({"result": "no"}, {}, 0), ({"settlement_value": "0.5000"}, {}, 5000),
        ({"result": "yes"}, {"settlement_value": "0.2500", "result": "yes"}, 2500),
        ({}, {"settlement_value": 0.55}, 5500), ({}, {"settlement_value": 1}, 10_000), ({"settlement_value": 0}, {}, 0),
    ],
)  # fmt: skip
def test_settlement(determined, settled, payout):
    taken, kept = told(book(1), lifecycle(1, "determined", **determined), lifecycle(2, "settled", **settled))
    assert seen(taken) == [("SETTLE", -1, payout, 0, END)]
    for frame in (lifecycle(3, "settled", result="yes"), book(2), ticker(), trade(1)):
        assert kept.take(frame, NOW) == ([], (), ())
    assert kept.counts["after_settlement"] == 4
    assert kept.reconnected(NOW) == ([], (), ())


@pytest.mark.parametrize("settled", [{}, {"result": "scalar"}, {"result": ""}, {"settlement_value": None}])
def test_a_settlement_that_does_not_say_what_it_pays_is_asked_for(settled):
    taken, kept = told(book(1), lifecycle(1, "settled", **settled))
    assert taken == ([], (), (Unclear(0, "settlement"),))
    assert kept.books[0].known
    for seq, value in enumerate(("1.5", 1.5, 0.12345, True, [], ""), 2):
        assert kept.take(lifecycle(seq, "settled", settlement_value=value), NOW).notes == (Unclear(0, "message"),)


def test_other_news_of_a_market_is_handed_on():
    taken, _ = told(lifecycle(1, "metadata_updated", floor_strike=95_000))
    assert taken.rows == []
    assert taken.notes[0].msg.event_type == "metadata_updated"


def test_price_levels():
    deci = [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
    taken, kept = told(book(1), lifecycle(1, "price_level_structure_updated", price_ranges=deci))
    assert seen(taken) == [("TICKS", -1, 0, 1, END)]
    assert kept.rules[0].tick_tables == (CENT_TICKS, ((0, 10_000, 10),))
    cent = [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]
    assert seen(kept.take(lifecycle(2, "price_level_structure_updated", price_ranges=cent), NOW))[0][3] == 0
    for ranges in ([], None, [deci[0] | {"step": "0.0000"}], [deci[0] | {"step": "0.0003"}], deci * 2):
        frame = lifecycle(3 + kept.counts["unreadable"], "price_level_structure_updated", price_ranges=ranges)
        assert kept.take(frame, NOW).notes == (Unclear(0, "message"),)
    assert len(kept.rules[0].tick_tables) == 2


def event_fee(seq, fee_type, multiplier, event="E"):
    fields = {"event_ticker": event, "fee_type_override": fee_type, "fee_multiplier_override": multiplier}
    return kalshi("event_fee_update", seq, 4, **fields)


def test_event_fees_are_of_every_market_of_the_event():
    kept = KalshiReader([kalshi_listing("A"), kalshi_listing("B", "F"), kalshi_listing("C", base_fees=None)])
    taken = kept.take(event_fee(1, "quadratic_with_maker_fees", 0.5), NOW)
    assert seen(taken, "market") == [("FEES", -1, 0, 1, 0, 0), ("FEES", -1, 0, 1, 0, 2)]
    half = FeeRates("quadratic_with_maker_fees x 0.5", "kalshi", 35_000, 8_750)  # a quarter of 35,000
    assert kept.rules[0].fee_schedules == kept.rules[2].fee_schedules == (QUADRATIC, half)
    taken = kept.take(event_fee(2, None, None), NOW)  # A's own are known, C's are not
    assert seen(taken, "market") == [("FEES", -1, 0, 0, 0, 0)]
    assert taken.notes == (Unclear(2, "fees"),)
    taken = kept.take(event_fee(3, "flat", 1), NOW)
    assert taken == ([], (), (Unclear(0, "fees"), Unclear(2, "fees")))
    assert kept.take(event_fee(4, "quadratic", 0.12345678), NOW).rows == []  # 8641.9746 ppm are no whole number
    assert kept.take(event_fee(5, "quadratic", -1), NOW).rows == []
    assert kept.take(event_fee(6, "quadratic", 1, "G"), NOW) == ([], (), ())
    assert kept.counts == {"event_fee_update": 2, "unreadable": 3, "other_market": 1}
    assert kept.rules[1].fee_schedules == (QUADRATIC,)


# The close -----------------------------------------------------------------------------------------------------------


def test_an_empty_snapshot_after_the_close_says_that_trading_has_ended():
    taken, kept = told(snapshot(1), at=CLOSE + 6 * SECOND_NS)
    assert seen(taken) == [("CLEAR", -1, 0, 0, 0), ("STATUS", -1, 0, CLOSED, BOTH)]
    assert seen(kept.take(snapshot(2), CLOSE + 7 * SECOND_NS)) == [("CLEAR", -1, 0, 0, END)]  # once
    assert kept.take(lifecycle(1, "determined"), CLOSE + 8 * SECOND_NS).rows == []  # known by then


@pytest.mark.parametrize(
    "at, close_ns, closed",
    [(CLOSE - SECOND_NS - 1, CLOSE, False), (CLOSE - SECOND_NS, CLOSE, True), (CLOSE, 0, False), (CLOSE, CLOSE, True)],
)
def test_the_close_as_scheduled(at, close_ns, closed):
    taken, _ = told(snapshot(1), at=at, close_ns=close_ns)
    assert ("STATUS", -1, 0, CLOSED, BOTH) in seen(taken) if closed else len(taken.rows) == 1


def test_a_book_with_levels_after_the_close_is_no_close():
    assert seen(told(book(1), at=CLOSE + SECOND_NS)[0]) == WHOLE


def test_a_close_that_moves():
    later = CLOSE // SECOND_NS + 1000
    taken, kept = told(book(1), lifecycle(1, "close_date_updated", close_ts=later))
    assert taken == ([], (), (Unclear(0, "close"),))
    assert len(kept.take(snapshot(2), CLOSE + SECOND_NS).rows) == 1
    assert len(kept.take(snapshot(3), later * SECOND_NS).rows) == 2
    kept.take(lifecycle(2, "activated"), NOW)  # trading goes on, and ends again
    assert len(kept.take(snapshot(4), later * SECOND_NS).rows) == 2
    _, kept = told(book(1), lifecycle(1, "close_date_updated"))  # to when is not said
    assert len(kept.take(snapshot(2), CLOSE + SECOND_NS).rows) == 1


# Control -------------------------------------------------------------------------------------------------------------


def test_control_and_account_messages_are_handed_on():
    fill = {
        "trade_id": "t", "order_id": "o", "market_ticker": "A", "is_taker": True, "yes_price_dollars": "0.7500",
        "count_fp": "278.00", "outcome_side": "yes", "book_side": "bid", "fee_cost": "0.010000",
    }  # fmt: skip
    frames = [
        subscribed("orderbook_delta", 1), ok(1), kalshi("fill", None, 13, **fill),
        json.dumps({"type": "error", "id": 1, "msg": {"code": 9, "msg": "Authentication required"}}).encode(),
        json.dumps({"type": "unsubscribed", "sid": 1, "seq": 2}).encode(),
    ]  # fmt: skip
    kept = reader()
    notes = [kept.take(frame, NOW).notes for frame in frames]
    assert [type(note).__name__ for (note,) in notes] == [
        "SubscribedFrame", "OkFrame", "FillFrame", "ErrorFrame", "UnsubscribedFrame",
    ]  # fmt: skip
    assert kept.counts == {"subscribed": 1, "ok": 1, "fill": 1, "error": 1, "unsubscribed": 1}


def test_text_and_bytes_are_the_same():
    assert reader().take(book(1).decode(), NOW) == reader().take(book(1), NOW)


def test_frames_of_other_markets_are_counted():
    taken, kept = told(book(1, "Z"))
    assert (taken, kept.counts) == (([], (), ()), {"other_market": 1})


def test_news_of_events_is_read_and_says_nothing():
    kept = reader()
    ours, other = (kalshi("event_lifecycle", seq, 4, event_ticker=name, title="?") for seq, name in enumerate("EF", 1))
    assert type(kept.take(ours, NOW).notes[0]).__name__ == "EventFrame"
    assert kept.take(other, NOW) == ([], (), ())
    assert kept.counts == {"event_lifecycle": 1, "other_market": 1}


def test_combinations_are_told_as_other_markets_are():
    news = {"market_ticker": "A", "event_type": "settled", "settlement_value": "0.2500"}
    taken, kept = told(book(1), kalshi("multivariate_market_lifecycle", 1, 5, **news | {"market_ticker": "Z"}))
    assert (taken, kept.counts["other_market"]) == (([], (), ()), 1)
    assert seen(kept.take(kalshi("multivariate_market_lifecycle", 2, 5, **news), NOW)) == [("SETTLE", -1, 2500, 0, END)]
