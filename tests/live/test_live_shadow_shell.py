"""A shadow session over real sockets, beside a fake venue on the same clock."""

import itertools
import json
import logging
import os
import signal
import socket

import aiohttp
import numpy as np
import pytest

import shadow as entry
from live.errors import VenueError
from live.program import GivenUpError
from live.recording.layout import LogError
from live.recording.seal import seal
from live.shadow.config import check_config
from live.shadow.opening import Gathering
from live.shadow.records import arrays_of, read_session
from live.shadow.replay import decisions_of, shapes_of
from sim.tape import read
from sim.types import DO_CANCEL, DO_PLACE, SECOND_NS
from sim.validate import validate
from tests.live.beside import T0, Beside, config_of

IMBALANCE = "checkpoint=baseline:imbalance"
WORDS = {
    "shadow": [IMBALANCE],
    "paper": [IMBALANCE, "mode=paper"],
    "ab": [IMBALANCE, "mode=ab", "other=baseline:random"],
}
SEATS = {
    "shadow": [("baseline", True), ("policy", False)],
    "paper": [("policy", True), ("baseline", False)],
    "ab": [("a", True), ("b", True), ("baseline", False)],
}


@pytest.fixture(autouse=True)
def quiet():
    """No handler stays that this test's captured stream stands behind."""
    before = logging.getLogger().handlers[:]
    yield
    for handler in [one for one in logging.getLogger().handlers if one not in before]:
        logging.getLogger().removeHandler(handler)


def again(folder):
    """The session as shadow.py plays it again."""
    return entry._replay(str(folder))


def settled(summary):
    return summary.why == "every account has ended: its markets have settled, or it is ruined"


@pytest.mark.parametrize("mode", WORDS)
def test_a_session_until_its_markets_settle(monkeypatch, tmp_path, mode, capsys):
    beside = Beside(monkeypatch, tmp_path, *WORDS[mode], life_s=8.0)
    summary, _ = beside.run()
    assert settled(summary) and summary.state == "ended" and summary.decisions >= 12
    assert {path.name for path in beside.folder.iterdir()} == {
        ".lock", "log.jsonl", "s-000001.zst", "session.json", "summary.json", "summary.txt"
    }  # fmt: skip
    said = read_session(beside.folder)
    assert [(seat.name, seat.executes) for seat in said.seats] == SEATS[mode]
    assert (said.name, said.mode, said.venue, list(said.markets)) == ("s", mode, "kalshi", beside.ids)
    made = list(decisions_of(beside.folder))
    assert len(made) == summary.decisions and len(made[0].accounts) == len(SEATS[mode])
    assert all((one.ns - made[0].ns) == one.number * SECOND_NS for one in made)
    # money: what the log says of each account is what the summary says
    for place, account in enumerate(summary.accounts):
        assert sum(one.accounts[place].reward_uusd for one in made) == account.result_uusd
    assert summary.accounts[next(p for p, (name, _) in enumerate(SEATS[mode]) if name != "baseline")].fills > 0
    assert json.loads((beside.folder / "summary.json").read_bytes())["decisions"] == summary.decisions
    lines = [json.loads(line) for line in (beside.folder / "log.jsonl").read_text().splitlines()]
    traced = [line for line in lines if line["message"] == "decision"]
    assert [line["trace_id"] for line in traced] == [one.trace for one in made]
    assert again(beside.folder) == 0 and "all the same" in capsys.readouterr().out
    manifest = seal(beside.folder)
    for tape in manifest.tapes:
        assert not validate(read(beside.folder / "tapes" / tape.name)).errors
    assert len(manifest.tapes) == 2


def test_polymarket(monkeypatch, tmp_path):
    beside = Beside(monkeypatch, tmp_path, IMBALANCE, "page.port=0", venue="polymarket", life_s=8.0)

    async def script(beside, one, task):
        await beside.until(lambda: one.view.decisions >= 5, task)
        url = beside.console.file.getvalue().split("page       ")[1].split("#")[0]
        async with aiohttp.ClientSession() as http, http.get(f"{url}view.json") as answer:
            told = await answer.json()
        assert told["venue"] == "polymarket" and len(told["markets"]) == 2 and told["decisions"] >= 5
        assert all(market["bids"] and market["asks"] for market in told["markets"])

    summary, _ = beside.run(script)
    assert settled(summary) and summary.decisions >= 12 and again(beside.folder) == 0


