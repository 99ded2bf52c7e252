"""Polymarket windows of 15 minutes seen once a second: five levels of both tokens, one tape per file.

A Parquet file, or a folder with one per window: ts_ms (recorder's), market_slug, condition_id, window_start_ms,
window_end_ms, chainlink_btc (spot), and bid_px_up_1 .. ask_sz_up_5, not a number where a level is missing. UP is YES;
the other token's columns mirror these and are not read.

The recorder wrote its whole buffer again at every save, so most rows are copies: rows of one stamp are one view.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from sim.importers import common
from sim.tape import Header, Market, Tape, TapeError, seal
from sim.types import PX_ONE, REFERENCE
from sim.wire.listing import CENT_TICKS
from sim.wire.polymarket_book import BookWriter

_DEPTH = 5
_LEVELS = tuple(
    f"{side}_{what}_up_{level}" for side in ("bid", "ask") for level in range(1, _DEPTH + 1) for what in ("px", "sz")
)
_FIRST = ("ts_ms", "market_slug", "condition_id", "window_start_ms", "window_end_ms", "chainlink_btc")
_COLUMNS = (*_FIRST, *_LEVELS)
_MICRO = 1_000_000


def detect(source: Path) -> bool:
    """True where ``source`` is such a file, or a folder with nothing else."""
    return bool(_files(source)) and all(common.columns_of(path).issuperset(_COLUMNS) for path in _files(source))


def tapes(source: Path) -> tuple[int, Iterator[tuple[str, Tape]]]:
    """Number of windows in ``source``, and (name, tape) of each, by file name."""
    files = _files(source)
    if not files:
        raise TapeError(f"{source}: expected a Parquet file of views, or a folder with some")
    return len(files), _convert(files)


def _files(source: Path) -> list[Path]:
    return sorted(source.glob("*.parquet")) if source.is_dir() else [source]


def _convert(files: list[Path]) -> Iterator[tuple[str, Tape]]:
    names = common.Names()
    for path in files:
        frame = common.read_frame(path, _COLUMNS)
        if frame["market_slug"].nunique() != 1:
            raise TapeError(f"{path}: {frame['market_slug'].nunique()} markets in one file; expected one")
        yield names.next(str(frame["market_slug"].iloc[0])), _tape(path, frame)


def _tape(path: Path, frame: pd.DataFrame) -> Tape:
    views = _views(path, frame)
    first = views.iloc[0]
    writer = BookWriter(local_is_venue=False)
    px = {side: _numbers(path, views, side, "px", PX_ONE) for side in ("bid", "ask")}
    qty = {side: _numbers(path, views, side, "sz", _MICRO) for side in ("bid", "ask")}
    for row, stamp in enumerate(views["ts_ms"].tolist()):
        writer.at(0, stamp * common.NS_PER_MS)
        bids, asks = (
            {int(p): int(q) for p, q in zip(px[side][row], qty[side][row], strict=True) if q > 0}
            for side in ("bid", "ask")
        )
        writer.photo(bids, asks, _DEPTH)
    header = Header(
        venue="polymarket",
        markets=(
            Market(
                str(first["condition_id"]), str(first["market_slug"]),
                int(first["window_start_ms"]) * common.NS_PER_MS, int(first["window_end_ms"]) * common.NS_PER_MS,
            ),
        ),
        tick_tables=writer.tick_tables or (CENT_TICKS,),
        fee_schedules=(common.POLYMARKET_CRYPTO_FEES,),
        sources=(common.source_of(path, common.UNSTATED, "Polymarket market data, third-party recording"),),
        notes=(
            f"{len(frame) - len(views)} of {len(frame)} rows were copies of others",
            f"views of at most {_DEPTH} levels a side, about one a second",
            "a level pushed out of the view becomes 0 (INFERRED)",
            "the tick is inferred from prices; left out: the last trade of each view, which misses most trades",
            "the result is not in the source",
        ),
    )  # fmt: skip
    return seal(_with_spot(writer.events(), views), header)


def _views(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a stamp, in order of stamps. Raises TapeError where rows of one stamp show different books."""
    unique = frame.drop_duplicates(["ts_ms", *_LEVELS])
    if unique["ts_ms"].duplicated().any():
        stamp = int(unique["ts_ms"][unique["ts_ms"].duplicated()].iloc[0])
        raise TapeError(f"{path}: rows with ts_ms {stamp} show different books; expected copies of one view")
    return unique.sort_values("ts_ms").reset_index(drop=True)


def _numbers(path: Path, views: pd.DataFrame, side: str, what: str, scale: int) -> np.ndarray:
    """``(views, levels)`` integers; 0 where a level is missing."""
    columns = [f"{side}_{what}_up_{level}" for level in range(1, _DEPTH + 1)]
    values = views[columns].fillna(0.0).to_numpy(np.float64)
    return common.exact(values.ravel(), scale, f"{side} {what}", path).reshape(values.shape)


def _with_spot(events: np.ndarray, views: pd.DataFrame) -> np.ndarray:
    """The rows, with a REFERENCE ahead of the first row of each view that has a spot price."""
    known = views[views["chainlink_btc"].notna()]
    spot = common.rows(
        len(known), kind=REFERENCE, side=-1, local_ns=known["ts_ms"].to_numpy(np.int64) * common.NS_PER_MS,
        qty=np.rint(known["chainlink_btc"].to_numpy(np.float64) * _MICRO).astype(np.int64),
    )  # fmt: skip
    places = np.searchsorted(events["local_ns"], spot["local_ns"], side="left")
    return np.insert(events, places, spot)
