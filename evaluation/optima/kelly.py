"""How much of the wealth to spend on a binary contract: the log-optimal fraction, with and without a bound on CVaR.

With c what a contract costs, fee included, and p the belief, spending f is worth

    g(f) = p log(1 + f (1 - c) / c) + (1 - p) log(1 - f),     best at  f = (p - c) / (1 - c)

The loss is f with probability 1 - p and -f (1 - c) / c with probability p. Its CVaR at a level alpha is the mean of the
worst share 1 - alpha, and is a multiple of f: the losing part counts first, and what is left of the share is gain.
Sources: J. L. Kelly, "A new interpretation of information rate", 1956; R. T. Rockafellar, S. Uryasev, "Optimization of
conditional value-at-risk", 2000.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from envs.tasks.kelly import Kelly


class Optimum(NamedTuple):
    """The best fraction."""

    value: float  # growth of the log of the wealth, each contract
    fraction: float
    cvar: float  # of the loss, share of the wealth; NaN where none was asked for
    multiplier: float  # growth per unit of CVaR; 0 where the bound does not bind


def growth(task: Kelly, fraction: float) -> float:
    """g(f), for f in [0, 1)."""
    return task.belief * math.log1p(fraction * (1 - task.paid) / task.paid) + (1 - task.belief) * math.log1p(-fraction)


def cvar(task: Kelly, fraction: float, alpha: float) -> float:
    """The mean loss in the worst ``1 - alpha`` of the cases, share of the wealth; ValueError unless 0 <= alpha < 1."""
    if not 0.0 <= alpha < 1.0:
        raise ValueError(f"kelly: expected a level alpha in [0, 1), got {alpha}")
    worst, losing = 1 - alpha, 1 - task.belief
    if worst <= losing:
        return fraction
    return fraction * (losing - (worst - losing) * (1 - task.paid) / task.paid) / worst


def solve(task: Kelly, budget: float | None = None, alpha: float = 0.9) -> Optimum:
    """The optimum, under ``cvar(f, alpha) <= budget`` where one is given.

    Raises ValueError for a negative budget, which only a sure gain could keep.
    """
    best = min(max(0.0, (task.belief - task.paid) / (1 - task.paid)), task.most)
    if budget is None:
        return Optimum(growth(task, best), best, math.nan, 0.0)
    if not budget >= 0.0:
        raise ValueError(f"kelly: expected a budget of at least 0, got {budget}")
    slope = cvar(task, 1.0, alpha)
    if slope * best <= budget:
        return Optimum(growth(task, best), best, slope * best, 0.0)
    bound = budget / slope
    odds = (1 - task.paid) / task.paid
    marginal = task.belief * odds / (1 + bound * odds) - (1 - task.belief) / (1 - bound)
    return Optimum(growth(task, bound), bound, budget, marginal / slope)
