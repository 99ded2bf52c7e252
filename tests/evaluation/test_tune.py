"""Tuning: inside the budget and the bounds, reproducible, and better than the defaults."""

import numpy as np
import pytest
from worlds import make_env

from agents.policy import load
from benchmarks.learning import expected_uusd
from evaluation.rollout import rollout
from evaluation.tune import candidate, tune
from sim.scenarios import synthetic
from sim.scenarios.row import make_rows
from sim.strategies import find_strategy

BUDGET = 40_000  # steps: episodes have 20 in 6 environments


def mean_result(spec, seed):
    env = make_env(64, seed=seed)
    return expected_uusd(rollout(env, load(spec, env.spec_sheet), 256)).mean()


def test_it_keeps_the_budget_and_the_bounds_and_repeats_itself():
    one, two = (tune("imbalance", make_env, BUDGET, seed=1, progress=False) for _ in range(2))
    assert one == two
    assert 0.5 * BUDGET < one.steps <= BUDGET and one.candidates == 27
    for parameter in find_strategy("imbalance").parameters:
        assert parameter.low <= one.params[parameter.name] <= parameter.high


def test_a_short_first_episode_does_not_break_the_budget():
    """Episodes of 5 or 55 steps: the rounds are planned on the first one, which is short."""
    scenario = synthetic(make_rows(2, life_s=np.array([5.0, 55.0])))

    def lengths(seed):
        env = make_env(1, scenario=scenario, seed=seed)
        return rollout(env, load("baseline:noop", env.spec_sheet), 8).steps

    settings = {"scenario": scenario, "seed": next(seed for seed in range(20) if lengths(seed)[0] == 5)}
    assert 55 in lengths(settings["seed"])
    tuned = tune("imbalance", lambda: make_env(1, **settings), 3000, candidates=9, progress=False)
    assert tuned.steps <= 3000


def test_it_beats_the_defaults_on_fresh_worlds():
    """An imbalance taker pays the spread for little: trading less is better. The gap is many standard errors wide."""
    tuned = tune("imbalance", make_env, BUDGET, progress=False, results=expected_uusd)
    assert mean_result(tuned.spec, seed=99) > mean_result("baseline:imbalance", seed=99)


def test_candidates_are_counted_not_drawn_in_a_row():
    known = find_strategy("quoter").parameters
    assert candidate(known, 0, 7) == {p.name: p.default for p in known}
    assert candidate(known, 5, 7) == candidate(known, 5, 7) != candidate(known, 6, 7)
    assert candidate(known, 5, 7) != candidate(known, 5, 8)


def test_a_baseline_without_parameters_needs_no_steps():
    tuned = tune("noop", make_env, 0)
    assert (tuned.steps, tuned.params, tuned.spec) == (0, {}, "baseline:noop")


def test_the_spec_round_trips():
    tuned = tune("signal", make_env, BUDGET, candidates=3, progress=False)
    policy = load(tuned.spec, make_env().spec_sheet)
    assert policy.params.tolist() == list(tuned.params.values())


def test_wrong_use_is_explained():
    with pytest.raises(ValueError, match="no strategy 'nope'"):
        tune("nope", make_env, BUDGET)
    with pytest.raises(ValueError, match="raise the budget to at least"):
        tune("signal", make_env, 1000, progress=False)
    with pytest.raises(ValueError, match="the budget is 10: raise it"):
        tune("signal", make_env, 10, progress=False)
    with pytest.raises(ValueError, match="at least one candidate"):
        tune("signal", make_env, BUDGET, candidates=0)
