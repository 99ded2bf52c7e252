"""A policy inside another that looks on: what it says of itself is passed on."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.policy import choose


class Wrapped:
    """Acts as ``policy`` does; those who look on override `act`."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.masked = getattr(policy, "masked", False)
        self.chooses_rows = getattr(policy, "chooses_rows", False)

    def begin(self, mask: np.ndarray) -> None:
        """Episodes of the environments in ``mask`` were reset."""
        if hasattr(self.policy, "begin"):
            self.policy.begin(mask)

    def act(self, observations: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """What the policy does."""
        return self.policy.act(observations) if masks is None else choose(self.policy, observations, masks)
