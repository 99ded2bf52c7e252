"""What runs, checkpoints, teachers and callbacks ask of a learner, whatever trains it."""

from __future__ import annotations

from io import BufferedIOBase
from typing import Any, Protocol

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agents.actor_critic import ActorCritic
from agents.budgets import Constraint
from agents.config import PPOConfig
from agents.ledger import Ledger
from agents.multipliers import Multipliers
from agents.network import Network


class Learner(Protocol):
    """`agents.ppo.ConstrainedPPO`, or `agents.rllib.trainer.RLlibPPO`."""

    policy: ActorCritic
    config: PPOConfig
    constraints: list[Constraint]
    cost_names: tuple[str, ...]
    gamma: float  # discount of a step
    seed: Any
    n_envs: int
    n_steps: int
    max_grad_norm: float
    num_timesteps: int
    kept: dict[str, np.ndarray]  # arrays of callbacks that are saved with the learner's own
    _n_updates: int
    _masked: bool  # actions that cannot be done are never sampled

    @property
    def network(self) -> Network:
        """What learns."""

    @property
    def multipliers(self) -> Multipliers:
        """The prices of the budgets."""

    @property
    def ledger(self) -> Ledger:
        """What episodes have cost."""

    @property
    def ended_returns(self) -> list[float]:
        """Returns of the episodes that ended in the current rollout."""

    @property
    def resumable(self) -> bool:
        """Whether the environment can be saved, and a run on it be resumed."""

    @property
    def logger(self) -> Logger:
        """Where metrics go."""

    def set_logger(self, logger: Logger) -> None:
        """Choose where metrics go."""

    def learn(
        self, total_timesteps: int, callback: list[BaseCallback] | None = None, *, reset_num_timesteps: bool = True
    ) -> object:  # fmt: skip
        """Go on for ``total_timesteps``, rounded up to whole rollouts."""

    def stand(self) -> None:
        """Begin the first episodes, where none have begun: a learner that has not played can be saved, too."""

    def learner_state(self) -> dict[str, Any]:
        """What it remembers between two updates besides its networks: the arrays themselves, not copies."""

    def playing(self) -> dict[str, Any]:
        """Where its environments stand, as tensors."""

    def play_on(self, saved: dict[str, Any], what: str) -> None:
        """Go back to what `playing` gave. Raises ValueError naming ``what`` where it was of other settings."""

    def close(self) -> None:
        """Let go of the environments, and of what else was started for it."""

    def save(self, path: BufferedIOBase) -> None:
        """Write the policy in SB3's format."""
