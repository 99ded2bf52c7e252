"""One connection to a fake Kalshi's socket: commands, subscriptions and their numbers. No sockets, no clock.

One subscription (sid) for each channel: a second ``subscribe`` adds markets to it, and is answered with ``ok``. Its
numbers (seq) are also consumed by ``ok``, ``unsubscribed`` and those errors that are about it (AsyncAPI 2.0.0; the
counting was seen in a capture of 2026-08-07).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from live.fake.link import Link
from sim.types import PX_ONE
from sim.wire.kalshi_writer import BOOK, LIFECYCLE, TICKER, TRADES, Said
from sim.wire.units import dollars, px_of

FILLS, ORDERS, POSITIONS = "fill", "user_orders", "market_positions"
CHANNELS = (BOOK, TRADES, TICKER, LIFECYCLE, FILLS, ORDERS, POSITIONS)
_NUMBERED = (BOOK, TRADES, LIFECYCLE)
_ACTIONS = ("add_markets", "delete_markets", "get_snapshot")
_MOST_MARKETS = 10_000  # of a subscription


class CommandError(Exception):
    """A command that fails, with the venue's code; ``sid``: the subscription that it is about."""

    def __init__(self, code: int, message: str, sid: int = 0) -> None:
        super().__init__(message)
        self.code, self.message, self.sid = code, message, sid


class Books(Protocol):
    """What a session asks of its venue."""

    def index_of(self, ticker: str) -> int | None:
        """Number of a market, None = no such one."""
        ...

    def snapshot(self, index: int) -> Said:
        """Its book as it is shown."""
        ...

    def ticker(self, index: int) -> Said:
        """Its best prices."""
        ...


class Subscription:
    """A channel of a connection."""

    def __init__(self, sid: int, channel: str, *, yes_price: bool) -> None:
        self.sid, self.channel, self.yes_price = sid, channel, yes_price
        self.markets: set[int] | None = set()  # None = all
        self.seq = 0