# The kill switch


def cancels_only(beside, since_ns):
    said, seen = read_session(beside.folder), 0
    for decision in decisions_of(beside.folder):
        placed = [
            (arrays_of(account, shapes_of(said))["orders"]["do"] == DO_PLACE).any() for account in decision.accounts
        ]
        if decision.ns > since_ns:
            seen += 1
            assert decision.cancel and not any(placed)
            assert all(
                (arrays_of(account, shapes_of(said))["orders"]["do"] == DO_CANCEL).all()
                for account in decision.accounts
                if not account.ended
            )
    return seen


async def post(url, reason, token=""):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}kill", json={"reason": reason}, headers=headers) as answer,
    ):
        return answer.status


@pytest.mark.parametrize("way", ["file", "page", "signal"])
def test_the_kill_switch(monkeypatch, tmp_path, way, capsys):
    beside = Beside(monkeypatch, tmp_path, IMBALANCE, "page.port=0", life_s=8.0)
    thrown = []

    async def script(beside, one, task):
        await beside.until(lambda: one.view.decisions >= 5, task)
        if way == "file":
            (beside.folder / "KILL").touch()
        elif way == "signal":
            os.kill(os.getpid(), signal.SIGUSR1)
        else:
            url = beside.console.file.getvalue().split("page       ")[1].split("#")[0]
            assert await post(url, "a wrong token", "x" * 43) == 401 == await post(url, "no token")
            assert not one.view.killed
            assert await post(url, "enough", (beside.folder / "page-token").read_text()) == 200
        await beside.until(lambda: one.view.killed, task)
        thrown.append(beside.clock.now_ns())

    summary, _ = beside.run(script)
    why = {"file": "the file KILL is there", "page": "enough", "signal": "SIGUSR1"}[way]
    assert summary.killed and summary.state == "killed" and settled(summary)
    assert cancels_only(beside, thrown[0]) > 5
    assert f"killed: {why}" in [alert.text for alert in summary.alerts]
    assert again(beside.folder) == 0
    assert (beside.folder / "page-token").stat().st_mode & 0o777 == 0o600


def test_killed_before_the_first_book_it_begins_killed(monkeypatch, tmp_path):
    beside = Beside(monkeypatch, tmp_path, IMBALANCE, life_s=8.0)

    async def script(beside, one, task):
        await one.kill("at once")

    summary, _ = beside.run(script)
    assert summary.killed and cancels_only(beside, 0) == summary.decisions > 5


# How it ends, and how it does not begin


def test_it_ends_after_its_minutes(monkeypatch, tmp_path):
    summary, _ = Beside(monkeypatch, tmp_path, IMBALANCE, "minutes=0.1").run()
    assert summary.why == "0.1 minutes are up" and 4 <= summary.decisions <= 7


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_asked_to(monkeypatch, tmp_path, name):
    async def script(beside, one, task):
        await beside.until(lambda: one.view.decisions >= 3, task)
        os.kill(os.getpid(), name)

    beside = Beside(monkeypatch, tmp_path, IMBALANCE)
    summary, _ = beside.run(script)
    assert summary.why == "asked to" and summary.state == "ended" and again(beside.folder) == 0


def test_a_name_that_is_taken_is_refused_whatever_is_there(monkeypatch, tmp_path):
    beside = Beside(monkeypatch, tmp_path, IMBALANCE)
    beside.folder.mkdir()
    (beside.folder / "s-000001.zst").touch()  # a session that never saw a whole book
    with pytest.raises(LogError, match="a session of that name is there; choose another name"):
        beside.run()
    assert [path.name for path in beside.folder.iterdir()] == ["s-000001.zst"]


def test_a_port_that_is_taken_says_what_would_do(monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"page.port = {port}: .*page.port=0 takes any that is free, -1 none"):
            Beside(monkeypatch, tmp_path, IMBALANCE, f"page.port={port}").run()


