"""Hypothetical orders: by hand, and against a slow and obvious follower of one order."""

from __future__ import annotations

import numpy as np
import pytest
from fill_oracle import MS, Order, opening, random_tape, tape_of

from sim.fillfit.hypothetical import make_rules, walk
from sim.fillfit.playing import AHEAD_QTY, BETTER_QTY, DISTANCE, PX, SPREAD_PX, TICK_PX
from sim.shares import RULE_NAMES, share_ahead
from sim.types import ASK, BID, CLEAR, CLOSED, DELTA, END_OF_BATCH, GAP, LEVEL, STATUS, TRADE

AFTER_OPENING = 4  # the last row of `opening()`


def touch_bid(rows, sizes=(1,), lives=(60.0,), entry=AFTER_OPENING, **options):
    """The hypothetical bid that joins the touch after row ``entry``: its row of what was found."""
    found = walk(tape_of(rows), np.array([entry]), make_rules(sizes, lives, **options), distances=(0,))
    assert found.side.tolist() == [BID, ASK]
    return found


def filled_ms(found):
    return [stamp // MS if stamp >= 0 else -1 for stamp in found.filled_ns[0].tolist()]


def test_prints_eat_the_queue_then_fill():
    # 100 ahead; prints of 80, 30 and 50 bring 0, 10 and 60 lots to us: 10 are complete at 30 ms, 50 at 40 ms, 61 never
    rows = [
        *opening(),
        *((ms, TRADE, ASK, 5000, lots) for ms, lots in ((20, 80), (30, 30), (40, 50))),
        (50, LEVEL, ASK, 5400, 1),
    ]
    assert filled_ms(touch_bid(rows, sizes=(1, 10, 50, 61))) == [30, 30, 40, -1]


def test_a_print_through_the_price_reaches_us_whatever_is_ahead():
    rows = [*opening(), (20, TRADE, ASK, 4900, 7), (30, LEVEL, ASK, 5400, 1)]
    found = touch_bid(rows, sizes=(1, 7, 8))
    assert filled_ms(found) == [20, 20, -1]
    assert found.through_ns[0] == 20 * MS
    assert found.last_at_ns[0].tolist() == [-1]


def test_a_drop_before_its_print_is_not_counted_twice():
    # 100 ahead, then 100 behind us. 40 leave the level: half of them, 20, seem to have cancelled ahead of us. 26 ms
    # later the print of those 40 comes: the 20 are given back, and the print eats 40 of 100. 60 are ahead; 60 more
    # reach nobody.
    rows = [
        *opening(), (10, LEVEL, BID, 5000, 200), (20, DELTA, BID, 5000, -40), (46, TRADE, ASK, 5000, 40),
        (50, TRADE, ASK, 5000, 60), (60, TRADE, ASK, 5000, 1), (70, LEVEL, ASK, 5400, 1),
    ]  # fmt: skip
    assert filled_ms(touch_bid(rows)) == [60]
    # without the memory: 100 - 20 - 40 = 40 ahead, so the print of 60 fills us
    assert filled_ms(touch_bid(rows, window_ms=0.0)) == [50]


def test_a_drop_that_its_print_follows_too_late_was_a_cancel():
    # 206 ms later, with a memory of 200 ms: 20 cancelled ahead, then 40 printed: 40 left, and 41 more fill us
    rows = [
        *opening(), (10, LEVEL, BID, 5000, 200), (20, DELTA, BID, 5000, -40), (226, TRADE, ASK, 5000, 40),
        (230, TRADE, ASK, 5000, 41), (240, LEVEL, ASK, 5400, 1),
    ]  # fmt: skip
    assert filled_ms(touch_bid(rows, window_ms=200.0)) == [230]
    assert filled_ms(touch_bid(rows, window_ms=206.0)) == [-1]


def test_a_drop_after_its_print_is_not_a_cancel():
    # print of 40 eats 40 of 100 ahead; the drop that tells of it moves nothing: 60 left, 61 fill us
    rows = [
        *opening(), (10, LEVEL, BID, 5000, 200), (20, TRADE, ASK, 5000, 40), (21, DELTA, BID, 5000, -40),
        (30, TRADE, ASK, 5000, 60), (40, TRADE, ASK, 5000, 1), (50, LEVEL, ASK, 5400, 1),
    ]  # fmt: skip
    assert filled_ms(touch_bid(rows)) == [40]


def test_what_left_before_we_came_is_no_news():
    # 40 leave, we join behind 60, then their print comes: it eats nothing. At the same time it is not through an order
    # a tick better. 60 more prints reach us with nothing, the next lot fills.
    rows = [
        *opening(), (10, DELTA, BID, 5000, -40), (20, TRADE, ASK, 5000, 40), (30, TRADE, ASK, 5000, 60),
        (40, TRADE, ASK, 5000, 1), (50, LEVEL, ASK, 5400, 1),
    ]  # fmt: skip
    found = touch_bid(rows, entry=5)
    assert found.noted[0, AHEAD_QTY] == 60
    assert filled_ms(found) == [40]
    found = walk(tape_of(rows), np.array([5]), make_rules((1,), (60.0,)), distances=(-1,))
    assert found.noted[0, PX] == 5100
    assert found.through_ns[0] == 30 * MS  # the first print that is news


def test_what_was_printed_before_we_came_leaves_from_ahead_of_us():
    # a print of 40 comes, we join behind the 100 still shown, then the level tells of it: 60 are ahead
    rows = [
        *opening(), (10, TRADE, ASK, 5000, 40), (20, DELTA, BID, 5000, -40), (30, TRADE, ASK, 5000, 60),
        (40, TRADE, ASK, 5000, 1), (50, LEVEL, ASK, 5400, 1),
    ]  # fmt: skip
    assert filled_ms(touch_bid(rows, entry=5)) == [40]


def test_what_was_printed_before_we_came_leaves_from_ahead_of_us_even_if_others_come_behind():
    # the same, with 30 who join behind us before the level tells: 130 - 40 = 90 are shown, and 60 of them are ahead
    rows = [
        *opening(), (10, TRADE, ASK, 5000, 40), (15, LEVEL, BID, 5000, 130), (20, DELTA, BID, 5000, -40),
        (30, TRADE, ASK, 5000, 60), (40, TRADE, ASK, 5000, 1), (50, LEVEL, ASK, 5400, 1),
    ]  # fmt: skip
    assert filled_ms(touch_bid(rows, entry=5)) == [40]


def test_a_drop_of_more_than_was_printed():
    # 100 ahead, 100 behind; 40 are printed: 60 ahead of 160. The level loses 60, 20 more than that: of these,
    # floor(20 x 60 / 160) = 7 come from ahead. 53 are ahead.
    rows = [
        *opening(), (10, LEVEL, BID, 5000, 200), (20, TRADE, ASK, 5000, 40), (21, DELTA, BID, 5000, -60),
        (2000, TRADE, ASK, 5000, 53), (2001, TRADE, ASK, 5000, 1), (2002, LEVEL, ASK, 5400, 1),
    ]  # fmt: skip
    assert filled_ms(touch_bid(rows)) == [2001]


@pytest.mark.parametrize(
    ("share", "ahead"),
    [
        ("none", 80),  # then cut to what is shown: 50
        ("proportional", 40),  # 80 - floor(50 x 80 / 100)
        ("power", 33),  # squares: floor(50 x 6400 / 6800) = floor(47.06) = 47 from ahead
        ("log", 50),  # log 81 / (log 81 + log 21) = 0.5907: floor(29.5) = 29, but at least 50 - 20 = 30
        ("snapshot", 50),
    ],
)
def test_cancels_by_rule(share, ahead):
    # 80 ahead, 20 behind us, 50 cancelled
    rows = [
        *opening(bid_lots=80), (10, LEVEL, BID, 5000, 100), (20, DELTA, BID, 5000, -50),
        (5000, TRADE, ASK, 5000, min(ahead, 50)), (5001, TRADE, ASK, 5000, 1), (5002, LEVEL, ASK, 5400, 1),
    ]  # fmt: skip
    assert filled_ms(touch_bid(rows, share=share, power=2.0)) == [5001]


def test_a_snapshot_only_cuts():
    rows = [
        *opening(), (10, CLEAR, -1, 0, 0, 0), (10, LEVEL, BID, 5000, 30, 0), (10, LEVEL, ASK, 5200, 5),
        (20, TRADE, ASK, 5000, 30), (30, TRADE, ASK, 5000, 1), (40, LEVEL, ASK, 5400, 1),
    ]  # fmt: skip
    assert filled_ms(touch_bid(rows)) == [30]


def test_followed_until_the_tape_cannot_say_more():
    rows = [*opening(), (900, LEVEL, ASK, 5400, 1), (5000, LEVEL, ASK, 5400, 2)]
    assert touch_bid(rows, lives=(2.0,)).followed_ns.tolist() == [2000 * MS] * 2
    assert touch_bid(rows, lives=(6.0,)).followed_ns.tolist() == [5000 * MS] * 2
    gap = [*opening(), (900, GAP, -1, 0, 0), (950, TRADE, ASK, 4900, 9), (5000, LEVEL, ASK, 5400, 2)]
    found = touch_bid(gap, lives=(2.0,))
    assert found.followed_ns.tolist() == [900 * MS] * 2
    assert filled_ms(found) == [-1]
    closed = [*opening(), (700, STATUS, -1, 0, CLOSED), (950, TRADE, ASK, 4900, 9)]
    assert touch_bid(closed, lives=(2.0,)).followed_ns.tolist() == [700 * MS] * 2


def test_places_by_distance_and_notes_what_was_known():
    rows = [*opening(), (10, TRADE, ASK, 5000, 6), (10, DELTA, BID, 5000, -6), (20, LEVEL, ASK, 5400, 1)]
    found = walk(tape_of(rows), np.array([6]), make_rules((1,), (1.0,)), distances=(-1, 0, 1, 2))
    bids = found.side == BID
    assert found.noted[bids, PX].tolist() == [5100, 5000, 4900, 4800]
    assert found.noted[~bids, PX].tolist() == [5100, 5200, 5300, 5400]
    assert found.noted[bids, DISTANCE].tolist() == [-1, 0, 1, 2]
    assert found.noted[bids, AHEAD_QTY].tolist() == [0, 94, 70, 0]
    assert found.noted[bids, BETTER_QTY].tolist() == [0, 0, 94, 164]
    assert set(found.noted[:, SPREAD_PX]) == {200} and set(found.noted[:, TICK_PX]) == {100}
    # one print of 6 lots hit the bid just now
    memory = found.activity[0]
    assert (memory["sells"].tolist(), memory["sold"].tolist()) == ([1.0] * 4, [6.0] * 4)
    assert (memory["buys"].sum(), memory["bought"].sum()) == (0.0, 0.0)


def test_sums_halve_by_market_time_and_do_not_depend_on_how_often_one_looks():
    rows = [*opening(), (0, TRADE, ASK, 5000, 8), *((ms, LEVEL, ASK, 5400, ms) for ms in range(1000, 20_001, 1000))]
    tape, rules = tape_of(rows), make_rules((1,), (1.0,))
    often = walk(tape, np.arange(6, len(rows)), rules, distances=(0,))
    once = walk(tape, np.array([len(rows) - 1]), rules, distances=(0,))
    # 20 s are 37 whole buckets of 0.537 s
    assert once.activity["sells"][0] == pytest.approx([0.5 ** (37 / half) for half in (4, 16, 64, 512)])
    assert once.activity["sold"][0] == pytest.approx([8 * 0.5 ** (37 / half) for half in (4, 16, 64, 512)])
    assert often.activity["sold"][-1].tolist() == once.activity["sold"][-1].tolist()


def test_equals_the_slow_follower():
    orders = filled = 0
    for seed in range(12):
        tape = random_tape(seed)
        for share in RULE_NAMES:
            rules = make_rules((1, 10, 40), (0.3, 3.0), share=share, power=1.7, window_ms=100.0, credit_ms=150.0)
            ends = np.flatnonzero(tape.events["flags"] & END_OF_BATCH)[::9]
            found = walk(tape, ends, rules, distances=(-1, 0, 1, 2))
            for index in range(seed % 3, len(found.side), 3):
                row = int(ends[found.noted[index, 0]])
                side, px = int(found.side[index]), int(found.noted[index, PX])
                want = Order(rules, share_ahead).follow(tape, row, side, px)
                got = (
                    found.filled_ns[index].tolist(), int(found.through_ns[index]), found.last_at_ns[index].tolist(),
                    int(found.followed_ns[index]),
                )  # fmt: skip
                assert got == want, (seed, share, row, side, px)
                orders += 1
                filled += want[0][0] >= 0
    assert orders > 500 and 0.1 < filled / orders < 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": (10, 1)}, "sizes must be positive and ascend"),
        ({"lives_s": ()}, "lives_s must be positive and ascend"),
        ({"share": "fair"}, "no share rule 'fair'"),
        ({"power": 0.0}, "power must be positive"),
        ({"window_ms": -1.0}, "must be 0 or more"),
    ],
)
def test_refuses_bad_rules(options, message):
    with pytest.raises(ValueError, match=message):
        make_rules(**({"sizes": (1,), "lives_s": (1.0,)} | options))


def test_refuses_bad_tapes_and_rows():
    rules = make_rules((1,), (1.0,))
    tape = tape_of([*opening(), (5, DELTA, BID, 5000, -101)])
    with pytest.raises(ValueError, match=r"row 5 takes 1010000 .* at px 5000, more than the level shows"):
        walk(tape, np.array([4]), rules)
    tape = tape_of(opening())
    with pytest.raises(ValueError, match="rows must ascend"):
        walk(tape, np.array([3, 3]), rules)
    with pytest.raises(ValueError, match="or more ticks behind the touch, got"):
        walk(tape, np.array([4]), rules, distances=(-2,))
    with pytest.raises(ValueError, match="row 5 has px 5050, which no tick table allows"):
        walk(tape_of([*opening(), (5, LEVEL, BID, 5050, 1)]), np.array([4]), rules)
