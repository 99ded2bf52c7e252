"""Rebates and rewards, by the venues' examples and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.venues.fees import POLYMARKET, FeeSchedule, fee_of_fill
from sim.venues.income import (
    CENT_UUSD,
    adjusted_mid2,
    fee_weight,
    incentive_reward,
    incentive_second,
    incentive_side,
    maker_rebate,
    paid_out,
    pool_part,
    rebate_share,
    reward_shares,
    sample_time,
    side_score,
    spread_score,
    two_sided_score,
)

DOLLAR = 1_000_000


def orders(*pairs):
    return np.array([px for px, _ in pairs], np.int64), np.array([qty for _, qty in pairs], np.int64)


def test_spread_score():
    # ((3 - 1) / 3)^2 = 4/9; at the midpoint 1, at the largest spread 0, beyond it 0
    assert spread_score(100, 300, 1.0) == pytest.approx(4 / 9)
    assert spread_score(0, 300, 1.0) == 1
    assert spread_score(300, 300, 1.0) == 0
    assert spread_score(301, 300, 1.0) == 0
    assert spread_score(100, 300, 2.0) == pytest.approx(8 / 9)


def test_the_pages_example():
    """Midpoint 0.50, v = 3 c. Asks of NO at q are bids of YES at 1 - q: 0.51 is a bid at 0.49, and so on."""
    bids = orders((4900, 10_000), (4800, 20_000), (4900, 10_000))  # 100, 200, 100 contracts
    asks = orders((5150, 10_000), (5200, 10_000), (5050, 20_000))
    q_one = side_score(*bids, 10_000, 300, 0, 1.0)
    q_two = side_score(*asks, 10_000, 300, 0, 1.0)
    # 4/9 x 100 + 1/9 x 200 + 4/9 x 100 = 1000/9;  (1.5/3)^2 x 100 + 1/9 x 100 + (2.5/3)^2 x 200 = 25 + 11.1 + 138.9
    assert q_one == pytest.approx(1000 / 9)
    assert q_two == pytest.approx(175)
    assert two_sided_score(q_one, q_two, 10_000) == pytest.approx(1000 / 9)


@pytest.mark.parametrize(
    ("mid2", "score"),
    [
        (10_000, 30.0),  # max(min(90, 10), 90 / 3)
        (2_000, 30.0),  # 10 cents: still inside
        (18_000, 30.0),  # 90 cents: still inside
        (1_999, 10.0),  # below: the smaller side only
        (18_001, 10.0),
    ],
)
def test_one_sided_quotes(mid2, score):
    assert two_sided_score(90.0, 10.0, mid2) == score
    assert two_sided_score(10.0, 90.0, mid2) == score


def test_two_sides_beat_a_third():
    assert two_sided_score(90.0, 31.0, 10_000) == 31.0
    assert two_sided_score(0.0, 0.0, 10_000) == 0.0


def test_small_orders_neither_score_nor_move_the_midpoint():
    assert side_score(*orders((4900, 4999), (4800, 5000)), 10_000, 300, 5000, 1.0) == pytest.approx(50 / 9)
    # a bid of 1 contract at 0.49 does not count: (0.45 + 0.52) / 2
    assert adjusted_mid2([(4500, 5000), (4900, 100)], [(5200, 5000), (5100, 4999)], 5000) == 4500 + 5200
    assert adjusted_mid2([(4500, 5000)], [], 5000) == -1


def test_shares_of_an_epoch():
    # samples: 1:3, nobody, 1:0 -> shares 0.25 + 1 and 0.75 + 0 of 2
    shares = reward_shares(np.array([[1.0, 3.0], [0.0, 0.0], [2.0, 0.0]]))
    assert shares.tolist() == [0.625, 0.375]
    assert reward_shares(np.zeros((3, 2))).tolist() == [0.0, 0.0]
    assert pool_part(100 * DOLLAR, float(shares[0])) == 62_500_000
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \(samples, traders\)"):
        reward_shares(np.zeros(3))
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="negative or not finite"):
            reward_shares(np.array([[bad, 1.0]]))


@given(st.lists(st.lists(st.floats(0, 1e6), min_size=3, max_size=3), min_size=1, max_size=20))
def test_shares_add_up_and_are_no_ones_gain(scores):
    shares = reward_shares(np.array(scores))
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(1.0) or (shares == 0).all()
    assert sum(pool_part(10**12, min(1.0, float(s))) for s in shares) <= 10**12 + 3000


def test_rebate_by_hand():
    # we fill 100 at 50 c, others 300 at 10 c: 0.25 x 100 = 25 and 0.09 x 300 = 27; 20 % of $3.64 x 25/52
    own, others = fee_weight(5000, 10_000), fee_weight(1000, 30_000)
    assert (own, others) == (25 * 10**10, 27 * 10**10)
    assert maker_rebate(own, own + others, 3_640_000, rebate_share("crypto")) == 350_000  # 0.728 x 25 / 52 = 0.35
    assert maker_rebate(0, 0, 0, 200_000) == 0
    assert [rebate_share(name) for name in ("sports", "politics", "geopolitics")] == [150_000, 250_000, 0]


def test_a_rebate_is_the_share_of_the_fee_on_our_own_fills():
    """Every maker's fill has a taker who pays by the same curve, so pro rata of all is the share of our own."""
    schedule = FeeSchedule(POLYMARKET, 70_000, 0)
    fills = [(5000, 12_300), (4200, 700), (9100, 45_600), (1300, 2_200)]
    fees = [fee_of_fill(schedule, px, qty)[0] for px, qty in fills]
    weights = [fee_weight(px, qty) for px, qty in fills]
    got = maker_rebate(weights[2], sum(weights), sum(fees), 200_000)
    assert got == pytest.approx(fees[2] * 0.2, abs=20)  # fees are rounded to 10 micro-dollars


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 1, 5, 5), r"own_weight = 2 lies outside \[0, all_weight = 1\]"),
        ((-1, 1, 5, 5), "own_weight = -1 lies outside"),
        ((1, 1, -5, 5), "fees_uusd = -5"),
        ((1, 1, 5, 1_000_001), "share_ppm = 1000001"),
    ],
)
def test_bad_rebates(arguments, message):
    with pytest.raises(ValueError, match=message):
        maker_rebate(*arguments)


