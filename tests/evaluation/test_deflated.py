"""The deflated Sharpe ratio: the worked example of its authors, a case by hand, and best-of-many without skill."""

import math

import numpy as np
import pytest

from evaluation.deflated import deflate, deflated_sharpe, expected_maximum


def test_the_worked_example_of_bailey_and_lopez_de_prado():
    """The paper's numerical example: the best of 100 trials has a yearly ratio of 2.5 over 1,250 days, 250 a year, with
    skewness -3 and kurtosis 10; the trials' ratios have a yearly variance of 1/2. SR0 = 0.1132 a day, DSR = 0.9004; of
    46 trials it would have been above 0.95 with normal returns (0.9505)."""
    variance, daily = 0.5 / 250, 2.5 / math.sqrt(250)
    assert expected_maximum(100, variance) == pytest.approx(0.1132, abs=5e-5)
    shape = {"skew": -3.0, "kurtosis": 10.0}
    assert deflated_sharpe(daily, 1250, trials=100, variance=variance, **shape) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(daily, 1250, trials=46, variance=variance, **shape) == pytest.approx(0.9505, abs=5e-5)


def test_by_hand():
    """Two trials: z(1/2) = 0 and z(1 - 1/(2e)) = z(0.816060) = 0.900452, so SR0 = 0.577216 x 0.900452 x 0.1 = 0.0519755
    for a variance of 0.01. With SR = 0.2, T = 101 and normal returns: (0.2 - 0.0519755) x 10 / sqrt(1 + 0.5 x 0.04) =
    1.480245 / 1.009950 = 1.465661, and Phi of it is 0.928629."""
    assert expected_maximum(2, 0.01) == pytest.approx(0.0519755, abs=1e-6)
    assert deflated_sharpe(0.2, 101, trials=2, variance=0.01) == pytest.approx(0.928629, abs=2e-6)


def test_one_trial_is_no_selection():
    """T = 5: mean 1, deviation sqrt(2.5) = 1.581139: SR = 0.632456. Deviations -2 to 2 have skewness 0 and kurtosis
    (16 + 1 + 0 + 1 + 16) / 5 / 4 = 1.7: 0.632456 x 2 / sqrt(1 + 0.175 x 0.4) = 1.222840; Phi = 0.889305."""
    found = deflate([np.array([-1.0, 0.0, 1.0, 2.0, 3.0])])
    assert (found.best, found.trials, found.days, found.expected_best) == (0, 1, 5, 0.0)
    assert found.sharpe == pytest.approx(0.632456 * math.sqrt(365), abs=1e-4)
    assert found.probability == pytest.approx(0.889305, abs=1e-5)


def test_the_best_of_many_without_skill_is_not_believed():
    """Ten days of 200 trials without skill: the plain ratio of the best looks sure, deflated it does not."""
    random = np.random.default_rng(3)
    sure, believed = 0, 0
    for _ in range(50):
        found = deflate(list(random.normal(size=(200, 30))))
        ratio = found.sharpe / math.sqrt(365)
        sure += deflated_sharpe(ratio, 30, trials=1, variance=0.0) > 0.95
        believed += found.probability > 0.95
    assert sure == 50 and believed <= 5


def test_trials_that_have_no_ratio_are_not_counted_and_untold_ones_can_be():
    flat, one_day, fine = np.zeros(9), np.ones(1), np.array([1.0, 2.0, -1.0, 0.5])
    found = deflate([flat, one_day, fine])
    assert (found.best, found.trials) == (2, 1)
    more = deflate([fine, fine[::-1] * 0.5 + 0.01], trials=50)
    assert more.trials == 50 and more.probability < deflate([fine, fine[::-1] * 0.5 + 0.01]).probability


def test_one_result_of_many_trials_is_not_deflated_by_nothing():
    """The variance of a thousand ratios is not known of one: it is refused, or given."""
    daily = np.array([1.0, 2.0, -1.0, 0.5])
    with pytest.raises(ValueError, match="variance of 1000 trials' ratios cannot be known of one result"):
        deflate([daily], trials=1000)
    found = deflate([daily], trials=1000, variance=0.01)
    assert found.expected_best == pytest.approx(math.sqrt(365) * expected_maximum(1000, 0.01))
    assert found.probability < deflate([daily]).probability


def test_wrong_use_is_explained():
    with pytest.raises(ValueError, match="none of 2 trials has two days"):
        deflate([np.zeros(5), np.ones(1)])
    with pytest.raises(ValueError, match="none of the 1 trials that are allowed"):
        deflate([np.zeros(5), np.arange(4.0)], allowed=[0])
    with pytest.raises(ValueError, match="1 trials cannot have 2 results"):
        deflate([np.arange(4.0), np.arange(5.0)], trials=1)
    with pytest.raises(ValueError, match="a trial or more"):
        expected_maximum(0, 0.1)
    with pytest.raises(ValueError, match="a variance from 0 on"):
        expected_maximum(3, float("nan"))
    with pytest.raises(ValueError, match="two observations"):
        deflated_sharpe(0.1, 1, trials=3, variance=0.1)
