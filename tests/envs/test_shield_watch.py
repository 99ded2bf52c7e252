"""What a decision leaves for the next one, kept by the caller where there is no environment."""

from dataclasses import replace

from shielded import WIDE, desk, judge, order, own, resting, watch_in

from envs.shield import CRITICAL, ORDER_REASONS, REGIME_REASONS, REGIMES, lift
from sim.types import ASK, BID, DO_CANCEL, DO_NOTHING, SECOND_NS, UUSD


def test_a_closing_order_asked_again_does_not_escape_the_kill_switch():
    state = resting(own(desk(), 0, yes=100), 0, ASK, 60, 10)
    sale = order(60, 10)
    begins = judge(state, WIDE, (), watch_in(CRITICAL, state, entered=1), m0_ask=sale)
    assert begins.orders[0, ASK]["do"] == DO_CANCEL
    assert ORDER_REASONS[begins.reasons[0, ASK]] == "kill_switch" and begins.cuts[0, ASK] == 10 * 100
    # there was no room for the cancel: it is sent again
    assert begins.watch["entered"][0] == 1
    assert judge(state, WIDE, (), begins.watch, m0_ask=sale).orders[0, ASK]["do"] == DO_CANCEL
    # now it is on its way: from here what only closes may be sent
    state.orders["leaving"][0, 0] = 1
    later = judge(state, WIDE, (), begins.watch, m0_ask=sale)
    assert later.orders[0, ASK] == sale and later.watch["entered"][0] == 0


def test_the_watch_of_a_verdict_keeps_budget_and_kill_switch():
    limits = replace(WIDE, messages=3, message_seconds=30.0)
    state, watch = desk(1, 2), None
    for used in (2, 3, 3):  # two orders a decision
        verdict = judge(state, limits, (), watch, m0_bid=order(40, 10), m1_bid=order(40, 10))
        watch = verdict.watch
        assert (watch["window"][0], watch["used"][0], verdict.messages) == (2, used, used)
    assert (verdict.orders["do"] == DO_NOTHING).all()
    state.account["now_ns"] += 30 * SECOND_NS
    assert judge(state, limits, (), watch, m0_bid=order(40, 10)).watch["used"][0] == 1


def test_an_operator_lifts_the_latch_of_a_watch():
    state = resting(desk(), 0, BID, 40, 10)
    watch = judge(state, WIDE, (), watch_in(CRITICAL, state, entered=1)).watch
    assert (watch["regime"][0], watch["entered"][0]) == (CRITICAL, 1)
    state.account["equity_uusd"] = 9_000 * UUSD
    lifted = lift(watch, state.account)
    assert REGIMES[lifted["regime"][0]] == "normal" and REGIME_REASONS[lifted["reason"][0]] == "operator"
    assert (lifted["entered"][0], lifted["peak_uusd"][0]) == (0, 9_000 * UUSD)
    assert watch["regime"][0] == CRITICAL
    assert lift(lifted, state.account) == lifted
