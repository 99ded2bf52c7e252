"""What episodes have cost so far, row by row, and what those that ended came to: the multipliers learn from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.budgets import Constraint, cvar

TAIL_EPISODES = 50  # episodes wanted beyond a quantile before it is trusted to be new


class Ledger:
    """Running sums of the budgeted costs of N rows, and the sums of the episodes that ended in the current rollout.

    Unfinished sums are carried over rollouts, so a long episode counts once and whole.
    """

    def __init__(self, constraints: Sequence[Constraint], discount: float, num_envs: int) -> None:
        count = len(constraints)
        self.constraints = list(constraints)
        self.columns = np.array([entry.column for entry in constraints], np.int64)
        self.gammas = np.array([entry.gamma(discount) for entry in constraints])
        self.sums = np.zeros((num_envs, count))
        self.weights = np.ones((num_envs, count))  # gamma ** t
        self.recent: list[np.ndarray] = [np.zeros(0) for _ in constraints]  # of cvar: the last losses
        self.clear()

    def clear(self) -> None:
        """Begin a rollout: forget the episodes that ended before."""
        self._ended: list[tuple[int, np.ndarray, np.ndarray]] = []  # (step, rows, sums)

    def add(self, step: int, costs: np.ndarray, dones: np.ndarray) -> np.ndarray:
        """Take a step's costs ``(N, all)``; returns those of the constraints, ``(N, K)`` float32, tail costs left 0.

        Raises ValueError where an event is charged twice in an episode.
        """
        charged = costs[:, self.columns]
        self.sums += self.weights * charged
        self.weights *= self.gammas
        if dones.any():
            rows = np.flatnonzero(dones)
            self._check_events(rows)
            self._ended.append((step, rows, self.sums[rows].copy()))
            self.sums[rows] = 0.0
            self.weights[rows] = 1.0
        learned = charged.astype(np.float32)
        for k, entry in enumerate(self.constraints):
            if entry.tail:
                learned[:, k] = 0.0
        return learned

    def _check_events(self, rows: np.ndarray) -> None:
        for k, entry in enumerate(self.constraints):
            if entry.kind == "probability" and (self.sums[rows, k] > 1.0).any():
                row = int(rows[np.argmax(self.sums[rows, k])])
                raise ValueError(
                    f"budget {entry.name} is of a probability, so its cost is 1 in at most one step of an episode; row "
                    f"{row} was charged {self.sums[row, k]:g}. Use kind=episode for a sum"
                )

    def charge_tails(self, learned: np.ndarray) -> None:
        """Write (L - nu)+ / (1 - alpha) of the episodes that ended into ``learned`` (T, N, K), where they ended."""
        for k, entry in enumerate(self.constraints):
            if not entry.tail or not self._ended:
                continue
            _, nu = cvar(self._remember(k, entry.alpha), entry.alpha)
            for step, rows, sums in self._ended:
                learned[step, rows, k] = np.maximum(sums[:, k] - nu, 0.0) / (1.0 - entry.alpha)

    def _remember(self, k: int, alpha: float) -> np.ndarray:
        """The losses that the quantile is taken of: this rollout's, and older ones while those are too few."""
        new = np.concatenate([sums[:, k] for _, _, sums in self._ended])
        wanted = max(len(new), round(TAIL_EPISODES / (1.0 - alpha)))
        self.recent[k] = np.concatenate([self.recent[k], new])[-wanted:]
        return self.recent[k]

    def spent(self) -> tuple[np.ndarray, np.ndarray, int]:
        """What the budgets limit, over the episodes that ended, its spread over episodes, ``(K,)`` each, their number.

        NaN where none ended. Call after `charge_tails`.
        """
        if not self._ended:
            nothing = np.full(len(self.constraints), np.nan)
            return nothing, nothing, 0
        sums = np.concatenate([sums for _, _, sums in self._ended])
        spent = sums.mean(0)
        for k, entry in enumerate(self.constraints):
            if entry.tail:
                spent[k], _ = cvar(self.recent[k], entry.alpha)
        return spent, sums.std(0), len(sums)

    def state(self) -> dict[str, np.ndarray]:
        """The unfinished sums: the arrays themselves, not copies. Between two rollouts they and ``recent`` are all."""
        return {"sums": self.sums, "weights": self.weights}
