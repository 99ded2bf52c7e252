"""The raw log against cuts, flipped bits, lost batches, other versions and a disk that fails."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import struct
import subprocess
import zlib
from functools import cache

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import MS, Clock

from benchmarks.recorder import BEGIN_NS, header_of
from live.recording import layout
from live.recording.layout import FIXED_BYTES, NOTE, RECEIVED, SENT, LogError, Record
from live.recording.log import Log, LogWriter, read_log

HEADER = header_of(2)
RECORDS = [
    Record(BEGIN_NS + 7 * n, n % 3, (RECEIVED, SENT, NOTE)[n % 3], bytes([n]) * (n * 11 % 40)) for n in range(60)
]


def _write(path, records=RECORDS, size=7, **options):
    """A log with a batch after every ``size`` records. Returns the file's length and its records after each batch."""
    writer = LogWriter(path, HEADER, Clock(), batch_ms=10**9, **options)
    ends = [(path.stat().st_size, 0)]
    for start in range(0, len(records), size):
        for record in records[start : start + size]:
            writer.append(*record)
        durable = writer.flush() - options.get("first", 0)
        ends.append((path.stat().st_size, durable))
    writer.close()
    return ends


@cache
def _sample():
    """Bytes of a log of nine batches, and where its batches end."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zst"
        ends = _write(path)
        return path.read_bytes(), ends


def _read(data):
    log = Log("a.zst", data)
    return list(log), log.result, log


def test_what_was_written_is_read(tmp_path):
    _write(tmp_path / "a.zst")
    log = read_log(tmp_path / "a.zst")
    assert log.header == HEADER
    assert list(log) == RECORDS
    assert log.result.whole
    assert (log.result.records, log.result.next_record, log.result.batches) == (60, 60, 10)  # 9 of records, 1 header


@given(st.data())
def test_a_cut_anywhere_leaves_exactly_the_whole_batches_before_it(data):
    whole, ends = _sample()
    cut = data.draw(st.integers(0, len(whole)))
    records, result, log = _read(whole[:cut])
    kept, durable = max(((end, count) for end, count in ends if end <= cut), default=(0, 0))
    assert records == RECORDS[:durable]
    assert result.torn_bytes == cut - kept
    assert result.damage == []
    assert (log.header == HEADER) == (cut >= ends[0][0])


@given(st.data())
def test_a_flipped_bit_costs_its_own_batch_at_most_and_is_reported(data):
    whole, ends = _sample()
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    records, result, log = _read(bytes(changed))
    hit = next(index for index, (end, _) in enumerate(ends) if bit // 8 < end)
    first, last = (ends[hit - 1][1], ends[hit][1]) if hit else (0, 0)
    assert records == RECORDS[:first] + RECORDS[last:]
    assert not result.whole
    if hit == len(ends) - 1 and not result.damage:  # the last header: nothing behind it says that a batch was there
        assert result.torn_bytes == ends[hit][0] - ends[hit - 1][0]
    else:
        (damage,) = result.damage
        assert (damage.offset, damage.records) == (ends[hit - 1][0] if hit else 0, last - first)
        assert result.next_record == len(RECORDS)
    assert (log.header is None) == (hit == 0)


@given(st.data())
def test_bytes_in_place_of_others_never_raise_and_never_invent_records(data):
    whole, _ = _sample()
    at = data.draw(st.integers(0, len(whole)))
    until = data.draw(st.integers(at, min(len(whole), at + 200)))
    junk = data.draw(st.binary(max_size=80))
    records, result, _ = _read(whole[:at] + junk + whole[until:])
    assert [record for record in RECORDS if record in records] == records
    assert len(records) == len(RECORDS) or not result.whole


def test_a_missing_batch_is_reported_with_its_records():
    whole, ends = _sample()
    records, result, _ = _read(whole[: ends[2][0]] + whole[ends[4][0] :])
    assert records == RECORDS[:14] + RECORDS[28:]
    (damage,) = result.damage
    assert (damage.offset, damage.bytes, damage.records) == (ends[2][0], 0, 14)
    assert damage.what == "batch 5 from record 28, expected 3 from 14"


def test_a_batch_that_comes_twice_is_read_once():
    whole, ends = _sample()
    records, result, _ = _read(whole[: ends[3][0]] + whole[ends[1][0] :])
    assert records == RECORDS
    assert [damage.what for damage in result.damage] == [
        "batch 2 again, or out of order",
        "batch 3 again, or out of order",
    ]


def test_after_damage_reading_goes_on_with_a_batch_that_was_not_read():
    whole, ends = _sample()
    records, result, _ = _read(whole[: ends[3][0]] + b"damage" + whole[ends[1][0] :])
    assert records == RECORDS
    (damage,) = result.damage
    assert (damage.bytes, damage.records) == (6 + ends[3][0] - ends[1][0], 0)


def test_records_that_are_missing_between_numbered_batches_are_reported():
    record = struct.pack("<qHBI", 1, 1, 1, 0)
    header = _batch(1, 0, 4, 0, layout.encode_header(HEADER))
    _, result, _ = _read(header + _batch(1, 1, 4, 1, record) + _batch(1, 2, 9, 1, record))
    assert [damage.records for damage in result.damage] == [4]  # numbers 5 to 8
    assert result.next_record == 10


def test_runs_say_where_records_are_missing():
    whole, ends = _sample()
    changed = bytearray(whole)
    changed[ends[2][0] - 1] ^= 1  # in the zstd frame of batch 2
    runs = list(Log("a.zst", bytes(changed)).runs())
    assert [run is None for run in runs] == [index == 2 for index in range(10)]
    runs = list(Log("a.zst", whole[: ends[2][0]] + whole[ends[3][0] :]).runs())
    assert [run is None for run in runs] == [index == 3 for index in range(10)]


def test_the_file_is_a_legal_zst(tmp_path):
    path = tmp_path / "a.zst"
    _write(path)
    line = json.loads(layout.encode_header(HEADER))
    expected = b"".join(struct.pack("<qHBI", *record[:3], len(record.data)) + record.data for record in RECORDS)
    with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as stream:
        text, rest = stream.read().split(b"\n", 1)
    assert (json.loads(text), rest) == (line, expected)
    if shutil.which("zstd"):
        shown = subprocess.run(["zstd", "-dc", str(path)], capture_output=True, check=True).stdout
        assert shown == text + b"\n" + expected


def test_batches_are_written_by_size_and_by_age(tmp_path):
    clock = Clock()
    # A record takes 15 bytes and its data: the second of 10 makes 50, which is the size of a batch.
    writer = LogWriter(tmp_path / "a.zst", HEADER, clock, batch_bytes=50, batch_ms=100)
    now = clock.ns
    writer.append(now, 1, RECEIVED, b"0123456789")
    assert (writer.durable, writer.pending) == (0, 1)
    clock.ns += 3 * MS
    writer.append(now + 3 * MS, 1, RECEIVED, b"0123456789")
    assert (writer.durable, writer.pending, writer.lag_ns) == (2, 0, 3 * MS)
    writer.append(now + 5 * MS, 1, RECEIVED, b"")
    assert writer.flush_due(now + 105 * MS - 1) == 2
    assert writer.flush_due(now + 105 * MS) == 3
    writer.append(now + 200 * MS, 1, RECEIVED, b"")
    assert writer.flush_due(now) == 4  # the clock was set back
    assert writer.flush_due(now + 10**12) == 4  # nothing is pending: no empty batch
    assert writer.batches == 4  # with the header's
    writer.close()


def test_nothing_is_acknowledged_before_it_was_synced(tmp_path, monkeypatch):
    synced, sync = [], os.fsync

    def watch(handle):
        info = os.fstat(handle)
        synced.append(info.st_size if stat.S_ISREG(info.st_mode) else "folder")
        sync(handle)

    monkeypatch.setattr("os.fsync", watch)
    ends = _write(tmp_path / "a.zst")
    sizes = [end for end, _ in ends]
    assert synced == [sizes[0], "folder", *sizes[1:]]


def test_a_log_is_never_overwritten(tmp_path):
    (tmp_path / "a.zst").write_bytes(b"something")
    with pytest.raises(LogError, match="never overwritten"):
        LogWriter(tmp_path / "a.zst", HEADER, Clock())
    assert (tmp_path / "a.zst").read_bytes() == b"something"


@pytest.mark.parametrize(
    "record", [(0, -1, RECEIVED, b""), (0, 65_536, RECEIVED, b""), (2**63, 0, RECEIVED, b""), (0, 0, 6, b"")]
)
def test_records_that_do_not_fit_are_refused(tmp_path, record):
    writer = LogWriter(tmp_path / "a.zst", HEADER, Clock())
    with pytest.raises(LogError, match="expected"):
        writer.append(*record)
    writer.append(1, 2, RECEIVED, b"fine")
    assert writer.close() == 1
    assert list(read_log(tmp_path / "a.zst")) == [Record(1, 2, RECEIVED, b"fine")]


def test_after_a_failed_write_nothing_more_is_taken(tmp_path, monkeypatch):
    writer = LogWriter(tmp_path / "a.zst", HEADER, Clock(), batch_ms=10**9)
    writer.append(1, 1, RECEIVED, b"kept")
    assert writer.flush() == 1
    writer.append(2, 1, RECEIVED, b"lost")

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(LogError, match="begin a new segment"):
            writer.flush()
    for again in (writer.flush, lambda: writer.append(3, 1, RECEIVED, b"")):
        with pytest.raises(LogError, match="No space left"):
            again()
    assert writer.close() == 1


# Made once by version 1 (one record b"hello" at 5 ns on channel 2, after its header): must be read for ever.
GOLDEN_V1 = """
WypNGCgAAABTQkwBAAAAAAAAAAAAAAAAAAAAAAAAAAC1AQAAMQEAAMOBgLh5d8k3KLUv/WC1AD0JAIYWQiMwa6wDQKB+qvVk7fHRhdQfD3flrw
yPoAAqHZWZw9KCAiYLDDoANgA1AC0tvmdoPvN6pQ4QCkXAGEgEIBIMGAuEgu/b82k/Kfue7OR61z9OQ8t9zxJkxxXZw/i0ZAezHjusPwXrXbF/
UcTwXLLBx13PnrlkW9LC9/wW/LRvZoXrsiilEFWKsm/Hnnl9cEeIXdW+IQM5iterQ0P7t2Qjyui6fE2IG+NibCQ3Ga/sGzePZN1IfV0ey6+/sm
/ILs4rBEmQ4V7N9d9PyA6+PpRkFwCPRdlDGecV2U/Ir8F9VUmCCCQqkSiQfUOm8Vws2fWRdOC23vfMpBSb4efkeg6D3BxcjA1DbMvpBwkAxalg
AnsjLwxWM6XAy0/2+ElpAYCJxQCgggJbKk0YKAAAAFNCTAEBAAAAAAAAAAAAAAAAAAAAAQAAABQAAAAdAAAAEDwFohhW+QAotS/9IBShAAAFAA
AAAAAAAAIAAQUAAABoZWxsbw==
"""


def test_a_file_of_version_1_is_read_for_ever():
    log = Log("golden.zst", base64.b64decode(GOLDEN_V1))
    assert list(log) == [Record(5, 2, RECEIVED, b"hello")]
    assert log.result.whole
    assert (log.header.venue, log.header.markets[0].market.id) == ("kalshi", "KXBUSY-26AUG07-T00")


def _batch(version, sequence, first, records, raw):
    """A batch by the table of docs/recording.md, without the code that writes them."""
    frame = pa.Codec("zstd").compress(raw, asbytes=True)
    fixed = struct.pack(
        "<II3sBQQIIII", 0x184D2A5B, 40, b"SBL", version, sequence, first, records, len(raw), len(frame),
        zlib.crc32(frame),
    )  # fmt: skip
    return fixed + struct.pack("<I", zlib.crc32(fixed)) + frame


def test_the_bytes_are_those_of_the_table():
    raw = struct.pack("<qHBI", 5, 2, 1, 5) + b"hello"
    assert layout.encode_batch(3, 17, 1, raw) == _batch(1, 3, 17, 1, raw)
    assert FIXED_BYTES == 48


def test_another_version_is_refused_by_name_and_read_once_it_has_a_reader(monkeypatch):
    first = _batch(1, 0, 0, 0, layout.encode_header(HEADER)) + _batch(1, 1, 0, 1, struct.pack("<qHBI", 1, 1, 1, 0))
    data = first + _batch(2, 2, 1, 1, b"2,3,new")
    with pytest.raises(LogError, match=r"format version 2; this program reads 1: use the release"):
        _read(data)

    def second(raw):
        local_ns, channel, text = raw.split(b",")
        yield Record(int(local_ns), int(channel), RECEIVED, text)

    monkeypatch.setitem(layout._READERS, 2, second)
    records, result, _ = _read(data)
    assert records == [Record(1, 1, RECEIVED, b""), Record(2, 3, RECEIVED, b"new")]
    assert result.whole


def test_a_header_of_another_schema_is_refused():
    text = layout.encode_header(HEADER).replace(b'"schema_version":1', b'"schema_version":9')
    with pytest.raises(LogError, match="schema version 9; this program reads version 1"):
        Log("a.zst", _batch(1, 0, 0, 0, text))


def test_a_missing_file_says_what_was_expected(tmp_path):
    with pytest.raises(LogError, match="no such file; expected a segment"):
        read_log(tmp_path / "none.zst")
