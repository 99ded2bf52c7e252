"""A policy's forward pass in NumPy: for a decision at a time torch's own overhead is most of what it takes.

The same layers on the same parameters as :class:`agents.network.Network`, in float32, into arrays that are made once
for each batch size. Sums are taken in another order than torch takes them: outputs differ in their last bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.network import Network
from agents.normaliser import CLIP

BACKENDS = ("torch", "numpy")


class _Layer(NamedTuple):
    weight: np.ndarray  # (inputs, outputs) float32
    bias: np.ndarray  # (outputs,)


class Forward:
    """The actor of a network without memory.

    Raises ValueError for a network with one: what it remembers is torch's.
    """

    def __init__(self, network: Network, activation: str, name: str) -> None:
        if network.memory is not None:
            raise ValueError(f"{name}: a policy with a memory acts with backend=torch only")
        self.markets, self.pooled, self.size = network.markets, network.actor.pooled, network.head.size
        self._layers = [_layer(layer) for layer in network.actor.layers]
        self._head = _layer(network.actor.head)
        self._activate = _ACTIVATIONS[activation]
        norm = network.normaliser
        self._norm = None if norm is None else (norm.mean.numpy(), norm.scale.numpy())
        self._features = network.features
        self._rooms: dict[int, list[np.ndarray]] = {}

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Outputs ``(B, size)`` float32 of observations ``(B, M x F)``; written anew by the next call of that size."""
        x = np.asarray(observations, np.float32).reshape(-1, self._features)
        room = self._rooms.get(len(x)) or self._make_room(len(x))
        if self._norm is not None:
            x = np.subtract(x, self._norm[0], out=room[-1])
            np.multiply(x, self._norm[1], out=x)
            np.minimum(np.maximum(x, -CLIP, out=x), CLIP, out=x)
        for place, layer in enumerate(self._layers):
            x = _affine(x, layer, room[place])
            self._activate(x)
            if self.pooled and place == 0:
                x = self._with_others(x)
        return _affine(x, self._head, room[-2]).reshape(-1, self.size)

    def _make_room(self, rows: int) -> list[np.ndarray]:
        room = [np.empty((rows, len(layer.bias)), np.float32) for layer in (*self._layers, self._head)]
        self._rooms[rows] = [*room, np.empty((rows, self._features), np.float32)]
        return self._rooms[rows]

    def _with_others(self, x: np.ndarray) -> np.ndarray:
        """Each market's row, and the mean and maximum over its observation's."""
        each = x.reshape(-1, self.markets, x.shape[1])
        around = np.concatenate((each.mean(1), each.max(1)), 1)
        return np.concatenate((x, around.repeat(self.markets, 0)), 1)


def _layer(layer: Any) -> _Layer:
    return _Layer(np.ascontiguousarray(layer.weight.numpy().T), layer.bias.numpy())


def _affine(x: np.ndarray, layer: _Layer, out: np.ndarray) -> np.ndarray:
    np.dot(x, layer.weight, out=out)
    return np.add(out, layer.bias, out=out)


def _tanh(x: np.ndarray) -> None:
    np.tanh(x, out=x)


def _relu(x: np.ndarray) -> None:
    np.maximum(x, 0.0, out=x)


def _silu(x: np.ndarray) -> None:
    np.multiply(x, torch.sigmoid(torch.from_numpy(x)).numpy(), out=x)


_ACTIVATIONS: dict[str, Callable[[np.ndarray], None]] = {"tanh": _tanh, "relu": _relu, "silu": _silu}