def test_a_market_that_is_not_listed_is_refused_and_nothing_is_left(monkeypatch, tmp_path):
    beside = Beside(monkeypatch, tmp_path, IMBALANCE, "markets=[NOSUCH]")
    with pytest.raises((ValueError, VenueError), match="NOSUCH"):
        beside.run()
    assert not beside.folder.exists()


def test_a_session_whose_books_never_come_decides_nothing_and_says_so(monkeypatch, tmp_path):
    class Never(Gathering):
        def take(self, rows):
            return False

    beside = Beside(monkeypatch, tmp_path, IMBALANCE, "minutes=0.05")
    monkeypatch.setattr("live.shadow.shell.Gathering", Never)

    async def script(beside, one, task):
        await beside.until(lambda: one.view.state == "waiting for books" and len(one.view.ready) == 2, task)
        assert all(reason.endswith("its book has not been told yet") for reason in one.view.ready)

    with pytest.raises(GivenUpError, match="before every market had told its book; nothing was decided"):
        beside.run(script)
    assert not (beside.folder / "session.json").exists()


def test_a_key_that_is_refused_ends_it(monkeypatch, tmp_path):
    beside = Beside(monkeypatch, tmp_path, IMBALANCE)
    monkeypatch.setenv("SHADOWBOOK_KALSHI_KEY_ID", "another")
    with pytest.raises((GivenUpError, VenueError), match="401"):
        beside.run()


# What goes wrong on the way


def test_a_connection_that_is_cut_holds_orders_until_the_books_are_back(monkeypatch, tmp_path):
    beside = Beside(monkeypatch, tmp_path, IMBALANCE, "mode=paper", life_s=20.0)
    seen = []

    async def script(beside, one, task):
        await beside.until(lambda: one.view.decisions >= 5, task)
        beside.cut()
        await beside.until(lambda: all(market.lost for market in one.view.markets), task)
        seen.append(one.view)
        await beside.go(3.0)
        beside.mend()
        await beside.until(lambda: not one.view.ready, task)
        seen.append(one.view)

    summary, _ = beside.run(script)
    lost, back = seen
    assert all(market.stale == ("lost",) and market.quality == 0.0 for market in lost.markets)
    assert lost.ready == tuple(f"{name}: lost" for name in beside.ids)
    assert not any(market.lost or market.stale for market in back.markets)
    assert [check.ok for check in lost.checks if check.name == "books known"] == [False]
    said = read_session(beside.folder)
    stale = [one for one in decisions_of(beside.folder) if np.frombuffer(one.stale, np.bool_).all()]
    assert len(stale) >= 3 and settled(summary) and summary.decisions > 20
    for one in stale:
        for account in one.accounts:
            assert not (arrays_of(account, shapes_of(said))["orders"]["do"] == DO_PLACE).any()
    assert again(beside.folder) == 0


def test_a_connection_that_is_cut_before_every_book_is_told(monkeypatch, tmp_path):
    """One book is known, is lost, and comes again: the session begins on books that are all known at once."""
    beside = Beside(monkeypatch, tmp_path, IMBALANCE, life_s=15.0)
    held = []

    class Late(Gathering):
        """The second market's book is as if not told, until the first one's was lost."""

        def take(self, rows):
            return super().take(rows if held else [row for row in rows if row[6] == 0])

    monkeypatch.setattr("live.shadow.shell.Gathering", Late)

    async def script(beside, one, task):
        await beside.until(lambda: one.view.ready == (f"{beside.ids[1]}: its book has not been told yet",), task)
        beside.cut()
        await beside.until(lambda: len(one.view.ready) == 2, task)
        held.append(True)
        beside.mend()
        await beside.until(lambda: one.view.decisions > 2, task)
        assert not any(market.lost for market in one.view.markets)

    summary, _ = beside.run(script)
    assert settled(summary) and summary.decisions > 5


