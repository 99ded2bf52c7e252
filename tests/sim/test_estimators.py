"""Estimators find the fields of a row again from the quantiles that its law has."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.scenarios.estimators import Sizes, clump, followers, quantiles, sizes
from sim.scenarios.facts import GAP_PROBS, LAGS_ORDERS, SIZE_PROBS, Fact, labels

GAPS = Fact("interarrival", "messages", "positive", "ms", labels(GAP_PROBS), resolution=0.1)
ORDERS = Fact("trade_size", "trades", "positive", "contracts", labels(SIZE_PROBS), resolution=0.01)
SIDES = Fact("flow", "flow", "correlation", "", tuple(f"lag{lag}" for lag in LAGS_ORDERS))


def told(fact, values):
    return Fact(**{**fact.__dict__, "values": tuple(float(value) for value in values)})


@pytest.mark.parametrize("power", [1.0, 1.7, 2.5])
def test_the_power_of_a_gap(power):
    """The quantile at p of 8 E^k is 8 (-log(1 - p))^k."""
    gaps = [8.0 * (-math.log(1.0 - p)) ** power for p in GAP_PROBS]
    assert clump(told(GAPS, gaps)) == pytest.approx(power)


def test_the_power_stays_within_its_bounds():
    assert clump(GAPS) == 1.0  # nothing recorded
    assert clump(told(GAPS, (1.0, 2.0, 2.1, 2.2))) == 1.0  # more even than chance
    assert clump(told(GAPS, (1.0, 2.0, 2e4, 2e6))) == 4.0


def test_quantiles_of_one_exponential():
    # -10 log(1 - p), whatever the share
    assert quantiles(Sizes(10.0, 10.0, 0.3), (0.5, 0.9)) == pytest.approx([10 * math.log(2), 10 * math.log(10)])


def test_a_mixture_of_orders_is_found_again():
    truth = Sizes(12.0, 400.0, 0.15)
    found = sizes(told(ORDERS, quantiles(truth, SIZE_PROBS)))
    assert found is not None
    assert np.allclose(found, truth, rtol=0.1)
    assert sizes(ORDERS) is None


def test_how_many_follow():
    # a third of the takers follow, each with the last one's side in 85 of 100: 0.3 x (0.85 - 0.15) = 0.21
    assert followers(told(SIDES, (0.21, 0, 0, 0, 0)), 0.85) == pytest.approx(0.3)
    assert followers(told(SIDES, (0.9, 0, 0, 0, 0)), 0.85) == 0.6  # no more
    assert followers(told(SIDES, (-0.2, 0, 0, 0, 0)), 0.85) == followers(SIDES, 0.85) == 0.0
