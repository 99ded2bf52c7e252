"""`agents.network.Network` with the face that RLlib wants of a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule

from agents.device import compiled
from agents.loss import loss_of, sample
from agents.network import Network

MASKS = "action_mask"  # bool (B, count, rows): what can be done; None = everything
STARTS = "starts"  # bool (B,): an episode begins here
BATCH, WEIGHTS = "batch", "weights"  # of `forward_train`: an `agents.rollout.Batch`, and the weights of its loss
LOSS, PARTS = "loss", "parts"  # what it gives, as `agents.loss.loss_of` does


class ConstrainedModule(TorchRLModule):
    """Actor, and a critic with a head for the reward and one for each budget.

    ``model_config``: ``spec`` of the network, ``critics`` = 1 + number of budgets, ``compile``, ``mixed``. Parameters
    and buffers are named as in a ``policy.zip``. In training pass and loss are one function, so that they can be
    compiled as one.
    """

    def setup(self) -> None:
        """RLlib's hook after the constructor."""
        wanted = self.model_config
        self.network = Network(wanted["spec"], wanted["critics"])
        self.network.mixed = wanted["mixed"]
        self._sample, self._loss = compiled(sample, wanted["compile"]), compiled(loss_of, wanted["compile"])

    def get_state(self, components: Any = None, **_: Any) -> dict[str, np.ndarray]:
        """RLlib's hook: copies of all parameters and buffers. Its own makes float32 of the normaliser's float64."""
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in self.state_dict().items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """RLlib's hook: what `get_state` gave."""
        self.load_state_dict({name: torch.tensor(np.asarray(value)) for name, value in state.items()})

    def _forward_inference(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        """The most likely actions ``(B, ...)``, and the memory afterwards."""
        seen, state = self.network.recall(*self._before(batch))
        actions = self.network.head.mode(self.network.act(seen), batch.get(MASKS))
        return {Columns.ACTIONS: actions, Columns.STATE_OUT: state}

    def _forward_exploration(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Drawn actions, their log-probabilities, the values of all critics, and the memory afterwards."""
        obs, starts, state = self._before(batch)
        drawn = self._sample(self.network, obs[0], starts[0], state, batch.get(MASKS))
        return {
            Columns.ACTIONS: drawn.actions,
            Columns.ACTION_LOGP: drawn.log_probs,
            Columns.VF_PREDS: drawn.values,
            Columns.STATE_OUT: drawn.state,
        }

    def _before(self, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Observations (1, B, F), starts (1, B), memory (B, width); where nothing is said, every row begins."""
        obs = batch[Columns.OBS]
        starts, state = batch.get(STARTS), batch.get(Columns.STATE_IN)
        if starts is None or state is None:
            starts = torch.ones(len(obs), dtype=torch.bool, device=obs.device)
            state = torch.zeros(len(obs), self.network.state_width, device=obs.device)
        return obs.unsqueeze(0), starts.unsqueeze(0), state

    def _forward_train(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        """The loss of a minibatch, and its parts."""
        loss, parts = self._loss(self.network, batch[BATCH], batch[WEIGHTS])
        return {LOSS: loss, PARTS: parts}
