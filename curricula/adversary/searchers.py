"""Three searchers of the unit cube with one face: random search, the cross-entropy method, CMA-ES.

``ask()`` gives ``(n, D)`` points in [0, 1], ``tell(points, scores)`` says how each did; higher is worse for the policy,
and what the search climbs. What is told in another order is the same: points are first brought into an order of their
own. Every draw is of Philox, with key (seed, purpose) and the generation as counter.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns where an optional plotting library is not there
    from cmaes import CMA

_PURPOSE = 0xADE5
_SEEDS = 0xADE6  # of the seeds that CMA-ES draws on its own with
SIZE = 50  # points a generation
ELITE_SHARE = 0.2  # of a generation that the cross-entropy method learns from
SMOOTHING = 0.7  # weight of the new generation in its mean and variance
LEAST_DEVIATION = 0.05  # floor of its deviation on each axis, so that it never stops looking
_EDGE = 0.01  # a mean stays so far from the ends: a beta distribution has none there
_LEAST_COUNT = 2.0  # of a beta distribution's a + b: 2 is uniform where the mean is 1/2
SMALL_SIZE = 25  # of CMA-ES: twice its rule for 15 axes, because the scores are noisy
STEP = 0.3  # first deviation of CMA-ES on each axis


class Searcher(Protocol):
    """Something that proposes points and learns from their scores."""

    def ask(self) -> np.ndarray:
        """``(n, D)`` float64 points in [0, 1]."""
        ...

    def tell(self, points: np.ndarray, scores: np.ndarray) -> None:
        """``(n,)`` scores of the points that were asked for, finite; higher is better for the search."""
        ...


class RandomSearch:
    """Uniform points; it learns nothing."""

    def __init__(self, dimension: int, seed: int, size: int = SIZE) -> None:
        self.dimension, self.seed, self.size, self.generation = dimension, seed, size, 0

    def ask(self) -> np.ndarray:
        """See `Searcher`."""
        points = _generator(self.seed, self.generation).random((self.size, self.dimension))
        self.generation += 1
        return points

    def tell(self, points: np.ndarray, scores: np.ndarray) -> None:
        """See `Searcher`."""
        _ordered(points, scores)


class CrossEntropy:
    """The cross-entropy method with a beta distribution on every axis, fitted to the elite by its moments.

    The first generation is uniform. Then, with m and v the elite's mean and variance (the best ``ELITE_SHARE`` of a
    generation): mean <- 0.7 m + 0.3 mean, the same for the variance, which has a floor of ``LEAST_DEVIATION`` squared;
    a + b = mean (1 - mean) / variance - 1. A generation of equal scores teaches nothing and changes nothing.

    Source: R. Y. Rubinstein, D. P. Kroese, The Cross-Entropy Method (2004), chapters 4 (smoothing) and 5 (beta).
    """

    def __init__(self, dimension: int, seed: int, size: int = SIZE) -> None:
        self.dimension, self.seed, self.size, self.generation = dimension, seed, size, 0
        self.mean = np.full(dimension, 0.5)
        self.variance = np.full(dimension, 1.0 / 12.0)

    def ask(self) -> np.ndarray:
        """See `Searcher`."""
        count = np.maximum(self.mean * (1.0 - self.mean) / self.variance - 1.0, _LEAST_COUNT)
        generator = _generator(self.seed, self.generation)
        self.generation += 1
        return generator.beta(self.mean * count, (1.0 - self.mean) * count, (self.size, self.dimension))

    def tell(self, points: np.ndarray, scores: np.ndarray) -> None:
        """See `Searcher`."""
        points, scores = _ordered(points, scores)
        if scores[0] == scores[-1]:
            return
        elite = points[: max(2, round(ELITE_SHARE * len(points)))]
        self.mean = np.clip(_blend(elite.mean(axis=0), self.mean), _EDGE, 1.0 - _EDGE)
        self.variance = np.maximum(_blend(elite.var(axis=0), self.variance), LEAST_DEVIATION**2)


class CmaEs:
    """CMA-ES of the library ``cmaes``, from the middle of the cube; it begins anew elsewhere where it has converged.

    Source: N. Hansen, The CMA Evolution Strategy: A Tutorial (2016), arXiv 1604.00772.
    """

    def __init__(self, dimension: int, seed: int, size: int = SMALL_SIZE) -> None:
        self.dimension, self.seed, self.size, self.starts = dimension, seed, size, 0
        self._begin(np.full(dimension, 0.5))

    def ask(self) -> np.ndarray:
        """See `Searcher`."""
        return np.array([self._strategy.ask() for _ in range(self._strategy.population_size)])

    def tell(self, points: np.ndarray, scores: np.ndarray) -> None:
        """See `Searcher`."""
        points, scores = _ordered(points, scores)
        self._strategy.tell([(point, -float(score)) for point, score in zip(points, scores, strict=True)])
        if self._strategy.should_stop():
            self._begin(_generator(self.seed, self.starts).random(self.dimension))

    def _begin(self, mean: np.ndarray) -> None:
        bounds = np.tile([0.0, 1.0], (self.dimension, 1))
        self.started_with = int(_generator(self.seed, self.starts, _SEEDS).integers(2**31))
        self._strategy = CMA(mean, STEP, bounds=bounds, seed=self.started_with, population_size=self.size)
        self.starts += 1


SEARCHERS: dict[str, Callable[..., Searcher]] = {"random": RandomSearch, "cem": CrossEntropy, "cmaes": CmaEs}


def make_searcher(name: str, dimension: int, seed: int = 0) -> Searcher:
    """A searcher of the unit cube of ``dimension`` axes. Raises ValueError for an unknown name, or no axis."""
    if name not in SEARCHERS:
        raise ValueError(f"no searcher {name!r}; the searchers are {', '.join(SEARCHERS)}")
    if dimension < 1 or seed < 0:
        raise ValueError(f"searcher {name}: expected an axis or more and a seed from 0 on, got {dimension} and {seed}")
    return SEARCHERS[name](dimension, seed)


def _generator(seed: int, generation: int, purpose: int = _PURPOSE) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, 0, 0, generation]))


def _blend(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    return SMOOTHING * new + (1.0 - SMOOTHING) * old


def _ordered(points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best first, equals by their coordinates. Raises ValueError for scores that are not one finite number each."""
    points, scores = np.asarray(points, np.float64), np.asarray(scores, np.float64)
    if points.ndim != 2 or scores.shape != (len(points),) or not np.isfinite(scores).all():
        raise ValueError(
            f"tell: expected points (n, D) and (n,) finite scores, got {points.shape} and {scores.shape}: {scores}"
        )
    order = np.lexsort((*points.T[::-1], -scores))
    return points[order], scores[order]
