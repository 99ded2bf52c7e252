"""A second opinion on a tape's book, for :mod:`sim.validate`: a size for every price, and nothing else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.kernel import kernel
from sim.types import ASK, BID, CLEAR, DELTA, END_OF_BATCH, LEVEL, PX_ONE, TRADE

_EMPTY_BID = 0
_EMPTY_ASK = PX_ONE
_BRIEF, _LASTING, _FIRST_LASTING, _NEGATIVE, _FIRST_NEGATIVE, _COUNTS = range(6)  # in the order of Replay's fields


class Replay(NamedTuple):
    """Best prices after every row, and what went wrong on the way; rows are -1 where nothing did."""

    bid: np.ndarray  # (events,) int32: best bid of the row's market, 0 = none
    ask: np.ndarray  # (events,) int32: best ask, 10000 = none
    brief: int
    lasting: int
    first_lasting: int
    negative: int
    first_negative: int


def rebuild(events: np.ndarray, trusted: np.ndarray, markets: int) -> Replay:
    """Replay all rows through empty books."""
    best = np.empty((2, len(events)), np.int32)
    book = np.zeros((markets, 2, PX_ONE + 1), np.int64)
    now = np.empty((2, markets), np.int32)
    now[BID], now[ASK] = _EMPTY_BID, _EMPTY_ASK
    counts = np.zeros(_COUNTS, np.int64)
    counts[_FIRST_LASTING] = counts[_FIRST_NEGATIVE] = -1
    _replay(events, trusted, book, now, best, counts)
    return Replay(best[BID], best[ASK], *counts.tolist())


@kernel
def _replay(
    events: np.ndarray, trusted: np.ndarray, book: np.ndarray, now: np.ndarray, best: np.ndarray, counts: np.ndarray
) -> None:
    """Apply every row to ``book`` (markets, 2, 10001); best prices after it go to ``best`` (2, events)."""
    for row in range(len(events)):
        event = events[row]
        kind = event["kind"]
        market = event["market"]
        if kind == CLEAR:
            for px in range(PX_ONE + 1):
                book[market, BID, px] = 0
                book[market, ASK, px] = 0
            now[BID, market] = _EMPTY_BID
            now[ASK, market] = _EMPTY_ASK
        elif trusted[row] and kind in (DELTA, LEVEL):
            _apply(event, book, now)
            if book[market, event["side"], event["px"]] < 0:
                _count(counts, _NEGATIVE, _FIRST_NEGATIVE, row)
        elif kind == TRADE and event["qty"] < 0:
            _count(counts, _NEGATIVE, _FIRST_NEGATIVE, row)
        best[BID, row] = now[BID, market]
        best[ASK, row] = now[ASK, market]
        two_sided = now[BID, market] > _EMPTY_BID and now[ASK, market] < _EMPTY_ASK
        if trusted[row] and two_sided and now[BID, market] >= now[ASK, market]:
            if event["flags"] & END_OF_BATCH:
                _count(counts, _LASTING, _FIRST_LASTING, row)
            elif kind in (DELTA, LEVEL):
                counts[_BRIEF] += 1


@kernel
def _apply(event: np.void, book: np.ndarray, now: np.ndarray) -> None:
    """One DELTA or LEVEL row."""
    market = event["market"]
    side = event["side"]
    px = event["px"]
    qty = event["qty"]
    if event["kind"] == DELTA:
        qty += book[market, side, px]
    book[market, side, px] = qty
    if side == BID:
        if qty > 0 and px > now[BID, market]:
            now[BID, market] = px
        while now[BID, market] > _EMPTY_BID and book[market, BID, now[BID, market]] <= 0:
            now[BID, market] -= 1
    else:
        if qty > 0 and px < now[ASK, market]:
            now[ASK, market] = px
        while now[ASK, market] < _EMPTY_ASK and book[market, ASK, now[ASK, market]] <= 0:
            now[ASK, market] += 1


@kernel
def _count(counts: np.ndarray, number: int, first: int, row: int) -> None:
    counts[number] += 1
    if counts[first] < 0:
        counts[first] = row
