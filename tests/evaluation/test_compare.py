"""Agent and baselines over the same worlds."""

import itertools

import numpy as np
import pytest
from worlds import make_env

from agents.policy import load
from evaluation.compare import BRACKET, advantage, evaluate

POLICIES = {"signal": "baseline:signal", "random": "baseline:random?rate=0.3", "noop": "baseline:noop"}


def test_everyone_meets_the_same_worlds():
    judged = evaluate(POLICIES, make_env, 12, progress=False)
    assert judged.fill_models == BRACKET and judged.policies == tuple(POLICIES)
    assert judged.agent == "signal" and judged.headline == "probabilistic"
    runs = [episodes for runs in judged.runs.values() for episodes in runs.values()]
    for name in ("number", "episode", "row", "tape", "start_ns", "payout_px"):
        assert all((getattr(run, name) == getattr(runs[0], name)).all() for run in runs), name


def test_takers_and_random_draws_do_not_depend_on_the_fill_model():
    judged = evaluate(POLICIES, lambda **settings: make_env(actions="taker21", **settings), 12, progress=False)
    one, *others = (judged.runs[model]["random"] for model in BRACKET)
    assert len(one.fill) > 0
    for other in others:
        assert (one.action == other.action).all() and (one.result_uusd == other.result_uusd).all()


def test_a_function_may_make_the_policy():
    def build(sheet):
        assert "actions" in sheet
        return load("baseline:signal", sheet)

    judged = evaluate({"mine": build, "signal": "baseline:signal"}, make_env, 6, fill_models=["queue"], progress=False)
    assert judged.headline == "queue"
    assert advantage(judged, "signal", "queue", resamples=20) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("setting", ["seed", "first_env"])
def test_environments_with_other_worlds_are_noticed(setting):
    counter = itertools.count()
    with pytest.raises(ValueError, match="the same scenario, seed and number of environments"):
        evaluate(POLICIES, lambda **s: make_env(**{setting: next(counter)}, **s), 6, progress=False)


def test_wrong_use_is_explained():
    with pytest.raises(ValueError, match="no fill model 'hopeful'; the models are pessimistic"):
        evaluate(POLICIES, make_env, 6, fill_models=["hopeful"])
    with pytest.raises(ValueError, match="at least one policy and one fill model"):
        evaluate({}, make_env, 6)


def test_passive_fills_grow_along_the_bracket():
    """The same orders: a policy that only ever joins the bid once is filled no less as the model gets more hopeful."""

    class JoinOnce:
        def __init__(self, sheet):
            self.row = sheet["actions"].index(["buy", "YES", 10, "passive"])
            self.steps = 0

        def act(self, obs):
            self.steps += 1
            return np.full(len(obs), self.row if self.steps == 1 else 0)

    judged = evaluate({"join": JoinOnce}, lambda **s: make_env(48, **s), 48, progress=False)
    filled = [int(judged.runs[model]["join"].filled_qty.sum()) for model in BRACKET]
    assert filled[0] <= filled[1] <= filled[2] and filled[0] < filled[2]
