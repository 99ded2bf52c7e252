"""The problems with known answers: task, budget, optimum, how a learnt policy is measured, and when it has passed.

No figure is an average of played episodes: a policy is read off where the problem needs it, and its value is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from envs.tasks import (
    CARTEA_JAIMUNGAL_PENALVA,
    GUEANT_LEHALLE_FERNANDEZ_TAPIA,
    LQR,
    AlmgrenChriss,
    AlmgrenChrissVectorEnv,
    Garnet,
    GarnetVectorEnv,
    Kelly,
    KellyVectorEnv,
    LQRVectorEnv,
    MarketMaking,
    MarketMakingVectorEnv,
    TextbookVectorEnv,
)
from evaluation.optima import almgren_chriss, cmdp, kelly, lqr, market_making

MEAN_EXCESS, WORST_EXCESS = 0.01, 0.04  # cost above the budget: of all seeds' mean, and of any one seed


class Learnt(Protocol):
    """A trained policy, as far as it is measured."""

    def probabilities(self, observations: np.ndarray) -> np.ndarray:
        """``(n, A)`` for observations ``(n, F)`` float32, of a policy that picks one of A actions."""
        ...

    def actions(self, observations: np.ndarray) -> np.ndarray:
        """``(n, D)``: the mean actions, cut to the action space, of a policy that gives D numbers."""
        ...


class Measured(NamedTuple):
    """What one seed reached."""

    achieved: float
    cost: float | None = None
    multiplier: float | None = None


@dataclass(frozen=True)
class Budget:
    """What is kept: ``kind`` and ``alpha`` as the learner names them, ``limit`` in the cost's units."""

    kind: str
    limit: float
    alpha: float = 0.9
    dual: float | None = None  # reward that a unit more of it is worth at the optimum


@dataclass(frozen=True)
class Problem:
    """One problem. ``config`` and ``multipliers`` are fields of the learner's configuration that
    differ from its defaults."""

    name: str
    quantity: str  # what ``optimum`` and ``achieved`` are
    task: Any
    kind: type[TextbookVectorEnv]
    optimum: float
    measure: Callable[[Learnt], tuple[float, float | None]]  # achieved, and the cost where there is a budget
    low: float  # of achieved / optimum, for every seed
    high: float
    budget: Budget | None = None
    multiplier_within: float | None = None  # of the dual, for every seed
    gamma: float = 1.0  # discount of a step
    num_envs: int = 1024
    steps: int = 3_000_000
    config: Mapping[str, Any] = field(default_factory=dict)
    multipliers: Mapping[str, Any] = field(default_factory=dict)

    def make(self, seed: int, first: int = 0, count: int | None = None) -> TextbookVectorEnv:
        """A fresh batch to train on, or ``count`` rows of it from ``first`` on."""
        return self.kind(count or self.num_envs, task=self.task, seed=seed, first_env=first)  # type: ignore[call-arg]

    def passed(self, seeds: Sequence[Measured]) -> bool:
        """Whether every figure of every seed is as near as it must be, and the budget is kept."""
        return not self.failures(seeds)

    def failures(self, seeds: Sequence[Measured], first: int = 0) -> list[str]:
        """What is not as it must be, in words; empty where all is. ``first``: the number of the first of ``seeds``."""
        wrong = [
            f"seed {seed}: {self.quantity} {run.achieved:.6g}, expected {self.low} to {self.high} of {self.optimum:.6g}"
            for seed, run in enumerate(seeds, first)
            if not self.low <= run.achieved / self.optimum <= self.high
        ]
        if self.budget is not None:
            costs = [run.cost for run in seeds if run.cost is not None]
            wrong += _over_budget(costs, self.budget.limit, first)
            wrong += self._wrong_multipliers([run.multiplier for run in seeds if run.multiplier is not None], first)
        return wrong

    def _wrong_multipliers(self, found: Sequence[float], first: int) -> list[str]:
        dual = self.budget.dual if self.budget is not None else None
        if dual is None or self.multiplier_within is None:
            return []
        return [
            f"seed {seed}: multiplier {value:.4g}, the dual is {dual:.4g}"
            for seed, value in enumerate(found, first)
            if abs(value / dual - 1) > self.multiplier_within
        ]


def _over_budget(costs: Sequence[float], limit: float, first: int) -> list[str]:
    wrong = [
        f"seed {seed}: cost {cost:.6g}, more than {WORST_EXCESS:.0%} above the budget {limit:.6g}"
        for seed, cost in enumerate(costs, first)
        if cost > limit * (1 + WORST_EXCESS)
    ]
    if np.mean(costs) > limit * (1 + MEAN_EXCESS):
        wrong.append(f"mean cost {np.mean(costs):.6g}, more than {MEAN_EXCESS:.0%} above the budget {limit:.6g}")
    return wrong


