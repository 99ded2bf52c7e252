"""The bootstrap: coverage, clusters, pairing, seeds. Seeds are fixed, so these tests cannot flicker."""

import math

import numpy as np
import pytest

from evaluation.bootstrap import bootstrap, difference, false_alarms, resample_counts
from evaluation.metrics import ratio


def mean_of(values):
    return lambda weights: ratio(values, np.ones(len(values)), weights)


def coverage(draw, truth, method, datasets=400, size=40):
    random = np.random.default_rng(11)
    hits = 0
    for _ in range(datasets):
        found = bootstrap(mean_of(draw(random, size)), size, resamples=400, method=method)
        hits += found.low <= truth <= found.high
    return hits / datasets


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_coverage_on_normal_data(method):
    # near 94 % is expected of 40 values; four standard errors of 400 trials are 4.7 %: P(false alarm) < 1e-4
    assert 0.89 < coverage(lambda random, size: random.normal(3.0, 2.0, size), 3.0, method) < 0.985


def test_coverage_on_skewed_data():
    # exponential: BCa is expected near 92-94 %; the same margin
    assert 0.88 < coverage(lambda random, size: random.exponential(1.0, size), 1.0, "bca") < 0.98


def test_width_agrees_with_the_normal_theory():
    values = np.random.default_rng(5).normal(0.0, 1.0, 400)
    found = bootstrap(mean_of(values), 400, method="percentile")
    # two-sided 95 %: 2 x 1.96 standard errors, the bootstrap's own noise is about 3 %
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_bca_moves_with_the_skew():
    values = np.random.default_rng(2).exponential(1.0, 30)
    plain = bootstrap(mean_of(values), 30, method="percentile")
    bca = bootstrap(mean_of(values), 30, method="bca")
    assert bca.low > plain.low and bca.high > plain.high


def test_false_alarms_of_paired_differences():
    """Two policies that do not differ: about 5 % of the 95 % intervals exclude zero."""
    random = np.random.default_rng(3)
    cluster = np.arange(50)
    alarms = 0
    for _ in range(400):
        world = random.normal(0.0, 10.0, 50)  # what both policies meet alike
        found = difference(world + random.normal(size=50), world + random.normal(size=50), cluster, resamples=400)
        alarms += found.low > 0.0 or found.high < 0.0
    # Binomial(400, 0.06) exceeds 45 with probability below 1e-4
    assert 5 <= alarms <= 45


def test_pairing_removes_what_both_policies_met():
    random = np.random.default_rng(4)
    world = random.normal(0.0, 100.0, 200)
    found = difference(world + 1.0 + random.normal(0.0, 0.5, 200), world, np.arange(200))
    assert 0.8 < found.low < found.high < 1.2


def test_clusters_are_drawn_whole():
    # ten values, each repeated 50 times in its own cluster, tell no more than the ten alone
    values = np.random.default_rng(6).normal(size=10)
    alone = difference(values, np.zeros(10), np.arange(10))
    repeated = difference(np.repeat(values, 50), np.zeros(500), np.repeat(np.arange(10), 50))
    assert repeated == pytest.approx(alone)
    assert repeated.high - repeated.low > 5 * np.subtract(
        *difference(np.repeat(values, 50), np.zeros(500), np.arange(500))[:0:-1]
    )


def test_a_resample_depends_on_its_number_and_the_seed_only():
    assert (resample_counts(20, 50, 7)[:10] == resample_counts(20, 10, 7)).all()
    assert (resample_counts(20, 10, 7) != resample_counts(20, 10, 8)).any()
    assert (resample_counts(20, 50, 0).sum(axis=1) == 20).all()
    assert (resample_counts(20, 50, 0)[0] != resample_counts(20, 50, 0)[1]).any()


def test_too_few_clusters_or_undefined_resamples_give_no_interval():
    one = bootstrap(mean_of(np.array([2.0])), 1)
    assert one.value == 2.0 and math.isnan(one.low) and math.isnan(one.high)
    # only one of three clusters traded: 8/27 of the resamples have no trade at all
    rare = bootstrap(lambda weights: ratio(np.array([1.0, 0, 0]), np.array([1.0, 0, 0]), weights), 3)
    assert rare.value == 1.0 and math.isnan(rare.low)


def test_arguments_are_checked():
    values = mean_of(np.ones(3))
    with pytest.raises(ValueError, match="bca, percentile"):
        bootstrap(values, 3, method="t")
    with pytest.raises(ValueError, match="between 0 and 1, got 95"):
        bootstrap(values, 3, level=95)
    with pytest.raises(ValueError, match="needs a cluster"):
        bootstrap(values, 0)
    with pytest.raises(ValueError, match="shapes differ"):
        difference(np.ones(3), np.ones(2), np.arange(3))


def test_the_false_alarm_sentence_by_hand():
    # 10 x 0.05 = 0.5 on average; 1 - 0.95^10 = 0.401; 1 - 0.05/10 = 99.5 %
    text = false_alarms(10, 0.95)
    assert "0.5 would" in text and "40 %" in text and "99.5 %" in text
    assert false_alarms(0) == "No comparison was made."
