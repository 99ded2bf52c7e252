"""What is checked before a constrained run begins: that doing nothing keeps its budgets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium.vector import AutoresetMode

from agents.budgets import Constraint, spent_of
from agents.config import discount
from configs.build import settled, training_batch
from configs.schema import Config
from sim.types import INTENT

EPISODES = 32
TAIL_EPISODES = 50  # beyond a quantile


def refuse_hopeless(config: Config, constraints: Sequence[Constraint]) -> None:
    """Play training episodes without an order; raise ValueError naming the budgets overspent even so.

    The sample is small, `EPISODES`, of a CVaR 50 / (1 - alpha): a budget overspent by less than two standard errors is
    let pass. Where episodes begin with a position (``env.start_contracts``) doing nothing is no safe course, and
    nothing is refused.
    """
    if not constraints or settled(config.env, config.scenario).start_contracts > 0.0:
        return
    gamma = discount(config.agent.gamma_per_s, config.env.dt_s)
    count = max(EPISODES, *(round(TAIL_EPISODES / (1.0 - entry.alpha)) * entry.tail for entry in constraints), 1)
    sums = idle_costs(config, np.array([entry.gamma(gamma) for entry in constraints]), constraints, count)
    hopeless = []
    for k, entry in enumerate(constraints):
        spent, noise = spent_of(entry, sums[:, k])
        if spent - 2.0 * noise > entry.limit:
            hopeless.append(f"{entry.name} {entry.limit:g} (it costs {spent:g})")
    if hopeless:
        raise ValueError(
            f"agent.budgets: doing nothing overspends {', '.join(hopeless)}: raise the limit, or change what is charged"
        )


def idle_costs(config: Config, gammas: np.ndarray, constraints: Sequence[Constraint], count: int) -> np.ndarray:
    """``(count, K)``: the sum of gamma**t x cost of each constraint in training episodes without an order."""
    env = training_batch(config, num_envs=count, autoreset_mode=AutoresetMode.DISABLED)
    env.reset()
    orders = np.zeros((count, env.engine.num_markets, 2), INTENT)
    columns = [entry.column for entry in constraints]
    total, weights = np.zeros((count, len(constraints))), np.ones(len(constraints))
    over = np.zeros(count, np.bool_)
    while not over.all():
        _, _, terminated, truncated, info = env.step_orders(orders)
        total += weights * info["costs"][:, columns] * ~over[:, None]
        weights *= gammas
        over |= terminated | truncated
    env.close()
    return total
