"""Playing a batch of rows with a network, and writing down what happened: what every trainer does between updates."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from agents.errors import NonFiniteError, refuse_observations, refuse_output
from agents.heads import Choices
from agents.loss import Sample
from agents.network import Network
from agents.rollout import Cut, Ends, Rollout
from agents.sb3_vec import SB3VecEnv


class Place(NamedTuple):
    """Where a batch of N rows stands between two steps."""

    obs: np.ndarray  # (N, F)
    starts: np.ndarray  # (N,) bool: an episode begins here
    memory: torch.Tensor  # (N, width)


class Played(NamedTuple):
    """What is said of a rollout beside its tensors."""

    place: Place  # where it ended
    env_seconds: float  # spent inside the environment
    whole: bool  # False: ``on_step`` broke it off


class Collector:
    """Takes ``rollout.steps`` steps of every row of ``env`` with ``network``. ``draw``: `agents.loss.sample`."""

    def __init__(
        self,
        env: SB3VecEnv,
        network: Network,
        draw: Callable[..., Sample],
        *,
        cost_names: Sequence[str],
        reward_names: Sequence[str],
    ) -> None:
        self.env, self.network, self._draw = env, network, draw
        self._cost_names, self._reward_names = cost_names, reward_names

    def play(self, place: Place, roll: Rollout, update: int, on_step: Callable[[], bool]) -> Played:
        """Fill ``roll`` from ``place`` on; ``update`` is named by errors; ``on_step`` says whether to go on.

        Rewards are column 0; costs stay as the environment charges them, in ``roll.costs``. What truncated episodes
        are still worth is noted in ``roll.cuts``, who ended in ``roll.ends``. Raises NonFiniteError where a number is
        not finite.
        """
        self._place, self._update, self._seconds = place, update, 0.0
        roll.begin(place.memory, masked=self.env.masked)
        for step in range(roll.steps):
            dones, infos = self._step(roll, step)
            if not on_step():
                return self._played(whole=False)
            if dones.any():
                self._end_episodes(roll, step, dones, infos)
        roll.values[roll.steps] = self._values(*self._place)
        return self._played(whole=True)

    def _played(self, *, whole: bool) -> Played:
        return Played(self._place, self._seconds, whole)

    def _step(self, roll: Rollout, step: int) -> tuple[np.ndarray, list[dict]]:
        """One step of every row; which episodes it ended, and the infos."""
        actions, memory = self._act(roll, step)
        started = time.perf_counter()
        obs, rewards, dones, infos = self.env.step(actions)
        self._seconds += time.perf_counter() - started
        self._place = Place(obs, dones, memory)  # type: ignore[arg-type]
        self._refuse_if_broken(rewards, "pays")
        roll.rewards[step, :, 0] = torch.from_numpy(rewards)
        roll.dones[step] = torch.from_numpy(dones)
        if self._cost_names:
            costs = self.env.get_step_costs()
            self._refuse_if_broken(costs.sum(1), "charges")
            roll.costs[step] = costs
            roll.sums.add("cost_", self._cost_names, costs)
        if self._reward_names:
            roll.sums.add("reward_", self._reward_names, self.env.get_step_rewards())
        return dones, infos

    @torch.no_grad()
    def _act(self, roll: Rollout, step: int) -> tuple[np.ndarray, torch.Tensor]:
        """Write a step's observation, actions, log-probabilities and values; the actions, and the memory after them."""
        obs, starts, memory = self._place
        roll.obs[step] = torch.from_numpy(obs)
        roll.starts[step] = torch.from_numpy(starts)
        masks = None
        if roll.masks is not None:
            roll.masks[step] = torch.from_numpy(self.env.action_masks()).reshape(roll.masks[step].shape)
            masks = roll.masks[step]
        drawn = self._draw(self.network, roll.obs[step], roll.starts[step].to(roll.device), memory, masks)
        # an infinite observation would be clipped by the normaliser, and spoil its mean
        if not torch.isfinite(drawn.log_probs.sum() + drawn.values.sum() + roll.obs[step].sum()):
            refuse_output(self._update, obs, drawn)
        roll.actions[step], roll.log_probs[step], roll.values[step] = drawn.actions, drawn.log_probs, drawn.values
        return self._for_env(drawn.actions), drawn.state

    def _for_env(self, actions: torch.Tensor) -> np.ndarray:
        """Actions ``(N, ...)`` as the environment takes them: clipped to the box; one choice without its axis."""
        head = self.network.head
        if isinstance(head, Choices):
            return actions.cpu().numpy().reshape(len(actions), *(self.env.action_space.shape or ()))
        return head.clip(actions).cpu().numpy()

    def _refuse_if_broken(self, numbers: np.ndarray, verb: str) -> None:
        if not np.isfinite(numbers.sum()):
            row = int(np.argmin(np.isfinite(numbers)))
            raise NonFiniteError(f"update {self._update}: the environment {verb} {numbers[row]} in row {row}")

    def _end_episodes(self, roll: Rollout, step: int, dones: np.ndarray, infos: list[dict]) -> None:
        """Note the episodes that ended in ``step``, and what truncated ones are still worth."""
        ended = np.flatnonzero(dones)
        roll.ends.append(Ends(step, ended, [infos[row] for row in ended]))
        cut = [row for row in ended.tolist() if infos[row]["TimeLimit.truncated"]]
        if cut:
            final = np.stack([infos[row]["terminal_observation"] for row in cut])
            worth = self._values(final, np.zeros(len(cut), np.bool_), self._place.memory[cut])
            roll.cuts.append(Cut(step, np.array(cut), worth.cpu()))

    @torch.no_grad()
    def _values(self, obs: np.ndarray, starts: np.ndarray, memory: torch.Tensor) -> torch.Tensor:
        """Values ``(B, C)`` of observations ``(B, F)``, where the memory before them was ``memory``."""
        refuse_observations(self._update, obs)
        now, begun = (torch.from_numpy(array).to(self.network.device).unsqueeze(0) for array in (obs, starts))
        seen, _ = self.network.recall(now, begun, memory)
        return self.network.values(seen)
