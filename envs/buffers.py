"""What a step returns. An environment has two sets and writes them in turn: no step overwrites the last one's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Buffers:
    """N environments, F features, A actions, R reward terms, K costs."""

    obs: np.ndarray  # (N, F) float32
    final_obs: np.ndarray  # (N, F) float32
    action_mask: np.ndarray  # (N, A) bool
    reward: np.ndarray  # (N,) float64
    reward_terms: np.ndarray  # (N, R) float64
    reward_uusd: np.ndarray  # (N,) int64
    equity_uusd: np.ndarray  # (N,) int64
    costs: np.ndarray  # (N, K) float32
    terminated: np.ndarray  # (N,) bool
    truncated: np.ndarray  # (N,) bool
    ended: np.ndarray  # (N,) bool: either
    reason: np.ndarray  # (N,) int8
    reject: np.ndarray  # (N,) int32

    def step_info(self) -> dict[str, Any]:
        """What is known of the step itself; a new dictionary of the arrays."""
        return {
            "costs": self.costs,
            "reward_terms": self.reward_terms,
            "reward_uusd": self.reward_uusd,
            "equity_uusd": self.equity_uusd,
            "reject": self.reject,
            "reason": self.reason,
        }


def make_buffers(num_envs: int, features: int, actions: int, rewards: int, costs: int) -> Buffers:
    """Zeroed buffers."""
    return Buffers(
        obs=np.zeros((num_envs, features), np.float32),
        final_obs=np.zeros((num_envs, features), np.float32),
        action_mask=np.zeros((num_envs, actions), np.bool_),
        reward=np.zeros(num_envs),
        reward_terms=np.zeros((num_envs, rewards)),
        reward_uusd=np.zeros(num_envs, np.int64),
        equity_uusd=np.zeros(num_envs, np.int64),
        costs=np.zeros((num_envs, costs), np.float32),
        terminated=np.zeros(num_envs, np.bool_),
        truncated=np.zeros(num_envs, np.bool_),
        ended=np.zeros(num_envs, np.bool_),
        reason=np.zeros(num_envs, np.int8),
        reject=np.zeros(num_envs, np.int32),
    )
