"""Leave to trade, caps that grow, budgets whose breach ends it, the kill switch, and the journal's own refusals."""

from __future__ import annotations

import msgspec
import pytest
from orders_help import CASH, Bench, account, fill, held

from benchmarks.order_world import ACCOUNT
from live.orders.caps import Budgets, Caps, Confirmation, Permit, permit
from live.orders.journal import Intent, Journal, JournalError
from live.orders.manager import Manager
from live.orders.requests import Accepted, AskAccount, Cancel, Failed, Place
from sim.types import ASK, BID, UUSD, YES

TINY = Caps()
SAID = Confirmation(ACCOUNT, 5 * UUSD, 20 * UUSD, 20 * UUSD, 80 * UUSD, 5 * UUSD, 10 * UUSD)
HOUR = 3_600


def test_the_defaults_are_tiny():
    assert (TINY.order_uusd, TINY.risk_uusd, TINY.orders_per_s) == (5 * UUSD, 20 * UUSD, 1)
    assert permit(ACCOUNT, TINY, Budgets(), enabled=True, confirmation=SAID).caps == TINY


@pytest.mark.parametrize("enabled", [False, 1, "true", None])
def test_nothing_goes_without_being_enabled(enabled):
    with pytest.raises(PermissionError, match=r"live[.]enabled=true"):
        permit(ACCOUNT, TINY, Budgets(), enabled=enabled, confirmation=SAID)


@pytest.mark.parametrize("field", Confirmation.__struct_fields__)
def test_every_limit_must_be_confirmed(field):
    wrong = "other" if field == "account" else getattr(SAID, field) + 1
    with pytest.raises(PermissionError, match="not confirmed"):
        permit(ACCOUNT, TINY, Budgets(), enabled=True, confirmation=msgspec.structs.replace(SAID, **{field: wrong}))
    with pytest.raises(PermissionError, match="not confirmed"):
        permit(ACCOUNT, TINY, Budgets(), enabled=True)


def test_a_permit_cannot_be_made_by_hand():
    with pytest.raises(TypeError, match="permit"):
        Permit(ACCOUNT, TINY, Budgets(), object())


def test_a_permit_is_for_its_own_account():
    leave = permit(ACCOUNT, TINY, Budgets(), enabled=True, confirmation=SAID)
    with pytest.raises(ValueError, match="the permit is for 'primary'"):
        Manager([], Journal(":memory:", "kalshi", "other", 0), leave, 0)


def watched(bench: Bench, hours: float) -> None:
    for _ in range(round(hours * HOUR / 10)):
        bench.later(10)
        for asked in bench.popped(AskAccount):
            bench.answer(asked, account())


def test_caps_grow_with_hours_within_budgets_and_fall_on_a_breach():
    bench = Bench(caps=Caps(grow_h=0.5, doublings=1), budgets=Budgets())
    governor = bench.manager.governor
    watched(bench, 0.49)
    assert (governor.order_uusd, governor.risk_uusd) == (5 * UUSD, 20 * UUSD)
    watched(bench, 0.02)
    assert (governor.order_uusd, governor.risk_uusd) == (10 * UUSD, 40 * UUSD)
    watched(bench, 0.6)
    assert governor.level == 1  # no further than was confirmed
    again = Bench(journal=bench.journal, caps=Caps(grow_h=0.5, doublings=1), budgets=Budgets(), start=False)
    assert again.manager.governor.order_uusd == 10 * UUSD
    bench.manager.breach("a test", bench.now)
    assert (governor.order_uusd, bench.manager.mode) == (5 * UUSD, "baseline")


def test_time_that_nobody_watched_does_not_count():
    bench = Bench(caps=Caps(grow_h=0.5, doublings=1), budgets=Budgets())
    bench.later(3 * HOUR)
    assert bench.manager.governor.level == 0


def test_a_daily_loss_ends_trading_and_a_person_lifts_it():
    bench = Bench(budgets=Budgets(daily_loss_uusd=1 * UUSD, drawdown_uusd=50 * UUSD))
    bench.place(qty=1_000, px=4700, order_id="v1")
    bench.tell(fill(qty=1_000))  # 10 contracts at .47, marked at .50
    bench.place(qty=100, px=4600, order_id="v2", market=1)
    bench.later(1)
    assert bench.manager.mode == "trading"
    bench.sights[0] = bench.sights[0]._replace(bid_px=3400, ask_px=3600)  # 10 x (.35 - .47) = -1.20
    requests = bench.want()
    assert bench.manager.mode == "baseline" and "lost today" in bench.manager.governor.why
    assert [one.order_id for one in requests if isinstance(one, Cancel)] == ["v2"]
    bench.later(2)
    assert not [one for one in bench.want((1, BID, {"px": 4600, "qty": 1})) if isinstance(one, Place)]
    assert bench.manager.refusals["baseline"] == 1
    sent = bench.want((0, ASK, {"px": 3700, "qty": 500, "leg": YES}))  # what reduces goes out
    assert [one.qty for one in sent if isinstance(one, Place)] == [500]
    again = Bench(journal=bench.journal, start=False)
    assert again.manager.mode == "baseline"
    bench.manager.lift("somebody", bench.now)
    bench.later(2)
    assert bench.manager.mode == "baseline"  # what was lost today is lost, until there is another day
    bench.later(24 * HOUR)
    bench.manager.lift("somebody", bench.now)
    bench.later(2)
    assert [one for one in bench.want((1, BID, {"px": 4600, "qty": 1})) if isinstance(one, Place)]
    assert bench.journal.events("lift")[0][2]["who"] == "somebody"


