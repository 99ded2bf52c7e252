"""A policy that training begins with acts as it did, also where features are shown that it has never seen."""

import numpy as np
import pytest
import torch

from agents import ppo
from agents.adopt import adopt
from agents.budgets import Budget
from agents.checkpoint import RunFolder, make_manifest, save_policy
from agents.config import PPOConfig
from agents.sb3_vec import SB3VecEnv
from agents.trained import acting
from envs.vector import TradingVectorEnv
from sim.scenarios import synthetic
from sim.scenarios.row import make_rows

SCENARIO = synthetic(make_rows(4, life_s=np.array([10.0, 14.0, 18.0, 22.0]), signal_rate=np.full(4, 1.0)))
COSTS = ("drawdown",)


def make(hidden=(), seed=0, config=None):
    env = TradingVectorEnv(
        16, scenario=SCENARIO, features=("book", "portfolio", "signal"), hidden=hidden, actions="taker21", seed=3,
        costs=COSTS, window_s=np.inf,
    )  # fmt: skip
    config = config or PPOConfig(n_steps=16, hidden=[16], budgets={"drawdown": Budget(limit=10.0)})
    return env, ppo.build(SB3VecEnv(env), config, gamma=0.99, seed=seed, cost_names=COSTS)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run that has learnt with the signal hidden."""
    env, model = make(hidden=("signal",))
    model.learn(1024)
    manifest = make_manifest(
        date="2026-01-01", sheet=env.spec_sheet, network=model.policy.spec, data={}, seed=0, total_steps=1024,
        repository=tmp_path_factory.mktemp("nowhere"),
    )  # fmt: skip
    run = RunFolder.create(tmp_path_factory.mktemp("runs"), "first", config_yaml="", manifest=manifest)
    save_policy(model, run.policy_path)
    return run, model


def observations(env, hide=False):
    obs, _ = env.reset()
    rng = np.random.default_rng(0)
    seen = [obs.copy()] + [env.step(rng.integers(0, 21, 16))[0].copy() for _ in range(8)]
    return np.concatenate(seen)


def test_it_acts_as_it_did_whatever_the_new_features_say(first):
    run, before = first
    env, model = make(seed=9)
    adopt(model, run.path, env.spec_sheet)
    shown, hidden = observations(make()[0]), observations(make(hidden=("signal",))[0])
    assert (shown != hidden).any()
    names = env.spec_sheet["observation"]
    with torch.no_grad():
        now = acting(model.policy, names, "now").outputs(shown)
        then = acting(before.policy, names, "then").outputs(hidden)
    assert np.allclose(now, then, atol=1e-6)


def test_what_was_hidden_is_learnt_from_then_on(first):
    run, _ = first
    env, model = make(seed=9)
    adopt(model, run.path, env.spec_sheet)
    column = env.spec_sheet["observation"].index("signal_edge")
    weight = model.network.actor.layers[0].weight
    assert (weight[:, column] == 0).all()
    model.learn(512)
    assert (weight[:, column] != 0).any()
    assert 1.0 < model.network.normaliser.scale[column] < 1e3  # it is normalised now, and not by 1 / 0


def test_the_normaliser_follows_new_observations(first):
    """Its count is cut to a rollout, 16 x 16: after one more the old statistics weigh one half, and not four fifths."""
    run, before = first
    env, model = make(seed=9)
    adopt(model, run.path, env.spec_sheet)
    count = model.network.normaliser.moments[0]
    seen = before.network.normaliser.moments[0].max()
    assert seen == 1024 and count.max() == 256
    deviation = lambda norm: (norm.moments[2] / norm.moments[0].clamp(min=1)).sqrt()  # noqa: E731
    kept = count > 0
    assert torch.allclose(deviation(model.network.normaliser)[kept], deviation(before.network.normaliser)[kept])


def test_another_network_is_refused(first):
    env, model = make(config=PPOConfig(n_steps=16, hidden=[8], budgets={"drawdown": Budget(limit=10.0)}))
    with pytest.raises(ValueError, match=r"(?s)its networks are not those of this config .*agent\.hidden"):
        adopt(model, first[0].path, env.spec_sheet)
    env, model = make(config=PPOConfig(n_steps=16, hidden=[16]))
    with pytest.raises(ValueError, match=r"agent\.budgets"):
        adopt(model, first[0].path, env.spec_sheet)


def test_another_schema_is_refused(first):
    env, model = make()
    with pytest.raises(ValueError, match="trained on observation schema"):
        adopt(model, first[0].path, {**env.spec_sheet, "observation_digest": "0"})
