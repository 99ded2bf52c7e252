"""A session is its log: it plays again to the byte, and what was changed in the log is found."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shadow as entry
from live.recording.folder import segment_paths
from live.recording.layout import DECISION, NOTE, RECEIVED, LogError
from live.recording.log import LogWriter, read_log
from live.recording.rotation import Rotation
from live.shadow.records import (
    Account,
    Decision,
    arrays_of,
    decode,
    encode,
    read_session,
    write_session,
)
from live.shadow.replay import decisions_of, replay, shapes_of
from tests.live.beside import Beside
from tests.live.parity import tell
from tests.live.shadowed import Drawn, Shadowed, Steady, make_env

SECONDS = 20.0


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A session of two accounts in two markets, with orders."""
    told = tell("kalshi", 2, SECONDS)
    shadowed = Shadowed(tmp_path_factory.mktemp("shadow"), told, [Drawn(1, 2), Drawn(2, 2)])
    shadowed.play()
    return shadowed


def rewritten(honest, root, change):
    """A copy of the session whose records went through ``change(list)``; the log itself is whole."""
    folder = root / "s"
    folder.mkdir()
    (path,) = segment_paths(honest.folder)
    log = read_log(path)
    writer = LogWriter(folder / path.name, log.header, lambda: 0)
    for record in change(list(log)):
        writer.append(*record)
    writer.close()
    write_session(folder, read_session(honest.folder))
    return folder


def decided(records, number):
    """Place of decision ``number`` among the records, and what it says."""
    place = [index for index, record in enumerate(records) if record.kind == DECISION][number]
    return place, decode(records[place].data)


def changing(number, account=None, **changes):
    """Change fields of a decision, or of one of its accounts."""

    def change(records):
        place, decision = decided(records, number)
        if account is None:
            decision = msgspec.structs.replace(decision, **changes)
        else:
            accounts = list(decision.accounts)
            accounts[account] = msgspec.structs.replace(accounts[account], **changes)
            decision = msgspec.structs.replace(decision, accounts=tuple(accounts))
        records[place] = records[place]._replace(data=encode(decision))
        return records

    return change


def flipped(data, at=0):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_an_honest_session_is_the_same_again(honest):
    found = replay(honest.folder, make_env)
    assert found.differ == [] and found.decisions == len(honest.kept) > 15 and found.orders > 20


def test_what_is_read_back_is_what_was_decided(honest):
    assert [encode(one) for one in decisions_of(honest.folder)] == honest.kept
    said = read_session(honest.folder)
    arrays = arrays_of(decode(honest.kept[5]).accounts[1], shapes_of(said))
    policy = honest.seats[1].policy
    assert (
        arrays["obs"].tobytes() == policy.seen[5].tobytes() and arrays["action"].tolist() == policy.done[5][0].tolist()
    )
    assert arrays["orders"].shape == (2, 2) and len(arrays["costs"]) == len(said.costs)
    assert len(arrays["obs"]) == len(said.features)


def test_a_copy_that_was_rewritten_is_still_the_same(honest, tmp_path):
    assert replay(rewritten(honest, tmp_path, list), make_env).differ == []


FIELDS = ("obs", "reward_terms", "costs", "orders", "reject", "reason", "cut", "held")


@pytest.mark.parametrize("field", FIELDS)
def test_an_array_that_was_changed_is_found(honest, tmp_path, field):
    told = getattr(decode(honest.kept[7]).accounts[1], field)
    found = replay(rewritten(honest, tmp_path, changing(7, 1, **{field: flipped(told)})), make_env)
    assert found.differ == [f"decision 7, seat-1: {field}"]


@pytest.mark.parametrize("field", ["reward_uusd", "equity_uusd", "regime", "regime_reason", "ended"])
def test_a_number_that_was_changed_is_found(honest, tmp_path, field):
    told = getattr(decode(honest.kept[7]).accounts[0], field)
    found = replay(rewritten(honest, tmp_path, changing(7, 0, **{field: type(told)(1 - told)})), make_env)
    assert found.differ == [f"decision 7, seat-0: {field}"]


def test_an_action_that_was_changed_shows_in_its_orders_and_what_follows(honest, tmp_path):
    action = np.frombuffer(decode(honest.kept[7]).accounts[1].action, np.int64).copy()
    others = [row for row in range(21) if row != action[0]]
    seen = 0
    for number, row in enumerate(others[:6]):
        action[0] = row
        root = tmp_path / str(number)
        root.mkdir()
        found = replay(rewritten(honest, root, changing(7, 1, action=action.tobytes())), make_env)
        seen += bool(found.differ)
        assert all("seat-1" in line for line in found.differ)
    assert seen >= 4  # some rows come to the same, since they cannot be done


