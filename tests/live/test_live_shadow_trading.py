"""Real orders of a session, at a fake venue: the policy sees the venue's account, and nothing goes out unasked."""

import asyncio
import os
import sqlite3

import pytest

import shadow as entry
from envs.vector import TradingVectorEnv
from live.orders.caps import Caps
from live.orders.journal import Intent, Journal
from live.orders.record import Record
from live.orders.requests import FillSaid
from live.shadow.config import check_config
from live.shadow.mirror import Image, Mirror
from live.shadow.records import arrays_of, read_session
from live.shadow.replay import decisions_of, shapes_of
from live.shadow.trading import TradingConfig, permit_of
from sim.tape import FeeRates, Market
from sim.types import ASK, BID, DO_NOTHING, GTC, NO, SECOND_NS, YES
from sim.venues.kalshi import DIRECT_MEMBER_UUSD
from sim.wire.listing import CENT_TICKS, Listing
from tests.live.beside import T0, Beside, config_of

KEY = "SHADOWBOOK_KALSHI_PRIVATE_KEY"
LIMITS = "live.confirm=[5,20,20,80,5,10]"


def live(monkeypatch, tmp_path, *words, limits=LIMITS, **settings):
    words = ["checkpoint=baseline:imbalance", "mode=live", "live.enabled=true", limits,
             f"live.journal={tmp_path}/orders.sqlite", "limits=null", *words]  # fmt: skip
    return Beside(monkeypatch, tmp_path, *words, **settings)


def journalled(tmp_path, what, table="events"):
    with sqlite3.connect(tmp_path / "orders.sqlite") as file:
        return file.execute(f"select {what} from {table}").fetchall()


def ledger_of(beside, tmp_path):
    journal = Journal(tmp_path / "orders.sqlite", "kalshi", "main", T0)
    record = Record(journal, beside.venue.listings, DIRECT_MEMBER_UUSD)
    journal.close()
    return record.ledger


def test_what_is_traded_is_what_the_venue_has(monkeypatch, tmp_path, capsys):
    beside = live(monkeypatch, tmp_path, "minutes=0.25", life_s=60.0)
    summary, _ = beside.run()
    exchange, ledger = beside.venue.exchange, ledger_of(beside, tmp_path)
    filled = len(beside.venue.fills)
    assert filled == len(journalled(tmp_path, "*", "fills")) >= summary.accounts[0].fills > 0
    assert not exchange.resting, "leaving cancels what rests"
    assert ledger.cash_uusd == exchange.account.cash_uusd
    for holding, ticker in zip(exchange.account.holdings, beside.ids, strict=True):
        assert ledger.holding(ticker).lots == holding.lots
    assert [seat.name for seat in read_session(beside.folder).seats] == ["policy", "on paper", "baseline"]
    assert entry._replay(str(beside.folder)) == 0 and "all the same" in capsys.readouterr().out


def test_the_policy_sees_the_venues_account(monkeypatch, tmp_path):
    beside = live(monkeypatch, tmp_path, "minutes=0.25", life_s=60.0)
    beside.run()
    said = read_session(beside.folder)
    names = [f"market_{market}.position_{leg}" for market in range(2) for leg in ("yes", "no")]
    place = [said.features.index(name) for name in names]
    seen = 0
    for decision in decisions_of(beside.folder):
        image = Image.decode(decision.image, 2)
        lots = [int(one[name]) for one in image.positions for name in ("yes_qty", "no_qty")]
        shown = arrays_of(decision.accounts[0], shapes_of(said))["obs"][place]
        assert [value > 0 for value in shown] == [held > 0 for held in lots]
        seen += any(lots)
    assert seen > 3
    # the last image is the venue's account, since nothing filled after it
    account = beside.venue.exchange.account
    if (beside.venue.fills[-1]["ts"] + 1) * SECOND_NS <= decision.ns:
        assert image.cash_uusd == account.cash_uusd
        assert lots == [held for holding in account.holdings for held in holding.lots]


