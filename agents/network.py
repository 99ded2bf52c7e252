"""The networks: what looks at an observation, what acts on it, what values it. Training and inference use the same.

::

    obs -> normaliser -> [memory] -> actor trunk  -> head
                                  -> critic trunk -> a head for the reward and one for each budget

With ``shared`` weights each of M markets is looked at by one network, together with the mean and the maximum over all
markets of what it makes of them: the same parameters serve any number of markets.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch

from agents.heads import make_head
from agents.normaliser import RunningNorm

ACTIVATIONS: dict[str, type[torch.nn.Module]] = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "silu": torch.nn.SiLU}
MEMORIES = ("lstm", "gru")


def find_activation(name: str) -> type[torch.nn.Module]:
    """The activation of a name; ValueError with the list of names otherwise."""
    if name not in ACTIVATIONS:
        raise ValueError(f"agent.activation = {name!r}: expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class Trunk(torch.nn.Module):
    """Fully connected layers ``(B x M, F)`` to ``(B x M, outputs)``; orthogonal weights, the last layer's by ``gain``.

    With ``markets`` more than one, what the first layer makes of a market is joined by mean and maximum over its
    observation's markets.
    """

    def __init__(
        self, inputs: int, hidden: list[int], outputs: int, activation: str, gain: float, *, pooled: bool = False
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("agent.hidden is empty: expected at least one layer")
        sizes = [inputs, *hidden]
        self.pooled = pooled
        self.layers = torch.nn.ModuleList()
        for place, (before, after) in enumerate(pairwise(sizes)):
            wide = 3 * before if pooled and place == 1 else before
            self.layers.append(_linear(wide, after, 2.0**0.5))
        wide = 3 * sizes[-1] if pooled and len(hidden) == 1 else sizes[-1]
        self.head = _linear(wide, outputs, gain)
        self.activation = find_activation(activation)()

    def forward(self, x: torch.Tensor, markets: int) -> torch.Tensor:
        """``(B x markets, F)`` to ``(B x markets, outputs)``."""
        for place, layer in enumerate(self.layers):
            x = self.activation(layer(x))
            if self.pooled and place == 0:
                x = _with_others(x, markets)
        return self.head(x)


def _with_others(x: torch.Tensor, markets: int) -> torch.Tensor:
    """``(B x M, H)`` to ``(B x M, 3 H)``: each market's row, and the mean and maximum over its observation's."""
    each = x.view(-1, markets, x.shape[1])
    around = torch.cat((each.mean(1), each.amax(1)), 1)
    return torch.cat((x, around.repeat_interleave(markets, 0)), 1)


def _linear(inputs: int, outputs: int, gain: float) -> torch.nn.Linear:
    layer = torch.nn.Linear(inputs, outputs)
    torch.nn.init.zeros_(layer.bias)
    if gain == 0.0:
        torch.nn.init.zeros_(layer.weight)
    else:
        torch.nn.init.orthogonal_(layer.weight, gain)
    return layer


class Memory(torch.nn.Module):
    """An LSTM or GRU beside what is seen now: ``(.., F)`` to ``(.., F + size)``. State ``(B, width)``, 0 at a start."""

    def __init__(self, kind: str, inputs: int, size: int) -> None:
        super().__init__()
        if kind not in MEMORIES or size < 1:
            raise ValueError(f"agent.memory = {kind!r} of size {size}: expected {' or '.join(MEMORIES)}, at least 1")
        self.cell = (torch.nn.LSTMCell if kind == "lstm" else torch.nn.GRUCell)(inputs, size)
        self.lstm = kind == "lstm"
        self.size = size
        self.width = 2 * size if self.lstm else size
        for name, parameter in self.cell.named_parameters():
            (torch.nn.init.orthogonal_ if name.startswith("weight") else torch.nn.init.zeros_)(parameter)

    def forward(self, x: torch.Tensor, starts: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``x`` (T, B, F), ``starts`` (T, B) bool: an episode begins there; ``state`` (B, width) before the first."""
        seen = []
        for now, start in zip(x.unbind(0), starts.unbind(0), strict=True):
            state = state * ~start.unsqueeze(1)
            if self.lstm:
                state = torch.cat(self.cell(now, tuple(state.split(self.size, 1))), 1)
            else:
                state = self.cell(now, state)
            seen.append(state[:, : self.size])
        return torch.cat((x, torch.stack(seen)), -1), state


