"""Kalshi's private channels (fill, user_orders, market_positions) on a socket of their own, for ``live.feed.Feed``.

They carry no numbers: a lost message is not seen. So after every new connection, and after every message that cannot be
read, the account is compared with REST; and on a timer.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import NamedTuple

import msgspec

from live.feed import Answer
from live.orders.kalshi_orders import MS_NS, SIDES, fill_key, lots_of
from live.orders.requests import FillSaid, OrderSaid, PositionSaid
from live.reconnect import KALSHI_LINK
from sim.wire import kalshi_frames as frames
from sim.wire.listing import Rules
from sim.wire.units import NOTHING, Taken, px_of, uusd_of

_LOG = logging.getLogger(__name__)
CHANNELS = ("fill", "user_orders", "market_positions")


class Heard(NamedTuple):
    """A note: from now on the account's channels are heard, all of them; or not any more."""

    up: bool


class Missed(NamedTuple):
    """A note: a message could not be read."""

    what: str


class KalshiUserReader:
    """Reads the private channels' frames: what an order manager is told comes as notes."""

    def __init__(self) -> None:
        self.rules: list[Rules] = []
        self.counts: Counter[str] = Counter()
        self._open: set[str] = set()

    def take(self, frame: bytes, local_ns: int) -> Taken:
        """What a frame says; one that cannot be read is a :class:`Missed`."""
        try:
            said = frames.decode(frame)
            note = self._note(said)
        except (ValueError, KeyError, RecursionError) as error:
            self.counts["malformed"] += 1
            return Taken([], (), (Missed(f"{type(error).__name__}: {error}"[:200]),))
        self.counts[type(said).__name__] += 1
        return NOTHING if note is None else Taken([], (), (note,))

    def reconnected(self, local_ns: int) -> Taken:
        """A connection begins or ends: nothing is heard until all channels are confirmed."""
        self._open.clear()
        return Taken([], (), (Heard(False),))

    def _note(self, said: frames.AnyFrame) -> object | None:
        match said:
            case frames.FillFrame(msg=msg):
                return _fill(msg)
            case frames.UserOrderFrame(msg=msg):
                return _order(msg)
            case frames.MarketPositionFrame(msg=msg):
                return PositionSaid(msg.market_ticker, lots_of(msg.position_fp), uusd_of(msg.position_cost_dollars))
            case frames.SubscribedFrame(msg=msg):
                self._open.add(msg.channel)
                return Heard(True) if self._open.issuperset(CHANNELS) else said
            case frames.ErrorFrame():
                return said
        return None


class KalshiUser:
    """What the socket is told, for all markets of the account."""

    link_rules = KALSHI_LINK

    def __init__(self) -> None:
        self._next_id = 1

    def subscribe(self) -> list[str]:
        """One command a channel."""
        return [self._command(channel) for channel in CHANNELS]

    def answer(self, taken: Taken) -> Answer:
        """Without all of the channels the connection is of no use."""
        for note in taken.notes:
            if isinstance(note, frames.ErrorFrame):
                return Answer("heard", broken=f"error {note.msg.code}: {note.msg.msg}")
            if isinstance(note, Heard) and note.up:
                return Answer("confirmed")
        return Answer("heard")

    def ask(self, markets: tuple[int, ...]) -> list[str]:
        """There are no books here."""
        return []

    def _command(self, channel: str) -> str:
        number, self._next_id = self._next_id, self._next_id + 1
        return msgspec.json.encode({"id": number, "cmd": "subscribe", "params": {"channels": [channel]}}).decode()


def _fill(msg: frames.Fill) -> FillSaid:
    if msg.ts_ms is None:
        raise ValueError("a fill without ts_ms")
    return FillSaid(
        key=fill_key(msg.trade_id, msg.order_id), order_id=msg.order_id, ticker=msg.market_ticker,
        side=SIDES[msg.book_side], px=px_of(msg.yes_price_dollars), qty=lots_of(msg.count_fp),
        fee_uusd=uusd_of(msg.fee_cost), maker=not msg.is_taker, venue_ns=msg.ts_ms * MS_NS,
    )  # fmt: skip


def _order(msg: frames.UserOrder) -> OrderSaid:
    return OrderSaid(
        order_id=msg.order_id, client_id=msg.client_order_id or "", ticker=msg.ticker, side=SIDES[msg.book_side],
        px=px_of(msg.yes_price_dollars), status=msg.status, filled=lots_of(msg.fill_count_fp),
        left=lots_of(msg.remaining_count_fp), reason=msg.last_update_reason or "",
    )  # fmt: skip