def test_a_policy_that_is_late_is_replaced_and_the_checklist_says_so(monkeypatch, tmp_path):
    def slow(plan):
        def seat(sheet):
            placed = plan.seat(sheet)
            act = placed[1].policy.act

            def late(observations, masks=None):
                beside.clock.advance(0.06)
                return act(observations, masks)

            placed[1].policy.act = late
            return placed

        return plan._replace(seat=seat)

    beside = Beside(monkeypatch, tmp_path, IMBALANCE, life_s=17.0, plan=slow, patient=False)
    summary, one = beside.run()
    fallback = next(alert for alert in summary.alerts if alert.code == "fallback")
    assert fallback.text.startswith("policy: late: 60.0 ms; 50 ms are allowed")
    assert [check.ok for check in summary.checks if check.name == "policy decides"] == [False]
    assert not summary.passed and len([alert for alert in summary.alerts if alert.code == "fallback"]) == 1
    whys = [decision.accounts[1].why for decision in decisions_of(beside.folder)]
    assert set(whys) == {1, 4} and one._runner.seats[1].counts["benched"] > 5


def test_decisions_after_so_many_events(monkeypatch, tmp_path):
    beside = Beside(monkeypatch, tmp_path, IMBALANCE, life_s=12.0, plan=lambda plan: plan._replace(events_per_step=30))
    summary, _ = beside.run()
    made = list(decisions_of(beside.folder))
    assert summary.decisions == len(made) > 5 and settled(summary) and beside.clock.now_ns() < T0 + 30 * SECOND_NS
    gaps = [later.events - one.events for one, later in itertools.pairwise(made)]
    assert min(gaps[:-1]) >= 30 and len({later.ns - one.ns for one, later in itertools.pairwise(made)}) > 3
    assert not any(np.frombuffer(one.stale, np.bool_).any() for one in made[:5])
    assert again(beside.folder) == 0


def test_a_clock_that_is_set_back_stops_no_decision(monkeypatch, tmp_path):
    beside = Beside(monkeypatch, tmp_path, IMBALANCE, "minutes=0.25", life_s=25.0)

    async def script(beside, one, task):
        await beside.until(lambda: one.view.decisions >= 5, task)
        beside.clock.step_wall(-300 * SECOND_NS)
        decided = one.view.decisions
        await beside.until(lambda: one.view.decisions >= decided + 4, task)

    summary, _ = beside.run(script)
    assert "the machine's clock was set back by 300 s" in [alert.text for alert in summary.alerts]
    made = [one.ns for one in decisions_of(beside.folder)]
    assert made == sorted(set(made)) and again(beside.folder) == 0


def test_the_terminal_view_is_drawn_and_nothing_else_is_written_there(monkeypatch, tmp_path, capsys):
    beside = Beside(monkeypatch, tmp_path, IMBALANCE, "page.terminal=true", "minutes=0.1")

    async def script(beside, one, task):
        await beside.until(lambda: one.view.decisions >= 4, task)
        logging.getLogger("live.test").error("something happened")

    beside.run(script)
    drawn = beside.console.file.getvalue()
    assert "no orders to the venue" in drawn and beside.ids[0] in drawn and "feed fresh" in drawn
    assert "something happened" not in capsys.readouterr().err
    assert "something happened" in (beside.folder / "log.jsonl").read_text()


# Settings


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "checkpoint = None, markets = .*: expected a run folder"),
        ([IMBALANCE], "expected a run folder .* and markets"),
        ([IMBALANCE, "markets=[A]", "venue=kalsi"], "expected kalshi or polymarket"),
        ([IMBALANCE, "markets=[A]", "mode=shadows"], "mode = shadows: expected one of shadow, paper, ab"),
        ([IMBALANCE, "markets=[A]", "mode=ab"], "wants a second policy"),
        ([IMBALANCE, "markets=[A]", "other=baseline:noop"], "mode=ab, and it alone, wants a second policy"),
        ([IMBALANCE, "markets=[A]", "venue=polymarket", "keyless=true"], "keyless = true is Kalshi's"),
        ([IMBALANCE, "markets=[A]", "minutes=-1"], "expected 0 or more"),
        ([IMBALANCE, "markets=[A]", "minutes=nan"], "expected 0 or more"),
        ([IMBALANCE, "markets=[A]", "page.every_s=0"], "more than 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(words, says):
    config, _ = config_of(*words)
    with pytest.raises(ValueError, match=says):
        check_config(config)
