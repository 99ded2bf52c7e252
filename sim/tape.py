"""Recordings: one Parquet file per market and stretch of recording; see docs/tape.md.

The columns are the fields of :data:`sim.types.EVENT`; the file's metadata holds a JSON header. Rows are in the order
in which the recorder saw them, and that order is the truth: time stamps are kept as they came and may run backwards.
A tape knows nothing that its moments did not know: the result is the last event (SETTLE), never a header field.

``python -m sim.tape import|info|validate`` is the command line.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sim.files import whole
from sim.types import EVENT, PX_ONE

SCHEMA_VERSION = 1
SUFFIX = ".parquet"
_BLOCK = 1 << 15  # rows turned from columns into events at once: 1.3 MB
_METADATA_KEY = b"shadowbook.tape"
_SCHEMA = pa.schema([pa.field(name, pa.from_numpy_dtype(EVENT[name]), nullable=False) for name in EVENT.names or ()])
# Stamps and sequence numbers grow in small steps; the other columns repeat a few values and go through a dictionary.
_DELTA_ENCODED = ("local_ns", "venue_ns", "seq")


class TapeError(ValueError):
    """A tape or a source that cannot be used: says which file, what was expected, what came and what would do."""


class Market(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a market's participants know of it from the start."""

    id: str
    title: str
    open_ns: int = 0  # scheduled start, nanoseconds since epoch; 0 = not said
    close_ns: int = 0  # scheduled end of trading, nanoseconds since epoch; 0 = not said


class FeeRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rates of one fee schedule, in 1e-6 of contracts x p x (1 - p)."""

    name: str
    kind: Literal["kalshi", "polymarket"]
    rate_ppm: int  # takers
    maker_ppm: int = 0


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the rows came from and on what terms."""

    name: str  # file name, without its folder
    sha256: str
    licence: str
    attribution: str


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tape says of itself. ``events`` and ``digest`` are filled in by :func:`seal`."""

    venue: Literal["kalshi", "polymarket"]
    markets: tuple[Market, ...]
    tick_tables: tuple[
        tuple[tuple[int, int, int], ...], ...
    ]  # ranges (start_px, end_px, step_px); the first is in force first
    fee_schedules: tuple[FeeRates, ...]  # schedule 0 is in force first
    sources: tuple[Source, ...]
    quotes: Literal["none", "order", "stamp"] = "none"  # how QUOTE rows compare with the book; see sim.validate
    notes: tuple[str, ...] = ()  # what the importer inferred or left out
    events: int = 0
    digest: str = ""  # sha256 of the events' bytes, hexadecimal


class Tape(NamedTuple):
    """A recording in memory: ``events`` is an ``(events,)`` array of EVENT. Made by :func:`seal` or :func:`read`."""

    events: np.ndarray
    header: Header


def digest_of(events: np.ndarray) -> str:
    """Sha256 of the bytes of ``events``, hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(events).view(np.uint8).data).hexdigest()


def seal(events: np.ndarray, header: Header) -> Tape:
    """Tape of ``events`` under ``header``, its count and digest filled in.

    Raises TapeError where the array is not of EVENT rows or the header lacks markets, tick tables or fee schedules.
    """
    _check_header("tape", header)
    if events.dtype != EVENT or events.ndim != 1:
        raise TapeError(
            f"tape: expected a one-dimensional array of sim.types.EVENT, got {events.ndim} axes of {events.dtype}"
        )
    return Tape(events, msgspec.structs.replace(header, events=len(events), digest=digest_of(events)))


def write(path: str | Path, tape: Tape) -> None:
    """Write ``tape`` to ``path``: whole or not at all, and never over an existing file.

    Raises TapeError where the file exists or the header's count or digest is not that of the events.
    """
    path = Path(path)
    if path.exists():
        raise TapeError(
            f"{path}: exists already and a tape is never overwritten; choose another name or remove it first"
        )
    _check_digest(path, tape.events, tape.header)
    schema = _SCHEMA.with_metadata({_METADATA_KEY: _encode(tape.header)})
    columns = [pa.array(np.ascontiguousarray(tape.events[name])) for name in _SCHEMA.names]
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as file:
        pq.write_table(
            pa.Table.from_arrays(columns, schema=schema),
            file,
            compression="zstd",
            use_dictionary=[name for name in _SCHEMA.names if name not in _DELTA_ENCODED],
            column_encoding=dict.fromkeys(_DELTA_ENCODED, "DELTA_BINARY_PACKED"),
            row_group_size=1 << 20,
        )


