"""Kalshi books captured whole, hours apart: one tape per market, a CLEAR and all levels for each capture.

One Parquet file: captured_at (ISO, with zone), ticker, series, close_time (ISO), and yes_levels, no_levels as JSON
arrays of [price in dollars, contracts], both as text. They are bids of the YES and of the NO leg; a NO bid at q is the
YES ask at 1 - q. What happened between two captures is not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from sim.importers import common
from sim.tape import FeeRates, Header, Market, Tape, TapeError, seal
from sim.types import ASK, BID, CLEAR, LEVEL, PX_ONE
from sim.wire.listing import CENT_TICKS
from sim.wire.units import Row, end_batch

_COLUMNS = ("captured_at", "ticker", "series", "close_time", "yes_levels", "no_levels")
_MICRO = 1_000_000
_NOTES = (
    "whole books hours apart, each a snapshot; changes and trades between them are not in the source",
    "local stamps are those of the capture; the venue's are not in the source",
)


def detect(source: Path) -> bool:
    """True where ``source`` is a Parquet file with the columns of this set."""
    return common.columns_of(source).issuperset(_COLUMNS)


def tapes(source: Path) -> tuple[int, Iterator[tuple[str, Tape]]]:
    """Number of markets in ``source``, and (name, tape) of each, in order of their first capture."""
    frame = common.read_frame(source, _COLUMNS)
    groups = [(str(name), group) for name, group in frame.groupby("ticker", sort=False)]
    return len(groups), _convert(source, groups)


def _convert(source: Path, groups: list[tuple[str, pd.DataFrame]]) -> Iterator[tuple[str, Tape]]:
    origin = common.source_of(source, common.UNSTATED, "Kalshi market data, third-party recording")
    names = common.Names()
    for ticker, frame in groups:
        close_ns = pd.Timestamp(frame["close_time"].iloc[0]).value
        header = Header(
            venue="kalshi",
            markets=(Market(ticker, f"{frame['series'].iloc[0]} {ticker}", 0, close_ns),),
            tick_tables=(CENT_TICKS,),
            fee_schedules=(FeeRates("kalshi_quadratic", "kalshi", 70_000),),
            sources=(origin,),
            notes=_NOTES,
        )
        yield names.next(ticker), seal(_events(source, ticker, frame), header)


def _events(source: Path, ticker: str, frame: pd.DataFrame) -> np.ndarray:
    rows: list[Row] = []
    ordered = frame.assign(ns=pd.to_datetime(frame["captured_at"], utc=True, format="ISO8601")).sort_values("ns")
    for stamp, yes, no in zip(ordered["ns"], ordered["yes_levels"], ordered["no_levels"], strict=True):
        local_ns = pd.Timestamp(stamp).value
        rows.append((local_ns, 0, 0, 0, -1, 0, 0, CLEAR, -1))
        for side, text in ((BID, yes), (ASK, no)):
            for leg_px, qty in _levels(source, ticker, text):
                px = leg_px if side == BID else PX_ONE - leg_px
                rows.append((local_ns, 0, qty, px, -1, 0, 0, LEVEL, side))
        end_batch(rows)
    return common.from_tuples(rows)


def _levels(source: Path, ticker: str, text: str) -> list[tuple[int, int]]:
    """(price, size) of each level of one leg."""
    try:
        levels = [(float(price), float(size)) for price, size in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise TapeError(
            f"{source}: levels of {ticker} are {text!r:.60}; expected a JSON array of [price, size] ({error})"
        ) from error
    px = common.exact([price for price, _ in levels], PX_ONE, f"a price of {ticker}", source)
    qty = common.exact([size for _, size in levels], _MICRO, f"a size of {ticker}", source)
    if ((px <= 0) | (px >= PX_ONE) | (qty < 0)).any():
        raise TapeError(f"{source}: {ticker} has a level outside 0 to 1 dollar, or of negative size: {text!r:.60}")
    return [(p, q) for p, q in zip(px.tolist(), qty.tolist(), strict=True) if q]
