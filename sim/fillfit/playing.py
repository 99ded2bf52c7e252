"""Kernels that play a tape's rows into a walk: place orders at stated rows, note what was known, follow what comes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.activity import BUCKET_BITS, count_print, fade
from sim.fillfit.walker import (
    BEST_ASK,
    BEST_BID,
    IN_SNAPSHOT,
    MID2,
    NOW,
    ROW,
    STATUS,
    TABLE,
    TAIL,
    TRUSTED,
    clear,
    cut_to_shown,
    level_fell,
    print_hits,
    retire,
    set_size,
    stop_all,
)  # fmt: skip
from sim.kernel import inner, kernel
from sim.types import BID, CLEAR, DELTA, END_OF_BATCH, GAP, LEVEL, OPEN, PX_ONE, SETTLE, TICKS, TRADE
from sim.types import STATUS as STATUS_EVENT

# What is noted of an order at its entry, places in a row of Found.noted
MOMENT, DISTANCE, PX, TICK_PX, SPREAD_PX, MID2_PX, BETTER_QTY, TOUCH_QTY, FACING_QTY, AHEAD_QTY, NOTES = range(11)


class Placing(NamedTuple):
    """Where and how orders are placed. Read-only."""

    rows: np.ndarray  # (M,) int64 rows of the tape after which orders are placed, ascending
    distances: np.ndarray  # (D,) int64 ticks behind the touch
    px_of: np.ndarray  # (L,) int64 price of a level
    level_of: np.ndarray  # (10001,) int64 level of a price, -1 off the ladder
    tick_ok: np.ndarray  # (G, L) bool levels that an order may use under each tick table


class Found(NamedTuple):
    """Hypothetical orders of one tape, one row each."""

    side: np.ndarray  # (N,) int64
    entry_ns: np.ndarray  # (N,) int64 the tape's local clock
    noted: np.ndarray  # (N, NOTES) int64: known at entry; quantities in lots, prices in 1e-4 dollar
    activity: np.ndarray  # (N,) ACTIVITY: what was remembered at entry of takers and of the mid
    followed_ns: np.ndarray  # (N,) int64
    filled_ns: np.ndarray  # (N, T) int64: when what reached the order came to each size; -1 = not while followed
    through_ns: np.ndarray  # (N,) int64: first print through the price; -1 = none
    last_at_ns: np.ndarray  # (N, K) int64: last print at the price within each life, before one through it; -1 = none


@inner
def _fade(walk, now):
    """The memory of takers and of the mid, up to ``now``."""
    if now >> BUCKET_BITS > walk.activity[0]["bucket"]:
        fade(walk.activity[0], now >> BUCKET_BITS, max(0, walk.mark[MID2]))


@inner
def _behind(placing, table, side, level, steps):
    """Level ``steps`` ticks behind ``level`` (negative: ahead of it) on the grid in force; -1 off the ladder."""
    outward = -1 if side == BID else 1
    if steps < 0:
        outward = -outward
        steps = -steps
    while steps > 0:
        level += outward
        if level < 0 or level >= len(placing.px_of):
            return -1
        if placing.tick_ok[table, level]:
            steps -= 1
    return level


@inner
def _note(walk, placing, found, order, moment, distance):
    """Write down what is known of an order at its entry."""
    side = walk.side[order]
    level = walk.level[order]
    touch = walk.mark[BEST_BID + side]
    facing = walk.mark[BEST_ASK - side]
    row = found.noted[order]
    row[MOMENT] = moment
    row[DISTANCE] = distance
    row[PX] = placing.px_of[level]
    next_level = _behind(placing, walk.mark[TABLE], side, level, 1)
    edge = placing.px_of[level] if side == BID else PX_ONE - placing.px_of[level]
    row[TICK_PX] = abs(placing.px_of[next_level] - placing.px_of[level]) if next_level >= 0 else edge
    row[SPREAD_PX] = abs(placing.px_of[facing] - placing.px_of[touch])
    row[MID2_PX] = placing.px_of[facing] + placing.px_of[touch]
    better = 0
    step = -1 if side == BID else 1
    at = touch
    while (at > level) if side == BID else (at < level):
        better += walk.book[side, at]
        at += step
    row[BETTER_QTY] = better
    row[TOUCH_QTY] = walk.book[side, touch]
    row[FACING_QTY] = walk.book[1 - side, facing]
    row[AHEAD_QTY] = walk.ahead[order]
    found.activity[order] = walk.activity[0]


@inner
def _place(walk, rules, placing, found, moment, now):
    """One order a side and distance, where the book is whole and two-sided."""
    bid = walk.mark[BEST_BID]
    ask = walk.mark[BEST_ASK]
    whole = walk.mark[TRUSTED] == 1 and walk.mark[IN_SNAPSHOT] == 0 and walk.mark[STATUS] == OPEN
    if not whole or bid < 0 or ask >= walk.book.shape[1] or bid >= ask:
        return
    for side in range(2):
        for index in range(len(placing.distances)):
            level = _behind(placing, walk.mark[TABLE], side, walk.mark[BEST_BID + side], placing.distances[index])
            if level < 0 or (level >= ask if side == BID else level <= bid):
                continue
            order = walk.mark[TAIL]
            walk.mark[TAIL] += 1
            walk.side[order] = side
            walk.level[order] = level
            walk.entry_ns[order] = now
            walk.entry_row[order] = walk.mark[ROW]
            walk.ahead[order] = walk.book[side, level]
            fresh = now - walk.credit_ns[side, level] <= rules.credit_ns
            walk.before[order] = walk.credit_qty[side, level] if fresh else 0
            _note(walk, placing, found, order, moment, placing.distances[index])


@inner
def _level_event(walk, rules, placing, event, now):
    """A level's new size. Returns False where it would be negative."""
    side = np.int64(event["side"])
    level = placing.level_of[event["px"]]
    old = walk.book[side, level]
    new = event["qty"]
    if event["kind"] == DELTA:
        new += old
    if new < 0:
        return False
    set_size(walk, side, level, new)
    if new < old and walk.mark[IN_SNAPSHOT] == 0:
        level_fell(walk, rules, side, level, old, new, now)
    return True


