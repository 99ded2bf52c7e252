"""A policy's forward pass in NumPy: for a decision at a time torch's own overhead is most of what it takes.

The same layers on the same parameters as :class:`agents.network.Network`, in float32, into arrays that are made once
for each batch size. Sums are taken in another order than torch takes them: outputs differ in their last bits.
What is added to a row is laid out for all rows beforehand: arrays of one shape add in a third of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.network import Network
from agents.normaliser import CLIP

BACKENDS = ("torch", "compiled", "numpy")


class _Layer(NamedTuple):
    weight: np.ndarray  # (inputs, outputs) float32
    bias: np.ndarray  # (outputs,)


class _Room(NamedTuple):
    """Arrays for batches of B rows."""

    scaled: np.ndarray  # (B, features): observations, normalised
    norm: tuple[np.ndarray, ...]  # mean, scale, least and most of each; none without a normaliser
    layers: list[tuple[np.ndarray, np.ndarray, np.ndarray]]  # weight, bias of each row and output; the head is the last


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
        self._norm = (
            () if norm is None else (norm.mean.numpy(), norm.scale.numpy(), np.float32(-CLIP), np.float32(CLIP))
        )
        self._features = network.features
        self._rooms: dict[int, _Room] = {}

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Outputs ``(B, size)`` float32 of observations ``(B, M x F)``; written anew by the next call of that size."""
        x = np.asarray(observations, np.float32).reshape(-1, self._features)
        room = self._rooms.get(len(x)) or self._make_room(len(x))
        if room.norm:
            x = _normalised(x, room)
        for place, (weight, bias, out) in enumerate(room.layers):
            if place > 0:
                self._activate(x)
                x = self._with_others(x) if self.pooled and place == 1 else x
            x = np.add(x.dot(weight, out), bias, out)
        return x.reshape(-1, self.size)

    def _make_room(self, rows: int) -> _Room:
        scaled = np.empty((rows, self._features), np.float32)
        layers = []
        for weight, bias in (*self._layers, self._head):
            out = np.empty((rows, len(bias)), np.float32)
            layers.append((weight, _laid_out(bias, out), out))
        self._rooms[rows] = _Room(scaled, tuple(_laid_out(values, scaled) for values in self._norm), layers)
        return self._rooms[rows]

    def _with_others(self, x: np.ndarray) -> np.ndarray:
        """Each market's row, and the mean and maximum over its observation's."""
        each = x.reshape(-1, self.markets, x.shape[1])
        around = np.concatenate((each.mean(1), each.max(1)), 1)
        return np.concatenate((x, around.repeat(self.markets, 0)), 1)


def _layer(layer: Any) -> _Layer:
    return _Layer(np.ascontiguousarray(layer.weight.numpy().T), layer.bias.numpy())


def _laid_out(values: np.ndarray | np.float32, like: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(values, like.shape))


def _normalised(x: np.ndarray, room: _Room) -> np.ndarray:
    mean, scale, low, high = room.norm
    x = np.subtract(x, mean, room.scaled)
    np.multiply(x, scale, x)
    np.maximum(x, low, out=x)
    return np.minimum(x, high, out=x)


def _tanh(x: np.ndarray) -> None:
    np.tanh(x, x)


def _relu(x: np.ndarray) -> None:
    np.maximum(x, 0.0, out=x)


def _silu(x: np.ndarray) -> None:
    np.multiply(x, torch.sigmoid(torch.from_numpy(x)).numpy(), out=x)


_ACTIVATIONS: dict[str, Callable[[np.ndarray], None]] = {"tanh": _tanh, "relu": _relu, "silu": _silu}
