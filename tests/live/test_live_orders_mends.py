"""What a review found wrong with real orders, each as it is now."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest
from orders_help import ACCOUNT, Bench, S, fill
from test_live_orders_venue import Running, until, wishes

import live.orders.shell as shell
from live.fake.server import FakeVenue
from live.orders.caps import Budgets
from live.orders.journal import THIS_MACHINE, Journal, JournalError, place_of
from live.orders.requests import Accepted, Amend, Cancel, Failed, Place
from live.orders.sights import Sight
from sim.types import ASK, BID, UUSD, YES

TIGHT = Budgets(daily_loss_uusd=1 * UUSD, drawdown_uusd=50 * UUSD)


def of(kind, requests) -> list:
    return [one for one in requests if isinstance(one, kind)]


def breached() -> Bench:
    """10 contracts bought at .47 whose mid is .31: 1.60 of 1.00 dollars lost, and an order that reduces rests."""
    bench = Bench(budgets=TIGHT)
    bench.place(qty=1_000)
    bench.tell(fill(qty=1_000))
    bench.want()
    bench.sights = [one._replace(bid_px=3000, ask_px=3200) for one in bench.sights]
    bench.want()
    assert bench.manager.mode == "baseline"
    (sent,) = of(Place, bench.want((0, ASK, {"px": 3500, "qty": 500, "leg": YES})))
    bench.answer(sent, Accepted("v2", 0, 500))
    bench.asked = []
    return bench


def test_what_reduces_rests_while_a_breach_goes_on():
    bench = breached()
    for _ in range(5):
        assert not of(Cancel, bench.later(0.25))
    (order,) = bench.record.orders.values()
    assert (order.order_id, order.state, order.leaving) == ("v2", "open", False)


@pytest.mark.parametrize("times", [1, 2])
def test_every_kill_cancels_what_rests(times):
    bench = breached()
    requests = [one for _ in range(times) for one in bench.manager.kill("a test", bench.now)]
    assert [one.order_id for one in of(Cancel, requests)] == ["v2"]


@pytest.mark.parametrize(
    ("why", "sight"),
    [("stale", Sight(0, 4800, 5200)), ("crossed", Sight(0, 5200, 4800)), ("starting", Sight(0, 4800, 5200))],
)
def test_no_order_is_prolonged_on_what_is_not_seen(why, sight):
    bench = Bench()
    until = bench.now + 60 * S
    bench.place(qty=100, expiry_ns=until)
    bench.now += 8 * S
    bench.sights = [sight._replace(heard_ns=bench.now - (8 * S if why == "stale" else 0))] * 2
    if why == "starting":  # until the account has been compared again
        bench.manager.heard(False, bench.now)
    for refused, expiry in enumerate((until + S, 0), 1):  # 0 = none at all
        assert not of(Amend | Cancel | Place, bench.want((0, BID, {"px": 4700, "qty": 50, "expiry_ns": expiry})))
        assert bench.manager.refusals == {why: refused}
    (amend,) = of(Amend, bench.want((0, BID, {"px": 4700, "qty": 50, "expiry_ns": until - S})))
    assert (amend.total, amend.expiry_ns) == (50, until - S)  # less, and shorter, may go


def test_an_order_is_prolonged_on_what_is_seen():
    bench = Bench()
    bench.place(qty=100, expiry_ns=bench.now + 60 * S)
    (amend,) = of(Amend, bench.want((0, BID, {"px": 4700, "qty": 100, "expiry_ns": bench.now + 90 * S})))
    assert amend.expiry_ns == bench.now + 90 * S


def test_lifting_what_trades_forgets_nothing():
    bench = Bench(budgets=Budgets(daily_loss_uusd=5 * UUSD, drawdown_uusd=10 * UUSD))
    governor = bench.manager.governor
    assert governor.watch(100 * UUSD, bench.now) == governor.watch(96 * UUSD, bench.now) == ""
    bench.manager.lift("somebody", bench.now)
    assert governor.watch(95 * UUSD, bench.now).startswith("5000000 micro-dollars lost today")
    assert not bench.journal.events("lift")


def test_a_lift_does_not_forget_what_was_lost_today(caplog):
    bench = breached()
    bench.manager.lift("somebody", bench.now)
    assert bench.manager.mode == "trading" and "since 0:00 UTC goes on counting" in caplog.text
    (cancel,) = of(Cancel, bench.later(0.25))  # at once again, which cancels: the mode has changed
    assert bench.manager.mode == "baseline" and cancel.order_id == "v2"
    assert bench.manager.governor.why == ("1600000 micro-dollars lost today, which count until 0:00 UTC, lifted or not")


def test_a_lift_forgets_the_highest_equity():
    bench = Bench(budgets=Budgets(daily_loss_uusd=50 * UUSD, drawdown_uusd=10 * UUSD))
    governor = bench.manager.governor
    governor.watch(100 * UUSD, bench.now)
    bench.manager.breach(governor.watch(90 * UUSD, bench.now), bench.now)
    bench.manager.lift("somebody", bench.now)
    assert bench.manager.mode == "trading"
    assert governor.watch(90 * UUSD, bench.now) == governor.watch(81 * UUSD, bench.now) == ""
    assert "below the highest" in governor.watch(80 * UUSD, bench.now)


def quick(tmp_path) -> Running:
    running = Running(tmp_path / "j.sqlite")
    running.manager.rules = running.manager.rules._replace(look_again_s=0.05)
    return running


HOST = "external-api.kalshi.com"


def test_a_place_is_a_host_and_this_machine_is_one():
    here = {place_of(f"http://{host}/v2") for host in ("127.0.0.1:4000", "127.0.0.1:5000", "localhost", "[::1]:80")}
    assert here == {THIS_MACHINE}
    assert place_of(f"https://{HOST}/trade-api/v2") == HOST


def test_a_journal_is_of_one_place(tmp_path):
    path = tmp_path / "j.sqlite"
    Journal(path, "kalshi", ACCOUNT, 1).close()
    with pytest.raises(JournalError, match=rf"this machine.*expected .*{HOST}.*another live[.]journal"):
        Journal(path, "kalshi", ACCOUNT, 1, place=HOST)
    Journal(path, "kalshi", ACCOUNT, 1).close()  # nothing was changed
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("DELETE FROM meta WHERE key = 'place'")
    with pytest.raises(JournalError, match="'place': ''"):  # of before places were kept: nobody knows
        Journal(path, "kalshi", ACCOUNT, 1)


def test_orders_go_where_their_journal_is_of(tmp_path):
    running = quick(tmp_path)
    running.journal.place = HOST
    with pytest.raises(JournalError, match=r"another live[.]journal"):
        running.orders(FakeVenue(running.venue))


def test_what_sqlite_cannot_do_is_a_journals_error(tmp_path):
    path = tmp_path / "j.sqlite"
    journal = Journal(path, "kalshi", ACCOUNT, 1)
    journal.put("a", "b")
    journal._db.execute("ROLLBACK")  # as SQLite does by itself where a disk is full
    with pytest.raises(JournalError, match=rf"{path}: cannot commit.*expected a journal"):
        journal.commit()
    with pytest.raises(JournalError, match="cannot rollback"):
        journal.close()
    for work in (journal.orders, journal.payouts, lambda: list(journal.fills()), lambda: journal.get("a"),
                 lambda: journal.put("a", "b"), lambda: journal.events("ack")):  # fmt: skip
        with pytest.raises(JournalError, match="closed database"):
            work()


def ran(running: Running, script) -> shell.Orders:
    """What was left by a script that begins with an order of ours at the venue."""
    kept, raised = [], None

    async def whole(orders: shell.Orders) -> None:
        kept.append(orders)
        assert not orders.ended.is_set()
        orders.want(running.clock.now_ns(), wishes((0, BID, 4700, 100)))
        await until(lambda: [one.state for one in orders.account.resting] == ["open"])
        await script(orders)

    try:
        running.run(whole)
    except JournalError as error:
        raised = error
    assert kept[0].error is raised and kept[0].ended.is_set() == (raised is not None)
    return kept[0]


def refusing(monkeypatch) -> None:
    real = shell.carry_out

    async def carry_out(client, request):
        return Failed(503, "unavailable", "not now") if isinstance(request, Cancel) else await real(client, request)

    monkeypatch.setattr(shell, "carry_out", carry_out)


async def breaks(orders: shell.Orders) -> None:
    orders.manager.record.journal.close()
    orders.want(orders._clock.now_ns(), wishes((1, BID, 4700, 100)))
    await orders.ended.wait()


async def leaves(orders: shell.Orders) -> None:
    assert orders.left == ()


def test_an_error_cancels_what_rests_without_the_journal(tmp_path):
    running = quick(tmp_path)
    orders = ran(running, breaks)
    assert isinstance(orders.error, JournalError) and "closed database" in str(orders.error)
    assert not running.venue.exchange.resting and orders.left == ()


@pytest.mark.parametrize("script", [leaves, breaks])
def test_what_could_not_be_cancelled_is_named(tmp_path, monkeypatch, caplog, script):
    running = quick(tmp_path)
    refusing(monkeypatch)
    monkeypatch.setattr(shell, "_FAREWELL_S", 0.2)
    orders = ran(running, script)
    (rests,) = running.venue.exchange.resting.values()
    assert orders.left == (rests.wanted.client_id,)
    assert f"may still be at the venue: {orders.left[0]}" in caplog.text


def test_leaving_names_nothing_where_nothing_is_left(tmp_path):
    running = quick(tmp_path)
    orders = ran(running, leaves)
    assert orders.left == () and not running.venue.exchange.resting and orders.error is None


def test_an_error_while_leaving_cancels_too(tmp_path):
    running = quick(tmp_path)

    async def script(orders: shell.Orders) -> None:
        running.journal.close()  # and whoever notices first ends it

    orders = ran(running, script)
    assert isinstance(orders.error, JournalError)
    assert not running.venue.exchange.resting and orders.left == ()


def test_a_channel_that_ends_is_named(tmp_path):
    running = quick(tmp_path)

    async def script(orders: shell.Orders) -> None:
        async def run() -> None:
            return None

        orders._socket.run = run
        orders._tasks.append(asyncio.create_task(orders._guarded(orders._listen)))
        await orders.ended.wait()

    with pytest.raises(shell.ChannelEndedError, match="the account's own channel has ended"):
        running.run(script)


def test_an_expiry_that_was_never_sent_is_not_believed():
    bench = Bench()
    until_ns = bench.now + 90 * S
    bench.place(qty=100, expiry_ns=until_ns)
    (sent,) = of(Amend, bench.want((0, BID, {"px": 4700, "qty": 80, "expiry_ns": until_ns})))
    second = 0, BID, {"px": 4700, "qty": 50, "expiry_ns": until_ns - 30 * S}
    assert not of(Amend, bench.want(second))  # one is under way
    bench.answer(sent, Accepted("v1", 0, 80))
    (order,) = bench.record.orders.values()
    assert (order.left, order.intent.expiry_ns) == (80, until_ns)
    assert [one.expiry_ns for one in of(Amend, bench.want(second))] == [until_ns - 30 * S]
