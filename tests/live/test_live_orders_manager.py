"""The order manager, told by hand: what it sends, what it refuses, and what it makes of answers in any order."""

from __future__ import annotations

import numpy as np
import pytest
from orders_help import CASH, A, Bench, S, fill, said

from live.orders.caps import Caps
from live.orders.journal import Journal
from live.orders.requests import (
    Accepted,
    Amend,
    AskFills,
    AskOrder,
    Cancel,
    Failed,
    FillsSaid,
    Found,
    Place,
    Reduced,
)
from live.orders.working import DONE, OPEN, UNKNOWN
from sim.tape import FeeRates
from sim.types import ASK, BID, DO_CANCEL, DO_MERGE, INTENT, IOC, NO, UUSD, YES

TIMEOUT = Failed(0, "connection", "no answer in 5 s")


def test_an_order_is_in_the_journal_before_it_is_handed_over(tmp_path):
    bench = Bench(tmp_path / "j.sqlite")
    (sent,) = bench.want((0, BID, {"px": 4700, "qty": 100}))
    bench.journal.close()  # as a crash right after: what was not committed is gone
    journal = Journal(tmp_path / "j.sqlite", "kalshi", "primary", 0)
    assert [one.client_id for one in journal.unfinished()] == [sent.client_id]
    again = Bench(journal=journal, start=False)
    (order,) = again.record.orders.values()
    assert order.state == UNKNOWN and order.leaving
    # it locks 100 lots at .47 and, as it may take, 7 cents x 1 contract x 1/4 of fee and its rounding: .0175 + .0002
    assert again.record.locked_uusd(A) >= 470_000 + 17_500
    (asked,) = [one for one in again.manager.tick(again.now) if isinstance(one, AskOrder)]
    assert (asked.client_id, asked.order_id) == (sent.client_id, "")
    assert not again.manager.ready


def test_client_ids_are_never_used_again():
    bench = Bench()
    first = bench.place(order_id="v1")
    bench.tell(said(status="canceled", left=0))
    assert not bench.record.orders
    second = bench.place(order_id="v2")
    assert first.client_id != second.client_id
    assert Journal(":memory:", "kalshi", "primary", bench.now + 10**9).tag != bench.journal.tag


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda one, now: one._replace(bid_px=one.ask_px), "crossed"),
        (lambda one, now: one._replace(bid_px=one.ask_px + 100), "crossed"),
        (lambda one, now: one._replace(heard_ns=now - 6 * S), "stale"),
        (lambda one, now: one._replace(known=False), "unknown_book"),
        (lambda one, now: one._replace(open=False), "closed"),
    ],
)
def test_nothing_is_sent_on_what_is_not_seen(spoil, why):
    bench = Bench()
    bench.place(order_id="v1")
    bench.sights[0] = spoil(bench.sights[0], bench.now)
    sent = bench.want((0, BID, {"px": 4600, "qty": 100}), (1, BID, {"px": 4600, "qty": 100}))
    # the other market's order goes out, and so does the cancel of what is no longer wanted
    assert [type(one) for one in sent] == [Cancel, Place] and sent[1].ticker != A
    assert bench.manager.refusals == {why: 1}


