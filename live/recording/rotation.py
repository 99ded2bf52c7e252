"""A session's log over many segments: rotation by size and age, a cap on the disk, going on after a crash."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from live.recording.folder import (
    bytes_below,
    check_name,
    locked,
    number_of,
    read_manifest,
    segment_path,
    segment_paths,
)
from live.recording.layout import NOTE, Header, LogError, TornTail
from live.recording.log import BATCH_BYTES, BATCH_MS, LogWriter, read_log
from sim.types import SECOND_NS

MIB = 1 << 20


class CapReachedError(LogError):
    """The recordings take as much of the disk as they may."""


@dataclass(frozen=True)
class Rotation:
    """When a segment ends, and how much disk recordings may take."""

    segment_bytes: int = 64 * MIB  # on disk; a segment is longer by less than a batch
    segment_s: int = 3_600
    cap_bytes: int = 50_000 * MIB  # of all files below the root; a segment begins only where it fits whole
    at_cap: Literal["stop", "delete_sealed"] = "stop"
    batch_bytes: int = BATCH_BYTES
    batch_ms: int = BATCH_MS

    def __post_init__(self) -> None:
        if self.segment_bytes <= 0 or self.segment_s <= 0 or self.cap_bytes < self.segment_bytes:
            raise LogError(
                f"segments of {self.segment_bytes} bytes and {self.segment_s} s under a cap of {self.cap_bytes} bytes: "
                "expected all above 0, and a cap that a segment fits under"
            )


class SessionWriter:
    """A :class:`~live.recording.log.LogWriter` that begins a new segment when one is full or old.

    A session that was cut off is taken up in a new segment; what was torn stays where it is, and is named in the new
    segment's header and in :attr:`torn`.
    """

    def __init__(
        self,
        root: str | Path,
        session: str,
        header: Header,
        clock: Callable[[], int],
        rotation: Rotation = Rotation(),
    ) -> None:
        """Open the folder ``root/session`` for writing.

        ``header``'s ``created_ns``, ``segment`` and ``torn`` are set anew for each segment. Raises LogError where
        somebody else writes there, the session is sealed, or it is of other markets; CapReachedError where the disk is
        used up.
        """
        self.folder = Path(root) / check_name(session, "session")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.deleted: list[Path] = []  # sealed segments that had to go
        self._header = header
        self._clock = clock
        self._rotation = rotation
        self._number = 0
        self._closed_bytes = 0
        self._closed_batches = 0
        with ExitStack() as held:
            held.enter_context(locked(self.folder))
            self.torn, number, first = self._take_up()
            self._begin(number, first)
            self._held = held.pop_all()

    @property
    def durable(self) -> int:
        """Records of the session that survive a crash."""
        return self._log.durable

    @property
    def pending(self) -> int:
        """Records appended and not yet durable."""
        return self._log.pending

    @property
    def lag_ns(self) -> int:
        """From the oldest record of the last batch until it was durable."""
        return self._log.lag_ns

    @property
    def file_bytes(self) -> int:
        """Written by this writer."""
        return self._closed_bytes + self._log.file_bytes

    @property
    def batches(self) -> int:
        """Written by this writer, headers included."""
        return self._closed_batches + self._log.batches

    @property
    def path(self) -> Path:
        """Of the segment that is being written."""
        return self._log.path

    def append(self, local_ns: int, channel: int, kind: int, data: bytes) -> None:
        """Add a record, in a new segment where that is due.

        Raises LogError as LogWriter does, CapReachedError where there is no room for a new segment; the record is then
        not taken, and all before it are durable.
        """
        age_ns = local_ns - self._began_ns
        if self._log.file_bytes >= self._rotation.segment_bytes or age_ns >= self._rotation.segment_s * SECOND_NS:
            self.rotate()
        self._log.append(local_ns, channel, kind, data)

    def flush_due(self, now_ns: int) -> int:
        """Flush where a batch is full or old at ``now_ns``; returns the number of durable records."""
        return self._log.flush_due(now_ns)

    def flush(self) -> int:
        """Write and sync what is pending; returns the number of records of the session that are durable."""
        return self._log.flush()

    def rotate(self) -> None:
        """End the segment and begin the next."""
        ended = self._log
        first = ended.close()
        self._begin(self._number + 1, first)
        self._closed_bytes += ended.file_bytes
        self._closed_batches += ended.batches

    def close(self) -> int:
        """Flush, close, let go of the folder; returns the number of durable records. Twice is once."""
        try:
            return self._log.close()
        finally:
            self._held.close()

    def _take_up(self) -> tuple[tuple[TornTail, ...], int, int]:
        """What the last writer left torn, the number of the next segment and that of its first record."""
        if read_manifest(self.folder) is not None:
            raise LogError(f"{self.folder}: this session is sealed; record under another name")
        torn: list[TornTail] = []
        paths = segment_paths(self.folder)
        for path in reversed(paths):
            log = read_log(path)
            for _ in log.runs():
                pass
            if log.result.torn_bytes:
                torn.append(TornTail(path.name, log.result.torn_bytes))
            if log.header is not None and (log.header.venue, log.header.markets) != (
                self._header.venue,
                self._header.markets,
            ):
                raise LogError(
                    f"{path}: the session is of other markets, or their terms have changed; name a new session"
                )
            if log.result.batches:
                return tuple(torn), number_of(paths[-1]) + 1, log.result.next_record
        return tuple(torn), number_of(paths[-1]) + 1 if paths else 1, 0

    def _begin(self, number: int, first: int) -> None:
        """Segment ``number`` becomes the one that is written; where that cannot be, everything stays as it was."""
        gone = self._make_room()
        rotation, now_ns = self._rotation, self._clock()
        torn = () if self._number else self.torn  # the first segment of this writer says what it found
        header = msgspec.structs.replace(self._header, created_ns=now_ns, segment=number, torn=torn)
        self._log = LogWriter(
            segment_path(self.folder, number), header, self._clock,
            first=first, batch_bytes=rotation.batch_bytes, batch_ms=rotation.batch_ms,
        )  # fmt: skip
        self._number, self._began_ns = number, now_ns
        for path in gone:
            self._log.append(now_ns, 0, NOTE, f"deleted {path.name}, which is sealed".encode())

    def _make_room(self) -> list[Path]:
        """Sealed segments deleted so that a segment fits under the cap. Raises CapReachedError where it does not."""
        root, rotation = self.folder.parent, self._rotation
        gone: list[Path] = []
        excess = bytes_below(root) + rotation.segment_bytes - rotation.cap_bytes
        spare = _sealed_segments(root) if rotation.at_cap == "delete_sealed" else []
        for path in spare:
            if excess <= 0:
                break
            excess -= path.stat().st_size
            path.unlink()
            gone.append(path)
        self.deleted += gone
        if excess > 0:
            raise CapReachedError(
                f"{root}: a segment of {rotation.segment_bytes:,} bytes does not fit under the cap of "
                f"{rotation.cap_bytes:,}, by {excess:,} bytes (at_cap={rotation.at_cap}); seal sessions and delete "
                "their segments, or raise the cap. All that was acknowledged is on disk"
            )
        return gone


def _sealed_segments(root: Path) -> list[Path]:
    """Raw segments that are as their session's manifest says, of the oldest session first."""
    found: list[tuple[int, Path]] = []
    for folder in root.iterdir():
        manifest = read_manifest(folder) if folder.is_dir() else None
        if manifest is None:
            continue
        for segment in manifest.segments:
            path = folder / segment.name
            if path.is_file() and path.stat().st_size == segment.bytes:
                found.append((manifest.created_ns, path))
    return [path for _, path in sorted(found)]