def test_a_drawdown_over_a_restart_ends_trading():
    budgets = Budgets(daily_loss_uusd=50 * UUSD, drawdown_uusd=2 * UUSD)
    bench = Bench(budgets=budgets)
    bench.place(qty=1_000, px=4700, order_id="v1")
    bench.tell(fill(qty=1_000))
    bench.later(1)
    bench.sights[0] = bench.sights[0]._replace(bid_px=6600, ask_px=6800)
    bench.want()  # 10 x (.67 - .47) = 2 above
    bench.later(10)
    again = Bench(journal=bench.journal, budgets=budgets, start=False)
    again.take(again.manager.heard(True, again.now))
    again.reconcile(account(free=CASH - 4_700_000, fills=[fill(qty=1_000)],
                            positions=[held(1_000, 4_700_000)]))  # fmt: skip
    again.later(1)
    assert again.manager.mode == "trading"  # at the mids of before, for there are none yet
    again.sights[0] = again.sights[0]._replace(bid_px=4600, ask_px=4800)
    again.want()
    assert again.manager.mode == "baseline" and "below the highest" in again.manager.governor.why


def test_many_refusals_by_the_venue_end_trading():
    bench = Bench(budgets=Budgets(daily_loss_uusd=10**9, drawdown_uusd=10**9, reject_share=0.5, reject_window=20))
    for _ in range(10):
        assert bench.manager.mode == "trading"
        bench.later(1)
        (sent,) = bench.want((0, BID, {"px": 4700, "qty": 1}))
        bench.answer(sent, Failed(400, "invalid_order", ""))
    assert bench.manager.mode == "baseline"


def test_a_kill_cancels_refuses_and_survives_a_restart(tmp_path):
    bench = Bench(tmp_path / "j.sqlite")
    bench.place(order_id="v1")
    (waits,) = bench.want((1, BID, {"px": 4700, "qty": 100}))
    requests = bench.manager.kill("a test", bench.now)
    assert [one.order_id for one in requests] == ["v1"]
    (cancel,) = bench.manager.answered(waits, Accepted("v2", 0, 100), bench.now)
    assert cancel.order_id == "v2"  # it was under way
    bench.journal.close()
    again = Bench(journal=Journal(tmp_path / "j.sqlite", "kalshi", ACCOUNT, 0), start=False)
    again.take(again.manager.heard(True, again.now))
    again.want((0, ASK, {"px": 5300, "qty": 1}))
    assert again.manager.mode == "killed" and again.manager.refusals == {"killed": 1}
    again.manager.breach("less than a kill", again.now)
    assert again.manager.mode == "killed"
    again.manager.lift("somebody", again.now)
    assert again.manager.mode == "trading"


def intent(number=0) -> Intent:
    return Intent("M", BID, YES, 4700 + number, 100, 0, 0, False, False, 1)


def test_a_journal_names_what_is_wrong_with_it(tmp_path):
    path = tmp_path / "j.sqlite"
    journal = Journal(path, "kalshi", ACCOUNT, 1)
    with pytest.raises(JournalError, match=r"j[.]sqlite: database is locked; expected .* no other process"):
        Journal(path, "kalshi", ACCOUNT, 1)
    journal.close()
    with pytest.raises(JournalError, match="name another file for this account"):
        Journal(path, "kalshi", "other", 1)
    (tmp_path / "no.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalError, match=r"no[.]sqlite: file is not a database"):
        Journal(tmp_path / "no.sqlite", "kalshi", ACCOUNT, 1)


def test_what_is_committed_is_there_and_nothing_else(tmp_path):
    path = tmp_path / "j.sqlite"
    journal = Journal(path, "kalshi", ACCOUNT, 1)
    first = journal.intend(intent())
    journal.commit()
    second = journal.intend(intent(1))
    journal.close()
    journal = Journal(path, "kalshi", ACCOUNT, 2)
    assert [one.client_id for one in journal.orders()] == [first.client_id]
    assert journal.intend(intent(2)).client_id == second.client_id  # which never left this machine
    journal.commit()
    assert journal.find(first.client_id, "") == first
    assert journal.find("", "") is None and journal.find("sb-x-1", "nobody") is None
