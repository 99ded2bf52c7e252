"""What a rollout remembers, as tensors that are made once: T steps of N rows, one column of value per critic.

Column 0 is the reward, the others are the budgeted costs. What a network sees and gives lies on its device; what an
environment gives, and is charged by NumPy, on the host, and moves once, when the rollout is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from agents.heads import Choices
from agents.metrics import StepSums
from agents.network import Network


class Batch(NamedTuple):
    """A minibatch of B transitions; with a memory T x B' of them, in the order of time."""

    obs: torch.Tensor  # (B, F); with a memory (T, B', F)
    actions: torch.Tensor  # (B, ...)
    masks: torch.Tensor | None  # (B, count, rows) bool; None = everything may be done
    log_probs: torch.Tensor  # (B,) when they were taken
    advantages: torch.Tensor  # (B,) of the Lagrangian, normalised
    returns: torch.Tensor  # (B, C)
    starts: torch.Tensor | None  # (T, B') bool, with a memory
    state: torch.Tensor | None  # (B', width), with a memory


class Cut(NamedTuple):
    """Episodes that a step truncated, and what they are still worth."""

    step: int
    rows: np.ndarray  # (B,) in order
    worth: torch.Tensor  # (B, C)


class Ends(NamedTuple):
    """Episodes that ended in a step, and their infos as `agents.sb3_vec.SB3VecEnv` gives them."""

    step: int
    rows: np.ndarray  # (B,) in order
    infos: list[dict[str, Any]]


_Kept = TypeVar("_Kept", Cut, Ends)


def advantages(
    rewards: torch.Tensor,
    values: torch.Tensor,
    dones: torch.Tensor,
    gammas: torch.Tensor,
    gae_lambda: float,
) -> torch.Tensor:
    """Generalised advantages ``(T, N, C)`` (Schulman et al. 2016); every column has its own of the ``gammas`` (C,).

    ``rewards`` (T, N, C), ``values`` (T + 1, N, C), ``dones`` (T, N) bool: the step ended its episode. What a
    truncated episode is still worth has been added to its last reward. With delta_t = r_t + g V_{t+1} - V_t:
    A_t = delta_t + g l A_{t+1}, both of the later terms 0 where the episode ended.
    """
    result = torch.empty_like(rewards)
    goes_on = (~dones).to(rewards.dtype).unsqueeze(-1) * gammas
    last = torch.zeros_like(rewards[0])
    for step in range(len(rewards) - 1, -1, -1):
        delta = rewards[step] + goes_on[step] * values[step + 1] - values[step]
        last = delta + gae_lambda * goes_on[step] * last
        result[step] = last
    return result


