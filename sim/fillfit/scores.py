"""How good a fill probability is: calibration and skill, with intervals that resample whole markets or games.

* Expected calibration error: rows sorted by probability, cut into ten bins of equal mass; the mean over bins of
  abs(mean probability - share filled), weighted by their rows.
* Brier skill: 1 - sum (p - y) ** 2 / sum (ybar - y) ** 2, where ybar is the share filled of *the same rows*: the best
  constant there is, which nobody knew beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

BINS = 10
RESAMPLES = 400
_PURPOSE = 0xF111


class Score(NamedTuple):
    """An estimate with its 95 % interval; NaN where there are fewer than two clusters."""

    value: float
    low: float
    high: float


class Bin(NamedTuple):
    """One bin of a calibration plot."""

    predicted: float
    filled: float
    rows: int


def bins(probability: np.ndarray, filled: np.ndarray, count: int = BINS) -> list[Bin]:
    """Bins of equal mass, by ascending probability; rows of equal probability keep their order.

    Raises ValueError for arrays of different lengths, or fewer rows than bins.
    """
    if probability.shape != filled.shape or len(filled) < count:
        raise ValueError(
            f"bins: expected two arrays of one length, at least {count}; got {probability.shape} and {filled.shape}"
        )
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, count)
    return [Bin(float(probability[part].mean()), float(filled[part].mean()), len(part)) for part in parts]


def calibration_error(probability: np.ndarray, filled: np.ndarray) -> float:
    """Expected calibration error in ten equal-mass bins."""
    found = bins(probability, filled)
    return sum(part.rows * abs(part.predicted - part.filled) for part in found) / len(filled)


def brier_skill(probability: np.ndarray, filled: np.ndarray) -> float:
    """Skill over the rows' own base rate; NaN where all or none were filled."""
    constant = float(np.sum((filled - filled.mean()) ** 2))
    return 1.0 - float(np.sum((probability - filled) ** 2)) / constant if constant > 0.0 else float("nan")


def with_interval(
    measure: Callable[[np.ndarray, np.ndarray], float],
    probability: np.ndarray,
    filled: np.ndarray,
    cluster: np.ndarray,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Score:
    """``measure`` and its 95 % percentile interval over resamples of whole clusters. Seed 0 is a seed."""
    value = measure(probability, filled)
    names, member = np.unique(cluster, return_inverse=True)
    if len(names) < 2:
        return Score(value, float("nan"), float("nan"))
    rows = [np.flatnonzero(member == index) for index in range(len(names))]
    stream = np.random.Generator(np.random.Philox(key=[seed, _PURPOSE]))
    drawn = []
    for _ in range(resamples):
        chosen = np.concatenate([rows[index] for index in stream.integers(len(names), size=len(names))])
        drawn.append(measure(probability[chosen], filled[chosen]))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Score(value, float(low), float(high))


def coin_probability(probability: np.ndarray, through: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Chance that an engine's coin fills an order that met the recorded prints: the coin's rule, in closed form.

    1 where a print went through within the life, else ``1 - (1 - p) ** exposure``: coins at prints at the price
    compound to the time of the last, whatever their number.
    """
    return np.where(through > 0.0, 1.0, 1.0 - (1.0 - probability) ** exposure)
