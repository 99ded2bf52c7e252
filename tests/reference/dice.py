"""A seeded source of choices for random tapes and orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """Uniform draws from one Philox stream, drawn in blocks because single draws are slow."""

    def __init__(self, *key: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
        self._block: list[float] = []

    def uniform(self) -> float:
        """A number in [0, 1)."""
        if not self._block:
            self._block = self._generator.random(4096).tolist()
        return self._block.pop()

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1."""
        return int(self.uniform() * n)

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self.uniform() < p

    def pick(self, items: Sequence[T]) -> T:
        """One of them."""
        return items[self.below(len(items))]