class Network(torch.nn.Module):
    """Body, actor and critics of a policy; `agents.describe` says what ``spec`` holds.

    ``critics``: 1 + the number of budgets. Their heads value in units of ``scale`` (critics,), the root mean square of
    the returns seen (van Hasselt et al. 2016, scale only): so one trunk serves columns of every unit, and neither
    rewards nor costs need be normalised.
    """

    def __init__(self, spec: Mapping[str, Any], critics: int) -> None:
        super().__init__()
        self.markets = spec["markets"] if spec["shared"] else 1
        self.features = spec["features"]
        self.normaliser = RunningNorm(self.features) if spec["normalise"] else None
        width = self.features
        self.memory = Memory(spec["memory"], width, spec["memory_size"]) if spec["memory"] else None
        width += self.memory.size if self.memory else 0
        self.head = make_head(spec["space"], spec["initial_std"], self.markets)
        outputs = self.head.size // self.markets
        pooled = bool(spec["shared"])
        self.actor = Trunk(width, spec["hidden"], outputs, spec["activation"], 0.01, pooled=pooled)
        self.critic = Trunk(width, spec["hidden"], critics, spec["activation"], 0.0, pooled=pooled)
        self.scale: torch.Tensor
        self.register_buffer("scale", torch.ones(critics))
        self.mixed = False  # trunks multiply in bfloat16, as `agents.device.is_mixed` says in training

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return self.scale.device

    @property
    def state_width(self) -> int:
        """Numbers a row's memory takes; 0 = it has none."""
        return self.markets * self.memory.width if self.memory else 0

    def body(self, obs: torch.Tensor) -> torch.Tensor:
        """Normalised features ``(B x M, F)`` of observations ``(B, M x F)``, a row for each market."""
        x = obs.reshape(-1, self.features)
        return x if self.normaliser is None else self.normaliser(x)

    def recall(self, obs: torch.Tensor, starts: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`body` of ``obs`` (T, B, M x F) with what the memory adds, ``(T x B x M, ..)``, and the state ``(B, width)``.

        ``starts`` (T, B) bool: an episode begins there. ``state`` (B, width): before the first step.
        """
        if self.memory is None:
            return self.body(obs), state
        steps, rows = starts.shape
        x = self.body(obs).view(steps, rows * self.markets, -1)
        wide = starts.repeat_interleave(self.markets, 1)
        x, state = self.memory(x, wide, state.view(-1, self.memory.width))
        return x.flatten(0, 1), state.view(rows, -1)

    def act(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs ``(B, size)`` for the head."""
        return self._run(self.actor, x).view(-1, self.head.size)

    def scaled_values(self, x: torch.Tensor) -> torch.Tensor:
        """Values ``(B, critics)`` in units of ``scale``; over markets their mean."""
        parts = self._run(self.critic, x)
        return parts if self.markets == 1 else parts.view(-1, self.markets, parts.shape[1]).mean(1)

    def _run(self, trunk: Trunk, x: torch.Tensor) -> torch.Tensor:
        """What ``trunk`` makes of ``x``, float32: heads and losses have their full precision."""
        if not self.mixed:
            return trunk(x, self.markets)
        with torch.autocast(self.device.type, torch.bfloat16):
            return trunk(x, self.markets).float()

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """Values ``(B, critics)``."""
        return self.scaled_values(x) * self.scale

    @torch.no_grad()
    def rescale(self, scale: torch.Tensor) -> None:
        """Take another ``scale`` and change the heads so that no value changes."""
        scale = scale.to(self.device)
        change = self.scale / scale
        self.critic.head.weight.mul_(change[:, None])
        self.critic.head.bias.mul_(change)
        self.scale.copy_(scale)
