"""Every limit by hand: the size it leaves, its reason, and that the whole order passes where the limit is not there."""

from dataclasses import replace

import numpy as np
import pytest
from shielded import FEES, WIDE, desk, judge, order, orders, own, resting, under_way, watch_in

from envs.shield import CRITICAL, ORDER_REASONS, PRESETS, WARNING, certify, new_watch
from sim.links import Exclusive, Same
from sim.types import (
    ASK,
    BID,
    CLOSED,
    DO_CANCEL,
    DO_NOTHING,
    DO_PLACE,
    GTC,
    IOC,
    NO,
    SECOND_NS,
    UUSD,
)

TIED = (Same(0, 1),)


def long_elsewhere():
    """Market 0: 100 YES for 0.50 each, $50 at risk. Market 1: nothing."""
    return own(desk(1, 2), 0, yes=100)


def lost_today():
    """$40 realised since the day began: 39 of results and 1 of fees."""
    state = desk(1, 2)
    state.position["realised_uusd"][0] = -39 * UUSD
    state.pool["fees_uusd"] = 1 * UUSD
    return state


BID_40 = {"m1_bid": order(40, 1000)}  # 1000 contracts at 0.40, post-only: $400, no fee
RISING = ("per_trade", "per_market", "per_event", "gross")  # each at most the next, so they tighten together


def down_to(name, value):
    """The limit with those that must not be above it."""
    return dict.fromkeys(RISING[: RISING.index(name) + 1], value)


