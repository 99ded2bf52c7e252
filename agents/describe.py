"""What a network is made of, read off an environment's spaces and a config."""

from __future__ import annotations

from typing import Any

from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space

from agents.config import PPOConfig


def describe(observation_space: Any, action_space: Any, config: PPOConfig, markets: int) -> dict[str, Any]:
    """What a network is made of, as plain numbers and strings: stored in a run's manifest, read by inference."""
    (features,) = observation_space.shape
    shared = markets > 1 if config.shared is None else config.shared
    if shared and features % markets:
        raise ValueError(f"agent.shared: {features} features are not those of {markets} markets side by side")
    return {
        "features": features // markets if shared else features,
        "markets": markets,
        "shared": shared,
        "space": _describe_space(action_space),
        "hidden": list(config.hidden),
        "activation": config.activation,
        "normalise": config.normalise_observations,
        "memory": config.memory,
        "memory_size": config.memory_size,
        "initial_std": config.initial_std,
        "masks": config.masks,
    }


def _describe_space(space: Space) -> dict[str, Any]:
    """An action space as plain numbers, for `agents.heads.make_head`."""
    if isinstance(space, Discrete):
        return {"kind": "choices", "count": 1, "rows": int(space.n)}
    if isinstance(space, MultiDiscrete) and space.nvec.ndim == 1 and len(set(space.nvec.tolist())) == 1:
        return {"kind": "choices", "count": len(space.nvec), "rows": int(space.nvec[0])}
    if isinstance(space, Box) and len(space.shape) == 1:
        return {"kind": "box", "low": space.low.tolist(), "high": space.high.tolist()}
    raise ValueError(
        f"agent: expected a Discrete action space, a MultiDiscrete one with as many rows for each choice, or a Box of "
        f"one axis, got {space}"
    )