def tabular(instance: int, **settings: Any) -> Problem:
    """A Garnet problem under a budget 40 % of the way from the cheapest cost to the unconstrained one.

    The policy is measured as it is, stochastic: its best action alone would spend another amount.
    """
    task = Garnet(instance=instance)
    limit = cmdp.budget_between(task, 0.4)
    best = cmdp.solve(task, limit)

    def measure(policy: Learnt) -> tuple[float, float]:
        chances = policy.probabilities(np.eye(task.states, dtype=np.float32)).astype(np.float64)
        return cmdp.evaluate(task, chances / chances.sum(1, keepdims=True))

    budget = Budget("discounted", limit, dual=best.multiplier)
    return Problem(
        f"cmdp_{instance}", "discounted reward", task, GarnetVectorEnv, best.value, measure, 0.98, 1.02,
        budget=budget, multiplier_within=0.1, gamma=task.gamma, **settings,
    )  # fmt: skip


def linear_quadratic(**settings: Any) -> Problem:
    """The linear system with ``E sum gamma**t u**2 <= 2``; the mean action is measured, by quadrature."""
    task, limit = LQR(), 2.0
    best = lqr.solve(task, limit)

    def measure(policy: Learnt) -> tuple[float, float]:
        return lqr.evaluate(task, lambda x: policy.actions(x[:, None].astype(np.float32))[:, 0])

    budget = Budget("discounted", limit, dual=best.multiplier)
    return Problem(
        "lqr", "discounted reward", task, LQRVectorEnv, best.value, measure, 0.95, 1.05,
        budget=budget, gamma=task.gamma, **settings,
    )  # fmt: skip


def betting(name: str, task: Kelly, alpha: float | None = None, limit: float = 0.1, **settings: Any) -> Problem:
    """The fraction of the wealth to stake, with ``alpha`` under a CVaR of the loss of at most ``limit``."""
    best = kelly.solve(task) if alpha is None else kelly.solve(task, limit, alpha)

    def measure(policy: Learnt) -> tuple[float, float | None]:
        action = float(policy.actions(np.array([[task.price, task.belief]], np.float32))[0, 0])
        fraction = task.most * 0.5 * (action + 1.0)
        return fraction, None if alpha is None else kelly.cvar(task, fraction, alpha)

    budget = None if alpha is None else Budget("cvar", limit, alpha, dual=best.multiplier)
    return Problem(
        name, "fraction", task, KellyVectorEnv, best.fraction, measure, 0.97, 1.03, budget=budget, **settings
    )


def execution(**settings: Any) -> Problem:
    """The paper's position, sold with at most half the variance of selling evenly."""
    task = AlmgrenChriss()
    limit = almgren_chriss.measure(task, almgren_chriss.even_path(task))[1] / 2
    best = almgren_chriss.solve(task, limit)

    def measure(policy: Learnt) -> tuple[float, float]:
        path = [task.position]
        for step in range(task.steps - 1):
            seen = np.array([[1 - step / task.steps, path[-1] / task.position]], np.float32)
            path.append(path[-1] * (1 - 0.5 * (float(policy.actions(seen)[0, 0]) + 1)))
        return almgren_chriss.measure(task, np.array([*path, 0.0]))

    budget = Budget("episode", limit, dual=best.multiplier)
    return Problem(
        "almgren_chriss", "expected shortfall", task, AlmgrenChrissVectorEnv, best.cost, measure, 0.97, 1.03,
        budget=budget, **settings,
    )  # fmt: skip


def making(name: str, task: MarketMaking, **settings: Any) -> Problem:
    """Quotes against the dynamic programme: the value of the mean action at every step and inventory."""
    best = market_making.solve(task)

    def measure(policy: Learnt) -> tuple[float, None]:
        return market_making.evaluate(task, read_quotes(task, policy)), None

    quantity = "certainty equivalent" if task.risk_aversion else "expected gain"
    return Problem(name, quantity, task, MarketMakingVectorEnv, best.value, measure, 0.98, 1.0 + 1e-9, **settings)


