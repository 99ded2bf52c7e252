"""Gymnasium ids of the environments.

``import gymnasium`` finds this module by its entry point once the project is installed, and runs it while Gymnasium
itself is being imported: it names the classes and does not import them.
"""

from __future__ import annotations

from gymnasium.envs.registration import register, registry

IDS = ("shadowbook/Directional-v0",)


def register_all() -> None:
    """Register every environment that is not registered yet."""
    for name in IDS:
        if name not in registry:
            register(id=name, entry_point="envs.single:TradingEnv", vector_entry_point="envs.vector:TradingVectorEnv")