def test_a_kill_cancels_at_the_venue_and_outlives_the_session(monkeypatch, tmp_path):
    beside = live(monkeypatch, tmp_path, "minutes=0.3", "checkpoint=baseline:quoter", life_s=60.0)

    async def script(beside, one, task):
        await beside.until(lambda: beside.venue.exchange.resting, task)
        await one.kill("enough")
        await beside.until(lambda: not beside.venue.exchange.resting, task)
        sent = len(beside.venue.exchange.orders)
        await beside.go(3.0)
        assert len(beside.venue.exchange.orders) == sent

    summary, _ = beside.run(script)
    assert summary.killed and ("kill", "enough") in journalled(tmp_path, "kind, what")
    before, key = len(beside.venue.exchange.orders), os.environ[KEY]
    again = live(monkeypatch, tmp_path, "minutes=0.15", "name=t", "checkpoint=baseline:quoter", life_s=60.0)
    again.venue, again.server, again.clock = beside.venue, beside.server, beside.clock
    again.ids, again.folder = beside.ids, tmp_path / "t"
    monkeypatch.setenv(KEY, key)
    summary, _ = again.run()
    assert len(beside.venue.exchange.orders) == before, "nothing goes out until a person lifts it"
    assert any("killed" in alert.text for alert in summary.alerts)


def test_a_broken_budget_sends_the_account_back_to_the_baseline(monkeypatch, tmp_path):
    limits = "live.confirm=[5,20,20,80,0.01,10]"
    beside = live(monkeypatch, tmp_path, "minutes=0.5", "live.daily_loss=0.01", limits=limits, life_s=60.0)
    summary, one = beside.run()
    (breach,) = [what for kind, what in journalled(tmp_path, "kind, what") if kind == "breach"]
    assert "lost today" in breach and not beside.venue.exchange.resting
    why = [decision.accounts[0].why for decision in decisions_of(beside.folder)]
    assert why[0] == 0 and why[-1] == 5 and sorted(why) == why, "from some decision on the baseline decides"
    assert any(alert.code == "orders" for alert in summary.alerts) and not one.view.trading.enabled


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mode=live"], "asks? for both|ask for both"),
        (["live.enabled=true"], "ask for both"),
        (["mode=live", "live.enabled=true"], r"once more: live.confirm=\[5,20,20,80,5,10\]"),
        (["mode=live", "live.enabled=true", "live.confirm=[5,20,20,80,5,11]"], "once more"),
        (["mode=live", "live.enabled=true", LIMITS, "live.order=50"], r"\[50,20,200,80,5,10\]"),
        (["mode=live", "live.enabled=true", LIMITS, "venue=polymarket"], "to Kalshi"),
        (["mode=live", "live.enabled=true", LIMITS, "keyless=true"], "with a key"),
    ],
)  # fmt: skip
def test_real_orders_are_asked_for_twice_with_their_limits(words, told):
    config, _ = config_of("checkpoint=baseline:quoter", "markets=[A]", *words)
    with pytest.raises((ValueError, PermissionError), match=told):
        check_config(config)


def test_a_permit_has_the_limits_that_were_confirmed():
    config = TradingConfig(enabled=True, order=2.5, confirm=[2.5, 20.0, 10.0, 80.0, 5.0, 10.0])
    assert permit_of(config).caps == Caps(order_uusd=2_500_000)


def record_of(tmp_path, tickers):
    fees = FeeRates("quadratic", "kalshi", 70_000)
    listings = [Listing("kalshi", Market(ticker, ticker), CENT_TICKS, fees) for ticker in tickers]
    journal = Journal(tmp_path / "j.sqlite", "kalshi", "main", T0)
    record = Record(journal, listings, DIRECT_MEMBER_UUSD)
    record.correct("", 0, 100_000_000, "opening", T0)  # 100 dollars
    return record


