"""The learner of a run, made by the trainer that its config names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents import ppo
from agents.cluster import running_ray
from agents.config import discount
from agents.learner import Learner
from agents.sb3_vec import SB3VecEnv
from configs.build import training_batch, training_env, training_piece
from configs.sampling import RowWatch, Sampling, Steering
from configs.schema import Config, RLlibConfig, phase_of
from curricula.samplers import Sampler, make_sampler
from envs.vector import TradingVectorEnv
from evaluation.workers import Alone, OnRay, Workers


class Trainee(NamedTuple):
    """A learner and what belongs to it."""

    model: Learner
    env: TradingVectorEnv  # with its spec sheet and its scenario; SB3's trainer plays it
    callbacks: list[BaseCallback]  # of its training
    facts: dict[str, str]  # for the manifest


@contextmanager
def cluster_of(config: Config) -> Iterator[Workers]:
    """The Ray of a run that needs one, kept for all that happens within; and who plays beside the learner.

    That is this process, or Ray's workers where the run has env runners elsewhere.
    """
    wanted = config.trainer
    if not isinstance(wanted, RLlibConfig):
        yield Alone()
        return
    with running_ray(wanted.num_cpus or wanted.num_env_runners + 1):
        yield OnRay() if wanted.num_env_runners else Alone()


def make_trainee(config: Config) -> Trainee:
    """The learner of ``config``, freshly built. Close the model."""
    return _on_rllib(config, config.trainer) if isinstance(config.trainer, RLlibConfig) else _on_sb3(config)


def _on_sb3(config: Config) -> Trainee:
    env = training_env(config)
    model = ppo.build(
        SB3VecEnv(env),
        config.agent,
        gamma=discount(config.agent.gamma_per_s, config.env.dt_s),
        seed=config.seed,
        cost_names=env.spec_sheet["costs"],
        reward_names=env.spec_sheet["rewards"],
        markets=env.spec_sheet["markets"],
    )
    sampler = _sampler(config, env.engine.scenario.rows)
    callbacks: list[BaseCallback] = [] if sampler is None else [Sampling(model, env, sampler)]
    return Trainee(model, env, callbacks, {"kind": "sb3"})


def _on_rllib(config: Config, wanted: RLlibConfig) -> Trainee:
    from importlib.metadata import version  # ray is imported where it is used: it takes seconds

    from agents.rllib import trainer

    env = training_batch(config, num_envs=1)
    sampler = _sampler(config, env.engine.scenario.rows)
    model = trainer.build(
        partial(training_piece, config),
        (env.single_observation_space, env.single_action_space),
        config.agent,
        num_envs=config.num_envs,
        gamma=discount(config.agent.gamma_per_s, config.env.dt_s),
        seed=config.seed,
        cost_names=env.spec_sheet["costs"],
        reward_names=env.spec_sheet["rewards"],
        markets=env.spec_sheet["markets"],
        watch=None if sampler is None else RowWatch,
        runners=wanted.num_env_runners,
        cpus=wanted.num_cpus,
        cpus_per_runner=wanted.num_cpus_per_env_runner,
    )
    if sampler is not None:
        model.steering = Steering(model, sampler)
    return Trainee(model, env, [], {"kind": "rllib", "ray": version("ray")})


def _sampler(config: Config, rows: np.ndarray) -> Sampler | None:
    """The phase's sampler; None where every row is played alike."""
    phase = phase_of(config)
    return None if phase is None or phase.sampler == "uniform" else make_sampler(phase.sampler, rows)
