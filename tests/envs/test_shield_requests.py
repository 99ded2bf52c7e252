"""What is no order: merges, conversions, resets of the order group."""

from dataclasses import replace

import numpy as np
import pytest
from shielded import FEES, WIDE, desk, order, orders, own, resting, under_way, watch_in

from envs.shield import CRITICAL, ORDER_REASONS, certify
from sim.links import Exclusive
from sim.types import (
    ASK,
    BID,
    DO_CANCEL,
    DO_CONVERT,
    DO_MERGE,
    DO_NOTHING,
    DO_PLACE,
    DO_RESET_GROUP,
    INTENT,
    YES,
)

SET = (Exclusive((0, 1, 2), nets=True),)
TIGHT = replace(WIDE, **dict.fromkeys(("per_trade", "per_market", "per_event", "gross", "net", "daily_loss"), 1e-6))


def asks(do, qty=100):
    intent = np.zeros(1, INTENT)[0]
    intent["do"], intent["qty"] = do, qty
    return intent


def certified(state, wanted, limits=WIDE, links=SET, regime=0):
    watch = watch_in(regime, state)
    return certify(wanted, state.account, state.pool[0], state.market, FEES, limits, watch, links)


def names(verdict):
    return [[ORDER_REASONS[code] for code in row] for row in verdict.reasons]


def test_requests_pass_and_malformed_ones_do_not():
    wanted = orders(2)
    for place, do in (((0, BID), DO_MERGE), ((0, ASK), DO_RESET_GROUP), ((1, BID), DO_CONVERT), ((1, ASK), 77)):
        wanted[place]["do"] = do
    verdict = certified(desk(1, 2), wanted, links=(Exclusive((0, 1), nets=True),))
    assert verdict.orders["do"].tolist() == [[DO_MERGE, DO_RESET_GROUP], [DO_CONVERT, DO_NOTHING]]
    assert ORDER_REASONS[verdict.reasons[1, ASK]] == "malformed"


def test_a_closing_order_must_not_become_an_opening_one_by_a_conversion():
    # 100 NO of market 0 are held. A bid for 100 YES there closes them, and no limit stops it. To convert these NO into
    # YES of markets 1 and 2 would make of it a bid that opens 100 YES: $50 at risk, where a limit allows one cent
    state = own(desk(1, 3), 0, no=100)
    wanted = orders(3, m0_bid=order(50, 100), m0_ask=asks(DO_CONVERT, 10_000))
    verdict = certified(state, wanted, TIGHT)
    assert verdict.orders[0]["do"].tolist() == [DO_PLACE, DO_NOTHING]
    assert names(verdict)[0] == ["passed", "conversion"]
    # the other way round the conversion comes first, and the order waits
    wanted = orders(3, m0_bid=asks(DO_CONVERT, 10_000), m0_ask=order(60, 1, leg=YES), m1_bid=order(40, 1))
    verdict = certified(state, wanted)
    assert verdict.orders["do"].tolist() == [[DO_CONVERT, DO_NOTHING], [DO_NOTHING] * 2, [DO_NOTHING] * 2]
    assert names(verdict)[1][BID] == "conversion"


@pytest.mark.parametrize(
    "there",
    [
        lambda state: resting(state, 1, BID, 40, 1),
        lambda state: resting(state, 1, BID, 40, 1, leaving=1),
        lambda state: under_way(state, 2, ASK, 60, 1, leg=1),
    ],
)
def test_no_conversion_while_the_set_has_an_order_of_ours(there):
    verdict = certified(there(desk(1, 4)), orders(4, m0_bid=asks(DO_CONVERT)))
    assert verdict.orders[0, BID]["do"] == DO_NOTHING
    assert names(verdict)[0][BID] == "conversion"


def test_orders_outside_the_set_do_not_matter():
    state = resting(desk(1, 4), 3, BID, 40, 1)
    wanted = orders(4, m0_bid=asks(DO_CONVERT), m2_ask=asks(DO_CONVERT), m3_bid=order(41, 1))
    verdict = certified(state, wanted)
    assert (verdict.orders == wanted).all() and not verdict.reasons.any()
    again = certified(state, verdict.orders)
    assert (again.orders == verdict.orders).all()


def test_no_conversion_in_critical_nor_without_its_set():
    for links, regime, said in ((SET, CRITICAL, "kill_switch"), ((), 0, "conversion")):
        verdict = certified(desk(1, 3), orders(3, m0_bid=asks(DO_CONVERT)), links=links, regime=regime)
        assert verdict.orders[0, BID]["do"] == DO_NOTHING
        assert names(verdict)[0][BID] == said


def test_the_kill_switch_still_cancels_where_a_conversion_was_asked():
    state = resting(desk(1, 3), 0, BID, 40, 1)
    verdict = certified(state, orders(3, m0_bid=asks(DO_CONVERT)), regime=CRITICAL)
    assert verdict.orders[0, BID]["do"] == DO_CANCEL


def test_a_merge_is_a_message_and_so_is_a_conversion_of_a_set():
    # two merges, one of them asked on both sides; one conversion of two markets: 2 + 1
    wanted = orders(5, m0_bid=asks(DO_CONVERT), m2_bid=asks(DO_CONVERT), m3_bid=asks(DO_MERGE), m3_ask=asks(DO_MERGE),
                    m4_ask=asks(DO_MERGE))  # fmt: skip
    verdict = certified(desk(1, 5), wanted)
    assert (verdict.orders == wanted).all()
    assert verdict.messages == 3


def test_beyond_the_budget_none_of_them_passes():
    limits = replace(WIDE, messages=2)
    wanted = orders(5, m0_bid=asks(DO_CONVERT), m2_bid=asks(DO_CONVERT), m3_bid=asks(DO_MERGE), m4_bid=asks(DO_MERGE))
    verdict = certified(desk(1, 5), wanted, limits)
    assert verdict.orders[:, BID]["do"].tolist() == [DO_CONVERT, DO_NOTHING, DO_CONVERT, DO_MERGE, DO_NOTHING]
    assert names(verdict)[4][BID] == "messages" and verdict.messages == 2
    state = desk(1, 5)
    watch = watch_in(0, state)
    watch["window"], watch["used"] = 1, 2  # the second interval of 60 s
    verdict = certify(wanted, state.account, state.pool[0], state.market, FEES, limits, watch, SET)
    assert (verdict.orders["do"] == DO_NOTHING).all() and verdict.messages == 2
