"""Proximal policy optimisation (Schulman et al. 2017) on SB3, for large batches of fast environments.

What differs from SB3's own `PPO`, and why:

- the value of a truncated episode's last observation is computed for all truncated rows at once (SB3 runs one forward
  pass a row);
- an action that the environment masks is never sampled, and its probability is 0 in the loss;
- only rows that ended are looked at in Python, and the probabilities are computed without SB3's distribution objects;
- a loss, a gradient, a value, a reward or an observation that is not finite stops the run *before* the parameters are
  touched, with an error that says where;
- metrics are recorded after every update, the last one included;
- the reward is multiplied by a constant before learning; reported returns are not.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.utils import LinearSchedule, explained_variance, update_learning_rate
from stable_baselines3.common.vec_env import VecEnv

from agents.buffer import MaskedRolloutBuffer, MaskedSamples, choices
from agents.network import MASKED, find_activation
from agents.normaliser import RunningNorm


class NonFiniteError(FloatingPointError):
    """A number that must be finite was not; the message says which and when."""


@dataclass
class PPOConfig:
    """Hyperparameters of `BatchPPO`. A rollout is ``num_envs x n_steps`` transitions."""

    n_steps: int = 64  # environment steps per rollout
    epochs: int = 4  # passes over a rollout
    minibatches: int = 4  # minibatches per pass: batch size = num_envs x n_steps / minibatches
    learning_rate: float = 1e-3  # Adam, falling linearly to 0 over the run
    gamma_per_s: float = 0.97  # discount per second of market time; gamma = gamma_per_s ** dt_s
    gae_lambda: float = 0.9
    clip_range: float = 0.2
    ent_coef: float = 0.005
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    hidden: list[int] = field(default_factory=lambda: [64, 64])  # of actor and critic each
    activation: str = "relu"  # tanh, relu or silu
    normalise_observations: bool = True
    reward_scale: float = 0.1  # the learner sees reward x this
    masks: bool = True  # in training, an action that cannot be done is never sampled


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


def build(env: VecEnv, config: PPOConfig, *, gamma: float, seed: int, cost_names: Iterable[str] = ()) -> BatchPPO:
    """A `BatchPPO` on ``env`` with fresh networks drawn from ``seed`` (0 is a seed)."""
    rollout = env.num_envs * config.n_steps
    if config.minibatches < 1 or rollout % config.minibatches:
        raise ValueError(
            f"agent.minibatches = {config.minibatches} does not divide a rollout of {env.num_envs} environments x "
            f"{config.n_steps} steps = {rollout} transitions"
        )
    choices(env.action_space)  # refuses what it cannot act in
    env.observation_space.seed(seed)  # it is saved with the policy, and so is its generator
    extractor = RunningNorm if config.normalise_observations else FlattenExtractor
    return BatchPPO(
        "MlpPolicy",
        env,
        learning_rate=LinearSchedule(config.learning_rate, 0.0, 1.0),
        n_steps=config.n_steps,
        batch_size=rollout // config.minibatches,
        n_epochs=config.epochs,
        gamma=gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=config.ent_coef,
        vf_coef=config.vf_coef,
        max_grad_norm=config.max_grad_norm,
        policy_kwargs={
            "net_arch": list(config.hidden),
            "activation_fn": find_activation(config.activation),
            "features_extractor_class": extractor,
        },
        seed=seed,
        device="cpu",  # networks this small are slower on a GPU
        rollout_buffer_class=MaskedRolloutBuffer,
        reward_scale=config.reward_scale,
        masked=config.masks,
        cost_names=tuple(cost_names),
    )


class BatchPPO(PPO):
    """SB3's PPO with the changes listed at the top of this file. Vector observations.

    An action is a row of A, or M of them, one for each market: the network gives M x A logits, the choices are
    independent of each other given the observation, and the probability of an action is the product over the markets.
    """

    _last_obs: np.ndarray  # (N, F)
    _last_episode_starts: np.ndarray  # (N,) bool
    rollout_buffer: MaskedRolloutBuffer

    def __init__(
        self,
        *args: Any,
        reward_scale: float = 1.0,
        masked: bool = False,
        cost_names: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        self.reward_scale = reward_scale
        self.masked = masked
        self.cost_names = cost_names
        super().__init__(*args, **kwargs)

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill ``rollout_buffer`` with ``n_rollout_steps`` steps of every row; False where the callback says stop."""
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        self._start_clock(env.num_envs * n_rollout_steps)
        callback.on_rollout_start()
        for _ in range(n_rollout_steps):
            masks = self._masks(env)
            actions, values, log_probs = self._sample(self._last_obs, masks)
            self.rollout_buffer.masks[rollout_buffer.pos] = masks
            new_obs, rewards, dones, infos = self._step_env(env, actions)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            learned = rewards * np.float32(self.reward_scale)
            if dones.any():
                ended = np.flatnonzero(dones)
                self._episodes += [infos[row]["episode"] for row in ended if "episode" in infos[row]]
                learned += self._bootstrap(ended, infos, env.num_envs)
            rollout_buffer.add(self._last_obs, actions, learned, self._last_episode_starts, values, log_probs)
            self._last_obs = new_obs
            self._last_episode_starts = dones
        rollout_buffer.compute_returns_and_advantage(last_values=self._values(self._last_obs), dones=dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _masks(self, env: VecEnv) -> np.ndarray:
        """Which actions can be taken now, ``(N, A)`` or ``(N, M, A)`` bool; all of them where nobody is asked."""
        if self.masked:
            return env.action_masks()  # type: ignore[attr-defined]
        return np.ones(self.rollout_buffer.masks.shape[1:], np.bool_)

    def _forward(self, obs: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of the rows, of the shape of ``masks``, and values ``(N,)``; SB3's networks without its
        distributions, which check their arguments at every call."""
        latent_pi, latent_vf = self.policy.mlp_extractor(self.policy.extract_features(obs))
        logits = self.policy.action_net(latent_pi).view(masks.shape).masked_fill(~masks, MASKED)
        log_probs = torch.log_softmax(logits, -1)
        return log_probs, self.policy.value_net(latent_vf).flatten()

    @torch.no_grad()
    def _sample(self, obs: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
        """Actions ``(N,)`` or ``(N, M)`` int64, values ``(N,)`` and log-probabilities ``(N,)`` at ``obs``."""
        log_probs, values = self._forward(torch.from_numpy(obs), torch.from_numpy(masks))
        if not torch.isfinite(log_probs.sum() + values.sum()):
            self._refuse_policy_output(obs, values, log_probs)
        actions = torch.multinomial(log_probs.exp().view(-1, log_probs.shape[-1]), 1).view(log_probs.shape[:-1])
        return actions.numpy(), values, _log_prob(log_probs, actions)

    def _step_env(self, env: VecEnv, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict]]:
        """One timed step; adds its costs to the update's sums and refuses a reward that is not finite."""
        started = time.perf_counter()
        new_obs, rewards, dones, infos = env.step(actions)
        self._env_seconds += time.perf_counter() - started
        if not np.isfinite(rewards.sum()):
            row = int(np.argmin(np.isfinite(rewards)))
            raise NonFiniteError(f"update {self._n_updates + 1}: the environment pays {rewards[row]} in row {row}")
        if self.cost_names:
            self._cost_sums += env.get_step_costs().sum(0)  # type: ignore[attr-defined]
        return new_obs, rewards, dones, infos  # type: ignore[return-value]

    def _bootstrap(self, ended: np.ndarray, infos: list[dict], num_envs: int) -> np.ndarray:
        """``(N,)`` float32: gamma x V(last observation) in the rows that were truncated, 0 elsewhere."""
        result = np.zeros(num_envs, np.float32)
        truncated = [row for row in ended if infos[row]["TimeLimit.truncated"]]
        if truncated:
            final = np.stack([infos[row]["terminal_observation"] for row in truncated])
            result[truncated] = self.gamma * self._values(final).numpy().ravel()
        return result

    @torch.no_grad()
    def _values(self, obs: np.ndarray) -> torch.Tensor:
        return self.policy.predict_values(torch.from_numpy(obs))

    def train(self) -> None:
        """One update: ``n_epochs`` passes over the rollout, then the metrics and the normaliser."""
        self.policy.set_training_mode(True)
        update_learning_rate(self.policy.optimizer, self.lr_schedule(self._current_progress_remaining))
        clip = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        self._n_updates += 1
        results = []
        for epoch in range(self.n_epochs):
            for number, batch in enumerate(self.rollout_buffer.get(self.batch_size)):
                loss, parts = self._loss(batch, clip)
                self._descend(loss, parts, f"epoch {epoch + 1}, minibatch {number + 1}")
                results.append(list(parts.values()))
        self._record(dict(zip(parts, np.mean(results, axis=0).tolist(), strict=True)))
        if isinstance(self.policy.features_extractor, RunningNorm):
            self.policy.features_extractor.observe(torch.from_numpy(self.rollout_buffer.observations))

    def _loss(self, batch: MaskedSamples, clip: float) -> tuple[torch.Tensor, dict[str, float]]:
        """The clipped surrogate, value and entropy loss of a minibatch, and its parts by name."""
        log_probs, values = self._forward(batch.observations, batch.masks)
        log_prob = _log_prob(log_probs, batch.actions.long().view(log_probs.shape[:-1]))
        advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
        log_ratio = log_prob - batch.old_log_prob
        ratio = log_ratio.exp()
        surrogate = torch.min(advantages * ratio, advantages * ratio.clamp(1.0 - clip, 1.0 + clip)).mean()
        value_loss = torch.nn.functional.mse_loss(values, batch.returns)
        entropy = -(log_probs.exp() * log_probs).flatten(1).sum(1).mean()
        loss = -surrogate - self.ent_coef * entropy + self.vf_coef * value_loss
        with torch.no_grad():
            parts = {
                "policy_loss": -surrogate.item(),
                "value_loss": value_loss.item(),
                "entropy": entropy.item(),
                "approx_kl": ((ratio - 1.0) - log_ratio).mean().item(),  # http://joschu.net/blog/kl-approx.html
                "clip_fraction": ((ratio - 1.0).abs() > clip).float().mean().item(),
            }
        return loss, parts

    def _descend(self, loss: torch.Tensor, parts: dict[str, float], where: str) -> None:
        """One Adam step, unless the loss or the gradient is not finite: then the parameters stay as they were."""
        self.policy.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        if not torch.isfinite(loss + norm):
            listed = ", ".join(f"{name} {value:.6g}" for name, value in parts.items())
            raise NonFiniteError(
                f"update {self._n_updates}, {where}: loss {loss.item():.6g}, gradient norm {norm.item():.6g} "
                f"({listed}); the parameters are those before this minibatch. A smaller learning_rate may help"
            )
        self.policy.optimizer.step()

    def _refuse_policy_output(self, obs: np.ndarray, values: torch.Tensor, log_probs: torch.Tensor) -> None:
        """Raise NonFiniteError naming the update and the first bad row, and whether its observation is to blame."""
        good = torch.isfinite(values) & torch.isfinite(log_probs).flatten(1).all(1)
        row = int(good.int().argmin())
        bad = np.flatnonzero(~np.isfinite(obs[row])).tolist()
        cause = f"features {bad} of its observation are not finite" if bad else "its observation is finite"
        raise NonFiniteError(
            f"update {self._n_updates + 1}: in row {row} the policy gives value {values[row].item()} and "
            f"log-probabilities {log_probs[row].tolist()}; {cause}"
        )

    def _start_clock(self, transitions: int) -> None:
        self._transitions = transitions
        self._update_started = time.perf_counter()
        self._env_seconds = 0.0
        self._cost_sums = np.zeros(len(self.cost_names))
        self._episodes: list[dict] = []

    def _record(self, losses: dict[str, float]) -> None:
        """Log the update: speed, the episodes that ended in it, costs per step, losses."""
        seconds = time.perf_counter() - self._update_started
        buffer = self.rollout_buffer
        record = {
            "update": self._n_updates,
            "steps_per_s": self._transitions / seconds,
            "env_share": self._env_seconds / seconds,
            "episodes": len(self._episodes),
            "return_mean": _mean(self.ended_returns),
            "length_mean": _mean([episode["l"] for episode in self._episodes]),
            **losses,
            "explained_variance": float(explained_variance(buffer.values.flatten(), buffer.returns.flatten())),
            "learning_rate": self.lr_schedule(self._current_progress_remaining),
        }
        for name, total in zip(self.cost_names, self._cost_sums, strict=True):
            record[f"cost_{name}"] = total / self._transitions
        for name, value in record.items():
            self.logger.record(name, _defined(value))
        self.logger.dump(self.num_timesteps)

    @property
    def ended_returns(self) -> list[float]:
        """Returns of the episodes that ended in the current rollout, unscaled."""
        return [episode["r"] for episode in self._episodes]

    def dump_logs(self, iteration: int = 0) -> None:
        """Nothing: `train` records the update when it is done, SB3 would before."""

    def _excluded_save_params(self) -> list[str]:
        """What a saved policy does not need, and what would make two equal runs differ in bytes."""
        return [
            *super()._excluded_save_params(), "start_time", "ep_info_buffer", "ep_success_buffer", "_last_obs",
            "_last_original_obs", "_last_episode_starts", "_episodes", "_cost_sums", "_env_seconds", "_update_started",
            "_transitions",
        ]  # fmt: skip


def _log_prob(log_probs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """``(N,)``: of ``actions`` (N,) or (N, M), given ``log_probs`` (N, A) or (N, M, A); summed over the markets."""
    return log_probs.gather(-1, actions.unsqueeze(-1)).flatten(1).sum(1)


def _mean(values: list[float]) -> float | None:
    """The mean, or None where no episode ended."""
    return float(np.mean(values)) if values else None


def _defined(value: float | None) -> float | None:
    """``value``, or None where it does not exist (the explained variance of constant returns)."""
    return value if value is not None and np.isfinite(value) else None