class KalshiSession:
    """Args: ``link`` takes the frames, ``books`` knows the markets, ``now_ms`` stamps what is sent."""

    def __init__(self, link: Link, books: Books, now_ns: Callable[[], int], names: Callable[[int], str]) -> None:
        self.link = link
        self._books = books
        self._now_ns = now_ns
        self._name_of = names
        self._subscriptions: dict[str, Subscription] = {}
        self._sids = 0

    def receive(self, text: str) -> None:
        """Carry out a command."""
        number: Any = None
        try:
            said = msgspec.json.decode(text)
            if not isinstance(said, dict):
                raise CommandError(1, "Unable to process message")
            number = said.get("id")
            command = _COMMANDS.get(str(said.get("cmd")))
            if command is None:
                raise CommandError(5, "Unknown command")
            params = said.get("params")
            if command is not KalshiSession._list and not isinstance(params, dict):
                raise CommandError(2, "Params required")
            command(self, number, params)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._send({"id": number, "type": "error", "msg": {"code": 1, "msg": "Unable to process message"}}, "error")
        except CommandError as error:
            self._fail(number, error)

    def tell(self, said: Said, late_ns: int = 0) -> None:
        """Send a message, numbered, if it concerns a subscription; ``late_ns`` after its time."""
        one = self._subscriptions.get(said.channel)
        if one is None or (one.markets is not None and said.market not in one.markets):
            return
        self._message(one, said, late_ns)

    def overflow(self) -> None:
        """The client does not read: every subscription ends with an error."""
        for one in list(self._subscriptions.values()):
            head = self._numbered({"id": 0, "type": "error"}, one)
            self._send(head | {"msg": {"code": 25, "msg": "Subscription buffer overflow"}}, "error")
        self._subscriptions.clear()

    def _message(self, one: Subscription, said: Said, late_ns: int = 0) -> None:
        if not said.type:  # a gap on the tape: its number is never sent
            one.seq += 1
            return
        msg = _in_yes_prices(said) if one.yes_price and said.channel == BOOK else said.msg
        self._send(self._numbered({"type": said.type}, one) | {"msg": msg}, said.type, late_ns)

    def _numbered(self, head: dict[str, Any], one: Subscription) -> dict[str, Any]:
        """``head`` with the subscription's id and, where its channel has them, its next number."""
        head["sid"] = one.sid
        if one.channel in _NUMBERED:
            one.seq += 1
            head["seq"] = one.seq
        return head

    def _send(self, said: dict[str, Any], kind: str, late_ns: int = 0) -> None:
        now_ns = self._now_ns()
        frame = msgspec.json.encode(said | {"sending_ts_ms": now_ns // 1_000_000}).decode()
        self.link.push(frame, now_ns, kind, late_ns)

    def _fail(self, number: Any, error: CommandError) -> None:
        said: dict[str, Any] = {"id": number, "type": "error"}
        one = next((one for one in self._subscriptions.values() if one.sid == error.sid), None)
        if one is not None:
            said = self._numbered(said, one)
        self._send(said | {"msg": {"code": error.code, "msg": error.message}}, "error")

    def _subscribe(self, number: Any, params: dict[str, Any]) -> None:
        channels = params.get("channels")
        if not isinstance(channels, list) or not channels:
            raise CommandError(3, "Channels required")
        unknown = [name for name in channels if name not in CHANNELS]
        if unknown:
            raise CommandError(8, "Unknown channel name")
        markets = self._markets(params)
        if BOOK in channels and not markets:
            raise CommandError(14, "Market Ticker required")
        for name in channels:
            self._open(number, str(name), markets, params)

    def _open(self, number: Any, channel: str, markets: list[int], params: dict[str, Any]) -> None:
        """Begin a subscription, or add to the one that there is."""
        one = self._subscriptions.get(channel)
        if one is None:
            self._sids += 1
            one = Subscription(self._sids, channel, yes_price=params.get("use_yes_price") is True)
            self._subscriptions[channel] = one
            self._add(one, markets)
            self._send({"id": number, "type": "subscribed", "msg": {"channel": channel, "sid": one.sid}}, "subscribed")
        else:
            self._add(one, markets)
            self._ok(number, one)
        if channel == BOOK or (channel == TICKER and params.get("send_initial_snapshot") is True):
            self._snapshots(one, markets)

    def _add(self, one: Subscription, markets: list[int]) -> None:
        """Add markets; none named = all."""
        if not markets:
            one.markets = None
        elif one.markets is not None:
            if len(one.markets | set(markets)) > _MOST_MARKETS:
                raise CommandError(26, "Market limit per subscription exceeded", one.sid)
            one.markets |= set(markets)

    def _ok(self, number: Any, one: Subscription) -> None:
        tickers = sorted(self._name_of(index) for index in one.markets or ())
        self._send(self._numbered({"id": number, "type": "ok"}, one) | {"msg": {"market_tickers": tickers}}, "ok")

    def _snapshots(self, one: Subscription, markets: Iterable[int]) -> None:
        for index in markets:
            said = self._books.snapshot(index) if one.channel == BOOK else self._books.ticker(index)
            self._message(one, said)

    def _unsubscribe(self, number: Any, params: dict[str, Any]) -> None:
        for one in self._named(params, several=True):
            del self._subscriptions[one.channel]
            self._send(self._numbered({"id": number, "type": "unsubscribed"}, one), "unsubscribed")

    def _update(self, number: Any, params: dict[str, Any]) -> None:
        one = self._named(params, several=False)[0]
        action = params.get("action")
        if action is None:
            raise CommandError(15, "Action required", one.sid)
        if action not in _ACTIONS:
            raise CommandError(13, "Unsupported action", one.sid)
        markets = self._markets(params)
        if not markets:
            raise CommandError(14, "Market Ticker required", one.sid)
        if action == "add_markets":
            self._add(one, markets)
        elif action == "delete_markets" and one.markets is not None:
            one.markets -= set(markets)
        self._ok(number, one)
        if one.channel == BOOK and action != "delete_markets":
            self._snapshots(one, markets)

    def _list(self, number: Any, _: Any) -> None:
        known = [{"channel": one.channel, "sid": one.sid} for one in self._subscriptions.values()]
        self._send({"id": number, "type": "ok", "msg": known}, "ok")

    def _named(self, params: dict[str, Any], *, several: bool) -> list[Subscription]:
        """The subscriptions that ``sid`` or ``sids`` name."""
        sids = [params["sid"]] if "sid" in params else params.get("sids")
        if not isinstance(sids, list) or not sids:
            raise CommandError(4, "Sids required")
        if not several and len(sids) != 1:
            raise CommandError(12, "Exactly one sid required")
        by_sid = {one.sid: one for one in self._subscriptions.values()}
        if any(not isinstance(sid, int) or sid not in by_sid for sid in sids):
            raise CommandError(7, "Unknown subscription ID")
        return [by_sid[sid] for sid in dict.fromkeys(sids)]

    def _markets(self, params: dict[str, Any]) -> list[int]:
        """Numbers of the markets that are named, each once."""
        tickers = params.get("market_tickers", [])
        if "market_ticker" in params:
            tickers = [params["market_ticker"]]
        if not isinstance(tickers, list):
            raise CommandError(11, "Invalid parameter: market_tickers")
        found: dict[int, None] = {}
        for ticker in tickers:
            index = self._books.index_of(ticker) if isinstance(ticker, str) else None
            if index is None:
                raise CommandError(11, f"Invalid parameter: no market {str(ticker)[:60]}")
            found[index] = None
        return list(found)


def _in_yes_prices(said: Said) -> dict[str, Any]:
    """A book's message with NO bids at the price that YES has there."""
    msg = dict(said.msg)
    if "no_dollars_fp" in msg:
        msg["no_dollars_fp"] = [(dollars(PX_ONE - px_of(price)), size) for price, size in msg["no_dollars_fp"]]
    if msg.get("side") == "no":
        msg["price_dollars"] = dollars(PX_ONE - px_of(msg["price_dollars"]))
    return msg


_COMMANDS: dict[str, Callable[[KalshiSession, Any, Any], None]] = {
    "subscribe": KalshiSession._subscribe, "unsubscribe": KalshiSession._unsubscribe,
    "update_subscription": KalshiSession._update, "list_subscriptions": KalshiSession._list,
}  # fmt: skip
