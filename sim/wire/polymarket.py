"""Polymarket's market channel, read: frames in the order of their arrival to rows of a tape.

There are no sequence numbers, and stamps run backwards now and then: order of arrival is the truth. What tells that a
book is wrong are the best prices inside the messages. Where they differ from the book ``distrust_after`` times in a
row, it stays crossed, or a message of a market cannot be read, its book is lost: a GAP row, and no change of it is told
until it comes whole again (a new subscription sends it, and so does ``GET /book``). After SETTLE nothing more is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from sim.types import ASK, BID, OPEN, PX_ONE, SETTLED, STATUS
from sim.wire import polymarket_frames as frames
from sim.wire.ladder import check_levels, check_whole, yes_space
from sim.wire.listing import Listing, Rules
from sim.wire.polymarket_book import BookWriter
from sim.wire.told import Crossings, Standing, Told, rows_of
from sim.wire.units import NOTHING, Taken, Unclear, ns_of, px_of, qty_of

SIDES = {"BUY": BID, "SELL": ASK}
_MOST_NAMES = 100
_PONG = frozenset((b"PONG", "PONG", b"PING", "PING"))


class PolymarketReader:
    """Reads the frames of one connection after the other.

    Args:
        listings: the markets, with their tokens; a row's ``market`` counts them in this order.
        distrust_after: so many best prices in a row that the book does not have make it lost; 0 = they never do.
    """

    def __init__(self, listings: Sequence[Listing], *, distrust_after: int = 8) -> None:
        self.rules = [Rules(listing) for listing in listings]
        self.writers = [
            BookWriter(local_is_venue=False, ticks=listing.ticks, market=index)
            for index, listing in enumerate(listings)
        ]
        self.counts: Counter[str] = Counter()
        self.mirrors = 0  # changes told a second time, for the other token
        self._of = {
            token: (index, place == 0) for index, one in enumerate(listings) for place, token in enumerate(one.tokens)
        }
        self._number = {listing.market.id: index for index, listing in enumerate(listings)}
        self._lost = [False] * len(listings)  # was known, or could not be read: changes are not told
        self.standings = [Standing(listing) for listing in listings]
        self._crossings = Crossings()
        self._differ = [0] * len(listings)
        self._distrust_after = distrust_after
        self._local_ns = 0

    @property
    def books(self) -> list:
        """Ladder of each market."""
        return [writer.ladder for writer in self.writers]

    def take(self, frame: bytes | str, local_ns: int) -> Taken:
        """Rows of a frame that arrived at ``local_ns``. Never raises: what cannot be read is counted."""
        self._local_ns = local_ns
        taken = self._take(frame)
        return self._uncross(taken) if self._crossings.since else taken

    def told(self, said: Sequence[Told], asked_ns: int, local_ns: int) -> Taken:
        """What REST said of markets, asked at ``asked_ns``: the rows in which it differs from what is believed."""
        self._local_ns = local_ns
        rows = rows_of(said, self.standings, self.rules, self.books, asked_ns, local_ns)
        for index in {row[6] for row in rows}:
            self.writers[index].know_ticks(self.standings[index].ticks)
        opened = {row[6] for row in rows if row[7] == STATUS and row[2] == OPEN}
        return Taken(rows, tuple(index for index in sorted(opened) if not self.books[index].known))

    def _take(self, frame: bytes | str) -> Taken:
        if frame in _PONG:
            self.counts["pong"] += 1
            return NOTHING
        try:
            told = frames.decode(frame)
        except (ValueError, RecursionError):
            return self._in_parts(frame)
        if not isinstance(told, list):
            return self._message(told)
        return self._joined([self._message(message) for message in told])

    def reconnected(self, local_ns: int) -> Taken:
        """A new connection: no book is known. GAP rows of the books that were."""
        self._local_ns = local_ns
        return self._joined([self._lose(index) for index in range(len(self.writers))], of_array=False)

    def _uncross(self, taken: Taken) -> Taken:
        """Books that have stayed crossed are lost, whatever this frame was about."""
        late = self._crossings.too_long(self.books, self._local_ns)
        self.counts["distrusted"] += len(late)
        return self._joined([taken, *(self._lose(index) for index in late)], of_array=False) if late else taken

    def _joined(self, parts: Sequence[Taken], *, of_array: bool = True) -> Taken:
        """The parts as one; a book that a later part tells whole is not lost any more."""
        if of_array and not parts:
            self.counts["empty"] += 1
        lost = dict.fromkeys(index for part in parts for index in part.lost)
        return Taken(
            [row for part in parts for row in part.rows],
            tuple(index for index in lost if not self.writers[index].ladder.known),
            tuple(note for part in parts for note in part.notes),
        )

    def _in_parts(self, frame: bytes | str) -> Taken:
        """A frame of which a part is unknown, or is none: what can be read of it is."""
        try:
            parts = frames.parts(frame)
        except (ValueError, RecursionError):
            self.counts["malformed"] += 1
            return NOTHING
        return self._joined([self._part(bytes(raw)) for raw in parts])

    def _part(self, raw: bytes) -> Taken:
        try:
            return self._message(frames.decode_one(raw))
        except (ValueError, RecursionError):
            pass
        try:
            value = msgspec.json.decode(raw)
        except (ValueError, RecursionError):
            value = None
        name = value.get("event_type") if isinstance(value, dict) else None
        if isinstance(name, str) and name not in _NAMES.values():
            self.counts[self._unknown(name)] += 1
            return NOTHING
        self.counts["malformed"] += 1
        market = value.get("market") if isinstance(value, dict) else None
        return self._lose(self._number.get(market, -1) if isinstance(market, str) else -1)

    def _unknown(self, name: str) -> str:
        """What a message of an unknown type is counted as; of very many types the later ones have no names."""
        counted = f"unknown:{name[:40]}"
        return counted if counted in self.counts or len(self.counts) < _MOST_NAMES else "unknown"

    def _message(self, message: frames.Message) -> Taken:
        name = _NAMES[type(message)]
        reader = _READERS.get(type(message))
        if reader is None:
            self.counts[name] += 1
            return Taken([], notes=(message,))
        index = self._number.get(message.market, -1)
        refused = self._refuses(index, message)
        if refused:
            self.counts[refused] += 1
            return NOTHING
        writer = self.writers[index]
        try:
            writer.at(ns_of(message.timestamp), self._local_ns)
            notes = reader(self, index, writer, message) or ()
        except ValueError:
            self.counts["unreadable"] += 1
            return self._lose(index)
        self.counts[name] += 1
        self._crossings.look(index, writer.ladder, self._local_ns)
        if self._distrust_after and self._differ[index] >= self._distrust_after:
            self.counts["distrusted"] += 1
            return self._lose(index)
        return Taken(writer.drain(), notes=notes)

    def _refuses(self, index: int, message: frames.Message) -> str:
        """Why nothing is told of a message, "" = it is."""
        if index < 0:
            return "other_market"
        if self.standings[index].over:
            return "after_settlement"
        return "untrusted" if self._lost[index] and isinstance(message, frames.PriceChange) else ""

    def _lose(self, index: int) -> Taken:
        """The rows told so far, and a GAP where the book was known."""
        if index < 0 or self.standings[index].over:
            return NOTHING
        writer = self.writers[index]
        self._lost[index], self._differ[index] = True, 0
        writer.at(0, self._local_ns)
        writer.lose()
        return Taken(writer.drain(), () if self.standings[index].ended else (index,))

    def _book(self, index: int, writer: BookWriter, message: frames.Book) -> None:
        levels: tuple[dict[int, int], dict[int, int]] = ({}, {})
        _, is_yes = self._token(index, message.asset_id)
        for token_side, told in ((BID, message.bids), (ASK, message.asks)):
            for level in told:
                side, px = yes_space(is_yes, token_side, px_of(level.price))
                qty = qty_of(level.size)
                check_levels(((side, px, qty),))
                if qty:
                    levels[side][px] = qty
        check_whole(*levels)
        writer.book(*levels)
        self._lost[index], self._differ[index] = False, 0

    def _price_change(self, index: int, writer: BookWriter, message: frames.PriceChange) -> None:
        told: dict[tuple[int, int, int], None] = {}  # in the order of their arrival
        quotes, mirrors = [], 0
        for change in message.price_changes:
            _, is_yes = self._token(index, change.asset_id)
            side, px = yes_space(is_yes, _side(change.side), px_of(change.price))
            row = (side, px, qty_of(change.size))
            mirrors += row in told
            told.pop(row, None)  # told again: it holds from here on
            told[row] = None
            if change.best_bid and change.best_ask:
                quotes.append(_best(is_yes, change.best_bid, change.best_ask))
        check_levels(told)
        self.mirrors += mirrors
        writer.change(told, fold=False)
        for bid_px, ask_px in quotes:
            writer.quote(bid_px, ask_px)
            self._compare(index, bid_px, ask_px)

    def _last_trade(self, index: int, writer: BookWriter, message: frames.LastTrade) -> None:
        _, is_yes = self._token(index, message.asset_id)
        qty = qty_of(message.size)
        if qty <= 0:
            raise ValueError("a print of nothing")
        side, px = yes_space(is_yes, _side(message.side), px_of(message.price))
        writer.trade(side, px, qty)

    def _best_bid_ask(self, index: int, writer: BookWriter, message: frames.BestBidAsk) -> None:
        _, is_yes = self._token(index, message.asset_id)
        bid_px, ask_px = _best(is_yes, message.best_bid, message.best_ask)
        writer.quote(bid_px, ask_px)
        self._compare(index, bid_px, ask_px)

    def _tick_size_change(self, index: int, writer: BookWriter, message: frames.TickSizeChange) -> None:
        writer.tick(px_of(message.new_tick_size))
        self.rules[index].tick_tables = writer.tick_tables
        self.standings[index].ticks, self.standings[index].said_ns = writer.ticks, self._local_ns

    def _new_market(self, index: int, writer: BookWriter, message: frames.NewMarket) -> None:
        """One of ours is known already."""

    def _market_resolved(self, index: int, writer: BookWriter, message: frames.MarketResolved) -> tuple[Unclear, ...]:
        if not message.winning_asset_id:  # what is paid then is not said
            return (Unclear(index, "settlement"),)
        _, is_yes = self._token(index, message.winning_asset_id)
        writer.settle(PX_ONE if is_yes else 0)
        self.standings[index].status, writer.ladder.known = SETTLED, False
        return ()

    def _compare(self, index: int, bid_px: int, ask_px: int) -> None:
        """Whether the venue's best prices are the book's; of one that is not known they say nothing."""
        if not self.writers[index].ladder.known:
            return
        agrees = self.writers[index].ladder.best == [bid_px, ask_px]
        self.counts["quotes_agree" if agrees else "quotes_differ"] += 1
        self._differ[index] = 0 if agrees else self._differ[index] + 1

    def _token(self, index: int, token: str) -> tuple[int, bool]:
        found = self._of.get(token)
        if found is None or found[0] != index:
            raise ValueError(f"token {token[:20]} is none of the market's two")
        return found


def _side(side: str) -> int:
    if side not in SIDES:
        raise ValueError(f"side {side!r} is neither BUY nor SELL")
    return SIDES[side]


def _best(is_yes: bool, bid: str, ask: str) -> tuple[int, int]:
    """Best prices in YES space."""
    bid_px, ask_px = px_of(bid), px_of(ask)
    return (bid_px, ask_px) if is_yes else (PX_ONE - ask_px, PX_ONE - bid_px)


_READERS: dict = {
    frames.Book: PolymarketReader._book,
    frames.PriceChange: PolymarketReader._price_change,
    frames.LastTrade: PolymarketReader._last_trade,
    frames.BestBidAsk: PolymarketReader._best_bid_ask,
    frames.TickSizeChange: PolymarketReader._tick_size_change,
    frames.NewMarket: PolymarketReader._new_market,
    frames.MarketResolved: PolymarketReader._market_resolved,
}
_NAMES = {kind: kind.__struct_config__.tag for kind in frames.AnyMessage.__args__}
