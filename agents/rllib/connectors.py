"""From what env runners sampled to what the learner descends on: masks, costs, advantages; no row by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core import DEFAULT_MODULE_ID

from agents.lagrangian import Lagrangian
from agents.ledger import Ledger
from agents.rllib.episodes import Episodes
from agents.rollout import Rollout

ROLLOUT, ROWS, CUT = "rollout", "rows", "cut_short"  # in the data that the pieces of a pipeline share


class JoinRollouts(ConnectorV2):
    """The rollouts of all env runners with their masks side by side, in the order of their environments' numbers.

    An env runner that died has none: its rows are missing, and those of the others are learnt from.
    """

    def __call__(
        self, *, rl_module: Any, batch: dict[str, Any], episodes: Sequence[Episodes], shared_data: dict[str, Any],
        **_: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Shares `ROLLOUT` on the module's device, the numbers of its environments, `ROWS`, and `CUT`.

        `CUT`: those whose episode is cut short.
        """
        parts = sorted(episodes, key=lambda part: part.first)
        device = rl_module[DEFAULT_MODULE_ID].network.device
        shared_data[ROLLOUT] = Rollout.joined([part.rollout for part in parts], device)
        shared_data[ROWS] = np.concatenate([part.first + np.arange(part.rollout.rows) for part in parts])
        short = np.concatenate([np.full(part.rollout.rows, part.cut_short) for part in parts])
        shared_data[CUT] = shared_data[ROWS][short]
        return batch


class CostAdvantages(ConnectorV2):
    """Charges the budgets: rewards, advantages and returns of every column, with what the ledger knows of older steps.

    RLlib's own piece extends every episode by a step that was not played, and standardises advantages over these, too.
    """

    def __init__(self, lagrangian: Lagrangian, ledger: Ledger) -> None:
        super().__init__()
        self.lagrangian, self.ledger = lagrangian, ledger

    def __call__(self, *, batch: dict[str, Any], shared_data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """See the class."""
        self.ledger.partial[shared_data[CUT]] = True
        self.lagrangian.charge(shared_data[ROLLOUT], self.ledger, shared_data[ROWS])
        return batch
