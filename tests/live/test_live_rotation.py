"""Sessions of segments: rotation, the cap, one writer at a time, going on after a crash."""

from __future__ import annotations

import msgspec
import pytest
from recorded import MS, Clock, record

from benchmarks.recorder import header_of
from live.recording.folder import bytes_below, locked, read_manifest, segment_paths
from live.recording.layout import NOTE, RECEIVED, LogError, TornTail
from live.recording.log import read_log
from live.recording.rotation import CapReachedError, Rotation, SessionWriter
from live.recording.seal import seal

HEADER = header_of(2)
SMALL = Rotation(segment_bytes=2_000, batch_bytes=100, cap_bytes=10**9)


def _data(number):
    return f"frame {number} ".encode() * 9


def _append(writer, numbers, ns=0):
    for number in numbers:
        writer.append(ns + number, 1, RECEIVED, _data(number))


def _records(folder):
    return [item for path in segment_paths(folder) for item in read_log(path)]


def test_segments_end_by_size_and_hold_every_record_in_order(tmp_path):
    writer = SessionWriter(tmp_path, "s", HEADER, Clock(0), SMALL)
    _append(writer, range(200))
    assert writer.close() == 200
    paths = segment_paths(writer.folder)
    assert [path.name for path in paths[:2]] == ["s-000001.zst", "s-000002.zst"]
    assert len(paths) > 5
    assert all(2_000 <= path.stat().st_size < 2_400 for path in paths[:-1])
    assert [record.data for record in _records(writer.folder)] == [_data(number) for number in range(200)]
    assert [read_log(path).header.segment for path in paths] == list(range(1, len(paths) + 1))
    assert writer.file_bytes == sum(path.stat().st_size for path in paths)


