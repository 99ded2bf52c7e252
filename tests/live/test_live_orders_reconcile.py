"""The order manager against what the venue says of the account: openings, differences, silence, lists that lag."""

from __future__ import annotations

from orders_help import CASH, HUGE, A, Bench, S, account, fill, held, said

from live.orders.requests import AskAccount, AskOrder, Cancel, Found
from sim.types import BID


def test_the_first_look_is_where_the_ledger_begins():
    bench = Bench(start=False, maker_ppm=17_500)
    old = fill("t0", "before", qty=500, ns=bench.now - S)
    stranger = said("s1", "", left=2_000, px=3000)
    bench.open(account(free=CASH, orders=[stranger], positions=[held(500, 2_350_000)], fills=[old]))
    assert bench.manager.ready
    assert bench.record.ledger.holding(A).lots == [500, 0]
    assert bench.record.ledger.cash_uusd == CASH + 6_000_000  # free, and 20 contracts at .30
    assert bench.record.free_uusd <= CASH
    bench.tell(old)  # its message comes late
    assert bench.record.ledger.holding(A).position == 500
    assert bench.popped(Cancel) == []  # a stranger's order is left alone
    for later in (30, 3):  # it is cancelled: 5 cents of fees had been reserved, at most .0175 x 20 x .21 = .0735
        bench.later(later)
        bench.reconcile(account(free=CASH + 6_050_000, positions=[held(500, 2_350_000)], fills=[old]))
    assert bench.record.ledger.cash_uusd == CASH + 6_050_000
    assert bench.manager.mode == "trading" and not bench.journal.events("recovery")


def test_an_account_that_moves_while_it_is_first_read_is_read_again():
    bench = Bench(start=False)
    bench.take(bench.manager.heard(True, bench.now))
    old = fill("t0", "before", qty=500)
    bench.reconcile(account(free=CASH, fills=[old]))  # the fill came between two requests
    bench.later(3)
    bench.reconcile(account(free=CASH - 2_350_000, positions=[held(500, 2_350_000)], fills=[old]))
    assert not bench.manager.ready and not bench.record.opened
    bench.later(3)
    bench.reconcile(account(free=CASH - 2_350_000, positions=[held(500, 2_350_000)], fills=[old]))
    assert bench.manager.ready and bench.record.ledger.holding(A).lots == [500, 0]


def test_a_fill_that_is_told_before_the_first_look_is_in_it():
    bench = Bench(start=False)
    old = fill("t0", "before", qty=500)
    bench.take(bench.manager.heard(True, bench.now))
    bench.tell(old)
    bench.open(account(free=CASH - 2_350_000, positions=[held(500, 2_350_000)], fills=[old]))
    bench.tell(old)
    assert bench.record.ledger.holding(A).lots == [500, 0]
    assert bench.record.ledger.cash_uusd == CASH - 2_350_000 and not bench.record.fills


def test_what_differs_twice_is_believed_and_ends_trading():
    bench = Bench(budgets=HUGE)
    bench.later(30)
    bench.reconcile(account(free=CASH - 500_000, positions=[held(100, 470_000)]))
    assert bench.record.ledger.holding(A).position == 0 and bench.manager.mode == "trading"
    bench.later(3)
    bench.reconcile(account(free=CASH - 500_000, positions=[held(100, 470_000)]))
    assert bench.record.ledger.holding(A).lots == [100, 0] and bench.record.ledger.cash_uusd == CASH - 500_000
    assert bench.manager.mode == "baseline"
    assert bench.journal.events("recovery")[-1][2] == {"cash_uusd": -500_000, "lots": {A: 100}}


def test_what_differs_once_is_not():
    bench = Bench()
    bench.later(30)
    bench.reconcile(account(free=CASH - 480_000))  # the balance knows a fill that the rest does not yet
    bench.later(3)
    bench.reconcile(account(free=CASH - 480_000, fills=[fill(px=4800)], positions=[held(100, 480_000)]))
    assert bench.manager.mode == "trading" and bench.manager.ready
    assert len(bench.journal.corrections()) == 1  # the opening


def test_a_missed_payout_and_a_late_fill_after_it():
    bench = Bench()
    bench.place(order_id="v1")
    bench.tell(fill())
    bench.later(30)
    bench.reconcile(account(free=CASH - 470_000 + 333_300, payouts=[(A, 3_333)], fills=[fill()]))
    assert bench.manager.ready and bench.record.ledger.cash_uusd == CASH - 470_000 + 333_300
    bench.tell(fill("t2", "other", qty=10, px=4000))  # was traded before the close, told after the payout
    assert bench.record.ledger.cash_uusd == CASH - 470_000 + 333_300 - 40_000 + 33_330


def test_silence_of_the_channel_holds_orders_until_the_account_is_compared():
    bench = Bench()
    bench.take(bench.manager.heard(False, bench.now))
    bench.popped(AskAccount)
    assert not bench.manager.ready
    bench.take(bench.manager.heard(True, bench.now))
    assert bench.want((0, BID, {"px": 4700, "qty": 100})) == []
    assert bench.manager.refusals == {"starting": 1}


def test_an_account_that_does_not_hold_still_is_made_to():
    bench = Bench()
    for number in range(10):
        bench.later(31 if number == 0 else 1.01)
        (asked,) = bench.popped(AskAccount)
        bench.tell(fill(f"t{number}", "other", qty=1))
        bench.answer(asked, account())
    assert not bench.manager.ready


def test_an_order_that_the_venue_stops_listing_is_asked_for():
    bench = Bench()
    bench.place(order_id="v1")
    bench.later(30)
    bench.reconcile(account(free=CASH - 470_000))
    (asked,) = bench.popped(AskOrder)
    assert asked.order_id == "v1"
    bench.answer(asked, Found(said("v1", status="canceled", left=0)))
    assert not bench.record.orders


def test_a_done_order_that_the_venue_goes_on_to_list_is_cancelled():
    bench = Bench()
    sent = bench.place(order_id="v1")
    bench.tell(said("v1", sent.client_id, "canceled", left=0))
    listed = account(free=CASH - 470_000, orders=[said("v1", sent.client_id)])
    bench.later(30)
    bench.reconcile(listed)
    assert bench.popped(Cancel) == []  # lists lag
    bench.later(3)
    bench.reconcile(listed)
    assert [one.order_id for one in bench.popped(Cancel)] == ["v1"]
