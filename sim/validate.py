"""Is a tape what it says it is? Replays it through a book of its own and counts; see docs/tape.md.

The book of :mod:`sim.rebuild` shares no code with the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np

from sim.kernel import kernel
from sim.rebuild import Replay, rebuild
from sim.tape import Tape
from sim.types import (
    ASK,
    BID,
    CLEAR,
    DELTA,
    END_OF_BATCH,
    FEES,
    GAP,
    KIND_NAMES,
    LEVEL,
    PX_ONE,
    QUOTE,
    SETTLE,
    SIGNAL,
    TICKS,
)

_NS_PER_MS = 1_000_000


@dataclass
class Report:
    """What validation found. A tape with ``errors`` is not to be used; everything else is counted only."""

    events: int = 0
    quotes: int = 0  # quotes of the venue that could be compared with the book
    agree: int = 0  # of these, those that the book agreed with
    brief_crossings: int = 0  # book rows inside a batch that left the book crossed or locked
    lasting_crossings: int = 0  # batches that ended crossed or locked
    negative: int = 0  # rows that make a size negative, or say one
    local_regressions: int = 0  # rows stamped before the row above them
    venue_regressions: int = 0
    sequence_gaps: int = 0  # jumps of the sequence number without a GAP row
    gaps: int = 0  # GAP rows
    open_batches: int = 0  # 1 where the recording stops inside a batch
    errors: list[str] = field(default_factory=list)

    def plus(self, other: Report) -> Report:
        """Counts and errors of both."""
        return Report(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))


def validate(tape: Tape) -> Report:
    """Replay ``tape`` and count. Bad data is reported in ``errors``, one line each; nothing is raised."""
    events = tape.events
    report = Report(events=len(events))
    report.errors += _bad_fields(tape)
    if report.errors:
        return report  # the replay below trusts the fields
    trusted = _trusted(events, len(tape.header.markets))
    replay = rebuild(events, trusted, len(tape.header.markets))
    report.brief_crossings, report.lasting_crossings, report.negative = replay.brief, replay.lasting, replay.negative
    if replay.negative:
        report.errors.append(
            f"row {replay.first_negative}: {_row(events, replay.first_negative)} makes a size negative "
            f"({replay.negative} such rows); expected sizes of 0 or more: a change was lost, or told twice"
        )
    if replay.lasting:
        row = replay.first_lasting
        report.errors.append(
            f"row {row}: {_row(events, row)} ends its batch with the bid at {replay.bid[row]} and the ask at "
            f"{replay.ask[row]} ({replay.lasting} such batches); expected bid < ask at the end of a batch"
        )
    _count_stamps(events, report)
    if tape.header.quotes != "none":
        for market in range(len(tape.header.markets)):
            _compare_quotes(events, market, trusted, replay, tape.header.quotes == "stamp", report)
    return report


def _row(events: np.ndarray, row: int) -> str:
    event = events[row]
    return f"{KIND_NAMES[event['kind']]} px {event['px']} qty {event['qty']} side {event['side']}"


def _bad_fields(tape: Tape) -> list[str]:
    """One line for each rule of the format that a row breaks, naming the first such row."""
    events, header = tape.events, tape.header
    kind, px, qty, side = (events[name] for name in ("kind", "px", "qty", "side"))
    level = (kind == DELTA) | (kind == LEVEL)
    settle = np.flatnonzero(kind == SETTLE)
    after_settle = np.zeros(len(events), np.bool_)
    if len(header.markets) == 1 and len(settle):
        after_settle[settle[0] + 1 :] = True
    rules = (
        ((kind == 0) | (kind >= len(KIND_NAMES)), f"an unknown kind; expected 1 to {len(KIND_NAMES) - 1}"),
        (events["market"] >= len(header.markets), f"a market index; expected below {len(header.markets)}"),
        (level & ((px <= 0) | (px >= PX_ONE)), f"the price of a level; expected 1 to {PX_ONE - 1}"),
        ((px < 0) | ((px > PX_ONE) & (kind != SIGNAL)), f"a price; expected 0 to {PX_ONE}"),
        ((level | (kind == QUOTE)) & (side != BID) & (side != ASK), "the side of a level or quote; expected 0 or 1"),
        ((kind == TICKS) & ((qty < 0) | (qty >= len(header.tick_tables))), "a tick table that the header lacks"),
        ((kind == FEES) & ((qty < 0) | (qty >= len(header.fee_schedules))), "a fee schedule that the header lacks"),
        (after_settle, "a row after SETTLE; expected settlement to be the last event"),
    )
    found = []
    for broken, rule in rules:
        if broken.any():
            row = int(np.argmax(broken))
            name = KIND_NAMES[kind[row]] if kind[row] < len(KIND_NAMES) else str(kind[row])
            found.append(f"row {row}: {name} px {px[row]} qty {qty[row]} side {side[row]} has {rule}")
    return found


def _trusted(events: np.ndarray, markets: int) -> np.ndarray:
    """Whether a row's market has a book at that row: not after a GAP, nor before the first CLEAR where there is one."""
    trusted = np.ones(len(events), np.bool_)
    for market in range(markets):
        own = np.flatnonzero(events["market"] == market)
        kind = events["kind"][own]
        marks = np.flatnonzero((kind == CLEAR) | (kind == GAP))
        if not len(marks):
            continue
        known = np.repeat(kind[marks] == CLEAR, np.diff(marks, append=len(own)))
        starts_known = not (kind == CLEAR).any()
        trusted[own] = np.concatenate([np.full(marks[0], starts_known), known])
    return trusted