def test_the_account_as_the_engine_has_it(tmp_path):
    record = record_of(tmp_path, ["A"])
    # 30 YES at 40 cents: 30.00 contracts = 3,000 lots x 4,000 = 12,000,000 uusd, fee 0.2 dollars
    record.fill(FillSaid("f", "o", "A", BID, 4_000, 3_000, 200_000, False, T0), T0, "channel")
    record.intend(Intent("A", ASK, YES, 6_000, 1_000, GTC, 0, True, True, T0 + 5))  # sells 10 of them
    record.intend(Intent("A", BID, YES, 3_000, 500, GTC, 0, True, False, T0 + 6))  # 5 more at 30 cents: 1.5 dollars
    env = TradingVectorEnv(2, limits="balanced")
    env.reset()
    mirror, state = Mirror(env.engine, 0), env.engine.state
    other = state.account[1].tobytes(), state.pool[1].tobytes(), state.market[1].tobytes()
    image = mirror.image(record)
    assert Image.decode(image.encode(), 1).encode() == image.encode()
    mirror.show(image)
    position, orders = state.position[0], state.orders[0]
    assert (position["yes_qty"], position["no_qty"], position["yes_cost_uusd"]) == (3_000, 0, 12_000_000)
    assert position["yes_held_qty"] == 1_000 and state.market["live_orders"][0] == 2
    assert state.pool["cash_uusd"][0, 0] == 100_000_000 - 12_200_000
    assert [(int(o["side"]), int(o["px"]), int(o["qty"]), int(o["reduce"])) for o in orders if o["id"]] == [
        (ASK, 6_000, 1_000, 1), (BID, 3_000, 500, 0)
    ]  # fmt: skip
    # what the bid may cost: 5 x 0.30 dollars, and a bound of its fee
    reserved = [int(one["reserved_uusd"]) for one in orders if one["id"]]
    assert sum(reserved) == record.reserved_uusd == state.pool["reserved_uusd"][0, 0] >= 1_500_000
    assert reserved[1] >= 1_500_000
    intents = env.sent[0]
    intents["do"] = 1
    mirror.clear(intents)
    assert (intents["do"] == DO_NOTHING).all() and not state.orders[0]["id"].any()
    assert state.position["yes_held_qty"][0] == 0 and state.pool["reserved_uusd"][0, 0] == 0
    assert position["yes_qty"] == 3_000, "what is held stays"
    assert other == (state.account[1].tobytes(), state.pool[1].tobytes(), state.market[1].tobytes())
    record.journal.close()


def test_a_fill_is_in_the_equity_at_once(tmp_path):
    record = record_of(tmp_path, ["A"])
    env = TradingVectorEnv(1, limits="balanced", cash=100.0)
    env.reset()
    mirror, state = Mirror(env.engine, 0), env.engine.state
    mirror.show(mirror.image(record))
    assert state.account["equity_uusd"][0] == state.account["peak_uusd"][0] == 100_000_000
    mirror.clear(env.sent[0])
    env.engine.submit(env.sent)
    env.engine.advance(1.0)
    # 10 YES at 90 cents: 1,000 lots x 9,000 = 9 dollars, no fee; worth the mid afterwards
    record.fill(FillSaid("f", "o", "A", BID, 9_000, 1_000, 0, False, T0), T0, "channel")
    mirror.show(mirror.image(record))
    worth = 1_000 * int(state.market["mid2_px"][0]) // 2
    assert state.account["equity_uusd"][0] == 91_000_000 + worth < 100_000_000
    assert state.account["peak_uusd"][0] == 100_000_000
    record.journal.close()


def test_no_order_of_a_real_account_is_filled_by_the_simulator(tmp_path):
    record = record_of(tmp_path, ["A"])
    record.intend(Intent("A", BID, NO, 9_900, 500, GTC, 0, False, False, T0))  # crosses whatever is there
    env = TradingVectorEnv(1, limits="balanced", fill_model="optimistic")
    env.reset()
    mirror = Mirror(env.engine, 0)
    for _ in range(50):
        mirror.show(mirror.image(record))
        mirror.clear(env.sent[0])
        env.engine.submit(env.sent)
        env.engine.advance(1.0)
        assert env.engine.state.account["n_fills"][0] == 0
    record.journal.close()


def test_nothing_is_sent_without_a_mode(monkeypatch, tmp_path):
    beside = Beside(monkeypatch, tmp_path, "checkpoint=baseline:imbalance", "minutes=0.1")
    asyncio.run(beside.main())
    assert not beside.venue.exchange.orders
