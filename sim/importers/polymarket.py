"""One YES-space book built from Polymarket messages of both tokens, and the event rows that lead to it.

Every level of the YES token at p is the NO token's opposite level at 1 - p. The venue tells each change twice, once per
token; the second telling changes nothing and is not repeated on the tape. After a match it sends the whole book again.

When a batch is whole: at the end of a venue message that leaves the book uncrossed, or that is a whole book. A message
that leaves it crossed is the first part of a match whose other parts (the rest of the match, or the book sent again)
are still to come: the batch stays open until one of them. So a crossing cannot outlast a book that the venue re-sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from sim.importers import common
from sim.types import (
    ASK,
    BID,
    CLEAR,
    END_OF_BATCH,
    INFERRED,
    LEVEL,
    PX_ONE,
    QUOTE,
    SETTLE,
    TICKS,
    TRADE,
)

Levels = Mapping[int, int]  # px -> size in 1e-6 contract
_CENT = 100


def yes_space(is_yes: bool, side: int, px: int) -> tuple[int, int]:
    """Side and price in YES space of a level of one of the two tokens."""
    return (side, px) if is_yes else (1 - side, PX_ONE - px)


class BookWriter:
    """Takes messages in arrival order; collects rows. Prices 1e-4 dollar, sizes 1e-6 contract, YES space throughout."""

    def __init__(self, local_is_venue: bool, fine: bool | None = None) -> None:
        """``local_is_venue``: the source has no local stamps, the running maximum of the venue's stands in for them.

        ``fine``: whether the market's tick is 0.001 (else 0.01) at the start; None = by the first snapshot's prices.
        """
        self.levels: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.mirrored = 0  # rows that told a change a second time
        self.tick_tables: tuple = ()
        self._rows: list[tuple] = []
        self._local_is_venue = local_is_venue
        self._local_ns = 0
        self._venue_ns = 0
        self._known = False  # a whole book was seen
        self._fine = fine
        self._infer_ticks = fine is None
        if fine is not None:
            self.tick_tables = (common.MILL_TICKS if fine else common.CENT_TICKS,)

    def at(self, venue_ns: int, local_ns: int = 0) -> None:
        """Stamps of the messages that follow."""
        self._venue_ns = venue_ns
        self._local_ns = max(self._local_ns, venue_ns) if self._local_is_venue else local_ns

    def change(self, changes: Iterable[tuple[int, int, int]], fold: bool = True) -> None:
        """Levels of one message: (side, px, new size). With ``fold``, rows that change nothing are only counted."""
        changes = list(changes)
        self._watch_tick(px for _, px, _ in changes)
        for side, px, qty in changes:
            if fold and self.levels[side].get(px, 0) == qty:
                self.mirrored += 1
            else:
                self._set(side, px, qty, 0)
        self._end_message(self.crossed())

    def book(self, bids: Levels, asks: Levels, infer_trades: bool = False) -> None:
        """A whole book. The first one is CLEAR and LEVEL rows; a later one only the levels that differ, INFERRED."""
        self._watch_tick([*bids, *asks])
        if not self._known:
            self._known = True
            self._add(CLEAR, -1, 0, 0)
            for side, levels in ((BID, bids), (ASK, asks)):
                self.levels[side].clear()
                for px, qty in levels.items():
                    self._set(side, px, qty, 0)
            self._end_message(False)
            return
        if infer_trades and not self.crossed():
            self._infer_trades(bids, asks)
        self._set_all(bids, asks, INFERRED)
        self._end_message(False)

    def photo(self, bids: Levels, asks: Levels, depth: int) -> None:
        """A whole view of at most ``depth`` levels a side, taken at some moment: perhaps between the parts of a match.

        Levels that differ from the last view follow as LEVEL rows. One that only left the view, pushed out by better
        levels, becomes 0 with INFERRED.
        """
        if not self._known:
            self.book(bids, asks)
            return
        self._watch_tick([*bids, *asks])
        hidden_bid = min(bids) if len(bids) >= depth else -1
        hidden_ask = max(asks) if len(asks) >= depth else PX_ONE + 1
        for px in [px for px in self.levels[BID] if px < hidden_bid]:
            self._set(BID, px, 0, INFERRED)
        for px in [px for px in self.levels[ASK] if px > hidden_ask]:
            self._set(ASK, px, 0, INFERRED)
        self._set_all(bids, asks, 0)
        self._end_message(self.crossed())

    def trade(self, side: int, px: int, qty: int) -> None:
        """A print; ``side`` is the taker's."""
        self._add(TRADE, side, px, qty)
        self._end_message(self.crossed())

    def quote(self, bid_px: int, ask_px: int) -> None:
        """The venue's own best prices."""
        self._add(QUOTE, BID, bid_px, -1)
        self._add(QUOTE, ASK, ask_px, -1)
        self._end_message(self.crossed())

    def tick(self, fine: bool) -> None:
        """The venue changed the tick: 0.001 if ``fine``, else 0.01."""
        if self._fine != fine:
            self._fine = fine
            self._add(TICKS, -1, 0, self._table(fine))
            self._end_message(self.crossed())

    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        bids, asks = self.levels
        return bool(bids) and bool(asks) and max(bids) >= min(asks)

    def events(self, payout_px: int | None = None, settle_ns: int = 0) -> np.ndarray:
        """All rows, then SETTLE at the later of ``settle_ns`` and the last row where ``payout_px`` is given."""
        rows = list(self._rows)
        if payout_px is not None:
            rows.append((max(settle_ns, self._local_ns), 0, 0, payout_px, -1, END_OF_BATCH, 0, SETTLE, -1))
        return common.from_tuples(rows)

    def _set_all(self, bids: Levels, asks: Levels, flags: int) -> None:
        """Go to the given levels; what leaves goes first, best first, so that no crossing appears that neither has."""
        for side, levels in ((BID, bids), (ASK, asks)):
            for px in sorted(self.levels[side].keys() - levels.keys(), reverse=side == BID):
                self._set(side, px, 0, flags)
        for side, levels in ((BID, bids), (ASK, asks)):
            for px, qty in levels.items():
                if self.levels[side].get(px, 0) != qty:
                    self._set(side, px, qty, flags)

    def _infer_trades(self, bids: Levels, asks: Levels) -> None:
        """What a re-sent book lacks at the touch was traded: from the best level on, as long as levels are used up."""
        for side, levels in ((BID, bids), (ASK, asks)):
            taker = ASK if side == BID else BID
            for px in sorted(self.levels[side], reverse=side == BID):
                drop = self.levels[side][px] - levels.get(px, 0)
                if drop > 0:
                    self._add(TRADE, taker, px, drop, INFERRED)
                if levels.get(px, 0) > 0:
                    break

    def _watch_tick(self, prices: Iterable[int]) -> None:
        """Where the source does not tell the tick: 0.01 until the first price off that grid, then 0.001."""
        if not self._infer_ticks or self._fine:
            return
        fine = any(px % _CENT for px in prices)
        if self._fine is None:
            self._fine = fine
            self.tick_tables = (common.MILL_TICKS if fine else common.CENT_TICKS,)
        elif fine:
            self._fine = True
            self._add(TICKS, -1, 0, self._table(True), INFERRED)

    def _table(self, fine: bool) -> int:
        table = common.MILL_TICKS if fine else common.CENT_TICKS
        if table not in self.tick_tables:
            self.tick_tables = (*self.tick_tables, table)
        return self.tick_tables.index(table)

    def _set(self, side: int, px: int, qty: int, flags: int) -> None:
        if qty:
            self.levels[side][px] = qty
        else:
            self.levels[side].pop(px, None)
        self._add(LEVEL, side, px, qty, flags)

    def _add(self, kind: int, side: int, px: int, qty: int, flags: int = 0) -> None:
        self._rows.append((self._local_ns, self._venue_ns, qty, px, -1, flags, 0, kind, side))

    def _end_message(self, keep_open: bool) -> None:
        """Close the batch on the last row, unless the book is crossed or no whole book was seen yet."""
        if self._rows and self._known and not keep_open:
            row = self._rows[-1]
            self._rows[-1] = (*row[:5], row[5] | END_OF_BATCH, *row[6:])
