"""Polymarket's market channel, message by message: rows spelled out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_by_hand import (
    BOTH,
    END,
    MS,
    NOW,
    ONE,
    change,
    changes,
    frames_counted,
    message,
    poly,
    polymarket_listing,
    seen,
    whole,
)

from sim.types import ASK, BID, PX_ONE
from sim.wire.listing import CENT_TICKS, MILL_TICKS
from sim.wire.polymarket import PolymarketReader
from sim.wire.units import Unclear

# whole(): bids 10 at 40 c and 20 at 42 c, asks 5 at 45 c and 7 at 50 c
WHOLE = [
    ("CLEAR", -1, 0, 0, 0),
    ("LEVEL", BID, 4000, 10 * ONE, 0),
    ("LEVEL", BID, 4200, 20 * ONE, 0),
    ("LEVEL", ASK, 5000, 7 * ONE, 0),
    ("LEVEL", ASK, 4500, 5 * ONE, END),
]
LOST = [("GAP", -1, 0, 0, 2)]


def reader(*conditions, **more):
    markets = [
        polymarket_listing(name, (f"{10 * number + 1}", f"{10 * number + 2}"))
        for number, name in enumerate(conditions or ("0xa",), 1)
    ]
    return PolymarketReader(markets, **more)


def told(*messages, names=(), **more):
    """What the last of ``messages`` says, each a frame of its own, and the reader."""
    kept = reader(*names, **more)
    taken = [kept.take(one if isinstance(one, (bytes, str)) else poly(one), NOW) for one in messages]
    return taken[-1], kept


def pair(price, size, side, best_bid, best_ask):
    """A change as both tokens see it; prices in cents."""
    other = {"BUY": "SELL", "SELL": "BUY"}[side]
    cents = "{:.2f}".format
    mine = change("11", cents(price / 100), size, side, cents(best_bid / 100), cents(best_ask / 100))
    told_other = change("12", cents(1 - price / 100), size, other, cents(1 - best_ask / 100), cents(1 - best_bid / 100))
    return changes(mine, told_other)


# Books ---------------------------------------------------------------------------------------------------------------


def test_a_book_is_whole_in_either_order_of_levels():
    taken, kept = told(whole())
    assert seen(taken, "venue_ns", "local_ns", "seq", "market") == [(*row, MS * 10**6, NOW, -1, 0) for row in WHOLE]
    assert (kept.books[0].best, kept.books[0].known, taken.lost, taken.notes) == ([4200, 4500], True, (), ())
    _, turned = told(whole(bids=(("0.42", "20"), ("0.40", "10")), asks=(("0.45", "5"), ("0.50", "7"))))
    assert (
        turned.books[0].sizes
        == kept.books[0].sizes
        == ({4000: 10 * ONE, 4200: 20 * ONE}, {4500: 5 * ONE, 5000: 7 * ONE})
    )
    assert turned.books[0].best == kept.books[0].best


def test_the_other_tokens_book_is_the_same_book():
    taken, kept = told(whole("12", bids=((".55", "5"),), asks=((".60", "10"), (".58", "20"))))
    assert seen(taken) == [
        ("CLEAR", -1, 0, 0, 0), ("LEVEL", BID, 4000, 10 * ONE, 0), ("LEVEL", BID, 4200, 20 * ONE, 0),
        ("LEVEL", ASK, 4500, 5 * ONE, END),
    ]  # fmt: skip
    taken = kept.take(poly(whole(asks=(("0.45", "5"),))), NOW)
    assert taken == ([], (), ())  # nothing differs


def test_a_book_sent_again_is_the_levels_that_differ():
    taken, _ = told(whole(), whole(bids=(("0.41", "1.5"), ("0.40", "9"), ("0.39", "0"))))
    assert seen(taken) == [
        ("LEVEL", BID, 4200, 0, 2),
        ("LEVEL", BID, 4100, 1_500_000, 2),
        ("LEVEL", BID, 4000, 9 * ONE, BOTH),
    ]


def test_an_empty_book_is_a_book():
    taken, kept = told(whole(bids=(), asks=()))
    assert (seen(taken), kept.books[0].known) == ([("CLEAR", -1, 0, 0, END)], True)


# Changes -------------------------------------------------------------------------------------------------------------


def test_a_change_and_its_mirror_are_one_level_and_two_quotes():
    taken, kept = told(whole(), pair(43, "8", "BUY", 43, 45))
    assert seen(taken) == [
        ("LEVEL", BID, 4300, 8 * ONE, END),
        ("QUOTE", BID, 4300, -1, 0),
        ("QUOTE", ASK, 4500, -1, END),
        ("QUOTE", BID, 4300, -1, 0),
        ("QUOTE", ASK, 4500, -1, END),
    ]
    assert (kept.mirrors, kept.counts["quotes_agree"], kept.counts["quotes_differ"]) == (1, 2, 0)
    kept.take(poly(pair(45, "0", "SELL", 43, 50)), NOW)
    assert (kept.books[0].best, kept.books[0].sizes[ASK]) == ([4300, 5000], {5000: 7 * ONE})


@pytest.mark.parametrize("sizes", ["92", "29", "292", "929", "9292"])
def test_of_several_changes_of_a_level_the_last_holds(sizes):
    _, kept = told(whole(), changes(*(change("11", "0.43", size, "BUY") for size in sizes)))
    assert kept.books[0].sizes[BID][4300] == int(sizes[-1]) * ONE


def test_changes_without_quotes_have_none():
    taken, kept = told(whole(), changes(change("11", "0.43", "8", "BUY"), change("12", "0.50", "3", "SELL")))
    assert seen(taken) == [("LEVEL", BID, 4300, 8 * ONE, 0), ("LEVEL", BID, 5000, 3 * ONE, 0)]  # crossed: open
    assert kept.mirrors == 0
    assert seen(kept.take(poly(changes(change("11", "0.50", "0", "BUY"))), NOW)) == [("LEVEL", BID, 5000, 0, END)]


def test_before_the_first_book_rows_belong_to_no_batch():
    taken, kept = told(pair(43, "8", "BUY", 43, 45))
    assert [row[4] for row in seen(taken)] == [0] * 5
    assert not kept.books[0].known
    assert kept.counts["quotes_differ"] == 0  # a book that is not known disagrees with nobody
    assert seen(kept.take(poly(whole()), NOW)) == WHOLE
    assert kept.books[0].sizes[BID] == {4000: 10 * ONE, 4200: 20 * ONE}  # nothing of before is left


# Other messages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token, side, taker, px",
    [("11", "BUY", BID, 4500), ("11", "SELL", ASK, 4500), ("12", "BUY", ASK, 5500), ("12", "SELL", BID, 5500)],
)
def test_prints_of_either_token(token, side, taker, px):
    trade = message("last_trade_price", asset_id=token, price="0.45", size="5.000001", side=side, fee_rate_bps="1000")
    taken, _ = told(whole(), trade)
    assert seen(taken, "venue_ns") == [("TRADE", taker, px, 5_000_001, END, MS * 10**6)]


@pytest.mark.parametrize("token, bid, ask", [("11", "0.42", "0.45"), ("12", "0.55", "0.58")])
def test_best_prices_of_either_token(token, bid, ask):
    taken, kept = told(whole(), message("best_bid_ask", asset_id=token, best_bid=bid, best_ask=ask, spread="0.03"))
    assert seen(taken) == [("QUOTE", BID, 4200, -1, 0), ("QUOTE", ASK, 4500, -1, END)]
    assert kept.counts["quotes_agree"] == 1


def test_best_prices_of_empty_sides():
    empty = message("best_bid_ask", asset_id="12", best_bid="0", best_ask="1")
    taken, kept = told(whole(bids=(), asks=()), empty)
    assert seen(taken) == [("QUOTE", BID, 0, -1, 0), ("QUOTE", ASK, PX_ONE, -1, END)]
    assert kept.counts["quotes_agree"] == 1


def test_ticks():
    tick = {"old_tick_size": "0.01", "new_tick_size": "0.001"}
    taken, kept = told(whole(), message("tick_size_change", asset_id="11", **tick))
    assert seen(taken) == [("TICKS", -1, 0, 1, END)]
    assert kept.rules[0].tick_tables == (CENT_TICKS, MILL_TICKS)
    assert kept.take(poly(message("tick_size_change", asset_id="12", **tick)), NOW).rows == []  # the same


@pytest.mark.parametrize("token, payout", [("11", PX_ONE), ("12", 0)])
def test_resolution(token, payout):
    resolved = message("market_resolved", winning_asset_id=token, winning_outcome="Yes", assets_ids=["11", "12"])
    taken, kept = told(whole(), resolved)
    assert seen(taken) == [("SETTLE", -1, payout, 0, END)]
    for later in (resolved, whole(), pair(43, "8", "BUY", 43, 45)):
        assert kept.take(poly(later), NOW) == ([], (), ())
    assert kept.take(b'{"event_type":"book","market":"0xa"}', NOW) == ([], (), ())
    assert kept.reconnected(NOW) == ([], (), ())
    assert kept.counts == {"book": 1, "market_resolved": 1, "after_settlement": 3, "malformed": 1}


def test_a_crossed_book_is_not_whole_at_its_settlement():
    taken, _ = told(
        whole(), changes(change("11", "0.46", "1", "BUY")), message("market_resolved", winning_asset_id="11")
    )
    assert seen(taken) == [("SETTLE", -1, PX_ONE, 0, 0)]


@pytest.mark.parametrize("winner", [{"winning_asset_id": "", "winning_outcome": ""}, {}])
def test_a_resolution_without_a_winner_is_asked_for(winner):
    taken, kept = told(whole(), message("market_resolved", **winner))
    assert taken == ([], (), (Unclear(0, "settlement"),))
    assert (kept.books[0].known, kept.counts) == (True, {"book": 1, "market_resolved": 1})
    resolved = message("market_resolved", winning_asset_id="12")
    assert seen(kept.take(poly(resolved), NOW)) == [("SETTLE", -1, 0, 0, END)]


def test_a_stamp_may_be_a_number():
    taken, _ = told(whole() | {"timestamp": MS})
    assert seen(taken, "venue_ns") == [(*row, MS * 10**6) for row in WHOLE]


def test_new_markets_are_read_and_say_nothing():
    taken, kept = told(message("new_market", market="0xz", assets_ids=["1", "2"]), message("new_market"))
    assert (taken, kept.counts) == (([], (), ()), {"other_market": 1, "new_market": 1})


@pytest.mark.parametrize("word", ["PONG", b"PONG", "PING", b"PING"])
def test_pong(word):
    taken, kept = told(word)
    assert (taken, kept.counts) == (([], (), ()), {"pong": 1})


def test_messages_of_the_account_are_handed_on():
    trade = {
        "id": "i", "taker_order_id": "o", "asset_id": "11", "side": "BUY", "size": "10", "price": "0.57",
        "status": "MATCHED",
    }  # fmt: skip
    order = {
        "id": "i", "asset_id": "11", "side": "SELL", "original_size": "10", "size_matched": "0", "price": "0.57",
        "type": "PLACEMENT",
    }  # fmt: skip
    kept = reader()
    taken = kept.take(poly(message("trade", **trade), message("order", **order)), NOW)
    assert [type(note).__name__ for note in taken.notes] == ["UserTrade", "UserOrder"]


# Arrays, and what is not known ---------------------------------------------------------------------------------------


def test_an_array_is_its_messages_in_their_order():
    kept = reader()
    taken = kept.take(poly(whole(), pair(43, "8", "BUY", 43, 45)), NOW)
    assert seen(taken)[:6] == [*WHOLE, ("LEVEL", BID, 4300, 8 * ONE, END)]
    assert kept.counts["book"] == kept.counts["price_change"] == 1
    assert kept.take(b"[]", NOW) == ([], (), ())
    assert kept.counts["empty"] == 1
    assert seen(reader().take(poly(whole(), array=True), NOW)) == WHOLE


def test_unknown_types_stand_beside_known_ones():
    kept = reader()
    frame = poly(message("of_yesterday", question="?"), whole(), {"event_type": "of_tomorrow"}, {"no": "type"}, whole())
    assert seen(kept.take(frame, NOW)) == WHOLE
    assert kept.counts == {"unknown:of_yesterday": 1, "unknown:of_tomorrow": 1, "malformed": 1, "book": 2}


def test_a_stream_of_unknown_types_is_no_stream_of_names():
    kept = reader()
    for number in range(500):
        kept.take(poly({"event_type": f"type {number}"}), NOW)
    assert len(kept.counts) <= 101
    assert frames_counted(kept) == 500


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"{", b"null", b"7", b'"x"', b"\xff", b'{"event_type":7}', b"[" * 100_000, '{"event_type":"\ud800"}',
        "INVALID OPERATION",
        b'{"event_type":"o\xffk"}', b'{"event_type":"book","x":' + b"[" * 100_000, b'{"event_type":"book"}', b"[{]",
        b'{"event_type":"book","market":["0xa"]}',
    ],
)  # fmt: skip
def test_a_frame_that_names_no_market_is_counted_and_loses_nothing(broken):
    taken, kept = told(whole(), broken)
    assert (taken, kept.books[0].known) == (([], (), ()), True)
    assert kept.counts == {"book": 1, "malformed": 1}


# Lost books ----------------------------------------------------------------------------------------------------------

BAD = {
    "no price": changes(change("11", "0.4x", "8", "BUY")),
    "no size": changes(change("11", "0.43", "NaN", "BUY")),
    "negative": changes(change("11", "0.43", "-8", "BUY")),
    "at a dollar": changes(change("11", "1", "8", "BUY")),
    "side": changes(change("11", "0.43", "8", "buy")),
    "token": changes(change("21", "0.43", "8", "BUY")),  # of market 0xb
    "no token": changes(change("", "0.43", "8", "BUY")),
    "half": changes(change("11", "0.43", "8", "BUY"), change("11", "0.44", "8", "?")),
    "best": changes(change("11", "0.43", "8", "BUY", "0.43", "?")),
    "stamp": pair(43, "8", "BUY", 43, 45) | {"timestamp": "1_776"},
    "other digits": pair(43, "8", "BUY", 43, 45) | {"timestamp": "٣"},
    "negative stamp": pair(43, "8", "BUY", 43, 45) | {"timestamp": -1},
    "long stamp": pair(43, "8", "BUY", 43, 45) | {"timestamp": "9" * 30},
    "crossed": whole(bids=(("0.45", "1"),)),
    "level": whole(bids=(("0", "1"),)),
    "print of nothing": message("last_trade_price", asset_id="11", price="0.45", size="0", side="BUY"),
    "tick": message("tick_size_change", asset_id="11", new_tick_size="0.003"),
    "winner": message("market_resolved", winning_asset_id="21"),
    "best prices": message("best_bid_ask", asset_id="11", best_bid="-0.1", best_ask="0.45"),
    "a key is missing": message("price_change"),
    "size is a number": changes(change("11", "0.43", "8", "BUY") | {"size": 8}),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_message_that_cannot_be_read_makes_its_book_lost(bad):
    taken, kept = told(whole(), whole("21", market="0xb"), bad, names=("0xa", "0xb"))
    assert (seen(taken, "market"), taken.lost) == ([(*LOST[0], 0)], (0,))
    assert [ladder.known for ladder in kept.books] == [False, True]
    assert kept.books[0].sizes[BID] == {4000: 10 * ONE, 4200: 20 * ONE}  # no half of it was taken
    assert kept.counts["unreadable"] + kept.counts["malformed"] == 1
    assert kept.take(poly(pair(43, "8", "BUY", 43, 45)), NOW) == ([], (), ())
    assert kept.counts["untrusted"] == 1
    assert seen(kept.take(poly(whole()), NOW)) == WHOLE
    assert kept.take(poly(pair(43, "8", "BUY", 43, 45)), NOW).rows[0][2] == 8 * ONE


def test_prints_ticks_and_the_resolution_come_while_the_book_is_lost():
    _, kept = told(whole(), BAD["side"])
    print_ = message("last_trade_price", asset_id="11", price="0.45", size="5", side="BUY")
    tick = message("tick_size_change", asset_id="11", new_tick_size="0.001")
    best = message("best_bid_ask", asset_id="11", best_bid="0.42", best_ask="0.45")
    resolved = message("market_resolved", winning_asset_id="12")
    kinds = [[row[0] for row in seen(kept.take(poly(one), NOW))] for one in (print_, tick, best, resolved)]
    assert kinds == [["TRADE"], ["TICKS"], ["QUOTE", "QUOTE"], ["SETTLE"]]


def test_a_book_that_cannot_be_read_is_asked_for_again():
    taken, kept = told(BAD["crossed"])
    assert (taken.rows, taken.lost) == ([], (0,))
    part = kept.take(poly(BAD["crossed"], whole()), NOW)
    assert (part.lost, kept.books[0].known) == ((), True)  # the array's second half brings it


def test_best_prices_that_keep_differing_make_the_book_lost():
    stale = message("best_bid_ask", asset_id="11", best_bid="0.41", best_ask="0.45")
    right = message("best_bid_ask", asset_id="11", best_bid="0.42", best_ask="0.45")
    _, kept = told(whole(), stale, stale, right, stale, stale, distrust_after=3)
    assert kept.books[0].known  # never three in a row
    taken = kept.take(poly(stale), NOW)
    assert seen(taken) == [("QUOTE", BID, 4100, -1, 0), ("QUOTE", ASK, 4500, -1, END), *LOST]
    assert (taken.lost, kept.counts["distrusted"]) == ((0,), 1)
    for _ in range(5):
        assert kept.take(poly(stale), NOW).lost == ()  # told once
    assert seen(kept.take(poly(whole()), NOW)) == WHOLE
    assert kept.take(poly(stale), NOW).lost == ()  # and counted from the start
    assert (kept.counts["quotes_agree"], kept.counts["quotes_differ"]) == (1, 6)


def test_a_whole_book_ends_a_run_of_differing_quotes():
    stale = message("best_bid_ask", asset_id="11", best_bid="0.41", best_ask="0.45")
    _, kept = told(whole(), stale, stale, whole(), stale, stale, distrust_after=3)
    assert kept.books[0].known


def test_without_distrust_the_book_stays():
    stale = message("best_bid_ask", asset_id="11", best_bid="0.41", best_ask="0.45")
    assert told(whole(), *[stale] * 50, distrust_after=0)[1].books[0].known
    _, kept = told(whole(), *[stale] * 8)  # the default
    assert not kept.books[0].known


def test_a_new_connection_knows_no_book():
    _, kept = told(whole(), names=("0xa", "0xb"))
    taken = kept.reconnected(NOW + 5)
    assert (seen(taken, "market", "local_ns", "venue_ns"), taken.lost) == ([(*LOST[0], 0, NOW + 5, 0)], (0, 1))
    assert kept.take(poly(pair(43, "8", "BUY", 43, 45)), NOW).rows == []
    assert seen(kept.take(poly(whole()), NOW)) == WHOLE


def test_frames_of_other_markets_are_counted():
    taken, kept = told(whole(market="0xz"))
    assert (taken, kept.counts) == (([], (), ()), {"other_market": 1})


MESSAGES = st.sampled_from([*BAD.values(), whole(), pair(43, "8", "BUY", 43, 45), {"event_type": "?"}, 7])


@given(st.lists(MESSAGES, max_size=6))
def test_every_message_of_an_array_is_counted_once(messages):
    kept = reader("0xa", "0xb")
    kept.take(json.dumps(messages).encode(), NOW)
    assert frames_counted(kept) == max(len(messages), 1)
