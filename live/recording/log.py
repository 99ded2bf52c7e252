"""A raw log that a crash cannot spoil: batches of frames, each on disk as a whole or not at all.

What :meth:`LogWriter.flush` has acknowledged is read back after ``kill -9``, after a cut anywhere behind it, and when
other batches are damaged. :func:`read_log` says what it could not read. Bytes: :mod:`live.recording.layout`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from live.recording.layout import (
    FIXED_BYTES,
    KINDS,
    MARK,
    MAX_CHANNEL,
    RECORD,
    Batch,
    Header,
    LogError,
    Record,
    content,
    decode_header,
    encode_batch,
    encode_header,
    parse_fixed,
    records_of,
)
from sim.files import sync_folder

SUFFIX = ".zst"
BATCH_BYTES = 1 << 18  # of records, before compression
BATCH_MS = 200
_NS_PER_MS = 1_000_000


class LogWriter:
    """Writes one segment. Not for several threads at once.

    A batch is written and synced once its records take ``batch_bytes``, or once its oldest record is ``batch_ms`` old
    (:meth:`append` and :meth:`flush_due` look); so a crash loses at most that much. After a failed write the writer
    takes nothing more: what the disk holds then is unknown, and a new segment has to be begun.
    """

    def __init__(
        self,
        path: str | Path,
        header: Header,
        clock: Callable[[], int],
        *,
        first: int = 0,
        batch_bytes: int = BATCH_BYTES,
        batch_ms: int = BATCH_MS,
    ) -> None:
        """Create ``path``, write the header, sync file and folder.

        ``clock`` gives nanoseconds since epoch; ``first`` is the number of the first record. Raises LogError where the
        file exists.
        """
        if batch_bytes <= 0 or batch_ms <= 0:
            raise LogError(f"batch_bytes {batch_bytes}, batch_ms {batch_ms}: expected both above 0")
        self.path = Path(path)
        self.durable = first  # number of records, counted through the session, that survive a crash
        self.batches = 0
        self.file_bytes = 0
        self.lag_ns = 0  # from the oldest record of the last batch until it was durable
        self._clock = clock
        self._batch_bytes = batch_bytes
        self._batch_ns = batch_ms * _NS_PER_MS
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._oldest_ns = 0
        self._failed = ""
        try:
            self._file = self.path.open("xb", buffering=0)
        except FileExistsError:
            raise LogError(f"{path}: exists already, and a log is never overwritten; choose another name") from None
        self._put(encode_batch(0, first, 0, encode_header(header)))
        sync_folder(self.path.parent)

    @property
    def pending(self) -> int:
        """Records appended and not yet durable."""
        return len(self._pending) // 2

    def append(self, local_ns: int, channel: int, kind: int, data: bytes) -> None:
        """Add a record; writes the batch where that is due. Raises LogError for a field that does not fit."""
        if self._failed:
            raise LogError(self._failed)
        if kind not in KINDS:
            raise LogError(f"{self.path}: record of kind {kind!r}; expected one of {KINDS}")
        try:
            head = RECORD.pack(local_ns, channel, kind, len(data))
        except struct.error as error:
            raise LogError(
                f"{self.path}: local_ns {local_ns!r}, channel {channel!r}, {len(data)} bytes; expected 64-bit "
                f"nanoseconds, a channel from 0 to {MAX_CHANNEL}, less than 4 GiB ({error})"
            ) from None
        if not self._pending:
            self._oldest_ns = local_ns
        self._pending += (head, data)
        self._pending_bytes += len(head) + len(data)
        self.flush_due(local_ns)

    def flush_due(self, now_ns: int) -> int:
        """Flush where a batch is full or old at ``now_ns``; returns the number of durable records."""
        age = now_ns - self._oldest_ns
        # A clock that was set back must not put off the sync.
        if self._pending and (self._pending_bytes >= self._batch_bytes or not 0 <= age < self._batch_ns):
            self.flush()
        return self.durable

    def flush(self) -> int:
        """Write and sync what is pending; returns the number of records, through the session, that are durable."""
        if self._failed:
            raise LogError(self._failed)
        if self._pending:
            count = self.pending
            self._put(encode_batch(self.batches, self.durable, count, b"".join(self._pending)))
            self.durable += count
            self._pending.clear()
            self._pending_bytes = 0
            self.lag_ns = self._clock() - self._oldest_ns
        return self.durable

    def close(self) -> int:
        """Flush and close; returns the number of durable records. Twice is once."""
        if self._file.closed:
            return self.durable
        try:
            return self.durable if self._failed else self.flush()
        finally:
            self._file.close()

    def _put(self, data: bytes) -> None:
        """Write and sync ``data`` as the next batch."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._failed = f"{self.path}: batch {self.batches} was not written whole ({error}); begin a new segment"
            raise LogError(self._failed) from error
        self.batches += 1
        self.file_bytes += len(data)


