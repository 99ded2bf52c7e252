"""Polymarket MLB games: the level changes and re-sent books of both tokens, one tape per market and source file.

One Parquet file, ``events.parquet``: market_slug, market_id, asset_id (token), event_type ``book`` or ``price_change``,
price in dollars, side (A or SELL, B or BUY), size (new absolute size, 0 removes), hash, ts (venue, ms), row, file. Rows
of one message share token, type, hash and stamp.

YES is the token whose id is the smaller number: the set does not say which outcome a token stands for, and this rule
does not depend on where a recording starts. No local stamps, no sequence numbers, no prints and no result are in the
set. Prints are inferred: what a re-sent book lacks at the touch was traded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from sim.importers import common
from sim.tape import FeeRates, Header, Market, Tape, TapeError, seal
from sim.types import ASK, BID, PX_ONE
from sim.wire.ladder import yes_space
from sim.wire.polymarket_book import BookWriter

_COLUMNS = ("market_slug", "market_id", "asset_id", "event_type", "price", "side", "size", "hash", "ts", "row", "file")
_SIDES = {"B": BID, "BUY": BID, "A": ASK, "SELL": ASK}
# Sports were free of fees until 2026 (docs.polymarket.com, "Fees" and changelog, read 2026-08-22).
_FEES = FeeRates("polymarket_free", "polymarket", 0)


def detect(source: Path) -> bool:
    """True where ``source`` holds an events file with the columns of this set."""
    return common.columns_of(common.events_file(source)).issuperset(_COLUMNS)


def tapes(source: Path) -> tuple[int, Iterator[tuple[str, Tape]]]:
    """Number of tapes in ``source``, and (name, tape) of each, in the order of the source."""
    path = common.events_file(source)
    frame = common.read_frame(path, _COLUMNS)
    groups = [group for _, group in frame.groupby(["file", "market_id"], sort=False)]
    return len(groups), _convert(path, groups)


def _convert(path: Path, groups: list[pd.DataFrame]) -> Iterator[tuple[str, Tape]]:
    source = common.source_of(path, common.UNSTATED, "Polymarket market data, third-party recording")
    names = common.Names()
    for group in groups:
        slug = str(group["market_slug"].iloc[0])
        writer = _replay(path, group.sort_values("row", kind="stable"))
        header = Header(
            venue="polymarket",
            markets=(Market(f"{slug}:{group['market_id'].iloc[0]}", slug),),
            tick_tables=writer.tick_tables,
            fee_schedules=(_FEES,),
            sources=(source,),
            notes=(
                f"YES is the token {min(group['asset_id'].unique(), key=int)}, the smaller id; outcome unknown",
                f"{writer.mirrored} rows told a change a second time, for the other token, and are not repeated",
                "local stamps are the running maximum of the venue's; the source has none",
                "a re-sent book is kept as the levels that differ (INFERRED); what it lacks at the touch is a TRADE",
                "the tick is inferred from prices; left out: message hashes",
            ),
        )
        yield names.next(slug), seal(writer.events(), header)


def _replay(path: Path, frame: pd.DataFrame) -> BookWriter:
    """The book of one market, message by message."""
    tokens = sorted(frame["asset_id"].unique(), key=int)
    if len(tokens) > 2:
        raise TapeError(f"{path}: market {frame['market_slug'].iloc[0]} has {len(tokens)} tokens; expected at most 2")
    unknown = sorted(set(frame["side"]) - set(_SIDES)) + sorted(set(frame["event_type"]) - {"book", "price_change"})
    if unknown:
        raise TapeError(
            f"{path}: {unknown[0]!r} is neither a side {sorted(_SIDES)} nor an event_type book, price_change"
        )
    side = frame["side"].map(_SIDES).to_numpy()
    px = common.exact(frame["price"], PX_ONE, "price", path)
    qty = common.exact(frame["size"], 1_000_000, "size", path)
    is_yes = (frame["asset_id"] == tokens[0]).to_numpy()
    levels = [(*yes_space(bool(y), int(s), int(p)), int(q)) for y, s, p, q in zip(is_yes, side, px, qty, strict=True)]
    is_book = (frame["event_type"] == "book").to_numpy()
    stamp = frame["ts"].to_numpy() * common.NS_PER_MS
    writer = BookWriter(local_is_venue=True)
    first = _message_starts(frame)
    for start, stop in zip(first, [*first[1:], len(frame)], strict=True):
        writer.at(int(stamp[start]))
        if is_book[start]:
            book: tuple[dict[int, int], dict[int, int]] = ({}, {})
            for level_side, level_px, level_qty in levels[start:stop]:
                book[level_side][level_px] = level_qty
            writer.book(*book, infer_trades=True)
        else:
            writer.change(levels[start:stop])
    return writer


def _message_starts(frame: pd.DataFrame) -> list[int]:
    """First row of each message."""
    changed = np.zeros(len(frame), np.bool_)
    changed[:1] = True
    for name in ("asset_id", "event_type", "hash", "ts"):
        values = frame[name].to_numpy()
        changed[1:] |= values[1:] != values[:-1]
    return np.flatnonzero(changed).tolist()
