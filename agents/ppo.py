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

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
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
from agents.config import PPOConfig, check
from agents.describe import describe
from agents.errors import NonFiniteError, refuse_observations, refuse_output
from agents.heads import Choices
from agents.ledger import Ledger
from agents.loss import PARTS, Sample, loss_of, sample
from agents.metrics import TIME, Machine, StepSums, defined, explained_variance, mean_or_none
from agents.multipliers import Multipliers
from agents.network import Network
from agents.rollout import Batch, Rollout


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
        self.multipliers = Multipliers(len(self.constraints), self.config.multipliers)
        self.spreads = np.zeros(1 + len(self.constraints))  # of the columns' advantages, smoothed
        self.squares = np.zeros(1 + len(self.constraints))  # mean squared returns, smoothed
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
            **{"device": "cpu", **kwargs},  # networks this small are slower on a GPU
        )

    def _setup_model(self) -> None:
        super()._setup_model()
        columns = 1 + len(self.constraints)
        self._masked = self.config.masks and isinstance(self.network.head, Choices)
        self.rollout_buffer.prepare(self.network, columns, masked=self._masked)
        staggered = bool(getattr(self.env, "staggered", False))
        self.ledger = Ledger(self.constraints, self.gamma, self.n_envs, staggered=staggered)
        self._gammas = torch.tensor([self.gamma, *(entry.gamma(self.gamma) for entry in self.constraints)])
        self._goes_on = torch.tensor([True, *(entry.kind == "discounted" for entry in self.constraints)])
        self._memory = torch.zeros(self.n_envs, self.network.state_width)
        self._sample: Callable[..., Sample] = _compiled(sample, self.config.compile)
        self._loss: Callable[..., tuple[torch.Tensor, torch.Tensor]] = _compiled(loss_of, self.config.compile)

    @property
    def network(self) -> Network:
        """What learns."""
        return self.policy.network

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer | Rollout,
        n_rollout_steps: int,
    ) -> bool:
        """Fill the rollout with ``n_rollout_steps`` steps of every row; False where the callback says stop."""
        self.policy.set_training_mode(False)
        roll = self.rollout_buffer
        roll.state.copy_(self._memory)
        if not env.masked:  # type: ignore[attr-defined]
            roll.masks = None
        self.ledger.clear()  # of a rollout that was broken off
        self.ledger.begin(self._last_episode_starts)
        self._start_clock(env.num_envs * n_rollout_steps)
        callback.on_rollout_start()
        for step in range(n_rollout_steps):
            actions = self._act(env, step)
            rewards, dones, infos = self._step_env(env, step, actions)
            self.num_timesteps += env.num_envs
            if not callback.on_step():
                return False
            roll.dones[step] = torch.from_numpy(dones)
            roll.rewards[step, :, 0] = torch.from_numpy(rewards)
            if dones.any():
                self._end_episodes(step, dones, infos)
            self._last_episode_starts = dones
        roll.values[n_rollout_steps] = self._values(self._last_obs, self._last_episode_starts, self._memory)
        self.ledger.charge_tails(roll.rewards[..., 1:].numpy())
        roll.finish(self._gammas, self.gae_lambda)
        callback.on_rollout_end()
        return True

    @torch.no_grad()
    def _act(self, env: VecEnv, step: int) -> np.ndarray:
        """Write a step's observation, actions, log-probabilities and values into the rollout; returns the actions."""
        roll = self.rollout_buffer
        roll.obs[step] = torch.from_numpy(self._last_obs)
        roll.starts[step] = torch.from_numpy(self._last_episode_starts)
        masks = None
        if roll.masks is not None:
            roll.masks[step] = torch.from_numpy(env.action_masks()).reshape(roll.masks[step].shape)  # type: ignore[attr-defined]
            masks = roll.masks[step]
        drawn = self._sample(self.network, roll.obs[step], roll.starts[step], self._memory, masks)
        # an infinite observation would be clipped by the normaliser, and spoil its mean
        if not torch.isfinite(drawn.log_probs.sum() + drawn.values.sum() + roll.obs[step].sum()):
            refuse_output(self._n_updates + 1, self._last_obs, drawn)
        roll.actions[step], roll.log_probs[step] = drawn.actions, drawn.log_probs
        roll.values[step], self._memory = drawn.values, drawn.state
        return self._for_env(drawn.actions)

    def _for_env(self, actions: torch.Tensor) -> np.ndarray:
        """Actions ``(N, ...)`` as the environment takes them: clipped to the box; one choice without its axis."""
        head = self.network.head
        if isinstance(head, Choices):
            return actions.numpy().reshape(len(actions), *(self.action_space.shape or ()))
        return head.clip(actions).numpy()

    def _step_env(self, env: VecEnv, step: int, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[dict]]:
        """One timed step; adds its costs up and refuses a reward or a cost that is not finite."""
        started = time.perf_counter()
        self._last_obs, rewards, dones, infos = env.step(actions)  # type: ignore[assignment]
        self._env_seconds += time.perf_counter() - started
        self._refuse_if_broken(rewards, "pays")
        if self.cost_names:
            costs = env.get_step_costs()  # type: ignore[attr-defined]
            self._refuse_if_broken(costs.sum(1), "charges")
            self._sums.add("cost_", self.cost_names, costs)
            if self.constraints:
                self.rollout_buffer.rewards[step, :, 1:] = torch.from_numpy(self.ledger.add(step, costs, dones))
        if self.reward_names:
            self._sums.add("reward_", self.reward_names, env.get_step_rewards())  # type: ignore[attr-defined]
        return rewards, dones, infos

    def _refuse_if_broken(self, numbers: np.ndarray, verb: str) -> None:
        if not np.isfinite(numbers.sum()):
            row = int(np.argmin(np.isfinite(numbers)))
            raise NonFiniteError(f"update {self._n_updates + 1}: the environment {verb} {numbers[row]} in row {row}")

    def _end_episodes(self, step: int, dones: np.ndarray, infos: list[dict]) -> None:
        """Note the episodes that ended in ``step``; what truncated ones are still worth is added to their reward."""
        ended = np.flatnonzero(dones)
        self._episodes += [infos[row]["episode"] for row in ended if "episode" in infos[row]]
        cut = [row for row in ended.tolist() if infos[row]["TimeLimit.truncated"]]
        if cut:
            final = np.stack([infos[row]["terminal_observation"] for row in cut])
            worth = self._values(final, np.zeros(len(cut), np.bool_), self._memory[cut])
            self.rollout_buffer.rewards[step, cut] += self._gammas * worth * self._goes_on
            if self.constraints:
                self.ledger.go_on(np.array(cut), worth[:, 1:].numpy())

    @torch.no_grad()
    def _values(self, obs: np.ndarray, starts: np.ndarray, memory: torch.Tensor) -> torch.Tensor:
        """Values ``(B, C)`` of observations ``(B, F)``, where the memory before them was ``memory``."""
        refuse_observations(self._n_updates + 1, obs)
        seen, _ = self.network.recall(torch.from_numpy(obs).unsqueeze(0), torch.from_numpy(starts).unsqueeze(0), memory)
        return self.network.values(seen)

    def train(self) -> None:
        """One update: scales, multipliers, ``n_epochs`` passes over the rollout, metrics, normaliser."""
        self.policy.set_training_mode(True)
        # as of this rollout's first step: SB3's own is of its last, and the last update would learn nothing
        progress = 1.0 - (self.num_timesteps - self._transitions) / self._total_timesteps
        update_learning_rate(self.policy.optimizer, self.lr_schedule(progress))
        config = self.config
        entropy = config.ent_coef_end + (config.ent_coef - config.ent_coef_end) * progress
        weights = torch.tensor([self.clip_range(progress), entropy, self.vf_coef])  # type: ignore[operator]
        self._n_updates += 1
        self._rescale()
        self._move_multipliers()
        self.rollout_buffer.combine(torch.from_numpy(self.multipliers.values).float())
        results = self._descend(weights)
        self._record(dict(zip(PARTS, np.mean(results, axis=0).tolist(), strict=True)), entropy)
        if self.network.normaliser is not None:
            self.network.normaliser.observe(self.rollout_buffer.obs.view(-1, self.network.features))

    def _rescale(self) -> None:
        """Let the critics' scales follow the root mean square of the returns, 5 % of a batch at a time."""
        share = max(1.0 / self._n_updates, 0.05)
        squares = self.rollout_buffer.returns.square().mean((0, 1)).double().numpy()
        self.squares += share * (squares - self.squares)  # in place: `learner_state` shows it
        scale = np.where(self.squares > 0.0, np.sqrt(self.squares), 1.0)
        self.network.rescale(torch.from_numpy(scale).float())

    def _move_multipliers(self) -> None:
        """Compare what the episodes that ended have spent with the budgets, and move the prices."""
        self._spent, noise = self.ledger.spent()
        self.ledger.clear()
        if not self.constraints or not self.config.prices:
            return
        seen = self.rollout_buffer.column_advantages.std((0, 1)).double().numpy()
        self.spreads[:] = np.where(self.spreads > 0.0, 0.9 * self.spreads + 0.1 * seen, seen)
        limits = np.array([entry.target(self.config.margin) for entry in self.constraints])
        # an error smaller than its own noise is not worth a full step
        unit = np.maximum(np.maximum(np.abs(limits), 2.0 * noise), 1e-12)
        # rewards that do not vary: any price will do
        prices = (self.spreads[0] or 1.0) / np.maximum(self.spreads[1:], 1e-12) * (self.spreads[1:] > 0.0)
        self.multipliers.update(np.clip((self._spent - limits) / unit, -1.0, 1.0), prices)

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
        values = parts.tolist()
        if not torch.isfinite(loss.detach() + norm):
            listed = ", ".join(f"{name} {value:.6g}" for name, value in zip(PARTS, values, strict=True))
            raise NonFiniteError(
                f"update {self._n_updates}, {where}: loss {loss.item():.6g}, gradient norm {norm.item():.6g} "
                f"({listed}); the parameters are those before this minibatch. A smaller learning_rate may help"
            )
        if self.target_kl is not None and values[PARTS.index("approx_kl")] > 1.5 * self.target_kl:
            return values, False
        self.policy.optimizer.step()
        return values, True

    def _start_clock(self, transitions: int) -> None:
        self._transitions = transitions
        self._env_seconds, self._machine = 0.0, Machine()
        self._sums = StepSums()
        self._episodes: list[dict] = []

    @property
    def ended_returns(self) -> list[float]:
        """Returns of the episodes that ended in the current rollout."""
        return [episode["r"] for episode in self._episodes]

    def _record(self, losses: dict[str, float], entropy: float) -> None:
        """Log the update: the episodes that ended in it, budgets, costs per step, losses; then its speed."""
        roll = self.rollout_buffer
        record = {
            "update": self._n_updates,
            "episodes": len(self._episodes),
            "return_mean": mean_or_none(self.ended_returns),
            "length_mean": mean_or_none([episode["l"] for episode in self._episodes]),
            **losses,
            "explained_variance": explained_variance(roll.values[:-1, :, 0], roll.returns[..., 0]),
            "learning_rate": self.policy.optimizer.param_groups[0]["lr"],
            "ent_coef": entropy,
        }
        for k, entry in enumerate(self.constraints):
            record[f"spent_{entry.name}"] = float(self._spent[k])
            record[f"budget_{entry.name}"] = entry.target(self.config.margin)
            record[f"multiplier_{entry.name}"] = float(self.multipliers.values[k])
        record |= self._sums.means(self._transitions)
        record |= {f"{TIME}{name}": value for name, value in self.speed().items()}
        for name, value in record.items():
            self.logger.record(name, defined(value))
        self.logger.dump(self.num_timesteps)

    def learner_state(self) -> dict[str, Any]:
        """What the learner remembers between two updates besides its networks: the arrays themselves, not copies."""
        return {
            "multipliers": self.multipliers.state(),
            "ledger": self.ledger.state(),
            "spreads": self.spreads,
            "squares": self.squares,
            "kept": self.kept,
        }

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
            "_last_original_obs", "_last_episode_starts", "_episodes", "_sums", "_machine", "_env_seconds",
            "_transitions", "_sample", "_loss", "_memory", "_gammas", "_goes_on", "_spent", "_masked", "ledger",
            "kept", "_num_timesteps_at_start", "_total_timesteps", "_current_progress_remaining",
        ]  # fmt: skip


def _compiled(function: Callable[..., Any], wanted: bool) -> Callable[..., Any]:
    # tanh as 2 / (1 + exp(-2 x)) - 1: the exponential is twice as fast as the vector library's tanh
    options: dict[str, Any] = {"cpp.use_decompose_tanh": True}
    return torch.compile(function, dynamic=False, options=options) if wanted else function
