"""What a network's last layer means: probabilities of rows, or the middle of a bounded box.

A head turns outputs ``(B, size)`` into actions and their log-probabilities. Several choices, or coordinates, are
independent of each other given the observation: probabilities multiply.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

MASKED = -1e9  # logit of an action that cannot be done; its probability is exactly 0 in float32
MIN_LOG_STD = -5.0
MAX_LOG_STD = 2.0


class Choices(torch.nn.Module):
    """``count`` choices of one of ``rows`` rows each: ``Discrete(rows)`` and ``MultiDiscrete([rows] * count)``.

    Actions are int64 ``(B, count)``, masks bool ``(B, count, rows)``.
    """

    def __init__(self, count: int, rows: int) -> None:
        super().__init__()
        self.count, self.rows = count, rows
        self.size = count * rows
        self.action_shape: tuple[int, ...] = (count,)
        self.action_dtype = torch.int64

    def log_probs(self, outputs: torch.Tensor, masks: torch.Tensor | None) -> torch.Tensor:
        """``(B, count, rows)``."""
        logits = outputs.view(-1, self.count, self.rows)
        return torch.log_softmax(logits if masks is None else logits.masked_fill(~masks, MASKED), -1)

    def sample(self, outputs: torch.Tensor, masks: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Actions, and their log-probabilities ``(B,)``."""
        log_probs = self.log_probs(outputs, masks)
        # the largest of log p - log(exponential noise) is a draw from p
        actions = (log_probs - torch.empty_like(log_probs).exponential_().log()).argmax(-1)
        return actions, log_probs.gather(-1, actions.unsqueeze(-1)).flatten(1).sum(1)

    def judge(
        self, outputs: torch.Tensor, actions: torch.Tensor, masks: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of ``actions`` and the entropies, ``(B,)`` each."""
        log_probs = self.log_probs(outputs, masks)
        entropy = -(log_probs.exp() * log_probs).flatten(1).sum(1)
        return log_probs.gather(-1, actions.unsqueeze(-1)).flatten(1).sum(1), entropy

    def mode(self, outputs: torch.Tensor, masks: torch.Tensor | None) -> torch.Tensor:
        """The most likely actions."""
        return self.log_probs(outputs, masks).argmax(-1)


class Gaussian(torch.nn.Module):
    """Independent normal coordinates of a box ``(D,)``: the outputs are their means, the spreads parameters apart.

    Actions are float32 ``(B, D)`` as sampled: who acts clips them to the box, the learner keeps the raw ones.
    """

    def __init__(self, low: torch.Tensor, high: torch.Tensor, initial_std: float, repeats: int = 1) -> None:
        super().__init__()
        if not initial_std > 0.0:
            raise ValueError(f"agent.initial_std = {initial_std}: expected a positive standard deviation")
        self.size = len(low)
        self.repeats = repeats  # markets that share their spreads
        self.action_shape: tuple[int, ...] = (self.size,)
        self.action_dtype = torch.float32
        self.log_std = torch.nn.Parameter(torch.full((self.size // repeats,), math.log(initial_std)))
        self.low: torch.Tensor
        self.high: torch.Tensor
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)

    def spread(self) -> torch.Tensor:
        """Logarithm of the standard deviations, ``(D,)``."""
        return self.log_std.clamp(MIN_LOG_STD, MAX_LOG_STD).repeat(self.repeats)

    def sample(self, outputs: torch.Tensor, masks: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Actions, and their log-probabilities ``(B,)``; there are no masks."""
        actions = outputs + self.spread().exp() * torch.randn_like(outputs)
        return actions, self._log_prob(outputs, actions)

    def judge(
        self,
        outputs: torch.Tensor,
        actions: torch.Tensor,
        masks: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of ``actions`` and the entropies, ``(B,)`` each."""
        entropy = (self.spread() + 0.5 * math.log(2.0 * math.pi * math.e)).sum()
        return self._log_prob(outputs, actions), entropy.expand(len(outputs))

    def _log_prob(self, means: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        log_std = self.spread()
        away = (actions - means) * torch.exp(-log_std)
        return (-0.5 * away * away - log_std - 0.5 * math.log(2.0 * math.pi)).sum(1)

    def mode(self, outputs: torch.Tensor, masks: torch.Tensor | None) -> torch.Tensor:
        """The means."""
        return outputs

    def clip(self, actions: torch.Tensor) -> torch.Tensor:
        """The nearest actions inside the box."""
        return torch.maximum(torch.minimum(actions, self.high), self.low)


def make_head(space: Mapping[str, Any], initial_std: float, repeats: int = 1) -> Choices | Gaussian:
    """The head of a space that `agents.describe` has described; ``repeats``: markets that share parameters."""
    if space["kind"] == "choices":
        return Choices(space["count"], space["rows"])
    return Gaussian(torch.tensor(space["low"]), torch.tensor(space["high"]), initial_std, repeats)