def test_nothing_below_a_dollar():
    assert paid_out(999_999) == 0
    assert paid_out(1_000_001) == 1_000_001
    assert paid_out(1_239_999, CENT_UUSD) == 1_230_000


def test_sample_times():
    assert sample_time(600, 0.0) == 600
    assert sample_time(600, 0.5) == 600 + 30_000_000_000
    with pytest.raises(ValueError, match=r"u = 1.0 lies outside \[0, 1\)"):
        sample_time(0, 1.0)
    with pytest.raises(ValueError, match=r"share 1\.5"):
        pool_part(5, 1.5)


def levels(*rows):
    return tuple(np.array(column, np.int64) for column in zip(*rows, strict=True))


def test_kalshis_incentive_by_hand():
    # half a tick factor of 0.5: best 300 (100 ours), one tick below 200 (200 ours): (100 + 100) / (300 + 100)
    side = levels((0, 30_000, 10_000), (1, 20_000, 20_000))
    assert incentive_side(*side, 50_000, 0.5) == 0.5
    # the target is reached at the best level already: what stands behind does not count
    assert incentive_side(*side, 30_000, 0.5) == pytest.approx(1 / 3)
    assert incentive_side(*side, 50_001, 0.5) == -1  # never reached: the second does not count
    # two ticks apart: 200 x 0.25
    assert incentive_side(*levels((0, 30_000, 0), (2, 20_000, 20_000)), 50_000, 0.5) == pytest.approx(50 / 350)
    assert incentive_second(0.5, 0.25) == 0.75
    assert incentive_second(-1.0, 0.25) == -1
    assert incentive_second(0.25, -1.0) == -1


def test_kalshis_reward():
    # counted seconds 0.75 and 0.25 of 2 each: a quarter of $10.07 = 2.5175, to the cent
    assert incentive_reward(10_070_000, [0.75, -1.0, 0.25]) == 2_510_000
    assert incentive_reward(3_900_000, [0.5]) == 0  # 0.975 dollars
    assert incentive_reward(10_000_000, [-1.0]) == 0
    with pytest.raises(ValueError, match=r"score of 2\.5; expected at most 2"):
        incentive_reward(1, [2.5])
