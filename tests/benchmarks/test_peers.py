"""The comparison with hftbacktest: its tape, its quoter, its installer. hftbacktest itself is not installed here."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from benchmarks.peers import DELAY_NS, LOTS, OPENING, causes, install, ours, rates, rules
from benchmarks.peers.tape import BEHIND, HIGHEST, LOWEST, STEP_QTY, TICK_PX, make_tape, peer_events
from sim.types import ASK, BID, CLEAR, EVENT, LEVEL, MICRO_PER_LOT, TRADE
from sim.validate import validate

ROWS = 3_000
LEVEL_OF = np.arange(10_001) // TICK_PX - 1  # 1 cent is level 0


@pytest.fixture(scope="module")
def tape():
    return make_tape(ROWS)


def _rows(*rows):
    """EVENT rows with sizes in lots from (ns, kind, side, cents, lots)."""
    events = np.zeros(len(rows), EVENT)
    for index, (ns, kind, side, cents, lots) in enumerate(rows):
        events[index] = (ns, ns, lots, cents * TICK_PX, -1, 1, 0, kind, side)
    return events


def _fills(events, beliefs, **changes):
    settings = {"opening": 2, "delay_ns": 5, "lots": 11, **changes}
    return rules.expected_fills(events, LEVEL_OF, 99, beliefs=beliefs, **settings).tolist()


# --- the tape


def test_same_arguments_same_tape_and_another_seed_another(tape):
    assert make_tape(ROWS).header.digest == tape.header.digest
    assert make_tape(ROWS, seed=1).header.digest != tape.header.digest


def test_tape_is_valid_two_sided_and_never_crossed(tape):
    report = validate(tape)
    assert not report.errors
    assert report.negative == report.local_regressions == report.brief_crossings == report.lasting_crossings == 0
    book = np.zeros((2, 101), np.int64)
    for event in tape.events[1:]:
        if event["kind"] == LEVEL:
            book[event["side"], event["px"] // TICK_PX] = event["qty"]
        if event["local_ns"] > tape.events["local_ns"][2 * BEHIND]:
            bid, ask = np.flatnonzero(book[BID])[-1], np.flatnonzero(book[ASK])[0]
            assert LOWEST <= bid < ask <= HIGHEST


def test_a_print_is_followed_by_its_levels_change(tape):
    shown = np.zeros((2, 101), np.int64)
    prints = 0
    for event, after in zip(tape.events[:-1], tape.events[1:], strict=True):
        if event["kind"] == LEVEL:
            shown[event["side"], event["px"] // TICK_PX] = event["qty"]
        elif event["kind"] == TRADE:
            prints += 1
            cents = event["px"] // TICK_PX
            assert after["kind"] == LEVEL and after["px"] == event["px"] and after["side"] == 1 - event["side"]
            assert after["qty"] == shown[after["side"], cents] - event["qty"]
    assert prints > ROWS // 20


def test_stamps_are_even_and_rise_and_sizes_are_even_so_that_odd_delays_and_orders_never_meet_them(tape):
    stamps = tape.events["local_ns"]
    assert (np.diff(stamps) > 0).all() and (stamps % 2 == 0).all() and DELAY_NS % 2 == 1
    sizes = tape.events["qty"][tape.events["kind"] != CLEAR]
    assert (sizes % (STEP_QTY * MICRO_PER_LOT) == 0).all() and LOTS % STEP_QTY == 1


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="at least 100 rows, got 99"):
        make_tape(99)


def test_rows_in_the_other_format_by_hand():
    events = np.zeros(3, EVENT)
    events[0] = (8, 6, 0, 0, -1, 1, 0, CLEAR, -1)
    events[1] = (10, 10, 15_020_000, 4_700, -1, 1, 0, LEVEL, BID)  # 15.02 contracts at 47 cents
    events[2] = (12, 12, 20_000, 5_300, -1, 1, 0, TRADE, ASK)  # 0.02 contracts sold at 53 cents
    peer = peer_events(events)
    clocks = 2**31 + 2**30  # exchange and local
    assert peer["ev"].tolist() == [clocks + 3, clocks + 2**29 + 1, clocks + 2**28 + 2]
    assert peer["exch_ts"].tolist() == [6, 10, 12] and peer["local_ts"].tolist() == [8, 10, 12]
    assert peer["px"].tolist() == [0.0, 0.47, 0.53]
    assert peer["qty"].tolist() == [0.0, 15.02, 0.02]


# --- the rules, by hand: the quoter acts from row 2 on, its orders of 11 lots arrive 5 ns later

OPEN = [(0, LEVEL, BID, 40, 20), (2, LEVEL, ASK, 43, 30)]


def test_prints_eat_the_queue_then_fill_what_they_leave():
    # acts at 10, rests at 15 behind 20; a print of 12 leaves 8 ahead; one of 14 fills 14 - 8 = 6 of our 11; the 5 left
    # keep their place: the next print of 4 fills 4
    events = _rows(
        *OPEN, (10, LEVEL, BID, 30, 2), (20, TRADE, ASK, 40, 12), (22, TRADE, ASK, 40, 14), (24, TRADE, ASK, 40, 4)
    )
    for beliefs in (rules.OURS, rules.THEIRS):
        assert _fills(events, beliefs) == [[4, BID, 39, 6], [5, BID, 39, 4]]


def test_a_level_that_shrinks_leaves_no_more_ahead_than_it_shows():
    # 20 ahead, then 6 shown: a print of 8 fills 2
    events = _rows(*OPEN, (10, LEVEL, BID, 30, 2), (20, LEVEL, BID, 40, 6), (22, TRADE, ASK, 40, 8))
    for beliefs in (rules.OURS, rules.THEIRS):
        assert _fills(events, beliefs) == [[4, BID, 39, 2]]


def test_an_order_under_way_is_not_filled():
    events = _rows(*OPEN, (10, LEVEL, BID, 30, 2), (14, TRADE, ASK, 40, 50))
    assert _fills(events, rules.OURS) == []


def test_a_print_through_the_price_fills_ours_by_its_size_and_theirs_whole():
    events = _rows(*OPEN, (10, LEVEL, BID, 30, 2), (20, TRADE, ASK, 39, 4))
    assert _fills(events, rules.OURS) == [[3, BID, 39, 4]]
    assert _fills(events, rules.THEIRS) == [[3, BID, 39, 11]]


def test_a_quote_that_reaches_the_price_fills_theirs_only():
    # the bid leaves 40, and an ask comes there before our cancel does
    events = _rows(*OPEN, (10, LEVEL, BID, 30, 2), (20, LEVEL, BID, 40, 0), (22, LEVEL, ASK, 40, 8))
    assert _fills(events, rules.OURS) == []
    assert _fills(events, rules.THEIRS) == [[4, BID, 39, 11]]


def test_an_order_that_meets_our_own_cancels_it_in_ours_only():
    # orders arrive 9 ns later: ours of 10 rest at 40 and 43 from 19 on. A bid of 41 comes and goes: ours, sent at 20,
    # rests there from 29 on. An ask of 41 comes and goes: ours, sent at 24, arrives at 33 and meets our bid. A print of
    # 4 at 40 goes through that bid, if it is still there
    events = _rows(
        *OPEN, (10, LEVEL, BID, 30, 2), (20, LEVEL, BID, 41, 2), (22, LEVEL, BID, 41, 0), (24, LEVEL, ASK, 41, 2),
        (26, LEVEL, ASK, 41, 0), (34, TRADE, ASK, 40, 4),
    )  # fmt: skip
    assert _fills(events, rules.OURS, delay_ns=9) == []
    assert _fills(events, rules.OURS._replace(meets_own=True), delay_ns=9) == [[7, BID, 40, 4]]


# --- our engine plays by them


def test_our_engine_fills_what_the_rules_say(tape):
    scenario = ours.scenario_of(tape, DELAY_NS)
    done = ours.run_quoter(scenario, LOTS)
    world = scenario.world()
    expected = rules.expected_fills(
        world.events, world.level_of, len(world.px_of), opening=OPENING, delay_ns=DELAY_NS, lots=LOTS,
        beliefs=rules.OURS,
    )  # fmt: skip
    assert done["rows"] == ROWS - OPENING
    assert done["fills"] == len(expected) > 50
    assert done["lots"] == expected[:, 3].sum()
    np.testing.assert_array_equal(done["log"], expected)


def test_a_replay_plays_every_row_once(tape):
    assert ours.run_replay(ours.scenario_of(tape, DELAY_NS))["rows"] == ROWS - OPENING


def test_fills_are_told_apart_by_what_happened_in_their_row():
    events = _rows((0, TRADE, ASK, 40, 4), (2, TRADE, ASK, 39, 4), (4, LEVEL, ASK, 40, 8))
    fills = np.array([[0, BID, 39, 100], [1, BID, 39, 250], [2, BID, 39, 1]])  # 40 cents is level 39
    told = causes(fills, events, np.arange(1, 100) * TICK_PX)
    assert told == {
        "at": {"fills": 1, "contracts": 1.0},
        "through": {"fills": 1, "contracts": 2.5},
        "crossed": {"fills": 1, "contracts": 0.01},
    }


def test_rates_are_of_all_runs():
    # 100 rows in 1, 2 and 4 s: 100, 50 and 25 a second
    assert rates(100, [1.0, 4.0, 2.0]) == {"min": 25, "median": 50, "max": 100, "runs": 3}


# --- the installer


def test_an_installation_that_fails_says_what_would_help_and_leaves_nothing(tmp_path, monkeypatch):
    commands = []

    def fail_at_pip(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 1 if "pip" in command else 0)

    monkeypatch.setattr(install.subprocess, "run", fail_at_pip)
    folder = tmp_path / "peer"
    folder.mkdir()
    with pytest.raises(install.PeerError, match="first run needs pip to reach its package index"):
        install.installed_python(folder)
    assert len(commands) == 2  # the environment, and the first of two calls of pip
    assert not folder.exists()


def test_a_finished_installation_is_used_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: pytest.fail("nothing is to be installed"))
    (tmp_path / install.READY).touch()
    assert install.installed_python(tmp_path) == tmp_path / "bin" / "python"


def test_the_folder_follows_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SHADOWBOOK_CACHE", str(tmp_path))
    assert install.peer_folder().parent == tmp_path / "peers"
    monkeypatch.delenv("SHADOWBOOK_CACHE")
    assert install.peer_folder().parent.parent.name == ".cache"


def test_the_other_process_answers_and_its_end_is_reported(tmp_path, monkeypatch):
    script = tmp_path / "echo.py"
    script.write_text(
        "import sys\nprint('{}', flush=True)\n"
        "for line in sys.stdin:\n"
        "    if line == 'stop\\n':\n        break\n"
        "    print('a warning', flush=True)\n    print('{\"rows\": 7}', flush=True)\n"
    )
    monkeypatch.setattr(install, "SCRIPT", script)
    with install.Peer(sys.executable, tmp_path, tmp_path) as peer:
        assert peer.ask("replay") == {"rows": 7}
        with pytest.raises(install.PeerError, match="ended with 0"):
            peer.ask("stop")
