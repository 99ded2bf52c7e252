"""The table of a session's decisions says what its log says; what is shown of a session is what the engine has."""

import itertools

import msgspec
import numpy as np
import pandas as pd
import pytest

from live.monitor.view import Trading, View
from live.recording.layout import LogError
from live.shadow.__main__ import main
from live.shadow.records import arrays_of, decode, read_session
from live.shadow.replay import shapes_of
from live.shadow.seats import Health
from live.shadow.staleness import TimeToLive
from live.shadow.table import write_table
from live.shadow.watch import Alerts
from sim.types import ASK, BID, DO_PLACE, SECOND_NS
from tests.live.parity import tell
from tests.live.shadowed import Drawn, Shadowed, Steady


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    shadowed = Shadowed(
        tmp_path_factory.mktemp("shadow"), tell("kalshi", 2, 20.0), [Drawn(1, 2), Drawn(2, 2)],
        freshness=TimeToLive(quote_s=0.2, quiet_s=0.2),
    )  # fmt: skip
    shadowed.play()
    return shadowed


@pytest.fixture(scope="module")
def table(session):
    path, rows = write_table(session.folder)
    found = pd.read_parquet(path)
    assert path == session.folder / "decisions.parquet" and len(found) == rows
    return found


def test_one_row_for_each_decision_account_and_market(session, table):
    assert len(table) == len(session.kept) * 2 * 2
    assert list(table.groupby(["number", "account", "market"]).size().unique()) == [1]
    assert set(table.market) == {"TEST-0", "TEST-1"} and set(table.account) == {"seat-0", "seat-1"}


def test_its_numbers_are_the_logs(session, table):
    said = read_session(session.folder)
    for number, place, index in itertools.product((0, 5, 11), (0, 1), (0, 1)):
        decision = decode(session.kept[number])
        account, arrays = decision.accounts[place], arrays_of(decision.accounts[place], shapes_of(said))
        (row,) = table[
            (table.number == number) & (table.account == f"seat-{place}") & (table.market == f"TEST-{index}")
        ].to_dict("records")
        assert (row["ns"], row["trace"], row["cancel"]) == (decision.ns, decision.trace, False)
        assert (row["reward_uusd"], row["equity_uusd"]) == (account.reward_uusd, account.equity_uusd)
        assert (row["why"], row["took_ns"], row["policy"]) == ("obeyed", account.took_ns, f"drawn-{place + 1}")
        assert row["executes"] == (place == 0) and row["action"] == arrays["action"][index]
        assert row["quality"] == np.frombuffer(decision.quality)[index]
        assert row["stale"] == bool(decision.stale[index])
        assert [row[f"cost_{name}"] for name in said.costs] == arrays["costs"].tolist()
        assert [row[f"reward_{name}"] for name in said.rewards] == arrays["reward_terms"].tolist()
        for name, side in (("bid", BID), ("ask", ASK)):
            order = arrays["orders"][index, side]
            placed = order["do"] == DO_PLACE
            assert (row[f"{name}_do"] == "place") == placed
            assert pd.isna(row[f"{name}_px"]) != placed
            if placed:
                assert (row[f"{name}_px"], row[f"{name}_lots"]) == (order["px"], order["qty"])
            assert row[f"{name}_held"] == arrays["held"][index, side]
            assert row[f"{name}_cut"] == arrays["cut"][index, side]


def test_money_and_words_add_up(session, table):
    accounts = session.session.env.engine.state.account
    one = table[table.market == "TEST-0"].groupby("account").reward_uusd.sum()
    assert one.tolist() == (accounts["equity_uusd"] - accounts["start_uusd"]).tolist() != [0, 0]
    assert table.stale.any() and (table.quality[table.stale] == 0).all() and (table.quality[~table.stale] > 0).all()
    held = table[table.bid_held | table.ask_held]
    assert len(held) and held.stale.all()
    assert (table.bid_do == "place").any() and (table.reject != "").any()


def test_points_of_a_surface_are_lists(tmp_path):
    class Point:
        name, masked = "point", False

        def act(self, observations, masks=None):
            return np.array([[0.5, -0.25, 0.0, 0.0, 1.0]], np.float32)

    shadowed = Shadowed(tmp_path, tell("kalshi", 1, 8.0), [Point()], actions="surface")
    shadowed.play()
    path, _ = write_table(shadowed.folder, tmp_path / "t.parquet")
    assert pd.read_parquet(path).action.tolist()[3].tolist() == [0.5, -0.25, 0.0, 0.0, 1.0]


