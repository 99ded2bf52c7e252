"""Kalshi's socket, read: frames in the order of their arrival to rows of a tape.

* ``seq`` counts per subscription, from 1 where its beginning was seen, and control frames count with it. A jump makes
  every book lost if the channel is that of books, or not known: a GAP row each, and no change of it is told until the
  next snapshot. A number that was seen before is a repetition.
* A change that would make a size negative, a book or a change that cannot be read, and a snapshot that is crossed make
  their book lost.
* A book that stays crossed is lost, once another frame comes.
* A snapshot without sides after the close is the venue's way to say that trading has ended: STATUS closed, INFERRED.
* After SETTLE nothing more is told of a market.
* A frame that is no JSON, or not what its type promises, is counted; its number is then missing, and the next frame
  of the subscription tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from sim.types import (
    ASK,
    BID,
    CLEAR,
    CLOSED,
    DELTA,
    FEES,
    GAP,
    INFERRED,
    LEVEL,
    OPEN,
    PAUSED,
    QUOTE,
    SECOND_NS,
    SETTLE,
    SETTLED,
    STATUS,
    TICKS,
    TRADE,
)
from sim.wire import kalshi_frames as frames
from sim.wire import kalshi_words as words
from sim.wire.ladder import Ladder, check_levels, check_whole, yes_space
from sim.wire.listing import Listing, Rules
from sim.wire.told import Crossings, Standing, Told, rows_of
from sim.wire.units import NOTHING, Row, Taken, Unclear, end_batch, ns_of_ms, px_of, qty_of

_CLOCK_SLACK_NS = SECOND_NS  # the receiver's clock may run a little behind the venue's
_BOOK_CHANNEL = "orderbook_delta"
_BOOK_FRAMES = (frames.SnapshotFrame, frames.DeltaFrame)
_Told: TypeAlias = (
    frames.SnapshotFrame | frames.DeltaFrame | frames.TradeFrame | frames.TickerFrame | frames.LifecycleFrame
)


class Lost(NamedTuple):
    """A note: messages of a subscription were lost; of which channel, "" = not known."""

    sid: int
    channel: str


class KalshiReader:
    """Reads the frames of one connection after the other.

    Args:
        listings: the markets; a row's ``market`` counts them in this order. Frames of other markets are only counted.
    """

    def __init__(self, listings: Sequence[Listing]) -> None:
        self.rules = [Rules(listing) for listing in listings]
        self.books = [Ladder() for _ in listings]
        self.counts: Counter[str] = Counter()
        self._number = {listing.market.id: index for index, listing in enumerate(listings)}
        self.standings = [Standing(listing) for listing in listings]
        self._crossings = Crossings()
        self._seq: dict[int, int] = {}  # of a subscription, the last one
        self._channels: dict[int, str] = {}
        self._local_ns = 0

    def take(self, frame: bytes | str, local_ns: int) -> Taken:
        """Rows of a frame that arrived at ``local_ns``. Never raises: what cannot be read is counted."""
        self._local_ns = local_ns
        try:
            message = frames.decode(frame)
        except (ValueError, RecursionError):
            return self._unread(frame)
        before = self._follow(message.sid, message.seq)
        if before is None:
            self.counts["repeated"] += 1
            return NOTHING
        taken = self._say(message)
        if self._crossings.since:
            taken = self._uncross(taken)
        return self._after(before, taken) if before.notes else taken

    def reconnected(self, local_ns: int) -> Taken:
        """A new connection: numbers start again and no book is known. GAP rows of the books that were."""
        self._seq.clear()
        self._channels.clear()
        self._local_ns = local_ns
        return self._lose_all()

    def told(self, said: Sequence[Told], asked_ns: int, local_ns: int) -> Taken:
        """What REST said of markets, asked at ``asked_ns``: the rows in which it differs from what is believed."""
        self._local_ns = local_ns
        rows = rows_of(said, self.standings, self.rules, self.books, asked_ns, local_ns)
        opened = {row[6] for row in rows if row[7] == STATUS and row[2] == OPEN}
        return Taken(rows, tuple(index for index in sorted(opened) if not self.books[index].known))

    def _uncross(self, taken: Taken) -> Taken:
        late = self._crossings.too_long(self.books, self._local_ns)
        self.counts["distrusted"] += len(late)
        rows = [row for index in late for row in self._lose(index)]
        return Taken([*taken.rows, *rows], (*taken.lost, *late), taken.notes)

    def _unread(self, frame: bytes | str) -> Taken:
        """Not one of the messages that are known; one of an unknown type still has a number."""
        try:
            value = msgspec.json.decode(frame)
        except (ValueError, RecursionError):
            value = None
        name = value.get("type") if isinstance(value, dict) else None
        if not isinstance(name, str) or name in _TYPES:
            self.counts["malformed"] += 1
            return NOTHING
        sid, seq = value.get("sid"), value.get("seq")
        before = self._follow(sid, seq) if _is_number(sid) and _is_number(seq) else NOTHING
        self.counts["repeated" if before is None else "unknown"] += 1
        return before or NOTHING

    def _follow(self, sid: int | None, seq: int | None) -> Taken | None:
        """What is lost where numbers are missing before ``seq``; None where it was seen before."""
        if sid is None or seq is None:
            return NOTHING
        last = self._seq.get(sid)
        if last is not None and seq <= last:
            return None
        self._seq[sid] = seq
        if last is None or seq == last + 1:
            return NOTHING
        self.counts["gaps"] += 1
        note = Lost(sid, self._channels.get(sid, ""))
        lost = self._lose_all() if note.channel in ("", _BOOK_CHANNEL) else NOTHING
        return lost._replace(notes=(note,))

    def _after(self, before: Taken, taken: Taken) -> Taken:
        """``taken`` after a gap; a book that this very message tells whole is not lost any more."""
        still = tuple(index for index in dict.fromkeys(before.lost + taken.lost) if not self.books[index].known)
        return Taken([*before.rows, *taken.rows], still, before.notes + taken.notes)

    def _lose_all(self) -> Taken:
        rows = [row for index in range(len(self.books)) for row in self._lose(index)]
        return Taken(rows, tuple(index for index, one in enumerate(self.standings) if not one.ended))

    def _lose(self, index: int) -> list[Row]:
        book = self.books[index]
        if not book.known:
            return []
        book.known = False
        return [(self._local_ns, 0, 0, 0, -1, INFERRED, index, GAP, -1)]

    def _say(self, message: frames.Frame) -> Taken:
        """What a message that follows the one before says."""
        if type(message) in _READERS:
            return self._of_market(message)  # type: ignore[arg-type]
        if isinstance(message, frames.EventFeeFrame):
            return self._event_fee(message)
        if isinstance(message, frames.EventFrame) and not self._of_event(message.msg.event_ticker):
            self.counts["other_market"] += 1
            return NOTHING
        self.counts[_NAMES[type(message)]] += 1
        if isinstance(message, frames.SubscribedFrame):
            self._channels[message.msg.sid] = message.msg.channel
            self._seq.setdefault(message.msg.sid, 0)  # the first message has number 1
        return Taken([], notes=(message,))

    def _of_market(self, message: _Told) -> Taken:
        """What a message about one market says."""
        kind = type(message)
        index = self._number.get(message.msg.market_ticker, -1)
        refused = self._refuses(index, kind)
        if refused:
            self.counts[refused] += 1
            return NOTHING
        try:
            taken: Taken = _READERS[kind](self, index, message)
        except ValueError:
            self.counts["unreadable"] += 1
            if isinstance(message, _BOOK_FRAMES):
                return Taken(self._lose(index), (index,))
            return Taken([], notes=(Unclear(index, "message"),))
        self.counts[_NAMES[kind]] += 1
        return taken

    def _refuses(self, index: int, kind: type) -> str:
        """Why nothing is told of a message, "" = it is."""
        if index < 0:
            return "other_market"
        if self.standings[index].over:
            return "after_settlement"
        return "untrusted" if kind is frames.DeltaFrame and not self.books[index].known else ""

    def _snapshot(self, index: int, message: frames.SnapshotFrame) -> Taken:
        told, book = message.msg, self.books[index]
        levels = [
            (*yes_space(is_yes, BID, px_of(price)), qty_of(size))
            for is_yes, side in ((True, told.yes_dollars_fp), (False, told.no_dollars_fp))
            for price, size in side or ()
        ]
        check_levels(levels)
        check_whole(*([px for side, px, qty in levels if side == own and qty] for own in (BID, ASK)))
        venue_ns = ns_of_ms(told.ts_ms or 0)
        book.clear()
        book.known = True
        seq = _short(message.seq)
        rows: list[Row] = [(self._local_ns, venue_ns, 0, 0, seq, 0, index, CLEAR, -1)]
        for side, px, qty in levels:
            book.set(side, px, qty)
            rows.append((self._local_ns, venue_ns, qty, px, seq, 0, index, LEVEL, side))
        standing = self.standings[index]
        past_close = 0 < standing.close_ns <= self._local_ns + _CLOCK_SLACK_NS
        if not levels and past_close and not standing.ended:
            standing.status, standing.said_ns = CLOSED, self._local_ns
            rows.append((self._local_ns, venue_ns, CLOSED, 0, seq, INFERRED, index, STATUS, -1))
        return self._ended(index, rows)

    def _delta(self, index: int, message: frames.DeltaFrame) -> Taken:
        told, book = message.msg, self.books[index]
        side, px = yes_space(words.is_yes(told.side), BID, px_of(told.price_dollars))
        change = qty_of(told.delta_fp)
        qty = book.sizes[side].get(px, 0) + change
        check_levels(((side, px, qty),))
        venue_ns = words.venue_ns(told)
        book.set(side, px, qty)
        row = (self._local_ns, venue_ns, change, px, _short(message.seq), 0, index, DELTA, side)
        return self._ended(index, [row])

    def _trade(self, index: int, message: frames.TradeFrame) -> Taken:
        told = message.msg
        px, qty = px_of(told.yes_price_dollars), qty_of(told.count_fp)
        if qty <= 0:
            raise ValueError("a print of nothing")
        row = (self._local_ns, ns_of_ms(told.ts_ms or 0), qty, px, -1, 0, index, TRADE, words.taker_side(told))
        return self._ended(index, [row])

    def _ticker(self, index: int, message: frames.TickerFrame) -> Taken:
        told = message.msg
        venue_ns = ns_of_ms(told.ts_ms or 0)
        rows: list[Row] = []
        for side, price, size in (
            (BID, told.yes_bid_dollars, told.yes_bid_size_fp), (ASK, told.yes_ask_dollars, told.yes_ask_size_fp),
        ):  # fmt: skip
            qty = -1 if size is None else qty_of(size)
            if size is not None and qty < 0:
                raise ValueError("a negative size")
            rows.append((self._local_ns, venue_ns, qty, px_of(price), -1, 0, index, QUOTE, side))
        return self._ended(index, rows)

    def _lifecycle(self, index: int, message: frames.LifecycleFrame) -> Taken:
        """What became of a market: by `_EVENTS`, else a note."""
        event = _EVENTS.get(message.msg.event_type)
        return Taken([], notes=(message,)) if event is None else event(self, index, message.msg)

    def _activated(self, index: int, _: frames.Lifecycle) -> Taken:
        lost = () if self.books[index].known else (index,)
        return self._status(index, OPEN)._replace(lost=lost)

    def _deactivated(self, index: int, _: frames.Lifecycle) -> Taken:
        return self._status(index, PAUSED)

    def _ticks_updated(self, index: int, told: frames.Lifecycle) -> Taken:
        table = words.tick_table(told.price_ranges)
        self.standings[index].ticks = table
        return self._rare(index, TICKS, qty=self.rules[index].ticks_index(table))

    def _determined(self, index: int, told: frames.Lifecycle) -> Taken:
        self.standings[index].payout_px = words.payout(told)
        return NOTHING if self.standings[index].ended else self._status(index, CLOSED)

    def _settled(self, index: int, told: frames.Lifecycle) -> Taken:
        standing, payout = self.standings[index], words.payout(told)
        payout = standing.payout_px if payout is None else payout
        if payout is None:
            return Taken([], notes=(Unclear(index, "settlement"),))
        taken = self._rare(index, SETTLE, px=payout)
        standing.status, self.books[index].known = SETTLED, False
        return taken

    def _close_moved(self, index: int, told: frames.Lifecycle) -> Taken:
        self.standings[index].close_ns = (told.close_ts or 0) * SECOND_NS
        return Taken([], notes=(Unclear(index, "close"),))

    def _status(self, index: int, state: int) -> Taken:
        self.standings[index].status = state
        return self._rare(index, STATUS, qty=state)

    def _event_fee(self, message: frames.EventFeeFrame) -> Taken:
        told, rows = message.msg, []
        ours = [index for index in self._of_event(told.event_ticker) if not self.standings[index].over]
        try:
            own = told.fee_type_override
            rates = None if own is None else words.fee_rates(own, told.fee_multiplier_override)
        except ValueError:
            self.counts["unreadable"] += 1
            return Taken([], notes=tuple(Unclear(index, "fees") for index in ours))
        self.counts[_NAMES[type(message)] if ours else "other_market"] += 1
        unclear = []
        for index in ours:
            held = rates or self.standings[index].base_fees
            if held is None:
                unclear.append(Unclear(index, "fees"))
            else:
                self.standings[index].fees = held
                rows += self._rare(index, FEES, qty=self.rules[index].fees_index(held)).rows
        return Taken(rows, notes=tuple(unclear))

    def _of_event(self, ticker: str) -> list[int]:
        return [index for index, rules in enumerate(self.rules) if rules.listing.event == ticker]

    def _rare(self, index: int, kind: int, *, qty: int = 0, px: int = 0) -> Taken:
        self.standings[index].said_ns = self._local_ns
        return self._ended(index, [(self._local_ns, 0, qty, px, -1, 0, index, kind, -1)])

    def _ended(self, index: int, rows: list[Row]) -> Taken:
        """The end of a message is the end of a batch, unless the book is crossed: then more is to come."""
        book = self.books[index]
        if book.known and not book.crossed:
            end_batch(rows)
        self._crossings.look(index, book, self._local_ns)
        return Taken(rows)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def _short(seq: int | None) -> int:
    """A number as a tape keeps it: 31 bits."""
    return -1 if seq is None else seq & 0x7FFFFFFF


_EVENTS: dict = {
    "activated": KalshiReader._activated,
    "deactivated": KalshiReader._deactivated,
    "price_level_structure_updated": KalshiReader._ticks_updated,
    "determined": KalshiReader._determined,
    "settled": KalshiReader._settled,
    "close_date_updated": KalshiReader._close_moved,
}
_READERS: dict = {
    frames.SnapshotFrame: KalshiReader._snapshot,
    frames.DeltaFrame: KalshiReader._delta,
    frames.TradeFrame: KalshiReader._trade,
    frames.TickerFrame: KalshiReader._ticker,
    frames.LifecycleFrame: KalshiReader._lifecycle,
    frames.MultivariateFrame: KalshiReader._lifecycle,
}
_NAMES = {kind: kind.__struct_config__.tag for kind in frames.AnyFrame.__args__}
_TYPES = frozenset(_NAMES.values())
