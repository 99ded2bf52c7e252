"""A task that only a memory can do: say at the end of an episode what was shown at its beginning."""

import numpy as np
import pytest
import torch
from learner_envs import RecallEnv, learner
from stable_baselines3.common.logger import Logger


def trained(memory, updates=45):
    settings = {"n_steps": 9, "learning_rate": 0.02, "epochs": 4, "hidden": [16], "memory": memory, "memory_size": 8}
    model = learner(RecallEnv(), **settings)
    model.set_logger(Logger(None, []))
    return model.learn(64 * 9 * updates)


def paid(model):
    """Mean reward of an episode in one more rollout."""
    model._setup_learn(1, None)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, model.n_steps)
    return model.rollout_buffer.rewards[..., 0].sum().item() / (64 * 3)


@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_what_was_shown_is_remembered(memory):
    assert paid(trained(memory)) > 0.9


def test_without_a_memory_it_is_a_guess():
    assert paid(trained(None)) == pytest.approx(0.5, abs=0.15)


def test_the_update_sees_what_the_rollout_saw():
    """The probability of each action, recomputed from the stored state at the beginning, with starts inside."""
    model = learner(RecallEnv(8), n_steps=4, memory="lstm", memory_size=4)
    model.set_logger(Logger(None, []))
    model.learn(8 * 4)
    model.train = lambda: None
    model.learn(8 * 4, reset_num_timesteps=False)
    roll = model.rollout_buffer
    assert roll.state.abs().min() > 0.0 and not roll.starts[0].any() and roll.starts[2].all()
    for batch in roll.minibatches(2, sequences=True):
        with torch.no_grad():
            seen, _ = model.network.recall(batch.obs, batch.starts, batch.state)
            log_probs, _ = model.network.head.judge(model.network.act(seen), batch.actions, None)
        assert torch.allclose(log_probs, batch.log_probs, atol=1e-5)


def test_an_episode_over_two_rollouts_is_remembered():
    """Rollouts of 2 steps, episodes of 3: a rollout begins with the state at the end of the one before."""
    model = learner(RecallEnv(8), n_steps=2, memory="gru", memory_size=4)
    model.set_logger(Logger(None, []))
    model.learn(8 * 2)
    before = model._memory.clone()
    model.train = lambda: None
    model.learn(8 * 2, reset_num_timesteps=False)
    roll = model.rollout_buffer
    assert torch.equal(roll.state, before) and before.abs().min() > 0.0
    assert not roll.starts[0].any() and roll.starts[1].all()
    assert np.array_equal(roll.dones[0].numpy(), roll.starts[1].numpy())
