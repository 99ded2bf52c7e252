"""Small tasks for the learner: an optimum within a budget known by hand, one that needs a memory, a box, markets."""

from typing import ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from agents.config import PPOConfig
from agents.ppo import build
from agents.sb3_vec import SB3VecEnv


class BatchEnv(VectorEnv):
    """What the tasks below share: N rows of ``life`` steps each, one cost, no masks, draws of their own."""

    metadata: ClassVar = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, num_envs, features, action_space, life, truncates=False):
        self.num_envs, self.life, self.truncates = num_envs, life, truncates
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (features,), np.float32)
        self.single_action_space = action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.t = np.zeros(num_envs, np.int64)
        self.draws = np.zeros(1, np.int64)  # so that a snapshot is arrays
        self.state = np.zeros((num_envs, features), np.float32)

    def random(self):
        self.draws += 1
        return np.random.Generator(np.random.Philox(key=[7, int(self.draws[0])])).random(self.num_envs)

    def reset(self, *, seed=None, options=None):
        self.t[:], self.draws[:] = 0, 0
        self.begin(np.ones(self.num_envs, bool))
        return self.state.copy(), {}

    def step(self, actions):
        reward, cost = self.pay(actions)
        self.t += 1
        self.move(actions)
        over = self.t >= self.life
        info = {"costs": np.asarray(cost, np.float32).reshape(self.num_envs, -1)}
        if over.any():
            info["final_obs"] = self.state.copy()
            self.t[over] = 0
            self.begin(over)
        none = np.zeros(self.num_envs, bool)
        ends = (none, over) if self.truncates else (over, none)
        return self.state.copy(), np.asarray(reward, float), *ends, info

    def begin(self, rows):
        self.state[rows] = 0.0

    def move(self, actions):
        pass

    def snapshot(self):
        return self.t.copy(), self.draws.copy(), self.state.copy()

    def restore(self, saved):
        self.t[:], self.draws[:], self.state[:] = saved


class ArmsEnv(BatchEnv):
    """Three arms, one pull an episode: they pay 0, 0.6 and 1 and cost 0, 0.2 and 1."""

    PAYS, COSTS = np.array([0.0, 0.6, 1.0]), np.array([0.0, 0.2, 1.0])

    def __init__(self, num_envs=64, unit=1.0, least=0.0):
        super().__init__(num_envs, 1, gym.spaces.Discrete(3), life=1)
        self.unit, self.least = unit, least

    def pay(self, actions):
        return self.PAYS[actions], self.unit * (self.COSTS[actions] + self.least)


class RecallEnv(BatchEnv):
    """A sign is shown in the first of three steps, and asked for in the last: 1 for the action that names it."""

    def __init__(self, num_envs=64, life=3):
        super().__init__(num_envs, 2, gym.spaces.Discrete(2), life)
        self.sign = np.zeros(num_envs)

    def begin(self, rows):
        self.sign[rows] = (self.random() < 0.5)[rows]
        self.state[rows, 0] = 2.0 * self.sign[rows] - 1.0
        self.state[rows, 1] = 0.0

    def move(self, actions):
        self.state[:, 0] = 0.0
        self.state[:, 1] = self.t == self.life - 1

    def pay(self, actions):
        asked = self.t == self.life - 1
        return asked * (actions == self.sign), np.zeros(self.num_envs)

    def snapshot(self):
        return *super().snapshot(), self.sign.copy()

    def restore(self, saved):
        super().restore(saved[:-1])
        self.sign[:] = saved[-1]


class PullEnv(BatchEnv):
    """A box: -(a_0 - x)^2 - (a_1)^2 is paid, |a| is charged, and x, which is seen, is drawn anew in each step."""

    def __init__(self, num_envs=16, life=5):
        super().__init__(num_envs, 1, gym.spaces.Box(np.float32([-1, -2]), np.float32([1, 2])), life, truncates=True)

    def begin(self, rows):
        self.state[rows, 0] = self.random()[rows]

    def move(self, actions):
        self.state[:, 0] = self.random()

    def pay(self, actions):
        assert (np.abs(actions) <= [1, 2]).all()
        return -((actions[:, 0] - self.state[:, 0]) ** 2) - actions[:, 1] ** 2, np.abs(actions).sum(1)


class MarketsEnv(BatchEnv):
    """M markets of three features side by side, two rows in each: 1 for each choice of the sign of the first."""

    def __init__(self, num_envs=8, markets=4, life=6):
        super().__init__(num_envs, 3 * markets, gym.spaces.MultiDiscrete([2] * markets), life, truncates=True)
        self.markets = markets

    def begin(self, rows):
        for feature in range(self.state.shape[1]):
            self.state[rows, feature] = self.random()[rows] - 0.5

    def move(self, actions):
        self.begin(np.ones(self.num_envs, bool))

    def pay(self, actions):
        wanted = self.state[:, ::3] > 0.0
        return (actions == wanted).sum(1), np.zeros(self.num_envs)


def learner(env, *, seed=0, gamma=1.0, markets=1, **config):
    """A constrained learner with small networks on one of the tasks; its one cost is named ``cost``."""
    settings = {"n_steps": 8, "minibatches": 2, "epochs": 2, "hidden": [8], **config}
    return build(SB3VecEnv(env), PPOConfig(**settings), gamma=gamma, seed=seed, cost_names=["cost"], markets=markets)