def test_what_else_refuses():
    bench = Bench(caps=Caps(order_uusd=10 * UUSD, risk_uusd=12 * UUSD, orders_per_s=2, doublings=0))
    wish = (0, BID, {"px": 4700, "qty": 100})

    def why(*wishes, ns=None) -> dict:
        bench.manager.refusals.clear()
        assert not [one for one in bench.want(*wishes, ns=ns) if isinstance(one, Place)]
        return dict(bench.manager.refusals)

    assert why(wish, ns=bench.now - 3 * S) == {"late": 1}
    assert why((0, BID, {"do": DO_MERGE, "qty": 1})) == {"not_offered": 1}
    assert why((0, BID, {"px": 4700, "qty": 100, "expiry_ns": bench.now})) == {"expiry": 1}
    assert why((0, ASK, {"px": 5200, "qty": 100, "leg": YES})) == {"nothing_to_reduce": 1}
    assert why((0, BID, {"px": 5000, "qty": 2_000})) == {"cap_order": 1}  # 10 dollars, and the fee
    assert why((0, BID, {"px": 0, "qty": 1})) == {"size": 1}
    bench.place(qty=1_900, px=5000, order_id="v1")  # locks 9.50, and no fee: a maker's is 0 here
    assert why((1, BID, {"px": 5000, "qty": 600, "post_only": True})) == {"cap_risk": 1}  # 3 more
    bench.place(qty=1, px=100, order_id="v2", market=1)
    assert why((1, ASK, {"px": 9900, "qty": 1})) == {"rate": 1}  # the third in a second
    bench.take(bench.manager.heard(False, bench.now))
    bench.later(1)
    assert why((1, ASK, {"px": 9900, "qty": 1})) == {"starting": 1}


def test_cash_is_reserved_and_released():
    bench = Bench(maker_ppm=0)
    bench.place(px=4700, qty=10_000, order_id="v1")
    assert (bench.record.reserved_uusd, bench.record.free_uusd) == (47_000_000, CASH - 47_000_000)
    bench.want((1, BID, {"px": 6000, "qty": 10_000, "post_only": True}))
    assert bench.manager.refusals == {"cash": 1}  # 60 dollars, and 53 are free
    bench.tell(fill(qty=4_000))
    assert bench.record.ledger.cash_uusd == CASH - 18_800_000
    assert bench.record.reserved_uusd == 28_200_000  # 60 contracts at .47
    bench.tell(fill(qty=4_000))  # again
    assert bench.record.reserved_uusd == 28_200_000
    bench.tell(said(status="canceled", filled=4_000, left=0))
    assert bench.record.reserved_uusd == 0 and not bench.record.orders
    assert [one.fill.key for one in bench.record.fills] == ["t1"]


def test_other_fees_reserve_otherwise():
    bench = Bench()
    bench.place(px=5000, qty=100, order_id="v1")
    assert bench.record.reserved_uusd == 500_000
    bench.record.rates(A, FeeRates("with makers", "kalshi", 70_000, 17_500))
    # .0175 x 1 x 1/4 = 4,375, a micro-dollar for each of 100 lots, and a step of 100 less 1
    assert bench.record.reserved_uusd == 500_000 + 4_375 + 100 + 99


def test_a_side_is_kept_shrunk_or_replaced_as_in_the_simulator():
    bench = Bench()
    bench.place(qty=300, order_id="v1")
    assert bench.want((0, BID, {"px": 4700, "qty": 300})) == []
    (amend,) = bench.want((0, BID, {"px": 4700, "qty": 100}))
    assert isinstance(amend, Amend) and amend.total == 100
    assert bench.want((0, BID, {"px": 4700, "qty": 100})) == []  # it is under way
    assert bench.record.locked_uusd(A) == 300 * 4700  # until the venue says so
    bench.answer(amend, Accepted("v1", 0, 100))
    assert bench.record.locked_uusd(A) == 100 * 4700
    cancel, place = bench.want((0, BID, {"px": 4600, "qty": 100}))
    assert isinstance(cancel, Cancel) and isinstance(place, Place)
    assert bench.record.locked_uusd(A) > 100 * (4700 + 4600)  # both may trade
    bench.answer(place, Accepted("v2", 0, 100))
    bench.answer(cancel, Reduced(100))
    assert [one.order_id for one in bench.record.orders.values()] == ["v2"]
    (cancel,) = bench.want((0, BID, {"do": DO_CANCEL}))
    assert cancel.order_id == "v2"


def test_an_amend_counts_what_has_been_filled():
    bench = Bench()
    bench.place(qty=300, order_id="v1")
    bench.tell(fill(qty=50))
    (amend,) = bench.want((0, BID, {"px": 4700, "qty": 100}))
    assert amend.total == 150


