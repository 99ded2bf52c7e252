"""One YES-space book built from Polymarket messages of both tokens, and the event rows that lead to it.

Every level of the YES token at p is the NO token's opposite level at 1 - p. The venue tells each change twice, once per
token; the second telling changes nothing and is not repeated on the tape. After a match it sends the whole book again.

When a batch is whole: at the end of a venue message that leaves the book uncrossed, or that is a whole book. A message
that leaves it crossed is the first part of a match whose other parts (the rest of the match, or the book sent again)
are still to come: the batch stays open until one of them. So a crossing cannot outlast a book that the venue re-sent.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sim.types import (
    ASK,
    BID,
    CLEAR,
    END_OF_BATCH,
    EVENT,
    GAP,
    INFERRED,
    LEVEL,
    PX_ONE,
    QUOTE,
    SETTLE,
    TICKS,
    TRADE,
)
from sim.venues.rules import whole
from sim.wire.ladder import Ladder, Levels
from sim.wire.listing import CENT_TICKS, MILL_TICKS, Ticks
from sim.wire.units import Row, end_batch

_CENT = 100


class BookWriter:
    """Takes messages in arrival order; collects rows. Prices 1e-4 dollar, sizes 1e-6 contract, YES space throughout."""

    def __init__(self, local_is_venue: bool, ticks: Ticks | None = None, market: int = 0) -> None:
        """``local_is_venue``: the source has no local stamps, the running maximum of the venue's stands in for them.

        ``ticks``: in force at the start; None = 0.01 or 0.001, by the prices that are seen. ``market``: of the rows.
        """
        self.ladder = Ladder()
        self.mirrored = 0  # rows that told a change a second time
        self.tick_tables: tuple[Ticks, ...] = () if ticks is None else (ticks,)
        self._rows: list[Row] = []
        self._market = market
        self._local_is_venue = local_is_venue
        self._local_ns = 0
        self._venue_ns = 0
        self._ticks = ticks
        self._infer_ticks = ticks is None

    @property
    def levels(self) -> tuple[dict[int, int], dict[int, int]]:
        """Sizes by price, of bids and asks."""
        return self.ladder.sizes

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
        self._end_message(self.ladder.crossed)

    def book(self, bids: Levels, asks: Levels, infer_trades: bool = False) -> None:
        """A whole book. The first one is CLEAR and LEVEL rows; a later one only the levels that differ, INFERRED."""
        self._watch_tick([*bids, *asks])
        if not self.ladder.known:
            self.ladder.known = True
            self.ladder.clear()
            self._add(CLEAR, -1, 0, 0)
            for side, levels in ((BID, bids), (ASK, asks)):
                for px, qty in levels.items():
                    self._set(side, px, qty, 0)
            self._end_message(False)
            return
        if infer_trades and not self.ladder.crossed:
            self._infer_trades(bids, asks)
        self._set_all(bids, asks, INFERRED)
        self._end_message(False)

    def photo(self, bids: Levels, asks: Levels, depth: int) -> None:
        """A whole view of at most ``depth`` levels a side, taken at some moment: perhaps between the parts of a match.

        Levels that differ from the last view follow as LEVEL rows. One that only left the view, pushed out by better
        levels, becomes 0 with INFERRED.
        """
        if not self.ladder.known:
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
        self._end_message(self.ladder.crossed)

    def trade(self, side: int, px: int, qty: int) -> None:
        """A print; ``side`` is the taker's."""
        self._add(TRADE, side, px, qty)
        self._end_message(self.ladder.crossed)

    def quote(self, bid_px: int, ask_px: int) -> None:
        """The venue's own best prices."""
        self._add(QUOTE, BID, bid_px, -1)
        self._add(QUOTE, ASK, ask_px, -1)
        self._end_message(self.ladder.crossed)

    def tick(self, step_px: int) -> None:
        """The venue changed the tick. Raises ValueError for one that does not divide a dollar."""
        if step_px <= 0 or PX_ONE % step_px:
            raise ValueError(f"a tick of {step_px} x 1e-4 does not divide a dollar")
        table = tuple(tuple(item) for item in whole(step_px))
        if self._ticks != table:
            self._ticks = table  # type: ignore[assignment]
            self._add(TICKS, -1, 0, self._table(table))  # type: ignore[arg-type]
            self._end_message(self.ladder.crossed)

    def know_ticks(self, table: Ticks) -> None:
        """The ticks in force are these: somebody else has told it."""
        self._ticks = table
        self._table(table)

    @property
    def ticks(self) -> Ticks:
        """In force. Raises ValueError where none has been seen."""
        if self._ticks is None:
            raise ValueError("no tick has been seen")
        return self._ticks

    def settle(self, payout_px: int) -> None:
        """The market pays."""
        self._add(SETTLE, -1, payout_px, 0)
        self._end_message(self.ladder.crossed)

    def lose(self) -> None:
        """Messages were lost: the book is not known until the next whole one."""
        if self.ladder.known:
            self.ladder.known = False
            self._add(GAP, -1, 0, 0, INFERRED)

    def drain(self) -> list[Row]:
        """The rows since the last call."""
        rows, self._rows = self._rows, []
        return rows

    def events(self, payout_px: int | None = None, settle_ns: int = 0) -> np.ndarray:
        """All rows, then SETTLE at the later of ``settle_ns`` and the last row where ``payout_px`` is given."""
        rows = list(self._rows)
        if payout_px is not None:
            end_ns = max(settle_ns, self._local_ns)
            rows.append((end_ns, 0, 0, payout_px, -1, END_OF_BATCH, self._market, SETTLE, -1))
        return np.array(rows, EVENT)

    def _set_all(self, bids: Levels, asks: Levels, flags: int) -> None:
        """Go to the given levels."""
        for side, px, qty in self.ladder.changes_to(bids, asks):
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
        if not self._infer_ticks or self._ticks == MILL_TICKS:
            return
        fine = any(px % _CENT for px in prices)
        if self._ticks is None:
            self._ticks = MILL_TICKS if fine else CENT_TICKS
            self.tick_tables = (self._ticks,)
        elif fine:
            self._ticks = MILL_TICKS
            self._add(TICKS, -1, 0, self._table(MILL_TICKS), INFERRED)

    def _table(self, table: Ticks) -> int:
        if table not in self.tick_tables:
            self.tick_tables = (*self.tick_tables, table)
        return self.tick_tables.index(table)

    def _set(self, side: int, px: int, qty: int, flags: int) -> None:
        self.ladder.set(side, px, qty)
        self._add(LEVEL, side, px, qty, flags)

    def _add(self, kind: int, side: int, px: int, qty: int, flags: int = 0) -> None:
        self._rows.append((self._local_ns, self._venue_ns, qty, px, -1, flags, self._market, kind, side))

    def _end_message(self, keep_open: bool) -> None:
        """Close the batch on the last row, unless the book is crossed or no whole book was seen yet."""
        if self._rows and self.ladder.known and not keep_open:
            end_batch(self._rows)
