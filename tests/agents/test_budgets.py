"""Budgets: what is refused, how they are tied to costs, and CVaR against its definition."""

import numpy as np
import pytest
from fake_envs import ClockEnv, small_ppo
from hypothesis import given
from hypothesis import strategies as st

from agents.budgets import Budget, constraints, cvar

COSTS = ["time", "ten"]


def both(**time):
    return {"time": Budget(**time), "ten": Budget(1.0)}


@pytest.mark.parametrize(
    "budgets, message",
    [
        ({"tme": Budget(1.0)}, "agent.budgets.tme: the environment charges no such cost; it charges time, ten"),
        ({"time": Budget(1.0)}, "no budget for ten, which the environment charges: .* agent.budgets.ten.limit="),
        (both(kind="mean"), "agent.budgets.time.kind = 'mean': expected one of episode, discounted, probability, cvar"),
        (both(limit=float("nan")), "agent.budgets.time.limit = nan: expected a finite number"),
        (both(limit=float("inf")), "limit = inf: expected a finite number"),
        (both(limit=1.0, kind="probability"), r"limit = 1.0: a probability's budget lies in \[0, 1\)"),
        (both(limit=-0.1, kind="probability"), r"a probability's budget lies in \[0, 1\)"),
        (both(limit=1.0, kind="cvar", alpha=1.0), r"agent.budgets.time.alpha = 1.0: expected a level in \(0, 1\)"),
        (both(limit=1.0, kind="cvar", alpha=0.0), r"alpha = 0.0: expected a level in \(0, 1\)"),
        ({}, "no budget for time, ten"),
    ],
)
def test_a_budget_that_cannot_be_is_named(budgets, message):
    with pytest.raises(ValueError, match=message):
        constraints(budgets, COSTS)


def test_a_budget_where_nothing_is_charged_is_named():
    with pytest.raises(ValueError, match="it charges none"):
        constraints({"time": Budget(1.0)}, [])
    with pytest.raises(ValueError, match=r"agent.budgets.time: the environment charges no such cost"):
        small_ppo(ClockEnv(), budgets={"time": Budget(1.0)})


def test_constraints_come_in_the_order_of_the_costs():
    made = constraints({"ten": Budget(5.0, "discounted"), "time": Budget(-2.0, "cvar", 0.9)}, COSTS)
    assert [(entry.name, entry.column, entry.kind, entry.limit) for entry in made] == [
        ("time", 0, "cvar", -2.0),
        ("ten", 1, "discounted", 5.0),
    ]
    assert [entry.tail for entry in made] == [True, False]
    assert [entry.gamma(0.9) for entry in made] == [1.0, 0.9]  # only a discounted cost is discounted


def test_the_margin_makes_a_budget_smaller_whatever_its_sign():
    first, second = constraints({"time": Budget(-2.0), "ten": Budget(5.0)}, COSTS)
    # -2 - 0.1 x 2 = -2.2; 5 - 0.1 x 5 = 4.5
    assert first.target(0.1) == pytest.approx(-2.2) and second.target(0.1) == pytest.approx(4.5)


def test_cvar_by_hand():
    # the worst 2 of 10: (9 + 10) / 2; the 80 % quantile is the 8th
    assert cvar(np.arange(1.0, 11.0), 0.8) == (pytest.approx(9.5), 8.0)
    # the worst 1.5 of 10: (10 + 0.5 x 9) / 1.5
    assert cvar(np.arange(1.0, 11.0), 0.85)[0] == pytest.approx(14.5 / 1.5)
    assert cvar(np.array([3.0]), 0.95) == (pytest.approx(3.0), 3.0)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.floats(0.05, 0.99))
def test_cvar_is_the_smallest_over_nu(losses, alpha):
    """Rockafellar and Uryasev's minimum, looked for at every loss: it is a convex function with its kinks there."""
    sample = np.array(losses)
    values = [nu + np.maximum(sample - nu, 0.0).mean() / (1.0 - alpha) for nu in sample]
    assert cvar(sample, alpha)[0] == pytest.approx(min(values), abs=1e-9)