def _count_stamps(events: np.ndarray, report: Report) -> None:
    """Regressions, jumps of the sequence number, gaps."""
    if not len(events):
        return
    report.local_regressions = int((np.diff(events["local_ns"]) < 0).sum())
    stamped = events["venue_ns"][events["venue_ns"] > 0]
    report.venue_regressions = int((np.diff(stamped) < 0).sum())
    is_gap = events["kind"] == GAP
    report.gaps = int(is_gap.sum())
    places = np.flatnonzero(events["seq"] >= 0)
    step = np.diff(events["seq"][places].astype(np.int64))
    gaps_before = np.cumsum(is_gap)[places]
    told = np.diff(gaps_before) > 0
    restarts = events["kind"][places[1:]] == CLEAR
    report.sequence_gaps = int(((step != 0) & (step != 1) & ~told & ~(restarts & (step < 0))).sum())
    report.open_batches = int(not events["flags"][-1] & END_OF_BATCH)


def _compare_quotes(
    events: np.ndarray, market: int, trusted: np.ndarray, replay: Replay, by_stamp: bool, report: Report
) -> None:
    """Count the quotes of one market that the book agrees with; a pair of bid and ask agrees only as a whole."""
    own = np.flatnonzero(events["market"] == market)
    marks = np.flatnonzero(np.isin(events["kind"][own], (CLEAR, GAP)))
    for stretch in np.split(own, marks):
        if not len(stretch) or not trusted[stretch[0]]:
            continue
        book_rows = stretch[np.isin(events["kind"][stretch], (DELTA, LEVEL, CLEAR))]
        quote_rows = stretch[events["kind"][stretch] == QUOTE]
        if not len(book_rows) or not len(quote_rows):
            continue
        quotes = _pairs(events, quote_rows[quote_rows > book_rows[0]])
        states = book_rows[events["venue_ns"][book_rows] > 0]
        states = states[np.argsort(events["venue_ns"][states] // _NS_PER_MS, kind="stable")]
        ms = events["venue_ns"][quotes.row] // _NS_PER_MS
        state_ms = events["venue_ns"][states] // _NS_PER_MS
        agrees = _agrees_at_stamp(quotes, ms, state_ms, replay.bid[states], replay.ask[states], by_stamp)
        if by_stamp:
            # Only where the recording holds the book of that moment, and of the moment the quote came in.
            here = np.zeros(len(ms), np.bool_)
            if len(states):
                here = (ms >= state_ms[0]) & (ms <= state_ms[-1])
                here &= events["local_ns"][quotes.row] <= events["local_ns"][book_rows[-1]]
        else:
            here = np.ones(len(ms), np.bool_)
            agrees |= _says(quotes.bid, replay.bid[quotes.row]) & _says(quotes.ask, replay.ask[quotes.row])
        report.quotes += int(here.sum())
        report.agree += int((here & agrees).sum())


class _Quotes(NamedTuple):
    row: np.ndarray  # of the quote's first row
    bid: np.ndarray  # -1 = not said
    ask: np.ndarray


def _pairs(events: np.ndarray, rows: np.ndarray) -> _Quotes:
    """Quotes of QUOTE rows: a bid row and the ask row right below it are one."""
    side, px = events["side"][rows], events["px"][rows]
    second = np.zeros(len(rows), np.bool_)
    second[1:] = (side[1:] == ASK) & (side[:-1] == BID) & (np.diff(rows) == 1)
    first = np.flatnonzero(~second)
    last = first + np.append(second[1:], False)[first]
    bid_px = np.where(side[first] == BID, px[first], -1)
    ask_px = np.where(side[last] == ASK, px[last], -1)
    return _Quotes(rows[first], bid_px, ask_px)


def _says(said: np.ndarray, book: np.ndarray) -> np.ndarray:
    return (said == -1) | (said == book)


def _agrees_at_stamp(
    quotes: _Quotes, ms: np.ndarray, state_ms: np.ndarray, bids: np.ndarray, asks: np.ndarray, with_standing: bool
) -> np.ndarray:
    """Whether a state the book took on in a quote's millisecond is the quote's, or the one that stood before it."""
    first = np.searchsorted(state_ms, ms, side="left")
    last = np.searchsorted(state_ms, ms, side="right")
    if with_standing:
        first = np.maximum(first - 1, 0)
    agrees = np.zeros(len(ms), np.bool_)
    _find_state(quotes.bid, quotes.ask, first, last, bids, asks, agrees)
    return agrees


@kernel
def _find_state(
    bid_px: np.ndarray,
    ask_px: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    bids: np.ndarray,
    asks: np.ndarray,
    agrees: np.ndarray,
) -> None:
    for quote in range(len(agrees)):
        for state in range(first[quote], last[quote]):
            bid_fits = bid_px[quote] == -1 or bid_px[quote] == bids[state]
            ask_fits = ask_px[quote] == -1 or ask_px[quote] == asks[state]
            if bid_fits and ask_fits:
                agrees[quote] = True
                break
