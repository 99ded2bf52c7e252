"""Hyperparameters of the learner, typed and with their units."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isfinite

from agents.budgets import Budget
from agents.multipliers import MultiplierConfig

MIN_STD, MAX_STD = 0.007, 7.0  # of continuous actions: inside of what `agents.heads.Gaussian` can learn


@dataclass
class PPOConfig:
    """Hyperparameters of `agents.ppo.ConstrainedPPO`. A rollout is ``num_envs x n_steps`` transitions.

    Schedules are linear in steps, from a value before the first step to its ``_end`` after the last.
    """

    n_steps: int = 64  # environment steps per rollout
    epochs: int = 4  # passes over a rollout
    minibatches: int = 4  # minibatches per pass: batch size = num_envs x n_steps / minibatches
    learning_rate: float = 1e-3  # of Adam
    learning_rate_end: float = 0.0
    gamma_per_s: float = 0.97  # discount per second of market time; gamma = gamma_per_s ** dt_s
    gae_lambda: float = 0.9
    clip_range: float = 0.2
    clip_range_end: float = 0.2
    ent_coef: float = 0.005
    ent_coef_end: float = 0.005  # negative: towards the end noise is a cost of its own
    vf_coef: float = 0.5  # of the value losses, which are in units of the returns' root mean square
    max_grad_norm: float = 0.5
    target_kl: float | None = None  # an update ends early once a minibatch moved the policy 1.5 times as far
    hidden: list[int] = field(default_factory=lambda: [64, 64])  # of actor and critics each
    activation: str = "relu"  # tanh, relu or silu
    shared: bool | None = None  # one network for every market; None = where there are several
    memory: str | None = None  # lstm or gru: a policy that remembers
    memory_size: int = 64
    initial_std: float = 1.0  # of continuous actions, in units of the action
    normalise_observations: bool = True
    masks: bool = True  # in training, an action that cannot be done is never sampled
    device: str = "auto"  # of learner and networks: cpu, cuda, cuda:1; auto = a GPU where there is one
    mixed_precision: bool | None = None  # layers multiply in bfloat16; None = on a GPU
    compile: bool = False  # compile rollout and update with torch.compile: a minute at the start, then faster
    warm_start: str | None = None  # teacher to clone first: quoter, quoter?size=5, a run's folder, or a data set (.npz)
    warm_start_steps: float = 2e5  # at least as many of the teacher's steps are recorded, in whole episodes
    warm_start_epochs: int = 20  # passes over them; fewer once held-out episodes are not predicted better
    budgets: dict[str, Budget] | None = None  # by name of the cost; None = costs are reported and nothing else
    prices: bool = True  # False: budgets are charged and learnt, but every multiplier stays 0
    margin: float = 0.05  # trained to limit - margin x |limit|
    multipliers: MultiplierConfig = field(default_factory=MultiplierConfig)


_LEAST = {"n_steps": 1, "epochs": 1, "minibatches": 1, "memory_size": 1}
_POSITIVE = ("learning_rate", "clip_range", "clip_range_end", "max_grad_norm", "initial_std")
_NOT_NEGATIVE = ("learning_rate_end", "ent_coef", "vf_coef")


def check(config: PPOConfig) -> None:
    """Raise ValueError naming a setting that no environment could make work."""
    for name, least in _LEAST.items():
        if getattr(config, name) < least:
            raise ValueError(f"agent.{name} = {getattr(config, name)}: expected at least {least}")
    for name in (*_POSITIVE, *_NOT_NEGATIVE):
        value = getattr(config, name)
        if not 0.0 <= value < inf or (value == 0.0 and name in _POSITIVE):
            kind = "a positive number" if name in _POSITIVE else "a number that is not negative"
            raise ValueError(f"agent.{name} = {value}: expected {kind}")
    if not isfinite(config.ent_coef_end):
        raise ValueError(f"agent.ent_coef_end = {config.ent_coef_end}: expected a finite number")
    if not MIN_STD <= config.initial_std <= MAX_STD:
        raise ValueError(f"agent.initial_std = {config.initial_std}: expected a number in [{MIN_STD}, {MAX_STD}]")
    _check_shares(config)


def _check_shares(config: PPOConfig) -> None:
    if not config.hidden or min(config.hidden) < 1:
        raise ValueError(f"agent.hidden = {list(config.hidden)}: expected at least one layer, each of 1 or more")
    if not 0.0 <= config.gae_lambda <= 1.0:
        raise ValueError(f"agent.gae_lambda = {config.gae_lambda}: expected a number in [0, 1]")
    if config.target_kl is not None and not config.target_kl > 0.0:
        raise ValueError(f"agent.target_kl = {config.target_kl}: expected a positive number, or null")
    if not 0.0 <= config.margin < 1.0:
        raise ValueError(f"agent.margin = {config.margin}: expected a share of the budgets in [0, 1)")


def discount(gamma_per_s: float, dt_s: float | None) -> float:
    """Discount of one step of ``dt_s`` seconds. Without a fixed step (None) only no discount at all is well defined."""
    if not 0.0 < gamma_per_s <= 1.0:
        raise ValueError(f"agent.gamma_per_s = {gamma_per_s}: expected a discount in (0, 1]")
    if dt_s is None:
        if gamma_per_s != 1.0:
            raise ValueError(
                f"agent.gamma_per_s = {gamma_per_s}, but steps of a number of events have no fixed length in seconds: "
                f"use agent.gamma_per_s=1 or give env.dt_s"
            )
        return 1.0
    return gamma_per_s**dt_s
