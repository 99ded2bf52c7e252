"""Kalshi's socket, read: frames in the order of their arrival to rows of a tape.

* ``seq`` counts per subscription and control frames count with it. A jump makes every book of the subscription lost:
  a GAP row each, and nothing of it is told until the next snapshot. A number that was seen before is a repetition.
* A change that would make a size negative, or that cannot be read, makes its book lost.
* A snapshot without sides after the close is the venue's way to say that trading has ended: STATUS closed, INFERRED.
* A frame that is no JSON, or not what its type promises, is counted; its number is then missing, and the next frame
  of the subscription tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import msgspec

from sim.tape import FeeRates
from sim.types import (
    ASK,
    BID,
    CLEAR,
    CLOSED,
    DELTA,
    END_OF_BATCH,
    FEES,
    GAP,
    INFERRED,
    LEVEL,
    OPEN,
    PAUSED,
    PX_ONE,
    QUOTE,
    SECOND_NS,
    SETTLE,
    STATUS,
    TICKS,
    TRADE,
)
from sim.venues.kalshi import kalshi_fees
from sim.venues.rules import tick_prices
from sim.wire import kalshi_frames as frames
from sim.wire.ladder import Ladder, yes_space
from sim.wire.listing import Listing, Rules, Ticks
from sim.wire.units import NOTHING, Row, Taken, px_of, qty_of

_NS_PER_MS = 1_000_000
_CLOCK_SLACK_NS = SECOND_NS  # the receiver's clock may run a little behind the venue's
_BOOK_CHANNEL = "orderbook_delta"
_LEGS = {"yes": True, "no": False}
_TAKERS = {"bid": BID, "ask": ASK}
_STATES = {"activated": OPEN, "deactivated": PAUSED}


class Lost(NamedTuple):
    """A note: messages of a subscription were lost; of which channel, "" = not known."""

    sid: int
    channel: str


class Unclear(NamedTuple):
    """A note: of a market something is to be asked for, since its message did not say it."""

    market: int
    what: str  # "fees", "settlement", "close"


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
        self._closed = [False] * len(listings)
        self._payout_px: list[int | None] = [None] * len(listings)
        self._seq: dict[int, int] = {}  # of a subscription, the last one
        self._channels: dict[int, str] = {}
        self._local_ns = 0

    def take(self, frame: bytes | str, local_ns: int) -> Taken:
        """Rows of a frame that arrived at ``local_ns``. Never raises: what cannot be read is counted."""
        try:
            message = frames.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._unread(frame, local_ns)
        self._local_ns = local_ns
        self.counts[_NAMES[type(message)]] += 1
        lost = self._follow(message)
        if lost is None:
            self.counts["repeated"] += 1
            return NOTHING
        taken = self._say(message)
        return self._with_gap(lost, taken, message) if lost else taken

    def reconnected(self, local_ns: int) -> Taken:
        """A new connection: numbers start again and no book is known. GAP rows of the books that were."""
        self._seq.clear()
        self._channels.clear()
        self._local_ns = local_ns
        rows = [row for index in range(len(self.books)) for row in self._lose(index)]
        return Taken(rows, _markets(rows))

    def _unread(self, frame: bytes | str, local_ns: int) -> Taken:
        """Not one of the messages that are known; one of an unknown type still has a number."""
        try:
            value = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = None
        name = value.get("type") if isinstance(value, dict) else None
        if not isinstance(name, str) or name in _TYPES:
            self.counts["malformed"] += 1
            return NOTHING
        self.counts["unknown"] += 1
        sid, seq = value.get("sid"), value.get("seq")
        if not _is_number(sid) or not _is_number(seq):
            return NOTHING
        self._local_ns = local_ns
        rows = self._follow(frames.UnsubscribedFrame(sid=sid, seq=seq)) or []
        return Taken(rows, _markets(rows))

    def _follow(self, message: frames.Frame) -> list[Row] | None:
        """GAP rows where numbers are missing before ``message``; None where it was seen before."""
        sid, seq = message.sid, message.seq
        if sid is None or seq is None:
            return []
        last = self._seq.get(sid)
        if last is not None and seq <= last:
            return None
        self._seq[sid] = seq
        if last is None or seq == last + 1:
            return []
        self.counts["gaps"] += 1
        if self._channels.get(sid, _BOOK_CHANNEL) != _BOOK_CHANNEL:
            return []
        return [row for index in range(len(self.books)) for row in self._lose(index)]

    def _with_gap(self, lost: list[Row], taken: Taken, message: frames.Frame) -> Taken:
        """``taken`` after the GAP rows ``lost``; a book that this very message tells whole is not lost any more."""
        markets = dict.fromkeys(_markets(lost) + taken.lost)
        still = tuple(index for index in markets if not self.books[index].known)
        note = taken.note or Lost(message.sid or 0, self._channels.get(message.sid or 0, ""))
        return Taken([*lost, *taken.rows], still, note)

    def _lose(self, index: int) -> list[Row]:
        book = self.books[index]
        if not book.known:
            return []
        book.known = False
        return [(self._local_ns, 0, 0, 0, -1, INFERRED, index, GAP, -1)]

    def _say(self, message: frames.Frame) -> Taken:
        """What a message that follows the one before says."""
        reader = _READERS.get(type(message))
        if reader is None:
            if isinstance(message, frames.SubscribedFrame):
                self._channels[message.msg.sid] = message.msg.channel
            return Taken([], note=message)
        index = self._number.get(getattr(message.msg, "market_ticker", ""), -1)  # type: ignore[attr-defined]
        if index < 0 and reader is not KalshiReader._event_fee:
            self.counts["other_market"] += 1
            return NOTHING
        try:
            return reader(self, index, message)
        except ValueError:
            self.counts["unreadable"] += 1
            rows = self._lose(index) if index >= 0 and isinstance(message, _BOOK_FRAMES) else []
            return Taken(rows, _markets(rows), None if rows else Unclear(index, "message"))

    def _snapshot(self, index: int, message: frames.SnapshotFrame) -> Taken:
        told, book = message.msg, self.books[index]
        levels = [
            (*yes_space(is_yes, BID, px_of(price)), qty_of(size))
            for is_yes, side in ((True, told.yes_dollars_fp), (False, told.no_dollars_fp))
            for price, size in side or ()
        ]
        if any(qty < 0 or not 0 < px < PX_ONE for _, px, qty in levels):
            raise ValueError("a level that cannot be")
        book.clear()
        book.known = True
        seq = _short(message.seq)
        venue_ns = (told.ts_ms or 0) * _NS_PER_MS
        rows: list[Row] = [(self._local_ns, venue_ns, 0, 0, seq, 0, index, CLEAR, -1)]
        for side, px, qty in levels:
            book.set(side, px, qty)
            rows.append((self._local_ns, venue_ns, qty, px, seq, 0, index, LEVEL, side))
        close_ns = self.rules[index].listing.market.close_ns
        if not levels and close_ns and self._local_ns >= close_ns - _CLOCK_SLACK_NS and not self._closed[index]:
            self._closed[index] = True
            rows.append((self._local_ns, venue_ns, CLOSED, 0, seq, INFERRED, index, STATUS, -1))
        return self._ended(index, rows, whole=True)

    def _delta(self, index: int, message: frames.DeltaFrame) -> Taken:
        told, book = message.msg, self.books[index]
        if not book.known:
            self.counts["untrusted"] += 1
            return NOTHING
        side, px = yes_space(_leg(told.side), BID, px_of(told.price_dollars))
        change = qty_of(told.delta_fp)
        qty = book.sizes[side].get(px, 0) + change
        if qty < 0 or not 0 < px < PX_ONE:
            raise ValueError("a change that cannot be")
        book.set(side, px, qty)
        row = (self._local_ns, _venue_ns(told), change, px, _short(message.seq), 0, index, DELTA, side)
        return self._ended(index, [row])

    def _trade(self, index: int, message: frames.TradeFrame) -> Taken:
        told = message.msg
        px, qty = px_of(told.yes_price_dollars), qty_of(told.count_fp)
        if qty <= 0:
            raise ValueError("a print of nothing")
        row = (self._local_ns, (told.ts_ms or 0) * _NS_PER_MS, qty, px, -1, 0, index, TRADE, _taker(told))
        return self._ended(index, [row])

    def _ticker(self, index: int, message: frames.TickerFrame) -> Taken:
        told = message.msg
        venue_ns = (told.ts_ms or 0) * _NS_PER_MS
        rows: list[Row] = []
        for side, price, size in (
            (BID, told.yes_bid_dollars, told.yes_bid_size_fp), (ASK, told.yes_ask_dollars, told.yes_ask_size_fp),
        ):  # fmt: skip
            qty = -1 if size is None else qty_of(size)
            rows.append((self._local_ns, venue_ns, qty, px_of(price), -1, 0, index, QUOTE, side))
        return self._ended(index, rows)

    def _lifecycle(self, index: int, message: frames.LifecycleFrame) -> Taken:
        told, kind = message.msg, message.msg.event_type
        if kind in _STATES:
            return self._rare(index, STATUS, qty=_STATES[kind])
        if kind == "price_level_structure_updated":
            return self._rare(index, TICKS, qty=self.rules[index].ticks_index(_table(told.price_ranges)))
        if kind == "determined":
            self._payout_px[index] = _payout(told)
            if self._closed[index]:
                return NOTHING
            self._closed[index] = True
            return self._rare(index, STATUS, qty=CLOSED)
        if kind == "settled":
            payout = _payout(told)
            payout = self._payout_px[index] if payout is None else payout
            unknown = Taken([], note=Unclear(index, "settlement"))
            return unknown if payout is None else self._rare(index, SETTLE, px=payout)
        return Taken([], note=Unclear(index, "close") if kind == "close_date_updated" else message)

    def _event_fee(self, _: int, message: frames.EventFeeFrame) -> Taken:
        told, rows, unclear = message.msg, [], None
        for index, rules in enumerate(self.rules):
            if rules.listing.event != told.event_ticker:
                continue
            rates = _rates(told) if told.fee_type_override is not None else rules.listing.base_fees
            if rates is None:
                unclear = Unclear(index, "fees")
            else:
                rows += self._rare(index, FEES, qty=rules.fees_index(rates)).rows
        return Taken(rows, note=unclear)

    def _rare(self, index: int, kind: int, *, qty: int = 0, px: int = 0) -> Taken:
        return self._ended(index, [(self._local_ns, 0, qty, px, -1, 0, index, kind, -1)])

    def _ended(self, index: int, rows: list[Row], *, whole: bool = False) -> Taken:
        """The end of a message is the end of a batch, unless the book is crossed: then more is to come."""
        book = self.books[index]
        if book.known and (whole or not book.crossed):
            last = rows[-1]
            rows[-1] = (*last[:5], last[5] | END_OF_BATCH, *last[6:])
        return Taken(rows)


def _markets(rows: list[Row]) -> tuple[int, ...]:
    return tuple(row[6] for row in rows)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def _short(seq: int | None) -> int:
    """A number as a tape keeps it: 31 bits."""
    return -1 if seq is None else seq & 0x7FFFFFFF


def _leg(side: str) -> bool:
    if side not in _LEGS:
        raise ValueError(f"side {side!r} is neither yes nor no")
    return _LEGS[side]


def _taker(told: frames.Trade) -> int:
    """The taker's side in YES space: who buys NO sells YES."""
    if told.taker_book_side in _TAKERS:
        return _TAKERS[told.taker_book_side]
    if told.taker_outcome_side in _LEGS:
        return BID if _LEGS[told.taker_outcome_side] else ASK
    return -1


