"""RLlib's algorithm: sample on all env runners, update, again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    TIMERS,
)

from agents.rllib.episodes import Episodes
from agents.rllib.learner import TOTAL_STEPS, ConstrainedLearner
from agents.rllib.rollcall import RollCall
from agents.rllib.runner import BulkEnvRunner
from agents.rllib.settings import ConstrainedConfig, Steering

PATIENCE = 20  # iterations in a row without any env runner that answers


class ConstrainedAlgorithm(Algorithm):
    """Constrained PPO. ``total_steps`` is of the whole run; ``steps`` have been played before the next rollout."""

    config: ConstrainedConfig
    total_steps = 1
    steps = 0
    steering: Steering | None = None
    sampled: Callable[[list[Episodes]], None] | None = None  # called between sampling and the update
    roll_call: RollCall | None = None  # of env runners elsewhere
    _silent = 0

    @classmethod
    def get_default_config(cls) -> ConstrainedConfig:
        """RLlib's hook."""
        return ConstrainedConfig(cls)

    @property
    def learner(self) -> ConstrainedLearner:
        """The one learner, which lives in this process."""
        return self.learner_group._learner

    @property
    def local_runner(self) -> BulkEnvRunner | None:
        """The env runner of this process, None where they have processes of their own."""
        return None if self.config.run.runners else self.env_runner_group.local_env_runner

    def restore_env_runners(self, _: Any) -> list[int]:
        """RLlib's hook: numbers of those that died and answer again. What they need comes with the request to play."""
        return [] if self.roll_call is None else self.roll_call.again()

    def training_step(self) -> None:
        """RLlib's hook: a rollout of every env runner that answers, and the update on it."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            parts = self._sample()
        if not parts:
            return
        if self.sampled is not None:
            self.sampled(parts)
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            done = {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.steps, TOTAL_STEPS: self.total_steps}
            results = self.learner_group.update(episodes=parts, timesteps=done)
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self.steps += sum(part.env_steps for part in parts)

    def _sample(self) -> list[Episodes]:
        """What the env runners played, in the order of their rows; empty where none answered.

        Raises what a runner raised, and RuntimeError after `PATIENCE` rollouts without an answer.
        """
        orders = None if self.steering is None else self.steering.orders()
        update = self.learner.updates + 1
        if self.local_runner is not None:
            answers = [(self.local_runner.sample_update(orders, update), self.local_runner.get_metrics())]
        else:
            state = ray.put(self._weights())
            answers = self.env_runner_group.foreach_env_runner(
                lambda runner: runner.play(ray.get(state), orders, update), local_env_runner=False
            )
        for part, _ in answers:
            if isinstance(part, Exception):
                raise part
        self._silent = 0 if answers else self._silent + 1
        if self._silent >= PATIENCE:
            raise RuntimeError(f"no env runner has answered in {PATIENCE} rollouts; is there a node left to run them?")
        parts = sorted((part for part, _ in answers), key=lambda part: part.first)
        self.metrics.aggregate([metrics for _, metrics in answers], key=ENV_RUNNER_RESULTS)
        if self.steering is not None:
            self.steering.note([part.report for part in parts])
        return parts

    def _weights(self) -> dict[str, Any]:
        """Parameters and buffers of the module."""
        name = f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}"
        return self.learner_group.get_state(components=name)[COMPONENT_LEARNER][COMPONENT_RL_MODULE][DEFAULT_MODULE_ID]
