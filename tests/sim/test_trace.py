"""What one pass over a stream finds, against hand-made numbers and a slow walk of plain dictionaries."""

from __future__ import annotations

import numpy as np
import pytest
from streams import ONE, S, by_hand, random_stream, row, stream

from sim.scenarios.trace import FULL, Feed, cut, markets_of, trace
from sim.types import ASK, BID, CLEAR, DELTA, END_OF_BATCH, GAP, INFERRED, LEVEL, TRADE


def states(one):
    return list(zip((one.state_ns / S).tolist(), one.bid_px.tolist(), one.ask_px.tolist(), strict=True))


def test_by_hand():
    one = trace(by_hand())
    assert states(one) == [(0, 4000, 4200), (10, 4100, 4200), (60, 4000, 4200), (100, 0, 0)]
    assert one.end_ns == 100 * S
    assert (one.message_ns / S).tolist() == [10, 30, 60]  # the snapshot is no message
    assert (one.touch_qty / ONE).tolist() == [5, -8, -5]
    assert one.message_mid2_px.tolist() == [8200, 8300, 8300]  # before the change
    assert (one.trade_ns.tolist(), one.trade_side.tolist(), one.trade_qty.tolist()) == ([30 * S], [BID], [8 * ONE])
    # Four samples a second: 10 s of 40/42, 20 s with the bid at 41, 30 s more with 12 left at the ask, 40 s without it
    assert one.depth_weight.tolist() == [40, 80, 120, 160]
    assert (one.depth_qty[:, BID, :3] / ONE).tolist() == [[10, 0, 0], [5, 10, 0], [5, 10, 0], [10, 0, 0]]
    assert (one.depth_qty[:, ASK, 0] / ONE).tolist() == [20, 20, 12, 12]
    assert one.depth_mid2_px.tolist() == [8200, 8300, 8300, 8200]


def test_a_change_behind_the_touch_does_not_touch_it_and_an_inferred_rise_is_no_message():
    one = trace(
        stream(
            row(0, CLEAR, end=False),
            row(0, LEVEL, BID, 4000, 10, end=False),
            row(0, LEVEL, ASK, 4200, 20),
            row(1, DELTA, BID, 3900, 7),  # behind
            row(2, LEVEL, BID, 3800, 9, flags=INFERRED),  # was there, and not shown
            row(3, DELTA, BID, 3800, -9),
            row(4, LEVEL, BID, 3900, 7),  # says what is known: nothing changed
        )
    )
    assert (one.message_ns / S).tolist() == [1, 3]
    assert one.touch_qty.tolist() == [0, 0]


def test_nothing_is_known_inside_a_gap_a_crossing_or_a_quiet_stretch():
    quiet = FULL._replace(quiet_ns=50 * S)
    one = trace(
        stream(
            row(0, CLEAR, end=False),
            row(0, LEVEL, BID, 4000, 10, end=False),
            row(0, LEVEL, ASK, 4200, 20),
            row(10, GAP),
            row(20, DELTA, BID, 4100, 5),  # on a book that is not to be trusted
            row(30, CLEAR, end=False),
            row(30, LEVEL, BID, 3000, 1, end=False),
            row(30, LEVEL, ASK, 3100, 1),
            row(40, LEVEL, BID, 3200, 1),  # crossed
            row(41, LEVEL, BID, 3200, 0),
            row(100, LEVEL, BID, 2900, 1),  # 59 s later
            row(101, LEVEL, BID, 2800, 1),
        ),
        quiet,
    )
    # At 41 s the crossing ends, and what follows is not recorded: the state of 41 s lasts no time
    assert states(one) == [(0, 4000, 4200), (10, 0, 0), (30, 3000, 3100), (40, 0, 0), (41, 0, 0), (100, 3000, 3100)]
    assert one.depth_weight.sum() == 4 * (10 + 10 + 1)  # 0 to 10 s, 30 to 40 s, 100 to 101 s


def test_a_clock_sees_the_book_of_its_ticks_only():
    events = stream(
        row(0, CLEAR, end=False),
        row(0, LEVEL, BID, 4000, 10, end=False),
        row(0, LEVEL, ASK, 4200, 20),
        row(0.2, DELTA, BID, 4100, 5),
        row(0.7, DELTA, BID, 4100, -5),  # gone before the tick of 1 s
        row(1.5, DELTA, BID, 4100, 5),
        row(3.0, DELTA, BID, 3000, 5),  # at the tick of 3 s: not yet seen there
        row(3.5, DELTA, BID, 3000, 5),
    )
    one = trace(events, FULL._replace(period_ns=S))
    assert states(one) == [(0, 4000, 4200), (2, 4100, 4200)]


def test_whole_views_are_one_sample_each():
    rows = []
    for hour, size in ((0, 3), (5, 4), (9, 8)):
        rows += [row(3600 * hour, CLEAR, end=False), row(3600 * hour, LEVEL, BID, 4000, size, end=False)]
        rows += [row(3600 * hour, LEVEL, ASK, 4200, 1)]
    one = trace(stream(*rows), Feed(frozenset({"depth"}), views=True))
    assert one.depth_weight.tolist() == [1, 1, 1]
    assert (one.depth_qty[:, BID, 0] / ONE).tolist() == [3, 4, 8]


