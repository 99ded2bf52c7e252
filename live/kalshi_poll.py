"""Kalshi without a key: its socket needs one even for public data, its REST does not.

One request at a time, as fast as the limits allow (1 a second, unless the caller's limiter says otherwise): whole books
of up to 100 markets, then the prints of one market, and so on in turn. The answers become rows as the socket's frames:

* the first book of a market is CLEAR and LEVEL rows, later ones only the levels that differ, INFERRED: what happened
  between two looks is not known. No sequence numbers, and no stamp of the venue.
* prints are told once each, oldest first. They carry the venue's stamp, and may come after the book that they changed.
* a market that is not in an answer, or whose request failed, is lost: GAP, and its next book is told whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from live.books import Book, chunks
from live.clock import Clock
from live.errors import VenueError
from live.kalshi_rest import MOST_BOOKS, PAGE, KalshiRest, KalshiTrade, books_of, trades_of
from live.reading import Intake
from sim.types import (
    ASK,
    BID,
    CLEAR,
    CLOSED,
    GAP,
    INFERRED,
    LEVEL,
    SECOND_NS,
    STATUS,
    TRADE,
)
from sim.wire.ladder import Ladder
from sim.wire.listing import Listing, Rules
from sim.wire.told import Standing, Told, rows_of
from sim.wire.units import NOTHING, Row, Taken, end_batch

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
        start_ns: prints before it are history, and not told; None = before the first answer came.

    Raises ValueError without markets.
    """

    def __init__(self, listings: Sequence[Listing], start_ns: int | None = None) -> None:
        if not listings:
            raise ValueError("no markets to poll; expected at least one")
        self.rules = [Rules(listing) for listing in listings]
        self.books = [Ladder() for _ in listings]
        self.counts: Counter[str] = Counter()  # full_pages (prints may be missing), failed, absent
        self._tickers = [listing.market.id for listing in listings]
        self._number = {ticker: index for index, ticker in enumerate(self._tickers)}
        self.standings = [Standing(listing) for listing in listings]
        self._start_ns = start_ns or 0
        self._begun = start_ns is not None
        self._since_ns = [self._start_ns] * len(listings)
        self._seen: list[dict[str, int]] = [{} for _ in listings]  # trade id -> its stamp
        self._asked = 0

    def take(self, frame: bytes | str, local_ns: int) -> Taken:
        """Rows of an answer as `KalshiPoller` frames it. Never raises: what cannot be read is counted."""
        try:
            told = msgspec.json.decode(frame, type=Polled)
            self._begin(local_ns)
            self.counts[told.polled] += 1
            if told.polled == "books":
                return self.take_books(told.tickers, books_of(told.answer), local_ns)
            if told.polled == "trades":
                return self.take_trades(told.tickers[0], trades_of(told.answer), local_ns)
            return self.lose(told.tickers, local_ns)
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError, IndexError):
            self.counts["malformed"] += 1
            return self.reconnected(local_ns)

    def told(self, said: Sequence[Told], asked_ns: int, local_ns: int) -> Taken:
        """What REST said of markets beside books and prints: the rows in which it differs from what is believed."""
        return Taken(rows_of(said, self.standings, self.rules, self.books, asked_ns, local_ns))

    def reconnected(self, local_ns: int) -> Taken:
        """Answers were lost: no book is known. GAP rows of the books that were."""
        return self.lose(self._tickers, local_ns)

    def _begin(self, local_ns: int) -> None:
        """Prints before the first answer are history."""
        if not self._begun:
            self._begun, self._start_ns = True, local_ns
            self._since_ns = [local_ns] * len(self._since_ns)

    def next_ask(self) -> BooksAsk | TradesAsk:
        """What to ask for now: books and prints in turn."""
        turn, is_trades = divmod(self._asked, 2)
        self._asked += 1
        if not is_trades:
            parts = list(chunks(self._tickers, MOST_BOOKS))
            return BooksAsk(tuple(parts[turn % len(parts)]))
        index = turn % len(self._tickers)
        return TradesAsk(self._tickers[index], self._since_ns[index])

    def take_books(self, asked: Sequence[str], answer: Mapping[str, Book], local_ns: int) -> Taken:
        """Rows of the books that came at ``local_ns``; a market that was asked for and did not come is lost."""
        absent = [ticker for ticker in asked if ticker not in answer]
        self.counts["absent"] += len(absent)
        taken = self.lose(absent, local_ns)
        rows = list(taken.rows)
        for ticker in asked:
            if ticker in answer and not self.standings[self._number[ticker]].over:
                rows += self._book(self._number[ticker], answer[ticker], local_ns)
        return Taken(rows, taken.lost)

    def take_trades(self, ticker: str, answer: Sequence[KalshiTrade], local_ns: int) -> Taken:
        """Rows of the prints of one market, given oldest first, that were not told before."""
        index = self._number[ticker]
        if self.standings[index].over:
            return NOTHING
        if len(answer) >= PAGE:
            self.counts["full_pages"] += 1
            _LOG.warning("%s: a full page of %d prints; older ones may be missing", ticker, PAGE)
        seen = self._seen[index]
        rows: list[Row] = []
        for trade in answer:
            if trade.venue_ns < self._start_ns or trade.trade_id in seen:
                continue
            seen[trade.trade_id] = trade.venue_ns
            rows.append((local_ns, trade.venue_ns, trade.qty, trade.px, -1, 0, index, TRADE, trade.side))
        self._forget(index)
        return Taken(self._ended(index, rows))

    def lose(self, tickers: Sequence[str], local_ns: int) -> Taken:
        """No book of these markets came: GAP rows of those that were known."""
        indices = [self._number[ticker] for ticker in tickers]
        lost = tuple(index for index in indices if self.books[index].known)
        for index in lost:
            self.books[index].known = False
        return Taken([(local_ns, 0, 0, 0, -1, INFERRED, index, GAP, -1) for index in lost], lost)

    def _book(self, index: int, told: Book, local_ns: int) -> list[Row]:
        book, rows = self.books[index], []
        if book.known:
            changes = book.changes_to(dict(told[BID]), dict(told[ASK]))
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
        standing = self.standings[index]
        if standing.ended or told[BID] or told[ASK] or not 0 < standing.close_ns <= local_ns:
            return []
        standing.status, standing.said_ns = CLOSED, local_ns
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
            end_batch(rows)
        return rows


