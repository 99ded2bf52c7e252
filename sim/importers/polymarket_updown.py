"""Polymarket up-or-down windows: whole books every few seconds and every trade of both tokens, one tape per window.

A folder of ``books.parquet`` (market, ts_ms, asset_price, and bids, asks as JSON arrays of [price, size] in text) and
``trades.parquet`` (market, ts_ms, price and size as text, side ``buy`` or ``sell``). A market is a token: its name ends
in ``up`` or ``down``. UP is YES, a DOWN level at p is the opposite YES level at 1 - p. Windows may have trades only.

Rows are in order of the venue's stamps: the recorder polled, and its own come in bursts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from sim.importers import common
from sim.tape import Header, Market, Source, Tape, TapeError, seal
from sim.types import ASK, BID, PX_ONE
from sim.wire.ladder import yes_space
from sim.wire.listing import CENT_TICKS
from sim.wire.polymarket_book import BookWriter

_BOOKS = ("market", "ts_ms", "bids", "asks")
_TRADES = ("market", "ts_ms", "price", "size", "side")
_SIDES = {"buy": BID, "sell": ASK}
_MICRO = 1_000_000
_WHOLE = 10_000  # more levels than a book has prices: a view hides none


def detect(source: Path) -> bool:
    """True where ``source`` is a folder with the two files of this set."""
    return (
        source.is_dir()
        and common.columns_of(source / "books.parquet").issuperset(_BOOKS)
        and common.columns_of(source / "trades.parquet").issuperset(_TRADES)
    )


def tapes(source: Path) -> tuple[int, Iterator[tuple[str, Tape]]]:
    """Number of windows in the folder ``source``, and (name, tape) of each, by name."""
    if not source.is_dir():
        raise TapeError(f"{source}: expected a folder with books.parquet and trades.parquet")
    books = _with_window(source / "books.parquet", common.read_frame(source / "books.parquet", _BOOKS))
    trades = _with_window(source / "trades.parquet", common.read_frame(source / "trades.parquet", _TRADES))
    foreign = sorted(set(trades["side"]) - set(_SIDES))
    if foreign:
        raise TapeError(f"{source / 'trades.parquet'}: side {foreign[0]!r}; expected buy or sell")
    windows = sorted({*books["window"], *trades["window"]})
    return len(windows), _convert(source, windows, books, trades)


def _with_window(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the window of each row, and whether its token is UP."""
    parts = frame["market"].str.extract(r"^(.+?)(up|down)$")
    if parts.isna().any(axis=None):
        name = frame["market"][parts[0].isna()].iloc[0]
        raise TapeError(f"{path}: market {name!r}; expected a name that ends in up or down")
    return frame.assign(window=parts[0], is_up=parts[1] == "up").sort_values("ts_ms", kind="stable")


def _convert(source: Path, windows: list[str], books: pd.DataFrame, trades: pd.DataFrame) -> Iterator[tuple[str, Tape]]:
    origins = tuple(
        common.source_of(source / f"{name}.parquet", common.UNSTATED, "Polymarket market data, third-party recording")
        for name in ("books", "trades")
    )
    names = common.Names()
    for window in windows:
        own = (books[books["window"] == window], trades[trades["window"] == window])
        yield names.next(window), _tape(source, window, *own, origins)


def _tape(source: Path, window: str, books: pd.DataFrame, trades: pd.DataFrame, origins: tuple[Source, ...]) -> Tape:
    writer = BookWriter(local_is_venue=True)
    rows = [(row["ts_ms"], 0, row) for row in books.to_dict("records")]
    rows += [(row["ts_ms"], 1, row) for row in trades.to_dict("records")]
    for ts_ms, is_trade, row in sorted(rows, key=lambda item: item[:2]):
        writer.at(int(ts_ms) * common.NS_PER_MS)
        if is_trade:
            _trade(source / "trades.parquet", writer, row)
        else:
            writer.photo(*_book(source / "books.parquet", row), _WHOLE)
    header = Header(
        venue="polymarket",
        markets=(Market(window, window),),
        tick_tables=writer.tick_tables or (CENT_TICKS,),
        fee_schedules=(common.POLYMARKET_CRYPTO_FEES,),
        sources=origins,
        notes=(
            "whole books every few seconds, kept as the levels that differ; the tick is inferred from prices",
            "in order of the venue's stamps; local stamps are their running maximum; left out: the spot price",
        ),
    )
    return seal(writer.events(), header)


def _trade(path: Path, writer: BookWriter, row: dict) -> None:
    px = int(common.exact([float(row["price"])], PX_ONE, "price", path)[0])
    qty = int(common.exact([float(row["size"])], _MICRO, "size", path)[0])
    writer.trade(*yes_space(bool(row["is_up"]), _SIDES[row["side"]], px), qty)


def _book(path: Path, row: dict) -> tuple[dict[int, int], dict[int, int]]:
    levels: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for name, token_side in (("bids", BID), ("asks", ASK)):
        try:
            told = [(float(price), float(size)) for price, size in json.loads(row[name])]
        except (ValueError, TypeError) as error:
            raise TapeError(
                f"{path}: {name} of {row['market']} at {row['ts_ms']} are {row[name]!r:.60}; expected a JSON array of "
                f"[price, size] ({error})"
            ) from error
        prices = common.exact([price for price, _ in told], PX_ONE, f"a price of {row['market']}", path)
        sizes = common.exact([size for _, size in told], _MICRO, f"a size of {row['market']}", path)
        for px, qty in zip(prices.tolist(), sizes.tolist(), strict=True):
            side, yes_px = yes_space(bool(row["is_up"]), token_side, px)
            levels[side][yes_px] = qty
    return levels
