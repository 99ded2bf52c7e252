"""What is too old for an order: every part by hand, and the laws of ages."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.shadow.staleness import (
    BAR,
    CONNECTION,
    CROSSED,
    FEATURE,
    LOST,
    PARTS,
    PREDICTION,
    QUOTE,
    Ages,
    Freshness,
    TimeToLive,
)
from sim.types import CLOSED, DO_CANCEL, DO_NOTHING, DO_PLACE, HALTED, OPEN, PAUSED, SECOND_NS
from tests.live.parity import Beside, tell

S = SECOND_NS
NEVER = np.array([-1])
OPENED, NO = np.array([OPEN]), np.array([False])


def ages(connection_s=0.0, quote_s=0.0, bar_s=0.0, feature_s=0.0, prediction_s=None):
    quote = np.array([round(quote_s * S)])
    prediction = NEVER if prediction_s is None else np.array([round(prediction_s * S)])
    return Ages(round(connection_s * S), quote, round(bar_s * S), round(feature_s * S), prediction)


def told_every(seconds, count=50, **rules):
    """A market whose book changed ``count`` times, ``seconds`` apart, last at ``count * seconds``."""
    fresh = Freshness(TimeToLive(**rules), 1)
    for number in range(1, count + 1):
        fresh.changed(0, round(number * seconds * S))
    return fresh


def parts_of(verdict, market=0):
    return [PARTS[part] for part in np.flatnonzero(verdict.parts[market])]


def test_all_new_is_of_quality_one():
    verdict = told_every(1.0).judge(ages(), OPENED, NO, NO)
    assert not verdict.stale[0] and verdict.quality[0] == 1.0 and parts_of(verdict) == []


@pytest.mark.parametrize(
    ("part", "limit_s", "told"),
    [  # told every second: 30 usual intervals of grace are 30 s, between 5 s and 900 s
        (CONNECTION, 25.0, "connection_s"),
        (QUOTE, 30.0, "quote_s"),
        (BAR, 5.0, "bar_s"),
        (FEATURE, 1.0, "feature_s"),
        (PREDICTION, 600.0, "prediction_s"),
    ],
)
def test_each_part_is_good_until_its_time_to_live(part, limit_s, told):
    fresh = told_every(1.0)
    young = fresh.judge(ages(**{told: 0.4 * limit_s}), OPENED, NO, NO)
    assert not young.stale[0] and young.quality[0] == pytest.approx(0.6)
    last = fresh.judge(ages(**{told: limit_s - 1e-9}), OPENED, NO, NO)
    assert not last.stale[0] and 0 < last.quality[0] < 1e-8
    old = fresh.judge(ages(**{told: limit_s}), OPENED, NO, NO)
    assert old.stale[0] and old.quality[0] == 0.0 and parts_of(old) == [PARTS[part]]


@pytest.mark.parametrize(("part", "lost", "crossed"), [(LOST, True, False), (CROSSED, False, True)])
def test_a_book_that_is_lost_or_crossed_is_never_good_enough(part, lost, crossed):
    verdict = told_every(1.0).judge(ages(), OPENED, np.array([lost]), np.array([crossed]))
    assert verdict.stale[0] and verdict.quality[0] == 0.0 and parts_of(verdict) == [PARTS[part]]


def test_markets_are_judged_one_by_one_and_a_connection_is_everybodys():
    fresh = Freshness(TimeToLive(), 2)
    both = np.array([OPEN, OPEN])
    old = Ages(0, np.array([0, 901 * S]), 0, 0, np.array([-1, -1]))
    verdict = fresh.judge(old, both, np.zeros(2, np.bool_), np.zeros(2, np.bool_))
    assert verdict.stale.tolist() == [False, True] and verdict.quality.tolist() == [1.0, 0.0]
    silent = old._replace(connection_ns=25 * S, quote_ns=np.zeros(2, np.int64))
    assert fresh.judge(silent, both, np.zeros(2, np.bool_), np.zeros(2, np.bool_)).stale.all()


@pytest.mark.parametrize(
    ("every_s", "allowed_s"),
    [
        (0.1, 5.0),  # 30 x 0.1 s = 3 s, and a busy market's book has 5 s at least
        (1.0, 30.0),
        (10.0, 300.0),
        (60.0, 900.0),  # 30 x 60 s = 1800 s, and a quiet one's has 900 s at most
    ],
)
def test_how_long_a_book_may_be_silent_is_measured_on_itself(every_s, allowed_s):
    assert told_every(every_s).allowed_ns(OPENED)[0] == pytest.approx(allowed_s * S)


def test_the_usual_interval_is_an_average_of_32_messages():
    fresh = told_every(10.0, 2)  # one interval of 10 s
    fresh.changed(0, 20 * S + 42 * S)  # the next one takes 42 s: 10 + (42 - 10) / 32 = 11 s
    assert fresh.allowed_ns(OPENED)[0] == pytest.approx(330 * S)


def test_a_market_that_moves_fast_has_half():
    fresh = told_every(10.0)
    fresh.changed(0, 500 * S + 2 * S)  # 2 s are less than a quarter of 10 s; 10 + (2 - 10) / 32 = 9.75 s
    assert fresh.allowed_ns(OPENED)[0] == pytest.approx(9.75 * 30 / 2 * S)
    slow = told_every(10.0)
    slow.changed(0, 500 * S + 3 * S)  # 3 s are not: 10 - 7 / 32 = 9.78125 s
    assert slow.allowed_ns(OPENED)[0] == pytest.approx(9.78125 * 30 * S)
    busy = told_every(0.2)  # 30 x 0.2 s = 6 s, of which half would be 3 s: 5 s at least
    busy.changed(0, round(10.0 * S) + S // 100)
    assert busy.allowed_ns(OPENED)[0] == 5 * S


@pytest.mark.parametrize("status", [PAUSED, CLOSED, HALTED])
def test_nobody_wonders_at_silence_where_nothing_is_traded(status):
    fresh = told_every(0.1)
    assert fresh.allowed_ns(np.array([status]))[0] == 900 * S
    assert not fresh.judge(ages(quote_s=600.0), np.array([status]), NO, NO).stale[0]
    assert fresh.judge(ages(quote_s=600.0), OPENED, NO, NO).stale[0]


def test_a_market_that_was_told_once_has_the_time_of_a_quiet_one():
    fresh = Freshness(TimeToLive(), 1)
    fresh.changed(0, 5 * S)
    fresh.changed(0, 5 * S)  # a snapshot's rows have one stamp, and are no interval
    assert fresh.allowed_ns(OPENED)[0] == 900 * S
    assert fresh.quote_age_ns(7 * S).tolist() == [2 * S]
    assert fresh.quote_age_ns(4 * S).tolist() == [0]  # a clock that was set back makes nothing younger than new


def test_where_nothing_was_forecast_no_forecast_is_too_old():
    fresh = told_every(1.0)
    assert not fresh.judge(ages(prediction_s=None), OPENED, NO, NO).stale[0]


seconds = st.floats(0.0, 2000.0)


@settings(deadline=None, max_examples=300)
@given(
    st.tuples(seconds, seconds, seconds, seconds, seconds),
    st.tuples(seconds, seconds, seconds, seconds, seconds),
    st.sampled_from([OPEN, PAUSED, HALTED]),
    st.floats(0.01, 100.0),
    st.booleans(),
    st.booleans(),
)
def test_older_is_never_fresher_and_stale_is_no_quality_at_all(young, more, status, every_s, lost, crossed):
    fresh, status = told_every(every_s, 5), np.array([status])
    lost, crossed = np.array([lost]), np.array([crossed])
    older = [one + other for one, other in zip(young, more, strict=True)]
    first = fresh.judge(ages(*young), status, lost, crossed)
    second = fresh.judge(ages(*older), status, lost, crossed)
    for verdict in (first, second):
        assert 0.0 <= verdict.quality[0] <= 1.0
        assert verdict.stale[0] == (verdict.quality[0] == 0.0) == verdict.parts[0].any()
    assert second.quality[0] <= first.quality[0] and (second.parts | ~first.parts).all()


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=40), st.sampled_from([OPEN, HALTED]))
def test_a_book_may_always_be_silent_for_some_time_and_never_for_ever(stamps, status):
    fresh = Freshness(TimeToLive(), 1)
    for stamp in stamps:  # in any order: a clock may be stepped
        fresh.changed(0, stamp)
    assert 5 * S <= fresh.allowed_ns(np.array([status]))[0] <= 900 * S


@pytest.mark.parametrize("field", [one.name for one in dataclasses.fields(TimeToLive)])
def test_times_that_are_none_are_refused(field):
    for value in (0.0, float("nan")):
        with pytest.raises(ValueError, match="expected times above 0"):
            TimeToLive(**{field: value})


def test_a_busy_market_has_no_longer_than_a_quiet_one():
    with pytest.raises(ValueError, match="quote_s not above quiet_s"):
        TimeToLive(quote_s=10.0, quiet_s=9.0)


# What becomes of it: the second half of a session's step


def in_two_markets():
    """A session of two markets in which both sides of each have a row that places."""
    beside = Beside(tell("kalshi", 2, 10.0))
    look = beside.session.begin()
    buy = int(np.flatnonzero(look.masks[0, 0])[-1])
    return beside.session, np.array([[buy, buy]])


def test_no_order_goes_out_to_a_market_that_is_stale():
    session, actions = in_two_markets()
    free = session.certify(actions).orders["do"].copy()
    assert (free == DO_PLACE).any(2).all()
    sent = session.certify(actions, np.array([True, False]))
    assert (sent.orders["do"][0, 0] == DO_NOTHING).all() and sent.held[0, 0].any()
    assert (sent.orders["do"][0, 1] == free[0, 1]).all() and not sent.held[0, 1].any()
    assert (session.certify(actions, np.array([True, True])).orders["do"] == DO_NOTHING).all()


def test_cancels_go_out_wherever():
    session, actions = in_two_markets()
    core_prepare = session.env.core.prepare

    def cancelling(actions, now):
        core_prepare(actions, now)
        session.env.sent["do"][0, 0] = DO_CANCEL

    session.env.core.prepare = cancelling
    sent = session.certify(actions, np.array([True, True]))
    assert sent.orders["do"][0, 0].tolist() == [DO_CANCEL, DO_CANCEL] and not sent.held[0, 0].any()
    assert (sent.orders["do"][0, 1] == DO_NOTHING).all()


def test_the_kill_switch_cancels_everything_and_places_nothing():
    session, actions = in_two_markets()
    sent = session.certify(actions, np.array([False, True]), cancel=True)
    assert (sent.orders["do"] == DO_CANCEL).all() and not sent.held.any()
