"""A random tabular problem with a cost: Garnet.

Source of the family: T. W. Archibald, K. I. M. McKinnon, L. C. Thomas, "On the generation of Markov decision
processes", JORS 46, 1995. Its best policy under a budget is a linear programme: E. Altman, "Constrained Markov decision
processes", 1999; see ``evaluation.optima.cmdp``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np

from envs.tasks.batch import Buffers, TextbookVectorEnv, check_numbers
from sim.kernel import kernel


@dataclass(frozen=True)
class Garnet:
    """Parameters; rewards and costs are uniform in [0, 1], and so is what a step of it pays and costs."""

    states: int = 12
    actions: int = 4
    branches: int = 3  # states that an action can lead to
    gamma: float = 0.95  # discount of a step
    horizon: int = 100  # steps after which an episode is cut off
    instance: int = 3  # which random problem

    def __post_init__(self) -> None:
        check_numbers(
            "garnet",
            {
                "states": (self.states, 1, 10_000),
                "actions": (self.actions, 1, 1_000),
                "branches": (self.branches, 1, self.states),
                "gamma": (self.gamma, 0.0, 0.999999),
                "horizon": (self.horizon, 1, 1_000_000),
                "instance": (self.instance, 0, 2**63 - 1),
            },
        )


class Tables(NamedTuple):
    """A problem of S states, A actions and B branches."""

    successors: np.ndarray  # (S, A, B) int64
    probabilities: np.ndarray  # (S, A, B) float64, each row sums to 1
    rewards: np.ndarray  # (S, A) float64
    costs: np.ndarray  # (S, A) float64

    @property
    def transitions(self) -> np.ndarray:
        """``P(s' | s, a)``, ``(S, A, S)``."""
        dense = np.zeros((*self.rewards.shape, len(self.rewards)))
        np.put_along_axis(dense, self.successors, self.probabilities, axis=-1)
        return dense


def make_tables(task: Garnet) -> Tables:
    """Each action leads to ``branches`` different states with probabilities uniform on the simplex."""
    rng = np.random.default_rng(task.instance)
    shape = (task.states, task.actions, task.branches)
    successors, probabilities = np.zeros(shape, np.int64), np.zeros(shape)
    for state in range(task.states):
        for action in range(task.actions):
            successors[state, action] = rng.choice(task.states, task.branches, replace=False)
            probabilities[state, action] = rng.dirichlet(np.ones(task.branches))
    table = (task.states, task.actions)
    return Tables(successors, probabilities, rng.random(table), rng.random(table))


@kernel
def _start(uniforms, chosen, states, values):
    for env in range(len(values)):
        if chosen[env]:
            values[env, 0] = float(int(uniforms[env, 0] * states))


@kernel
def _advance(tables, cumulative, actions, uniforms, awake, values, now):
    for env in range(len(values)):
        if not awake[env]:
            continue
        state, action = int(values[env, 0]), actions[env]
        now.reward[env] = tables.rewards[state, action]
        now.reward_terms[env, 0] = tables.rewards[state, action]
        now.costs[env, 0] = tables.costs[state, action]
        branch = 0
        while branch < cumulative.shape[2] - 1 and uniforms[env, 0] >= cumulative[state, action, branch]:
            branch += 1
        values[env, 0] = float(tables.successors[state, action, branch])


@kernel
def _look(chosen, values, obs):
    for env in range(len(values)):
        if chosen[env]:
            for state in range(obs.shape[1]):
                obs[env, state] = 1.0 if state == int(values[env, 0]) else 0.0


class GarnetVectorEnv(TextbookVectorEnv):
    """Observation: the state, one-hot ``(N, S)``. Action: 0 to A - 1. Start: a state, each as likely.

    A step pays ``r(s, a)`` and costs ``c(s, a)``, and moves on. There is no end: an episode is cut off at the horizon.
    ``settings`` are those of :class:`envs.tasks.batch.TextbookVectorEnv`.
    """

    rewards: ClassVar[tuple[str, ...]] = ("reward",)
    costs: ClassVar[tuple[str, ...]] = ("cost",)
    columns: ClassVar[tuple[str, ...]] = ("state",)

    def __init__(self, num_envs: int, task: Garnet | None = None, **settings: Any) -> None:
        self.task = task or Garnet()
        self.tables = make_tables(self.task)
        self._cumulative = self.tables.probabilities.cumsum(axis=-1)
        self.observation = [f"state_{state}" for state in range(self.task.states)]
        self.actions = [f"action_{action}" for action in range(self.task.actions)]
        seen = gym.spaces.Box(0.0, 1.0, (self.task.states,), np.float32)
        super().__init__(num_envs, seen, gym.spaces.Discrete(self.task.actions), horizon=self.task.horizon, **settings)

    def _start(self, uniforms: np.ndarray, chosen: np.ndarray) -> None:
        _start(uniforms, chosen, self.task.states, self.state.values)

    def _advance(self, actions: np.ndarray, uniforms: np.ndarray, awake: np.ndarray, now: Buffers) -> None:
        _advance(self.tables, self._cumulative, actions, uniforms, awake, self.state.values, now)

    def _look(self, chosen: np.ndarray, obs: np.ndarray) -> None:
        _look(chosen, self.state.values, obs)
