"""What episodes have cost so far, row by row, and what those that ended came to: the multipliers learn from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.budgets import Constraint, cvar, spent_of

TAIL_EPISODES = 50  # episodes wanted beyond a quantile before it is trusted to be new


class Ledger:
    """Running sums of the budgeted costs of N rows, and the sums of the episodes that ended in the current rollout.

    Unfinished sums are carried over rollouts, so a long episode counts once and whole. Where first episodes are
    ``staggered``, cut short so that rows do not all end at once, they do not count.
    """

    def __init__(
        self, constraints: Sequence[Constraint], discount: float, num_envs: int, *, staggered: bool = False
    ) -> None:
        count = len(constraints)
        self.constraints = list(constraints)
        self.columns = np.array([entry.column for entry in constraints], np.int64)
        self.gammas = np.array([entry.gamma(discount) for entry in constraints])
        self.sums = np.zeros((num_envs, count))
        self.weights = np.ones((num_envs, count))  # gamma ** t
        self.partial = np.full(num_envs, staggered)  # rows whose running episode does not count
        self._goes_on = np.array([entry.kind == "discounted" for entry in constraints], np.bool_)
        self.recent: list[np.ndarray] = [np.zeros(0) for _ in constraints]  # of cvar: the last losses
        self.clear()
        self._look_at(slice(None))

    def clear(self) -> None:
        """Begin a rollout: forget the episodes that ended before."""
        self._ended: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = []  # step, rows, sums, whether they count
        self._last = np.zeros((0, len(self.constraints)))  # gamma ** t of the rows that ended last

    def begin(self, starts: np.ndarray, rows: np.ndarray | slice = slice(None)) -> None:
        """Begin a rollout of ``rows``, in this order; other rows stand still, as where a machine that played them died.

        Forgets the unfinished sums of those in ``starts`` (n,) bool, whose episodes begin: a reset cut them.
        """
        self._look_at(rows)
        self.sums[self._numbers[starts]] = 0.0
        self.weights[self._numbers[starts]] = 1.0

    def _look_at(self, rows: np.ndarray | slice) -> None:
        self._rows, self._numbers = rows, np.arange(len(self.sums))[rows]

    def add(self, step: int, costs: np.ndarray, dones: np.ndarray) -> np.ndarray:
        """Take a step's costs ``(n, all)``; returns those of the constraints, ``(n, K)`` float32, tail costs left 0.

        Raises ValueError where an event is charged twice in an episode, or by another number than 1.
        """
        charged = costs[:, self.columns]
        self.sums[self._rows] += self.weights[self._rows] * charged
        self.weights[self._rows] *= self.gammas
        if dones.any():
            ended = np.flatnonzero(dones)
            rows = self._numbers[ended]
            self._check_events(rows)
            self._ended.append((step, ended, self.sums[rows], ~self.partial[rows]))
            self.partial[rows] = False
            self._last = self.weights[rows]
            self.sums[rows] = 0.0
            self.weights[rows] = 1.0
        learned = charged.astype(np.float32)
        for k, entry in enumerate(self.constraints):
            if entry.tail:
                learned[:, k] = 0.0
        return learned

    def go_on(self, rows: np.ndarray, worth: np.ndarray) -> None:
        """Add ``worth`` (B, K), what episodes that the last step truncated in its ``rows`` (B,) still cost."""
        _, ended, sums, _ = self._ended[-1]
        places = np.searchsorted(ended, rows)
        sums[places] += self._last[places] * worth * self._goes_on

    def _check_events(self, rows: np.ndarray) -> None:
        for k, entry in enumerate(self.constraints):
            wrong = (self.sums[rows, k] != 0.0) & (self.sums[rows, k] != 1.0)
            if entry.kind == "probability" and wrong.any():
                row = int(rows[np.argmax(wrong)])
                raise ValueError(
                    f"budget {entry.name} is of a probability, so its cost is 1 in at most one step of an episode; row "
                    f"{row} was charged {self.sums[row, k]:g}. Use kind=episode for a sum"
                )

    def charge_tails(self, learned: np.ndarray) -> None:
        """Write (L - nu)+ / (1 - alpha) of the episodes that ended into ``learned`` (T, N, K), where they ended."""
        for k, entry in enumerate(self.constraints):
            if not entry.tail or not len(self._whole()):
                continue
            _, nu = cvar(self._remember(k, entry.alpha), entry.alpha)
            for step, rows, sums, counts in self._ended:
                learned[step, rows, k] = counts * np.maximum(sums[:, k] - nu, 0.0) / (1.0 - entry.alpha)

    def _whole(self) -> np.ndarray:
        """``(n, K)``: sums of the episodes that ended in this rollout and count."""
        parts = [sums[counts] for _, _, sums, counts in self._ended]
        return np.concatenate([np.zeros((0, len(self.constraints))), *parts])

    def _remember(self, k: int, alpha: float) -> np.ndarray:
        """The losses that the quantile is taken of: this rollout's, and older ones while those are too few."""
        new = self._whole()[:, k]
        wanted = max(len(new), round(TAIL_EPISODES / (1.0 - alpha)))
        self.recent[k] = np.concatenate([self.recent[k], new])[-wanted:]
        return self.recent[k]

    def spent(self) -> tuple[np.ndarray, np.ndarray]:
        """What the budgets limit, over the episodes that ended, and its standard errors, ``(K,)`` each.

        NaN where none ended. Call after `charge_tails`.
        """
        sums = self._whole()
        if not len(sums):
            nothing = np.full(len(self.constraints), np.nan)
            return nothing, nothing
        both = [
            spent_of(entry, self.recent[k] if entry.tail else sums[:, k]) for k, entry in enumerate(self.constraints)
        ]
        return np.array([value for value, _ in both]), np.array([error for _, error in both])

    def state(self) -> dict[str, np.ndarray]:
        """The unfinished sums: the arrays themselves, not copies. Between two rollouts they and ``recent`` are all."""
        return {"sums": self.sums, "weights": self.weights, "partial": self.partial}
