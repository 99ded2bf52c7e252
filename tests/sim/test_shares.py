"""Whose orders were cancelled: numbers by hand, and laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.shares import LOG, NONE, POWER, PROPORTIONAL, RULE_NAMES, SNAPSHOT, share_ahead

LOTS = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("rule", "power", "front", "back", "cancelled", "ahead"),
    [
        (NONE, 1.0, 80, 20, 50, 0),
        (PROPORTIONAL, 1.0, 80, 20, 50, 40),  # 50 x 80 / 100
        (PROPORTIONAL, 1.0, 1, 2, 1, 0),  # floor(1 / 3)
        (POWER, 1.0, 75, 25, 10, 7),  # floor(10 x 3 / 4)
        (POWER, 2.0, 80, 20, 50, 47),  # 50 x 6400 / (6400 + 400) = 47.06
        (POWER, 2.0, 20, 80, 50, 2),  # 50 x 400 / 6800 = 2.94
        (POWER, 0.5, 81, 16, 26, 18),  # 26 x 9 / (9 + 4) = 18, less a rounding of the power: 17 or 18
        (LOG, 1.0, 80, 20, 50, 30),  # 50 x 4.3944 / (4.3944 + 3.0445) = 29.5, and at least 50 - 20
        (LOG, 1.0, 80, 40, 50, 27),  # 50 x 4.3944 / (4.3944 + 3.7136) = 27.1
        (SNAPSHOT, 1.0, 80, 20, 50, 30),  # those behind had 20
        (SNAPSHOT, 1.0, 80, 60, 50, 0),
        (PROPORTIONAL, 1.0, 80, -5, 50, 50),  # nobody behind us
        (PROPORTIONAL, 1.0, 0, 20, 10, 0),
    ],
)
def test_by_hand(rule, power, front, back, cancelled, ahead):
    got = share_ahead(rule, power, front, back, cancelled)
    assert got == ahead or (power == 0.5 and got == 17)
    assert isinstance(got, int)


@given(st.sampled_from(range(len(RULE_NAMES))), st.floats(0.1, 5.0), LOTS, LOTS, LOTS)
def test_never_more_than_front_nor_than_the_cancel_nor_less_than_behind_cannot_cover(rule, power, front, back, cancel):
    got = share_ahead(rule, power, front, back, cancel)
    assert 0 <= got <= min(front, cancel)
    if rule != NONE and cancel <= front + back:
        assert cancel - got <= back


@given(st.floats(0.1, 5.0), st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_longer_queue_ahead_loses_more(power, front, back, cancelled):
    for rule in range(len(RULE_NAMES)):
        less = share_ahead(rule, power, front, back, cancelled)
        assert share_ahead(rule, power, 2 * front, back, cancelled) >= less
        assert share_ahead(rule, power, front, back, 2 * cancelled) >= less


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6))
def test_the_first_power_is_the_proportional_rule(front, back, cancelled):
    exact = share_ahead(PROPORTIONAL, 1.0, front, back, cancelled)
    assert abs(share_ahead(POWER, 1.0, front, back, cancelled) - exact) <= 1  # a quotient next to a whole number
