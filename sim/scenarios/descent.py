"""A damped least-squares step on simulated moments: where finite differences say that fields should go.

The method of Levenberg and Marquardt (D. Marquardt, "An algorithm for least-squares estimation of nonlinear
parameters", SIAM Journal 11, 1963) on the components of all facts, each weighted so that a step lowers the sum over
facts of u^2 / (1 + u^2). Differences are taken over a third of a quantity, not less: sessions with other fields draw
other random numbers, and smaller differences would drown in that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from sim.scenarios.distance import FACTOR, Yardstick, coordinates
from sim.scenarios.facts import Fact

STEP = 0.3  # of a logarithm
LINEAR_STEP = 0.08  # of a range
DAMPINGS = (0.03, 0.3, 3.0)
_LONGEST = 4.0  # steps that a field may go at once


class Range(NamedTuple):
    """What a field is searched over."""

    low: float
    high: float
    log: bool

    def to_unit(self, value: float) -> float:
        """The field in steps of the differences."""
        return (
            math.log(value / self.low) / STEP if self.log else (value - self.low) / (self.high - self.low) / LINEAR_STEP
        )

    def from_unit(self, unit: float) -> float:
        """The value of so many steps, kept inside the range."""
        value = self.low * math.exp(unit * STEP) if self.log else self.low + unit * LINEAR_STEP * (self.high - self.low)
        return min(self.high, max(self.low, value))


def residuals(wanted: Mapping[str, Fact], facts: Mapping[str, Fact], measures: Mapping[str, Yardstick]) -> np.ndarray:
    """Components of every fact of ``measures``: difference of coordinates in units of 1.5 yardsticks, over the root of
    the fact's number of components; 0 where ``facts`` does not know it."""
    parts = []
    for name, measure in measures.items():
        target = coordinates(wanted[name])
        found = facts[name]
        gap = coordinates(found) - target if found.known else np.zeros(len(target))
        parts.append(gap / (FACTOR * measure.distance) / math.sqrt(len(target)))
    return np.concatenate(parts)


def weights(wanted: Mapping[str, Fact], facts: Mapping[str, Fact], measures: Mapping[str, Yardstick]) -> np.ndarray:
    """Of the squares of :func:`residuals`: 1 / (1 + u^2)^2 of the fact, the slope of u^2 / (1 + u^2) by u^2."""
    gaps = residuals(wanted, facts, measures)
    out, first = np.zeros(len(gaps)), 0
    for name in measures:
        own = slice(first, first + len(wanted[name].parts))
        out[own] = 1.0 / (1.0 + float(gaps[own] @ gaps[own])) ** 2
        first = own.stop
    return out


def step(
    begin: Mapping[str, float],
    ranges: Mapping[str, Range],
    moments: Callable[[Mapping[str, float]], tuple[float, np.ndarray]],
    weight: np.ndarray,
) -> tuple[float, dict[str, float]]:
    """The best of the points tried, and its cost: ``begin``, each field moved, and three damped steps.

    ``moments`` gives a point's cost and residuals. It is called ``len(ranges) + 1 + len(DAMPINGS)`` times.
    """
    names = list(ranges)
    start = {name: float(begin[name]) for name in names}
    cost, gap = moments(start)
    best = (cost, start)
    columns = []
    for name in names:
        unit = ranges[name].to_unit(start[name])
        up = ranges[name].from_unit(unit + 1.0)
        other = up if abs(ranges[name].to_unit(up) - unit) > 0.5 else ranges[name].from_unit(unit - 1.0)
        point = {**start, name: other}
        moved_cost, moved = moments(point)
        columns.append((moved - gap) / (ranges[name].to_unit(other) - unit))
        best = min(best, (moved_cost, point), key=lambda pair: pair[0])
    slope = np.stack(columns, axis=1)
    curvature = slope.T @ (weight[:, None] * slope)
    downhill = -slope.T @ (weight * gap)
    scale = np.diag(curvature).mean() + 1e-12
    for damping in DAMPINGS:
        change = np.linalg.solve(
            curvature + damping * (np.diag(np.diag(curvature)) + 0.1 * scale * np.eye(len(names))), downhill
        )
        change = np.clip(change, -_LONGEST, _LONGEST)
        point = {
            name: ranges[name].from_unit(ranges[name].to_unit(start[name]) + float(by))
            for name, by in zip(names, change, strict=True)
        }
        best = min(best, (moments(point)[0], point), key=lambda pair: pair[0])
    return best
