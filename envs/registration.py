"""Gymnasium ids of the environments.

``import envs`` registers them; Gymnasium 1.2 no longer looks for plugins of its own accord. The ids name their classes
and do not import them.
"""

from __future__ import annotations

from typing import Any

from gymnasium.envs.registration import register, registry

# what each task changes of the defaults of `envs.vector.TradingVectorEnv`; configs/env/ says the same for runs
TASKS: dict[str, dict[str, Any]] = {
    "shadowbook/Directional-v0": {},
    "shadowbook/MarketMaking-v0": {
        "actions": "surface",
        "features": ("book", "time", "portfolio", "orders", "flow"),
        "reward": {"pnl": 1.0, "inventory_squared": 0.002},
        "costs": ("drawdown", "kill", "inventory"),
        "window_s": 300.0,
        "kill_drawdown": 0.0025,
    },
    "shadowbook/Execution-v0": {
        "actions": "seller",
        "features": ("book", "time", "portfolio", "orders", "flow"),
        "reward": {"pnl": 1.0, "left": 0.02},
        "costs": ("left", "loss"),
        "window_s": 120.0,
        "start_contracts": 300.0,
    },
}
IDS = tuple(TASKS)


def register_all() -> None:
    """Register every environment that is not registered yet."""
    for name, settings in TASKS.items():
        if name not in registry:
            register(
                id=name,
                entry_point="envs.single:TradingEnv",
                vector_entry_point="envs.vector:TradingVectorEnv",
                kwargs=settings,
            )
