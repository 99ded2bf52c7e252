"""What lies in the folder of a session: numbered segments, who may write, and what says that they are sealed.

recordings/                    the root; its size is what a cap is about
  SESSION/
    SESSION-000001.zst ...     raw segments, see live.recording.log
    tapes/MARKET.parquet       made by live.recording.seal
    sealed.json                what was sealed, with digests
    .lock                      held by whoever writes or seals
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from live.recording.layout import SCHEMA_VERSION, LogError
from live.recording.log import SUFFIX

MANIFEST = "sealed.json"
TAPES = "tapes"
_NAME = re.compile(r"[\w][\w.=-]*")
_MOST_DIGITS = 6


class SealedSegment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A raw segment as it was when it was sealed."""

    name: str
    bytes: int
    sha256: str
    records: int
    torn_bytes: int
    damage: tuple[str, ...]


class SealedTape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tape made of a session's segments."""

    name: str
    market: str
    events: int
    digest: str  # of the events, as in the tape's header


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of ``sealed.json``."""

    created_ns: int  # when the session began
    segments: tuple[SealedSegment, ...]
    tapes: tuple[SealedTape, ...]
    counts: dict[str, int]  # of the reader, by type of message and by what went wrong
    schema_version: int = SCHEMA_VERSION


def check_name(name: str, what: str) -> str:
    """``name``. Raises LogError where it cannot be the name of a file."""
    if not _NAME.fullmatch(name):
        raise LogError(
            f"{what} {name!r}: expected letters, digits, '_', '-', '=' and '.', not '.' first: it names a file"
        )
    return name


def segment_path(folder: Path, number: int) -> Path:
    """Path of segment ``number`` (from 1) of the session in ``folder``."""
    return folder / f"{folder.name}-{number:0{_MOST_DIGITS}d}{SUFFIX}"


def segment_paths(folder: Path) -> list[Path]:
    """Segments of the session in ``folder``, oldest first."""
    return sorted(folder.glob(f"{folder.name}-{'[0-9]' * _MOST_DIGITS}{SUFFIX}"))


def number_of(path: Path) -> int:
    """Number of the segment at ``path``."""
    return int(path.stem[-_MOST_DIGITS:])


def bytes_below(root: Path) -> int:
    """Bytes of all files below ``root``."""
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def read_manifest(folder: Path) -> Manifest | None:
    """What ``sealed.json`` of the session in ``folder`` says; None where there is none. Raises LogError if torn."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.MsgspecError as error:
        raise LogError(f"{path}: does not read ({error}); move it away and seal the session again") from error
    if manifest.schema_version != SCHEMA_VERSION:
        raise LogError(f"{path}: schema version {manifest.schema_version}; this program reads {SCHEMA_VERSION}")
    return manifest


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the session in ``folder``; the lock ends with its holder, however that ends.

    Raises LogError where another process holds it.
    """
    handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LogError(
                f"{folder}: a recorder or a seal is at work here; wait for its end, or name another session"
            ) from error
        yield
    finally:
        os.close(handle)
