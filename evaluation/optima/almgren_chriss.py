"""The cheapest way to sell a position under a bound on the variance of its proceeds.

For a price ``multiplier`` of variance the best path is

    x_j = X sinh(kappa (T - t_j)) / sinh(kappa T),   2 (cosh(kappa tau) - 1) / tau**2 = multiplier sigma**2 / eta'

with ``eta' = eta - gamma tau / 2``. Its cost is ``gamma X**2 / 2 + epsilon X + (eta' / tau) sum n**2`` and its variance
``sigma**2 tau sum x**2``. The multiplier is where the variance meets the bound. Paths that react to prices are not
considered, here as in the paper. Source: R. Almgren, N. Chriss,
"Optimal execution of portfolio transactions", 2000, equations 16 to 20.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from envs.tasks.almgren_chriss import AlmgrenChriss


class Optimum(NamedTuple):
    """The cheapest path that keeps a bound."""

    cost: float  # expected shortfall, million dollars
    variance: float  # million dollars squared
    multiplier: float  # million dollars per unit of variance; 0 where the bound does not bind
    path: np.ndarray  # (steps + 1,) million shares left, first X, last 0


def measure(task: AlmgrenChriss, path: np.ndarray) -> tuple[float, float]:
    """Expected shortfall and variance of ``path`` ``(steps + 1,)``, million shares left after each step."""
    sold = -np.diff(path)
    eta = task.eta - task.gamma * task.tau / 2
    cost = task.gamma * task.position**2 / 2 + task.epsilon * task.position + eta / task.tau * (sold**2).sum()
    return float(cost), float(task.sigma**2 * task.tau * (path[1:] ** 2).sum())


def even_path(task: AlmgrenChriss) -> np.ndarray:
    """The same number of shares in each step: the cheapest of all paths."""
    return task.position * np.linspace(1.0, 0.0, task.steps + 1)


def best_path(task: AlmgrenChriss, multiplier: float) -> np.ndarray:
    """The path that is best where a unit of variance costs ``multiplier`` >= 0.

    Raises ValueError where permanent impact outweighs temporary: selling and buying back would then earn money.
    """
    eta = task.eta - task.gamma * task.tau / 2
    if eta <= 0.0:
        raise ValueError(
            f"almgren_chriss: eta - gamma tau / 2 = {eta}, expected a positive number: trade in more steps"
        )
    if multiplier == 0.0:
        return even_path(task)
    # cosh(x) - 1 = 2 sinh(x / 2)**2, which loses nothing where x is small
    kappa = 2 * math.asinh(math.sqrt(multiplier / eta) * task.sigma * task.tau / 2) / task.tau
    left = task.days - task.tau * np.arange(task.steps + 1)
    # sinh(a) / sinh(b) for 0 <= a <= b, without overflow
    path = np.exp(kappa * (left - task.days)) * -np.expm1(-2 * kappa * left) / -math.expm1(-2 * kappa * task.days)
    return task.position * path


def solve(task: AlmgrenChriss, budget: float) -> Optimum:
    """The optimum under a variance of at most ``budget`` > 0. Raises ValueError for another budget."""
    if not budget > 0.0:
        raise ValueError(f"almgren_chriss: expected a positive bound on the variance, got {budget}")
    cost, variance = measure(task, even_path(task))
    if variance <= budget:
        return Optimum(cost, variance, 0.0, even_path(task))

    def excess(log_price: float) -> float:
        return measure(task, best_path(task, math.exp(log_price)))[1] - budget

    price = math.exp(brentq(excess, -25.0, 50.0, xtol=1e-14))
    path = best_path(task, price)
    return Optimum(*measure(task, path), price, path)