# name: limits, state, links, contracts of BID_40 that pass. The account has $10,000.
CASES = {
    # $50. A post-only bid at 0.40 costs 4000 uusd a lot: 50e6 / 4000 = 12,500 lots
    "per_trade": (down_to("per_trade", 0.005), long_elsewhere, (), 125.0),
    # $100, of which 30 are used: 70e6 / 4000 = 17,500 lots
    "per_market": (down_to("per_market", 0.01), lambda: own(desk(1, 2), 1, yes=100, yes_price=0.3), (), 175.0),
    # $100 for both markets, of which market 0 uses 50: 50e6 / 4000 = 12,500 lots
    "per_event": (down_to("per_event", 0.01), long_elsewhere, TIED, 125.0),
    "gross": (down_to("gross", 0.01) | {"net": 0.01}, long_elsewhere, (), 125.0),
    "net": ({"net": 0.01}, long_elsewhere, (), 125.0),
    # $100, of which 40 are lost: 60e6 / 4000 = 15,000 lots
    "daily_loss": (down_to("gross", 0.01) | {"net": 0.01, "daily_loss": 0.01}, lost_today, (), 150.0),
    # 10,000 - 9,900 = $100, of which 60 may be locked by what is under way: 40e6 / 4000 = 10,000 lots
    "cash_buffer": (
        {"cash_buffer": 0.99, "per_trade": 0.01},
        lambda: under_way(desk(1, 2), 0, BID, 40, 150),
        (), 100.0,
    ),
    "order_size": ({"order_size": 70.0, "critical_size": 70.0}, long_elsewhere, (), 70.0),
    "price_band": ({"min_price": 0.41}, long_elsewhere, (), 0.0),
    "distance": ({"max_distance": 0.09}, long_elsewhere, (), 0.0),  # 0.40 is 0.10 from the mid
    # to replace a bid of ours takes two messages
    "messages": ({"messages": 1}, lambda: resting(desk(1, 2), 1, BID, 39, 10), (), 0.0),
    # an ask of ours at 0.40 is on its way out: it may still be there when the bid arrives
    "self_cross": ({"self_cross": True}, lambda: resting(desk(1, 2), 1, ASK, 40, 10, leg=NO, leaving=1), (), 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_largest_size_under_each_limit(name):
    tight, make_state, links, contracts = CASES[name]
    state = make_state()
    verdict = judge(state, replace(WIDE, **tight), links, watch_before_losses(state), **BID_40)
    safe = verdict.orders[1, BID]
    reached = safe["qty"] / 100 if safe["do"] == DO_PLACE else 0.0
    assert ORDER_REASONS[verdict.reasons[1, BID]] == name
    assert reached == contracts
    assert verdict.cuts[1, BID] == 100_000 - round(contracts * 100)


def watch_before_losses(state):
    """The day began before anything was realised."""
    watch = new_watch(state.account, state.pool[0], state.market)
    watch["day_realised_uusd"] = 0
    return watch


@pytest.mark.parametrize("name", CASES)
def test_without_that_limit_the_whole_order_passes(name):
    _, make_state, links, _ = CASES[name]
    state = make_state()
    verdict = judge(state, WIDE, links, watch_before_losses(state), **BID_40)
    assert verdict.orders[1, BID] == BID_40["m1_bid"]
    assert not verdict.reasons.any() and not verdict.cuts.any()


def test_a_market_limit_counts_position_orders_at_rest_and_under_way():
    state = own(desk(), 0, yes=100, yes_price=0.3)  # 30
    resting(state, 0, BID, 20, 100)  # + 20
    under_way(state, 0, BID, 10, 100, leaving=1)  # + 10, though its cancel is under way
    limits = replace(WIDE, per_market=0.01, per_trade=0.01)
    verdict = judge(state, limits, m0_bid=order(40, 200))
    # 100 - 60 = $40 / 0.40 = 100 contracts
    assert verdict.orders[0, BID]["qty"] == 100 * 100
    assert ORDER_REASONS[verdict.reasons[0, BID]] == "per_market"


def test_what_hedges_may_use_both_outcomes():
    # 100 YES for 0.50: -50 where NO wins, +50 where YES wins. An ask at 0.60 risks 0.40 where YES wins:
    # -50 + 0.4 q <= 100 gives 375 contracts of NO; the outcome NO stays at 50
    state = own(desk(), 0, yes=100)
    limits = replace(WIDE, per_market=0.01, per_trade=0.01)
    verdict = judge(state, limits, m0_ask=order(60, 1000, leg=NO))
    # per trade: closing takes 100 contracts, 0.4 x (q - 100) <= 100 gives 350: the smaller
    assert verdict.orders[0, ASK]["qty"] == 350 * 100
    assert ORDER_REASONS[verdict.reasons[0, ASK]] == "per_trade"
    limits = replace(WIDE, per_market=0.01, per_trade=0.01, order_size=370.0, critical_size=1.0)
    state = own(state, 0, yes=200)
    # -50 more where YES wins: 200 YES for 0.50, -100 + 0.4 q <= 100 gives 500; per trade 0.4 (q - 200) <= 100: 450
    assert judge(state, limits, m0_ask=order(60, 1000, leg=NO)).orders[0, ASK]["qty"] == 370 * 100


def test_taker_fees_count():
    # k = 5000 uusd a lot, F(q) = 99 + max(175 q + q, 99 q): 5176 q + 99 <= 50e6 gives 9659 lots
    limits = replace(WIDE, per_trade=0.005)
    verdict = judge(desk(), limits, m0_bid=order(50, 200, post_only=0, tif=IOC))
    assert verdict.orders[0, BID]["qty"] == 9659


def test_a_budget_bounds_the_cost_but_not_the_fees():
    # 10,000 lots at 0.50 would cost $50; the budget is $20, and their fees 99 + 175 x 10,000 + 10,000 uusd: 21.760099
    taker = order(50, 100, post_only=0, tif=IOC, budget=20 * UUSD)
    for cap, passes in ((0.002177, True), (0.002176, False)):
        verdict = judge(desk(), replace(WIDE, per_trade=cap), m0_bid=taker)
        assert (verdict.orders[0, BID]["qty"] == 10_000) == passes


def test_a_budget_may_buy_more_than_closes():
    # 100 NO held: 100 contracts close. 1000 with a budget of $50 may come at 0.05 and open 900, so all of the budget
    # and the fees count against the cap of $50: only what closes is left
    state = own(desk(), 0, no=100)
    taker = order(50, 1000, post_only=0, tif=IOC, budget=50 * UUSD)
    verdict = judge(state, replace(WIDE, per_trade=0.005), m0_bid=taker)
    assert verdict.orders[0, BID]["qty"] == 100 * 100
    assert ORDER_REASONS[verdict.reasons[0, BID]] == "per_trade"


def test_fees_count_in_the_other_outcome_where_the_gain_does_not_pay_for_them():
    # a taker at 0.99 gains 100 uusd a lot where it wins, and one lot may cost 99 + 99 = 198 of fees there:
    # 1000 lots may cost 99 + max(175 x 1000 + 1000, 99,000) = 176,099 in both outcomes
    state = own(desk(), 0, no=1000, no_price=0.01)  # loses $10 where YES wins
    taker = order(99, 10, post_only=0, tif=IOC)  # closes part of that
    for share, lots in ((0.001116, 100), (0.001115, 99)):
        limits = replace(WIDE, per_trade=share, per_market=share)
        verdict = judge(state, limits, m0_bid=taker, m0_ask=order(2, 1, leg=NO))
        assert verdict.orders[0, BID] == taker
        # 10,000,000 + 176,099 + 9800 q <= 11,160,000 gives 100.4 lots, <= 11,150,000 gives 99.4
        assert verdict.orders[0, ASK]["qty"] == lots


def test_what_only_closes_passes_every_risk_limit():
    state = own(desk(1, 2), 0, yes=1000, yes_price=0.9)
    tiny = dict.fromkeys((*RISING, "net", "daily_loss"), 1e-6) | {"cash_buffer": 0.99, "min_price": 0.6}
    limits = replace(WIDE, **tiny)
    for sale in (order(55, 1000), order(55, 1000, post_only=0, tif=IOC), order(55, 1000, leg=NO)):
        verdict = judge(state, limits, m0_ask=sale)
        assert verdict.orders[0, ASK] == sale
    # one contract more would open
    verdict = judge(state, limits, m0_ask=order(55, 1001, leg=NO))
    assert verdict.orders[0, ASK]["qty"] == 1000 * 100
    assert ORDER_REASONS[verdict.reasons[0, ASK]] == "price_band"


def test_closing_counts_the_orders_that_close_already():
    state = own(desk(), 0, yes=100)
    under_way(state, 0, ASK, 60, 70, leg=NO)
    limits = replace(WIDE, **dict.fromkeys((*RISING, "net"), 1e-6))
    assert judge(state, limits, m0_ask=order(61, 100, leg=NO)).orders[0, ASK]["qty"] == 30 * 100
    # sales of what is held cannot come to more than that, so a second one closes too, if nothing else of the side opens
    assert judge(state, limits, m0_ask=order(60, 100)).orders[0, ASK]["qty"] == 30 * 100
    sales = resting(own(desk(), 0, yes=100), 0, ASK, 61, 100, leaving=1)
    assert judge(sales, limits, m0_ask=order(60, 100)).orders[0, ASK]["qty"] == 100 * 100


def test_a_sale_is_cut_to_what_is_held():
    verdict = judge(own(desk(), 0, yes=30), WIDE, m0_ask=order(60, 50))
    assert verdict.orders[0, ASK]["qty"] == 30 * 100
    assert ORDER_REASONS[verdict.reasons[0, ASK]] == "holding"


def test_breaking_a_pair_is_no_closing():
    # 100 YES and 100 NO for 0.50 and 0.47: a dollar a pair is certain. To sell the YES at 0.40 risks 0.60 a contract:
    # 97 - 100 + 0.6 q <= 10 gives 21.66 contracts
    state = own(desk(), 0, yes=100, no=100, no_price=0.47)
    limits = replace(WIDE, per_market=0.001, per_trade=0.001)
    verdict = judge(state, limits, m0_ask=order(40, 100))
    # per trade: 0.6 q <= 10 gives 16.66: the smaller
    assert verdict.orders[0, ASK]["qty"] == 1666
    assert ORDER_REASONS[verdict.reasons[0, ASK]] == "per_trade"


def test_net_risk_is_less_what_is_held_the_other_way():
    # 100 YES in market 0: $50 one way. In market 1 an ask at 0.60 goes the other: 0.4 q - 50 <= 100 gives 375 contracts
    limits = replace(WIDE, net=0.01)
    verdict = judge(long_elsewhere(), limits, m1_ask=order(60, 1000, leg=NO))
    assert verdict.orders[1, ASK]["qty"] == 375 * 100
    # an order that may sell the YES of market 0 takes that away: 0.4 q <= 100 gives 250
    state = under_way(long_elsewhere(), 0, ASK, 60, 1)
    assert judge(state, limits, m1_ask=order(60, 1000, leg=NO)).orders[1, ASK]["qty"] == 250 * 100


def test_orders_are_judged_market_by_market_bid_first():
    limits = replace(WIDE, **down_to("gross", 0.01), net=0.01)
    verdict = judge(desk(1, 2), limits, m0_bid=order(40, 200), m0_ask=order(60, 200, leg=NO), m1_bid=order(40, 200))
    # the bid takes 80 of $100; the ask of the same market risks 80 in the other outcome: nothing more.
    # 20 are left for market 1: 50 contracts
    assert verdict.orders["qty"].tolist() == [[200 * 100, 200 * 100], [50 * 100, 0]]


def test_self_cross_holds_between_the_orders_of_one_decision():
    limits = replace(WIDE, self_cross=True)
    verdict = judge(desk(), limits, m0_bid=order(50, 10), m0_ask=order(50, 10, leg=NO))
    assert verdict.orders[0, BID]["do"] == DO_PLACE
    assert verdict.orders[0, ASK]["do"] == DO_NOTHING
    assert ORDER_REASONS[verdict.reasons[0, ASK]] == "self_cross"


def test_an_order_that_is_there_already_adds_nothing_and_takes_no_message():
    state = resting(desk(), 0, BID, 40, 100)
    limits = replace(WIDE, per_market=0.004, per_trade=0.004, messages=1)  # $40: all used
    verdict = judge(state, limits, m0_bid=order(40, 100))
    assert verdict.orders[0, BID] == order(40, 100)
    assert verdict.messages == 0
    # more of it: as a new order it would have to fit beside the old one, so what is there is the most
    verdict = judge(state, limits, m0_bid=order(40, 120))
    assert verdict.orders[0, BID]["qty"] == 100 * 100
    assert ORDER_REASONS[verdict.reasons[0, BID]] == "per_market"


def test_a_refused_order_takes_away_what_it_would_have_replaced():
    state = resting(desk(), 0, BID, 40, 100)
    verdict = judge(state, replace(WIDE, max_distance=0.05), m0_bid=order(30, 100))
    assert verdict.orders[0, BID]["do"] == DO_CANCEL
    verdict = judge(desk(), replace(WIDE, max_distance=0.05), m0_bid=order(30, 100))
    assert verdict.orders[0, BID]["do"] == DO_NOTHING


def test_messages_are_counted_by_interval_and_cancels_always_pass():
    state = resting(desk(1, 2), 0, BID, 40, 100)
    limits = replace(WIDE, messages=3, message_seconds=30.0)
    cancel = np.zeros_like(order(1, 1))
    cancel["do"] = DO_CANCEL
    watch = new_watch(state.account, state.pool[0], state.market)
    watch["window"], watch["used"] = 2, 3  # 60 s after the start: the third interval of 30 s
    verdict = judge(state, limits, (), watch, m0_bid=cancel, m1_bid=order(40, 10))
    assert verdict.orders[0, BID]["do"] == DO_CANCEL
    assert verdict.messages == 4
    assert ORDER_REASONS[verdict.reasons[1, BID]] == "messages"
    watch["window"] = 1
    assert judge(state, limits, (), watch, m0_bid=cancel, m1_bid=order(40, 10)).messages == 2


def test_below_the_smallest_order_nothing_is_sent():
    state = desk()
    state.pool["min_qty"] = 500
    verdict = judge(state, replace(WIDE, per_trade=0.0001), m0_bid=order(40, 10))  # $1 / 0.40 = 2.5 contracts
    assert verdict.orders[0, BID]["do"] == DO_NOTHING
    assert ORDER_REASONS[verdict.reasons[0, BID]] == "per_trade"
    verdict = judge(state, WIDE, m0_bid=order(40, 4))
    assert ORDER_REASONS[verdict.reasons[0, BID]] == "minimum"


def test_nothing_is_opened_where_the_book_is_too_old():
    limits = replace(WIDE, stale_warning=60.0)
    state = own(desk(1, 2), 0, yes=100)
    state.market["book_ns"][0] -= 60 * SECOND_NS
    assert judge(state, limits, m0_bid=order(40, 10)).orders[0, BID] == order(40, 10)
    state.market["book_ns"][0] -= 1
    verdict = judge(state, limits, m0_bid=order(40, 10), m0_ask=order(60, 150, leg=NO), m1_bid=order(40, 10))
    assert verdict.orders[0, BID]["do"] == DO_NOTHING
    assert verdict.orders[0, ASK]["qty"] == 100 * 100  # what closes may
    assert verdict.orders[1, BID] == order(40, 10)
    assert [ORDER_REASONS[code] for code in verdict.reasons[0]] == ["stale_book", "stale_book"]


def test_a_closed_market_takes_nothing():
    state = desk()
    state.market["status"] = CLOSED
    verdict = judge(state, WIDE, m0_bid=order(40, 10))
    assert ORDER_REASONS[verdict.reasons[0, BID]] == "not_open"


def test_a_warning_shrinks_caps_and_keeps_away_from_the_mid():
    limits = replace(
        WIDE, warning_factor=0.5, per_trade=0.01, warning_distance=0.02, order_size=300.0, critical_size=1.0
    )
    state = desk()
    watch = watch_in(WARNING, state)
    # $100 x 0.5 / 0.40 = 125 contracts; 300 x 0.5 = 150 is the largest order
    assert judge(state, limits, (), watch, m0_bid=order(40, 200)).orders[0, BID]["qty"] == 125 * 100
    verdict = judge(state, limits, (), watch, m0_bid=order(10, 200))
    assert verdict.orders[0, BID]["qty"] == 150 * 100
    assert ORDER_REASONS[verdict.reasons[0, BID]] == "order_size"
    verdict = judge(state, limits, (), watch, m0_bid=order(49, 10))
    assert ORDER_REASONS[verdict.reasons[0, BID]] == "near_mid"
    assert judge(state, limits, (), watch, m0_bid=order(48, 10)).orders[0, BID] == order(48, 10)
    assert judge(state, limits, m0_bid=order(49, 10)).orders[0, BID] == order(49, 10)


def test_the_kill_switch_cancels_and_then_lets_only_closing_through():
    state = own(desk(1, 2), 0, yes=100)
    resting(state, 0, BID, 40, 10)
    resting(state, 0, ASK, 60, 10, index=1)
    resting(state, 1, BID, 40, 10)
    limits = replace(WIDE, critical_size=60.0, messages=1)
    begins = judge(state, limits, (), watch_in(CRITICAL, state, entered=1), m0_bid=order(45, 10))
    assert begins.orders["do"].tolist() == [[DO_CANCEL, DO_CANCEL], [DO_CANCEL, DO_NOTHING]]
    assert begins.messages == 3  # more than the budget: cancels always pass
    assert ORDER_REASONS[begins.reasons[0, BID]] == "kill_switch"
    # afterwards the sale of 10 of the 100 held may stay, and another may replace it, up to 60 at once
    watch = watch_in(CRITICAL, state)
    limits = replace(limits, messages=100)
    later = judge(state, limits, (), watch, m0_ask=order(55, 100))
    assert later.orders["do"].tolist() == [[DO_CANCEL, DO_PLACE], [DO_CANCEL, DO_NOTHING]]
    assert later.orders[0, ASK]["qty"] == 60 * 100
    assert judge(state, limits, (), watch).orders["do"].tolist() == [[DO_CANCEL, DO_NOTHING], [DO_CANCEL, DO_NOTHING]]


@pytest.mark.parametrize(
    "field, value",
    [("px", 0), ("px", 10_000), ("px", -5), ("qty", 0), ("qty", -(2**63)), ("leg", 2), ("tif", 3), ("tif", -1),
     ("post_only", 2), ("budget_uusd", -1), ("expiry_ns", -1), ("do", -3), ("do", 6)],
)  # fmt: skip
def test_what_no_order_has_is_refused(field, value):
    bad = order(40, 10)
    bad[field] = value
    verdict = judge(desk(), WIDE, m0_bid=bad)
    assert verdict.orders[0, BID]["do"] == DO_NOTHING
    assert ORDER_REASONS[verdict.reasons[0, BID]] == "malformed"


def test_certify_changes_none_of_its_arguments_and_refuses_other_shapes():
    state = own(desk(1, 2), 0, yes=10)
    wanted = orders(2, m0_bid=order(40, 10_000))
    before = wanted.copy(), state.market.copy(), state.account.copy(), state.pool.copy()
    judge(state, PRESETS["balanced"], m0_bid=order(40, 10_000))
    assert (wanted == before[0]).all() and (state.market == before[1]).all()
    assert (state.account == before[2]).all() and (state.pool == before[3]).all()
    watch = new_watch(state.account, state.pool[0], state.market)
    with pytest.raises(ValueError, match=r"expected INTENT orders \(2, 2\), got"):
        certify(orders(3), state.account, state.pool[0], state.market, FEES, WIDE, watch)
    with pytest.raises(ValueError, match="one account and one WATCH"):
        certify(orders(2), state.account, state.pool[0], state.market, np.zeros(0), WIDE, watch[:0])


def test_events_are_markets_tied_directly_or_through_others():
    from envs.shield.stage import events_of

    links = (Same(1, 4), Exclusive((4, 5, 0)))
    assert events_of(links, 7).tolist() == [0, 0, 2, 3, 0, 0, 6]


def test_the_small_account_can_trade_five_contracts():
    for cents in (1, 50, 99):
        for regime in (0, WARNING):
            state = desk()
            for name in ("start_uusd", "equity_uusd", "peak_uusd"):
                state.account[name] = 500 * UUSD
            state.pool["cash_uusd"] = state.pool["start_uusd"] = 500 * UUSD
            state.market["mid2_px"] = 2 * 100 * cents + 400 * (1 if cents < 50 else -1)
            wanted = order(cents, 5, post_only=0, tif=GTC)
            verdict = judge(state, PRESETS["small"], (), watch_in(regime, state), m0_bid=wanted)
            assert verdict.orders[0, BID] == wanted, (cents, regime)
