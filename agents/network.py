"""What the network that learns and the network that acts have in common."""

from __future__ import annotations

import torch

ACTIVATIONS: dict[str, type[torch.nn.Module]] = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "silu": torch.nn.SiLU}
MASKED = -1e9  # logit of an action that cannot be done; its probability is exactly 0 in float32
CLIP = 10.0  # standard deviations a normalised observation may lie from the mean


def normalise(observations: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """``clip((x - mean) x scale, -CLIP, CLIP)``; shapes ``(N, F)``, ``(F,)``, ``(F,)``."""
    return ((observations - mean) * scale).clamp(-CLIP, CLIP)


def find_activation(name: str) -> type[torch.nn.Module]:
    """The activation of a name; ValueError with the list of names otherwise."""
    if name not in ACTIVATIONS:
        raise ValueError(f"agent.activation = {name!r}: expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
