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
    # of the shield; without one they have no rows
    shield_reason: np.ndarray  # (N, M, 2) int32
    shield_cut: np.ndarray  # (N, M, 2) int64
    regime: np.ndarray  # (N,) int8
    regime_reason: np.ndarray  # (N,) int8
    overshoot_uusd: np.ndarray  # (N,) int64


def make_buffers(
    num_envs: int, markets: int, features: int, actions: int, rewards: int, costs: int, *, guarded: bool = False
) -> Buffers:
    """Zeroed buffers; ``guarded``: there is a shield."""
    slots = num_envs * markets
    guards = num_envs if guarded else 0
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
        shield_reason=np.zeros((guards, markets, 2), np.int32),
        shield_cut=np.zeros((guards, markets, 2), np.int64),
        regime=np.zeros(guards, np.int8),
        regime_reason=np.zeros(guards, np.int8),
        overshoot_uusd=np.zeros(guards, np.int64),
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
    shield = ("shield_reason", "shield_cut", "regime", "regime_reason", "overshoot_uusd") if len(now.regime) else ()
    return {
        "costs": now.costs,
        "reward_terms": now.reward_terms,
        "reward_uusd": now.reward_uusd,
        "equity_uusd": now.equity_uusd,
        "reject": now.reject.reshape(shapes.reject),
        "venue_reject": now.venue_reject,
        "reason": now.reason,
        **{name: getattr(now, name) for name in shield},
    }
