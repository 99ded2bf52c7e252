"""A rollout buffer that also keeps which actions could be taken."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Discrete
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import VecNormalize


class MaskedSamples(NamedTuple):
    """A minibatch of B transitions; SB3's fields and ``masks``."""

    observations: torch.Tensor  # (B, F)
    actions: torch.Tensor  # (B, 1)
    old_values: torch.Tensor  # (B,)
    old_log_prob: torch.Tensor  # (B,)
    advantages: torch.Tensor  # (B,)
    returns: torch.Tensor  # (B,)
    masks: torch.Tensor  # (B, A) bool


class MaskedRolloutBuffer(RolloutBuffer):
    """SB3's `RolloutBuffer` with ``masks`` bool ``(T, N, A)``, to be filled at ``masks[pos]`` before each `add`."""

    masks: np.ndarray

    def reset(self) -> None:
        """Empty the buffer."""
        super().reset()
        assert isinstance(self.action_space, Discrete)  # `agents.ppo.build` refuses others
        self.masks = np.ones((self.buffer_size, self.n_envs, int(self.action_space.n)), np.bool_)

    def get(self, batch_size: int | None = None) -> Generator[MaskedSamples, None, None]:  # type: ignore[override]
        """Minibatches in random order, each transition once."""
        if not self.generator_ready:  # the base class flattens its own arrays at the same moment
            self.masks = self.swap_and_flatten(self.masks)
        yield from super().get(batch_size)  # type: ignore[misc]

    def _get_samples(self, batch_inds: np.ndarray, env: VecNormalize | None = None) -> MaskedSamples:  # type: ignore[override]
        return MaskedSamples(*super()._get_samples(batch_inds, env), torch.from_numpy(self.masks[batch_inds]))
