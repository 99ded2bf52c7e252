"""The laws of the synthetic market on small samples with fixed seeds; ``make proofs`` runs them at length.

The chance that a fresh seed would fail although the market is right (``false_alarm``) is asserted too, so that a red
test means a broken market and not bad luck. Interpreted kernels would need an hour: the laws are about numbers, and
those do not depend on how the kernels run (test_engine).
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from by_hand import INTERPRETED

from benchmarks import laws, outcomes, takers
from benchmarks.families import manipulators, random_makers, random_takers
from benchmarks.intervals import Estimate, count_p_value, per_contract
from benchmarks.outcomes import decile_tests, rejected, resolution
from benchmarks.policies import best_of, draw_policies, z_of
from benchmarks.quoters import fill_rates, post_and_cancel, quoter_earnings
from benchmarks.takers import no_free_lunch, planted_edge

slow_interpreted = pytest.mark.skipif(INTERPRETED, reason="hours with interpreted kernels")


@slow_interpreted
def test_takers_who_know_nothing_lose_spread_and_fee():
    result = no_free_lunch(num_envs=512, episodes=3, seed=0)
    assert result["holds"], result
    assert (result["episodes_with_other_cash"], result["trades_with_other_fees"]) == (0, 0)
    assert result["false_alarm"] < 1e-3
    assert result["excess"]["all"]["high"] - result["excess"]["all"]["low"] < 0.03  # cents: the bound is 0.1
    assert result["result"] < -0.5  # they do lose


@pytest.fixture(scope="module")
def settled():
    """Four short episodes of the default market, all settled, and what was traded in them."""
    rows = takers.default_market()
    rows["life_s"] = 30.0
    batch = takers.Batch(rows, 4, 0)
    batch.engine.reset()
    trades = np.concatenate([takers._one_step(batch, 0.0, 0) for _ in range(32)])
    assert (batch.market["payout_px"] >= 0).all()
    return batch, trades


@pytest.mark.parametrize(("cash", "found"), [(-1, 4), (0, 0), (1, 4)])
def test_an_account_that_is_off_by_a_micro_dollar_is_caught(settled, cash, found):
    batch, trades = settled
    batch.engine.state.pool["cash_uusd"] += cash
    try:
        assert takers._wrong_cash(batch, trades, trades["episode"]) == found
    finally:
        batch.engine.state.pool["cash_uusd"] -= cash


@pytest.mark.parametrize(("off", "found"), [(-1, 1), (0, 0), (101, 0), (102, 1)])
def test_a_fee_is_the_exact_one_or_up_to_a_step_and_a_micro_dollar_more(settled, off, found):
    """Kalshi's rate is 7 %, and a fill's fee is rounded up so that the balance is one of whole 100 micro-dollars.

    A trade with one fill is planted with the exact fee in whole micro-dollars, and a few more or less.
    """
    batch, trades = settled[0], settled[1].copy()
    one = np.flatnonzero(trades["fills"] == 1)[0]
    assert takers._wrong_fees(batch, trades) == 0
    lots = int(trades["lots"][one])
    price = Fraction(int(trades["value"][one]), lots * 10_000)
    exact = Fraction(7, 100) * Fraction(lots, 100) * price * (1 - price) * 1_000_000
    trades["fee_uusd"][one] = math.ceil(exact) + off
    assert takers._wrong_fees(batch, trades) == found


@slow_interpreted
def test_an_edge_of_a_fifth_of_a_cent_is_caught():
    result = planted_edge(num_envs=256, episodes=1, seed=0)
    assert result["holds"], result
    assert result["missed_once_in"] > 1e6
    assert abs(result["excess"]["mean"] - takers.PLANTED) < 0.02  # what was planted is what was found


@slow_interpreted
def test_a_quoter_earns_no_more_than_the_half_spread_and_less_with_informed_flow():
    result = quoter_earnings(num_envs=512, steps=200, seed=0)
    assert result["holds"], result
    assert result["earned_without"]["low"] > 0.0  # he does earn


@slow_interpreted
def test_fill_rates_of_the_default_row():
    result = fill_rates(num_envs=512, rounds=20, seed=0)
    assert result["holds"], result


@slow_interpreted
def test_posting_and_cancelling_earns_nothing():
    result = post_and_cancel(num_envs=128, rounds=6, seed=0)
    assert result["holds"], result
    assert result["n"] > 1000


@slow_interpreted
def test_outcomes_match_the_latent_probability():
    result = resolution(num_envs=2048, episodes=4, seed=0)  # false alarm: one in a thousand seeds
    assert result["holds"], result


@slow_interpreted
@pytest.mark.parametrize("law", [random_takers, random_makers, manipulators])
def test_no_policy_of_a_family_beats_the_market(law):
    result = law(policies=20, num_envs=32, seed=0)  # false alarm: one in a hundred seeds for the family
    assert result["holds"], result
    assert result["best_net"]["judged"] == 20  # all of them traded


def test_the_best_of_many_is_judged_by_what_luck_alone_would_give():
    # 100 policies at 1 % together: each at 0.01 %, which is 3.719 errors of a normal
    assert z_of(1e-4) == pytest.approx(3.719, abs=1e-3)
    lucky = [Estimate(0.0, 0, 0, 0.1, 10)] * 99 + [Estimate(0.3, 0, 0, 0.1, 10)]
    assert best_of(lucky) == {"policy": 99, "mean": 0.3, "low": round(0.3 - 0.3719, 4), "judged": 100}
    able = [*lucky[:-1], Estimate(0.4, 0, 0, 0.1, 10)]
    assert best_of(able)["low"] == pytest.approx(0.4 - 0.3719, abs=1e-4)


def test_policies_repeat_and_some_pump():
    assert draw_policies(50, 3, pumps=0.5) == draw_policies(50, 3, pumps=0.5)
    assert 10 < sum(values["pump"] > 0 for values in draw_policies(50, 3, pumps=0.5)) < 40
    assert not any(values["pump"] for values in draw_policies(50, 3, pumps=0.0))


def test_a_tilted_outcome_is_rejected():
    """2,000 coins a decile that fall five points too often."""
    random = np.random.default_rng(0)
    belief = random.random(20_000)
    fair = (random.random(20_000) < belief).astype(int)
    tilted = (random.random(20_000) < belief + outcomes.PLANTED).astype(int)
    assert not rejected(decile_tests(belief, fair))
    assert rejected(decile_tests(belief, tilted))


def test_the_count_test_is_the_exact_binomial_where_coins_are_equal():
    from scipy.stats import binom

    for hits in (0, 3, 9, 17, 20):
        both = 2 * min(binom.cdf(hits, 20, 0.4), binom.sf(hits - 1, 20, 0.4))
        assert count_p_value(np.full(20, 0.4), hits) == pytest.approx(min(1.0, both), rel=1e-9)
    # two unequal coins, .1 and .8: both fall with .08; none with .18
    assert count_p_value(np.array([0.1, 0.8]), 2) == pytest.approx(0.16)
    assert count_p_value(np.array([0.1, 0.8]), 0) == pytest.approx(0.36)


def test_the_interval_covers_as_often_as_it_says():
    """4,000 samples of 60 clusters of unequal weight; with so few, the normal's 99 % interval covers a little less."""
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(4000):
        episode = np.repeat(np.arange(60), 3)
        contracts = random.integers(1, 10, 180).astype(float)
        value = 0.3 + np.repeat(random.normal(size=60), 3)
        estimate = per_contract(value * contracts, contracts, episode)
        covered += estimate.low <= 0.3 <= estimate.high
    assert 0.975 < covered / 4000 < 0.995


def test_false_alarms_are_the_tail_beyond_the_bound():
    # bound .1, error .02: |mean| must stay below .1 - 2.576 x .02 = .04848 = 2.424 errors: both tails 1.535 %
    assert Estimate(0, 0, 0, 0.02, 1).false_alarm(0.1) == pytest.approx(0.01535, abs=2e-5)


def test_the_long_run_covers_every_law():
    names = {law.__name__ for law, _ in laws.LAWS}
    assert names == {
        "no_free_lunch", "planted_edge", "quoter_earnings", "fill_rates", "post_and_cancel", "resolution",
        "random_takers", "random_makers", "manipulators",
    }  # fmt: skip
