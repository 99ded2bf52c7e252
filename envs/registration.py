"""Gymnasium ids of the environments.

``import envs`` registers them; Gymnasium 1.2 no longer looks for plugins of its own accord. The ids name their classes
and do not import them.
"""

from __future__ import annotations

from gymnasium.envs.registration import register, registry

IDS = ("shadowbook/Directional-v0",)


def register_all() -> None:
    """Register every environment that is not registered yet."""
    for name in IDS:
        if name not in registry:
            register(id=name, entry_point="envs.single:TradingEnv", vector_entry_point="envs.vector:TradingVectorEnv")