def _venue_ns(told: frames.Delta) -> int:
    """The stamp in milliseconds, refined by the microseconds of the text where the two agree."""
    ms = told.ts_ms or 0
    micro = _micro(told.ts) if isinstance(told.ts, str) else -1
    return ms * _NS_PER_MS + (micro % 1000 * 1000 if micro // 1000 == ms % 1000 else 0)


def _micro(text: str) -> int:
    digits = text.rpartition(".")[2].removesuffix("Z")
    return int(digits.ljust(6, "0")[:6]) if digits.isascii() and digits.isdigit() else -1


def _table(ranges: list[frames.PriceRange] | None) -> Ticks:
    """Raises ValueError where the ranges are missing or cannot be."""
    table = tuple((px_of(item.start), px_of(item.end), px_of(item.step)) for item in ranges or ())
    tick_prices(table)
    return table


def _payout(told: frames.Lifecycle) -> int | None:
    """What a YES contract pays; None where the message does not say."""
    if told.settlement_value is not None:
        return px_of(told.settlement_value)
    return {"yes": PX_ONE, "no": 0}.get(told.result or "")


def _rates(told: frames.EventFee) -> FeeRates:
    """Raises ValueError for a fee type whose formula is not known."""
    multiplier = 1.0 if told.fee_multiplier_override is None else told.fee_multiplier_override
    name = str(told.fee_type_override)
    schedule = kalshi_fees(name, Fraction(str(multiplier)))
    return FeeRates(f"{name} x {multiplier:g}", "kalshi", schedule.taker_ppm, schedule.maker_ppm)


_BOOK_FRAMES = (frames.SnapshotFrame, frames.DeltaFrame)
_READERS: dict = {
    frames.SnapshotFrame: KalshiReader._snapshot,
    frames.DeltaFrame: KalshiReader._delta,
    frames.TradeFrame: KalshiReader._trade,
    frames.TickerFrame: KalshiReader._ticker,
    frames.LifecycleFrame: KalshiReader._lifecycle,
    frames.EventFeeFrame: KalshiReader._event_fee,
}
_NAMES = {kind: kind.__struct_config__.tag for kind in frames.AnyFrame.__args__}
_TYPES = frozenset(_NAMES.values())
