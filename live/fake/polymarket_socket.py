"""One connection to a fake Polymarket's market or user socket. No sockets, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from live.fake.link import Link

Message = dict[str, Any]


class Books(Protocol):
    """What a session asks of its venue."""

    def market_of(self, token: str) -> int | None:
        """Number of a token's market, None = no such one."""
        ...

    def books(self, index: int, *, first: bool) -> list[Message]:
        """Whole books of both tokens; ``first``: with tick and last print, as after a subscription."""
        ...

    def knows(self, auth: object) -> bool:
        """Whether it is the client's key."""
        ...

    def index_of(self, condition: str) -> int | None:
        """Number of a market, None = no such one."""
        ...


class MarketSession:
    """Public: books, changes, prints. There are no numbers."""

    def __init__(self, link: Link, venue: Books, now_ns: Callable[[], int]) -> None:
        self.link = link
        self.custom = False  # best_bid_ask and market_resolved too
        self._venue, self._now_ns = venue, now_ns
        self._tokens: set[str] = set()
        self._markets: set[int] = set()

    def receive(self, text: str) -> None:
        """Take a frame; what is no subscription is answered by nothing, as by the venue."""
        if text == "PING":
            self.link.push("PONG", self._now_ns(), "")
            return
        said = _object(text)
        tokens = said.get("assets_ids")
        if not isinstance(tokens, list):
            return
        known = [token for token in tokens if isinstance(token, str) and self._venue.market_of(token) is not None]
        if said.get("operation") == "unsubscribe":
            self._tokens -= set(known)
        elif said.get("type", "market") == "market":
            if "custom_feature_enabled" in said:
                self.custom = said["custom_feature_enabled"] is True
            self._tokens |= set(known)
            if said.get("initial_dump", True):
                self._dump(known)
        self._markets = {self._index(token) for token in self._tokens}

    def tell(self, index: int, messages: Iterable[Message]) -> None:
        """Send what concerns the market of a subscribed token; books of that token alone."""
        if index not in self._markets:
            return
        for message in messages:
            kind = message["event_type"]
            if kind == "book" and message["asset_id"] not in self._tokens:
                continue
            if kind in ("best_bid_ask", "market_resolved") and not self.custom:
                continue
            self.link.push(_text(message), self._now_ns(), kind)

    def overflow(self) -> None:
        """The client does not read: the connection is closed."""
        self.link.cut(self._now_ns())

    def _dump(self, tokens: list[str]) -> None:
        """Whole books of ``tokens``, in one frame."""
        indices = dict.fromkeys(self._index(token) for token in tokens)
        books = [one for index in indices for one in self._venue.books(index, first=True) if one["asset_id"] in tokens]
        if books:
            self.link.push(msgspec.json.encode(books).decode(), self._now_ns(), "book")

    def _index(self, token: str) -> int:
        index = self._venue.market_of(token)
        assert index is not None  # only known tokens are kept
        return index


class UserSession:
    """The client's own orders and trades, once it has said its key."""

    def __init__(self, link: Link, venue: Books, now_ns: Callable[[], int]) -> None:
        self.link = link
        self._venue, self._now_ns = venue, now_ns
        self._markets: set[int] | None = set()  # None = all

    def receive(self, text: str) -> None:
        """Take a frame; a key that is not the client's closes the connection."""
        if text == "PING":
            self.link.push("PONG", self._now_ns(), "")
            return
        said = _object(text)
        if not self._venue.knows(said.get("auth")):
            self.link.cut(self._now_ns())
            return
        named = [one for one in said.get("markets") or [] if isinstance(one, str)]
        found = {self._venue.index_of(one) for one in named} - {None}
        self._markets = {one for one in found if one is not None} if named else None

    def tell(self, index: int, message: Message, late_ns: int = 0) -> None:
        """Send an event of the client's, ``late_ns`` after its time."""
        if self._markets is None or index in self._markets:
            kind = "trade_mine" if message["event_type"] == "trade" else "order_mine"
            self.link.push(_text(message), self._now_ns(), kind, late_ns)

    def overflow(self) -> None:
        """The client does not read: the connection is closed."""
        self.link.cut(self._now_ns())


def _object(text: str) -> Message:
    try:
        said = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _text(message: Message) -> str:
    return msgspec.json.encode(message).decode()
