"""Where a learner computes: a GPU where there is one, else the processor; and in which precision."""

from __future__ import annotations

import torch

from agents.config import PPOConfig


def find_device(name: str) -> torch.device:
    """The device that ``agent.device`` names; ``auto`` is the first GPU where there is one, else the processor.

    Raises ValueError for a device that this machine does not have.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if count else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type == "cpu" or (device.type == "cuda" and (device.index or 0) < count):
        return device
    raise ValueError(f"agent.device = {name!r}: expected auto, cpu, or a GPU such as cuda or cuda:1; there are {count}")


def is_mixed(config: PPOConfig, device: torch.device, *, played_elsewhere: bool = False) -> bool:
    """Whether the networks' layers multiply in bfloat16: as the config says, else on a GPU.

    Not by itself where others play, in float32 (``played_elsewhere``): the learner's probability of an action would
    not be the one that it was drawn with.
    """
    if config.mixed_precision is not None:
        return config.mixed_precision
    return device.type == "cuda" and not played_elsewhere