class Polled(msgspec.Struct, forbid_unknown_fields=True):
    """An answer as a frame: what was asked for, and what came. ``failed``: nothing came."""

    polled: Literal["books", "trades", "failed"]
    tickers: tuple[str, ...]
    answer: Any = None


class KalshiPoller:
    """Asks and hands over what was answered, one request after the other, until it is stopped.

    Failures are counted and logged, and the next request follows. ``reader`` is the intake's own.
    """

    def __init__(
        self,
        rest: KalshiRest,
        reader: KalshiPollReader,
        intake: Intake,
        clock: Clock,
        take: Callable[[Taken], None],
    ) -> None:
        self.why = ""  # it was stopped
        self.heard = 0
        self._rest, self._reader, self._intake, self._clock, self._take = rest, reader, intake, clock, take
        self._running: asyncio.Task[Any] | None = None

    @property
    def state(self) -> str:
        """In a word."""
        return "stopped" if self.why else "polling"

    async def run(self) -> None:
        """Ask until :meth:`stop`."""
        self._running = asyncio.current_task()
        try:
            while not self.why:
                self._take(await self.once())
        except asyncio.CancelledError:
            if not self.why:
                raise

    async def stop(self, why: str) -> None:
        """End; ``run`` then returns."""
        self.why = why
        if self._running is not None:
            self._running.cancel()

    async def once(self) -> Taken:
        """Make the next request, when the limits allow it, and read its answer."""
        ask = self._reader.next_ask()
        try:
            if isinstance(ask, BooksAsk):
                told = Polled("books", ask.tickers, await self._rest.orderbooks_said(ask.tickers))
            else:
                told = Polled("trades", (ask.ticker,), await self._rest.trades_said(ask.ticker, ask.since_ns))
        except VenueError as error:
            _LOG.warning("poll: %s", error)
            told = Polled("failed", ask.tickers if isinstance(ask, BooksAsk) else ())
        return self._intake.received(0, msgspec.json.encode(told), self._clock.now_ns())
