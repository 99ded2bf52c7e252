"""Selling a position with linear impact: R. Almgren, N. Chriss, "Optimal execution of portfolio transactions", 2000.

A position X is sold in N steps of tau days. Selling n shares in a step is paid ``S - epsilon - (eta / tau) n`` a share,
and moves the price S by ``-gamma n`` for good; between two steps S moves by ``sigma sqrt(tau) e``, e standard normal.
With ``x`` the shares left after each step the shortfall has

    mean      sum of gamma x n + epsilon n + (eta / tau) n**2
    variance  sum of sigma**2 tau x**2

See ``evaluation.optima.almgren_chriss`` for the cheapest path under a bound on the variance. Shares, dollars and days
are in units of a million shares and a million dollars, which leaves every price in dollars a share and makes all
numbers of a size. Parameters are those of the paper's example.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from envs.tasks.batch import Buffers, TextbookVectorEnv, check_numbers
from sim.kernel import kernel
from sim.mathematics import normal


@dataclass(frozen=True)
class AlmgrenChriss:
    """Parameters; "million" is of shares."""

    position: float = 1.0  # million
    days: float = 5.0
    steps: int = 5
    sigma: float = 0.95  # dollars a share and square root of a day
    epsilon: float = 0.0625  # dollars a share: half the spread and the fees
    eta: float = 2.5  # dollars a share for (a million a day): temporary impact
    gamma: float = 0.25  # dollars a share for a million: permanent impact
    realised: bool = False  # pay the realised shortfall instead of its mean given the trade

    def __post_init__(self) -> None:
        check_numbers(
            "almgren_chriss",
            {
                "position": (self.position, 1e-9, 1e9),
                "days": (self.days, 1e-9, 1e9),
                "steps": (self.steps, 1, 100_000),
                "sigma": (self.sigma, 0.0, 1e9),
                "epsilon": (self.epsilon, 0.0, 1e9),
                "eta": (self.eta, 0.0, 1e9),
                "gamma": (self.gamma, 0.0, 1e9),
            },
        )

    @property
    def tau(self) -> float:
        """Days a step takes."""
        return self.days / self.steps


@kernel
def _advance(rates, steps, realised, actions, uniforms, awake, step, values, now):
    epsilon, eta_by_tau, gamma, risk = rates
    for env in range(len(values)):
        if not awake[env]:
            continue
        last = step[env] + 1 >= steps
        sold = values[env, 0] if last else values[env, 0] * 0.5 * (actions[env, 0] + 1.0)
        left = values[env, 0] - sold
        impact = gamma * left * sold + epsilon * sold + eta_by_tau * sold * sold
        move = risk * left * normal(uniforms[env, 0])
        now.reward[env] = move - impact if realised else -impact
        now.reward_terms[env, 0] = -impact
        now.reward_terms[env, 1] = move
        now.costs[env, 0] = (risk * left) ** 2
        now.terminated[env] = last
        values[env, 0] = left


@kernel
def _look(chosen, position, steps, step, values, obs):
    for env in range(len(values)):
        if chosen[env]:
            obs[env, 0] = 1.0 - step[env] / steps
            obs[env, 1] = values[env, 0] / position


class AlmgrenChrissVectorEnv(TextbookVectorEnv):
    """Observation: shares of the time and of the position that are left, ``(N, 2)``.

    Action: in [-1, 1], ``(N, 1)``: the share of what is left that is sold in this step, from none to all; the last step
    sells what is left. The reward is minus the impact in million dollars, with ``realised`` plus what the price's move
    does to what is left; the cost is the variance of that move, million dollars squared. ``settings`` are those of
    :class:`envs.tasks.batch.TextbookVectorEnv`.
    """

    observation = ("time_left", "position_left")
    actions = ("share",)
    rewards: ClassVar[tuple[str, ...]] = ("impact", "move")
    costs: ClassVar[tuple[str, ...]] = ("variance",)
    columns: ClassVar[tuple[str, ...]] = ("position",)

    def __init__(self, num_envs: int, task: AlmgrenChriss | None = None, **settings: Any) -> None:
        self.task = task or AlmgrenChriss()
        p = self.task
        self._rates = (p.epsilon, p.eta / p.tau, p.gamma, p.sigma * math.sqrt(p.tau))
        seen = gym.spaces.Box(0.0, 1.0, (2,), np.float32)
        super().__init__(num_envs, seen, gym.spaces.Box(-1.0, 1.0, (1,), np.float32), **settings)

    def _start(self, uniforms: np.ndarray, chosen: np.ndarray) -> None:
        self.state.values[chosen, 0] = self.task.position

    def _advance(self, actions: np.ndarray, uniforms: np.ndarray, awake: np.ndarray, now: Buffers) -> None:
        p, state = self.task, self.state
        _advance(self._rates, p.steps, p.realised, actions, uniforms, awake, state.step, state.values, now)

    def _look(self, chosen: np.ndarray, obs: np.ndarray) -> None:
        _look(chosen, self.task.position, self.task.steps, self.state.step, self.state.values, obs)
