"""A rollout buffer that also keeps which actions could be taken."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Discrete, MultiDiscrete, Space
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import VecNormalize


def choices(space: Space) -> tuple[int, ...]:
    """``(A,)`` for one choice of A rows, ``(M, A)`` for M of them. Raises ValueError for any other space."""
    if isinstance(space, Discrete):
        return (int(space.n),)
    if isinstance(space, MultiDiscrete) and space.nvec.ndim == 1 and len(set(space.nvec.tolist())) == 1:
        return len(space.nvec), int(space.nvec[0])
    raise ValueError(
        f"PPO picks rows of an action table: expected a Discrete action space, or a MultiDiscrete one with as many "
        f"rows for each market, got {space}"
    )


class MaskedSamples(NamedTuple):
    """A minibatch of B transitions; SB3's fields and ``masks``."""

    observations: torch.Tensor  # (B, F)
    actions: torch.Tensor  # (B, M)
    old_values: torch.Tensor  # (B,)
    old_log_prob: torch.Tensor  # (B,)
    advantages: torch.Tensor  # (B,)
    returns: torch.Tensor  # (B,)
    masks: torch.Tensor  # (B, A) or (B, M, A) bool


class MaskedRolloutBuffer(RolloutBuffer):
    """SB3's `RolloutBuffer` with ``masks`` bool ``(T, N, A)``, to be filled at ``masks[pos]`` before each `add`.

    With M choices a step they are ``(T, N, M, A)``.
    """

    masks: np.ndarray

    def reset(self) -> None:
        """Empty the buffer."""
        super().reset()
        self.masks = np.ones((self.buffer_size, self.n_envs, *choices(self.action_space)), np.bool_)

    def get(self, batch_size: int | None = None) -> Generator[MaskedSamples, None, None]:  # type: ignore[override]
        """Minibatches in random order, each transition once."""
        if not self.generator_ready:  # the base class flattens its own arrays at the same moment
            self.masks = self.masks.swapaxes(0, 1).reshape(-1, *self.masks.shape[2:])
        yield from super().get(batch_size)  # type: ignore[misc]

    def _get_samples(self, batch_inds: np.ndarray, env: VecNormalize | None = None) -> MaskedSamples:  # type: ignore[override]
        return MaskedSamples(*super()._get_samples(batch_inds, env), torch.from_numpy(self.masks[batch_inds]))
