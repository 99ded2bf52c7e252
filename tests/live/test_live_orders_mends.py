"""What a review found wrong with real orders, each as it is now."""

from __future__ import annotations

import pytest
from orders_help import Bench, S, fill

from live.orders.caps import Budgets
from live.orders.requests import Accepted, Amend, Cancel, Place
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
