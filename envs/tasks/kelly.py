"""How much to stake on a binary contract: J. L. Kelly, "A new interpretation of information rate", 1956.

A contract costs ``price`` and a fee and pays 1 with probability ``belief``. Who spends a fraction f of his wealth on it
multiplies his wealth by ``1 + f (1 - c) / c`` or by ``1 - f``, with c the price and the fee. See
``evaluation.optima.kelly`` for the best fraction, with and without a bound on the conditional value at risk.
"""

from __future__ import annotations

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

    def __post_init__(self) -> None:
        check_numbers(
            "kelly",
            {
                "price": (self.price, 0.01, 0.99),
                "belief": (self.belief, 0.0, 1.0),
                "fee_rate": (self.fee_rate, 0.0, 1.0),  # up to 1 price and fee stay below the dollar paid out
                "most": (self.most, 1e-6, 0.99),  # spending everything may end in a wealth of 0, whose log is -inf
            },
        )

    @property
    def paid(self) -> float:
        """Dollars that a contract costs, its fee included."""
        return self.price + self.fee_rate * self.price * (1.0 - self.price)


@kernel
def _advance(belief, paid, most, actions, uniforms, awake, now):
    for env in range(len(awake)):
        if not awake[env]:
            continue
        fraction = most * 0.5 * (actions[env, 0] + 1.0)
        gain = fraction * (1.0 - paid) / paid if uniforms[env, 0] < belief else -fraction
        growth = log(1.0 + gain)
        now.reward[env] = growth
        now.reward_terms[env, 0] = growth
        now.costs[env, 0] = -gain
        now.terminated[env] = True


@kernel
def _look(chosen, price, belief, obs):
    for env in range(len(chosen)):
        if chosen[env]:
            obs[env, 0] = price
            obs[env, 1] = belief


class KellyVectorEnv(TextbookVectorEnv):
    """Observation: price and belief, ``(N, 2)``. Action: in [-1, 1], ``(N, 1)``, the fraction spent from 0 to ``most``.

    An episode is one contract. It pays the growth of the logarithm of the wealth, and costs the loss as a share of the
    wealth, negative where it is a gain. ``settings`` are those of :class:`envs.tasks.batch.TextbookVectorEnv`.
    """

    observation = ("price", "belief")
    actions = ("fraction",)
    rewards: ClassVar[tuple[str, ...]] = ("growth",)
    costs: ClassVar[tuple[str, ...]] = ("loss",)
    columns: ClassVar[tuple[str, ...]] = ()

    def __init__(self, num_envs: int, task: Kelly | None = None, **settings: Any) -> None:
        self.task = task or Kelly()
        seen = gym.spaces.Box(0.0, 1.0, (2,), np.float32)
        super().__init__(num_envs, seen, gym.spaces.Box(-1.0, 1.0, (1,), np.float32), **settings)

    def _start(self, uniforms: np.ndarray, chosen: np.ndarray) -> None:
        """Every episode starts alike."""

    def _advance(self, actions: np.ndarray, uniforms: np.ndarray, awake: np.ndarray, now: Buffers) -> None:
        _advance(self.task.belief, self.task.paid, self.task.most, actions, uniforms, awake, now)

    def _look(self, chosen: np.ndarray, obs: np.ndarray) -> None:
        _look(chosen, self.task.price, self.task.belief, obs)
