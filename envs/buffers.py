"""What a step returns. An environment has two sets and writes them in turn: no step overwrites the last one's."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Buffers(NamedTuple):
    """N environments of M markets, F features, A actions, R reward terms, K costs; S = N x M slots."""

    obs: np.ndarray  # (S, F) float32
    action_mask: np.ndarray  # (S, A) bool
    reward: np.ndarray  # (N,) float64
    reward_terms: np.ndarray  # (N, R) float64
    reward_uusd: np.ndarray  # (N,) int64
    equity_uusd: np.ndarray  # (N,) int64
    costs: np.ndarray  # (N, K) float32
    terminated: np.ndarray  # (N,) bool
    truncated: np.ndarray  # (N,) bool
    ended: np.ndarray  # (N,) bool: either
    reason: np.ndarray  # (N,) int8
    reject: np.ndarray  # (S,) int32
    venue_reject: np.ndarray  # (N,) int32


def make_buffers(num_envs: int, markets: int, features: int, actions: int, rewards: int, costs: int) -> Buffers:
    """Zeroed buffers."""
    slots = num_envs * markets
    return Buffers(
        obs=np.zeros((slots, features), np.float32),
        action_mask=np.zeros((slots, actions), np.bool_),
        reward=np.zeros(num_envs),
        reward_terms=np.zeros((num_envs, rewards)),
        reward_uusd=np.zeros(num_envs, np.int64),
        equity_uusd=np.zeros(num_envs, np.int64),
        costs=np.zeros((num_envs, costs), np.float32),
        terminated=np.zeros(num_envs, np.bool_),
        truncated=np.zeros(num_envs, np.bool_),
        ended=np.zeros(num_envs, np.bool_),
        reason=np.zeros(num_envs, np.int8),
        reject=np.zeros(slots, np.int32),
        venue_reject=np.zeros(num_envs, np.int32),
    )


class Shapes(NamedTuple):
    """How the slots of an environment are shown."""

    obs: tuple[int, ...]  # (N, F), (N, M, F) or flat (N, M x F)
    mask: tuple[int, ...]  # (N, A) or (N, M, A)
    reject: tuple[int, ...]  # (N,) or (N, M)


def make_shapes(num_envs: int, markets: int, features: int, actions: int, *, flatten: bool) -> Shapes:
    """One market has no axis of its own; ``flatten`` puts the features of several side by side."""
    if markets == 1:
        return Shapes((num_envs, features), (num_envs, actions), (num_envs,))
    obs = (num_envs, markets * features) if flatten else (num_envs, markets, features)
    return Shapes(obs, (num_envs, markets, actions), (num_envs, markets))


def step_info(now: Buffers, shapes: Shapes) -> dict[str, Any]:
    """What is known of the step itself; a new dictionary of the arrays."""
    return {
        "costs": now.costs,
        "reward_terms": now.reward_terms,
        "reward_uusd": now.reward_uusd,
        "equity_uusd": now.equity_uusd,
        "reject": now.reject.reshape(shapes.reject),
        "venue_reject": now.venue_reject,
        "reason": now.reason,
    }
