"""Polymarket's market data: what its socket is told, and what follows from its answers.

The market channel needs no key. A market whose book is lost is unsubscribed and subscribed again: the venue then tells
the whole book in the stream itself, in order with the changes after it, which an answer of REST would not be.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from live.feed import Answer
from live.reconnect import POLYMARKET_LINK
from sim.wire.listing import Listing
from sim.wire.units import Taken

SOCKET_URL = "wss://ws-subscriptions-clob.polymarket.com/ws/market"


class Polymarket:
    """What a connection for ``listings`` says."""

    link_rules = POLYMARKET_LINK

    def __init__(self, listings: Sequence[Listing]) -> None:
        self._tokens = [listing.tokens for listing in listings]

    def subscribe(self) -> list[str]:
        """Both tokens of every market."""
        tokens = [token for pair in self._tokens for token in pair]
        return [_text({"assets_ids": tokens, "type": "market", "custom_feature_enabled": True, "initial_dump": True})]

    def answer(self, taken: Taken) -> Answer:
        """Nothing is confirmed but by its first data."""
        return Answer("data" if taken.rows else "heard")

    def ask(self, markets: tuple[int, ...]) -> list[str]:
        """Leave and come back: the whole book comes first."""
        tokens = [token for index in markets for token in self._tokens[index]]
        leave: dict[str, object] = {"operation": "unsubscribe", "assets_ids": tokens}
        return [_text(leave), _text({"operation": "subscribe", "assets_ids": tokens, "custom_feature_enabled": True})]


def _text(message: dict[str, object]) -> str:
    return msgspec.json.encode(message).decode()
