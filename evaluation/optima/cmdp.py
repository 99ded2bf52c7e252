"""A tabular problem with a budget, by linear programme.

Over discounted occupations ``rho(s, a) >= 0``: maximise ``sum rho r`` subject to

    sum_a rho(s', a) = mu(s') + gamma sum P(s' | s, a) rho(s, a)      for each s'
    sum rho c <= budget

The policy is ``rho / sum_a rho``, and the budget's dual is what a unit of it is worth, the Lagrange multiplier.
Source: E. Altman, "Constrained Markov decision processes", 1999.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linprog

from envs.tasks.cmdp import Garnet, Tables, make_tables


class Optimum(NamedTuple):
    """The best policy that keeps a budget."""

    value: float  # its expected discounted reward
    cost: float  # its expected discounted cost
    multiplier: float  # the dual of the budget, reward per unit of cost; 0 where the budget does not bind
    policy: np.ndarray  # (S, A) probabilities


def solve(task: Garnet, budget: float | None = None) -> Optimum:
    """The optimum under ``budget``, in units of discounted cost; None = without one.

    Raises ValueError for a budget below what the cheapest policy costs.
    """
    tables = make_tables(task)
    result = _programme(task, tables, -tables.rewards, budget)
    if result.status != 0:
        raise ValueError(
            f"cmdp: no policy keeps a budget of {budget}; the cheapest costs {cheapest(task):.6g} ({result.message})"
        )
    occupation = result.x.reshape(tables.rewards.shape)
    multiplier = -float(result.ineqlin.marginals[0]) if budget is not None else 0.0
    policy = occupation / occupation.sum(1, keepdims=True)
    return Optimum(-float(result.fun), float((occupation * tables.costs).sum()), multiplier, policy)


def cheapest(task: Garnet) -> float:
    """The least expected discounted cost that any policy has."""
    tables = make_tables(task)
    return float(_programme(task, tables, tables.costs, None).fun)


def budget_between(task: Garnet, share: float) -> float:
    """A budget ``share`` of the way from the cheapest policy's cost to that of the best policy without a budget."""
    low = cheapest(task)
    return low + share * (solve(task).cost - low)


def evaluate(task: Garnet, policy: np.ndarray) -> tuple[float, float]:
    """Expected discounted reward and cost of ``policy`` ``(S, A)``, by one linear solve.

    Raises ValueError where a row is no distribution.
    """
    tables = make_tables(task)
    if policy.shape != tables.rewards.shape or (policy < 0).any() or abs(policy.sum(1) - 1).max() > 1e-5:
        raise ValueError(f"cmdp: expected {tables.rewards.shape} probabilities, each row summing to 1, got {policy}")
    moves = np.einsum("sa,sat->st", policy, tables.transitions)
    start = np.full(task.states, 1 / task.states)
    visits = np.linalg.solve(np.eye(task.states) - task.gamma * moves.T, start)
    occupation = visits[:, None] * policy
    return float((occupation * tables.rewards).sum()), float((occupation * tables.costs).sum())


def _programme(task: Garnet, tables: Tables, loss: np.ndarray, budget: float | None) -> Any:
    states, actions = loss.shape
    stays = np.repeat(np.eye(states), actions, axis=1)
    balance = stays - task.gamma * tables.transitions.reshape(-1, states).T
    bound = {} if budget is None else {"A_ub": [tables.costs.ravel()], "b_ub": [budget]}
    return linprog(loss.ravel(), A_eq=balance, b_eq=np.full(states, 1 / states), method="highs", **bound)
