"""Recordings become tapes: the same rows as decoded without a log, once, checked, and never over something else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from msgspec import structs
from recorded import MS, Clock, listen, record, rows_of
from rich.console import Console

from benchmarks.recorder import BEGIN_NS, Traffic, header_of
from live.recording.__main__ import main
from live.recording.decode import reader_for
from live.recording.folder import MANIFEST, TAPES, segment_paths
from live.recording.layout import Header, LogError
from live.recording.log import read_log
from live.recording.recorder import Recorder
from live.recording.rotation import Rotation, SessionWriter
from live.recording.seal import seal, tape_path
from live.recording.validate import recorded_paths, tables, validate_recording
from sim.tape import FeeRates, Market, TapeError, read, write
from sim.types import ASK, BID, CLEAR, DELTA, EVENT, GAP, LEVEL
from sim.validate import validate
from sim.wire.listing import Listing

SMALL = Rotation(segment_bytes=3_000, batch_bytes=1_000)
MARKETS = [listing.market.id for listing in header_of(3).markets]


def _tapes(folder):
    return [read(tape_path(folder, market)) for market in MARKETS]


def _files(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_tapes_are_the_rows_that_the_frames_say(tmp_path):
    folder, frames = record(tmp_path, rotation=SMALL)
    assert len(segment_paths(folder)) > 2
    manifest = seal(folder)
    expected = rows_of(frames, ended_ns=frames[-1][0])
    for tape, events, sealed in zip(_tapes(folder), expected, manifest.tapes, strict=True):
        np.testing.assert_array_equal(tape.events, events)
        assert (tape.events["kind"] == CLEAR).sum() == 1
        assert (tape.events["kind"] == DELTA).sum() > 20
        assert tape.events["kind"][-1] == GAP  # the connection ended
        assert not validate(tape).errors
        assert (sealed.digest, sealed.events) == (tape.header.digest, len(events))
        assert [source.name for source in tape.header.sources] == [path.name for path in segment_paths(folder)]
    assert sum(segment.records for segment in manifest.segments) == len(frames) + 2  # connected, disconnected
    assert manifest.counts == {"orderbook_delta": 200, "orderbook_snapshot": 3}


def test_a_tape_that_does_not_read_back_is_not_marked_as_sealed(tmp_path, monkeypatch):
    folder, _ = record(tmp_path)

    def torn(path, tape):
        write(path, tape)
        path.write_bytes(path.read_bytes()[:-10])

    monkeypatch.setattr("live.recording.seal.write", torn)
    with pytest.raises(TapeError, match="torn"):
        seal(folder)
    assert not (folder / MANIFEST).exists()


def test_sealing_again_changes_nothing(tmp_path):
    folder, _ = record(tmp_path)
    manifest = seal(folder)
    before = _files(folder)
    assert seal(folder) == manifest
    assert _files(folder) == before


def test_a_seal_that_was_cut_off_is_finished(tmp_path):
    folder, _ = record(tmp_path)
    manifest = seal(folder)
    before = _files(folder)
    (folder / MANIFEST).unlink()
    tape_path(folder, MARKETS[1]).unlink()
    assert seal(folder) == manifest
    after = _files(folder)
    assert {path: content for path, (_, content) in after.items()} == {
        path: content for path, (_, content) in before.items()
    }
    kept = tape_path(folder, MARKETS[0])
    assert after[kept] == before[kept]  # not written anew


def test_a_tape_of_other_content_is_never_overwritten(tmp_path):
    folder, _ = record(tmp_path)
    other, _ = record(tmp_path, "other", seed=5)
    seal(other)
    target = tape_path(folder, MARKETS[0])
    target.parent.mkdir()
    target.write_bytes(tape_path(other, MARKETS[0]).read_bytes())
    before = target.read_bytes()
    with pytest.raises(TapeError, match="is not what these segments decode to"):
        seal(folder)
    assert target.read_bytes() == before
    assert not (folder / MANIFEST).exists()


def test_what_was_changed_after_the_seal_is_noticed(tmp_path):
    folder, _ = record(tmp_path)
    seal(folder)
    segment = segment_paths(folder)[0]
    whole = segment.read_bytes()
    segment.write_bytes(whole + b"x")
    with pytest.raises(LogError, match="is not what was sealed"):
        seal(folder)
    segment.write_bytes(whole)
    tape_path(folder, MARKETS[2]).unlink()
    with pytest.raises(TapeError, match="no such file"):
        seal(folder, delete_raw=True)
    assert segment.exists()


def test_raw_segments_go_only_if_asked_and_tapes_stay(tmp_path):
    folder, _ = record(tmp_path, rotation=SMALL)
    manifest = seal(folder)
    assert segment_paths(folder)
    assert seal(folder, delete_raw=True) == manifest
    assert not segment_paths(folder)
    assert len(_tapes(folder)) == 3
    assert seal(folder) == manifest  # and what is left still holds


def test_lost_bytes_become_a_gap_and_are_named(tmp_path):
    folder, frames = record(tmp_path, rotation=Rotation(batch_bytes=1_000), ends=False)
    path = segment_paths(folder)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    log = read_log(path)
    left = list(log)
    assert 0 < log.result.damage[0].records < len(frames) + 1 - 100
    manifest = seal(folder)
    assert len(manifest.segments[0].damage) == 1
    for tape in _tapes(folder):
        (gap,) = np.flatnonzero(tape.events["kind"] == GAP)
        assert (tape.events["kind"][gap:] == GAP).all()  # no snapshot came any more: nothing can be told
        assert tape.header.notes[-1].startswith(f"{path.name}: byte ")
        assert not validate(tape).errors
    assert sum(len(tape.events) for tape in _tapes(folder)) < len(left) + 3 * 41
    found = validate_recording(recorded_paths(folder))
    assert found.status == 1
    assert len(found.errors) == 1


def test_a_torn_segment_before_another_is_a_gap_between_them(tmp_path):
    folder, frames = record(tmp_path, ends=False)
    path = segment_paths(folder)[0]
    path.write_bytes(path.read_bytes() + b"torn")
    clock = Clock(BEGIN_NS + 10_000 * MS)
    again = SessionWriter(tmp_path, "s", header_of(3), clock)
    recorder = Recorder(again, reader_for(header_of(3)))
    listen(recorder, Traffic(3, seed=8).snapshots(), clock)
    recorder.close()
    assert [torn.bytes for torn in again.torn] == [4]
    seal(folder)
    for tape in _tapes(folder):
        kinds = tape.events["kind"]
        (gap,) = np.flatnonzero(kinds == GAP)
        assert kinds[gap + 1] == CLEAR
        assert tape.events["local_ns"][gap] == frames[-1][0]  # when the last frame before it came


def test_a_missing_segment_is_reported(tmp_path):
    folder, _ = record(tmp_path, rotation=SMALL)
    segment_paths(folder)[1].unlink()
    found = validate_recording(recorded_paths(folder))
    assert any("segment 2 is missing" in error for error in found.errors)


def test_validation_counts_what_was_not_understood(tmp_path):
    clock = Clock()
    writer = SessionWriter(tmp_path, "s", header_of(3), clock)
    recorder = Recorder(writer, reader_for(header_of(3)))
    bad = [b"{", b'{"type":"orderbook_delta","sid":1,"seq":4}', b'{"type":"of_tomorrow","msg":{}}']
    listen(recorder, [*Traffic(3).snapshots(), *bad], clock)
    recorder.sent(1, b'{"cmd":"subscribe"}', clock.ns)
    recorder.close()
    assert recorder.statistics().failures == 2
    found = validate_recording(recorded_paths(tmp_path / "s"), replay=True)
    assert (found.frames, found.failed, found.parsed_share, found.sent) == (6, 2, 1 - 2 / 6, 1)
    assert found.counts == {"malformed": 2, "orderbook_snapshot": 3, "unknown": 1}
    assert found.errors == ["2 of 6 frames were not understood: malformed 2"]
    console = Console(width=120)
    with console.capture() as shown:
        console.print(tables(found))
    assert "unknown" in shown.get()
    assert sorted(found.tapes) == MARKETS


def test_the_recorder_keeps_the_frame_before_it_reads_it(tmp_path):
    class Broken:
        rules, counts = (), {}

        def take(self, frame, local_ns):
            raise RuntimeError("a reader's fault")

    writer = SessionWriter(tmp_path, "s", header_of(1), Clock())
    recorder = Recorder(writer, Broken())
    with pytest.raises(RuntimeError):
        recorder.received(1, b"frame", 5)
    assert recorder.close() == 1
    assert [item.data for item in read_log(writer.path)] == [b"frame"]


def test_statistics_count_what_was_done(tmp_path):
    clock = Clock(0)
    writer = SessionWriter(tmp_path, "s", header_of(3), clock, Rotation(batch_ms=10))
    recorder = Recorder(writer, reader_for(header_of(3)))
    listen(recorder, Traffic(3).snapshots(), clock)  # at 1, 2 and 3 ms
    recorder.sent(1, b"x", clock.ns)
    done = recorder.statistics()
    assert (done.frames, done.rows, done.durable, done.pending, done.batches) == (3, 3 * 41, 0, 4, 1)
    assert recorder.idle(10 * MS) == 0
    clock.ns = 12 * MS
    assert recorder.idle(11 * MS) == 4
    done = recorder.statistics()
    # The oldest record is of 1 ms, and the batch was durable at 12 ms.
    assert (done.durable, done.pending, done.batches, done.lag_ns, done.worst_lag_ns) == (4, 0, 2, 11 * MS, 11 * MS)
    assert done.file_bytes == writer.path.stat().st_size
    recorder.close()


def test_command_line(tmp_path, capsys):
    folder, frames = record(tmp_path, rotation=SMALL)
    assert main(["validate", str(folder), "--replay"]) == 0
    shown = capsys.readouterr().out
    assert f"{len(frames):,} frames" in shown and "100.0000% understood" in shown and MARKETS[0] in shown
    assert main(["seal", str(folder)]) == 0
    assert "(0 damaged) sealed as 3 tapes" in capsys.readouterr().out
    assert main(["validate", str(segment_paths(folder)[0])]) == 0
    assert len(list((folder / TAPES).iterdir())) == 3
    assert main(["seal", str(folder), "--delete-raw"]) == 0
    assert not segment_paths(folder)
    assert main(["validate", str(folder)]) == 1
    assert main(["seal", str(tmp_path / "none")]) == 1


def test_a_session_without_anything_to_decode_is_refused(tmp_path):
    (tmp_path / "s").mkdir()
    with pytest.raises(LogError, match="no segments"):
        seal(tmp_path / "s")


def test_what_a_killed_seal_left_is_removed(tmp_path):
    folder, _ = record(tmp_path)
    (folder / ".rows.abc").mkdir()
    (folder / ".rows.abc" / "0").write_bytes(b"half a row")
    seal(folder)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "s-000001.zst", "sealed.json", "tapes"]


def test_a_polymarket_session_becomes_a_tape(tmp_path):
    listing = Listing(
        "polymarket", Market("0xab", "Will it?"), ((0, 10_000, 100),), FeeRates("none", "polymarket", 0),
        tokens=("1", "2"),
    )  # fmt: skip
    header = Header("polymarket", (listing,), ("market",), "tests", "set by hand", BEGIN_NS)
    frames = [
        b'{"event_type":"book","asset_id":"1","market":"0xab","timestamp":"1776808414710","hash":"0",'
        b'"bids":[{"price":"0.48","size":"30"}],"asks":[{"price":"0.52","size":"25"}]}',
        b"PONG",
        b'{"event_type":"price_change","market":"0xab","timestamp":"1776808414720","price_changes":[{"asset_id":"1",'
        b'"price":"0.47","size":"3.5","side":"BUY","hash":"0","best_bid":"0.48","best_ask":"0.52"}]}',
        b'{"event_type":"of_tomorrow","market":"0xab"}',
    ]
    clock = Clock()
    recorder = Recorder(SessionWriter(tmp_path, "s", header, clock), reader_for(header))
    listen(recorder, frames, clock)
    recorder.close()
    (sealed,) = seal(tmp_path / "s").tapes
    tape = read(tmp_path / "s" / TAPES / sealed.name)
    levels = tape.events[tape.events["kind"] == LEVEL][["px", "qty", "side"]].tolist()
    assert levels == [(4_800, 30_000_000, BID), (5_200, 25_000_000, ASK), (4_700, 3_500_000, BID)]
    found = validate_recording(recorded_paths(tmp_path / "s"), replay=True)
    assert (found.frames, found.failed, found.tapes["0xab"].errors) == (4, 0, [])
    assert (found.errors, found.status, found.counts["unknown:of_tomorrow"]) == ([], 0, 1)


def test_a_real_capture_goes_through_log_and_seal_unchanged(tmp_path, venue_samples):
    path = venue_samples / "kalshi" / "ws_orderbook_capture_prod_20260807.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    frames = [(line["received_ms"] * MS, json.dumps(line["frame"]).encode()) for line in lines]
    named = {line["frame"].get("msg", {}).get("market_ticker") for line in lines} - {None}
    header = structs.replace(header_of(len(named)), markets=tuple(
        structs.replace(listing, market=Market(name, name))
        for listing, name in zip(header_of(len(named)).markets, sorted(named), strict=True)
    ))  # fmt: skip
    recorder = Recorder(SessionWriter(tmp_path, "s", header, Clock(), SMALL), reader_for(header))
    for local_ns, frame in frames:
        recorder.received(1, frame, local_ns)
    recorder.close()
    direct = reader_for(header)
    rows = [row for local_ns, frame in frames for row in direct.take(frame, local_ns).rows]
    found = validate_recording(recorded_paths(tmp_path / "s"), replay=True)
    assert (found.frames, found.parsed_share, found.errors) == (len(frames), 1.0, [])
    assert found.rows == len(rows) > 200
    seal(tmp_path / "s")
    for index, listing in enumerate(header.markets):
        expected = np.array([row for row in rows if row[6] == index], EVENT)
        expected["market"] = 0
        np.testing.assert_array_equal(read(tape_path(tmp_path / "s", listing.market.id)).events, expected)
