"""Kalshi prints without a book: all trades of a market's life, one tape per market.

One Parquet file: ticker, t_us (venue), px (1e-4 dollar, YES), q (1e-2 contract), taker_yes (1 = the taker bought YES).
One order that met several makers is several rows with one stamp and one side. Tapes of this kind say nothing of a book:
they are for the facts of trading, not for replay.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from sim.importers import common
from sim.tape import FeeRates, Header, Market, Source, Tape, TapeError, seal
from sim.types import ASK, BID, MICRO_PER_LOT, PX_ONE, TRADE

_COLUMNS = ("ticker", "t_us", "px", "q", "taker_yes")
_NOTES = (
    "trades only: there is no book on this tape",
    "local stamps are the venue's; the result of the market is not on the tape",
)


def detect(source: Path) -> bool:
    """True where ``source`` is a Parquet file with the columns of this set."""
    return common.columns_of(source).issuperset(_COLUMNS)


def tapes(source: Path) -> tuple[int, Iterator[tuple[str, Tape]]]:
    """Number of markets in ``source``, and (name, tape) of each, in order of their first trade."""
    frame = common.read_frame(source, _COLUMNS)
    rules = (
        (frame["px"].between(1, PX_ONE - 1), "px", f"1 to {PX_ONE - 1}"),
        (frame["q"] > 0, "q", "more than 0"),
        (frame["taker_yes"].isin((0, 1)), "taker_yes", "0 or 1"),
    )
    for right, name, expected in rules:
        wrong = ~right.to_numpy(np.bool_)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise TapeError(f"{source}: {name} of row {row} is {frame[name].iloc[row]}; expected {expected}")
    ordered = frame.sort_values("t_us", kind="stable")
    groups = [(str(name), group) for name, group in ordered.groupby("ticker", sort=False)]
    return len(groups), _convert(common.source_of(source, common.UNSTATED, "Kalshi market data"), groups)


def _convert(origin: Source, groups: list[tuple[str, pd.DataFrame]]) -> Iterator[tuple[str, Tape]]:
    names = common.Names()
    for ticker, frame in groups:
        stamps = frame["t_us"].to_numpy(np.int64) * common.NS_PER_US
        events = common.rows(
            len(frame), kind=TRADE, local_ns=stamps, venue_ns=stamps, px=frame["px"],
            qty=frame["q"].to_numpy(np.int64) * MICRO_PER_LOT, side=np.where(frame["taker_yes"] == 1, BID, ASK),
        )  # fmt: skip
        header = Header(
            venue="kalshi",
            markets=(Market(ticker, ticker),),
            tick_tables=(common.TAPERED_TICKS,),
            fee_schedules=(FeeRates("kalshi_quadratic", "kalshi", 70_000),),
            sources=(origin,),
            notes=_NOTES,
        )
        yield names.next(ticker), seal(events, header)
