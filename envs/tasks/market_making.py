"""Quoting both sides of a market whose orders arrive with an intensity that falls with the quote's distance.

The mid is a random walk. In a step of dt a quote at distance delta is hit with probability ``1 - exp(-lambda dt)``,
with ``lambda = A exp(-k delta)``, each side on its own, one contract at a time. Prices are in cents. Two problems of
the literature are this one:

* A. Cartea, S. Jaimungal, J. Penalva, "Algorithmic and High-Frequency Trading", 2015, chapter 10: maximise the mean of
  ``X + q (S - alpha q) - phi int q**2 dt``. ``risk_aversion = 0``.
* O. Gueant, C.-A. Lehalle, J. Fernandez-Tapia, "Dealing with the inventory risk", 2013, the bounded form of
  M. Avellaneda, S. Stoikov, "High-frequency trading in a limit order book", 2008: maximise the mean of
  ``-exp(-gamma (X + q S))``. ``risk_aversion = gamma``.

With risk aversion the reward is the growth of the utility ``-exp(-gamma (W - c t)) / gamma``, W the wealth so far and c
``benchmark``. Its sum over an episode is ``(1 - exp(gamma c T) exp(-gamma W_T)) / gamma``: the mean of it is an
increasing affine function of the expected utility, whatever c is. With c near what a good maker earns,
``exp(-gamma (W - c t))`` stays near 1, and early and late steps weigh alike in learning; with 0 the late ones would
count for nothing.

Time is discrete here and continuous there. What a policy is compared with is the dynamic programme of this discrete
problem: ``evaluation.optima.market_making``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np

from envs.tasks.batch import Buffers, TextbookVectorEnv, check_numbers
from sim.kernel import kernel
from sim.mathematics import exp, normal


@dataclass(frozen=True)
class MarketMaking:
    """Parameters. A unit of time is an episode's, whatever it is called."""

    intensity: float = 20.0  # A: orders a unit of time at distance 0, each side
    decay: float = 1.5  # k: per cent of distance
    sigma: float = 0.5  # of the mid: cents and square root of a unit of time
    horizon: float = 1.0  # T: units of time
    steps: int = 100
    limit: int = 3  # Q: contracts; at the limit the side that would pass it is not quoted
    running: float = 0.01  # phi: cents a contract squared and unit of time
    terminal: float = 0.001  # alpha: cents a contract squared at the end
    risk_aversion: float = 0.0  # gamma: per cent; 0 = none
    benchmark: float = 0.0  # c: cents a unit of time; shapes the scale of the risk-averse reward, not its optimum
    widest: float = 2.0  # cents: largest distance of a quote

    def __post_init__(self) -> None:
        check_numbers(
            "market_making",
            {
                "intensity": (self.intensity, 0.0, 1e9),
                "decay": (self.decay, 0.0, 1e6),
                "sigma": (self.sigma, 0.0, 1e6),
                "horizon": (self.horizon, 1e-9, 1e9),
                "steps": (self.steps, 1, 10_000_000),
                "limit": (self.limit, 1, 10_000),
                "running": (self.running, 0.0, 1e9),
                "terminal": (self.terminal, 0.0, 1e9),
                "risk_aversion": (self.risk_aversion, 0.0, 1e3),
                "benchmark": (self.benchmark, -1e9, 1e9),
                "widest": (self.widest, 1e-9, 1e6),
            },
        )

    @property
    def dt(self) -> float:
        """Units of time a step takes."""
        return self.horizon / self.steps


CARTEA_JAIMUNGAL_PENALVA = MarketMaking()
# the parameters of Avellaneda and Stoikov's example, with an inventory bound of 5
GUEANT_LEHALLE_FERNANDEZ_TAPIA = MarketMaking(
    intensity=140.0, sigma=2.0, steps=200, limit=5, running=0.0, terminal=0.0, risk_aversion=0.1, benchmark=57.0
)


class Rates(NamedTuple):
    """What a step multiplies by."""

    arrivals: float  # A dt
    decay: float
    move: float  # sigma sqrt(dt), cents
    running: float  # phi dt
    terminal: float
    risk_aversion: float
    benchmark: float  # c dt, cents
    widest: float


