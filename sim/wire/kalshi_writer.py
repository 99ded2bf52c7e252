"""A market's events as Kalshi's socket tells them: the inverse of :mod:`sim.wire.kalshi`.

A LEVEL becomes the change that leads to it, a CLEAR and its levels become one snapshot, two QUOTE rows a ticker. What
the socket has no words for (SIGNAL, REFERENCE, an exchange that is halted) is counted in ``unsaid`` and not told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

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
    KIND_NAMES,
    LEVEL,
    OPEN,
    PAUSED,
    PX_ONE,
    QUOTE,
    SETTLE,
    STATUS,
    TICKS,
    TRADE,
)
from sim.wire.ladder import Ladder
from sim.wire.listing import Listing, Ticks
from sim.wire.units import Row, contracts, dollars

BOOK, TRADES, TICKER, LIFECYCLE = "orderbook_delta", "trade", "ticker", "market_lifecycle_v2"
CHANNELS = (BOOK, TRADES, TICKER, LIFECYCLE)
_NS_PER_MS = 1_000_000
_STATES = {OPEN: "activated", PAUSED: "deactivated", CLOSED: "determined"}


class Said(NamedTuple):
    """A message before it has a subscription and a number. ``type`` "" stands for one that is never sent: a gap."""

    channel: str
    market: int
    type: str
    msg: dict[str, Any]


class KalshiWriter:
    """Keeps the markets' books, so that a snapshot can be told at any time.

    Args:
        listings: the markets, in the order that rows number them by.
        tables: the tick tables that TICKS rows number; default each market's own.
        fees: the fee messages' type and multiplier that FEES rows number; default the first kind of Kalshi's.
    """

    def __init__(
        self,
        listings: Sequence[Listing],
        tables: Sequence[Ticks] = (),
        fees: Sequence[tuple[str, float]] = (("quadratic", 1.0),),
    ) -> None:
        self.listings = list(listings)
        self.books = [Ladder() for _ in listings]
        self.unsaid: Counter[str] = Counter()
        self._tables, self._fees = tuple(tables), tuple(fees)
        self._in_snapshot = [False] * len(listings)
        self._bid: Row | None = None  # the first half of a ticker
        self._trades = 0

    def say(self, row: Row) -> Said | None:
        """The message of the next row; None where it takes more rows, or the socket has no word for it."""
        kind, index = row[7], row[6]
        if self._bid is not None and (kind, row[8]) != (QUOTE, ASK):
            raise ValueError(
                f"row {KIND_NAMES[kind]} after a bid QUOTE; expected its ask: the venue tells both at once"
            )
        if kind == CLEAR or self._in_snapshot[index]:
            return self._collect(row)
        if kind == QUOTE:
            return self._quote(row)
        teller = _TELLERS.get(kind)
        said = None if teller is None else teller(self, self.listings[index], row)
        if said is None:
            self.unsaid[KIND_NAMES[kind]] += 1
        return said

    def snapshot(self, index: int, ms: int = 0) -> Said:
        """The book as it stands: bids of both legs, worst first; a side without any is left out."""
        sizes = self.books[index].sizes
        bids = {"yes": sorted(sizes[BID].items()), "no": sorted((PX_ONE - px, qty) for px, qty in sizes[ASK].items())}
        msg: dict[str, Any] = self._of(index)
        msg |= {
            f"{leg}_dollars_fp": [(dollars(px), contracts(qty)) for px, qty in levels]
            for leg, levels in bids.items()
            if levels
        }
        return Said(BOOK, index, "orderbook_snapshot", msg | ({"ts_ms": ms} if ms else {}))

    def _of(self, index: int) -> dict[str, Any]:
        return {"market_ticker": self.listings[index].market.id}

    def _collect(self, row: Row) -> Said | None:
        """A row of a snapshot; the snapshot where it was the last."""
        book, kind = self.books[row[6]], row[7]
        if kind == CLEAR:
            self._in_snapshot[row[6]] = True
            book.clear()
        elif kind == LEVEL:
            book.set(row[8], row[3], row[2])
        elif not (kind == STATUS and row[5] & INFERRED):
            raise ValueError(f"row {KIND_NAMES[kind]} inside a snapshot; expected LEVEL rows up to END_OF_BATCH")
        if not row[5] & END_OF_BATCH:
            return None
        self._in_snapshot[row[6]] = False
        return self.snapshot(row[6], row[1] // _NS_PER_MS)

    def _quote(self, row: Row) -> Said | None:
        if row[8] == BID:
            self._bid = row
            return None
        bid, self._bid = self._bid, None
        if bid is None:
            raise ValueError("an ask QUOTE without a bid right before it; Kalshi tells both at once")
        msg = self._of(row[6]) | {"ts_ms": row[1] // _NS_PER_MS}
        for name, side in (("yes_bid", bid), ("yes_ask", row)):
            msg[f"{name}_dollars"] = dollars(side[3])
            if side[2] >= 0:
                msg[f"{name}_size_fp"] = contracts(side[2])
        return Said(TICKER, row[6], "ticker", msg)

    def _level(self, _: Listing, row: Row) -> Said:
        """A change of one level, on the leg that bids."""
        venue_ns, qty, px, index, kind, side = row[1], row[2], row[3], row[6], row[7], row[8]
        book = self.books[index]
        before = book.sizes[side].get(px, 0)
        after = before + qty if kind == DELTA else qty
        book.set(side, px, after)
        micro = venue_ns // 1000
        return Said(BOOK, index, "orderbook_delta", self._of(index) | {
            "price_dollars": dollars(px if side == BID else PX_ONE - px), "delta_fp": contracts(after - before),
            "side": "yes" if side == BID else "no", "ts": _iso(micro), "ts_ms": micro // 1000,
        })  # fmt: skip

    def _trade(self, _: Listing, row: Row) -> Said:
        self._trades += 1
        msg = self._of(row[6]) | {
            "trade_id": f"00000000-0000-4000-8000-{self._trades:012d}", "yes_price_dollars": dollars(row[3]),
            "no_price_dollars": dollars(PX_ONE - row[3]), "count_fp": contracts(row[2]), "is_block_trade": False,
            "ts": row[1] // 1_000_000_000, "ts_ms": row[1] // _NS_PER_MS,
        }  # fmt: skip
        if row[8] >= 0:
            leg = "yes" if row[8] == BID else "no"
            msg |= {"taker_outcome_side": leg, "taker_book_side": "bid" if row[8] == BID else "ask"}
        return Said(TRADES, row[6], "trade", msg)

    def _status(self, _: Listing, row: Row) -> Said | None:
        return self._happened(row[6], _STATES[row[2]]) if row[2] in _STATES else None

    def _ticks(self, listing: Listing, row: Row) -> Said:
        table = (self._tables or (listing.ticks,))[row[2]]
        ranges = [{"start": dollars(a), "end": dollars(b), "step": dollars(step)} for a, b, step in table]
        return self._happened(row[6], "price_level_structure_updated", price_ranges=ranges)

    def _settle(self, _: Listing, row: Row) -> Said:
        return self._happened(row[6], "settled", settlement_value=dollars(row[3]))

    def _fee(self, listing: Listing, row: Row) -> Said:
        name, multiplier = self._fees[row[2]]
        msg = {"event_ticker": listing.event, "fee_type_override": name, "fee_multiplier_override": multiplier}
        return Said(LIFECYCLE, row[6], "event_fee_update", msg)

    def _gap(self, _: Listing, row: Row) -> Said:
        return Said(BOOK, row[6], "", {})

    def _happened(self, index: int, event: str, **more: Any) -> Said:
        return Said(LIFECYCLE, index, "market_lifecycle_v2", self._of(index) | {"event_type": event} | more)


_TELLERS: dict = {
    DELTA: KalshiWriter._level, LEVEL: KalshiWriter._level, TRADE: KalshiWriter._trade, STATUS: KalshiWriter._status,
    TICKS: KalshiWriter._ticks, FEES: KalshiWriter._fee, SETTLE: KalshiWriter._settle, GAP: KalshiWriter._gap,
}  # fmt: skip


class Numbers:
    """Of one connection: a subscription for each channel, and the number of its last message."""

    def __init__(self) -> None:
        self.sids: dict[str, int] = {}
        self._last: dict[int, int] = {}

    def open(self, channel: str) -> int:
        """The subscription of a channel, a new one where there is none."""
        sid = self.sids.setdefault(channel, len(self.sids) + 1)
        self._last.setdefault(sid, 0)
        return sid

    def next(self, sid: int) -> int:
        """The next number of a subscription; taking it without sending is a gap."""
        self._last[sid] += 1
        return self._last[sid]

    def frame(self, said: Said, sending_ms: int = 0) -> bytes | None:
        """The frame of a message, numbered; None for a gap. Tickers have no numbers."""
        sid = self.open(said.channel)
        if said.channel == TICKER:
            return envelope(said, sid, None, sending_ms)
        seq = self.next(sid)
        return envelope(said, sid, seq, sending_ms) if said.type else None


def envelope(said: Said, sid: int, seq: int | None, sending_ms: int = 0) -> bytes:
    """A frame as it goes over the socket."""
    head: dict[str, Any] = {"type": said.type, "sid": sid}
    if seq is not None:
        head["seq"] = seq
    if sending_ms:
        head["sending_ts_ms"] = sending_ms
    return msgspec.json.encode(head | {"msg": said.msg})


def frames_of(writer: KalshiWriter, events: np.ndarray | Iterable[Row]) -> Iterator[tuple[int, bytes]]:
    """``events`` as frames of one connection that is subscribed to every channel: (local_ns, frame)."""
    numbers = Numbers()
    rows = events.tolist() if isinstance(events, np.ndarray) else events
    for row in rows:
        said = writer.say(row)
        frame = None if said is None else numbers.frame(said, row[0] // _NS_PER_MS)
        if frame is not None:
            yield row[0], frame


def _iso(micro: int) -> str:
    """UTC of microseconds since epoch. Kalshi leaves idle zeros out; a reader must take either."""
    moment = np.datetime64(micro, "us")
    return f"{moment}Z"
