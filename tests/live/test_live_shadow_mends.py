"""What a replay says of a session that is not all there."""

import msgspec
import pytest

import shadow as entry
from live.recording.folder import segment_paths
from live.recording.rotation import Rotation
from live.recording.seal import seal
from live.shadow.replay import replay
from tests.live.beside import Beside
from tests.live.parity import tell
from tests.live.shadowed import Drawn, Shadowed, make_env


@pytest.fixture
def ended(tmp_path):
    """A session in segments that came to its end, and says so."""
    rotation = Rotation(segment_bytes=4_000, batch_bytes=2_000)
    shadowed = Shadowed(tmp_path, tell("kalshi", 1, 20.0), [Drawn(1)], rotation=rotation)
    shadowed.play()
    summary = shadowed.folder / "summary.json"
    summary.write_bytes(msgspec.json.encode({"session": "s", "decisions": len(shadowed.kept)}))
    assert len(segment_paths(shadowed.folder)) >= 3
    return shadowed


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def test_a_session_that_is_all_there_is_the_same(ended):
    seal(ended.folder)
    found = replay(ended.folder, make_env)
    assert found.decisions == len(ended.kept) and found.differ == found.notes == []


def test_segments_that_are_missing_at_the_end_are_fewer_decisions(ended):
    for path in segment_paths(ended.folder)[1:]:
        path.unlink()
    found = replay(ended.folder, make_env)
    assert found.differ[-1] == f"{found.decisions} decisions in the log; summary.json says {len(ended.kept)}"
    assert found.decisions < len(ended.kept)


def test_segments_that_were_sealed_and_are_missing_or_shorter_are_found(ended):
    (ended.folder / "summary.json").unlink()
    manifest = seal(ended.folder)
    first, second, *others = segment_paths(ended.folder)
    for path in others:
        path.unlink()
    sizes = second.stat().st_size, second.stat().st_size // 2
    cut(second, 0.5)
    found = replay(ended.folder, make_env)
    assert found.differ == [
        f"{second.resolve()}: {sizes[1]:,} bytes; it was sealed with {sizes[0]:,}",
        *[f"{path.resolve()}: is missing; it was sealed with {segment.records:,} records"
          for path, segment in zip(others, manifest.segments[2:], strict=True)],
    ]  # fmt: skip
    assert first.is_file()


def test_a_torn_end_is_a_difference_of_a_session_that_ended_and_a_note_of_one_that_was_killed(ended):
    last = segment_paths(ended.folder)[-1]
    cut(last, 0.999)
    torn = f"{last.resolve()}: its end is torn: "
    found = replay(ended.folder, make_env)
    assert found.differ[0].startswith(torn) and found.notes == []
    (ended.folder / "summary.json").unlink()
    found = replay(ended.folder, make_env)
    assert found.differ == [] and found.decisions and [line.startswith(torn) for line in found.notes] == [True]


def test_a_log_without_a_decision_proves_nothing(ended):
    (ended.folder / "summary.json").unlink()
    first, *others = segment_paths(ended.folder)
    for path in others:
        path.unlink()
    cut(first, 0.1)
    found = replay(ended.folder, make_env)
    assert found.decisions == 0 and found.differ == [f"{ended.folder}: no decision in its log"]


def test_the_entry_point_fails_for_a_session_that_was_cut_off(monkeypatch, tmp_path, capsys):
    beside = Beside(monkeypatch, tmp_path, "checkpoint=baseline:imbalance", "minutes=0.1")
    beside.run()
    assert entry._replay(str(beside.folder)) == 0
    cut(segment_paths(beside.folder)[-1], 0.7)
    assert entry._replay(str(beside.folder)) == 1
    assert "summary.json says" in capsys.readouterr().out
