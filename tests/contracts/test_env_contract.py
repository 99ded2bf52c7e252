"""What every registered environment keeps, in batches of every mode."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs.registration import IDS, register_all

MODES = list(AutoresetMode)


def make(name, num_envs=6, **settings):
    return gym.make_vec(name, num_envs=num_envs, window_s=12.0, **settings)


@pytest.mark.parametrize("name", IDS)
class TestEnvironment:
    """Inherit nothing: a new environment joins by its id in ``envs.registration.IDS``."""

    def test_registering_twice_changes_nothing(self, name):
        register_all()
        assert name in gym.registry

    def test_spaces_are_batches_of_single_spaces(self, name):
        env = make(name)
        assert env.observation_space.shape == (6, *env.single_observation_space.shape)
        assert env.action_space.shape == (6,)
        assert np.isfinite(env.single_observation_space.low).all()
        assert np.isfinite(env.single_observation_space.high).all()

    @pytest.mark.parametrize("mode", MODES)
    def test_steps_stay_within_the_spaces_and_report_everything(self, name, mode):
        env = make(name, autoreset_mode=mode)
        assert env.metadata["autoreset_mode"] is mode
        obs, info = env.reset(seed=1)
        env.action_space.seed(1)
        sheet = env.spec_sheet
        ended = np.zeros(6, int)
        for _ in range(30):
            assert obs in env.observation_space
            assert info["action_mask"].shape == (6, len(sheet["actions"]))
            assert info["action_mask"].any(axis=1).all()
            obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
            assert reward.shape == terminated.shape == truncated.shape == (6,)
            assert np.isfinite(reward).all()
            assert info["costs"].shape == (6, len(sheet["costs"]))
            assert (info["costs"] >= 0).all()
            assert info["reward_terms"].shape == (6, len(sheet["rewards"]))
            over = terminated | truncated
            assert not (terminated & truncated).any()
            np.testing.assert_array_equal(over, info["reason"] > 0)
            ended += over
            if mode is AutoresetMode.SAME_STEP and over.any():
                np.testing.assert_array_equal(info["_final_obs"], over)
                assert info["final_obs"][over] in gym.spaces.Box(-1, 1, (over.sum(), obs.shape[1]), np.float32)
            if mode is AutoresetMode.DISABLED and over.any():
                obs, info = env.reset(options={"reset_mask": over})
        assert (ended == 2).all()  # 30 steps of 12-second windows

    def test_the_first_legal_rows_can_be_done(self, name):
        env = make(name)
        _, info = env.reset(seed=2)
        rng = np.random.default_rng(2)
        for _ in range(40):
            noise = rng.random(info["action_mask"].shape)
            *_, ended, _, info = env.step(np.where(info["action_mask"], noise, -1).argmax(axis=1))
            decoded = info["reject"][~ended]
            assert set(decoded.tolist()) <= {0, 4, 6}  # only the venue may still refuse: cash, or a quote that moved

    def test_the_same_seed_gives_the_same_bytes(self, name):
        digests = []
        for _ in range(2):
            env = make(name)
            env.reset(seed=0)
            env.action_space.seed(0)
            for _ in range(20):
                env.step(env.action_space.sample())
            digests.append(env.digest())
        assert digests[0] == digests[1]

    def test_both_faces_have_the_same_sheet(self, name):
        single = gym.make(name).unwrapped
        assert single.spec_sheet == make(name).spec_sheet
        assert single.observation_space == make(name).single_observation_space

    def test_closing_twice_is_allowed(self, name):
        env = make(name)
        env.close()
        env.close()