def test_segments_end_by_age(tmp_path):
    clock = Clock(0)
    writer = SessionWriter(tmp_path, "s", HEADER, clock, Rotation(segment_s=1))
    for number in range(0, 2_500, 500):  # milliseconds: a segment for 0 and 500, one for 1000 and 1500, one for 2000
        clock.ns = number * MS
        writer.append(clock.ns, 1, RECEIVED, b"x")
    writer.close()
    assert [read_log(path).header.created_ns // MS for path in segment_paths(writer.folder)] == [0, 1_000, 2_000]
    assert [len(list(read_log(path))) for path in segment_paths(writer.folder)] == [2, 2, 1]


def test_a_torn_session_is_taken_up_in_a_new_segment_and_the_torn_bytes_stay(tmp_path):
    writer = SessionWriter(tmp_path, "s", HEADER, Clock(0), Rotation(batch_bytes=100))
    _append(writer, range(10))
    writer.close()
    first = writer.path
    cut = first.read_bytes()[:-5]
    first.write_bytes(cut)
    kept = list(read_log(first))
    torn = read_log(first)
    list(torn)
    assert 0 < torn.result.torn_bytes < 200
    again = SessionWriter(tmp_path, "s", HEADER, Clock(5), Rotation(batch_bytes=100))
    assert again.durable == len(kept) < 10
    assert again.torn == (TornTail("s-000001.zst", torn.result.torn_bytes),)
    _append(again, range(20, 23))
    again.rotate()
    again.close()
    assert first.read_bytes() == cut
    headers = [read_log(path).header for path in segment_paths(again.folder)]
    assert [header.torn for header in headers] == [(), again.torn, ()]
    assert _records(again.folder)[: len(kept)] == kept
    assert [item.data for item in _records(again.folder)[len(kept) :]] == [_data(number) for number in range(20, 23)]


def test_a_segment_torn_in_its_header_is_passed_over(tmp_path):
    writer = SessionWriter(tmp_path, "s", HEADER, Clock(0))
    _append(writer, range(3))
    writer.rotate()
    _append(writer, range(3, 5))
    writer.rotate()
    writer.close()
    paths = segment_paths(writer.folder)
    paths[2].write_bytes(b"")
    again = SessionWriter(tmp_path, "s", HEADER, Clock(0))
    assert (again.durable, again.path.name) == (5, "s-000004.zst")
    again.close()


def test_one_writer_at_a_time(tmp_path):
    writer = SessionWriter(tmp_path, "s", HEADER, Clock(0))
    for intrude in (lambda: SessionWriter(tmp_path, "s", HEADER, Clock(0)), lambda: seal(writer.folder)):
        with pytest.raises(LogError, match="is at work here"):
            intrude()
    writer.close()
    with locked(writer.folder):
        pass


def test_a_sealed_session_and_one_of_other_markets_are_not_gone_on_with(tmp_path):
    folder, _ = record(tmp_path)
    with pytest.raises(LogError, match="other markets, or their terms have changed"):
        SessionWriter(tmp_path, "s", HEADER, Clock(0))
    seal(folder)
    with pytest.raises(LogError, match="is sealed; record under another name"):
        SessionWriter(tmp_path, "s", header_of(3), Clock(0))


@pytest.mark.parametrize("session", ["", ".s", "a/b", "..", "a b"])
def test_names_that_are_no_file_names_are_refused(tmp_path, session):
    with pytest.raises(LogError, match="it names a file"):
        SessionWriter(tmp_path, session, HEADER, Clock(0))


def test_at_the_cap_recording_stops_with_everything_before_it_on_disk(tmp_path):
    (tmp_path / "other").write_bytes(bytes(3_000))
    cap = Rotation(segment_bytes=2_000, batch_bytes=100, cap_bytes=10_000)
    writer = SessionWriter(tmp_path, "s", HEADER, Clock(0), cap)
    numbers = iter(range(1_000))
    with pytest.raises(CapReachedError, match="raise the cap"):
        _append(writer, numbers)
    taken = next(numbers) - 1  # the one before this was refused
    for _ in range(2):  # and it stays so
        with pytest.raises(CapReachedError):
            _append(writer, [taken])
    assert bytes_below(tmp_path) < 10_000 + 3 * 400  # each segment is longer than it should be by less than a batch
    (tmp_path / "other").unlink()
    _append(writer, [taken])  # there is room again
    assert writer.close() == taken + 1
    assert [item.data for item in _records(writer.folder)] == [_data(number) for number in range(taken + 1)]
    assert [int(path.stem[-6:]) for path in segment_paths(writer.folder)] == [1, 2, 3, 4]


def test_at_the_cap_the_oldest_sealed_segments_go_and_unsealed_ones_never(tmp_path):
    small = Rotation(segment_bytes=4_000, batch_bytes=2_000)
    old, _ = record(tmp_path, "z_old", rotation=small)
    new, _ = record(tmp_path, "a_new", rotation=small)
    unsealed, _ = record(tmp_path, "unsealed", rotation=small)
    kept = segment_paths(unsealed)
    _date(old, 1, tmp_path)
    _date(new, 2, tmp_path)
    sealed = segment_paths(old) + segment_paths(new)
    changed = segment_paths(old)[0]
    changed.write_bytes(changed.read_bytes() + b"more")  # is not what was sealed
    cap = Rotation(
        segment_bytes=2_000, batch_bytes=100, cap_bytes=bytes_below(tmp_path) + 2_000, at_cap="delete_sealed"
    )
    writer = SessionWriter(tmp_path, "s", HEADER, Clock(0), cap)
    assert writer.deleted == []
    with pytest.raises(CapReachedError):
        _append(writer, range(10_000))
    assert writer.deleted == [path for path in sealed if path != changed]
    assert not any(path.exists() for path in writer.deleted)
    assert changed.exists()
    assert all(path.exists() for path in kept)
    writer.close()
    notes = [item.data.decode() for item in _records(writer.folder) if item.kind == NOTE]
    assert notes == [f"deleted {path.name}, which is sealed" for path in writer.deleted]


def _date(folder, created_ns, root):
    """Seal the session; its manifest says that it began at ``created_ns``."""
    manifest = msgspec.structs.replace(seal(folder), created_ns=created_ns)
    (folder / "sealed.json").write_bytes(msgspec.json.encode(manifest))
    assert read_manifest(folder) == manifest


def test_a_cap_below_a_segment_is_refused():
    with pytest.raises(LogError, match="a cap that a segment fits under"):
        Rotation(segment_bytes=100, cap_bytes=99)
