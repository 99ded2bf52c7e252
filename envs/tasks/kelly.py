"""How much to stake on a binary contract: J. L. Kelly, "A new interpretation of information rate", 1956.

A contract costs ``price`` and a fee and pays 1 with probability ``belief``. Who spends a fraction f of his wealth on it
multiplies his wealth by ``1 + f (1 - c) / c`` or by ``1 - f``, with c the price and the fee. See
``evaluation.optima.kelly`` for the best fraction, with and without a bound on the conditional value at risk.

An episode is one decision about ``bets`` contracts, staked one after the other: a single outcome says so little of a
fraction's worth that millions would be needed to tell 0.19 from 0.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from envs.tasks.batch import Buffers, TextbookVectorEnv, check_numbers
from sim.kernel import kernel
from sim.mathematics import log


@dataclass(frozen=True)
class Kelly:
    """Parameters."""

    price: float = 0.5  # dollars a contract
    belief: float = 0.6  # probability that it pays a dollar
    fee_rate: float = 0.0  # taker fee a contract = rate x price x (1 - price) dollars
    most: float = 0.3  # largest fraction of the wealth that may be spent
    bets: int = 64  # contracts an episode, each of the same fraction of the wealth before it

    def __post_init__(self) -> None:
        check_numbers(
            "kelly",
            {
                "price": (self.price, 0.01, 0.99),
                "belief": (self.belief, 0.0, 1.0),
                "fee_rate": (self.fee_rate, 0.0, 1.0),  # up to 1 price and fee stay below the dollar paid out
                "most": (self.most, 1e-6, 0.99),  # spending everything may end in a wealth of 0, whose log is -inf
                "bets": (self.bets, 1, 1_000),
            },
        )

    @property
    def paid(self) -> float:
        """Dollars that a contract costs, its fee included."""
        return self.price + self.fee_rate * self.price * (1.0 - self.price)


def _at_most(trials: int, chance: float) -> np.ndarray:
    """Probabilities of at most 0, 1, ... ``trials`` successes, ``(trials + 1,)``."""
    each = [math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(trials + 1)]
    return np.cumsum(each)


@kernel
def _advance(at_most, belief, paid, most, actions, uniforms, awake, now):
    others = len(at_most) - 1
    for env in range(len(awake)):
        if not awake[env]:
            continue
        fraction = most * 0.5 * (actions[env, 0] + 1.0)
        first = uniforms[env, 0] < belief
        wins = 0
        while wins < others and uniforms[env, 1] >= at_most[wins]:
            wins += 1
        gain = fraction * (1.0 - paid) / paid
        won = wins + (1 if first else 0)
        growth = (won * log(1.0 + gain) + (others + 1 - won) * log(1.0 - fraction)) / (others + 1)
        now.reward[env] = growth
        now.reward_terms[env, 0] = growth
        now.costs[env, 0] = -gain if first else fraction
        now.terminated[env] = True


@kernel
def _look(chosen, price, belief, obs):
    for env in range(len(chosen)):
        if chosen[env]:
            obs[env, 0] = price
            obs[env, 1] = belief


class KellyVectorEnv(TextbookVectorEnv):
    """Observation: price and belief, ``(N, 2)``. Action: in [-1, 1], ``(N, 1)``, the fraction spent from 0 to ``most``.

    An episode is one step. It pays the mean growth of the logarithm of the wealth over the ``bets`` contracts, and
    costs the loss on the first of them as a share of the wealth, negative where it is a gain. ``settings`` are those of
    :class:`envs.tasks.batch.TextbookVectorEnv`.
    """

    observation = ("price", "belief")
    actions = ("fraction",)
    rewards: ClassVar[tuple[str, ...]] = ("growth",)
    costs: ClassVar[tuple[str, ...]] = ("loss",)
    columns: ClassVar[tuple[str, ...]] = ()

    def __init__(self, num_envs: int, task: Kelly | None = None, **settings: Any) -> None:
        self.task = task or Kelly()
        self._at_most = _at_most(self.task.bets - 1, self.task.belief)
        seen = gym.spaces.Box(0.0, 1.0, (2,), np.float32)
        super().__init__(num_envs, seen, gym.spaces.Box(-1.0, 1.0, (1,), np.float32), **settings)

    def _start(self, uniforms: np.ndarray, chosen: np.ndarray) -> None:
        """Every episode starts alike."""

    def _advance(self, actions: np.ndarray, uniforms: np.ndarray, awake: np.ndarray, now: Buffers) -> None:
        _advance(self._at_most, self.task.belief, self.task.paid, self.task.most, actions, uniforms, awake, now)

    def _look(self, chosen: np.ndarray, obs: np.ndarray) -> None:
        _look(chosen, self.task.price, self.task.belief, obs)
