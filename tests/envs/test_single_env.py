"""The single face: Gymnasium's own checks, and agreement with the batch."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.registration import IDS
from envs.single import TradingEnv
from envs.vector import TradingVectorEnv


@pytest.mark.parametrize("name", IDS)
def test_check_env(name, recwarn):
    env = gym.make(name, disable_env_checker=True)
    check_env(env.unwrapped)
    assert not [str(warning.message) for warning in recwarn]


def test_the_single_face_is_row_0_of_a_batch():
    single, batch = TradingEnv(seed=4, actions="full"), TradingVectorEnv(3, seed=4, actions="full")
    obs, info = single.reset()
    all_obs, all_info = batch.reset()
    np.testing.assert_array_equal(obs, all_obs[0])
    np.testing.assert_array_equal(info["action_mask"], all_info["action_mask"][0])
    rng = np.random.default_rng(0)
    for action in rng.integers(0, 44, 30):
        obs, reward, terminated, truncated, info = single.step(int(action))
        all_obs, all_reward, *_, all_info = batch.step(np.full(3, action))
        np.testing.assert_array_equal(obs, all_obs[0])
        assert reward == all_reward[0]
        assert info["equity_uusd"] == all_info["equity_uusd"][0]
        assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
        assert info["costs"].shape == (4,)


def test_returned_arrays_stay():
    env = TradingEnv()
    obs, _ = env.reset(seed=0)
    kept = obs.copy()
    for _ in range(3):
        env.step(0)
    np.testing.assert_array_equal(obs, kept)


def test_a_finished_episode_needs_a_reset():
    env = gym.make("shadowbook/Directional-v0", window_s=2.0)
    env.reset(seed=0)
    ends = [env.step(0)[3] for _ in range(2)]
    assert ends == [False, True]
    obs, _ = env.reset()
    assert obs in env.observation_space


def test_options_are_refused():
    with pytest.raises(ValueError, match="no options, got reset_mask"):
        TradingEnv().reset(options={"reset_mask": np.ones(1, np.bool_)})


def test_render():
    env = gym.make("shadowbook/Directional-v0", render_mode="ansi")
    env.reset(seed=0)
    assert "equity $10,000.00" in env.render()
