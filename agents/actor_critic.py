"""The network with the face that SB3 wants of a policy: an optimiser, and `predict`."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium.spaces import Space
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import Schedule

from agents.network import Network


class ActorCritic(BasePolicy):
    """A `agents.network.Network` in ``network``, and one Adam over all of it."""

    def __init__(
        self,
        observation_space: Space,
        action_space: Space,
        lr_schedule: Schedule,
        use_sde: bool = False,
        *,
        spec: dict[str, Any],
        critics: int,
    ) -> None:
        super().__init__(observation_space, action_space)
        self.spec, self.critics = spec, critics
        self.network = Network(spec, critics)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=lr_schedule(1.0), eps=1e-5, fused=True)

    def forward(self, observation: torch.Tensor, deterministic: bool = False) -> torch.Tensor:
        """Actions at observations ``(B, F)``, as `predict` gives them; every row begins an episode."""
        return self._predict(observation, deterministic)

    def _predict(self, observation: torch.Tensor, deterministic: bool = False) -> torch.Tensor:  # type: ignore[override]
        rows, here = len(observation), observation.device
        starts = torch.ones(1, rows, dtype=torch.bool, device=here)
        state = torch.zeros(rows, self.network.state_width, device=here)
        outputs = self.network.act(self.network.recall(observation.unsqueeze(0), starts, state)[0])
        head = self.network.head
        return head.mode(outputs, None) if deterministic else head.sample(outputs, None)[0]
