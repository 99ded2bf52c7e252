"""The adapter's contract with SB3."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from fake_envs import ClockEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecCheckNan, VecMonitor, VecNormalize

from agents.sb3_vec import SB3VecEnv


def test_final_observations_reach_sb3s_buffer_in_their_place():
    # lives 3 and 5: row 0 ends after steps 3, 6, 9; row 1 after 5. Observation = 100 x episode + t.
    env = SB3VecEnv(ClockEnv(lives=(3, 5)))
    buffer = RolloutBuffer(10, env.observation_space, env.action_space, "cpu", n_envs=2)
    finals = []
    last, starts = env.reset(), np.ones(2, bool)
    for _ in range(10):
        obs, rewards, dones, infos = env.step(np.zeros(2, np.int64))
        buffer.add(last, np.zeros((2, 1)), rewards, starts, torch.zeros(2), torch.zeros(2))
        finals += [(i, float(infos[i]["terminal_observation"][0])) for i in np.flatnonzero(dones)]
        last, starts = obs, dones
    assert buffer.observations[:, 0, 0].tolist() == [0, 1, 2, 100, 101, 102, 200, 201, 202, 300]
    assert buffer.observations[:, 1, 0].tolist() == [0, 1, 2, 3, 4, 100, 101, 102, 103, 104]
    assert buffer.episode_starts[:, 0].tolist() == [1, 0, 0, 1, 0, 0, 1, 0, 0, 1]
    assert finals == [(0, 3.0), (1, 5.0), (0, 103.0), (0, 203.0), (1, 105.0)]


def test_truncation_is_told_from_termination_and_episodes_are_summed():
    env = SB3VecEnv(ClockEnv(lives=(2, 2), truncates=[True, False]))
    env.reset()
    env.step(np.zeros(2, np.int64))
    _, _, dones, infos = env.step(np.zeros(2, np.int64))
    assert dones.all()
    assert [info["TimeLimit.truncated"] for info in infos] == [True, False]
    assert infos[0]["episode"] == {"r": 2.0, "l": 2}
    _, _, _, infos = env.step(np.zeros(2, np.int64))
    assert env._returns.tolist() == [1.0, 1.0]  # started again


def test_ordinary_steps_share_one_empty_info_that_nobody_can_write_to():
    env = SB3VecEnv(ClockEnv(lives=(3, 5)))
    env.reset()
    _, _, _, first = env.step(np.zeros(2, np.int64))
    _, _, _, second = env.step(np.zeros(2, np.int64))
    assert first is second and first[0] is first[1] and first[0] == {}
    for write in (lambda i: i.__setitem__("x", 1), lambda i: i.update(x=1), lambda i: i.setdefault("x", 1)):
        with pytest.raises(TypeError, match="shared by all rows"):
            write(first[0])
    _, _, _, third = env.step(np.zeros(2, np.int64))
    assert third is not first and third[0]["episode"]["l"] == 3 and third[1] is first[1]


def test_returned_arrays_survive_the_next_step():
    env = SB3VecEnv(ClockEnv(lives=(3, 5)))  # this environment reuses its observation array
    before = env.reset()
    kept = before.copy()
    obs, rewards, _, _ = env.step(np.zeros(2, np.int64))
    rewards += 100.0  # SB3 adds the bootstrap in place
    assert (before == kept).all()
    assert env.step(np.zeros(2, np.int64))[1].tolist() == [1.0, 1.0]
    assert obs[:, 0].tolist() == [1.0, 1.0]


def test_costs_and_masks_stay_arrays():
    env = SB3VecEnv(ClockEnv(lives=(3, 5), actions=4))
    env.reset()
    assert env.action_masks().shape == (2, 4)
    with pytest.raises(KeyError, match="no 'costs'"):
        env.get_step_costs()
    env.step(np.zeros(2, np.int64))
    env.step(np.zeros(2, np.int64))
    assert env.get_step_costs().tolist() == [[2.0, 10.0], [2.0, 10.0]]
    assert VecMonitor(env).get_step_costs().shape == (2, 2)  # wrappers forward them


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_another_reset_mode_is_refused_by_name(mode):
    with pytest.raises(ValueError, match=f"SyncVectorEnv resets in mode {mode}.*SAME_STEP"):
        SB3VecEnv(SyncVectorEnv([lambda: gym.make("CartPole-v1")], autoreset_mode=mode))


def test_seeds_and_options_reach_the_environment_once():
    inner = ClockEnv()
    env = SB3VecEnv(inner)
    env.seed(0)
    env.set_options({"a": 1})
    env.reset()
    assert inner.reset_seed == 0 and inner.reset_options == {"a": 1}
    env.reset()
    assert inner.reset_seed is None and inner.reset_options is None
    env.set_options([{"a": 1}, {"a": 2}])
    with pytest.raises(ValueError, match="one set of options"):
        env.reset()


def test_what_a_batch_cannot_do_is_said():
    env = SB3VecEnv(ClockEnv())
    with pytest.raises(NotImplementedError, match="one object"):
        env.env_method("reset")
    with pytest.raises(ValueError, match="without indices"):
        env.set_attr("lives", 1, indices=[0])
    env.set_attr("marker", 7)
    assert env.get_attr("marker") == [7, 7] and env.get_attr("marker", 1) == [7]
    assert env.env_is_wrapped(gym.Wrapper) == [False, False]


def test_an_environment_that_loses_its_final_observation_is_named():
    class Loses(ClockEnv):
        def step(self, actions):
            *rest, info = super().step(actions)
            info.pop("final_obs", None)
            return *rest, info

    env = SB3VecEnv(Loses(lives=(1, 1)))
    env.reset()
    with pytest.raises(ValueError, match=r"Loses: rows \[0, 1\] ended but info has no 'final_obs'"):
        env.step(np.zeros(2, np.int64))


def test_sb3_itself_runs_on_it():
    """Stock PPO, SB3's own wrappers and its evaluation, over an environment that is not ours."""
    envs = SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 4, autoreset_mode=AutoresetMode.SAME_STEP)
    env = VecNormalize(VecMonitor(VecCheckNan(SB3VecEnv(envs), raise_exception=True)))
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=1, device="cpu", seed=0)
    model.learn(512)
    assert len(model.ep_info_buffer) > 0
    lengths = evaluate_policy(model, env, n_eval_episodes=4, return_episode_rewards=True, warn=False)[1]
    assert len(lengths) == 4 and min(lengths) > 5
    env.close()