@kernel
def _hit(rates, distance, uniform):
    """1.0 where an order arrives, else 0.0: it does with probability ``1 - exp(-A exp(-k distance) dt)``."""
    return 1.0 if uniform >= exp(-rates.arrivals * exp(-rates.decay * distance)) else 0.0


@kernel
def _advance(rates, steps, limit, actions, uniforms, awake, step, values, now):
    for env in range(len(values)):
        if not awake[env]:
            continue
        inventory, wealth = values[env, 0], values[env, 1]
        below = rates.widest * 0.5 * (actions[env, 0] + 1.0)
        above = rates.widest * 0.5 * (actions[env, 1] + 1.0)
        bought = _hit(rates, below, uniforms[env, 0]) if inventory < limit else 0.0
        sold = _hit(rates, above, uniforms[env, 1]) if inventory > -limit else 0.0
        held = inventory + bought - sold
        earned = below * bought + above * sold
        move = held * rates.move * normal(uniforms[env, 2])
        penalty = rates.running * inventory * inventory
        last = step[env] + 1 >= steps
        if last:
            penalty += rates.terminal * held * held
        gain = earned + move - penalty
        now.reward_terms[env, 0] = earned
        now.reward_terms[env, 1] = move
        now.reward_terms[env, 2] = -penalty
        now.reward[env] = gain
        if rates.risk_aversion > 0.0:
            before = exp(-rates.risk_aversion * (wealth - rates.benchmark * step[env]))
            factor = exp(-rates.risk_aversion * (gain - rates.benchmark))
            now.reward[env] = before * (1.0 - factor) / rates.risk_aversion
        now.costs[env, 0] = abs(held) / steps
        now.terminated[env] = last
        values[env, 0] = held
        values[env, 1] = wealth + gain


@kernel
def _look(chosen, steps, limit, step, values, obs):
    for env in range(len(values)):
        if chosen[env]:
            obs[env, 0] = 1.0 - step[env] / steps
            obs[env, 1] = values[env, 0] / limit


class MarketMakingVectorEnv(TextbookVectorEnv):
    """Observation: the share of the time that is left, and inventory / limit, ``(N, 2)``.

    Action: in [-1, 1]**2, ``(N, 2)``: the distances of bid and ask from the mid, from 0 to ``widest`` cents. The
    running penalty is on the inventory at the start of a step; the mid moves after the fills. The reward is the
    step's gain in cents, spread earned + mark to market - penalties, or the growth of its utility, see the file;
    its terms are those three. The cost is ``|inventory|`` averaged over the episode, contracts. The wealth is not
    observed: neither problem's best policy depends on it. ``settings`` are those of
    :class:`envs.tasks.batch.TextbookVectorEnv`.
    """

    observation = ("time_left", "inventory")
    actions = ("bid_distance", "ask_distance")
    rewards: ClassVar[tuple[str, ...]] = ("spread", "move", "penalty")
    costs: ClassVar[tuple[str, ...]] = ("inventory",)
    columns: ClassVar[tuple[str, ...]] = ("inventory", "wealth")

    def __init__(self, num_envs: int, task: MarketMaking | None = None, **settings: Any) -> None:
        self.task = task or CARTEA_JAIMUNGAL_PENALVA
        p = self.task
        self._rates = Rates(
            p.intensity * p.dt, p.decay, p.sigma * math.sqrt(p.dt), p.running * p.dt, p.terminal, p.risk_aversion,
            p.benchmark * p.dt, p.widest,
        )  # fmt: skip
        seen = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        super().__init__(num_envs, seen, gym.spaces.Box(-1.0, 1.0, (2,), np.float32), **settings)

    def _start(self, uniforms: np.ndarray, chosen: np.ndarray) -> None:
        self.state.values[chosen] = 0.0

    def _advance(self, actions: np.ndarray, uniforms: np.ndarray, awake: np.ndarray, now: Buffers) -> None:
        p, state = self.task, self.state
        _advance(self._rates, p.steps, p.limit, actions, uniforms, awake, state.step, state.values, now)

    def _look(self, chosen: np.ndarray, obs: np.ndarray) -> None:
        _look(chosen, self.task.steps, self.task.limit, self.state.step, self.state.values, obs)
