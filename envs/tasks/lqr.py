"""A linear system with quadratic reward, whose control is what costs.

``x' = a x + b u + sigma e`` with standard normal ``e`` and ``x0 ~ N(0, start_std**2)``; a step pays ``-x**2`` and costs
``u**2``. Under a budget of ``E sum gamma**t u**2`` the best control is ``u = -K x``; see ``evaluation.optima.lqr``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from envs.tasks.batch import Buffers, TextbookVectorEnv, check_numbers
from sim.kernel import kernel
from sim.mathematics import normal


@dataclass(frozen=True)
class LQR:
    """Parameters, without units."""

    a: float = 0.95
    b: float = 0.5
    sigma: float = 0.3  # of the noise of a step
    start_std: float = 1.0
    gamma: float = 0.95  # discount of a step
    horizon: int = 50  # steps after which an episode is cut off
    control: float = 4.0  # largest |u|

    def __post_init__(self) -> None:
        check_numbers(
            "lqr",
            {
                "a": (self.a, -10.0, 10.0),
                "b": (self.b, -10.0, 10.0),
                "sigma": (self.sigma, 0.0, 1e6),
                "start_std": (self.start_std, 0.0, 1e6),
                "gamma": (self.gamma, 0.0, 0.999999),
                "horizon": (self.horizon, 1, 1_000_000),
                "control": (self.control, 1e-6, 1e6),
            },
        )


@kernel
def _start(uniforms, chosen, std, values):
    for env in range(len(values)):
        if chosen[env]:
            values[env, 0] = std * normal(uniforms[env, 0])


@kernel
def _advance(a, b, sigma, actions, uniforms, awake, values, now):
    for env in range(len(values)):
        if not awake[env]:
            continue
        x, u = values[env, 0], actions[env, 0]
        now.reward[env] = -x * x
        now.reward_terms[env, 0] = -x * x
        now.costs[env, 0] = u * u
        values[env, 0] = a * x + b * u + sigma * normal(uniforms[env, 0])


@kernel
def _look(chosen, values, obs):
    for env in range(len(values)):
        if chosen[env]:
            obs[env, 0] = values[env, 0]


class LQRVectorEnv(TextbookVectorEnv):
    """Observation: ``x`` ``(N, 1)``. Action: ``u`` in [-control, control], ``(N, 1)``.

    ``settings`` are those of :class:`envs.tasks.batch.TextbookVectorEnv`.
    """

    observation = ("x",)
    actions = ("u",)
    rewards: ClassVar[tuple[str, ...]] = ("state",)
    costs: ClassVar[tuple[str, ...]] = ("control",)
    columns: ClassVar[tuple[str, ...]] = ("x",)

    def __init__(self, num_envs: int, task: LQR | None = None, **settings: Any) -> None:
        self.task = task or LQR()
        seen = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
        done = gym.spaces.Box(-self.task.control, self.task.control, (1,), np.float32)
        super().__init__(num_envs, seen, done, horizon=self.task.horizon, **settings)

    def _start(self, uniforms: np.ndarray, chosen: np.ndarray) -> None:
        _start(uniforms, chosen, self.task.start_std, self.state.values)

    def _advance(self, actions: np.ndarray, uniforms: np.ndarray, awake: np.ndarray, now: Buffers) -> None:
        p = self.task
        _advance(p.a, p.b, p.sigma, actions, uniforms, awake, self.state.values, now)

    def _look(self, chosen: np.ndarray, obs: np.ndarray) -> None:
        _look(chosen, self.state.values, obs)
