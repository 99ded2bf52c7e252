"""A clone beside its teacher: paired results, exact rates, an exact one-sided test."""

import dataclasses
import json

import numpy as np
import pytest
from made_up import made_up

from evaluation.parity import kill_parity, parity, rate_interval


def kills(clone, teacher, both, neither):
    ours = [True] * clone + [False] * teacher + [True] * both + [False] * neither
    theirs = [False] * clone + [True] * teacher + [True] * both + [False] * neither
    return kill_parity(np.array(ours), np.array(theirs))


def test_a_clone_that_dies_more_often_is_found_out_by_hand():
    # 5 episodes killed the clone alone, none the teacher alone: p = 2 ** -5 = 0.03125
    report = kills(5, 0, 3, 92)
    assert report["p_higher"] == pytest.approx(1 / 32) and report["higher"]
    assert report["clone"][0] == 0.08 and report["teacher"][0] == 0.03
    # 4 of 5: (C(5, 4) + C(5, 5)) / 32 = 6 / 32
    report = kills(4, 1, 0, 95)
    assert report["p_higher"] == pytest.approx(6 / 32) and not report["higher"]
    assert (report["only_clone"], report["only_teacher"]) == (4, 1)


@pytest.mark.parametrize("clone, teacher", [(0, 0), (0, 9)])
def test_a_clone_that_dies_no_more_often_is_not_blamed(clone, teacher):
    report = kills(clone, teacher, 2, 20)
    assert report["p_higher"] == 1.0 and not report["higher"]


def test_rates_have_exact_intervals():
    # nothing of n: the upper end solves (1 - p) ** n = 0.025
    assert rate_interval(0, 20) == pytest.approx((0.0, 0.0, 1.0 - 0.025 ** (1 / 20)))
    assert rate_interval(20, 20) == pytest.approx((1.0, 0.025 ** (1 / 20), 1.0))
    value, low, high = rate_interval(3, 10)
    at_least = sum(comb(10, k) * low**k * (1 - low) ** (10 - k) for k in range(3, 11))
    at_most = sum(comb(10, k) * high**k * (1 - high) ** (10 - k) for k in range(4))
    assert value == 0.3 and [at_least, at_most] == pytest.approx([0.025, 0.025])


def comb(n, k):
    return float(np.prod([(n - i) / (k - i) for i in range(k)]))


def dying(episodes, killed):
    """``episodes`` of which so many were killed."""
    costs = episodes.costs.copy()
    costs[:killed, episodes.cost_names.index("kill")] = 1.0
    return dataclasses.replace(episodes, costs=costs)


def test_one_against_itself_is_at_parity_and_goes_into_json():
    one = dying(made_up(count=40), 3)
    report = parity(one, one)
    assert report["episodes"] == 40
    for name in ("result_usd", "drawdown_usd"):
        assert report[name]["clone"] == report[name]["teacher"] and report[name]["difference"] == [0.0, 0.0, 0.0]
    assert report["kill"]["clone"][0] == 3 / 40 and report["kill"]["p_higher"] == 1.0
    json.dumps(report, allow_nan=False)


def test_differences_are_the_clones_less_the_teachers():
    teacher = made_up(count=40)
    equity = teacher.equity_uusd.copy()
    equity[:, -1] += 2_000_000  # 2 dollars more at the end, where nothing can fall any more
    clone = dataclasses.replace(teacher, final_uusd=teacher.final_uusd + 2_000_000, equity_uusd=equity)
    report = parity(clone, teacher)
    assert report["result_usd"]["difference"] == pytest.approx([2.0, 2.0, 2.0])
    assert report["drawdown_usd"]["difference"][0] <= 0.0
    assert report["kill"]["clone"][0] == 0.0


def test_without_a_kill_cost_there_is_no_kill_rate():
    one = made_up(count=40)
    plain = dataclasses.replace(one, costs=one.costs[:, :1], cost_names=("drawdown",))
    assert parity(plain, plain)["kill"] is None


def test_other_episodes_are_refused():
    with pytest.raises(ValueError, match="paired episodes"):
        parity(made_up(count=40), made_up(count=40, seed=1))