@inner
def _print_event(walk, rules, placing, event, now):
    """A trade: remembered, and shared among orders by the queue rule."""
    level = placing.level_of[event["px"]]
    if level < 0 or event["qty"] <= 0:
        return
    taker = np.int64(event["side"])
    count_print(walk.activity[0], taker, event["qty"])
    for side in range(2):
        if taker == side:
            continue  # a buyer hits asks only
        print_hits(walk, rules, side, level, event["qty"], taker >= 0, now)


@inner
def _rare_event(walk, event, now):
    """Everything but levels and trades."""
    kind = event["kind"]
    if kind == CLEAR:
        clear(walk)
        walk.mark[IN_SNAPSHOT] = 1
        walk.mark[TRUSTED] = 1
    elif kind == TICKS:
        walk.mark[TABLE] = event["qty"]
    elif kind == GAP:
        stop_all(walk, now)
        walk.mark[TRUSTED] = 0
    elif kind == STATUS_EVENT:
        walk.mark[STATUS] = event["qty"]
        if event["qty"] != OPEN:
            stop_all(walk, now)
    elif kind == SETTLE:
        stop_all(walk, now)


@inner
def _end_batch(walk, placing):
    """Here the book is whole: a snapshot ends, and the mid may have moved."""
    if walk.mark[IN_SNAPSHOT] == 1:
        walk.mark[IN_SNAPSHOT] = 0
        cut_to_shown(walk)
    bid = walk.mark[BEST_BID]
    ask = walk.mark[BEST_ASK]
    if bid < 0 or ask >= walk.book.shape[1] or bid >= ask:
        return
    walk.mark[MID2] = placing.px_of[bid] + placing.px_of[ask]


@kernel
def walk_tape(events, walk, rules, placing, found):
    """All rows of a tape; the number of orders placed, or minus (row + 1) of a change that makes a size negative."""
    moment = 0
    for row in range(len(events)):
        event = events[row]
        kind = event["kind"]
        walk.mark[NOW] = max(walk.mark[NOW], event["local_ns"])
        walk.mark[ROW] = row
        now = walk.mark[NOW]
        retire(walk, rules, now)
        _fade(walk, now)
        if kind in (DELTA, LEVEL):
            if walk.mark[TRUSTED] == 1 and not _level_event(walk, rules, placing, event, now):
                return -1 - row
        elif kind == TRADE:
            _print_event(walk, rules, placing, event, now)
        else:
            _rare_event(walk, event, now)
        if event["flags"] & END_OF_BATCH and walk.mark[TRUSTED] == 1:
            _end_batch(walk, placing)
        while moment < len(placing.rows) and placing.rows[moment] <= row:
            _place(walk, rules, placing, found, moment, now)
            moment += 1
    stop_all(walk, walk.mark[NOW])
    return walk.mark[TAIL]
