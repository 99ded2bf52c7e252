"""What policies decide at the same places: one leads through the episodes, others are asked what they would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agents.policy import choose
from evaluation.rollout import Policy

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv

MOST = 60_000  # places that are kept; with more, only every second, fourth, ... step is


class Walk(NamedTuple):
    """D decisions, those of finished episodes left out."""

    observations: np.ndarray  # (D, F) float32
    masks: np.ndarray  # (D, [M], A) bool
    actions: tuple[np.ndarray, ...]  # of the leader, then of each follower: (D,), (D, M), or points (D, M x D)


def walk(env: TradingVectorEnv, leader: Policy, followers: Sequence[Policy] = (), *, most: int = MOST) -> Walk:
    """One episode of every environment, ``env`` fresh and not resetting by itself; it is closed behind it."""
    observations, info = env.reset()
    running, stride, step = np.ones(env.num_envs, np.bool_), 1, 0
    everyone = (leader, *followers)
    for policy in everyone:
        if hasattr(policy, "begin"):
            policy.begin(running)
    kept: list[tuple[np.ndarray, ...]] = []
    advance = env.step_rows if getattr(leader, "chooses_rows", False) else env.step
    while running.any():
        masks = info["action_mask"]
        actions = [choose(policy, observations, masks) for policy in everyone]  # type: ignore[arg-type]
        if step % stride == 0:
            kept.append(tuple(array[running].copy() for array in (observations, masks, *actions)))
        observations, _, terminated, truncated, info = advance(actions[0])
        running = running & ~(terminated | truncated)
        step += 1
        if sum(len(part[0]) for part in kept) > most:
            kept, stride = kept[::2], 2 * stride
    env.close()
    columns = [np.concatenate(parts) for parts in zip(*kept, strict=True)]
    return Walk(columns[0], columns[1], tuple(columns[2:]))
