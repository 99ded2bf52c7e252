"""Gymnasium wrappers that give an environment a shield, for those who build it by other means than its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

from envs.shield import Limits
from envs.single import TradingEnv
from envs.vector import TradingVectorEnv


class SafetyShield(gym.Wrapper):
    """A :class:`envs.single.TradingEnv` whose every order is certified; the same as its argument ``limits``.

    ``limits``: `envs.shield.Limits`, the name of a preset, or a mapping of ``preset`` and fields. ``enabled=False``
    leaves the environment as it is. Raises ValueError for an environment that is no TradingEnv, that has limits
    already or that has been reset, and for limits None unless it is switched off.
    """

    def __init__(
        self, env: gym.Env, limits: Limits | str | Mapping[str, Any] = "balanced", *, enabled: bool = True
    ) -> None:
        super().__init__(env)
        self.enabled = enabled
        self._batch = _batch_of(env.unwrapped)
        if enabled:
            self._batch.use_limits(_given(limits))

    def lift(self) -> bool:
        """As an operator, lift the kill switch's latch; whether it had tripped. Raises ValueError without a shield."""
        return self._batch.lift() > 0


class VectorSafetyShield(VectorWrapper):
    """The same for a :class:`envs.vector.TradingVectorEnv`."""

    def __init__(
        self, env: VectorEnv, limits: Limits | str | Mapping[str, Any] = "balanced", *, enabled: bool = True
    ) -> None:
        super().__init__(env)
        self.enabled = enabled
        self._batch = _batch_of(env.unwrapped)
        if enabled:
            self._batch.use_limits(_given(limits))

    def lift(self, mask: np.ndarray | None = None) -> int:
        """Lift the latch in the environments of ``mask`` bool ``(N,)``, None = all; in how many it had tripped."""
        return self._batch.lift(mask)


def _batch_of(env: Any) -> TradingVectorEnv:
    batch = env.vector if isinstance(env, TradingEnv) else env
    if not isinstance(batch, TradingVectorEnv):
        raise ValueError(f"shield: expected one of this package's environments, got {type(env).__name__}")
    return batch


def _given(limits: Limits | str | Mapping[str, Any] | None) -> Limits | str | Mapping[str, Any]:
    if limits is None:
        raise ValueError("shield: limits = None and enabled = True: give limits, or enabled=False to leave it out")
    return limits
