"""Prints for feeds that have none: three stated ways to split a touch's drop into trade and cancel.

==========  ==========================================================================================================
``share``   ``floor(trade_share x drop)`` of every drop of the touch was traded, the rest cancelled: the engine's rule
``whole``   a drop was traded whole or cancelled whole: it is a trade once half of it is owed to ``trade_share``
``volume``  the same, but what is owed is what the venue's cumulative volume says was traded between two of its tickers;
            the drop that is exactly the last trade that a ticker names is that trade
==========  ==========================================================================================================

The first two know nothing of when trades happened; the third does, to the ticker's second. A drop behind the touch is a
cancel under all three. A TRADE row comes right before the drop it explains, flagged INFERRED, with the taker opposite.
docs/fill-model.md compares the three with true prints.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from sim.kernel import kernel
from sim.tape import Tape, seal
from sim.types import ASK, BID, CLEAR, DELTA, END_OF_BATCH, GAP, INFERRED, LEVEL, MICRO_PER_LOT, PX_ONE, TRADE

SPLITS = ("share", "whole", "volume")
_NS_PER_MS = 1_000_000


class Tickers(NamedTuple):
    """A venue's cumulative volume, ascending in time."""

    ts_ms: np.ndarray  # (K,) int64 the venue's clock
    volume: np.ndarray  # (K,) int64 lots traded since the market opened
    last_px: np.ndarray  # (K,) int64 price of the last trade, YES space; -1 = not said
    last_qty: np.ndarray  # (K,) int64 its size in lots


def touch_drops(events: np.ndarray) -> np.ndarray:
    """(E,) int64: size units (1e-6 contract) by which each row lowers the best level of its side; 0 where it does not.

    Rows of a snapshot, and rows between a GAP and the next CLEAR, count as 0.
    """
    drops = np.zeros(len(events), np.int64)
    book = np.zeros((2, PX_ONE + 1), np.int64)
    _touch_drops(events, book, np.array([0, PX_ONE], np.int64), drops)
    return drops


@kernel
def _touch_drops(events, book, best, drops):
    """Replay a tape of one market, noting drops at the best price; ``best`` is 0 and 10000 where a side is empty."""
    quiet = False  # inside a snapshot, or after a gap
    for row in range(len(events)):
        kind = events[row]["kind"]
        if kind in (CLEAR, GAP):
            book[:, :] = 0
            best[BID] = 0
            best[ASK] = PX_ONE
            quiet = True
        elif kind in (DELTA, LEVEL):
            side = np.int64(events[row]["side"])
            px = np.int64(events[row]["px"])
            old = book[side, px]
            new = events[row]["qty"] + (old if kind == DELTA else 0)
            if not quiet and new < old and px == best[side]:
                drops[row] = old - new
            book[side, px] = new
            _follow_best(book, best, side, px)
        if events[row]["flags"] & END_OF_BATCH:
            quiet = False


@kernel
def _follow_best(book, best, side, px):
    if book[side, px] > 0:
        best[side] = max(best[side], px) if side == BID else min(best[side], px)
        return
    step = -1 if side == BID else 1
    while 0 < best[side] < PX_ONE and book[side, best[side]] <= 0:
        best[side] += step


def split_share(drops: np.ndarray, trade_share: float) -> np.ndarray:
    """(E,) traded part of each drop: ``floor(trade_share x drop)``, in whole lots. Sizes in 1e-6 contract."""
    _check_share(trade_share)
    return np.floor(drops // MICRO_PER_LOT * trade_share).astype(np.int64) * MICRO_PER_LOT


def split_whole(drops: np.ndarray, trade_share: float) -> np.ndarray:
    """(E,) traded part of each drop: all of it or nothing, keeping the traded total next to its share."""
    _check_share(trade_share)
    traded = np.zeros_like(drops)
    owed = 0.0
    for row in np.flatnonzero(drops).tolist():
        owed += trade_share * drops[row]
        if owed >= 0.5 * drops[row]:
            traded[row] = drops[row]
            owed -= drops[row]
    return traded


def split_volume(events: np.ndarray, drops: np.ndarray, tickers: Tickers) -> np.ndarray:
    """(E,) traded part of each drop, all of it or nothing, so that the venue's volume between two tickers was traded.

    A drop belongs to the interval (ts of a ticker, ts of the next] of its venue stamp. The latest drop there that is
    exactly the last trade the second ticker names is that trade. The others of the interval are owed the rest of its
    volume in proportion to their size, and a drop is a trade once half of it is owed; what is owed too much or too
    little is carried on. Drops outside all intervals were not traded.
    """
    ms = events["venue_ns"] // _NS_PER_MS
    interval = np.where(drops > 0, np.searchsorted(tickers.ts_ms, ms, side="left"), 0)
    interval[interval >= len(tickers.ts_ms)] = 0
    volume = np.diff(tickers.volume, prepend=tickers.volume[:1]) * MICRO_PER_LOT
    traded = np.zeros_like(drops)
    named = (drops > 0) & (drops == tickers.last_qty[interval] * MICRO_PER_LOT) & (drops <= volume[interval])
    named &= (events["px"] == tickers.last_px[interval]) & (interval > 0)
    rows = np.flatnonzero(named)[::-1]
    _, latest = np.unique(interval[rows], return_index=True)
    exact = rows[latest]
    traded[exact] = drops[exact]
    volume[interval[exact]] -= drops[exact]
    others = np.flatnonzero((drops > 0) & (interval > 0) & (traded == 0))
    total = np.bincount(interval[others], drops[others], minlength=len(volume))
    part = np.minimum(1.0, np.divide(volume, total, out=np.zeros(len(total)), where=total > 0))
    owed = 0.0
    for row, owing in zip(others.tolist(), part[interval[others]].tolist(), strict=True):
        owed += owing * drops[row]
        if owing > 0.0 and owed >= 0.5 * drops[row]:
            traded[row] = drops[row]
            owed -= drops[row]
    return traded


def with_prints(tape: Tape, traded: np.ndarray, note: str) -> Tape:
    """A tape with a TRADE row before each drop of which ``traded`` (E,), in 1e-6 contract, is positive.

    Raises ValueError where the tape has trades of its own, or ``traded`` does not have one value a row.
    """
    events = tape.events
    if (events["kind"] == TRADE).any():
        raise ValueError(f"{tape.header.markets[0].id}: the tape has trades of its own; splitting is for feeds without")
    if traded.shape != events.shape:
        raise ValueError(f"with_prints: expected one traded size for each of {len(events)} rows, got {traded.shape}")
    rows = np.flatnonzero(traded > 0)
    prints = events[rows].copy()
    prints["kind"] = TRADE
    prints["qty"] = traded[rows]
    prints["side"] = np.where(prints["side"] == BID, ASK, BID)
    prints["flags"] = INFERRED
    prints["seq"] = -1
    header = msgspec.structs.replace(tape.header, notes=(*tape.header.notes, note))
    return seal(np.insert(events, rows, prints), header)


def _check_share(trade_share: float) -> None:
    if not 0.0 <= trade_share <= 1.0:
        raise ValueError(f"trade_share must lie in [0, 1], got {trade_share}")