def test_an_action_that_is_none_ends_it(honest, tmp_path):
    action = np.array([99, 0], np.int64).tobytes()
    with pytest.raises(ValueError, match="chose 99; the table has rows 0 to 20"):
        replay(rewritten(honest, tmp_path, changing(7, 1, action=action)), make_env)


def test_staleness_that_was_changed_shows_where_orders_were_held(honest, tmp_path):
    number = next(
        number
        for number, data in enumerate(honest.kept)
        if number and arrays_of(decode(data).accounts[0], shapes_of(read_session(honest.folder)))["orders"]["do"].any()
    )
    found = replay(rewritten(honest, tmp_path, changing(number, stale=b"\x01\x01")), make_env)
    assert found.differ and "held" in found.differ[0]


def frames_of(records):
    return [index for index, record in enumerate(records) if record.kind == RECEIVED]


def test_a_frame_that_was_dropped_is_found(honest, tmp_path):
    def drop(records):
        del records[frames_of(records)[40]]
        return records

    found = replay(rewritten(honest, tmp_path, drop), make_env)
    assert found.differ and "events: here number" in found.differ[0]


def test_any_frame_that_is_dropped_is_found_even_where_nobody_sees_it(tmp_path):
    """Polymarket's messages have no numbers; those that reach a book are counted."""
    told = tell("polymarket", 1, 10.0)
    shadowed = Shadowed(tmp_path, told, [Steady(0)])
    shadowed.play()
    (path,) = segment_paths(shadowed.folder)
    places = frames_of(list(read_log(path)))
    last = decided(list(read_log(path)), -1)[0]
    for number, place in enumerate([one for one in places if one < last][1::11]):
        root = tmp_path / str(number)
        root.mkdir()

        def drop(records, place=place):
            del records[place]
            return records

        assert replay(rewritten(shadowed, root, drop), make_env).differ


def test_frames_that_changed_places_are_found(honest, tmp_path):
    def swap(records):
        one, other = frames_of(records)[40:42]
        first, second = records[one], records[other]
        records[one], records[other] = first._replace(data=second.data), second._replace(data=first.data)
        return records

    assert replay(rewritten(honest, tmp_path, swap), make_env).differ


def test_a_decision_that_was_taken_out_is_found(honest, tmp_path):
    def drop(records):
        del records[decided(records, 7)[0]]
        return records

    found = replay(rewritten(honest, tmp_path, drop), make_env)
    assert found.differ[0].startswith("decision 8 after ") and "here number 7" in found.differ[0]


def test_a_beginning_that_was_taken_out_is_found(honest, tmp_path):
    def drop(records):
        del records[frames_of(records)[0]]
        return records

    with pytest.raises(ValueError, match="before every market has told its book"):
        replay(rewritten(honest, tmp_path, drop), make_env)


def test_a_decision_at_another_moment_is_none_of_this_log(honest, tmp_path):
    with pytest.raises(LogError, match="this log begins at"):
        replay(rewritten(honest, tmp_path, changing(0, ns=decode(honest.kept[0]).ns - 1)), make_env)


def test_what_sees_otherwise_does_not_play_it(honest):
    with pytest.raises(LogError, match=r"observation_digest .*: play it with the version that made it"):
        replay(honest.folder, lambda *words: make_env(*words, features=["book"]))
    with pytest.raises(LogError, match=r"action_digest .*: play it with the version that made it"):
        replay(honest.folder, lambda *words: make_env(*words, actions="maker21"))


# Cut off, damaged


def copied(honest, root, cut=None):
    folder = root / "s"
    folder.mkdir()
    (path,) = segment_paths(honest.folder)
    data = path.read_bytes()
    (folder / path.name).write_bytes(data if cut is None else data[:cut])
    write_session(folder, read_session(honest.folder))
    return folder


@pytest.fixture(scope="module")
def batched(tmp_path_factory):
    """The same session in many small batches, as a slow one has them."""
    told = tell("kalshi", 1, SECONDS)
    shadowed = Shadowed(tmp_path_factory.mktemp("batched"), told, [Drawn(1), Drawn(2)])
    shadowed.begin()
    while not shadowed.over:
        shadowed.second()
        shadowed.writer.flush_due(10**19)
    shadowed.recorder.close()
    return shadowed


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.999])
def test_a_log_that_was_cut_off_plays_up_to_its_last_whole_batch(batched, tmp_path, share):
    (path,) = segment_paths(batched.folder)
    found = replay(copied(batched, tmp_path, int(path.stat().st_size * share)), make_env)
    assert found.differ == [] and 0 < found.decisions < len(batched.kept)
    assert found.decisions == pytest.approx(share * len(batched.kept), rel=0.6)


