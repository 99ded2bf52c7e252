"""PPO: the batched bootstrap, the discount, learning, and what stops a run."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from fake_envs import ClockEnv, PairEnv, SideEnv, small_ppo
from stable_baselines3.common.logger import Logger

from agents.config import PPOConfig, discount
from agents.errors import NonFiniteError
from agents.loss import sample
from agents.normaliser import MIN_STD, RunningNorm
from agents.ppo import build
from agents.rollout import advantages
from agents.sb3_vec import SB3VecEnv


def quiet(model):
    model.set_logger(Logger(None, []))
    return model


def rollout(model):
    """One rollout of a model, without an update."""
    model._setup_learn(1, None)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, model.n_steps)
    return model.rollout_buffer


def value_is_the_clock(model):
    """Make V(x, i) = x exactly."""
    model.network.scaled_values = lambda seen: seen[:, :1]
    return model


def test_truncated_rows_are_bootstrapped_with_the_value_of_their_last_observation():
    env = ClockEnv(lives=(3, 5), truncates=[True, False])
    model = value_is_the_clock(quiet(small_ppo(env, gamma=0.5, normalise_observations=False)))
    rewards = rollout(model).rewards[..., 0]
    # Row 0 is truncated at steps 3 and 6, with last observations 3 and 103: 1 + 0.5 x 3 = 2.5, 1 + 0.5 x 103 = 52.5.
    assert rewards[:, 0].tolist() == [1.0, 1.0, 2.5, 1.0, 1.0, 52.5, 1.0, 1.0]
    # Row 1 terminates at step 5: no bootstrap.
    assert rewards[:, 1].tolist() == [1.0] * 8


def test_the_bootstrap_is_one_forward_pass():
    model = quiet(small_ppo(ClockEnv(lives=(4,) * 6), gamma=0.9))
    calls = []
    original = model.network.values
    model.network.values = lambda seen: calls.append(len(seen)) or original(seen)
    rollout(model)
    # 8 steps, the bootstrap of all 6 rows at once after steps 4 and 8, and the value after the last step
    assert calls == [6] * (8 + 2 + 1)


def test_advantages_by_hand():
    rewards = torch.tensor([[[1.0]], [[2.0]], [[4.0]]])
    values = torch.tensor([[[0.5]], [[1.0]], [[2.0]], [[3.0]]])
    dones = torch.tensor([[False], [True], [False]])
    result = advantages(rewards, values, dones, torch.tensor([0.5]), 0.5)
    # step 2: 4 + 0.5 x 3 - 2 = 3.5; step 1 ends its episode: 2 - 1 = 1; step 0: 1 + 0.5 x 1 - 0.5 = 1, + 0.25 x 1
    assert result.flatten().tolist() == [1.25, 1.0, 3.5]


def test_discount_is_per_second():
    assert discount(0.99, 1.0) == 0.99
    assert discount(0.99, 0.5) ** 2 == pytest.approx(0.99)
    assert discount(1.0, None) == 1.0
    with pytest.raises(ValueError, match="no fixed length in seconds"):
        discount(0.99, None)
    with pytest.raises(ValueError, match=r"gamma_per_s = 1.5: expected a discount in \(0, 1\]"):
        discount(1.5, 1.0)


def test_it_learns_what_pays():
    model = quiet(small_ppo(SideEnv(lives=(7,) * 16), learning_rate=0.01, n_steps=16, hidden=[16]))
    model.learn(16 * 16 * 40)
    obs = model.env.reset()
    actions, _ = model.predict(obs, deterministic=True)
    assert (actions == [0] * 8 + [1] * 8).sum() >= 15  # the row at the border may be undecided


@pytest.mark.parametrize("seeds, equal", [((0, 0), True), ((0, 1), False)])
def test_a_seed_decides_the_parameters_and_0_is_one(seeds, equal):
    first, second = [quiet(small_ppo(seed=seed)).learn(64) for seed in seeds]
    weights = [model.policy.state_dict()["network.actor.head.weight"].numpy().tobytes() for model in (first, second)]
    assert (weights[0] == weights[1]) is equal


def test_a_nan_reward_names_update_and_row():
    class Broken(ClockEnv):
        def step(self, actions):
            obs, reward, *rest = super().step(actions)
            reward[1] = np.nan if self.episode[0] == 4 else 1.0
            return obs, reward, *rest

    with pytest.raises(NonFiniteError, match="update 2: the environment pays nan in row 1"):
        quiet(small_ppo(Broken(lives=(3, 5)))).learn(1000)


def test_a_nan_observation_names_update_row_and_feature():
    class Broken(ClockEnv):
        def _observe(self):
            obs = super()._observe()
            if (self.episode[1], self.t[1]) == (2, 1):
                obs[1, 0] = np.nan
            return obs

    with pytest.raises(NonFiniteError, match=r"update 2: in row 1 the policy gives .*; features \[0\] .* not finite"):
        quiet(small_ppo(Broken(lives=(3, 5)))).learn(1000)


def test_a_nan_loss_stops_before_the_parameters_move():
    model = quiet(small_ppo())
    rollout(model)
    model.rollout_buffer.returns[3, 1, 0] = np.nan
    with pytest.raises(NonFiniteError, match=r"update 1, epoch 1, minibatch \d: loss nan.*value_loss nan"):
        model.train()
    assert all(torch.isfinite(tensor).all() for tensor in model.policy.state_dict().values())


def test_broken_parameters_are_told_from_broken_observations():
    model = quiet(small_ppo())
    with torch.no_grad():
        model.network.actor.head.bias[0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"update 1: in row 0 the policy gives .*; its observation is finite"):
        model.learn(100)


def test_the_normaliser_computes_mean_and_standard_deviation_of_everything_seen():
    rng = np.random.default_rng(0)
    parts = [rng.normal([5.0, -2.0], [3.0, 0.0], (n, 2)).astype(np.float32) for n in (1, 10, 500)]
    norm = RunningNorm(2)
    for part in parts:
        norm.observe(torch.from_numpy(part))
    seen = np.concatenate(parts).astype(np.float64)
    assert np.allclose(norm.mean, seen.mean(0), rtol=1e-6)
    assert norm.scale[0] == pytest.approx(1.0 / seen[:, 0].std(), rel=1e-5)
    assert norm.scale[1] == pytest.approx(1.0 / MIN_STD)  # a constant feature
    assert norm(torch.tensor([[1e9, -2.0]])).tolist() == [[10.0, 0.0]]


def test_the_normaliser_stands_still_while_an_update_uses_its_probabilities():
    model = quiet(small_ppo())
    buffer = rollout(model)
    with torch.no_grad():
        outputs = model.network.act(model.network.body(buffer.obs.view(-1, 2)))
        log_prob, _ = model.network.head.judge(outputs, buffer.actions.view(-1, 1), None)
    assert np.allclose(log_prob, buffer.log_probs.view(-1), atol=1e-6)
    model.train()
    assert model.network.normaliser.moments[0, 0] == 16


@pytest.mark.parametrize(
    "change, message",
    [
        ({"minibatches": 3}, "agent.minibatches = 3 does not divide a rollout of 2 environments x 8 steps = 16"),
        ({"activation": "gelu"}, "agent.activation = 'gelu': expected one of tanh, relu, silu"),
    ],
)
def test_settings_that_cannot_work_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        small_ppo(**change)


def test_action_spaces_without_a_head_are_refused():
    env = SB3VecEnv(ClockEnv())
    env.action_space = gym.spaces.MultiDiscrete([2, 3])
    with pytest.raises(ValueError, match="expected a Discrete action space"):
        build(env, PPOConfig(), gamma=1.0, seed=0)


def test_a_choice_in_each_market_is_learnt_and_masks_are_kept_apart():
    model = quiet(small_ppo(PairEnv(), learning_rate=0.02, n_steps=8))
    model.learn(16 * 8 * 25)
    masks = torch.from_numpy(PairEnv()._mask()[:1])
    log_probs = model.network.head.log_probs(model.network.act(model.network.body(torch.zeros(1, 2))), masks)
    assert log_probs.shape == (1, 2, 3)
    assert log_probs[0].argmax(1).tolist() == [1, 2] and log_probs[0, 1, 0].exp() == 0.0
    assert log_probs[0].exp().sum(1).tolist() == pytest.approx([1.0, 1.0])


def test_the_probability_of_several_choices_is_their_product():
    model = small_ppo(PairEnv())
    network, masks = model.network, torch.from_numpy(PairEnv()._mask()[:5])
    drawn = sample(network, torch.zeros(5, 2), torch.zeros(5, dtype=torch.bool), torch.zeros(5, 0), masks)
    log_probs = network.head.log_probs(network.act(torch.zeros(5, 2)), masks).detach()
    by_hand = [float(log_probs[i, 0, a] + log_probs[i, 1, b]) for i, (a, b) in enumerate(drawn.actions.tolist())]
    assert drawn.actions.shape == (5, 2) and drawn.log_probs.tolist() == pytest.approx(by_hand)


def test_minibatches_keep_an_action_beside_its_mask():
    model = quiet(small_ppo(PairEnv(), n_steps=8, minibatches=4))
    model.learn(16 * 8)
    seen = 0
    for batch in model.rollout_buffer.minibatches(4, sequences=False):
        assert batch.masks.shape == (32, 2, 3) and batch.actions.shape == (32, 2)
        assert batch.masks.gather(2, batch.actions.unsqueeze(-1)).all()
        seen += len(batch.actions)
    assert seen == 16 * 8
