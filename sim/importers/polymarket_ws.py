"""Polymarket market channel as it came over the socket, one tape per market.

A ``.jsonl`` or ``.jsonl.gz`` file, or a folder with one: a line is ``{"capturedAt": seconds, "payload": frame}``, a
frame is a message or an array of messages. ``markets.json`` beside it may name the markets: conditionId, slug, startTs,
endTs, tickSize, upTokenId. Without it YES is the token whose id is the smaller number.

Messages are applied in arrival order; their stamps run backwards now and then. The recorder's stamp has whole seconds:
the local stamp is the running maximum of the venue's, held within that second.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sim.importers import common
from sim.importers.polymarket import BookWriter, yes_space
from sim.tape import Header, Market, Tape, TapeError, seal
from sim.types import ASK, BID, PX_ONE, SECOND_NS

_SUFFIXES = (".jsonl", ".jsonl.gz")
_SIDES = {"BUY": BID, "SELL": ASK}
_MICRO = 1_000_000


def detect(source: Path) -> bool:
    """True where ``source`` is such a file, or a folder with one."""
    return bool(_captures(source))


def tapes(source: Path) -> tuple[int, Iterator[tuple[str, Tape]]]:
    """Number of markets in the captures of ``source``, and (name, tape) of each."""
    captures = _captures(source)
    if not captures:
        raise TapeError(f"{source}: expected a file, or a folder with files, ending in {' or '.join(_SUFFIXES)}")
    by_file = [(path, _read(path)) for path in captures]
    return sum(len(markets) for _, markets in by_file), _convert(by_file)


def _captures(source: Path) -> list[Path]:
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    return [path for path in paths if path.is_file() and path.name.endswith(_SUFFIXES)]


def _read(path: Path) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """Messages of each market, by condition id: (capture second, message) in arrival order."""
    markets: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            for line, text in enumerate(file, 1):
                for second, message in _frame(path, line, text):
                    markets.setdefault(message["market"], []).append((second, message))
    except (EOFError, OSError) as error:
        raise TapeError(f"{path}: torn: the file ends inside a compressed block ({error}); copy it again") from error
    return markets


def _frame(path: Path, line: int, text: str) -> list[tuple[int, dict[str, Any]]]:
    """Capture second and message of every message of one line."""
    try:
        frame = json.loads(text)
        payload = frame["payload"]
        messages = payload if isinstance(payload, list) else [payload]
        return [(int(frame["capturedAt"]), message) for message in messages if message["market"]]
    except (ValueError, KeyError, TypeError) as error:
        raise TapeError(
            f"{path}: line {line} is torn, or not a captured frame ({error!r}); expected "
            '{"capturedAt": seconds, "payload": message or array of messages, each with its market}'
        ) from error


def _convert(by_file: list[tuple[Path, dict]]) -> Iterator[tuple[str, Tape]]:
    names = common.Names()
    for path, markets in by_file:
        source = common.source_of(path, common.UNSTATED, "Polymarket market channel, third-party recording")
        known = _market_list(path.parent / "markets.json")
        for condition, messages in markets.items():
            market = known.get(condition, {})
            try:
                yield names.next(market.get("slug", condition)), _tape(condition, market, messages, source)
            except (KeyError, ValueError, TypeError) as error:
                raise TapeError(f"{path}: a message of market {condition} does not read: {error!r}") from error


def _market_list(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    try:
        return {market["conditionId"]: market for market in json.loads(path.read_text()).values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TapeError(f"{path}: expected an object of markets, each with a conditionId; got {error!r}") from error


def _tape(condition: str, market: dict[str, Any], messages: list[tuple[int, dict]], source: object) -> Tape:
    yes_token = market.get("upTokenId") or min(_tokens(messages), key=int)
    tick = market.get("tickSize") or next((m["tick_size"] for _, m in messages if "tick_size" in m), None)
    writer = _Reader(yes_token, None if tick is None else float(tick) < 0.01)
    for second, message in messages:
        writer.take(second, message)
    header = Header(
        venue="polymarket",
        markets=(
            Market(
                condition,
                market.get("slug", condition),
                market.get("startTs", 0) * SECOND_NS,
                market.get("endTs", 0) * SECOND_NS,
            ),
        ),
        tick_tables=writer.book.tick_tables,
        fee_schedules=(common.POLYMARKET_CRYPTO_FEES,),
        sources=(source,),  # type: ignore[arg-type]
        quotes="order",
        notes=(
            f"YES is the token {yes_token}",
            f"{writer.mirrors} mirrored changes of the other token are not repeated; its quotes are kept, in YES space",
            "local stamps: whole seconds of the recorder, refined by the running maximum of the venue's stamps",
            "a re-sent book is kept as the levels that differ (INFERRED)",
            "left out: hashes, fee_rate_bps, transaction hashes, last_trade_price of book messages",
            *(f"{count} messages of type {name} not read" for name, count in sorted(writer.unread.items())),
        ),
    )
    return seal(writer.book.events(writer.payout_px), header)


def _tokens(messages: list[tuple[int, dict]]) -> set[str]:
    tokens = {message["asset_id"] for _, message in messages if "asset_id" in message}
    for _, message in messages:
        tokens |= {change["asset_id"] for change in message.get("price_changes", ())}
    return tokens


class _Reader:
    """Wire messages of one market to calls of the book writer."""

    def __init__(self, yes_token: str, fine: bool | None) -> None:
        self.book = BookWriter(local_is_venue=False, fine=fine)
        self.mirrors = 0
        self.unread: Counter[str] = Counter()
        self.payout_px: int | None = None
        self._yes_token = yes_token
        self._latest_ns = 0

    def take(self, second: int, message: dict[str, Any]) -> None:
        """Apply one message."""
        venue_ns = int(message["timestamp"]) * common.NS_PER_MS
        self._latest_ns = max(self._latest_ns, venue_ns)
        start_ns = second * SECOND_NS
        self.book.at(venue_ns, min(max(self._latest_ns, start_ns), start_ns + SECOND_NS - 1))
        name = message["event_type"]
        reader = getattr(self, f"_{name}", None) if name in _MESSAGES else None
        if reader is None:
            self.unread[name] += 1
        else:
            reader(message)

    def _price_change(self, message: dict[str, Any]) -> None:
        told: set[tuple[int, int, int]] = set()
        quotes = []
        for change in message["price_changes"]:
            side, px = self._level(change, _SIDES[change["side"]])
            row = (side, px, _qty(change["size"]))
            self.mirrors += row in told
            told.add(row)
            quotes.append(self._best(change))
        self.book.change(sorted(told), fold=False)
        for bid_px, ask_px in quotes:
            self.book.quote(bid_px, ask_px)

    def _book(self, message: dict[str, Any]) -> None:
        levels: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for name, token_side in (("bids", BID), ("asks", ASK)):
            for level in message[name]:
                side, px = yes_space(self._is_yes(message), token_side, _px(level["price"]))
                levels[side][px] = _qty(level["size"])
        self.book.book(*levels)

    def _last_trade_price(self, message: dict[str, Any]) -> None:
        side, px = self._level(message, _SIDES[message["side"]])
        self.book.trade(side, px, _qty(message["size"]))

    def _best_bid_ask(self, message: dict[str, Any]) -> None:
        self.book.quote(*self._best(message))

    def _tick_size_change(self, message: dict[str, Any]) -> None:
        self.book.tick(float(message["new_tick_size"]) < 0.01)

    def _market_resolved(self, message: dict[str, Any]) -> None:
        self.payout_px = PX_ONE if message["winning_asset_id"] == self._yes_token else 0

    def _is_yes(self, message: dict[str, Any]) -> bool:
        return message["asset_id"] == self._yes_token

    def _level(self, message: dict[str, Any], side: int) -> tuple[int, int]:
        return yes_space(self._is_yes(message), side, _px(message["price"]))

    def _best(self, message: dict[str, Any]) -> tuple[int, int]:
        bid_px, ask_px = _px(message["best_bid"]), _px(message["best_ask"])
        return (bid_px, ask_px) if self._is_yes(message) else (PX_ONE - ask_px, PX_ONE - bid_px)


_MESSAGES = ("price_change", "book", "last_trade_price", "best_bid_ask", "tick_size_change", "market_resolved")


def _px(text: str) -> int:
    return _exact(text, PX_ONE)


def _qty(text: str) -> int:
    return _exact(text, _MICRO)


def _exact(text: str, scale: int) -> int:
    value = float(text) * scale
    whole = round(value)
    if abs(value - whole) > 1e-3:
        raise ValueError(f"{text!r} is not a multiple of 1/{scale}")
    return whole
