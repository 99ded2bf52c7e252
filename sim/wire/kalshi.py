"""Kalshi's socket, read: frames in the order of their arrival to rows of a tape.

* ``seq`` counts per subscription, from 1 where its beginning was seen, and control frames count with it. A jump makes
  every book lost if the channel is that of books, or not known: a GAP row each, and no change of it is told until the
  next snapshot. A number that was seen before is a repetition.
* A change that would make a size negative, a book or a change that cannot be read, and a snapshot that is crossed make
  their book lost.
* A snapshot without sides after the close is the venue's way to say that trading has ended: STATUS closed, INFERRED.
* After SETTLE nothing more is told of a market.
* A frame that is no JSON, or not what its type promises, is counted; its number is then missing, and the next frame
  of the subscription tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias

import msgspec

from sim.tape import FeeRates
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
from sim.wire.ladder import Ladder, check_levels, check_whole, yes_space
from sim.wire.listing import Listing, Rules, Ticks
from sim.wire.units import NOTHING, Row, Taken, Unclear, end_batch, ns_of_ms, px_of, qty_of, written

_CLOCK_SLACK_NS = SECOND_NS  # the receiver's clock may run a little behind the venue's
_BOOK_CHANNEL = "orderbook_delta"
_LEGS = {"yes": True, "no": False}
_TAKERS = {"bid": BID, "ask": ASK}
_STATES = {"activated": OPEN, "deactivated": PAUSED}


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
        self._closed = [False] * len(listings)
        self._over = [False] * len(listings)  # settled: a tape ends there
        self._close_ns = [listing.market.close_ns for listing in listings]  # as scheduled; 0 = not known
        self._payout_px: list[int | None] = [None] * len(listings)
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
        return self._after(before, taken) if before.notes else taken

    def reconnected(self, local_ns: int) -> Taken:
        """A new connection: numbers start again and no book is known. GAP rows of the books that were."""
        self._seq.clear()
        self._channels.clear()
        self._local_ns = local_ns
        return self._lose_all()

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
        return Taken(rows, tuple(index for index, over in enumerate(self._over) if not over))

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
        if self._over[index]:
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
        close_ns = self._close_ns[index]
        if not levels and close_ns and self._local_ns >= close_ns - _CLOCK_SLACK_NS and not self._closed[index]:
            self._closed[index] = True
            rows.append((self._local_ns, venue_ns, CLOSED, 0, seq, INFERRED, index, STATUS, -1))
        return self._ended(index, rows)

    def _delta(self, index: int, message: frames.DeltaFrame) -> Taken:
        told, book = message.msg, self.books[index]
        side, px = yes_space(_leg(told.side), BID, px_of(told.price_dollars))
        change = qty_of(told.delta_fp)
        qty = book.sizes[side].get(px, 0) + change
        check_levels(((side, px, qty),))
        venue_ns = _venue_ns(told)
        book.set(side, px, qty)
        row = (self._local_ns, venue_ns, change, px, _short(message.seq), 0, index, DELTA, side)
        return self._ended(index, [row])

    def _trade(self, index: int, message: frames.TradeFrame) -> Taken:
        told = message.msg
        px, qty = px_of(told.yes_price_dollars), qty_of(told.count_fp)
        if qty <= 0:
            raise ValueError("a print of nothing")
        row = (self._local_ns, ns_of_ms(told.ts_ms or 0), qty, px, -1, 0, index, TRADE, _taker(told))
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
        told, kind = message.msg, message.msg.event_type
        if kind in _STATES:
            self._closed[index] = False
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
            if payout is None:
                return Taken([], notes=(Unclear(index, "settlement"),))
            taken = self._rare(index, SETTLE, px=payout)
            self._over[index], self.books[index].known = True, False
            return taken
        if kind == "close_date_updated":
            self._close_ns[index] = (told.close_ts or 0) * SECOND_NS
            return Taken([], notes=(Unclear(index, "close"),))
        return Taken([], notes=(message,))

    def _event_fee(self, message: frames.EventFeeFrame) -> Taken:
        told, rows = message.msg, []
        ours = [index for index in self._of_event(told.event_ticker) if not self._over[index]]
        try:
            own = told.fee_type_override
            rates = None if own is None else fee_rates(own, told.fee_multiplier_override)
        except ValueError:
            self.counts["unreadable"] += 1
            return Taken([], notes=tuple(Unclear(index, "fees") for index in ours))
        self.counts[_NAMES[type(message)] if ours else "other_market"] += 1
        unclear = []
        for index in ours:
            held = rates or self.rules[index].listing.base_fees
            if held is None:
                unclear.append(Unclear(index, "fees"))
            else:
                rows += self._rare(index, FEES, qty=self.rules[index].fees_index(held)).rows
        return Taken(rows, notes=tuple(unclear))

    def _of_event(self, ticker: str) -> list[int]:
        return [index for index, rules in enumerate(self.rules) if rules.listing.event == ticker]

    def _rare(self, index: int, kind: int, *, qty: int = 0, px: int = 0) -> Taken:
        return self._ended(index, [(self._local_ns, 0, qty, px, -1, 0, index, kind, -1)])

    def _ended(self, index: int, rows: list[Row]) -> Taken:
        """The end of a message is the end of a batch, unless the book is crossed: then more is to come."""
        book = self.books[index]
        if book.known and not book.crossed:
            end_batch(rows)
        return Taken(rows)


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
    venue_ns = ns_of_ms(ms)
    micro = _micro(told.ts) if isinstance(told.ts, str) else -1
    return venue_ns + (micro % 1000 * 1000 if micro // 1000 == ms % 1000 else 0)


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
    value = written(told.settlement_value)
    if value is not None:
        return px_of(value)
    return {"yes": PX_ONE, "no": 0}.get(told.result or "")


def fee_rates(fee_type: str, multiplier: float | Fraction | None) -> FeeRates:
    """Fees by the venue's own words, named by them; no multiplier = 1.

    Raises ValueError for a fee type whose formula is not known.
    """
    factor = Fraction(1 if multiplier is None else str(multiplier))
    schedule = kalshi_fees(fee_type, factor)
    return FeeRates(f"{fee_type} x {float(factor):g}", "kalshi", schedule.taker_ppm, schedule.maker_ppm)


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
