"""What the importers share: building event rows, exact numbers, batches, sources."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sim.tape import FeeRates, Source, TapeError
from sim.types import CLEAR, DELTA, END_OF_BATCH, EVENT, LEVEL, PX_ONE

TAPERED_TICKS = ((0, 1000, 10), (1000, 9000, 100), (9000, PX_ONE, 10))  # Kalshi's tapered_deci_cent
UNSTATED = "none stated by the source"
# Crypto rate since 2026-03-06 (docs.polymarket.com, "Fees", read 2026-08-22).
POLYMARKET_CRYPTO_FEES = FeeRates("polymarket_crypto", "polymarket", 70_000)
NS_PER_US = 1_000
NS_PER_MS = 1_000_000
_EXACT = 1e-3  # how far a decimal's float may lie from the integer it stands for, in units


def rows(count: int, **fields: object) -> np.ndarray:
    """``(count,)`` EVENT rows; a field not given is 0, ``seq`` is -1."""
    events = np.zeros(count, EVENT)
    events["seq"] = -1
    for name, values in fields.items():
        events[name] = values
    return events


def from_tuples(tuples: Sequence[tuple]) -> np.ndarray:
    """EVENT rows of tuples in the order of EVENT's fields."""
    return np.array(tuples, EVENT)


def exact(values: object, scale: int, what: str, path: Path) -> np.ndarray:
    """``values x scale`` as int64. Raises TapeError where one is not a multiple of 1 / scale, or not a number."""
    scaled = np.asarray(values, np.float64) * scale
    whole = np.rint(scaled)
    wrong = ~(np.abs(scaled - whole) <= _EXACT)  # also true of NaN
    if wrong.any():
        row = int(np.argmax(wrong))
        raise TapeError(
            f"{path}: {what} of row {row} is {float(scaled[row] / scale)!r}; expected a multiple of 1/{scale}"
        )
    return whole.astype(np.int64)


def same_stamp_batches(events: np.ndarray, message: np.ndarray) -> None:
    """Set END_OF_BATCH where the venue tells one match in several messages that share its millisecond stamp.

    ``message[i]`` numbers the venue message of row ``i``. Messages that change the book and follow each other within
    one venue millisecond are one batch (a snapshot has no stamp and is a batch of its own). Rows of other messages that
    fall between its parts stay inside it. Nothing is whole before the first batch of book rows has ended.
    """
    count = len(events)
    book = np.isin(events["kind"], (CLEAR, LEVEL, DELTA))
    book |= np.isin(message, message[book])  # a status that comes with a snapshot
    places = np.flatnonzero(book)
    stamp = events["venue_ns"][places] // NS_PER_MS
    batch = np.where(stamp > 0, stamp, -1 - message[places])
    is_last = np.ones(len(places), np.bool_)
    is_last[:-1] = batch[1:] != batch[:-1]
    latest = np.maximum.accumulate(np.where(book, np.arange(count), -1))
    whole = np.zeros(count + 1, np.bool_)  # the extra place stands for "no book row yet"
    whole[places] = is_last
    message_ends = np.ones(count, np.bool_)
    message_ends[:-1] = message[1:] != message[:-1]
    events["flags"][message_ends & whole[latest]] |= END_OF_BATCH


def source_of(path: Path, licence: str, attribution: str) -> Source:
    """Source entry of one file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return Source(path.name, digest.hexdigest(), licence, attribution)


def columns_of(path: Path) -> frozenset[str]:
    """Column names of a Parquet file; empty where the file is missing or is none."""
    if path.suffix != ".parquet" or not path.is_file():
        return frozenset()
    try:
        return frozenset(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return frozenset()


def read_frame(path: Path, expected: Sequence[str]) -> pd.DataFrame:
    """The columns ``expected`` of a Parquet file. Raises TapeError where the file is missing, torn or lacks one."""
    if not path.is_file():
        raise TapeError(f"{path}: no such file; expected Parquet with the columns {', '.join(expected)}")
    try:
        have = pq.read_schema(path).names
        missing = [name for name in expected if name not in have]
        if missing:
            raise TapeError(f"{path}: lacks the columns {', '.join(missing)}; it has {', '.join(have)}")
        return pd.read_parquet(path, columns=list(expected))
    except (pa.ArrowException, OSError) as error:
        raise TapeError(f"{path}: torn, or not Parquet ({error}); copy it again") from error


def events_file(source: Path) -> Path:
    """The one Parquet file of a set that has only one: the source itself, or ``events.parquet`` in its folder."""
    return source / "events.parquet" if source.is_dir() else source


class Names:
    """File names of tapes, told apart by a number where the same market comes again."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def next(self, market: str) -> str:
        """``market`` made safe for a file system; the second time with _2, then _3 ..."""
        safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in market)
        self._taken[safe] = self._taken.get(safe, 0) + 1
        return safe if self._taken[safe] == 1 else f"{safe}_{self._taken[safe]}"