class Damage(NamedTuple):
    """Bytes of a log, or batches, that could not be read."""

    offset: int  # byte of the file
    bytes: int  # that were passed over; 0 where batches are missing between two that touch
    records: int  # known to be lost; -1 = not known
    what: str


@dataclass
class Result:
    """What reading a segment has found so far; complete once its records were read to the end."""

    batches: int = 0  # read whole, the header's included
    records: int = 0
    next_record: int = 0  # number that the next record of the session would have
    torn_bytes: int = 0  # behind the last whole batch
    damage: list[Damage] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether every byte was read."""
        return not self.torn_bytes and not self.damage


_START = Batch(0, 0, 0, 0, 0, 0, 0)


class Log:
    """A segment that is being read: iterate for its :class:`Record` s, and ask :attr:`result` afterwards."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.result = Result()
        self.header: Header | None = None  # None where the first batch cannot be read
        self._data = data
        first = parse_fixed(data, 0)
        if first is not None and first.sequence == 0 and len(data) >= FIXED_BYTES + first.compressed_bytes:
            try:
                text = content(first, data[FIXED_BYTES : FIXED_BYTES + first.compressed_bytes])
            except LogError:
                return  # reported as damage once the records are read
            try:
                self.header = decode_header(text)
            except LogError as error:
                raise LogError(f"{path}: {error}") from error

    def __iter__(self) -> Iterator[Record]:
        """Records of every batch that is whole, in order. Raises LogError for a format version without a reader."""
        for run in self.runs():
            yield from run or ()

    def runs(self) -> Iterator[list[Record] | None]:
        """The same, a batch at a time; None stands where records were lost."""
        self.result = result = Result()
        at, expected = 0, _START
        while at < len(self._data):
            batch = parse_fixed(self._data, at)
            end = at + FIXED_BYTES + batch.compressed_bytes if batch else at
            if batch is None or end > len(self._data):
                found = self._next_mark(at + 1, expected.sequence + (batch is not None))
                if found is None:
                    break
                self._lost(at, found[0] - at, found[1], expected, "no batch with a header that its CRC32 confirms")
                yield None
                at, expected = found
                continue
            if batch.sequence < expected.sequence:
                result.damage.append(Damage(at, end - at, 0, f"batch {batch.sequence} again, or out of order"))
                at = end
                continue
            if batch.sequence != expected.sequence or (expected.sequence and batch.first != expected.first):
                wanted = f"expected {expected.sequence} from {expected.first}"
                what = f"batch {batch.sequence} from record {batch.first}, {wanted}"
                self._lost(at, 0, batch, expected, what)
                yield None
            yield self._read(at, end, batch)
            at, expected = end, batch._replace(sequence=batch.sequence + 1, first=batch.first + batch.records)
            result.next_record = expected.first
        result.torn_bytes = len(self._data) - at

    def _read(self, at: int, end: int, batch: Batch) -> list[Record] | None:
        """Records of the batch in these bytes; None where they are damaged."""
        try:
            raw = content(batch, self._data[at + FIXED_BYTES : end])
        except LogError as error:
            self.result.damage.append(Damage(at, end - at, batch.records, f"batch {batch.sequence}: {error}"))
            return None
        try:
            records = records_of(batch, raw) if batch.sequence else []
        except LogError as error:
            raise LogError(f"{self.path}, batch {batch.sequence} at byte {at}: {error}") from error
        self.result.batches += 1
        self.result.records += len(records)
        return records

    def _lost(self, at: int, size: int, batch: Batch, expected: Batch, what: str) -> None:
        known = batch.first - expected.first if expected.sequence else -(batch.sequence > 1)
        self.result.damage.append(Damage(at, size, known, what))

    def _next_mark(self, at: int, sequence: int) -> tuple[int, Batch] | None:
        """Byte and fixed header of the next batch not before ``sequence``."""
        while (at := self._data.find(MARK, at)) >= 0:
            batch = parse_fixed(self._data, at)
            if batch is not None and batch.sequence >= sequence:
                return at, batch
            at += 1
        return None


def read_log(path: str | Path) -> Log:
    """Open the segment at ``path`` for reading; the file is never changed.

    Raises LogError where the file is missing or its header is of another schema version.
    """
    path = Path(path)
    if not path.is_file():
        raise LogError(f"{path}: no such file; expected a segment of a recording (*{SUFFIX})")
    return Log(path, path.read_bytes())
