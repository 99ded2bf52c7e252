"""Recordings to what a walk needs: a tape with prints, the rows after which orders are placed, the day, the cluster.

=================  =======================  ========================================  ==========================
set                prints                   a day is                                  unseen by default
=================  =======================  ========================================  ==========================
``kalshi_nba``     the venue's own          a game (all games are of one evening)     the last of them by name
``kalshi_btc15m``  ``volume`` (or ``share``,  the day in the market's name                the last day
                   ``whole``) of prints.py
``polymarket_mlb`` implied by re-sent books  the day in the game's name                  the last day
=================  =======================  ========================================  ==========================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sim.fillfit.prints import SPLITS, Tickers, split_share, split_volume, split_whole, touch_drops, with_prints
from sim.importers import common, convert
from sim.tape import Tape
from sim.types import END_OF_BATCH, PX_ONE, SECOND_NS

WARM_UP_S = 30.0  # after the first whole book: the decaying sums must have something to remember
EVERY_S = {"kalshi_btc15m": 5.0, "kalshi_nba": 2.0, "polymarket_mlb": 5.0}  # seconds between orders
_TICKER_COLUMNS = ("ticker", "recv_ns", "ts_ms", "last_price", "last_size", "volume")


class Recording(NamedTuple):
    """One tape, ready to be walked."""

    name: str
    day: str  # what is split into early and unseen
    cluster: str  # what is resampled as a whole: the market or the game
    tape: Tape
    rows: np.ndarray  # (M,) int64 rows after which orders are placed


def load(
    source: str | Path, *, every_s: float | None = None, split: str = "volume", trade_share: float = 0.455
) -> tuple[str, int, Iterator[Recording]]:
    """Format, number of tapes and the recordings of ``source``, orders due every ``every_s`` seconds (default EVERY_S).

    ``split`` and ``trade_share`` are used where the feed has no trades (see :mod:`sim.fillfit.prints`).
    Raises TapeError where the source is not recognised, ValueError for a format without a rule here.
    """
    if split not in SPLITS:
        raise ValueError(f"load: no split {split!r}; the splits are {', '.join(SPLITS)}")
    if every_s is not None and not every_s > 0.0:
        raise ValueError(f"load: every_s must be positive, got {every_s}")
    conversion = convert(source)
    if conversion.format not in _DAY_OF:
        raise ValueError(f"{source}: the format {conversion.format} has no prints to fit on; use {', '.join(_DAY_OF)}")
    every_s = every_s or EVERY_S[conversion.format]
    tapes = _recordings(Path(source), conversion.format, conversion.tapes, every_s, split, trade_share)
    return conversion.format, conversion.total, tapes


def _recordings(
    source: Path, kind: str, tapes: Iterator[tuple[str, Tape]], every_s: float, split: str, trade_share: float
) -> Iterator[Recording]:
    frame = _ticker_frame(source) if kind == "kalshi_btc15m" else None
    for name, tape in tapes:
        day, cluster = _DAY_OF[kind](name)
        if frame is None:
            yield Recording(name, day, cluster, tape, timed_rows(tape.events, every_s))
            continue
        tickers = _tickers(frame, tape)
        if len(tickers.ts_ms) < 2:
            continue  # no volume between two tickers: nothing was measured
        printed = _split(tape, tickers, split, trade_share)
        yield Recording(name, day, cluster, printed, ticker_rows(printed.events, tickers.ts_ms, every_s))


def timed_rows(events: np.ndarray, every_s: float) -> np.ndarray:
    """Rows that end a batch: after the warm-up, the first in each ``every_s`` of the tape's clock."""
    ends = np.flatnonzero(events["flags"] & END_OF_BATCH)
    if not len(ends):
        return np.zeros(0, np.int64)
    clock = np.maximum.accumulate(events["local_ns"])[ends]
    due = np.arange(clock[0] + round(WARM_UP_S * SECOND_NS), clock[-1], round(every_s * SECOND_NS))
    return np.unique(ends[np.searchsorted(clock, due)])


def ticker_rows(events: np.ndarray, ts_ms: np.ndarray, every_s: float) -> np.ndarray:
    """Rows that end a batch, the last with a venue stamp up to each chosen ticker's: all volume it knows is shared out.

    A split by volume spreads what a ticker reports over the interval before it. Orders placed inside an interval would
    know part of its future; at its end they know nothing of the next.
    """
    ends = np.flatnonzero((events["flags"] & END_OF_BATCH).astype(bool) & (events["venue_ns"] > 0))
    if not len(ends):
        return np.zeros(0, np.int64)
    clock = np.maximum.accumulate(events["venue_ns"][ends])
    chosen, due = [], ts_ms[0] + WARM_UP_S * 1000
    for stamp in ts_ms.tolist():
        if stamp >= due:
            chosen.append(stamp)
            due = stamp + every_s * 1000
    place = np.searchsorted(clock, np.array(chosen, np.int64) * 1_000_000 + 999_999, side="right") - 1
    return np.unique(ends[place[(place >= 0) & (place < len(ends) - 1)]])


def _split(tape: Tape, tickers: Tickers, split: str, trade_share: float) -> Tape:
    drops = touch_drops(tape.events)
    if split == "volume":
        traded = split_volume(tape.events, drops, tickers)
    else:
        traded = (split_share if split == "share" else split_whole)(drops, trade_share)
    return with_prints(tape, traded, f"prints by the split {split!r} of sim.fillfit.prints")


def _ticker_frame(source: Path) -> pd.DataFrame:
    return common.read_frame(source / "tickers.parquet", _TICKER_COLUMNS)


def _tickers(frame: pd.DataFrame, tape: Tape) -> Tickers:
    """The tickers of a tape, by market and the recorder's stamps, in the order of the venue's."""
    local = tape.events["local_ns"]
    own = (frame["ticker"] == tape.header.markets[0].id) & frame["recv_ns"].between(local.min(), local.max())
    part = frame[own].sort_values(["ts_ms", "volume"], kind="stable").drop_duplicates("ts_ms", keep="last")
    px = np.rint(part["last_price"].fillna(-1.0 / PX_ONE).to_numpy() * PX_ONE).astype(np.int64)
    lots = np.rint(part[["volume", "last_size"]].fillna(0.0).to_numpy() * 100).astype(np.int64)
    return Tickers(part["ts_ms"].to_numpy(np.int64), np.maximum.accumulate(lots[:, 0]), px, lots[:, 1])


def _nba(name: str) -> tuple[str, str]:
    """A game has two instruments, one a team; the teams of the recorded games are listed because names do not say."""
    team = name.split("_")[1]
    game = next((game for game in _GAMES if team in game.split("-")), team)
    return game, game


def _btc(name: str) -> tuple[str, str]:
    market = re.sub(r"_\d+$", "", name)
    stamp = re.search(r"-(\d\d[A-Z]{3}\d\d)", market)
    return (stamp.group(1) if stamp else market), market


def _mlb(name: str) -> tuple[str, str]:
    slug = re.sub(r"_\d+$", "", name)
    return slug[-10:], slug


_GAMES = ("BOS-DEN", "CHA-TOR", "LAC-NYK")
_DAY_OF = {"kalshi_nba": _nba, "kalshi_btc15m": _btc, "polymarket_mlb": _mlb}
