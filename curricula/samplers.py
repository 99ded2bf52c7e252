"""Which rows the next episodes play. A sampler sees the rows and the results of episodes, and nothing else.

* ``uniform``: every row alike (domain randomisation, Tobin et al. 2017).
* ``staged``: the rows nearest the middle of their ranges first; the next ones open when those at the edge make money,
  or after a while (after the automatic domain randomisation of OpenAI et al. 2019, on a fixed table of rows).
* ``replay``: prioritised level replay (Jiang, Grefenstette and Rocktaeschel 2021): rows are ranked by how much better
  their best episode was than their usual one, the regret estimate "MaxMC" of Jiang et al. 2021 with the mean result in
  the value's place, mixed with how long they have not been played. A row never played has its even share.
* ``adversarial``: rows where the policy does badly, exponentially weighted (Sagawa et al. 2020), mixed with all.
"""

from __future__ import annotations

import numpy as np

MEMORY = 0.2  # weight of a new result in a row's mean


class Sampler:
    """Every row alike; what the others have in common. R rows.

    State is in arrays that are changed in place, so that a run can be saved and resumed.
    """

    def __init__(self, rows: np.ndarray) -> None:
        count = len(rows)
        self.played = np.zeros(count, np.int64)  # episodes
        self.mean = np.zeros(count)  # exponentially weighted
        self.best = np.full(count, -np.inf)
        self.last = np.zeros(count, np.int64)  # rollout in which the row was last played
        self.rollout = np.zeros(1, np.int64)

    def note(self, rows: np.ndarray, results: np.ndarray) -> None:
        """Episodes on ``rows`` ``(E,)`` ended with ``results`` ``(E,)``, in dollars."""
        for row, result in zip(rows.tolist(), results.tolist(), strict=True):
            share = max(MEMORY, 1.0 / (self.played[row] + 1))
            self.mean[row] += share * (result - self.mean[row])
            self.played[row] += 1
        np.maximum.at(self.best, rows, results)
        self.last[rows] = self.rollout[0]

    def weights(self) -> np.ndarray:
        """``(R,)`` for the next rollout; they need not sum to 1."""
        self.rollout += 1
        return self._weights()

    def _weights(self) -> np.ndarray:
        return np.ones(len(self.mean))

    def state(self) -> dict[str, np.ndarray]:
        """What decides how it goes on: the arrays themselves, not copies."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}


class Staged(Sampler):
    """From the middle of the ranges outwards, an eighth of the rows at a time."""

    most_stages = 8
    least = 4  # episodes a row at the edge, on average, before it is judged
    patience = 40  # rollouts after which the next rows open all the same

    def __init__(self, rows: np.ndarray) -> None:
        super().__init__(rows)
        self.stages = min(self.most_stages, len(rows))
        self.stage = np.argsort(np.argsort(hardness(rows), kind="stable"), kind="stable") * self.stages // len(rows)
        self.open = np.zeros(1, np.int64)  # the last stage that is played
        self.opened = np.zeros(1, np.int64)  # rollout in which it was

    def _weights(self) -> np.ndarray:
        edge = self.stage == self.open[0]
        judged = self.played[edge].sum() >= self.least * edge.sum()
        learnt = judged and self.mean[edge].mean() > 0.0
        if (learnt or self.rollout[0] - self.opened[0] >= self.patience) and self.open[0] < self.stages - 1:
            self.open += 1
            self.opened[0] = self.rollout[0]
        return (self.stage <= self.open[0]).astype(np.float64)


class Replay(Sampler):
    """Rows that can still be learnt from."""

    temperature = 0.3  # of the ranks: probability in proportion to (1 / rank) ** (1 / temperature)
    stale = 0.3  # share that goes to rows in proportion to how long they have not been played

    def _weights(self) -> np.ndarray:
        fresh = self.played == 0
        if fresh.all():
            return np.ones(len(fresh))
        rank = np.empty(len(self.mean))
        regret = np.where(fresh, -np.inf, self.best - self.mean)
        rank[np.argsort(-regret, kind="stable")] = np.arange(1, len(rank) + 1)
        learnable = np.where(fresh, 0.0, (1.0 / rank) ** (1.0 / self.temperature))
        age = np.where(fresh, 0.0, self.rollout[0] - self.last)
        waited = age / age.sum() if age.any() else ~fresh / (~fresh).sum()
        known = (1.0 - self.stale) * learnable / learnable.sum() + self.stale * waited
        # episodes on fresh rows may be under way: a flood of them on the last few would follow
        return (1.0 - fresh.mean()) * known + fresh / len(fresh)


class Adversarial(Sampler):
    """Rows where the policy does worst."""

    sharpness = 1.0  # weight exp(-sharpness x (mean - mean of all) / deviation)
    others = 0.3  # share of all rows alike

    def _weights(self) -> np.ndarray:
        spread = self.mean.std()
        if (self.played == 0).any() or spread == 0.0:
            return np.ones(len(self.mean))
        bad = np.exp(-self.sharpness * (self.mean - self.mean.mean()) / spread)
        return (1.0 - self.others) * bad / bad.sum() + self.others / len(bad)


SAMPLERS: dict[str, type[Sampler]] = {
    "uniform": Sampler, "staged": Staged, "replay": Replay, "adversarial": Adversarial,
}  # fmt: skip


def make_sampler(name: str, rows: np.ndarray) -> Sampler:
    """The sampler of a name over ``rows``, ``(R,)`` ROW or ``(R, M)``. Raises ValueError for another name."""
    if name not in SAMPLERS:
        raise ValueError(f"sampler = {name}: expected one of {', '.join(SAMPLERS)}")
    return SAMPLERS[name](rows if rows.ndim == 1 else rows[:, 0])


def hardness(rows: np.ndarray) -> np.ndarray:
    """``(R,)`` in [0, 1]: how far rows lie from the middle of what all rows span, root mean square over the fields."""
    columns = np.stack([rows[name].astype(np.float64) for name in rows.dtype.names], axis=1)  # type: ignore[union-attr]
    low, high = columns.min(axis=0), columns.max(axis=0)
    varies = high > low
    if not varies.any():
        return np.zeros(len(rows))
    place = (columns[:, varies] - low[varies]) / (high - low)[varies]
    return np.sqrt(((2.0 * place - 1.0) ** 2).mean(axis=1))
