"""What turns a rollout into what is learnt from it: costs charged to budgets, prices, advantages, returns.

The same for every trainer; see `agents.ppo` for the algorithm. Nothing here takes a gradient step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3.common.logger import Logger

from agents.budgets import Constraint
from agents.config import PPOConfig
from agents.ledger import Ledger
from agents.metrics import TIME, defined, explained_variance, mean_or_none
from agents.multipliers import Multipliers
from agents.network import Network
from agents.rollout import Rollout


class Outcome(NamedTuple):
    """What an update did."""

    rollout: Rollout
    losses: dict[str, float]  # the parts of the loss, means over the minibatches
    spent: np.ndarray  # (K,) of the budgets; NaN where no episode ended
    learning_rate: float
    ent_coef: float


class Lagrangian:
    """Multipliers, and the scales of returns and advantages: what an update remembers besides its networks."""

    def __init__(self, constraints: Sequence[Constraint], config: PPOConfig, gamma: float) -> None:
        self.constraints, self.config = list(constraints), config
        self.multipliers = Multipliers(len(self.constraints), config.multipliers)
        self.spreads = np.zeros(1 + len(self.constraints))  # of the columns' advantages, smoothed
        self.squares = np.zeros(1 + len(self.constraints))  # mean squared returns, smoothed
        self._gammas = [gamma, *(entry.gamma(gamma) for entry in self.constraints)]
        self._goes_on = [1.0, *(float(entry.kind == "discounted") for entry in self.constraints)]

    def charge(self, roll: Rollout, ledger: Ledger, rows: np.ndarray | slice = slice(None)) -> None:
        """Write the costs that are learnt into ``roll.rewards``, then advantages and returns of every column.

        ``ledger`` follows the episodes of the environments ``rows``, the columns of the rollout. What a truncated
        episode is still worth is added to its last reward. Raises ValueError for an event charged twice.
        """
        gammas, goes_on = torch.tensor(self._gammas), torch.tensor(self._goes_on)
        ledger.clear()  # of a rollout that was broken off
        ledger.begin(roll.starts[0].numpy(), rows)
        cuts = iter(roll.cuts)
        cut = next(cuts, None)
        for step in range(roll.steps):
            if self.constraints:
                charged = ledger.add(step, roll.costs[step], roll.dones[step].numpy())
                roll.rewards[step, :, 1:] = torch.from_numpy(charged)
            if cut is not None and cut.step == step:
                roll.rewards[step, cut.rows.tolist()] += gammas * cut.worth * goes_on
                if self.constraints:
                    ledger.go_on(cut.rows, cut.worth[:, 1:].numpy())
                cut = next(cuts, None)
        ledger.charge_tails(roll.rewards[..., 1:].numpy())
        roll.finish(gammas, self.config.gae_lambda)

    def settle(self, network: Network, roll: Rollout, ledger: Ledger, update: int) -> np.ndarray:
        """Before the gradient steps of ``update``, from 1: scales, prices, and the advantages of the sum.

        Returns what the episodes that ended have spent of the budgets, ``(K,)``, NaN where none ended.
        """
        self._rescale(network, roll, update)
        spent, noise = ledger.spent()
        ledger.clear()
        if self.constraints and self.config.prices:
            self._move_multipliers(roll, spent, noise)
        roll.combine(torch.from_numpy(self.multipliers.values).float())
        return spent

    def _rescale(self, network: Network, roll: Rollout, update: int) -> None:
        """Let the critics' scales follow the root mean square of the returns, 5 % of a batch at a time."""
        share = max(1.0 / update, 0.05)
        squares = roll.returns.square().mean((0, 1)).double().cpu().numpy()
        self.squares += share * (squares - self.squares)  # in place: `state` shows it
        scale = np.where(self.squares > 0.0, np.sqrt(self.squares), 1.0)
        network.rescale(torch.from_numpy(scale).float())

    def _move_multipliers(self, roll: Rollout, spent: np.ndarray, noise: np.ndarray) -> None:
        """Compare what the episodes that ended have spent with the budgets, and move the prices."""
        seen = roll.column_advantages.std((0, 1)).double().cpu().numpy()
        self.spreads[:] = np.where(self.spreads > 0.0, 0.9 * self.spreads + 0.1 * seen, seen)
        limits = np.array([entry.target(self.config.margin) for entry in self.constraints])
        # an error smaller than its own noise is not worth a full step
        unit = np.maximum(np.maximum(np.abs(limits), 2.0 * noise), 1e-12)
        # rewards that do not vary: any price will do
        prices = (self.spreads[0] or 1.0) / np.maximum(self.spreads[1:], 1e-12) * (self.spreads[1:] > 0.0)
        self.multipliers.update(np.clip((spent - limits) / unit, -1.0, 1.0), prices)

    def log(
        self, logger: Logger, update: int, outcome: Outcome, speed: Mapping[str, float]
    ) -> None:  # fmt: skip
        """Record the metrics of an update: episodes that ended, losses, budgets, costs and terms per step, speed."""
        roll = outcome.rollout
        returns, lengths = ([episode[key] for episode in roll.episodes] for key in "rl")
        record = {
            "update": update,
            "episodes": len(returns),
            "return_mean": mean_or_none(returns),
            "length_mean": mean_or_none(lengths),
            **outcome.losses,
            "explained_variance": explained_variance(roll.values[:-1, :, 0], roll.returns[..., 0]),
            "learning_rate": outcome.learning_rate,
            "ent_coef": outcome.ent_coef,
        }
        for k, entry in enumerate(self.constraints):
            record[f"spent_{entry.name}"] = float(outcome.spent[k])
            record[f"budget_{entry.name}"] = entry.target(self.config.margin)
            record[f"multiplier_{entry.name}"] = float(self.multipliers.values[k])
        record |= roll.sums.means(roll.steps * roll.rows)
        record |= {f"{TIME}{name}": value for name, value in speed.items()}
        for name, value in record.items():
            logger.record(name, defined(value))

    def state(self) -> dict[str, Any]:
        """What decides the coming updates: the arrays themselves, not copies."""
        return {"multipliers": self.multipliers.state(), "spreads": self.spreads, "squares": self.squares}


def entropy_at(config: PPOConfig, progress: float) -> float:
    """The coefficient of the entropy where ``progress`` of the run, 1 at its beginning, remains."""
    return config.ent_coef_end + (config.ent_coef - config.ent_coef_end) * progress


def weights_at(config: PPOConfig, progress: float) -> torch.Tensor:
    """The weights of `agents.loss.loss_of`, (3,), where ``progress`` of the run remains."""
    clip = config.clip_range + (1.0 - progress) * (config.clip_range_end - config.clip_range)
    return torch.tensor([clip, entropy_at(config, progress), config.vf_coef])
