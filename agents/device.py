"""Where a network computes, a GPU or the processor; in which precision, and whether by torch.compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    if device.type == "cpu":
        return device
    if device.type == "cuda" and (device.index or 0) < count:
        return torch.device("cuda", device.index or 0)  # as its tensors call it
    raise ValueError(f"agent.device = {name!r}: expected auto, cpu, or a GPU such as cuda or cuda:1; there are {count}")


def is_mixed(config: PPOConfig, device: torch.device, *, played_elsewhere: bool = False) -> bool:
    """Whether the networks' layers multiply in bfloat16: as the config says, else on a GPU.

    Not by itself where others play, in float32 (``played_elsewhere``): the learner's probability of an action would
    not be the one that it was drawn with.
    """
    if config.mixed_precision is not None:
        return config.mixed_precision
    return device.type == "cuda" and not played_elsewhere


def numbers(parts: torch.Tensor, *more: torch.Tensor) -> list[float]:
    """The numbers of ``parts`` (n,) and of ``more`` scalars, in one copy off a GPU."""
    return torch.cat((parts, torch.stack([one.detach() for one in more]))).tolist()


def compiled(function: Callable[..., Any], wanted: bool, *, any_size: bool = False) -> Callable[..., Any]:
    """``function`` by torch.compile where it is ``wanted``; once for batches of ``any_size``, or for each size."""
    # tanh as 2 / (1 + exp(-2 x)) - 1: the exponential is twice as fast as the vector library's tanh
    options: dict[str, Any] = {"cpp.use_decompose_tanh": True}
    return torch.compile(function, dynamic=any_size, options=options) if wanted else function
