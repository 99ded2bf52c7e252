"""Trajectories as lessons: minibatches of tensors, and what followed each step, for critics to be fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from agents.budgets import Constraint, cvar
from agents.heads import Choices
from agents.network import Network
from agents.trajectories import Trajectories

BATCH = 512  # rows of a minibatch
SEQUENCES = 16  # episodes of a minibatch, with a memory
BLOCK = 16384  # rows looked at at once where nothing is learnt
_CUT = 0.1  # a return that misses more than this share of what a discount leaves is not regressed on


class Lesson(NamedTuple):
    """Rows to learn from: B of them, or with a memory T x B' in the order of time, some of them padding."""

    obs: torch.Tensor  # (B, F), or (T, B', F)
    actions: torch.Tensor  # (B, ...)
    masks: torch.Tensor | None  # (B, count, rows)
    targets: torch.Tensor  # (B, C)
    trusted: torch.Tensor  # (B, C): 1 where a target may be regressed on
    real: torch.Tensor  # (B,): 0 = padding
    starts: torch.Tensor | None  # (T, B') bool, with a memory


def value_targets(data: Trajectories, limits: Sequence[Constraint], gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """What followed each row: reward and budgeted costs, discounted, float32 ``(n, 1 + K)``; and which may be trusted.

    In a truncated episode what would have followed is unknown: rows that miss more than a tenth of a discounted return
    so are not trusted, bool ``(n, 1 + K)``. Costs that are added up to the end of an episode know no such thing. A tail
    cost is charged where the episode ends, as `agents.budgets` says. Raises ValueError for a cost the data lack.
    """
    names = list(data.facts["costs"])
    missing = [entry.name for entry in limits if entry.name not in names]
    if missing:
        raise ValueError(f"cloning: the data have no cost {', '.join(missing)}; they have {', '.join(names) or 'none'}")
    ends = np.cumsum(data.lengths) - 1
    charges = [data.rewards, *(_charges(data, entry, names.index(entry.name), ends) for entry in limits)]
    gammas = [gamma, *(entry.gamma(gamma) for entry in limits)]
    goes_on = [True, *(entry.kind == "discounted" for entry in limits)]
    left = np.repeat(ends, data.lengths) - np.arange(len(data.obs)) + 1  # steps to the end, this one included
    cut = np.repeat(~data.terminated, data.lengths)
    targets, trusted = [], []
    for charge, discount, on in zip(charges, gammas, goes_on, strict=True):
        targets.append(_reversed_sums(charge, data.lengths, discount))
        trusted.append(~cut | ~np.bool_(on) | (discount**left <= _CUT))
    return np.stack(targets, 1).astype(np.float32), np.stack(trusted, 1)


def _charges(data: Trajectories, entry: Constraint, column: int, ends: np.ndarray) -> np.ndarray:
    """What a budget charges in each row, ``(n,)``."""
    if not entry.tail:
        return data.costs[:, column]
    losses = data.episode_costs[:, column]
    _, nu = cvar(losses, entry.alpha)
    charged = np.zeros(len(data.obs))
    charged[ends] = np.maximum(losses - nu, 0.0) / (1.0 - entry.alpha)
    return charged


def _reversed_sums(charges: np.ndarray, lengths: np.ndarray, discount: float) -> np.ndarray:
    """Sum of discount^i x charge i steps later, to the end of each episode, float64 ``(n,)``."""
    table, real = padded(charges.astype(np.float64), lengths)
    for step in range(len(table) - 2, -1, -1):
        table[step] += discount * table[step + 1]
    return table.T[real.T]


def padded(rows: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows ``(n, ...)``, episode after episode, as ``(T, E, ...)`` with zeros behind the ends; and what is real."""
    real = np.arange(lengths.max())[None, :] < lengths[:, None]
    table = np.zeros((*real.shape, *rows.shape[1:]), rows.dtype)
    table[real] = rows
    return np.swapaxes(table, 0, 1), real.T


class Lessons:
    """The data set as minibatches of tensors."""

    def __init__(
        self, network: Network, data: Trajectories, targets: np.ndarray, trusted: np.ndarray, *, masked: bool
    ) -> None:
        head = network.head
        self.sequences = network.memory is not None
        self.lengths = data.lengths
        self.firsts = np.cumsum(data.lengths) - data.lengths
        self.obs = data.obs
        self.actions = data.actions.reshape(len(data.obs), *head.action_shape)
        self.masks = None
        if masked and isinstance(head, Choices) and data.masks is not None:
            self.masks = data.masks.reshape(len(data.obs), head.count, head.rows)
        self.targets, self.trusted = targets, trusted.astype(np.float32)

    def minibatches(self, episodes: np.ndarray, generator: torch.Generator | None) -> Iterator[Lesson]:
        """Every row of ``episodes`` once: in random order with a ``generator``, else as they come."""
        if self.sequences:
            order = episodes if generator is None else episodes[_shuffled(len(episodes), generator)]
            for first in range(0, len(order), SEQUENCES):
                yield self._whole(order[first : first + SEQUENCES])
            return
        rows = self.rows(episodes)
        size = BLOCK if generator is None else BATCH
        order = rows if generator is None else rows[_shuffled(len(rows), generator)]
        for first in range(0, len(order), size):
            yield self._take(order[first : first + size])

    def rows(self, episodes: np.ndarray) -> np.ndarray:
        """Numbers of the rows of ``episodes``, int64, in their order."""
        return np.concatenate([np.arange(self.firsts[e], self.firsts[e] + self.lengths[e]) for e in episodes])

    def _take(self, rows: np.ndarray) -> Lesson:
        return Lesson(
            torch.from_numpy(self.obs[rows]),
            torch.from_numpy(self.actions[rows]),
            None if self.masks is None else torch.from_numpy(self.masks[rows]),
            torch.from_numpy(self.targets[rows]),
            torch.from_numpy(self.trusted[rows]),
            torch.ones(len(rows)),
            None,
        )

    def _whole(self, episodes: np.ndarray) -> Lesson:
        """Whole episodes side by side, the shorter ones padded: with everything allowed there, and nothing counted."""
        rows, lengths = self.rows(episodes), self.lengths[episodes]

        def flat(array: np.ndarray) -> torch.Tensor:
            table, _ = padded(array[rows], lengths)
            return torch.from_numpy(table.reshape(-1, *table.shape[2:]))

        obs, real = padded(self.obs[rows], lengths)
        seen = torch.from_numpy(np.ascontiguousarray(obs))
        starts = torch.zeros(real.shape, dtype=torch.bool)
        starts[0] = True
        behind = torch.from_numpy(~real.reshape(-1))
        masks = None if self.masks is None else flat(self.masks) | behind[:, None, None]
        counted = (~behind).float()
        return Lesson(seen, flat(self.actions), masks, flat(self.targets), flat(self.trusted), counted, starts)


def _shuffled(count: int, generator: torch.Generator) -> np.ndarray:
    return torch.randperm(count, generator=generator).numpy()
