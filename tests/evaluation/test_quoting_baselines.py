"""Baselines of every kind in an environment with a control surface, and their tuning within budgets."""

import numpy as np
import pytest
from worlds import make_env

from agents.policy import load
from evaluation.compare import evaluate
from evaluation.compiled import trader
from evaluation.rollout import rollout
from evaluation.tune import candidate, parameters_of, tune, within
from sim.scenarios import synthetic
from sim.scenarios.row import make_rows

MARKET = synthetic(make_rows(4, life_s=200.0, noise_rate=3.0))
POLICIES = {
    "fixed": "baseline:fixed?skew=1",
    "noop": "baseline:noop",
    "quoter": "baseline:quoter?size=20&limit=80",
    "joiner": "baseline:joiner?size=20",
    "random": "baseline:random",
}


def quoting(num_envs=6, **settings):
    return make_env(num_envs, **{"actions": "surface", "scenario": MARKET, "window_s": 30.0, **settings})


def test_every_kind_of_baseline_is_judged_there():
    made = evaluate(POLICIES, lambda fill_model: quoting(fill_model=fill_model), 12, progress=False)
    assert made.agent == "fixed"
    for name, episodes in made.runs["optimistic"].items():
        assert len(episodes) == 12 and (episodes.steps == 30).all()
        assert (len(episodes.fill) > 0) == (name != "noop"), name
        assert episodes.action.max() >= 0 if name in ("quoter", "random") else (episodes.action <= 0).all()
    assert made.shown["fixed"].action_names[0] == "hold"


def test_a_baseline_of_rows_does_what_it_does_with_a_table():
    ours, theirs = (
        rollout(env, load(POLICIES["quoter"], env.spec_sheet), 12) for env in (quoting(), quoting(actions="full"))
    )
    np.testing.assert_array_equal(ours.equity_uusd, theirs.equity_uusd)
    np.testing.assert_array_equal(ours.action, theirs.action)


RANGES = {"size": (5.0, 60.0), "limit": (10.0, 500.0)}


@pytest.mark.parametrize(("name", "ranges"), [("fixed", {"skew": (0.0, 4.0)}), ("joiner", RANGES)])
def test_fixed_points_and_compiled_strategies_are_tuned(name, ranges):
    tuned = tune(name, quoting, 12_000, candidates=9, ranges=ranges, progress=False, seed=1)
    assert tuned.steps <= 12_000 and tuned.spec.startswith(f"baseline:{name}?")
    env = quoting()
    assert trader(tuned.spec, env) or load(tuned.spec, env.spec_sheet)
    for key, (low, high) in ranges.items():
        assert low <= tuned.params[key] <= high


def test_budgets_rule_out_what_breaks_them():
    made = {
        limit: tune(
            "joiner", quoting, 12_000, candidates=9, ranges=RANGES, progress=False,
            results=within({"inventory": limit, "order_rate": 1e9}),
        )
        for limit in (1e9, 8.0, -1.0)
    }  # fmt: skip
    env = quoting(24, seed=8)
    inventory = env.spec_sheet["costs"].index("inventory")
    mean = {
        limit: rollout(fresh, trader(tuned.spec, fresh), 24).costs[:, inventory].mean()
        for limit, tuned in made.items()
        if limit > 0
        for fresh in [quoting(24, seed=8)]
    }
    assert mean[8.0] < 8.0 < mean[1e9]
    assert made[1e9].result_usd > made[8.0].result_usd
    assert made[-1.0].result_usd == -np.inf  # nothing keeps it, and it says so
    with pytest.raises(ValueError, match="no cost 'grief'; the episodes have drawdown, kill, inventory, order_rate"):
        tune("joiner", quoting, 12_000, candidates=9, ranges=RANGES, progress=False, results=within({"grief": 1.0}))


def test_a_range_of_some_size_is_searched_by_its_logarithm():
    """The middle of [10, 1000] by logarithm is 100; of [10, 90] it is 50."""
    known = parameters_of("joiner", quoting)
    drawn = [candidate(known, index, 0, {"size": (10.0, 1000.0), "limit": (10.0, 90.0)}) for index in range(1, 400)]
    assert np.median([one["size"] for one in drawn]) == pytest.approx(100, rel=0.3)
    assert np.median([one["limit"] for one in drawn]) == pytest.approx(50, rel=0.1)


def test_wrong_use_is_explained():
    with pytest.raises(ValueError, match="ranges: no parameter 'width'; it has size, limit"):
        tune("joiner", quoting, 12_000, ranges={"width": (0.0, 1.0)})
    with pytest.raises(ValueError, match=r"ranges: size in \[0.0, 1.0\] leaves its bounds"):
        tune("joiner", quoting, 12_000, ranges={"size": (0.0, 1.0)})
    with pytest.raises(ValueError, match="its points are of a control surface"):
        tune("fixed", make_env, 12_000)