def read(path: str | Path) -> Tape:
    """Read the tape at ``path`` and check it against its header.

    Raises TapeError for a file that is missing, torn or not a tape, an unknown schema version, other columns, or events
    that do not give the header's digest.
    """
    path = Path(path)
    file = _open(path)
    header = _read_header(path, file)
    _check_columns(path, file.schema_arrow)
    try:
        table = file.read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise TapeError(f"{path}: torn tape: its rows cannot be decoded ({error}); copy or import it again") from error
    events = _interleave(table)
    _check_digest(path, events, header)
    return Tape(events, header)


def read_header(path: str | Path) -> Header:
    """Header of the tape at ``path``, without its rows. Raises TapeError as :func:`read` does."""
    path = Path(path)
    file = _open(path)
    _check_columns(path, file.schema_arrow)
    return _read_header(path, file)


def _open(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise TapeError(f"{path}: no such file; expected a tape written by `python -m sim.tape import SOURCE OUT_DIR`")
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise TapeError(
            f"{path}: torn, or not a tape: expected a whole Parquet file, got {path.stat().st_size} bytes that do not "
            f"read as one ({error}); copy or import it again"
        ) from error


def _interleave(table: pa.Table) -> np.ndarray:
    """EVENT rows of columns, a cache-sized block at a time: whole columns would go through memory once per field."""
    events = np.empty(table.num_rows, EVENT)
    first = 0
    for batch in table.to_batches(max_chunksize=_BLOCK):
        block = events[first : first + len(batch)]
        for name, column in zip(_SCHEMA.names, batch.columns, strict=True):
            block[name] = column.to_numpy(zero_copy_only=False)
        first += len(batch)
    return events


def _encode(header: Header) -> bytes:
    return msgspec.json.encode({"schema_version": SCHEMA_VERSION, **msgspec.to_builtins(header)})


def _read_header(path: Path, file: pq.ParquetFile) -> Header:
    text = (file.schema_arrow.metadata or {}).get(_METADATA_KEY)
    if text is None:
        raise TapeError(
            f"{path}: a Parquet file without a tape header; expected one written by `python -m sim.tape import`"
        )
    try:
        fields = json.loads(text)
        version = fields.pop("schema_version")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise TapeError(f"{path}: the tape header is not readable ({error!r}); copy or import it again") from error
    if version != SCHEMA_VERSION:
        raise TapeError(
            f"{path}: tape schema version {version!r}; this program reads version {SCHEMA_VERSION}. Import the source "
            "again, or use the release that wrote the tape"
        )
    try:
        header = msgspec.convert(fields, Header)
    except msgspec.ValidationError as error:
        raise TapeError(f"{path}: tape header of version {version} with a field that does not fit: {error}") from error
    _check_header(str(path), header)
    return header


def _check_header(where: str, header: Header) -> None:
    for name in ("markets", "tick_tables", "fee_schedules"):
        if not getattr(header, name):
            raise TapeError(f"{where}: header.{name} is empty; expected at least one entry")
    for index, table in enumerate(header.tick_tables):
        for start_px, end_px, step_px in table:
            if not 0 <= start_px < end_px <= PX_ONE or step_px <= 0 or (end_px - start_px) % step_px:
                raise TapeError(
                    f"{where}: header.tick_tables[{index}] has the range ({start_px}, {end_px}, {step_px}); expected "
                    f"0 <= start < end <= {PX_ONE} and a positive step that divides end - start (1e-4 dollar)"
                )


def _check_columns(path: Path, schema: pa.Schema) -> None:
    came = {field.name: str(field.type) for field in schema}
    expected = {field.name: str(field.type) for field in _SCHEMA}
    if came != expected:
        wrong = sorted(name for name in came.keys() | expected.keys() if came.get(name) != expected.get(name))
        detail = ", ".join(
            f"{name}: expected {expected.get(name, 'none')}, got {came.get(name, 'none')}" for name in wrong
        )
        raise TapeError(f"{path}: the columns are not those of an event ({detail}); import the source again")


def _check_digest(where: Path, events: np.ndarray, header: Header) -> None:
    if len(events) != header.events:
        raise TapeError(
            f"{where}: expected the header's {header.events} events, got {len(events)}; import the source again"
        )
    digest = digest_of(events)
    if digest != header.digest:
        raise TapeError(
            f"{where}: the events have the digest {digest[:16]}..., the header says {header.digest[:16]}...: the file "
            "was changed after it was written; copy or import it again (in memory: seal the events anew)"
        )


if __name__ == "__main__":
    from sim.tape_cli import main  # its own module, so that importers and main share one TapeError

    sys.exit(main())
