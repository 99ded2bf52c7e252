"""From raw records to rows of tapes: the one way that the recorder, the seal and validation share."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from live.kalshi_poll import KalshiPollReader
from live.reading import MarketReader, read_answer
from live.recording.folder import number_of
from live.recording.layout import ANSWERED, CONNECTED, DISCONNECTED, LOST, NOTE, RECEIVED, Header, LogError, Record
from live.recording.log import Damage, Result, read_log
from sim.types import EVENT
from sim.wire.kalshi import KalshiReader
from sim.wire.listing import Listing
from sim.wire.polymarket import PolymarketReader
from sim.wire.units import NOTHING, Row, Taken

_FAILURES = ("malformed", "unreadable")  # what a reader counts where it cannot use what it was told; venues add types
SCRATCH = ".rows."  # how the folder of rows that wait for their tape begins
_BLOCK = 1 << 14  # rows of a market turned into an array at once
_BREAKS = frozenset(word.encode() for word in (CONNECTED, DISCONNECTED, LOST))


POLLED = ("rest",)  # what a header's ``subscribed`` says where answers of REST were recorded
_READERS: dict[str, Callable[[Sequence[Listing]], MarketReader]] = {
    "kalshi": KalshiReader,
    "polymarket": PolymarketReader,
}


def reader_for(header: Header) -> MarketReader:
    """A new reader for the frames of a recording with this header."""
    if header.subscribed == POLLED:
        return KalshiPollReader(header.markets)
    return _READERS[header.venue](header.markets)


def take(reader: MarketReader, record: Record) -> Taken:
    """What one record says: frames of the venue as they are read, a break of the connection as a gap."""
    if record.kind == RECEIVED:
        return reader.take(record.data, record.local_ns)
    if record.kind == ANSWERED:
        return read_answer(reader, record.data, record.local_ns)
    if record.kind == NOTE and record.data.partition(b" ")[0] in _BREAKS:
        return reader.reconnected(record.local_ns)
    return NOTHING


def failures(counts: Counter[str]) -> dict[str, int]:
    """Those of a reader's counts that are of messages which it did not understand."""
    return {name: count for name, count in sorted(counts.items()) if name in _FAILURES}


@dataclass
class Segment:
    """A segment that was read to its end."""

    path: Path
    header: Header | None
    result: Result


@dataclass
class Pass:
    """One reading of a session's segments, in order; complete once :meth:`rows` has come to its end."""

    paths: Sequence[Path]
    reader: MarketReader
    segments: list[Segment] = field(default_factory=list)
    frames: int = 0  # of the venue
    frame_bytes: int = 0
    failed: int = 0  # frames with a message that the reader did not understand
    kinds: Counter[int] = field(default_factory=Counter)
    _local_ns: int = 0
    _failures: int = 0  # messages so far

    def rows(self) -> Iterator[list[Row]]:
        """Rows of each record that says something; GAP rows where records were lost."""
        for records in self._runs():
            if records is None:
                yield self.reader.reconnected(self._local_ns).rows
                continue
            for record in records:
                yield self._take(record)
            if records:
                self._local_ns = records[-1].local_ns

    def _take(self, record: Record) -> list[Row]:
        self.kinds[record.kind] += 1
        taken = take(self.reader, record)
        if record.kind == RECEIVED:
            self.frames += 1
            self.frame_bytes += len(record.data)
            messages = sum(failures(self.reader.counts).values())
            self.failed += messages > self._failures
            self._failures = messages
        return taken.rows

    def _runs(self) -> Iterator[list[Record] | None]:
        """Batches of all segments; None where records are missing, between segments too."""
        before: Result | None = None
        number = 0
        for path in self.paths:
            if number and number_of(path) != number + 1:
                missing = f"segment {number + 1} is missing"
                self.segments[-1].result.damage.append(Damage(self.segments[-1].path.stat().st_size, 0, -1, missing))
                yield None
            elif before is not None and before.torn_bytes:
                yield None
            log = read_log(path)
            yield from log.runs()
            self.segments.append(Segment(path, log.header, log.result))
            before, number = log.result, number_of(path)


def first_header(paths: Sequence[Path]) -> Header:
    """Header of the first segment that has one; they agree on venue and markets. Raises LogError where none has."""
    for path in paths:
        header = read_log(path).header
        if header is not None:
            return header
    names = ", ".join(str(path) for path in paths)
    raise LogError(f"no header can be read in {names or 'an empty folder'}; venue and markets are not known")


class Spill:
    """Rows of many markets, kept in one temporary file a market: a day of them need not fit into memory."""

    def __init__(self, markets: int, scratch: Path | None = None) -> None:
        """Make the files, in ``scratch`` or the system's place for temporary ones; :meth:`close` removes them."""
        with ExitStack() as held:
            self._folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix=SCRATCH, dir=scratch)))
            paths = [self._folder / str(market) for market in range(markets)]
            self._files: list[IO[bytes]] = [held.enter_context(path.open("wb")) for path in paths]
            self._held = held.pop_all()
        self._waiting: list[list[Row]] = [[] for _ in range(markets)]

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, rows: list[Row]) -> None:
        """Put each row to its market's."""
        for row in rows:
            waiting = self._waiting[row[6]]
            waiting.append(row)
            if len(waiting) >= _BLOCK:
                self._write(row[6])

    def events(self, market: int) -> np.ndarray:
        """All rows of a market as ``(rows,)`` EVENT; its number on its own tape is 0."""
        self._write(market)
        self._files[market].flush()
        return np.fromfile(self._folder / str(market), EVENT)

    def close(self) -> None:
        """Remove the files."""
        self._held.close()

    def _write(self, market: int) -> None:
        events = np.array(self._waiting[market], EVENT)
        events["market"] = 0
        self._files[market].write(events.tobytes())
        self._waiting[market].clear()