def read_quotes(task: MarketMaking, policy: Learnt) -> np.ndarray:
    """Distances ``(steps, 2 Q + 1, 2)``, cents, of a policy at everything it can see."""
    time_left = 1 - np.arange(task.steps) / task.steps
    inventory = np.arange(-task.limit, task.limit + 1) / task.limit
    seen = np.stack(np.meshgrid(time_left, inventory, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
    distances = task.widest * 0.5 * (policy.actions(seen).astype(np.float64) + 1)
    return distances.reshape(task.steps, len(inventory), 2)


# One configuration a problem, for all seeds. Continuous policies start with little exploration, and none has an entropy
# bonus but the tabular one: its best policy is stochastic, and one that becomes certain too early no longer answers to
# its multiplier. The linear system's is pressed to explore less towards the end: its noise is paid out of the budget.
_QUIET: dict[str, Any] = {"ent_coef": 0.0, "ent_coef_end": 0.0, "activation": "tanh"}
_TABULAR: dict[str, Any] = {
    "num_envs": 1024,
    "steps": 3_000_000,
    "config": {
        "n_steps": 16, "minibatches": 8, "hidden": [32], "activation": "tanh", "learning_rate": 3e-3,
        "learning_rate_end": 8e-4, "ent_coef": 0.2, "ent_coef_end": 0.1, "gae_lambda": 0.8,
    },
    "multipliers": {"gain": 0.15, "kp": 1.0, "smoothing": 0.5},
}  # fmt: skip
_CONTROL: dict[str, Any] = {
    **_QUIET, "hidden": [32], "minibatches": 2, "learning_rate": 3e-3, "learning_rate_end": 2e-4, "initial_std": 0.15,
}  # fmt: skip
_LQR: dict[str, Any] = {
    "num_envs": 512,
    "steps": 4_000_000,
    "config": {
        **_CONTROL, "n_steps": 16, "gae_lambda": 0.8, "learning_rate": 2e-3, "learning_rate_end": 3e-4,
        "initial_std": 0.05, "ent_coef_end": -0.004, "clip_range": 0.3, "clip_range_end": 0.3,
    },
    "multipliers": {"gain": 0.02, "kp": 2.0},
}  # fmt: skip
_EXECUTION: dict[str, Any] = {
    "num_envs": 256,
    "steps": 600_000,
    "config": {**_CONTROL, "n_steps": 10},
    "multipliers": {"gain": 0.03},
}
_BET: dict[str, Any] = {**_QUIET, "n_steps": 4, "hidden": [8], "normalise_observations": False}
_KELLY: dict[str, Any] = {"steps": 500_000, "config": {**_BET, "learning_rate": 3e-3, "initial_std": 0.2}}
_KELLY_FEE: dict[str, Any] = {**_KELLY, "steps": 1_000_000}  # less is at stake, so the noise weighs more
_KELLY_CVAR_90: dict[str, Any] = {
    "steps": 1_000_000,
    "config": {**_BET, "learning_rate": 2e-3, "learning_rate_end": 2e-4, "initial_std": 0.1, "clip_range": 0.4},
    "multipliers": {"gain": 0.006, "kp": 1.0},
}
_KELLY_CVAR_50: dict[str, Any] = {**_KELLY_CVAR_90, "multipliers": {"gain": 0.1, "kp": 4.0}}
_QUOTES: dict[str, Any] = {
    "num_envs": 256,
    "steps": 2_000_000,
    "config": {
        **_QUIET, "n_steps": 100, "epochs": 6, "learning_rate": 2e-3, "gae_lambda": 0.8, "initial_std": 0.22,
    },
}  # fmt: skip

# The duals of instances 0, 1 and 2 are the same for all budgets within 4 %. Of others, about half, they jump inside of
# that range, and a policy within the tolerance of the budget would have another one.
PROBLEMS: dict[str, Callable[[], Problem]] = {
    "cmdp_0": lambda: tabular(0, **_TABULAR),
    "cmdp_1": lambda: tabular(1, **_TABULAR),
    "cmdp_2": lambda: tabular(2, **_TABULAR),
    "lqr": lambda: linear_quadratic(**_LQR),
    "kelly": lambda: betting("kelly", Kelly(), **_KELLY),
    "kelly_fee": lambda: betting("kelly_fee", Kelly(fee_rate=0.07), **_KELLY_FEE),
    "kelly_cvar_90": lambda: betting("kelly_cvar_90", Kelly(), 0.9, **_KELLY_CVAR_90),
    "kelly_cvar_50": lambda: betting("kelly_cvar_50", Kelly(), 0.5, **_KELLY_CVAR_50),
    "almgren_chriss": lambda: execution(**_EXECUTION),
    "cartea_jaimungal_penalva": lambda: making(
        "cartea_jaimungal_penalva", CARTEA_JAIMUNGAL_PENALVA, **{**_QUOTES, "steps": 4_000_000}
    ),
    "gueant_lehalle_fernandez_tapia": lambda: making(
        "gueant_lehalle_fernandez_tapia", GUEANT_LEHALLE_FERNANDEZ_TAPIA, **_QUOTES
    ),
}
