"""Bytes of a raw log, in one place: the fixed header of a batch, its records, the header of a segment.

A batch is a zstd skippable frame with the fixed header, then one ordinary zstd frame with the records, so the file is a
legal ``.zst``. All integers are little-endian; docs/recording.md has the table. The fixed header is the same in
every version; the version byte picks how the zstd frame's content is read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import msgspec
import pyarrow as pa

from sim.wire.listing import Listing

VERSION = 1  # of the content of a batch
SCHEMA_VERSION = 1  # of the JSON header of a segment, and of a session's manifest
# kinds of a record: a frame of the venue, a frame of ours, a word of the recorder's, a decision (live.shadow.records),
# an answer of REST (live.answers)
RECEIVED, SENT, NOTE, DECISION, ANSWERED = 1, 2, 3, 4, 5
KINDS = (RECEIVED, SENT, NOTE, DECISION, ANSWERED)
CONNECTED, DISCONNECTED, LOST = "connected", "disconnected", "gap"  # first word of a NOTE; free text may follow
MAX_CHANNEL = 2**16 - 1

_SKIPPABLE = 0x184D2A5B  # one of zstd's sixteen magic numbers of frames that a decoder passes over
_TAG = b"SBL"
_FIXED = struct.Struct("<II3sBQQIIII")  # all but the header's own checksum
_CHECKSUM = struct.Struct("<I")
FIXED_BYTES = _FIXED.size + _CHECKSUM.size
MARK = struct.pack("<II", _SKIPPABLE, FIXED_BYTES - 8) + _TAG  # how every batch begins
RECORD = struct.Struct("<qHBI")  # local_ns, channel, kind, bytes that follow

_codec = pa.Codec("zstd")


class LogError(ValueError):
    """A log that cannot be written or read: says where, what was expected, what came and what would do."""


class TornTail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a crash left behind whole batches: never acknowledged, still in the file, read by nobody."""

    segment: str  # file name
    bytes: int


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a segment says of itself."""

    venue: Literal["kalshi", "polymarket"]
    markets: tuple[Listing, ...]  # as they were when the recording began
    subscribed: tuple[str, ...]  # channels of the venue
    program: str  # name and version
    time_source: str  # where local_ns comes from
    created_ns: int  # when the segment began, nanoseconds since epoch
    segment: int = 1
    torn: tuple[TornTail, ...] = ()  # what was found torn when the session was taken up again


class Record(NamedTuple):
    """One record of a log."""

    local_ns: int  # when the recorder saw or sent it, nanoseconds since epoch
    channel: int  # number of the connection
    kind: int  # one of KINDS
    data: bytes


class Batch(NamedTuple):
    """The fixed header of a batch."""

    version: int
    sequence: int  # 0 is the segment's JSON header, without records
    first: int  # number of its first record, counted through the session
    records: int
    raw_bytes: int
    compressed_bytes: int
    checksum: int  # CRC32 of the zstd frame


def encode_batch(sequence: int, first: int, count: int, raw: bytes) -> bytes:
    """Bytes of a whole batch."""
    compressed = _codec.compress(raw, asbytes=True)
    fixed = _FIXED.pack(
        _SKIPPABLE, FIXED_BYTES - 8, _TAG, VERSION, sequence, first, count, len(raw), len(compressed),
        zlib.crc32(compressed),
    )  # fmt: skip
    return fixed + _CHECKSUM.pack(zlib.crc32(fixed)) + compressed


def parse_fixed(data: bytes, at: int) -> Batch | None:
    """The fixed header at byte ``at``; None where there is none that its checksum confirms."""
    if not data.startswith(MARK, at) or len(data) < at + FIXED_BYTES:
        return None
    (checksum,) = _CHECKSUM.unpack_from(data, at + _FIXED.size)
    if zlib.crc32(data[at : at + _FIXED.size]) != checksum:
        return None
    return Batch(*_FIXED.unpack_from(data, at)[3:])


def content(batch: Batch, compressed: bytes) -> bytes:
    """What a batch's zstd frame holds. Raises LogError where it is not what the header says."""
    if zlib.crc32(compressed) != batch.checksum:
        raise LogError("CRC32 of the zstd frame is not the header's: bytes were changed after they were written")
    try:
        return _codec.decompress(compressed, batch.raw_bytes, asbytes=True)
    except (pa.ArrowException, OSError) as error:
        raise LogError(f"the zstd frame does not decode to {batch.raw_bytes} bytes ({error})") from error


def encode_header(header: Header) -> bytes:
    """The JSON line of a segment's first batch."""
    return msgspec.json.encode({"schema_version": SCHEMA_VERSION, **msgspec.to_builtins(header)}) + b"\n"


def decode_header(text: bytes) -> Header:
    """The header in ``text``. Raises LogError for another schema version or fields that do not fit."""
    try:
        fields = msgspec.json.decode(text, type=dict)
        version = fields.pop("schema_version", None)
        if version != SCHEMA_VERSION:
            raise LogError(f"header of schema version {version!r}; this program reads version {SCHEMA_VERSION}")
        return msgspec.convert(fields, Header)
    except msgspec.MsgspecError as error:
        raise LogError(f"the header does not read: {error}") from error


def records_of(batch: Batch, raw: bytes) -> list[Record]:
    """Records of a batch, by its version. Raises LogError for an unknown version or records that do not add up."""
    reader = _READERS.get(batch.version)
    if reader is None:
        raise LogError(
            f"batch of format version {batch.version}; this program reads {', '.join(map(str, sorted(_READERS)))}: "
            "use the release that wrote it"
        )
    records = list(reader(raw))
    if len(records) != batch.records:
        raise LogError(f"expected {batch.records} records, found {len(records)}")
    return records


def _records_v1(raw: bytes) -> Iterator[Record]:
    at = 0
    while at < len(raw):
        if at + RECORD.size > len(raw):
            raise LogError(f"record header cut at byte {at} of {len(raw)}")
        local_ns, channel, kind, size = RECORD.unpack_from(raw, at)
        at += RECORD.size
        data = raw[at : at + size]
        if len(data) != size:
            raise LogError(f"record at byte {at} says {size} bytes, {len(data)} are there")
        yield Record(local_ns, channel, kind, data)
        at += size


_READERS: dict[int, Callable[[bytes], Iterator[Record]]] = {1: _records_v1}
