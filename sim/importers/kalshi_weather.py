"""Kalshi daily high temperatures: best bids of YES and NO as they changed, one tape per bracket; no sizes.

One Parquet file: timestamp (recorder's, microseconds, no zone), market_ticker (``KXHIGHNY-25DEC05-B30.5``),
best_yes_bid and best_no_bid in cents, 0 = that side is empty. The YES ask is 100 - best_no_bid.

The best level of a side is a LEVEL of one contract with INFERRED, since its size is not in the source; nothing is known
of the levels behind it. Both best bids at 100 cents or more together are a moment inside a match.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from sim.importers import common
from sim.tape import FeeRates, Header, Market, Tape, TapeError, seal
from sim.types import ASK, BID, CLEAR, INFERRED, LEVEL, PX_ONE
from sim.wire.listing import CENT_TICKS
from sim.wire.units import Row, end_batch

_COLUMNS = ("timestamp", "market_ticker", "best_yes_bid", "best_no_bid")
_CENT = 100
_ONE = 1_000_000  # the size that stands for one not said
_NONE = (0, PX_ONE)  # the price of an empty side
_NOTES = (
    "best prices only: every level shows one contract (INFERRED), whatever its size; deeper levels and trades unknown",
    "the recorder's clock has no zone: it is taken for UTC; the venue's stamps are not in the source",
    "a row that shows a crossed book lies inside a batch, which ends with the next row that does not",
)


def detect(source: Path) -> bool:
    """True where ``source`` is a Parquet file with the columns of this set."""
    return common.columns_of(source).issuperset(_COLUMNS)


def tapes(source: Path) -> tuple[int, Iterator[tuple[str, Tape]]]:
    """Number of brackets in ``source``, and (name, tape) of each, in order of their first row."""
    frame = common.read_frame(source, _COLUMNS)
    for name in ("best_yes_bid", "best_no_bid"):
        wrong = ~frame[name].between(0, 99).fillna(False).to_numpy(np.bool_)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise TapeError(f"{source}: {name} of row {row} is {frame[name].iloc[row]}; expected 0 to 99 cents")
    groups = [(str(name), group) for name, group in frame.groupby("market_ticker", sort=False)]
    return len(groups), _convert(source, groups)


def _convert(source: Path, groups: list[tuple[str, pd.DataFrame]]) -> Iterator[tuple[str, Tape]]:
    origin = common.source_of(source, common.UNSTATED, "Kalshi market data, third-party recording")
    names = common.Names()
    for ticker, frame in groups:
        header = Header(
            venue="kalshi",
            markets=(Market(ticker, ticker),),
            tick_tables=(CENT_TICKS,),
            fee_schedules=(FeeRates("kalshi_quadratic", "kalshi", 70_000),),
            sources=(origin,),
            notes=_NOTES,
        )
        yield names.next(ticker), seal(_events(frame), header)


def _events(frame: pd.DataFrame) -> np.ndarray:
    """CLEAR, then for each row the levels that left and those that came."""
    stamps = frame["timestamp"].to_numpy("datetime64[ns]").astype(np.int64).tolist()
    bids = (frame["best_yes_bid"].to_numpy(np.int64) * _CENT).tolist()
    asks = (PX_ONE - frame["best_no_bid"].to_numpy(np.int64) * _CENT).tolist()
    rows: list[Row] = [(stamps[0], 0, 0, 0, -1, 0, 0, CLEAR, -1)]
    shown = list(_NONE)
    for stamp, bid, ask in zip(stamps, bids, asks, strict=True):
        now = (bid, ask)
        changed = [side for side in (BID, ASK) if now[side] != shown[side]]
        for size, prices in ((0, tuple(shown)), (_ONE, now)):
            rows += [
                (stamp, 0, size, prices[side], -1, INFERRED, 0, LEVEL, side)
                for side in changed
                if prices[side] != _NONE[side]
            ]
        shown[:] = now
        if bid < ask:
            end_batch(rows)
    return common.from_tuples(rows)
