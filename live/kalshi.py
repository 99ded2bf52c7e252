"""Kalshi's market data: what its socket is told, and what follows from its answers.

Subscribed are the book, prints, best prices and what becomes of markets, each by one command for all markets. The venue
answers a second command for the same channel on the first one's number, so markets are never subscribed one by one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from live.feed import Answer
from live.reconnect import KALSHI_LINK
from sim.wire import kalshi_frames as frames
from sim.wire.kalshi_writer import BOOK, CHANNELS
from sim.wire.listing import Listing
from sim.wire.units import Taken

_LOG = logging.getLogger(__name__)
SOCKET_URL = "wss://external-api-ws.kalshi.com/trade-api/ws/v2"
_TERMINAL = {10: "channel error", 25: "buffer overflow"}  # errors after which a subscription tells nothing any more

_BOOKS, _SNAPSHOT = f"subscribe to {BOOK}", "get_snapshot"  # commands, as they are named in the log


class Kalshi:
    """What a connection for ``listings`` says."""

    link_rules = KALSHI_LINK

    def __init__(self, listings: Sequence[Listing]) -> None:
        self._tickers = [listing.market.id for listing in listings]
        self._next_id = 1
        self._book_sid: int | None = None
        self._sent: dict[int, str] = {}  # commands that wait for an answer, by their id

    def subscribe(self) -> list[str]:
        """One command a channel. Prices of NO stay on the NO leg, and that is said: the venue's default will change."""
        self._book_sid = None
        self._sent.clear()
        return [
            self._command(
                f"subscribe to {channel}", "subscribe", channels=[channel], market_tickers=self._tickers,
                send_initial_snapshot=True, use_yes_price=False,
            )
            for channel in CHANNELS
        ]  # fmt: skip

    def answer(self, taken: Taken) -> Answer:
        """Subscriptions are confirmed by ``subscribed``; an error that leaves no books makes a new connection."""
        for note in taken.notes:
            if isinstance(note, frames.SubscribedFrame):
                self._sent.pop(note.id or 0, None)
                if note.msg.channel == BOOK:
                    self._book_sid = note.msg.sid
                return Answer("confirmed")
            if isinstance(note, frames.OkFrame):
                self._sent.pop(note.id or 0, None)
            if isinstance(note, frames.ErrorFrame):
                return self._failed(note)
        return Answer("data" if taken.rows else "heard")

    def ask(self, markets: tuple[int, ...]) -> list[str]:
        """Snapshots by request, which change nothing of the subscription."""
        if self._book_sid is None:
            return []
        tickers = [self._tickers[index] for index in markets]
        return [
            self._command(
                _SNAPSHOT, "update_subscription", sids=[self._book_sid], market_tickers=tickers, action="get_snapshot"
            )
        ]

    def _failed(self, error: frames.ErrorFrame) -> Answer:
        """What an error ends: a subscription, that of the books, or a command that changes nothing."""
        code, text = error.msg.code, error.msg.msg
        command = self._sent.pop(error.id or 0, "a command that is not known")
        what = _TERMINAL.get(code, "")
        if not what and (command == _BOOKS or (self._book_sid is not None and error.sid == self._book_sid)):
            what = f"an error of {command if error.id else 'the subscription to books'}"
        if what:
            return Answer("heard", broken=f"{what} ({code}): {text}")
        _LOG.warning("kalshi: error %d of %s: %s", code, command, text)
        return Answer("heard")

    def _command(self, what: str, name: str, **params: object) -> str:
        number, self._next_id = self._next_id, self._next_id + 1
        self._sent[number] = what
        return msgspec.json.encode({"id": number, "cmd": name, "params": params}).decode()
