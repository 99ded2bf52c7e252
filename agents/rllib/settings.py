"""What an RLlib run is made of, and RLlib's own configuration of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from gymnasium.spaces import Space
from gymnasium.vector import VectorEnv
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from agents.budgets import Constraint
from agents.config import PPOConfig
from agents.rllib.module import ConstrainedModule
from agents.sb3_vec import SB3VecEnv


class Watch(Protocol):
    """Follows the environment of an env runner, beside which it lives, for somebody in the driver's process."""

    def begin(self, orders: Any) -> None:
        """Before a rollout: what the driver says."""

    def step(self, env: SB3VecEnv) -> None:
        """After a step of all rows."""

    def report(self) -> Any:
        """After a rollout: what the driver is told."""


class Steering(Protocol):
    """The side of a `Watch` that lives with the driver."""

    def orders(self) -> Any:
        """What every watch is told before a rollout."""

    def note(self, reports: list[Any]) -> None:
        """What the watches of all env runners have to say of a rollout, in the order of their rows."""


@dataclass
class Settings:
    """All that decides a run. Env runners get it in their own processes, so it is picklable."""

    agent: PPOConfig
    constraints: list[Constraint]
    cost_names: tuple[str, ...]
    reward_names: tuple[str, ...]  # of the terms of the reward
    gamma: float  # discount of a step
    spec: dict[str, Any]  # of the network, from `agents.describe`
    observation_space: Space
    action_space: Space
    seed: int
    num_envs: int  # of all env runners together
    runners: int  # env runners in processes of their own; 0 = one in this process
    make: Callable[[int, int], VectorEnv]  # number of the first environment, and how many; SAME_STEP
    device: torch.device  # of the learner, and of the networks that play in its process
    mixed: bool  # the learner multiplies in bfloat16
    watch: Callable[[Any], Watch] | None = None  # of the environment

    def rows(self, runner: int) -> tuple[int, int]:
        """Number of the first environment of an env runner, from 0, and how many it has."""
        count = max(self.runners, 1)
        first, after = (self.num_envs * place // count for place in (runner, runner + 1))
        return first, after - first


class ConstrainedConfig(AlgorithmConfig):
    """RLlib's configuration of a run with ``settings``. Most of what RLlib could do beside is off."""

    settings: Settings | None

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class)
        self.settings = None

    @property
    def run(self) -> Settings:
        """The settings; ValueError where there are none yet."""
        if self.settings is None:
            raise ValueError("ConstrainedConfig without settings: make one with agents.rllib.settings.configure")
        return self.settings

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """RLlib's hook."""
        run = self.run
        return RLModuleSpec(
            module_class=ConstrainedModule,
            observation_space=run.observation_space,
            action_space=run.action_space,
            model_config={
                "spec": run.spec,
                "critics": 1 + len(run.constraints),
                "compile": run.agent.compile,
                "mixed": run.mixed,
            },
        )


def configure(
    algorithm: type, runner: type, learner: type, connectors: Callable[..., Any], settings: Settings,
    *, cpus_per_runner: float = 1.0,
) -> ConstrainedConfig:  # fmt: skip
    """The configuration of a run out of its classes; ``connectors`` as RLlib's ``learner_connector``."""
    _, most = max((settings.rows(place) for place in range(max(settings.runners, 1))), key=lambda pair: pair[1])
    config = ConstrainedConfig(algorithm)
    config.settings = settings
    config.environment(observation_space=settings.observation_space, action_space=settings.action_space)
    config.env_runners(
        env_runner_cls=runner, num_env_runners=settings.runners, num_envs_per_env_runner=most,
        num_cpus_per_env_runner=cpus_per_runner, rollout_fragment_length=settings.agent.n_steps,
        create_env_on_local_worker=settings.runners == 0,
    )  # fmt: skip
    config.learners(
        learner_class=learner, num_learners=0, learner_connector=connectors,
        add_default_connectors_to_learner_pipeline=False,
    )  # fmt: skip
    config.training(train_batch_size_per_learner=settings.num_envs * settings.agent.n_steps)
    config.fault_tolerance(restart_failed_env_runners=True)
    config.reporting(min_time_s_per_iteration=None)
    config.evaluation(evaluation_interval=None)
    config.debugging(log_level="ERROR")
    return config
