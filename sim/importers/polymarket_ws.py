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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from sim.importers import common
from sim.tape import Market, Source, Tape, TapeError, seal
from sim.types import EVENT, PX_ONE, SECOND_NS
from sim.wire import polymarket_frames
from sim.wire.listing import CENT_TICKS, Listing
from sim.wire.polymarket import PolymarketReader
from sim.wire.units import px_of

_SUFFIXES = (".jsonl", ".jsonl.gz")


class _Line(msgspec.Struct):
    """A captured frame and the second in which it came."""

    capturedAt: float
    payload: msgspec.Raw


class _Frame(NamedTuple):
    """Of one market: the second of the capture and the message as it came."""

    second: int
    raw: bytes
    message: dict[str, Any]


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


def _read(path: Path) -> dict[str, list[_Frame]]:
    """Messages of each market, by condition id, in arrival order."""
    markets: dict[str, list[_Frame]] = {}
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            for line, text in enumerate(file, 1):
                for frame in _frames(path, line, text):
                    markets.setdefault(frame.message["market"], []).append(frame)
    except (EOFError, OSError) as error:
        raise TapeError(f"{path}: torn: the file ends inside a compressed block ({error}); copy it again") from error
    return markets


def _frames(path: Path, line: int, text: str) -> list[_Frame]:
    """Every message of one line."""
    try:
        captured = msgspec.json.decode(text, type=_Line)
        parts = [bytes(raw) for raw in polymarket_frames.parts(bytes(captured.payload))]
        frames = [_Frame(int(captured.capturedAt), raw, json.loads(raw)) for raw in parts]
        return [frame for frame in frames if frame.message["market"]]
    except (ValueError, KeyError, TypeError) as error:
        raise TapeError(
            f"{path}: line {line} is torn, or not a captured frame ({error!r}); expected "
            '{"capturedAt": seconds, "payload": message or array of messages, each with its market}'
        ) from error


def _convert(by_file: list[tuple[Path, dict[str, list[_Frame]]]]) -> Iterator[tuple[str, Tape]]:
    names = common.Names()
    for path, markets in by_file:
        source = common.source_of(path, common.UNSTATED, "Polymarket market channel, third-party recording")
        known = _market_list(path.parent / "markets.json")
        for condition, frames in markets.items():
            market = known.get(condition, {})
            try:
                yield names.next(market.get("slug", condition)), _tape(condition, market, frames, source)
            except (KeyError, ValueError, TypeError) as error:
                raise TapeError(f"{path}: a message of market {condition} does not read: {error!r}") from error


def _market_list(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    try:
        return {market["conditionId"]: market for market in json.loads(path.read_text()).values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TapeError(f"{path}: expected an object of markets, each with a conditionId; got {error!r}") from error


def _listing(condition: str, market: dict[str, Any], frames: list[_Frame]) -> Listing:
    """What is known of the market beside its messages; a tick that nothing names is a cent."""
    tokens = {frame.message["asset_id"] for frame in frames if "asset_id" in frame.message}
    tokens |= {change["asset_id"] for frame in frames for change in frame.message.get("price_changes", ())}
    yes = market.get("upTokenId") or min(tokens, key=int)
    told = next((frame.message["tick_size"] for frame in frames if "tick_size" in frame.message), None)
    tick = market.get("tickSize", told)
    begin, end = (market.get(name, 0) * SECOND_NS for name in ("startTs", "endTs"))
    return Listing(
        "polymarket", Market(condition, market.get("slug", condition), begin, end),
        CENT_TICKS if tick is None else ((0, PX_ONE, px_of(str(tick))),), common.POLYMARKET_CRYPTO_FEES,
        tokens=(yes, next((token for token in sorted(tokens) if token != yes), "")),
    )  # fmt: skip


def _tape(condition: str, market: dict[str, Any], frames: list[_Frame], source: Source) -> Tape:
    listing = _listing(condition, market, frames)
    reader = PolymarketReader([listing], distrust_after=0)
    rows = []
    latest_ns = 0
    for second, raw, message in frames:
        latest_ns = max(latest_ns, int(message["timestamp"]) * common.NS_PER_MS)
        start_ns = second * SECOND_NS
        rows += reader.take(raw, min(max(latest_ns, start_ns), start_ns + SECOND_NS - 1)).rows
    if reader.counts["malformed"] or reader.counts["unreadable"]:
        raise ValueError(f"{reader.counts['malformed']} messages malformed, {reader.counts['unreadable']} unreadable")
    unknown = {name: count for name, count in sorted(reader.counts.items()) if name.startswith("unknown:")}
    header = reader.rules[0].header(
        [source],
        (
            f"YES is the token {listing.tokens[0]}",
            f"{reader.mirrors} mirrored changes of the other token are not repeated; its quotes are kept, in YES space",
            "local stamps: whole seconds of the recorder, refined by the running maximum of the venue's stamps",
            "a re-sent book is kept as the levels that differ (INFERRED)",
            "left out: hashes, fee_rate_bps, transaction hashes, last_trade_price of book messages",
            *(f"{count} messages of type {name.removeprefix('unknown:')} not read" for name, count in unknown.items()),
        ),
    )
    return seal(np.array(rows, EVENT), header)
