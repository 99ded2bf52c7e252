"""Constrained proximal policy optimisation on SB3, for large batches of fast environments.

PPO (Schulman et al. 2017) on the Lagrangian of a constrained problem (Ray, Achiam and Amodei 2019): each budgeted cost
has values, advantages and a multiplier of its own, and the policy climbs the advantage

    A = A_reward - sum_k lambda_k A_k,

normalised once, after the sum, so that a multiplier is a price (`agents.multipliers`). Without budgets it is plain PPO.

What differs from SB3's own `PPO`, and why:

- what a truncated episode is still worth is computed for all truncated rows at once (SB3: a forward pass a row);
- an action that the environment masks is never sampled, and its probability is 0 in the loss;
- only rows that ended are looked at in Python; the rollout is kept in tensors that are made once;
- heads value in units of the returns' root mean square, so that reward and costs of any unit can be learnt;
- a loss, a gradient, a value, a reward or an observation that is not finite stops the run *before* the parameters are
  touched, with an error that says where;
- metrics are recorded after every update, the last one included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from math import isfinite
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import LinearSchedule, update_learning_rate
from stable_baselines3.common.vec_env import VecEnv

from agents.actor_critic import ActorCritic
from agents.budgets import Constraint, constraints
from agents.collect import Collector, Place
from agents.config import PPOConfig, check
from agents.describe import describe
from agents.device import compiled, find_device, is_mixed, numbers
from agents.errors import refuse_step
from agents.heads import Choices
from agents.lagrangian import Lagrangian, Outcome, entropy_at, weights_at
from agents.ledger import Ledger
from agents.loss import PARTS, Sample, loss_of, sample
from agents.metrics import Machine
from agents.multipliers import Multipliers
from agents.network import Network
from agents.rollout import Batch, Rollout
from agents.trees import pack, unpack


def build(
    env: VecEnv,
    config: PPOConfig,
    *,
    gamma: float,
    seed: int,
    cost_names: Sequence[str] = (),
    reward_names: Sequence[str] = (),
    markets: int = 1,
) -> ConstrainedPPO:
    """A `ConstrainedPPO` on ``env`` with fresh networks drawn from ``seed`` (0 is a seed).

    Args:
        env: a batch whose `get_step_costs` has the columns ``cost_names``, if there are any.
        config: hyperparameters, budgets and multipliers.
        gamma: discount of a step; see `agents.config.discount`.
        seed: of networks, minibatches and sampled actions.
        cost_names: of the environment's costs.
        reward_names: of the terms of its reward, whose means are recorded.
        markets: how many markets lie side by side in an observation, each with as many features.

    Raises ValueError where a setting cannot work, naming it.
    """
    check(config)
    rollout = env.num_envs * config.n_steps
    rows = env.num_envs if config.memory else rollout
    if config.minibatches < 1 or rows % config.minibatches:
        what = "rows" if config.memory else f"environments x {config.n_steps} steps = {rollout} transitions"
        raise ValueError(f"agent.minibatches = {config.minibatches} does not divide a rollout of {env.num_envs} {what}")
    env.observation_space.seed(seed)  # it is saved with the policy, and so is its generator
    spec = describe(env.observation_space, env.action_space, config, markets)
    limits = [] if config.budgets is None else constraints(config.budgets, list(cost_names))
    return ConstrainedPPO(
        ActorCritic,
        env,
        config=config,
        constraints=limits,
        cost_names=tuple(cost_names),
        reward_names=tuple(reward_names),
        gamma=gamma,
        seed=seed,
        policy_kwargs={"spec": spec, "critics": 1 + len(limits)},
    )


class ConstrainedPPO(PPO):
    """PPO within budgets; see the top of this file. Vector observations; make one with `build`."""

    policy: ActorCritic  # type: ignore[assignment]
    rollout_buffer: Rollout  # type: ignore[assignment]
    _last_obs: np.ndarray  # (N, F)
    _last_episode_starts: np.ndarray  # (N,) bool

    def __init__(
        self,
        policy: type[ActorCritic],
        env: VecEnv | None,
        *,
        config: PPOConfig | None = None,
        constraints: Sequence[Constraint] = (),
        cost_names: tuple[str, ...] = (),
        reward_names: tuple[str, ...] = (),
        gamma: float = 1.0,
        **kwargs: Any,
    ) -> None:
        self.config = deepcopy(config or PPOConfig())  # the caller may go on to change its own
        self.constraints = list(constraints)
        self.cost_names, self.reward_names = cost_names, reward_names
        self.lagrangian = Lagrangian(self.constraints, self.config, gamma)
        self.kept: dict[str, np.ndarray] = {}  # arrays of callbacks that are saved with the learner's own
        config_ = self.config
        super().__init__(
            policy,  # type: ignore[arg-type]
            env,  # type: ignore[arg-type]
            learning_rate=LinearSchedule(config_.learning_rate, config_.learning_rate_end, 1.0),
            n_steps=config_.n_steps,
            batch_size=(env.num_envs if env else 1) * config_.n_steps // config_.minibatches,
            n_epochs=config_.epochs,
            gamma=gamma,
            gae_lambda=config_.gae_lambda,
            clip_range=LinearSchedule(config_.clip_range, config_.clip_range_end, 1.0),
            ent_coef=config_.ent_coef,
            vf_coef=config_.vf_coef,
            max_grad_norm=config_.max_grad_norm,
            target_kl=config_.target_kl,
            rollout_buffer_class=Rollout,  # type: ignore[arg-type]
            **{"device": find_device(config_.device), **kwargs},
        )

    def _setup_model(self) -> None:
        super()._setup_model()
        self.network.mixed = is_mixed(self.config, self.device)
        self._masked = self.config.masks and isinstance(self.network.head, Choices)
        self.rollout_buffer.prepare(
            self.network, 1 + len(self.constraints), masked=self._masked, costs=len(self.cost_names)
        )
        staggered = bool(getattr(self.env, "staggered", False))
        self.ledger = Ledger(self.constraints, self.gamma, self.n_envs, staggered=staggered)
        self._memory = torch.zeros(self.n_envs, self.network.state_width, device=self.device)
        self._sample: Callable[..., Sample] = compiled(sample, self.config.compile)
        self._loss: Callable[..., tuple[torch.Tensor, torch.Tensor]] = compiled(loss_of, self.config.compile)

    @property
    def network(self) -> Network:
        """What learns."""
        return self.policy.network

    @property
    def multipliers(self) -> Multipliers:
        """The prices of the budgets."""
        return self.lagrangian.multipliers

    @property
    def resumable(self) -> bool:
        """Whether the environment can be saved, and a run on it be resumed."""
        return bool(getattr(self.env, "resumable", False))

    def stand(self) -> None:
        """Begin the first episodes, where none have begun: a learner that has not played can be saved, too."""
        if self._last_obs is None:
            self._setup_learn(0, None)

    def close(self) -> None:
        """Let go of the environments."""
        assert self.env is not None
        self.env.close()

    def playing(self) -> dict[str, Any]:
        """Where its environments stand, as tensors."""
        assert self.env is not None
        return {
            "last": pack((self._last_obs, self._last_episode_starts)),
            "memory": self._memory.cpu().clone(),
            "env": pack(self.env.snapshot()),  # type: ignore[attr-defined]
        }

    def play_on(self, saved: dict[str, Any], what: str) -> None:
        """Go back to what `playing` gave. Raises ValueError naming ``what`` where it was of other settings."""
        assert self.env is not None
        self._last_obs = self.env.reset()  # type: ignore[assignment]
        self._last_episode_starts = np.ones(self.n_envs, np.bool_)
        self.env.restore(unpack(saved["env"], self.env.snapshot(), f"{what}, environment"))  # type: ignore[attr-defined]
        unpack(saved["last"], (self._last_obs, self._last_episode_starts), f"{what}, last observation")
        self._memory = saved["memory"].to(self.device)

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer | Rollout,
        n_rollout_steps: int,
    ) -> bool:
        """Fill the rollout with ``n_rollout_steps`` steps of every row; False where the callback says stop."""
        self.policy.set_training_mode(False)
        self._transitions = env.num_envs * n_rollout_steps
        self._machine = Machine()
        callback.on_rollout_start()

        def on_step() -> bool:
            self.num_timesteps += env.num_envs
            return callback.on_step()

        names = {"cost_names": self.cost_names, "reward_names": self.reward_names}
        collector = Collector(env, self.network, self._sample, **names)  # type: ignore[arg-type]
        place = Place(self._last_obs, self._last_episode_starts, self._memory)
        played = collector.play(place, self.rollout_buffer, self._n_updates + 1, on_step)
        self._last_obs, self._last_episode_starts, self._memory = played.place
        self._env_seconds = played.env_seconds
        if not played.whole:
            return False
        self.lagrangian.charge(self.rollout_buffer, self.ledger)
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """One update: scales, multipliers, ``n_epochs`` passes over the rollout, metrics, normaliser."""
        self.policy.set_training_mode(True)
        # as of this rollout's first step: SB3's own is of its last, and the last update would learn nothing
        progress = 1.0 - (self.num_timesteps - self._transitions) / self._total_timesteps
        update_learning_rate(self.policy.optimizer, self.lr_schedule(progress))
        self._n_updates += 1
        self._spent = self.lagrangian.settle(self.network, self.rollout_buffer, self.ledger, self._n_updates)
        results = self._descend(weights_at(self.config, progress).to(self.device))
        losses = dict(zip(PARTS, np.mean(results, axis=0).tolist(), strict=True))
        self._record(losses, entropy_at(self.config, progress))
        if self.network.normaliser is not None:
            self.network.normaliser.observe(self.rollout_buffer.obs.view(-1, self.network.features))

    def _descend(self, weights: torch.Tensor) -> list[list[float]]:
        """All epochs, or fewer where the policy moved too far; the parts of every minibatch's loss."""
        results: list[list[float]] = []
        sequences = self.network.memory is not None
        for epoch in range(self.n_epochs):
            for number, batch in enumerate(
                self.rollout_buffer.minibatches(self.config.minibatches, sequences=sequences)
            ):
                parts, stepped = self._one_step(batch, weights, f"epoch {epoch + 1}, minibatch {number + 1}")
                results.append(parts)
                if not stepped:
                    return results
        return results

    def _one_step(self, batch: Batch, weights: torch.Tensor, where: str) -> tuple[list[float], bool]:
        """The parts of a minibatch's loss, and whether an Adam step was taken: not where the policy is too far already.

        Where the loss or the gradient is not finite it raises, and the parameters stay as they were.
        """
        self.policy.optimizer.zero_grad()
        loss, parts = self._loss(self.network, batch, weights)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_grad_norm)
        *values, loss_, norm_ = numbers(parts, loss, norm)
        if not isfinite(loss_ + norm_):
            refuse_step(loss_, norm_, dict(zip(PARTS, values, strict=True)), f"update {self._n_updates}, {where}")
        if self.target_kl is not None and values[PARTS.index("approx_kl")] > 1.5 * self.target_kl:
            return values, False
        self.policy.optimizer.step()
        return values, True

    @property
    def ended_returns(self) -> list[float]:
        """Returns of the episodes that ended in the current rollout."""
        return [episode["r"] for episode in self.rollout_buffer.episodes]

    def _record(self, losses: dict[str, float], entropy: float) -> None:
        """Log the update."""
        rate = self.policy.optimizer.param_groups[0]["lr"]
        outcome = Outcome(self.rollout_buffer, losses, self._spent, rate, entropy)
        self.lagrangian.log(self.logger, self._n_updates, outcome, self.speed())
        self.logger.dump(self.num_timesteps)

    def learner_state(self) -> dict[str, Any]:
        """What the learner remembers between two updates besides its networks: the arrays themselves, not copies."""
        return {**self.lagrangian.state(), "ledger": self.ledger.state(), "kept": self.kept}

    def speed(self) -> dict[str, float]:
        """Of the last update: steps a second, share of its time inside the environment, what it took of the machine."""
        spent = self._machine.usage()
        seconds = spent.pop("seconds")
        return {"steps_per_s": self._transitions / seconds, "env_share": self._env_seconds / seconds, **spent}

    def dump_logs(self, iteration: int = 0) -> None:
        """Nothing: `train` records the update when it is done, SB3 would before."""

    def _excluded_save_params(self) -> list[str]:
        """What a saved policy does not need, and what would make two equal runs differ in bytes."""
        return [
            *super()._excluded_save_params(), "start_time", "ep_info_buffer", "ep_success_buffer", "_last_obs",
            "_last_original_obs", "_last_episode_starts", "_env_seconds", "_machine", "_transitions", "_sample",
            "_loss", "_spent", "_memory", "_masked", "ledger", "kept", "_num_timesteps_at_start", "_total_timesteps",
            "_current_progress_remaining",
        ]  # fmt: skip
