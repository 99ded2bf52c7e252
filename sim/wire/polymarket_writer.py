"""A market's events as Polymarket's market channel tells them: the inverse of :mod:`sim.wire.polymarket`.

Every change is told as both tokens see it, with each token's best prices after it. What the channel has no words for
(the market's state, fees, forecasts) is counted in ``unsaid`` and not told: the venue says some of it by REST.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha1
from typing import Any

import msgspec
import numpy as np

from sim.types import ASK, BID, CLEAR, DELTA, END_OF_BATCH, KIND_NAMES, LEVEL, PX_ONE, QUOTE, SETTLE, TICKS, TRADE
from sim.wire.ladder import Ladder
from sim.wire.listing import Listing, Ticks
from sim.wire.units import Row, shortest

_NS_PER_MS = 1_000_000
_SIDES = ("BUY", "SELL")


class PolymarketWriter:
    """Keeps the markets' books, so that whole books can be told at any time.

    Args:
        listings: the markets, with their tokens, in the order that rows number them by.
        tables: the tick tables that TICKS rows number; default each market's own.
    """

    def __init__(self, listings: Sequence[Listing], tables: Sequence[Ticks] = ()) -> None:
        self.listings = list(listings)
        self.books = [Ladder() for _ in listings]
        self.unsaid: Counter[str] = Counter()
        self._tables = tuple(tables)
        self._ticks = [listing.ticks for listing in listings]
        self._in_snapshot = [False] * len(listings)
        self._bid: Row | None = None

    def say(self, row: Row) -> list[dict[str, Any]]:
        """The messages of the next row; none where it takes more rows, or the channel has no word for it."""
        kind, index = row[7], row[6]
        if self._bid is not None and (kind, row[8]) != (QUOTE, ASK):
            raise ValueError(
                f"row {KIND_NAMES[kind]} after a bid QUOTE; expected its ask: Polymarket tells both at once"
            )
        if kind == CLEAR or self._in_snapshot[index]:
            return self._collect(row)
        if kind == QUOTE:
            return self._quote(row)
        teller = _TELLERS.get(kind)
        if teller is None:
            self.unsaid[KIND_NAMES[kind]] += 1
            return []
        return [teller(self, self.listings[index], row)]

    def books_of(self, index: int, ms: int = 0) -> list[dict[str, Any]]:
        """The whole book of both tokens: bids ascending, asks descending, best last."""
        sizes = self.books[index].sizes
        found = []
        for place, token in enumerate(self.listings[index].tokens):
            bids, asks = sizes if place == 0 else (_mirror(sizes[ASK]), _mirror(sizes[BID]))
            levels = {
                "bids": [_size(px, qty) for px, qty in sorted(bids.items())],
                "asks": [_size(px, qty) for px, qty in sorted(asks.items(), reverse=True)],
            }
            head = self._head("book", index, ms) | {"asset_id": token}
            found.append(head | levels | {"hash": sha1(repr(levels).encode(), usedforsecurity=False).hexdigest()})
        return found

    def _head(self, name: str, index: int, ms: int) -> dict[str, Any]:
        return {"event_type": name, "market": self.listings[index].market.id, "timestamp": str(ms)}

    def _collect(self, row: Row) -> list[dict[str, Any]]:
        """A row of a snapshot; the book where it was the last."""
        index, kind = row[6], row[7]
        book = self.books[index]
        if kind == CLEAR:
            self._in_snapshot[index] = True
            book.clear()
        elif kind == LEVEL:
            book.set(row[8], row[3], row[2])
        else:
            raise ValueError(f"row {KIND_NAMES[kind]} inside a snapshot; expected LEVEL rows up to END_OF_BATCH")
        if not row[5] & END_OF_BATCH:
            return []
        self._in_snapshot[index] = False
        return self.books_of(index, row[1] // _NS_PER_MS)[:1]

    def _quote(self, row: Row) -> list[dict[str, Any]]:
        if row[8] == BID:
            self._bid = row
            return []
        bid, self._bid = self._bid, None
        if bid is None:
            raise ValueError("an ask QUOTE without a bid right before it; Polymarket tells both at once")
        index = row[6]
        msg = self._head("best_bid_ask", index, row[1] // _NS_PER_MS)
        prices = {"best_bid": _px(bid[3]), "best_ask": _px(row[3]), "spread": _px(row[3] - bid[3])}
        return [msg | {"asset_id": self.listings[index].tokens[0]} | prices]

    def _level(self, listing: Listing, row: Row) -> dict[str, Any]:
        """A level's new size, once for each token."""
        _, venue_ns, qty, px, _, _, index, kind, side = row
        book = self.books[index]
        size = book.sizes[side].get(px, 0) + qty if kind == DELTA else qty
        book.set(side, px, size)
        bid, ask = book.best
        mine = {"price": _px(px), "side": _SIDES[side], "best_bid": _px(bid), "best_ask": _px(ask)}
        other = {
            "price": _px(PX_ONE - px), "side": _SIDES[1 - side], "best_bid": _px(PX_ONE - ask),
            "best_ask": _px(PX_ONE - bid),
        }  # fmt: skip
        changes = [
            {"asset_id": token, "size": shortest(size, 6), "hash": ""} | seen
            for token, seen in zip(listing.tokens, (mine, other), strict=True)
        ]
        return self._head("price_change", index, venue_ns // _NS_PER_MS) | {"price_changes": changes}

    def _trade(self, listing: Listing, row: Row) -> dict[str, Any]:
        """A print; the channel always says who took, here the buyer where it is not known."""
        side = max(row[8], BID)
        told = {"price": _px(row[3]), "size": shortest(row[2], 6), "side": _SIDES[side], "fee_rate_bps": "1000"}
        return self._head("last_trade_price", row[6], row[1] // _NS_PER_MS) | {"asset_id": listing.tokens[0]} | told

    def _tick(self, listing: Listing, row: Row) -> dict[str, Any]:
        old, new = self._ticks[row[6]], (self._tables or (listing.ticks,))[row[2]]
        self._ticks[row[6]] = new
        steps = {"old_tick_size": _px(old[0][2]), "new_tick_size": _px(new[0][2])}
        return self._head("tick_size_change", row[6], row[1] // _NS_PER_MS) | {"asset_id": listing.tokens[0]} | steps

    def _settle(self, listing: Listing, row: Row) -> dict[str, Any]:
        if row[3] not in (0, PX_ONE):
            raise ValueError(f"a payout of {row[3]} x 1e-4: the channel names a winner, and has no word for a part")
        won = 0 if row[3] == PX_ONE else 1
        told = {"winning_asset_id": listing.tokens[won], "winning_outcome": ("Yes", "No")[won]}
        return self._head("market_resolved", row[6], row[1] // _NS_PER_MS) | told | {"assets_ids": list(listing.tokens)}


_TELLERS: dict = {
    DELTA: PolymarketWriter._level, LEVEL: PolymarketWriter._level, TRADE: PolymarketWriter._trade,
    TICKS: PolymarketWriter._tick, SETTLE: PolymarketWriter._settle,
}  # fmt: skip


def frames_of(writer: PolymarketWriter, events: np.ndarray | Iterable[Row]) -> Iterator[tuple[int, bytes]]:
    """``events`` as frames of one connection: (local_ns, frame)."""
    for row in events.tolist() if isinstance(events, np.ndarray) else events:
        for message in writer.say(row):
            yield row[0], msgspec.json.encode(message)


def _mirror(sizes: dict[int, int]) -> dict[int, int]:
    return {PX_ONE - px: qty for px, qty in sizes.items()}


def _size(px: int, qty: int) -> dict[str, str]:
    return {"price": _px(px), "size": shortest(qty, 6)}


def _px(px: int) -> str:
    return shortest(px, 4)
