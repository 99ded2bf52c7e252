"""A tape's rows, applied one by one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reference.fees import Schedule
from reference.market import Market
from sim.types import (
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


class Event(NamedTuple):
    """One row, its size in lots where it is a size."""

    kind: int
    side: int
    px: int
    qty: int
    ns: int
    last: bool  # of its message


class Recording(NamedTuple):
    """A tape as the reference wants it."""

    events: list[Event]
    tick_sets: list[set[int]]
    schedules: list[Schedule]
    open_ns: int
    close_ns: int
    has_prints: bool  # the feed shows trades


def record(rows: np.ndarray, tick_tables: tuple, schedules: list[Schedule], open_ns: int, close_ns: int) -> Recording:
    """The recording of EVENT rows under their header's tables."""
    events = decode(rows)
    tick_sets = [allowed_prices(table) for table in tick_tables]
    return Recording(events, tick_sets, schedules, open_ns, close_ns, any(event.kind == TRADE for event in events))


def decode(rows: np.ndarray) -> list[Event]:
    """Events of EVENT rows: sizes of 1e-6 contract become lots, rounded down."""
    events = []
    for row in rows.tolist():
        ns, _, qty, px, _, flags, _, kind, side = row
        if kind in (DELTA, LEVEL, TRADE):
            qty //= 10_000
        events.append(Event(kind, side, px, qty, ns, bool(flags & END_OF_BATCH)))
    return events


def allowed_prices(ranges: tuple) -> set[int]:
    """Prices of a tick table; 0 and a dollar are never among them."""
    return {px for start, end, step in ranges for px in range(start, end + 1, step)} - {0, 10_000}


def apply(market: Market, event: Event, recording: Recording, now: int) -> None:
    """One row happens."""
    kind = event.kind
    if kind in (DELTA, LEVEL):
        _level(market, event, recording.has_prints, now)
    elif kind == TRADE:
        market.print_trade(event.side, event.px, event.qty, now)
    elif kind == CLEAR:
        market.memory.look(market.book, now)
        market.book.clear()
        market.in_snapshot, market.book_ns = True, now
    else:
        _rule(market, event, recording, now)
    if event.last and market.in_snapshot:
        market.end_snapshot()


def _rule(market: Market, event: Event, recording: Recording, now: int) -> None:
    kind = event.kind
    if kind == STATUS:
        market.change_status(event.qty)
    elif kind == WIPE:
        market.seen["orders dropped at a game's start"] += len(market.account.resting)
        market.drop_all()
    elif kind == TICKS:
        market.prices = recording.tick_sets[event.qty]
    elif kind == FEES:
        market.change_fees(recording.schedules[event.qty])
    elif kind == SETTLE:
        market.settle(event.px)
    elif kind == SIGNAL:
        market.signal, market.signal_err, market.signal_ns = event.qty, event.px * 100, now
    elif kind == GAP:
        market.gap = True


def _level(market: Market, event: Event, has_prints: bool, now: int) -> None:
    qty = event.qty + (market.book.size(event.side, event.px) if event.kind == DELTA else 0)
    if market.in_snapshot:
        market.book.put(event.side, event.px, qty)
    elif has_prints:
        market.change_level(event.side, event.px, qty, now)
    else:
        market.drop_without_prints(event.side, event.px, qty, now)
    if qty == 0:
        market.book.used[event.side].pop(event.px, None)


def keyframes(start: Market, recording: Recording, every_ns: int) -> list[tuple[int, int]]:
    """(rows applied, stamp) of the first whole message while open, and then of one each ``every_ns``.

    None between a GAP and the next snapshot: there the book is not to be trusted.
    """
    found, due, now, trusted = [], 0, 0, True
    for index, event in enumerate(recording.events):
        now = max(now, event.ns)
        trusted = (trusted or event.kind == CLEAR) and event.kind != GAP
        apply(start, event, recording, now)
        if event.last and now >= due and trusted and start.status == OPEN:
            found.append((index + 1, now))
            due = now + every_ns
    return found
