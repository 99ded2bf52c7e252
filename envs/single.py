"""One environment with Gymnasium's single face, over a batch of one."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from envs.vector import TradingVectorEnv


class TradingEnv(gym.Env):
    """A batch of one: ``settings`` are those of :class:`envs.vector.TradingVectorEnv`, but for ``num_envs`` and
    ``autoreset_mode``.

    Observation float32 ``(F,)``, action an integer, or with M markets ``(M, F)`` and M integers, or D and M x D floats
    on a control surface; reward a float; the
    entries of ``info`` lose their first axis.
    ``vector`` is the batch, ``spec_sheet`` what its numbers mean. For speed use the batch itself: ``gym.make_vec``.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 1}  # type: ignore[misc]

    def __init__(self, *, render_mode: str | None = None, **settings: Any) -> None:
        self.vector = TradingVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, render_mode=render_mode, **settings)
        self.spec_sheet = self.vector.spec_sheet
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode, or with ``seed`` the first one of that seed. Raises ValueError for any option."""
        super().reset(seed=seed)
        if options:
            raise ValueError(f"reset: a single environment has no options, got {', '.join(options)}")
        obs, info = self.vector.reset(seed=seed)
        return obs[0].copy(), _first(info)

    def step(self, action: int | np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step; see :class:`envs.vector.TradingVectorEnv`. Raises ValueError for an action outside the table."""
        obs, reward, terminated, truncated, info = self.vector.step(np.array([action]))
        return obs[0].copy(), float(reward[0]), bool(terminated[0]), bool(truncated[0]), _first(info)

    def render(self) -> str | None:  # type: ignore[override]
        """The market as text, with ``render_mode="ansi"``."""
        drawn = self.vector.render()
        return None if drawn is None else drawn[0]

    def close(self) -> None:
        """Release the batch."""
        self.vector.close()


def _first(info: dict[str, Any]) -> dict[str, Any]:
    """The only environment's entries: copies of rows, or plain numbers."""
    return {key: value[0].copy() if value.ndim > 1 else value[0].item() for key, value in info.items()}