class Rollout:
    """Storage for ``steps`` steps of ``rows`` environments. SB3 makes it; `Rollout.prepare` says what for."""

    def __init__(
        self,
        steps: int,
        observation_space: Any,
        action_space: Any,
        *,
        n_envs: int,
        device: torch.device | str = "cpu",
        **_: Any,
    ) -> None:
        self.steps, self.rows, self.device = steps, n_envs, torch.device(device)
        (features,) = observation_space.shape
        self.obs = torch.zeros(steps, n_envs, features, device=self.device)
        self.log_probs = torch.zeros(steps, n_envs, device=self.device)
        self.dones = torch.zeros(steps, n_envs, dtype=torch.bool)  # of the host, as starts, rewards, costs
        self.starts = torch.zeros(steps, n_envs, dtype=torch.bool)
        self.cuts: list[Cut] = []  # in the order of time
        self.ends: list[Ends] = []
        self.sums = StepSums()  # of costs and terms of the reward

    def prepare(self, network: Network, columns: int, *, masked: bool, costs: int) -> None:
        """Make what depends on the network and on the number of ``costs`` charged: ``columns`` of value, masks, ..."""
        head = network.head
        shape, here = (self.steps, self.rows), self.device
        self.actions = torch.zeros(*shape, *head.action_shape, dtype=head.action_dtype, device=here)
        self.masks: torch.Tensor | None = None
        if isinstance(head, Choices) and masked:
            self.masks = torch.ones(*shape, head.count, head.rows, dtype=torch.bool, device=here)
        self.rewards = torch.zeros(*shape, columns)
        self.values = torch.zeros(self.steps + 1, self.rows, columns, device=here)
        self.state = torch.zeros(self.rows, network.state_width, device=here)
        self.costs = np.zeros((*shape, costs))  # as the environment charges them

    def __getstate__(self) -> dict[str, Any]:
        """For another process, as arrays: Ray takes those as they lie in memory, and ten times as long for tensors."""
        tensors = {name: value.numpy() for name, value in vars(self).items() if isinstance(value, torch.Tensor)}
        rest = {name: value for name, value in vars(self).items() if name not in tensors}
        cuts = [(cut.step, cut.rows, cut.worth.numpy()) for cut in self.cuts]
        return {"tensors": tensors, "rest": {**rest, "cuts": cuts}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What `__getstate__` gave: Ray gives arrays that cannot be written, so these are copies."""
        vars(self).update(state["rest"])
        vars(self).update({name: torch.tensor(array) for name, array in state["tensors"].items()})
        self.cuts = [Cut(step, rows, torch.tensor(worth)) for step, rows, worth in self.cuts]

    def begin(self, state: torch.Tensor, *, masked: bool) -> None:
        """Begin to write a rollout, where the memory was ``state`` (N, width); an environment may have no masks."""
        self.state.copy_(state)
        self.cuts, self.ends, self.sums = [], [], StepSums()
        if not masked:
            self.masks = None

    @property
    def episodes(self) -> list[dict[str, Any]]:
        """``r`` and ``l``, return and length, of the episodes that ended, in the order of time."""
        return [info["episode"] for ends in self.ends for info in ends.infos]

    @classmethod
    def joined(cls, parts: Sequence[Rollout], device: torch.device) -> Rollout:
        """Rollouts of as many steps side by side, on ``device``; of a single one that is there itself."""
        if len(parts) == 1 and parts[0].device == device:
            return parts[0]
        whole = cls.__new__(cls)
        whole.steps, whole.rows, whole.device = parts[0].steps, sum(part.rows for part in parts), device
        for name in ("rewards", "dones", "starts"):
            setattr(whole, name, torch.cat([getattr(part, name) for part in parts], 1))
        for name in ("obs", "actions", "log_probs", "values"):
            setattr(whole, name, torch.cat([getattr(part, name).to(device) for part in parts], 1))
        masks = [part.masks for part in parts if part.masks is not None]
        if len(masks) not in (0, len(parts)):
            raise ValueError(f"rollouts: {len(masks)} of {len(parts)} have masks; expected all of them, or none")
        whole.masks = torch.cat(masks, 1).to(device) if masks else None
        whole.state = torch.cat([part.state for part in parts]).to(device)
        whole.costs = np.concatenate([part.costs for part in parts], 1)
        whole.sums = StepSums.joined([part.sums for part in parts])
        firsts = np.cumsum([0, *(part.rows for part in parts)]).tolist()
        whole.cuts = [cut for step in range(whole.steps) for cut in _cuts_of(step, parts, firsts)]
        whole.ends = [ends for step in range(whole.steps) for ends in _ends_of(step, parts, firsts)]
        return whole

    def reset(self) -> None:
        """SB3 calls it at the beginning; every step of a rollout is written anew."""

    def finish(self, gammas: torch.Tensor, gae_lambda: float) -> None:
        """Compute `column_advantages` (T, N, C) and `returns` (T, N, C) on the device; the rewards go there now."""
        rewards, dones, gammas = (tensor.to(self.device) for tensor in (self.rewards, self.dones, gammas))
        self.column_advantages = advantages(rewards, self.values, dones, gammas, gae_lambda)
        self.returns = self.column_advantages + self.values[:-1]

    def combine(self, prices: torch.Tensor) -> None:
        """Write `advantages` (T, N): A_reward - sum over costs of price x A_cost, then normalised, once.

        ``prices`` (K,) in reward per unit of cost.
        """
        mixed = self.column_advantages[..., 0] - self.column_advantages[..., 1:] @ prices.to(self.device)
        self.advantages = (mixed - mixed.mean()) / (mixed.std() + 1e-8)

    def minibatches(self, count: int, *, sequences: bool) -> Iterator[Batch]:
        """``count`` minibatches in random order, each transition once; of whole rows' ``sequences`` with a memory."""
        if sequences:
            starts = self.starts.to(self.device)
            for rows in torch.randperm(self.rows, device=self.device).chunk(count):
                yield self._sequences(rows, starts)
            return
        flat = self.steps * self.rows
        for index in torch.randperm(flat, device=self.device).chunk(count):
            yield Batch(
                obs=self._take(self.obs, index),
                actions=self._take(self.actions, index),
                masks=None if self.masks is None else self._take(self.masks, index),
                log_probs=self._take(self.log_probs, index),
                advantages=self._take(self.advantages, index),
                returns=self._take(self.returns, index),
                starts=None,
                state=None,
            )

    def _take(self, tensor: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return tensor.view(-1, *tensor.shape[2:])[index]

    def _sequences(self, rows: torch.Tensor, starts: torch.Tensor) -> Batch:
        def flat(tensor: torch.Tensor) -> torch.Tensor:
            return tensor[:, rows].flatten(0, 1)

        return Batch(
            self.obs[:, rows],
            flat(self.actions),
            None if self.masks is None else flat(self.masks),
            flat(self.log_probs),
            flat(self.advantages),
            flat(self.returns),
            starts[:, rows],
            self.state[rows],
        )


def _cuts_of(step: int, parts: Sequence[Rollout], firsts: Sequence[int]) -> list[Cut]:
    """What the ``parts`` truncated in ``step``, as one, with rows that count from ``firsts``; empty where none did."""
    found = _of_step(step, [part.cuts for part in parts], firsts)
    if not found:
        return []
    return [Cut(step, np.concatenate([cut.rows for cut in found]), torch.cat([cut.worth for cut in found]))]


def _ends_of(step: int, parts: Sequence[Rollout], firsts: Sequence[int]) -> list[Ends]:
    """What ended in ``step``; as `_cuts_of`."""
    found = _of_step(step, [part.ends for part in parts], firsts)
    if not found:
        return []
    return [Ends(step, np.concatenate([ends.rows for ends in found]), [info for ends in found for info in ends.infos])]


def _of_step(step: int, kept: Sequence[Sequence[_Kept]], firsts: Sequence[int]) -> list[_Kept]:
    """What was ``kept`` of each part in ``step``, with rows that count from ``firsts``."""
    return [
        one._replace(rows=one.rows + first)
        for part, first in zip(kept, firsts, strict=False)
        for one in part
        if one.step == step
    ]
