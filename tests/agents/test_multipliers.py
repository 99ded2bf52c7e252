"""Multipliers: steps computed by hand, bounds, anti-windup, and when a budget is called unreachable."""

import numpy as np
import pytest

from agents.multipliers import PATIENCE, MultiplierConfig, Multipliers


def moved(rule, errors, unit=1.0, **config):
    """Values after each of ``errors`` of one constraint."""
    multipliers = Multipliers(1, MultiplierConfig(rule, **config))
    seen = []
    for error in errors:
        multipliers.update(np.array([error]), np.array([unit]))
        seen.append(float(multipliers.values[0]))
    return seen


def test_ascent_by_hand():
    # 0 + 0.1 x 2 x 1 = 0.2; + 0.1 x 2 x 0.5 = 0.3; + 0.1 x 2 x -1 = 0.1; and again: -0.1, which is no price: 0
    assert moved("ascent", [1.0, 0.5, -1.0, -1.0], unit=2.0, gain=0.1) == pytest.approx([0.2, 0.3, 0.1, 0.0])


def test_pid_by_hand():
    # smoothed: 1, then 0.5 x 1 + 0.5 x 0 = 0.5, then 0.5 x 0.5 + 0.5 x 1 = 0.75; integral: 0.2, 0.2, 0.4
    # P = 2 x 0.3 x smoothed: 0.6, 0.3, 0.45; D = 2 x 0.4 x rise: 0 (none before), 0 (a fall), 2 x 0.4 x 0.25 = 0.2
    settings = {"gain": 0.1, "kp": 0.3, "kd": 0.4, "smoothing": 0.5}
    assert moved("pid", [1.0, 0.0, 1.0], unit=2.0, **settings) == pytest.approx([0.8, 0.5, 0.4 + 0.45 + 0.2])


def test_each_constraint_moves_by_itself_in_its_own_unit():
    multipliers = Multipliers(2, MultiplierConfig("ascent", gain=0.5))
    multipliers.update(np.array([1.0, -1.0]), np.array([4.0, 4.0]))
    multipliers.update(np.array([0.0, 1.0]), np.array([4.0, 0.01]))
    assert multipliers.values.tolist() == pytest.approx([2.0, 0.005])


def test_the_integral_stands_still_while_the_sum_is_below_zero():
    multipliers = Multipliers(1, MultiplierConfig("pid", gain=0.1, kp=1.0, smoothing=0.0))
    multipliers.update(np.array([1.0]), np.ones(1))  # integral 0.1
    for _ in range(100):
        multipliers.update(np.array([-1.0]), np.ones(1))  # 0.1 - 0.1 - 1 < 0: the integral does not move
    assert multipliers.integral[0] == pytest.approx(0.1) and multipliers.values[0] == 0.0
    multipliers.update(np.array([0.5]), np.ones(1))
    assert multipliers.values[0] == pytest.approx(0.1 + 0.05 + 0.5)  # back at once


def test_the_integral_stands_still_while_the_sum_is_above_the_cap():
    multipliers = Multipliers(1, MultiplierConfig("pid", gain=0.5, kp=1.0, smoothing=0.0, cap=2.0))
    for _ in range(100):
        multipliers.update(np.array([1.0]), np.ones(1))  # 0.5 + 1, 1 + 1, then 1.5 + 1 > 2: stands still
    assert multipliers.integral[0] == pytest.approx(1.0) and multipliers.values[0] == 2.0
    multipliers.update(np.array([-0.5]), np.ones(1))
    assert multipliers.values[0] == pytest.approx(1.0 - 0.25 - 0.5)


@pytest.mark.parametrize("rule", ["ascent", "pid"])
def test_no_price_leaves_its_bounds(rule):
    rng = np.random.default_rng(0)
    values = moved(rule, rng.uniform(-0.5, 1.0, 500), unit=3.0, gain=0.3, kp=2.0, kd=1.0, cap=1.5)
    assert min(values) >= 0.0 and max(values) == 4.5


def test_an_update_without_an_episode_changes_nothing():
    multipliers = Multipliers(2, MultiplierConfig())
    multipliers.update(np.array([1.0, 1.0]), np.ones(2))
    before = {name: array.copy() for name, array in multipliers.state().items()}
    multipliers.update(np.array([np.nan, np.nan]), np.ones(2))
    assert all((multipliers.state()[name] == array).all() for name, array in before.items())
    multipliers.update(np.array([np.nan, 1.0]), np.ones(2))
    assert multipliers.values[0] == before["values"][0] and multipliers.values[1] > before["values"][1]


def test_a_budget_is_called_unreachable_after_so_many_updates_at_the_cap_in_a_row():
    multipliers = Multipliers(1, MultiplierConfig("ascent", gain=1.0, cap=1.0))
    for error in [1.0] * (PATIENCE - 1) + [-0.1] + [1.0] * (PATIENCE - 1):
        multipliers.update(np.array([error]), np.ones(1))
        assert not multipliers.unreachable[0]
    multipliers.update(np.ones(1), np.ones(1))
    assert multipliers.unreachable[0]
    multipliers.update(-np.ones(1), np.ones(1))
    assert multipliers.values[0] < 1.0 and multipliers.unreachable[0]  # it is not forgotten


def test_the_default_gains_reach_the_cap_in_a_usual_run():
    multipliers = Multipliers(1, MultiplierConfig())
    for _ in range(300):
        multipliers.update(np.ones(1), np.ones(1))
    assert multipliers.unreachable[0]


def test_a_cost_that_nothing_changes_has_no_price_and_no_cap_to_stand_at():
    multipliers = Multipliers(1, MultiplierConfig())
    for _ in range(2 * PATIENCE):
        multipliers.update(np.array([-1.0]), np.zeros(1))
    assert multipliers.values[0] == 0.0 and not multipliers.unreachable[0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rule": "adam"}, "agent.multipliers.rule = 'adam': expected one of ascent, pid"),
        ({"gain": 0.0}, "agent.multipliers.gain = 0.0: expected a positive number"),
        ({"cap": float("nan")}, "agent.multipliers.cap = nan: expected a positive number"),
        ({"smoothing": 1.0}, r"smoothing = 1.0 must lie in \[0, 1\)"),
        ({"kp": -1.0}, "kp = -1.0 .* must not be negative"),
        ({"kd": float("nan")}, "kd = nan must not be negative"),
    ],
)
def test_settings_that_cannot_be_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Multipliers(1, MultiplierConfig(**change))