def test_an_order_without_an_answer_is_looked_for_and_not_sent_again():
    bench = Bench()
    (sent,) = bench.want((0, BID, {"px": 4700, "qty": 100}))
    (asked,) = bench.answer(sent, TIMEOUT)
    assert isinstance(asked, AskOrder) and asked.client_id == sent.client_id
    assert bench.want((0, BID, {"px": 4700, "qty": 100})) == []  # it may be there: the same wish sends nothing
    bench.want((0, BID, {"px": 4600, "qty": 100}))
    assert bench.manager.refusals == {"unknown_order": 1}
    bench.answer(asked, Found(said("v9", sent.client_id)))
    (order,) = bench.record.orders.values()
    assert order.state == OPEN and order.order_id == "v9"
    (recovery,) = bench.journal.events("recovery")
    assert recovery[1:] == ("order", {"client_id": sent.client_id, "found": "resting"})
    assert [one.order_id for one in bench.popped(Cancel)] == ["v9"]  # the second wish did not want it


def test_an_order_that_is_nowhere_is_given_up_after_a_while_and_cancelled_should_it_come():
    bench = Bench()
    (sent,) = bench.want((0, BID, {"px": 4700, "qty": 100}))
    (asked,) = bench.answer(sent, TIMEOUT)
    bench.answer(asked, Found(None))
    assert bench.record.reserved_uusd > 0
    bench.later(15)
    (asked,) = bench.popped(AskOrder)[-1:]
    bench.answer(asked, Found(None))
    assert bench.record.reserved_uusd == 0 and not bench.record.orders
    bench.tell(said("v9", sent.client_id))
    (cancel,) = bench.popped(Cancel)
    assert cancel.order_id == "v9" and bench.record.reserved_uusd == 100 * 4700
    assert [what for _, what, _ in bench.journal.events("recovery")] == ["order", "lives_on"]


def test_a_refused_order_holds_nothing():
    bench = Bench()
    (sent,) = bench.want((0, BID, {"px": 4700, "qty": 100}))
    bench.answer(sent, Failed(400, "insufficient_balance", ""))
    assert not bench.record.orders and bench.record.reserved_uusd == 0
    assert bench.popped(AskOrder) == []


def test_messages_may_overtake_the_answer():
    bench = Bench()
    (sent,) = bench.want((0, BID, {"px": 4700, "qty": 100}))
    bench.tell(fill(order_id="v1", qty=60))
    bench.tell(said("v1", sent.client_id, "canceled", filled=60, left=0))
    assert not bench.record.orders
    bench.answer(sent, Accepted("v1", 0, 100))  # written before all that
    assert not bench.record.orders and bench.record.reserved_uusd == 0
    bench.tell(said("v1", sent.client_id, "resting", filled=0, left=100))
    assert not bench.record.orders


def test_what_the_venue_says_was_filled_stays_reserved_until_the_fill_is_here():
    bench = Bench()
    sent = bench.place(qty=100, order_id="v1")
    bench.tell(said("v1", sent.client_id, "executed", filled=100, left=0))
    assert bench.record.locked_uusd(A) >= 470_000
    bench.later(1)
    assert bench.popped(AskFills) == []
    bench.later(1.5)
    (asked,) = bench.popped(AskFills)
    bench.answer(asked, FillsSaid((fill(),)))
    assert bench.record.reserved_uusd == 0 and not bench.record.orders
    assert bench.record.ledger.holding(A).position == 100
    assert bench.journal.events("recovery")[0][1:] == ("fill", {"key": "t1", "source": "rest"})


