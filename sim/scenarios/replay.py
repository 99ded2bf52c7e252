"""Recorded tapes as scenarios: the events as they came, in row order, on the recorder's clock."""

from __future__ import annotations

import numpy as np

from sim.account import drop_orders, settle
from sim.activity import fade_until
from sim.book import clear_book, reset_counters, set_level
from sim.kernel import hot, inner, kernel
from sim.place import forget_changes
from sim.queue import on_drop, on_level, on_print
from sim.resting import change_fees, change_status
from sim.state import ORDER_SLOTS, USED_NS, USED_QTY
from sim.types import (
    ASK,
    BID,
    CLEAR,
    DELTA,
    END_OF_BATCH,
    FEES,
    GAP,
    LEVEL,
    OPEN,
    SETTLE,
    SIGNAL,
    STATUS,
    TICKS,
    TRADE,
    WIPE,
)

_PPM_PER_PX = 100  # a stated error comes in 1e-4, the state keeps 1e-6


@inner
def _end_snapshot(desk):
    """A snapshot is whole: what it does not show has vanished; nobody ahead of us can be more than what it shows."""
    desk.market["in_snapshot"] = 0
    for side in range(2):
        for level in range(desk.book.shape[1]):
            if desk.book[side, level] == 0:
                desk.book[USED_QTY + side, level] = 0
    for index in range(ORDER_SLOTS):
        order = desk.market["orders"][index]
        if order["id"] > 0:
            forget_changes(order, desk.book[order["side"], order["level"]])


@hot
def _level_event(desk, event, now):
    side = np.int64(event["side"])
    level = desk.level_of[event["px"]]
    qty = event["qty"]
    if event["kind"] == DELTA:
        qty += desk.book[side, level]
    if qty == 0:
        desk.book[USED_QTY + side, level] = 0  # a level that vanishes forgets what we took from it
    if desk.market["in_snapshot"]:
        set_level(desk.market, desk.book, desk.px_of, side, level, qty)
    elif desk.market["has_prints"] == 1:
        on_level(desk, side, level, qty, now)
    else:
        on_drop(desk, side, level, qty, now)


@inner
def _rare_event(desk, event, now):
    """Everything but levels and trades."""
    kind = event["kind"]
    market = desk.market
    if kind == CLEAR:
        fade_until(desk.market, desk.px_of, now)
        clear_book(desk.market, desk.book)
        market["in_snapshot"] = 1
        market["book_ns"] = now
    elif kind == STATUS:
        change_status(desk, event["qty"])
    elif kind == TICKS:
        market["tick_grid"] = event["qty"]
    elif kind == FEES:
        change_fees(desk, event["qty"])
    elif kind == WIPE:
        drop_orders(desk)
    elif kind == SETTLE:
        settle(desk, event["px"])
    elif kind == SIGNAL:
        market["signal_ppm"] = event["qty"]
        market["signal_err_ppm"] = event["px"] * _PPM_PER_PX
        market["signal_ns"] = now
    elif kind == GAP:
        desk.account["gap"] = 1


@hot
def tape_event(desk, event, now):
    """Apply one row of a tape, an EVENT with its size in lots."""
    kind = event["kind"]
    if kind in (DELTA, LEVEL):
        _level_event(desk, event, now)
    elif kind == TRADE:
        on_print(desk, np.int64(event["side"]), np.int64(event["px"]), event["qty"], now)
    else:
        _rare_event(desk, event, now)
    if event["flags"] & END_OF_BATCH and desk.market["in_snapshot"] == 1:
        _end_snapshot(desk)


@inner
def start_tape(desk, world, tape, key):
    """A market goes on with ``tape`` from keyframe ``key``; its record has been copied from there already."""
    market = desk.market
    market["tape"] = tape
    market["has_prints"] = world.tape_prints[tape]
    market["cursor"] = world.key_cursor[key]
    market["cursor_end"] = world.tape_last[tape]
    for level in range(desk.book.shape[1]):
        for side in range(2):
            desk.book[side, level] = world.key_book[key, side, level]
            desk.book[USED_QTY + side, level] = 0
            desk.book[USED_NS + side, level] = 0


@inner
def catch_up(desk, world, until):
    """Play what happened from a keyframe up to ``until``, before the episode begins."""
    market = desk.market
    while market["cursor"] < market["cursor_end"] and world.events[market["cursor"]]["local_ns"] <= until:
        event = world.events[market["cursor"]]
        market["cursor"] += 1
        tape_event(desk, event, event["local_ns"])
    reset_counters(desk.market)


@inner
def last_keyframe(world, tape, until):
    """The latest keyframe of a tape at or before ``until``; its first one if there is none."""
    low = world.key_first[tape]
    high = world.key_last[tape]
    while high - low > 1:
        middle = (low + high) // 2
        if world.key_ns[middle] <= until:
            low = middle
        else:
            high = middle
    return low


@inner
def common_start(world, recording):
    """The first keyframe of a recording's first market at or after which all of its markets have one."""
    markets = world.recordings.shape[1]
    start = 0
    for market in range(markets):
        start = max(start, world.key_ns[world.key_first[world.recordings[recording, market]]])
    tape = world.recordings[recording, 0]
    key = world.key_first[tape]
    while key < world.key_last[tape] - 1 and world.key_ns[key] < start:
        key += 1
    return key, start


@kernel
def find_keyframes(desk, events, first, every_ns, ns, cursors, markets, books):
    """Replay the ``events`` of a tape and keep the book at its first whole batch and every ``every_ns`` after it.

    ``first`` is the row in the pool of the tape's first event. Returns the number of keyframes, which may exceed the
    arrays' length: then allocate and call again. From a GAP to the end of the next snapshot the book is not to be
    trusted: no keyframe is taken there. Elsewhere a change that makes a level's size negative ends it: then
    minus (its row + 1) is returned.
    """
    count = 0
    due = 0
    now = 0
    trusted = True
    for row in range(len(events)):
        event = events[row]
        if event["kind"] == GAP:
            trusted = False
        elif event["kind"] == CLEAR:
            trusted = True
        now = max(now, event["local_ns"])
        if event["kind"] == DELTA and trusted:
            if desk.book[event["side"], desk.level_of[event["px"]]] + event["qty"] < 0:
                return -1 - row
        tape_event(desk, event, now)
        if event["flags"] & END_OF_BATCH and now >= due and trusted and desk.market["status"] == OPEN:
            if count < len(ns):
                reset_counters(desk.market)
                ns[count] = now
                cursors[count] = first + row + 1
                markets[count] = desk.market
                for level in range(desk.book.shape[1]):
                    books[count, BID, level] = desk.book[BID, level]
                    books[count, ASK, level] = desk.book[ASK, level]
            count += 1
            due = now + every_ns
    return count
