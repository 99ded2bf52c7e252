"""Inference is the learner: the same outputs and actions for choices, boxes, memories and shared markets."""

import numpy as np
import pytest
import torch
from fake_envs import SHEET
from learner_envs import MarketsEnv, PullEnv, RecallEnv, learner
from stable_baselines3.common.logger import Logger
from test_checkpoint import make_run

from agents.checkpoint import load_parameters, save_policy
from agents.policy import load
from agents.trained import TrainedPolicy

KINDS = {
    "choices": lambda: learner(RecallEnv(8)),
    "gru": lambda: learner(RecallEnv(8), memory="gru", memory_size=4),
    "box": lambda: learner(PullEnv(8), initial_std=0.3),
    "box with a memory": lambda: learner(PullEnv(8), memory="lstm", memory_size=4),
    "markets": lambda: learner(MarketsEnv(8), markets=4),
    "markets with a memory": lambda: learner(MarketsEnv(8), markets=4, memory="gru", memory_size=4),
    "markets apart": lambda: learner(MarketsEnv(8), markets=4, shared=False),
}


def saved(folder, kind):
    """A trained model, and a maker of policies from its run folder."""
    model = KINDS[kind]()
    model.set_logger(Logger(None, []))
    model.learn(model.n_envs * model.n_steps * 3)
    run = make_run(folder, network=model.policy.spec)
    save_policy(model, run.policy_path)
    features = [str(i) for i in range(model.observation_space.shape[0])]

    def make(**settings):
        return TrainedPolicy(run.manifest, load_parameters(run.path), features, **settings)

    return model, make


@pytest.mark.parametrize("kind", KINDS)
def test_inference_acts_as_the_learner_saw_itself_act(tmp_path, kind):
    """A rollout of the learner, played again by the policy: the same outputs at the same observations."""
    model, make = saved(tmp_path, kind)
    model._setup_learn(1, None)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, model.n_steps)
    roll, policy = model.rollout_buffer, make()
    with torch.no_grad():
        seen, _ = model.network.recall(roll.obs, roll.starts, roll.state)
        wanted = model.network.act(seen).view(model.n_steps, model.n_envs, -1)
    assert roll.starts[0].all() and roll.starts[1:].any()
    for step in range(model.n_steps):
        policy.begin(roll.starts[step].numpy())
        outputs = policy.outputs(roll.obs[step].numpy())
        assert np.allclose(outputs, wanted[step], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_action_is_that_of_sb3s_predict(tmp_path, kind):
    model, make = saved(tmp_path, kind)
    obs = np.random.default_rng(0).normal(size=(9, model.observation_space.shape[0])).astype(np.float32)
    wanted, _ = model.predict(obs, deterministic=True)
    acted = make().act(obs)
    assert acted.shape == wanted.shape and acted.dtype == wanted.dtype
    assert np.allclose(acted, wanted, atol=1e-5)


def test_a_memory_is_forgotten_at_a_start_and_kept_in_between(tmp_path):
    _, make = saved(tmp_path, "gru")
    obs = np.random.default_rng(0).normal(size=(6, 5, 2)).astype(np.float32)
    policy, fresh = make(), make()
    for step in range(3):
        last = policy.outputs(obs[step])
    assert not np.allclose(last, fresh.outputs(obs[2]), atol=1e-6)
    rows = np.array([True, False, True, False, False])
    policy.begin(rows)
    now, afresh = policy.outputs(obs[3]), make().outputs(obs[3])
    assert np.allclose(now[rows], afresh[rows], atol=1e-6)
    assert not np.isclose(now[~rows], afresh[~rows], atol=1e-6).all()
    policy.outputs(obs[4][:2])  # a batch of another size begins anew
    assert np.allclose(make().outputs(obs[4][:2]), policy.outputs(obs[4][:3])[:2], atol=1e-6)


def test_a_box_is_sampled_around_its_means_and_stays_inside(tmp_path):
    model, make = saved(tmp_path, "box")
    obs = np.full((20_000, 1), 0.5, np.float32)
    means, spread = make().act(obs[:1])[0], model.network.head.spread().exp().detach().numpy()
    drawn = make(deterministic=False, seed=1).act(obs)
    assert drawn.dtype == np.float32 and (np.abs(drawn) <= [1.0, 2.0]).all()
    assert drawn.std(0) == pytest.approx(spread, rel=0.1)
    assert np.abs(drawn.mean(0) - means).max() < 0.05
    again = make(deterministic=False, seed=1)
    assert (again.act(obs[:7]) == drawn[:7]).all() and (again.act(obs[:7]) != drawn[:7]).any()


@pytest.mark.parametrize("kind", ["markets", "markets with a memory"])
def test_a_policy_of_4_markets_acts_in_9(tmp_path, kind):
    model, _ = saved(tmp_path, kind)
    run = make_run(tmp_path, "nine", network=model.policy.spec, sheet=sheet(4))
    save_policy(model, run.policy_path)
    obs = np.random.default_rng(0).normal(size=(6, 27)).astype(np.float32)
    actions = load(run.path, sheet(9)).act(obs)
    assert actions.shape == (6, 9) and set(actions.ravel()) <= {0, 1}
    masks = np.ones((6, 9, 2), bool)
    masks[:, 4, 1] = False
    assert (load(run.path, sheet(9), deterministic=False).act(obs, masks)[:, 4] == 0).all()
    with pytest.raises(ValueError, match="trained on observation schema each, the environment has other"):
        load(run.path, {**sheet(9), "observation_digest_each": "other"})


def test_a_policy_that_looks_at_its_markets_as_one_stays_with_them(tmp_path):
    model, _ = saved(tmp_path, "markets apart")
    run = make_run(tmp_path, "apart", network=model.policy.spec, sheet=sheet(4))
    save_policy(model, run.policy_path)
    assert load(run.path, sheet(4)).act(np.zeros((2, 12), np.float32)).shape == (2, 4)
    with pytest.raises(ValueError, match="trained on observation schema"):
        load(run.path, sheet(9))


def sheet(markets):
    names = [f"market_{m}.{name}" for m in range(markets) for name in ("sign", "b", "c")]
    digests = {"observation_digest": f"o{markets}", "action_digest": f"a{markets}"}
    each = {"observation_digest_each": "each", "action_digest_each": "each"}
    return {**SHEET, "observation": names, "markets": markets, **digests, **each}