def test_a_cancel_race_is_settled_by_what_was_left():
    bench = Bench()
    bench.place(qty=100, order_id="v1")
    (cancel,) = bench.want((0, BID, {"do": DO_CANCEL}))
    bench.answer(cancel, Reduced(40))  # 60 were filled on the way
    (order,) = bench.record.orders.values()
    assert (order.state, order.owed) == (DONE, 60)
    bench.tell(fill(qty=60))
    assert not bench.record.orders


def test_a_cancel_of_what_is_gone_asks_what_became_of_it():
    bench = Bench()
    bench.place(qty=100, order_id="v1")
    (cancel,) = bench.want((0, BID, {"do": DO_CANCEL}))
    (asked,) = bench.answer(cancel, Failed(404, "not_found", ""))
    assert isinstance(asked, AskOrder) and asked.order_id == "v1"
    bench.answer(asked, Found(said("v1", status="executed", filled=100, left=0)))
    bench.tell(fill())
    assert not bench.record.orders


def test_a_cancel_that_fails_is_sent_again():
    bench = Bench()
    bench.place(order_id="v1")
    (cancel,) = bench.want((0, BID, {"do": DO_CANCEL}))
    assert bench.answer(cancel, Failed(409, "MARKET_INACTIVE", "")) == []
    assert bench.manager.wake_ns <= bench.now + S
    bench.later(1)
    assert len(bench.popped(Cancel)) == 2


def test_a_cancel_waits_for_the_venues_id():
    bench = Bench()
    (sent,) = bench.want((0, BID, {"px": 4700, "qty": 100}))
    assert bench.want((0, BID, {"do": DO_CANCEL})) == []
    (cancel,) = bench.answer(sent, Accepted("v1", 0, 100))
    assert isinstance(cancel, Cancel) and cancel.order_id == "v1"


def test_an_immediate_order_is_over_with_its_answer():
    bench = Bench()
    (sent,) = bench.want((0, BID, {"px": 5200, "qty": 100, "tif": IOC}))
    bench.answer(sent, Accepted("v1", 30, 0))
    bench.tell(fill(px=5200, qty=30, fee=5_300))
    assert not bench.record.orders
    assert bench.record.ledger.cash_uusd == CASH - 30 * 5200 - 5_300


def test_a_budget_is_kept_at_the_limit_price():
    bench = Bench()
    (sent,) = bench.want((0, BID, {"px": 5200, "qty": 1_000, "budget_uusd": 1_040_000}))
    assert (sent.qty, sent.tif) == (200, IOC)  # 200 x 5200 = 1,040,000
    bench.later(2)
    (sent,) = [one for one in bench.want((1, ASK, {"px": 4800, "qty": 1_000, "budget_uusd": 10_399, "leg": NO}))
               if isinstance(one, Place)]  # fmt: skip
    assert sent.qty == 1  # of NO at .52


def test_orders_that_reduce_never_promise_more_than_is_held():
    bench = Bench()
    bench.place(qty=100, order_id="v1")
    bench.tell(fill(qty=100))
    bench.later(1)
    bench.place(ASK, 5300, 100, order_id="v2", leg=YES)
    assert bench.record.reserved_uusd == 0  # it closes, and makers pay nothing here
    bench.tell(fill("t2", "other", ASK, 5000, 60))  # another program sells 60 of them
    (cancel,) = bench.popped(Cancel)
    assert cancel.order_id == "v2"


def test_self_trade_expiry_and_close_end_orders():
    bench = Bench()
    for number, reason in enumerate(("SelfTradeCancel", "ExpiryCancel", "CloseCancel", "HaltCancel")):
        bench.later(2)
        sent = bench.place(order_id=f"v{number}")
        bench.tell(said(f"v{number}", sent.client_id, "canceled", left=0, reason=reason))
        assert not bench.record.orders
        assert bench.journal.find(sent.client_id, "").why == reason


def test_wishes_of_another_shape_are_refused():
    bench = Bench()
    with pytest.raises(ValueError, match="expected"):
        bench.manager.want(bench.now, np.zeros((3, 2), INTENT), bench.sights, bench.now)