@pytest.mark.parametrize("seed", range(12))
def test_against_a_slow_walk(seed):
    """The same states, messages and samples from books of plain dictionaries, all orders of the best taken anew."""
    events = random_stream(seed)
    one = trace(events)
    slow = slow_trace(events)
    assert states(one) == slow["states"]
    got = zip(one.message_ns.tolist(), one.message_mid2_px.tolist(), one.touch_qty.tolist(), strict=True)
    assert list(got) == slow["messages"]
    assert int(one.depth_weight.sum()) == slow["ticks"]
    weighted = (one.depth_qty[:, :, :3] * one.depth_weight[:, None, None]).sum(axis=0) // ONE
    assert weighted.tolist() == slow["depth"]


def slow_trace(events):
    walk = SlowWalk(int(events["local_ns"][0]))
    before = None
    for event in events:
        walk.take(before, event)
        before = event
    return {"states": walk.states, "messages": walk.messages, "ticks": walk.ticks, "depth": walk.depth.tolist()}


class SlowWalk:
    """Books as dictionaries; the best of a side is looked for anew every time, and every clock tick is one sample."""

    def __init__(self, start):
        self.book, self.known, self.inside, self.seen = ({}, {}), False, False, (0, 0)
        self.states, self.messages, self.ticks, self.depth = [], [], 0, np.zeros((2, 3), np.int64)
        self.tick = start

    def take(self, before, event):
        now = int(event["local_ns"])
        if before is not None:
            self.pass_time(before, now)
        if event["kind"] in (CLEAR, GAP):
            self.book, self.known, self.inside = ({}, {}), event["kind"] == CLEAR, True
            if event["kind"] == GAP:
                self.note(now, (0, 0))
        elif event["kind"] in (DELTA, LEVEL) and self.known:
            self.change(now, event)
        if event["flags"] & END_OF_BATCH:
            self.inside = False
            self.note(now, self.best())

    def pass_time(self, before, now):
        if now - int(before["local_ns"]) > 300 * S:
            self.note(int(before["local_ns"]), (0, 0))
            self.tick = now
        while self.tick < now:
            self.tick += S // 4
            if before["flags"] & END_OF_BATCH and self.best() != (0, 0):
                self.ticks += 1
                self.depth += [_best_three(self.book[BID], True), _best_three(self.book[ASK], False)]

    def change(self, now, event):
        side, px, size = (int(event[name]) for name in ("side", "px", "qty"))
        levels = [price for price, held in self.book[side].items() if held > 0]
        touch = (max(levels, default=0) <= px) if side == BID else (min(levels, default=10_000) >= px)
        held = self.book[side].get(px, 0)
        self.book[side][px] = held + size if event["kind"] == DELTA else size
        change = self.book[side][px] - held
        if change and not self.inside and not (event["flags"] & INFERRED and change > 0):
            self.messages.append((now, sum(self.seen), change if touch else 0))

    def best(self):
        bids, asks = ([px for px, size in side.items() if size > 0] for side in self.book)
        if not self.known or not bids or not asks or max(bids) >= min(asks):
            return (0, 0)
        return (max(bids), min(asks))

    def note(self, stamp, state):
        if state != self.seen:
            self.seen = state
            if self.states and self.states[-1][0] == stamp / S:
                self.states.pop()
            self.states.append((stamp / S, *state))


def _best_three(levels, descending):
    prices = sorted((px for px, size in levels.items() if size > 0), reverse=descending)[:3]
    return [levels[px] // ONE for px in prices] + [0] * (3 - len(prices))


def test_cut_and_pieces_add_up():
    whole = trace(random_stream(3))
    middle = (int(whole.state_ns[0]) + whole.end_ns) // 2
    parts = [cut(whole, 0, middle), cut(whole, middle, whole.end_ns + 1)]
    for name in ("message_ns", "touch_qty", "trade_qty", "depth_weight"):
        assert np.concatenate([getattr(part, name) for part in parts]).tolist() == getattr(whole, name).tolist()
    assert parts[0].end_ns == middle == parts[1].state_ns[0]

    def known_ns(one):
        return int(np.diff(one.state_ns, append=one.end_ns)[one.bid_px > 0].sum())

    assert known_ns(parts[0]) + known_ns(parts[1]) == known_ns(whole)


def test_a_stream_without_a_book_has_prints_only():
    one = trace(stream(row(1, TRADE, BID, 4000, 2, end=False), row(2, TRADE, ASK, 4000, 3, end=False)))
    assert (len(one.state_ns), one.trade_qty.tolist()) == (0, [2 * ONE, 3 * ONE])


def test_markets_are_split():
    events = np.concatenate([by_hand(), by_hand()])
    events["market"][8:] = 3
    assert [len(part) for part in markets_of(events)] == [8, 8]


@pytest.mark.parametrize(
    "change, feed, message",
    [
        (lambda e: e[["px"]], FULL, "expected one axis of sim.types.EVENT rows"),
        (lambda e: _with(e, "market", 1, 7), FULL, "rows of 2 markets; expected one"),
        (lambda e: _with(e, "px", 3, 10_000), FULL, "row 3 is a level with px 10000; expected 1 to 9999"),
        (lambda e: _with(e, "side", 3, -1), FULL, "row 3 is a level with side -1"),
        (lambda e: e, Feed(frozenset({"sprad"})), "feed.families names 'sprad'"),
        (lambda e: e, Feed(levels=11), "feed has levels 11"),
        (lambda e: e, Feed(quiet_ns=0), "quiet_ns 0"),
    ],
)
def test_bad_input(change, feed, message):
    with pytest.raises(ValueError, match=message):
        trace(change(by_hand()), feed)


def _with(events, name, index, value):
    changed = events.copy()
    changed[name][index] = value
    return changed
