"""Small vector environments whose every number can be written down by hand."""

from typing import ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from agents.config import PPOConfig
from agents.ppo import build
from agents.sb3_vec import SB3VecEnv


class ClockEnv(VectorEnv):
    """Row i: observation [100 x episode + t, i]; the episode ends after ``lives[i]`` steps, by truncation or not.

    The reward is 1 in every step, the costs are [t, 10]. The observation array is reused, to catch aliasing.
    """

    metadata: ClassVar = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, lives=(3, 5), truncates=True, actions=2):
        self.num_envs = len(lives)
        self.lives = np.array(lives)
        self.truncates = np.broadcast_to(truncates, self.num_envs)
        self.single_observation_space = gym.spaces.Box(0.0, np.inf, (2,), np.float32)
        self.single_action_space = gym.spaces.Discrete(actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.buffer = np.zeros((self.num_envs, 2), np.float32)

    def reset(self, *, seed=None, options=None):
        self.reset_seed, self.reset_options = seed, options
        self.episode = np.zeros(self.num_envs, np.int64)
        self.t = np.zeros(self.num_envs, np.int64)
        return self._observe(), {"action_mask": self._mask()}

    def step(self, actions):
        self.actions = actions
        self.t += 1
        ended = self.t >= self.lives
        info = {"costs": np.stack([self.t, np.full(self.num_envs, 10)], 1).astype(float)}
        if ended.any():
            info["final_obs"] = self._observe().copy()
            info["_final_obs"] = ended
            self.episode[ended] += 1
            self.t[ended] = 0
        info["action_mask"] = self._mask()
        return self._observe(), np.ones(self.num_envs), ended & ~self.truncates, ended & self.truncates, info

    def snapshot(self):
        return self.episode.copy(), self.t.copy()

    def restore(self, saved):
        self.episode[:], self.t[:] = saved

    def _observe(self):
        self.buffer[:, 0] = 100 * self.episode + self.t
        self.buffer[:, 1] = np.arange(self.num_envs)
        return self.buffer

    def _mask(self):
        return np.ones((self.num_envs, int(self.single_action_space.n)), bool)


class SideEnv(ClockEnv):
    """Pays 1 for action 1 in the upper half of the rows and for action 0 in the lower half; else nothing."""

    def step(self, actions):
        obs, _, terminated, truncated, info = super().step(actions)
        wanted = 2 * np.arange(self.num_envs) >= self.num_envs
        return obs, (np.asarray(actions) == wanted).astype(float), terminated, truncated, info


class PairEnv(ClockEnv):
    """Two choices of three rows a step: row 1 of the first pays 1, and row 2 of the second, whose row 0 is masked."""

    def __init__(self, lives=(4,) * 16):
        super().__init__(lives)
        self.single_action_space = gym.spaces.MultiDiscrete([3, 3])
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def step(self, actions):
        obs, _, terminated, truncated, info = super().step(actions)
        assert (actions[:, 1] != 0).all()
        return obs, (actions == [1, 2]).sum(1).astype(float), terminated, truncated, info

    def _mask(self):
        mask = np.ones((self.num_envs, 2, 3), bool)
        mask[:, 1, 0] = False
        return mask


SHEET = {
    "observation": ["clock", "row"],
    "observation_digest": "aa",
    "actions": [["hold", "YES", 0, "cross"], ["buy", "YES", 5, "cross"]],
    "action_digest": "bb",
    "costs": ["time", "ten"],
    "rewards": ["one"],
}


def small_ppo(env=None, *, seed=0, gamma=1.0, **config):
    """PPO with tiny networks and rollouts on a fake environment."""
    settings = {"n_steps": 8, "minibatches": 2, "epochs": 2, "hidden": [8], **config}
    return build(SB3VecEnv(env or ClockEnv()), PPOConfig(**settings), gamma=gamma, seed=seed)
