"""What REST says beside a socket: the rows in which it differs, and when it is believed. Books that stay crossed."""

import pytest

from sim.tape import FeeRates
from sim.types import ASK, BID, CLOSED, INFERRED, OPEN, PAUSED, PX_ONE, SECOND_NS
from sim.wire.kalshi import KalshiReader
from sim.wire.listing import CENT_TICKS, MILL_TICKS
from sim.wire.polymarket import PolymarketReader
from sim.wire.told import CROSSED_NS, LAG_NS, Told
from tests.sim.wire_by_hand import (
    BOTH,
    NOW,
    QUADRATIC,
    book,
    change,
    changes,
    delta,
    kalshi_listing,
    lifecycle,
    message,
    poly,
    polymarket_listing,
    seen,
    whole,
)

LATER = NOW + LAG_NS
HALF = FeeRates("quadratic x 0.5", "kalshi", 35_000)


def readers():
    """One of each venue with its book known, told at NOW; the market's id."""
    kalshi = KalshiReader([kalshi_listing()])
    kalshi.take(book(1), NOW)
    polymarket = PolymarketReader([polymarket_listing()])
    polymarket.take(poly(whole()), NOW)
    return [(kalshi, "A"), (polymarket, "0xa")]


@pytest.mark.parametrize("venue", [0, 1])
def test_only_what_differs_is_told_and_only_once(venue):
    reader, name = readers()[venue]
    believed = reader.standings[0]
    same = Told(name, OPEN, CENT_TICKS, believed.fees, believed.base_fees)
    assert reader.told([same, Told("another", CLOSED)], NOW, NOW).rows == []
    other = Told(name, PAUSED, MILL_TICKS, HALF)
    rows = [("STATUS", -1, 0, PAUSED, INFERRED), ("TICKS", -1, 0, 1, INFERRED), ("FEES", -1, 0, 1, BOTH)]
    assert seen(reader.told([other], NOW, LATER)) == rows
    assert reader.told([other], NOW, LATER).rows == []
    assert reader.rules[0].tick_tables == (CENT_TICKS, MILL_TICKS) and HALF in reader.rules[0].fee_schedules
    assert seen(reader.told([Told(name, OPEN, CENT_TICKS)], NOW, LATER)) == [
        ("STATUS", -1, 0, OPEN, INFERRED), ("TICKS", -1, 0, 0, BOTH),
    ]  # fmt: skip


@pytest.mark.parametrize("venue", [0, 1])
def test_what_is_paid_ends_a_market_for_good(venue):
    reader, name = readers()[venue]
    paid = Told(name, CLOSED, payout_px=PX_ONE)
    assert seen(reader.told([paid], NOW, NOW)) == [("STATUS", -1, 0, CLOSED, INFERRED), ("SETTLE", -1, PX_ONE, 0, BOTH)]
    assert reader.told([paid], NOW, NOW).rows == [] and not reader.books[0].known
    assert reader.reconnected(LATER) == ([], (), ())
    reader.take(book(2) if venue == 0 else poly(whole()), LATER)
    assert reader.counts["after_settlement"] == 1


@pytest.mark.parametrize("venue", [0, 1])
def test_the_book_of_a_market_that_has_closed_is_not_asked_for(venue):
    reader, name = readers()[venue]
    reader.told([Told(name, CLOSED)], NOW, NOW)
    taken = reader.reconnected(NOW)
    assert seen(taken) == [("GAP", -1, 0, 0, INFERRED)] and taken.lost == ()
    taken = reader.told([Told(name, OPEN)], NOW, NOW)  # it was opened again
    assert seen(taken) == [("STATUS", -1, 0, OPEN, INFERRED)] and taken.lost == (0,)


