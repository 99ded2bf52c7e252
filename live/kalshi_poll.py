"""Kalshi without a key: its socket needs one even for public data, its REST does not.

One request at a time, as fast as the limits allow (1 a second unless the caller's limiter says otherwise): whole books of
up to 100 markets, then the prints of one market, and so on in turn. The answers become rows as the socket's frames do:

* the first book of a market is CLEAR and LEVEL rows, later ones only the levels that differ, INFERRED: what happened
  between two looks is not known. No sequence numbers, and no stamp of the venue.
* prints are told once each, oldest first. They carry the venue's stamp, and may come after the book that they changed.
* a market that is not in an answer, or whose request failed, is lost: GAP, and its next book is told whole.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from live.books import Book, chunks
from live.clock import Clock
from live.errors import VenueError
from live.kalshi_rest import MOST_BOOKS, PAGE, KalshiRest, KalshiTrade
from sim.types import (
    ASK,
    BID,
    CLEAR,
    CLOSED,
    END_OF_BATCH,
    GAP,
    INFERRED,
    LEVEL,
    SECOND_NS,
    STATUS,
    TRADE,
)
from sim.wire.ladder import Ladder
from sim.wire.listing import Listing, Rules
from sim.wire.units import Row, Taken

_LOG = logging.getLogger(__name__)
_LATE_NS = 10 * SECOND_NS  # a print may be listed that much after one that is newer


class BooksAsk(NamedTuple):
    """Ask for whole books."""

    tickers: tuple[str, ...]


class TradesAsk(NamedTuple):
    """Ask for the prints of a market since a moment."""

    ticker: str
    since_ns: int


class KalshiPollReader:
    """What to ask next, and rows of what was answered. No socket, no clock.

    Args:
        listings: the markets; a row's ``market`` counts them in this order.
        start_ns: prints before it are history, and not told.

    Raises ValueError without markets.
    """

    def __init__(self, listings: Sequence[Listing], start_ns: int) -> None:
        if not listings:
            raise ValueError("no markets to poll; expected at least one")
        self.rules = [Rules(listing) for listing in listings]
        self.books = [Ladder() for _ in listings]
        self.counts: Counter[str] = Counter()  # full_pages: prints may be missing; failed, absent
        self._tickers = [listing.market.id for listing in listings]
        self._number = {ticker: index for index, ticker in enumerate(self._tickers)}
        self._closed = [False] * len(listings)
        self._start_ns = start_ns
        self._since_ns = [start_ns] * len(listings)
        self._seen: list[dict[str, int]] = [{} for _ in listings]  # trade id -> its stamp
        self._asked = 0

    def next_ask(self) -> BooksAsk | TradesAsk:
        """What to ask for now: prints and books in turn, so that a book comes soon after the prints that made it."""
        turn, is_books = divmod(self._asked, 2)
        self._asked += 1
        if is_books:
            parts = list(chunks(self._tickers, MOST_BOOKS))
            return BooksAsk(tuple(parts[turn % len(parts)]))
        index = turn % len(self._tickers)
        return TradesAsk(self._tickers[index], self._since_ns[index])

    def take_books(self, asked: Sequence[str], answer: Mapping[str, Book], local_ns: int) -> Taken:
        """Rows of the books that came at ``local_ns``; a market that was asked for and did not come is lost."""
        absent = [ticker for ticker in asked if ticker not in answer]
        taken = self.lose(absent, "absent", local_ns)
        rows = list(taken.rows)
        for ticker in asked:
            if ticker in answer:
                rows += self._book(self._number[ticker], answer[ticker], local_ns)
        return Taken(rows, taken.lost)

    def take_trades(self, ticker: str, answer: Sequence[KalshiTrade], local_ns: int) -> Taken:
        """Rows of the prints of one market, given oldest first, that were not told before."""
        index = self._number[ticker]
        if len(answer) >= PAGE:
            self.counts["full_pages"] += 1
            _LOG.warning("%s: a full page of %d prints; older ones may be missing", ticker, PAGE)
        seen = self._seen[index]
        fresh = [trade for trade in answer if trade.venue_ns >= self._start_ns and trade.trade_id not in seen]
        rows: list[Row] = []
        for trade in fresh:
            if trade.trade_id in seen:
                continue
            seen[trade.trade_id] = trade.venue_ns
            rows.append((local_ns, trade.venue_ns, trade.qty, trade.px, -1, 0, index, TRADE, trade.side))
        self._forget(index)
        return Taken(self._ended(index, rows))

    def lose(self, tickers: Sequence[str], why: str, local_ns: int) -> Taken:
        """No book of these markets came: GAP rows of those that were known."""
        if tickers:
            self.counts[why] += len(tickers)
        indices = [self._number[ticker] for ticker in tickers]
        lost = tuple(index for index in indices if self.books[index].known)
        for index in lost:
            self.books[index].known = False
        return Taken([(local_ns, 0, 0, 0, -1, INFERRED, index, GAP, -1) for index in lost], lost)

    def _book(self, index: int, told: Book, local_ns: int) -> list[Row]:
        book, rows = self.books[index], []
        if book.known:
            changes = _changes(book, told)
        else:
            rows.append((local_ns, 0, 0, 0, -1, 0, index, CLEAR, -1))
            book.clear()
            changes = [(side, px, qty) for side in (BID, ASK) for px, qty in told[side]]
        flags = INFERRED if book.known else 0
        for side, px, qty in changes:
            book.set(side, px, qty)
            rows.append((local_ns, 0, qty, px, -1, flags, index, LEVEL, side))
        book.known = True
        return self._ended(index, [*rows, *self._end_of_trading(index, told, local_ns)])

    def _end_of_trading(self, index: int, told: Book, local_ns: int) -> list[Row]:
        """An empty book after the scheduled close says that trading has ended."""
        close_ns = self.rules[index].listing.market.close_ns
        if self._closed[index] or told[BID] or told[ASK] or not 0 < close_ns <= local_ns:
            return []
        self._closed[index] = True
        return [(local_ns, 0, CLOSED, 0, -1, INFERRED, index, STATUS, -1)]

    def _forget(self, index: int) -> None:
        """Move on to the newest print, less what may still be listed late, and keep no numbers from before."""
        seen = self._seen[index]
        self._since_ns[index] = max(self._start_ns, max(seen.values(), default=0) - _LATE_NS)
        oldest_ns = self._since_ns[index] // SECOND_NS * SECOND_NS  # whole seconds are asked for
        self._seen[index] = {name: stamp for name, stamp in seen.items() if stamp >= oldest_ns}

    def _ended(self, index: int, rows: list[Row]) -> list[Row]:
        """An answer is a batch, once the book is known."""
        if rows and self.books[index].known:
            last = rows[-1]
            rows[-1] = (*last[:5], last[5] | END_OF_BATCH, *last[6:])
        return rows


class KalshiPoller:
    """Asks and reads, one request after the other. Failures are counted and logged, and the next request follows."""

    def __init__(self, rest: KalshiRest, reader: KalshiPollReader, clock: Clock) -> None:
        self._rest = rest
        self._reader = reader
        self._clock = clock

    async def answers(self) -> AsyncIterator[Taken]:
        """What each answer said, without end."""
        while True:
            yield await self.once()

    async def once(self) -> Taken:
        """Make the next request, when the limits allow it, and read its answer."""
        ask = self._reader.next_ask()
        try:
            if isinstance(ask, BooksAsk):
                books = await self._rest.orderbooks(ask.tickers)
                return self._reader.take_books(ask.tickers, books, self._clock.now_ns())
            trades = await self._rest.trades(ask.ticker, ask.since_ns)
            return self._reader.take_trades(ask.ticker, trades, self._clock.now_ns())
        except VenueError as error:
            _LOG.warning("poll: %s", error)
            tickers = ask.tickers if isinstance(ask, BooksAsk) else ()
            return self._reader.lose(tickers, "failed", self._clock.now_ns())


def _changes(book: Ladder, told: Book) -> list[tuple[int, int, int]]:
    """(side, px, new size) from ``book`` to ``told``; what leaves goes first, best first, so that nothing crosses."""
    now = {side: dict(told[side]) for side in (BID, ASK)}
    gone = [
        (side, px, 0)
        for side in (BID, ASK)
        for px in sorted(book.sizes[side].keys() - now[side].keys(), reverse=side == BID)
    ]
    return gone + [
        (side, px, qty) for side in (BID, ASK) for px, qty in told[side] if book.sizes[side].get(px, 0) != qty
    ]
