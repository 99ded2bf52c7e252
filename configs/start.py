"""What is checked before a constrained run begins: that doing nothing keeps its budgets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium.vector import AutoresetMode

from agents.budgets import Constraint, cvar
from configs.build import make_env, training_scenario
from configs.schema import Config
from sim.types import INTENT

EPISODES = 32


def refuse_hopeless(config: Config, constraints: Sequence[Constraint]) -> None:
    """Play `EPISODES` training episodes without an order; raise ValueError naming the budgets overspent even so.

    The sample is small: a budget overspent by less than two standard errors is let pass.
    """
    if not constraints:
        return
    costs = idle_costs(config)
    hopeless = []
    for entry in constraints:
        sums = costs[:, entry.column]
        spent = cvar(sums, entry.alpha)[0] if entry.tail else float(sums.mean())
        if spent - 2.0 * float(sums.std()) / np.sqrt(len(sums)) > entry.limit:
            hopeless.append(f"{entry.name} {entry.limit:g} (it costs {spent:g})")
    if hopeless:
        raise ValueError(
            f"agent.budgets: doing nothing overspends {', '.join(hopeless)}: raise the limit, or change what is charged"
        )


def idle_costs(config: Config) -> np.ndarray:
    """``(EPISODES, K)``: what each cost comes to in episodes of the training scenario without an order."""
    env = make_env(
        config.env,
        training_scenario(config),
        num_envs=EPISODES,
        seed=config.seed,
        autoreset_mode=AutoresetMode.DISABLED,
    )
    env.reset()
    orders = np.zeros((EPISODES, env.engine.num_markets, 2), INTENT)
    total = np.zeros((EPISODES, len(env.spec_sheet["costs"])))
    over = np.zeros(EPISODES, np.bool_)
    while not over.all():
        _, _, terminated, truncated, info = env.step_orders(orders)
        total += info["costs"] * ~over[:, None]
        over |= terminated | truncated
    env.close()
    return total
