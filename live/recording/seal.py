"""A session that has ended becomes tapes: decoded from the raw segments, written, read back, then marked as sealed.

The raw log is the truth, and a tape is made of nothing else: a reader may crash, be repaired, and read the same frames
again. Whoever stops a seal half-way runs it again: whole tapes are compared, not written anew.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from live.reading import MarketReader
from live.recording.decode import SCRATCH, Pass, Spill, first_header, reader_for
from live.recording.folder import (
    MANIFEST,
    TAPES,
    Manifest,
    SealedSegment,
    SealedTape,
    check_name,
    locked,
    read_manifest,
    segment_paths,
)
from live.recording.layout import Header, LogError
from sim.files import sync_folder, write_whole
from sim.tape import SUFFIX, Source, Tape, TapeError, read, write
from sim.tape import seal as seal_tape

LICENCE = "the venue's terms of use"


def seal(
    folder: str | Path, *, make_reader: Callable[[Header], MarketReader] = reader_for, delete_raw: bool = False
) -> Manifest:
    """Make tapes of the session in ``folder``, one a market, and write ``sealed.json``; a second run changes nothing.

    ``delete_raw`` removes the raw segments afterwards. A market without a row has no tape. Raises LogError where a
    recorder is still at work, there is no segment, or what is there is not what was sealed; TapeError where a tape of
    another content is in the way.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise LogError(f"{folder}: no such folder; expected the folder of a session")
    with locked(folder):
        _tidy(folder)
        manifest = read_manifest(folder)
        if manifest is None:
            manifest = _make(folder, make_reader)
            _confirm(folder, manifest)
            _mark(folder, manifest)
        else:
            _confirm(folder, manifest)
        if delete_raw:
            for segment in manifest.segments:
                (folder / segment.name).unlink(missing_ok=True)
            sync_folder(folder)
    return manifest


def _make(folder: Path, make_reader: Callable[[Header], MarketReader]) -> Manifest:
    """Decode all segments and write the tapes."""
    paths = segment_paths(folder)
    if not paths:
        raise LogError(f"{folder}: no segments ({folder.name}-NNNNNN.zst) to seal")
    header = first_header(paths)
    reader = make_reader(header)
    reading = Pass(paths, reader)
    with Spill(len(header.markets), folder) as spill:
        for rows in reading.rows():
            spill.add(rows)
        segments = tuple(
            SealedSegment(
                segment.path.name, segment.path.stat().st_size, _sha256(segment.path), segment.result.records,
                segment.result.torn_bytes, tuple(f"byte {d.offset}: {d.what}" for d in segment.result.damage),
            )
            for segment in reading.segments
        )  # fmt: skip
        sources = [Source(s.name, s.sha256, LICENCE, f"{header.venue}, own recording") for s in segments]
        notes = _notes(header, segments)
        tapes = []
        for index, rules in enumerate(reader.rules):
            events = spill.events(index)
            if len(events):
                tapes.append(_write(folder, seal_tape(events, rules.header(sources, notes))))
    return Manifest(header.created_ns, segments, tuple(tapes), dict(sorted(reader.counts.items())))


def tape_path(folder: Path, market: str) -> Path:
    """Path of a market's tape in the folder of a session."""
    return folder / TAPES / f"{check_name(market, 'market')}{SUFFIX}"


def _notes(header: Header, segments: tuple[SealedSegment, ...]) -> list[str]:
    notes = [f"recorded by {header.program}; local stamps: {header.time_source}", "GAP also where a connection ended"]
    notes += [
        f"{segment.name}: its last {segment.torn_bytes} bytes are torn" for segment in segments if segment.torn_bytes
    ]
    if len(header.markets) > 1:
        notes.append(
            "sequence numbers count through all markets of a subscription: a jump may be another market's message"
        )
    return notes + [f"{segment.name}: {what}" for segment in segments for what in segment.damage]


def _write(folder: Path, tape: Tape) -> SealedTape:
    """Write a tape, or see that the one which a seal before this wrote is the same."""
    market = tape.header.markets[0].id
    path = tape_path(folder, market)
    if not path.exists():
        write(path, tape)
    elif read(path).header != tape.header:
        raise TapeError(
            f"{path}: is there already, and is not what these segments decode to; move it away and seal again"
        )
    return SealedTape(path.name, market, tape.header.events, tape.header.digest)


def _confirm(folder: Path, manifest: Manifest) -> None:
    """Read everything back. Raises LogError or TapeError where it is not what the manifest says."""
    for sealed in manifest.tapes:
        header = read(folder / TAPES / sealed.name).header  # checks rows against its digest
        if header.digest != sealed.digest:
            raise LogError(
                f"{folder / TAPES / sealed.name}: digest {header.digest[:16]}, sealed as {sealed.digest[:16]}"
            )
    known = {segment.name: segment for segment in manifest.segments}
    for path in segment_paths(folder):
        if path.name not in known or _sha256(path) != known[path.name].sha256:
            raise LogError(f"{path}: is not what was sealed; move it, or {MANIFEST} and the tapes, away")


def _tidy(folder: Path) -> None:
    """Remove what a seal that was killed has left: rows half-way to a tape."""
    for left in folder.glob(f"{SCRATCH}*"):
        shutil.rmtree(left)


def _mark(folder: Path, manifest: Manifest) -> None:
    write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