def test_what_cannot_be_is_said(session, table, tmp_path, capsys):
    assert main(["table", str(session.folder)]) == 1
    assert "exists already; move it away" in capsys.readouterr().err
    assert main(["table", str(session.folder), "--out", str(tmp_path / "again.parquet")]) == 0
    assert pd.read_parquet(tmp_path / "again.parquet").equals(table) and "rows" in capsys.readouterr().out
    assert main(["table", str(tmp_path)]) == 1
    with pytest.raises(LogError, match="expected the folder of a shadow session"):
        write_table(tmp_path)


# What is shown


def shown(shadowed, watch, **changes):
    told = {
        "state": "running", "why": "", "feed": "live", "heard_ns": shadowed.session.now_ns,
        "counts": {"frames": 10, "quotes_agree": 30, "quotes_differ": 2, "malformed": 1}, "killed": False,
        "trading": Trading(),
    }  # fmt: skip
    return watch.view(shadowed.session.now_ns, **told | changes)


def watched(tmp_path, policies, seconds=25.0, markets=2, **settings):
    shadowed = Shadowed(tmp_path, tell("kalshi", markets, seconds), policies, **settings)
    watch = shadowed.watch()
    watch.add(shadowed.begin())
    return shadowed, watch


def test_a_view_is_what_the_engine_has(tmp_path):
    shadowed, watch = watched(tmp_path, [Drawn(1, 2), Drawn(2, 2)])
    engine, fills, messages = shadowed.session.env.engine, np.zeros(2, int), np.zeros(2, int)
    while not shadowed.over:
        step = shadowed.second()
        watch.add(step)
        fills += engine.state.account["n_fills"]
        messages += engine.state.account["n_messages"]
    view, state = shown(shadowed, watch), engine.state
    assert msgspec.json.decode(msgspec.json.encode(view), type=View) == view
    assert view.decisions == shadowed.runner.number and view.policies == ("drawn-1", "drawn-2")
    for place, account in enumerate(view.accounts):
        record = state.account[place]
        assert account.equity_uusd == record["equity_uusd"] == shadowed.runner.equity_uusd[place]
        assert account.start_uusd == 10_000_000_000 != account.equity_uusd
        assert account.drawdown_uusd == record["peak_uusd"] - record["equity_uusd"]
        assert account.cash_uusd == state.pool["cash_uusd"][place].sum()
        assert account.fills == fills[place] > 0 and watch.tally.messages[place] == messages[place] > 0
        for index, held in enumerate(account.positions):
            position = state.position[place * 2 + index]
            assert (held.yes_lots, held.no_lots) == (position["yes_qty"], position["no_qty"])
        assert len(account.resting) == (state.orders[place * 2 : place * 2 + 2]["id"] > 0).sum()
        assert account.history[-1] == (shadowed.session.now_ns, account.equity_uusd)
        assert len(account.history) == shadowed.runner.number
    for index, market in enumerate(view.markets):
        reader = shadowed.recorder.reader.books[index].sizes
        assert dict(market.bids) == {px: qty // 10_000 for px, qty in sorted(reader[BID].items())[-10:]}
        assert dict(market.asks) == {px: qty // 10_000 for px, qty in sorted(reader[ASK].items())[:10]}
        assert market.bids == tuple(sorted(market.bids, reverse=True)) and market.asks == tuple(sorted(market.asks))
        assert not market.lost and market.book_age_ns < SECOND_NS * 3 and 0 < market.quality <= 1


def test_proposals_are_the_orders_of_the_last_decision(tmp_path):
    shadowed, watch = watched(tmp_path, [Steady(5, 2), Steady(0, 2)])
    step = shadowed.second()
    watch.add(step)
    view = shown(shadowed, watch)
    for index, market in enumerate(view.markets):
        assert [one.account for one in market.proposals] == ["seat-0"]
        (one,) = market.proposals
        order = step.certified.orders[0, index, BID if one.side == "bid" else ASK]
        assert (one.do, one.px, one.lots) == ("place", order["px"], order["qty"])
        assert one.asked_lots == one.lots + step.certified.cut[0, index, BID if one.side == "bid" else ASK]


def test_what_is_held_says_why(tmp_path):
    shadowed, watch = watched(tmp_path, [Steady(5, 2), Steady(0, 2)], freshness=TimeToLive(silence_s=2.0))
    moment = shadowed.session.now_ns + SECOND_NS
    shadowed.hear(moment)
    watch.add(shadowed.runner.decide(moment, moment - 2 * SECOND_NS))
    view = shown(shadowed, watch)
    assert view.ready == ("TEST-0: connection", "TEST-1: connection")
    for market in view.markets:
        (one,) = market.proposals
        assert "held: stale" in one.reasons and one.changed and market.quality == 0.0
    assert watch.tally.cut[0] >= 2


def test_the_checklist_is_of_the_account_that_is_judged(tmp_path):
    class Broken(Steady):
        def act(self, observations, masks=None):
            raise RuntimeError("broken")

    shadowed, watch = watched(tmp_path, [Drawn(1, 2), Broken(0, 2)], health=Health(faults=60))
    while not shadowed.over:
        watch.add(shadowed.second())
    view = shown(shadowed, watch)
    checks = {check.name: check for check in view.checks}
    assert checks["policy decides"].ok is False and f"of {view.decisions:,}" in checks["policy decides"].measured
    assert checks["books in agreement"].ok is False  # 2 of 32
    assert checks["latency"].ok is None and view.latency.count == view.decisions < 100
    while shadowed.runner.number < 100:
        watch.add(shadowed.second())
    assert [check.ok for check in shown(shadowed, watch).checks if check.name == "latency"] == [True]
    (alert,) = [one for one in view.alerts if one.code == "fallback"]
    assert (
        alert.text == "seat-1: failed: broken"
        and alert.ns == shadowed.session.now_ns - (100 - view.decisions) * SECOND_NS
    )
    assert watch.tally.fallbacks.tolist() == [0, 100]


def test_orders_that_are_taken_out_have_lived(tmp_path):
    shadowed, watch = watched(tmp_path, [Steady(10)], markets=1, actions="maker21")  # buy 100 NO, passive
    shadowed.seats[0].policy.rows[:] = 0  # and hold, which leaves it there
    for _ in range(3):
        watch.add(shadowed.second())
    resting = shadowed.session.env.engine.state.orders[0]
    ((since, left),) = [(int(one["entry_ns"]), int(one["qty"])) for one in resting if one["id"] > 0]
    (seen,) = shown(shadowed, watch).accounts[0].resting
    assert (seen.lots, seen.age_ns, seen.side) == (left, shadowed.session.now_ns - since, "ask")
    assert watch.tally.shortest_life_ns == [None]
    shadowed.runner.killed = "take it out"
    watch.add(shadowed.second())
    watch.add(shadowed.second())  # the cancel has gone out
    assert not (resting["id"] > 0).any()
    assert watch.tally.shortest_life_ns == [None], "an emergency does not count"


# Alerts


def test_the_same_thing_again_takes_the_older_ones_place():
    alerts = Alerts()
    alerts.add(1, "warning", "fallback", "late: 51 ms", "", "policy")
    alerts.add(2, "warning", "market", "broken", "", "A")
    alerts.add(3, "warning", "fallback", "late: 52 ms", "", "policy")
    alerts.add(4, "warning", "fallback", "late: 53 ms", "", "other")
    assert [(one.ns, one.text) for one in alerts.newest] == [(4, "late: 53 ms"), (3, "late: 52 ms"), (2, "broken")]
    for number in range(100):
        alerts.add(number, "info", "many", "", "", str(number))
    assert len(alerts.newest) == 50 and alerts.newest[0].ns == 99


def test_divergence_alerts_once_however_its_numbers_move(tmp_path):
    shadowed, watch = watched(tmp_path, [Steady(0, 2), Drawn(2, 2)])
    watch.divergence.gate.loss_usd = 1e-6
    for _ in range(15):
        watch.add(shadowed.second())
        watch.gate(shadowed.session.now_ns)
    found = [one for one in watch.alerts.newest if one.code == "divergence"]
    assert len(found) == 1 and found[0].level == "critical" and "below the other's" in found[0].text