def test_a_log_that_is_damaged_inside_plays_up_to_there_and_says_so(batched, tmp_path):
    folder = copied(batched, tmp_path)
    (path,) = segment_paths(folder)
    data = path.read_bytes()
    path.write_bytes(flipped(data, len(data) // 2))
    found = replay(folder, make_env)
    assert found.differ == [f"{path.resolve()}: records are missing; what is behind them was not played"]
    assert 0 < found.decisions < len(batched.kept)


def test_a_segment_that_is_missing_or_torn_is_said(tmp_path):
    rotation = Rotation(segment_bytes=4_000, batch_bytes=2_000)
    shadowed = Shadowed(tmp_path, tell("kalshi", 1, SECONDS), [Drawn(1)], rotation=rotation)
    shadowed.play()
    paths = segment_paths(shadowed.folder)
    assert len(paths) >= 3 and replay(shadowed.folder, make_env).differ == []
    data = paths[1].read_bytes()
    paths[1].write_bytes(data[:-1])
    found = replay(shadowed.folder, make_env)
    assert found.differ == [f"{paths[1].resolve()}: its end is torn; the segments behind it were not played"]
    paths[1].unlink()
    found = replay(shadowed.folder, make_env)
    assert found.differ == [f"{paths[2].resolve()}: records are missing; what is behind them was not played"]


def test_a_session_that_is_killed_is_played_again_up_to_its_last_durable_decision(tmp_path):
    code = """
import sys, time
from tests.live.parity import tell
from tests.live.shadowed import Drawn, Shadowed
shadowed = Shadowed(sys.argv[1], tell("kalshi", 1, 20.0), [Drawn(1), Drawn(2)])
shadowed.begin()
while not shadowed.over:
    shadowed.second()
    if shadowed.runner.number in (5, 10):
        shadowed.writer.flush_due(10**19)
    if shadowed.runner.number == 14:
        print(shadowed.runner.number, flush=True)
        time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout.readline() == "14\n"
        os.kill(process.pid, signal.SIGKILL)
    found = replay(tmp_path / "s", make_env)
    assert found.differ == [] and 10 <= found.decisions <= 14


# What is kept


def test_a_folder_that_is_no_session_says_so(tmp_path, honest):
    with pytest.raises(LogError, match=r"session.json: no such file; expected the folder of a shadow session"):
        replay(tmp_path, make_env)
    (tmp_path / "session.json").write_text("{")
    with pytest.raises(LogError, match="does not read"):
        read_session(tmp_path)
    (tmp_path / "session.json").write_bytes(
        (honest.folder / "session.json").read_bytes().replace(b'"schema_version": 1', b'"schema_version": 99')
    )
    with pytest.raises(LogError, match="schema version 99; this program reads 1"):
        read_session(tmp_path)


def test_a_record_that_is_no_decision_says_so(honest):
    with pytest.raises(LogError, match="a decision of 3 bytes does not read"):
        decode(b"abc")
    with pytest.raises(LogError, match="does not read"):
        decode(honest.kept[0][:-1])


octets = st.binary(max_size=30)
numbers = st.integers(-(2**63), 2**63 - 1)
accounts = st.builds(
    Account, octets, numbers, numbers, octets, octets, numbers, numbers, st.booleans(), octets, numbers, numbers,
    octets, octets, octets, octets, octets,
)  # fmt: skip


decisions = st.builds(
    Decision, numbers, numbers, numbers, st.text(max_size=32), st.booleans(), octets, octets,
    st.lists(accounts, max_size=3).map(tuple), octets,
)  # fmt: skip


@settings(max_examples=50)
@given(decisions)
def test_decisions_come_back_as_they_were(decision):
    assert decode(encode(decision)) == decision


def test_notes_and_frames_of_ours_change_nothing(honest, tmp_path):
    def more(records):
        place, _ = decided(records, 3)
        records.insert(place, records[place]._replace(kind=NOTE, data=b"remark x"))
        return records

    assert replay(rewritten(honest, tmp_path, more), make_env).differ == []


def test_a_replay_by_hand_is_the_entry_points(monkeypatch, tmp_path):
    beside = Beside(monkeypatch, tmp_path, "checkpoint=baseline:imbalance", "minutes=0.1")
    beside.run()
    _, make_env = entry.maker_of("baseline:imbalance", None, 0)
    assert replay(beside.folder, make_env).differ == []
