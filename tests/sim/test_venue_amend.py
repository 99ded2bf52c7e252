"""Amends and priority, own orders that meet, order groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.types import FOK, GTC, IOC
from sim.venues.amend import (
    AMEND_BACK,
    AMEND_CANCEL,
    AMEND_KEEPS,
    AMEND_REPLACE,
    CANCEL_INCOMING,
    CANCEL_RESTING,
    GROUP_FILLS,
    GROUP_WINDOW_NS,
    amend_outcome,
    gives_way,
    group_add,
    group_limit,
    group_reset,
    group_trigger,
    group_volume,
    keeps_priority,
    left_after_amend,
    new_group,
    takeable,
    tif_meeting_own,
)
from sim.venues.fees import KALSHI, POLYMARKET

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("new_px", "new_qty", "kalshi", "polymarket"),
    [
        (5000, 1000, AMEND_KEEPS, AMEND_KEEPS),  # nothing changes
        (5000, 999, AMEND_KEEPS, AMEND_REPLACE),
        (5000, 1001, AMEND_BACK, AMEND_REPLACE),
        (5100, 1000, AMEND_BACK, AMEND_REPLACE),
        (5100, 400, AMEND_BACK, AMEND_REPLACE),
        (4900, 1000, AMEND_BACK, AMEND_REPLACE),
        (5000, 0, AMEND_CANCEL, AMEND_CANCEL),
        (5100, -3, AMEND_CANCEL, AMEND_CANCEL),
    ],
)
def test_amends(new_px, new_qty, kalshi, polymarket):
    assert amend_outcome(KALSHI, 5000, new_px, 1000, new_qty) == kalshi
    assert amend_outcome(POLYMARKET, 5000, new_px, 1000, new_qty) == polymarket
    if new_qty > 0:
        assert keeps_priority(5000, new_px, 1000, new_qty) == (kalshi == AMEND_KEEPS)


def test_an_amends_count_includes_what_was_filled():
    assert left_after_amend(800, 300) == 500
    assert left_after_amend(300, 300) == 0
    assert left_after_amend(200, 300) == 0


def test_who_gives_way():
    assert gives_way(CANCEL_RESTING, 7, 8) == 7
    assert gives_way(CANCEL_INCOMING, 7, 8) == 8
    assert tif_meeting_own(FOK, 1) == IOC
    assert tif_meeting_own(FOK, 0) == FOK
    assert tif_meeting_own(GTC, 1) == GTC
    # 100 shown, 30 of them ahead of our own order
    assert takeable(CANCEL_INCOMING, 100, 30) == 30
    assert takeable(CANCEL_RESTING, 100, 30) == 100
    assert takeable(CANCEL_INCOMING, 20, 30) == 20  # what stood ahead has gone since


def test_a_group_by_hand():
    group = new_group(10)  # contracts: 1000 lots
    assert group_add(group, 0, 600) == 0
    assert group_add(group, 5 * SECOND, 400) == 0  # 1000: at the limit, not above
    # at 15 s the first 600 are out: 400 + 500 = 900
    assert group_add(group, 15 * SECOND, 500) == 0
    assert group_volume(group, 15 * SECOND) == 900
    # at 20 s the 400 are out too: 500 + 501 = 1001
    assert group_add(group, 20 * SECOND, 501) == 1
    assert group_add(group, 60 * SECOND, 1) == 1  # triggered until a reset, whatever the window holds
    group_reset(group)
    assert group["triggered"] == 0
    assert group_volume(group, 60 * SECOND) == 0
    assert group_add(group, 60 * SECOND, 1000) == 0


def test_a_nanosecond_before_the_edge_still_counts():
    group = new_group(10)
    group_add(group, 0, 600)
    assert group_volume(group, GROUP_WINDOW_NS - 1) == 600
    assert group_volume(group, GROUP_WINDOW_NS) == 0


def test_a_lower_limit_and_a_hand_trigger():
    group = new_group(10)
    group_add(group, 0, 600)
    assert group_limit(group, SECOND, 600) == 0
    assert group_limit(group, SECOND, 599) == 1
    group_reset(group)
    group_trigger(group)
    assert group["triggered"] == 1


@given(
    st.lists(st.tuples(st.integers(0, 4 * SECOND), st.integers(1, 400)), max_size=60),
    st.integers(1, 60),
)
def test_a_group_equals_a_list_of_fills(steps, limit):
    group, fills, now, triggered = new_group(limit), [], 0, 0
    for wait, qty in steps:
        now += wait
        fills.append((now, qty))
        inside = sum(q for ns, q in fills if now - ns < GROUP_WINDOW_NS)
        triggered = max(triggered, int(inside > limit * 100))
        assert group_add(group, now, qty) == triggered
        assert group_volume(group, now) == inside


def test_a_full_ring_counts_too_long_and_never_too_little():
    group = new_group(1_000_000)
    fills = []
    rng = np.random.default_rng(1)
    now = 0
    for _ in range(5 * GROUP_FILLS):
        now += int(rng.integers(1, SECOND // 20))
        fills.append((now, int(rng.integers(1, 100))))
        group_add(group, now, fills[-1][1])
        assert group_volume(group, now) >= sum(q for ns, q in fills if now - ns < GROUP_WINDOW_NS)
    assert group_volume(group, now + GROUP_WINDOW_NS) == 0


@pytest.mark.parametrize("limit", [0, -1, 1_000_001])
def test_limits_of_a_group(limit):
    with pytest.raises(ValueError, match=f"limit of {limit} contracts; the venue allows 1 to 1,000,000"):
        new_group(limit)
