"""Hyperparameters of the learner, typed and with their units."""

from __future__ import annotations

from dataclasses import dataclass, field

from agents.budgets import Budget
from agents.multipliers import MultiplierConfig


@dataclass
class PPOConfig:
    """Hyperparameters of `agents.ppo.ConstrainedPPO`. A rollout is ``num_envs x n_steps`` transitions.

    Schedules are linear from a value at the first update to its ``_end`` at the last.
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
    ent_coef_end: float = 0.005
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
    compile: bool = False  # compile rollout and update with torch.compile: a minute at the start, then faster
    budgets: dict[str, Budget] | None = None  # by name of the cost; None = costs are reported and nothing else
    margin: float = 0.05  # trained to limit - margin x |limit|
    multipliers: MultiplierConfig = field(default_factory=MultiplierConfig)


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
