"""The linear system whose control has a budget: a scalar Riccati equation and its multiplier.

For a price ``multiplier`` of a unit of ``u**2`` the best control is ``u = -K x``, with

    P = 1 + gamma a**2 P - (gamma a b P)**2 / (multiplier + gamma b**2 P)
    K = gamma a b P / (multiplier + gamma b**2 P)

and ``E sum gamma**t x**2 = (s0**2 + gamma sigma**2 / (1 - gamma)) / (1 - gamma (a - b K)**2)``, of which ``K**2`` times
is spent. The multiplier is where that is the budget. That no other policy does better follows from convexity: in
occupations the problem is a linear programme, so the Lagrangian's optimum at that multiplier is the constrained one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from envs.tasks.lqr import LQR

_POINTS = 1201  # of the grid
_WIDTH = 9.0  # half of it, in standard deviations


class Optimum(NamedTuple):
    """The best control that keeps a budget."""

    value: float  # minus E sum gamma**t x**2
    cost: float  # E sum gamma**t u**2
    multiplier: float
    gain: float  # K


def gain(task: LQR, multiplier: float) -> float:
    """K at a price of control ``multiplier`` > 0, per unit of ``u**2``."""
    g, a, b = task.gamma, task.a, task.b
    # P solves a quadratic: gamma b^2 P^2 + (multiplier (1 - gamma a^2) - gamma b^2) P - multiplier = 0
    square, linear = g * b * b, multiplier * (1 - g * a * a) - g * b * b
    value = (-linear + math.sqrt(linear * linear + 4 * square * multiplier)) / (2 * square)
    return g * a * b * value / (multiplier + g * b * b * value)


def linear_control(task: LQR, k: float) -> tuple[float, float]:
    """Value and cost of ``u = -k x``, without the bound on ``|u|``. Raises ValueError where they are not finite."""
    shrink = task.gamma * (task.a - task.b * k) ** 2
    if shrink >= 1.0:
        raise ValueError(f"lqr: u = -{k} x: the discounted sum of x**2 is infinite")
    squares = (task.start_std**2 + task.gamma * task.sigma**2 / (1 - task.gamma)) / (1 - shrink)
    return -squares, k * k * squares


def solve(task: LQR, budget: float) -> Optimum:
    """The optimum under ``budget`` > 0. Where even free control spends less, the multiplier is 0.

    Raises ValueError for a budget that is not positive.
    """
    if not budget > 0.0:
        raise ValueError(f"lqr: expected a positive budget, got {budget}; without control nothing can be done")
    free = task.a / task.b
    if linear_control(task, free)[1] <= budget:
        value, cost = linear_control(task, free)
        return Optimum(value, cost, 0.0, free)
    log_price = brentq(lambda x: linear_control(task, gain(task, math.exp(x)))[1] - budget, -40.0, 40.0, xtol=1e-14)
    price = math.exp(log_price)
    value, cost = linear_control(task, gain(task, price))
    return Optimum(value, cost, price, gain(task, price))


def evaluate(task: LQR, control: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """Value and cost of any control ``u(x)``, ``(n,) -> (n,)``, by quadrature on a grid of x; no noise in the control.

    The grid reaches 9 standard deviations of the start, and of the stationary state without control, to either side.
    """
    spread = max(task.start_std, task.sigma / math.sqrt(max(1 - task.a**2, 1 - task.gamma)))
    grid = np.linspace(-_WIDTH * spread, _WIDTH * spread, _POINTS)
    u = np.asarray(control(grid), np.float64)
    moves = _normal(grid[None, :] - (task.a * grid + task.b * u)[:, None], task.sigma)
    start = _normal(grid, task.start_std)
    visits = np.linalg.solve(np.eye(_POINTS) - task.gamma * moves.T, start)
    return -float(visits @ grid**2), float(visits @ u**2)


def _normal(x: np.ndarray, std: float) -> np.ndarray:
    """Weights of points ``x`` on the last axis under N(0, std**2), summing to 1."""
    weights = np.exp(-0.5 * (x / std) ** 2)
    return weights / weights.sum(-1, keepdims=True)
