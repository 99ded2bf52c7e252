"""Is a recording what it says it is? Frames through a reader, and, if asked, the tapes they make through a replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from live.reading import MarketReader
from live.recording.decode import Pass, Segment, Spill, failures, first_header, reader_for
from live.recording.folder import segment_paths
from live.recording.layout import NOTE, SENT, Header, LogError
from sim.tape import seal
from sim.validate import Report, validate


@dataclass
class Validation:
    """What was found. ``errors`` fail the validation; everything else is counted only."""

    segments: list[Segment] = field(default_factory=list)
    frames: int = 0  # of the venue
    frame_bytes: int = 0
    failed: int = 0  # frames with a message that is no JSON, or has fields that cannot be
    sent: int = 0
    notes: int = 0
    counts: dict[str, int] = field(default_factory=dict)  # of the reader
    rows: int = 0
    tapes: dict[str, Report] = field(default_factory=dict)  # by market; empty where only frames were read
    errors: list[str] = field(default_factory=list)

    @property
    def parsed_share(self) -> float:
        """Frames that were understood, of all; 1 where there are none."""
        return 1 - self.failed / self.frames if self.frames else 1.0

    @property
    def status(self) -> int:
        """Exit status: 0 where nothing is wrong."""
        return 1 if self.errors else 0


def validate_recording(
    paths: Sequence[Path], *, replay: bool = False, make_reader: Callable[[Header], MarketReader] = reader_for
) -> Validation:
    """Read the segments ``paths`` of one session; with ``replay`` make their tapes in memory and validate those too.

    Raises LogError where no header can be read.
    """
    header = first_header(paths)
    reader = make_reader(header)
    reading, found = Pass(paths, reader), Validation()
    with Spill(len(header.markets)) as spill:
        for rows in reading.rows():
            found.rows += len(rows)
            if replay:
                spill.add(rows)
        found.segments, found.frames, found.frame_bytes = reading.segments, reading.frames, reading.frame_bytes
        found.sent, found.notes = reading.kinds[SENT], reading.kinds[NOTE]
        found.counts = dict(sorted(reader.counts.items()))
        found.failed = reading.failed
        found.errors += _broken_segments(found.segments) + _failed_frames(found, failures(reader.counts))
        for index, rules in enumerate(reader.rules if replay else ()):
            events = spill.events(index)
            if len(events):
                report = validate(seal(events, rules.header((), ())))
                market = rules.listing.market.id
                found.tapes[market] = report
                found.errors += [f"{market}: {error}" for error in report.errors]
    return found


def recorded_paths(path: str | Path) -> list[Path]:
    """Segments that ``path`` names: itself, or those of the session in this folder. Raises LogError where none is."""
    path = Path(path).resolve()
    paths = segment_paths(path) if path.is_dir() else [path]
    if not paths:
        raise LogError(f"{path}: no segments ({path.name}-NNNNNN.zst) here; expected the folder of a session")
    return paths


def _broken_segments(segments: Sequence[Segment]) -> list[str]:
    lines = []
    for segment in segments:
        lines += [
            f"{segment.path}: byte {damage.offset}: {damage.what}; {damage.bytes} bytes passed over, "
            f"{'an unknown number of' if damage.records < 0 else damage.records} records lost"
            for damage in segment.result.damage
        ]
    return lines


def _failed_frames(found: Validation, failed: dict[str, int]) -> list[str]:
    if not found.failed:
        return []
    told = ", ".join(f"{name} {count:,}" for name, count in failed.items())
    return [f"{found.failed:,} of {found.frames:,} frames were not understood: {told}"]


def tables(found: Validation) -> RenderableType:
    """``found`` as text: segments, frames by type, tapes."""
    segments = _table("segment", "batches", "records", "torn bytes", "damaged")
    for segment in found.segments:
        result = segment.result
        counts = (result.batches, result.records, result.torn_bytes, len(result.damage))
        segments.add_row(segment.path.name, *(f"{count:,}" for count in counts))
    frames = _table("frames", "count")
    for name, count in found.counts.items():
        frames.add_row(name, f"{count:,}")
    parts: list[RenderableType] = [segments, frames]
    if found.tapes:
        parts.append(_tape_table(found.tapes))
    parts.append(
        f"{found.frames:,} frames, {found.frame_bytes:,} bytes, {found.parsed_share:.4%} understood, "
        f"{found.rows:,} rows; {found.sent:,} sent, {found.notes:,} notes; {len(found.errors)} errors"
    )
    return Group(*parts, *(f"error: {error}" for error in found.errors))


def _tape_table(tapes: dict[str, Report]) -> Table:
    table = _table("tape", "quotes agree", "events", "crossed after", "negative", "gaps")
    for market, report in tapes.items():
        counts = (report.events, report.lasting_crossings, report.negative, report.gaps)
        agree = f"{report.agree:,} of {report.quotes:,}" if report.quotes else "-"
        table.add_row(market, agree, *(f"{count:,}" for count in counts))
    return table


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in titles:
        table.add_column(title, justify="left" if title == titles[0] else "right", no_wrap=True)
    return table
