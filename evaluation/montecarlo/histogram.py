"""An exact histogram of whole numbers: how often each value came. However many come, it grows by new values only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sim.types import UUSD

CENT_UUSD = UUSD // 100


class Histogram(NamedTuple):
    """K distinct values, ascending, each with a count above 0."""

    values: np.ndarray  # (K,) int64
    counts: np.ndarray  # (K,) int64

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def mirrored(self) -> Histogram:
        """Of the values with the opposite sign: of losses where this is of results."""
        return Histogram(-self.values[::-1], self.counts[::-1])

    def ranked(self, rank: int) -> int:
        """The value of ``rank`` among all values in ascending order; the smallest has rank 1.

        Raises ValueError for a rank that no value has.
        """
        if not 1 <= rank <= self.total:
            raise ValueError(f"histogram: no value of rank {rank} among {self.total}")
        return int(self.values[np.searchsorted(np.cumsum(self.counts), rank)])


def histogram(values: np.ndarray) -> Histogram:
    """Of whole numbers ``(n,)`` int64."""
    return Histogram(*(part.astype(np.int64) for part in np.unique(values, return_counts=True)))


def merged(parts: Iterable[Histogram]) -> Histogram:
    """Of all values of ``parts`` together; their order does not matter, for counts are whole numbers."""
    listed = list(parts)
    if not listed:
        return Histogram(np.zeros(0, np.int64), np.zeros(0, np.int64))
    values, place = np.unique(np.concatenate([part.values for part in listed]), return_inverse=True)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, place, np.concatenate([part.counts for part in listed]))
    return Histogram(values, counts)


def whole_cents(uusd: np.ndarray) -> np.ndarray:
    """Micro-dollars as whole cents, int64: the nearest, a half up."""
    return (np.asarray(uusd, np.int64) + CENT_UUSD // 2) // CENT_UUSD
