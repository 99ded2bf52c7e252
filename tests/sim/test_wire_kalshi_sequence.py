"""Kalshi's sequence numbers: what is lost when a frame is, and what brings it back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_by_hand import (
    END,
    NOW,
    ONE,
    WHOLE,
    book,
    delta,
    frames_counted,
    kalshi,
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

from sim.types import ASK, BID
from sim.wire.kalshi import Lost

UNKNOWN = kalshi("of_tomorrow", 3)
CONTROL = {
    "ok": ok(3),
    "unsubscribed": json.dumps({"type": "unsubscribed", "sid": 1, "seq": 3}).encode(),
    "error": json.dumps({"type": "error", "sid": 1, "seq": 3, "msg": {"code": 10, "msg": "channel error"}}).encode(),
    "unknown": UNKNOWN,
}


@pytest.mark.parametrize("control", CONTROL.values(), ids=CONTROL)
def test_control_and_unknown_frames_have_a_number(control):
    taken, kept = told(book(1), delta(2), control, delta(4))
    assert (seen(taken), taken.lost, taken.notes) == ([("DELTA", BID, 4200, -ONE, END)], (), ())
    assert kept.counts["gaps"] == 0
    taken, kept = told(book(1), delta(2), delta(4))  # without it
    assert (seen(taken), taken.lost, taken.notes) == ([("GAP", -1, 0, 0, 2)], (0,), (Lost(1, ""),))
    assert (kept.counts["gaps"], kept.counts["untrusted"]) == (1, 1)


@pytest.mark.parametrize("control", [ok(4), kalshi("of_tomorrow", 4)])
def test_a_gap_before_a_control_frame_is_told_at_once(control):
    taken, kept = told(subscribed("orderbook_delta", 1), book(1), delta(2), control)
    assert (seen(taken), taken.lost, taken.notes[0]) == ([("GAP", -1, 0, 0, 2)], (0,), Lost(1, "orderbook_delta"))
    assert kept.take(delta(5), NOW).rows == []


def test_a_gap_loses_every_book_of_the_subscription():
    kept = reader("A", "B", "C")
    for frame in (subscribed("orderbook_delta", 1), book(1), book(2, "B"), delta(3)):
        kept.take(frame, NOW)
    taken = kept.take(delta(5, ticker="B"), NOW + 1)  # C's snapshot may have been the one that is missing
    assert seen(taken, "market", "local_ns") == [("GAP", -1, 0, 0, 2, 0, NOW + 1), ("GAP", -1, 0, 0, 2, 1, NOW + 1)]
    assert (taken.lost, taken.notes) == ((0, 1, 2), (Lost(1, "orderbook_delta"),))
    taken = kept.take(delta(7), NOW)  # another one, while nothing is known: to be asked for again
    assert taken == ([], (0, 1, 2), (Lost(1, "orderbook_delta"),))
    assert seen(kept.take(book(8), NOW)) == WHOLE
    assert [ladder.known for ladder in kept.books] == [True, False, False]
    assert kept.take(delta(9), NOW).rows[0][2] == -ONE
    assert kept.take(delta(10, ticker="B"), NOW).rows == []


@pytest.mark.parametrize("channel, frame", [("trade", trade), ("market_lifecycle_v2", None)])
def test_a_gap_of_another_channel_loses_no_book(channel, frame):
    sid = 2 if frame else 4
    make = frame or (lambda seq: lifecycle(seq, "deactivated"))
    taken, kept = told(subscribed("orderbook_delta", 1), subscribed(channel, sid), book(1), make(1), make(3))
    assert [row[0] for row in seen(taken)] == ["TRADE" if frame else "STATUS"]
    assert (taken.lost, taken.notes) == ((), (Lost(sid, channel),))
    assert (kept.books[0].known, kept.counts["gaps"]) == (True, 1)


def test_a_gap_of_an_unknown_channel_loses_the_books():
    taken, _ = told(book(1), trade(1), trade(3))
    assert seen(taken) == [("GAP", -1, 0, 0, 2), ("TRADE", -1, 3600, 136 * ONE, 0)]
    assert taken.lost == (0,)


def test_the_first_number_of_a_subscription_is_one():
    taken, kept = told(subscribed("orderbook_delta", 1), book(2))
    assert (seen(taken), taken.lost, taken.notes) == (WHOLE, (), (Lost(1, "orderbook_delta"),))
    assert kept.books[0].known  # told whole by the very frame that reveals the gap
    assert told(book(2))[0].notes == ()  # where its beginning was not seen, any number may be the first
    _, kept = told(book(1), subscribed("orderbook_delta", 1), delta(2))  # the answer may come late
    assert kept.counts["gaps"] == 0


def test_a_snapshot_that_reveals_a_gap_is_not_lost():
    taken, kept = told(book(1), book(2, "B"), book(4), names=("A", "B"))
    assert seen(taken, "market") == [
        ("GAP", -1, 0, 0, 2, 0),
        ("GAP", -1, 0, 0, 2, 1),
        *((*row, 0) for row in WHOLE),
    ]
    assert (taken.lost, [ladder.known for ladder in kept.books]) == ((1,), [True, False])


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"{", b"null", b"[]", b"7", b'"x"', b"\xff\xfe", b'{"type":7}', b'{"msg":{}}',
        b'{"type":"orderbook_delta"}',
        b'{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"A"}}', delta(2)[:-1], delta(2) + b"}",
        b'{"type":"orderbook_delta","sid":1,"seq":"2","msg":null}',
        b"[" * 100_000, b'{"type":"ok","x":' + b"[" * 100_000,
        '{"type":"\ud800"}', b'{"type":"o\xffk"}', delta(2).replace(b'"-1.00"', b"-1.00"),
    ],
)  # fmt: skip
def test_a_malformed_frame_is_counted_and_the_next_number_tells(broken):
    taken, kept = told(book(1), broken)
    assert (taken, kept.counts["malformed"], kept.books[0].known) == (([], (), ()), 1, True)
    taken = kept.take(delta(3), NOW)
    assert (seen(taken), taken.lost) == ([("GAP", -1, 0, 0, 2)], (0,))


def test_unknown_types_with_odd_numbers_are_only_counted():
    odd = [
        {"sid": "1", "seq": 2},
        {"sid": 1, "seq": True},
        {"sid": 1, "seq": -1},
        {"seq": 2},
        {"sid": 1, "seq": 2**70},
        {},
    ]
    _, kept = told(book(1), *(json.dumps({"type": "of_tomorrow"} | fields).encode() for fields in odd), delta(2))
    assert (kept.counts["unknown"], kept.counts["gaps"], kept.books[0].known) == (6, 0, True)


def test_late_and_repeated_frames_change_nothing():
    kept = reader()
    for frame in (book(1), delta(2), delta(3)):
        kept.take(frame, NOW)
    before = json.dumps(kept.books[0].sizes)
    for late in (delta(2), delta(3), book(1), snapshot(2), ok(3), kalshi("of_tomorrow", 3)):
        assert kept.take(late, NOW) == ([], (), ())
    assert (json.dumps(kept.books[0].sizes), kept.counts["repeated"]) == (before, 6)
    assert seen(kept.take(delta(4), NOW)) == [("DELTA", BID, 4200, -ONE, END)]


def test_frames_without_a_number_are_no_part_of_it():
    taken, kept = told(book(1), ticker(), ticker(), delta(2))
    assert (kept.counts["gaps"], kept.counts["repeated"], len(taken.rows)) == (0, 0, 1)


def test_a_new_connection_starts_again():
    _, kept = told(subscribed("trade", 1), subscribed("orderbook_delta", 2), book(5, "A"), names=("A", "B"))
    taken = kept.reconnected(NOW + 7)
    assert seen(taken, "market", "local_ns") == [("GAP", -1, 0, 0, 2, 0, NOW + 7)]
    assert (taken.lost, taken.notes) == ((0, 1), ())
    assert kept.reconnected(NOW + 8).rows == []  # nothing was known any more
    assert seen(kept.take(book(1), NOW)) == WHOLE  # number 1 is no repetition now
    gap = kept.take(delta(3), NOW)  # nor is subscription 1 that of prints
    assert (seen(gap), gap.notes) == ([("GAP", -1, 0, 0, 2)], (Lost(1, ""),))


# Laws ----------------------------------------------------------------------------------------------------------------


def frames_of(choices):
    """A session of two markets: snapshots, changes that only add, control frames, numbered without a gap."""
    frames = [book(1), book(2, "B")]
    makers = (
        lambda seq: delta(seq, "yes", "0.4000", "1.00"),
        lambda seq: delta(seq, "no", "0.5000", "0.50", "B"),
        lambda seq: book(seq, "B"),
        ok,
        lambda seq: kalshi("of_tomorrow", seq),
    )
    return frames + [makers[choice](seq) for seq, choice in enumerate(choices, 3)]


CHOICES = st.lists(st.integers(0, 4), min_size=1, max_size=20)


@given(CHOICES, st.data())
def test_repetitions_anywhere_change_no_row(choices, data):
    frames = frames_of(choices)
    once, often = reader("A", "B"), reader("A", "B")
    rows = [row for frame in frames for row in once.take(frame, NOW).rows]
    noisy = []
    for number, frame in enumerate(frames):
        noisy.append(frame)
        noisy += [frames[data.draw(st.integers(0, number))] for _ in range(data.draw(st.integers(0, 3)))]
    assert [row for frame in noisy for row in often.take(frame, NOW).rows] == rows
    assert often.counts["repeated"] == len(noisy) - len(frames)
    assert frames_counted(often) == len(noisy)
    assert [ladder.sizes for ladder in often.books] == [ladder.sizes for ladder in once.books]


@given(CHOICES, st.data())
def test_one_missing_frame_is_known_by_the_next_and_only_snapshots_mend_it(choices, data):
    frames = frames_of(choices)
    missing = data.draw(st.integers(0, len(frames) - 1))
    kept = reader("A", "B")
    kept.take(subscribed("orderbook_delta", 1), NOW)
    seqs = [seq for seq in range(1, len(frames) + 1) if seq != missing + 1]
    for seq in seqs:
        before = [ladder.known for ladder in kept.books]
        taken = kept.take(frames[seq - 1], NOW)
        whole = [index for index in (0, 1) if ("CLEAR", index) in [(row[0], row[5]) for row in seen(taken, "market")]]
        if seq == missing + 2:  # right after the hole
            assert [row[5] for row in seen(taken, "market") if row[0] == "GAP"] == [i for i in (0, 1) if before[i]]
            assert taken.lost == tuple(index for index in (0, 1) if index not in whole)
            assert taken.notes[0] == Lost(1, "orderbook_delta")
        for index in (0, 1):
            known = kept.books[index].known
            assert known == (index in whole or (before[index] and seq != missing + 2))
    for number, name in enumerate("AB"):
        kept.take(book(len(frames) + 1 + number, name), NOW)
    assert all(ladder.known for ladder in kept.books)
    assert kept.books[0].sizes[ASK] == {4500: 5 * ONE}