def test_an_answer_that_may_be_older_than_a_message_is_not_believed():
    reader, _ = readers()[0]
    reader.take(lifecycle(1, "deactivated"), NOW)
    still_open = Told("A", OPEN, payout_px=0)
    assert reader.told([still_open], LATER - 1, LATER + SECOND_NS).rows == []
    assert seen(reader.told([still_open], LATER, LATER + SECOND_NS))[0] == ("STATUS", -1, 0, OPEN, INFERRED)
    market = PolymarketReader([polymarket_listing()])
    step = {"asset_id": "11", "old_tick_size": "0.01", "new_tick_size": "0.001"}
    market.take(poly(message("tick_size_change", **step)), NOW)
    assert market.told([Told("0xa", ticks=CENT_TICKS)], LATER - 1, LATER).rows == []
    assert len(market.told([Told("0xa", ticks=CENT_TICKS)], LATER, LATER).rows) == 1


def test_ticks_that_a_message_and_an_answer_tell_have_one_number():
    reader, _ = readers()[1]
    tenths = ((0, PX_ONE, 1000),)
    reader.told([Told("0xa", ticks=tenths)], NOW, NOW)
    tick = {"asset_id": "11", "old_tick_size": "0.1"}
    (row,) = reader.take(poly(message("tick_size_change", new_tick_size="0.001", **tick)), NOW).rows
    assert row[2] == 2 and reader.rules[0].tick_tables == (CENT_TICKS, tenths, MILL_TICKS)
    assert reader.take(poly(message("tick_size_change", new_tick_size="0.001", **tick)), NOW).rows == []


def test_a_series_fees_that_have_changed_are_those_that_come_back():
    reader, _ = readers()[0]
    reader.told([Told("A", fees=QUADRATIC, base_fees=HALF)], NOW, NOW)
    update = b'{"type":"event_fee_update","sid":3,"seq":1,"msg":{"event_ticker":"E","fee_type_override":null}}'
    (row,) = reader.take(update, NOW).rows
    assert reader.rules[0].fee_schedules[row[2]] == HALF


def test_kalshis_book_that_stays_crossed_is_lost():
    reader, _ = readers()[0]
    crossing = reader.take(delta(2, price="0.4500", change="3.00"), NOW)  # a bid at the ask of 45 c
    assert seen(crossing) == [("DELTA", BID, 4500, 3_000_000, 0)] and crossing.lost == ()
    taken = reader.take(delta(3, price="0.4000", change="1.00"), NOW + CROSSED_NS - 1)
    assert len(taken.rows) == 1 and taken.lost == ()
    taken = reader.take(delta(4, price="0.4000", change="1.00"), NOW + CROSSED_NS)
    assert seen(taken)[1:] == [("GAP", -1, 0, 0, INFERRED)] and taken.lost == (0,)
    assert reader.counts["distrusted"] == 1
    reader.take(book(5), NOW + CROSSED_NS)
    assert reader.take(delta(6, price="0.4000"), NOW + 3 * CROSSED_NS).lost == ()


def test_a_crossing_that_ends_begins_anew():
    reader, _ = readers()[0]
    for seq, price, side, after_ns in ((2, "0.4500", "3.00", 0), (3, "0.4500", "-3.00", CROSSED_NS // 2)):
        reader.take(delta(seq, price=price, change=side), NOW + after_ns)
    reader.take(delta(4, price="0.4500", change="3.00"), NOW + CROSSED_NS)
    assert reader.take(delta(5, price="0.4000"), NOW + 2 * CROSSED_NS - 1).lost == ()
    assert reader.take(delta(6, price="0.4000"), NOW + 2 * CROSSED_NS).lost == (0,)


def test_polymarkets_crossed_book_is_found_by_any_frame():
    reader, _ = readers()[1]
    reader.take(poly(changes(change("11", "0.46", "3", "BUY"))), NOW)  # the ask is 45 c
    assert reader.take(b"PONG", NOW + CROSSED_NS - 1).lost == ()
    taken = reader.take(b"PONG", NOW + CROSSED_NS)
    assert seen(taken) == [("GAP", -1, 0, 0, INFERRED)] and taken.lost == (0,)
    assert reader.take(b"PONG", NOW + 3 * CROSSED_NS).rows == []
    reader.take(poly(whole()), NOW + 3 * CROSSED_NS)
    assert reader.books[0].known and reader.books[0].best == [4200, 4500]
    assert reader.books[0].sizes[ASK] == {4500: 5_000_000, 5000: 7_000_000}
