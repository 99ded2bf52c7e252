"""How far two markets are apart, fact by fact, and whether that is more than two days of one recording are.

The distance of a fact is the mean over its components of

- ``|log((a + r) / (b + r))|`` for positive quantities, r being the fact's resolution (docs/realism.md lists them), and
- ``|a - b|`` for shares and autocorrelations.

So it has no unit. Its yardstick is the median of the same distance over all pairs of parts of the recording (days, or
stretches of comparable length). A fact passes where distance <= 1.5 x yardstick. A fact that either side cannot say, or
that has no yardstick, is not comparable: it neither passes nor misses, and is listed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from sim.scenarios.facts import Fact

FACTOR = 1.5


class Yardstick(NamedTuple):
    """Median distance between parts of a recording, over ``pairs`` pairs that could be compared."""

    distance: float
    pairs: int


class Comparison(NamedTuple):
    """One fact of two markets."""

    name: str
    verdict: Literal["pass", "miss", "not comparable"]
    distance: float  # nan where not comparable
    yardstick: float  # nan where there is none
    why: str = ""  # it is not comparable


def coordinates(fact: Fact) -> np.ndarray:
    """``(parts,)`` float64: the values on the scale on which distances are differences; empty where not known.

    Raises ValueError for a positive fact with a negative value, or a zero where the resolution is 0.
    """
    values = np.asarray(fact.values, np.float64)
    if fact.kind != "positive":
        return values
    shifted = values + fact.resolution
    if (values < 0.0).any() or (shifted <= 0.0).any():
        raise ValueError(f"{fact.name}: values {fact.values} with resolution {fact.resolution}; expected positive ones")
    return np.log(shifted)


def distance(one: Fact, other: Fact) -> float:
    """Distance of a fact between two markets; nan where either cannot say.

    Raises ValueError where the two are not the same fact with the same components.
    """
    if (one.name, one.kind, one.parts, one.resolution) != (other.name, other.kind, other.parts, other.resolution):
        raise ValueError(
            f"distance: {one.name} of {one.parts} against {other.name} of {other.parts}; expected one fact, seen "
            "through the same feed"
        )
    if not one.known or not other.known:
        return math.nan
    return float(np.abs(coordinates(one) - coordinates(other)).mean())


def yardsticks(parts: Sequence[Mapping[str, Fact]]) -> dict[str, Yardstick]:
    """Yardstick of every fact that at least two of the recording's ``parts`` can say.

    Raises ValueError for fewer than two parts.
    """
    if len(parts) < 2:
        raise ValueError(f"yardsticks: expected two parts of a recording or more, got {len(parts)}")
    found = {}
    for name in parts[0]:
        between = [distance(one[name], other[name]) for one, other in combinations(parts, 2)]
        known = [value for value in between if not math.isnan(value)]
        if known:
            found[name] = Yardstick(float(np.median(known)), len(known))
    return found


def compare(
    recorded: Mapping[str, Fact], other: Mapping[str, Fact], measures: Mapping[str, Yardstick], factor: float = FACTOR
) -> list[Comparison]:
    """Every fact of ``recorded`` against ``other``, in order.

    Raises ValueError where ``other`` lacks a name: a fact that cannot be said must be there, and say why.
    """
    lacking = sorted(set(recorded) - set(other))
    if lacking:
        raise ValueError(f"compare: the second market lacks {', '.join(lacking)}; expected every fact of the first")
    return [_compared(fact, other[name], measures.get(name), factor) for name, fact in recorded.items()]


def _compared(recorded: Fact, other: Fact, measure: Yardstick | None, factor: float) -> Comparison:
    yardstick = math.nan if measure is None else measure.distance
    for which, fact in (("recorded", recorded), ("other", other)):
        if not fact.known:
            return Comparison(recorded.name, "not comparable", math.nan, yardstick, f"{which}: {fact.missing}")
    between = distance(recorded, other)
    if measure is None:
        return Comparison(recorded.name, "not comparable", between, yardstick, "fewer than two parts can say it")
    return Comparison(recorded.name, "pass" if between <= factor * yardstick else "miss", between, yardstick)


def share_passed(comparisons: Sequence[Comparison]) -> tuple[int, int]:
    """How many facts passed, of how many that are comparable."""
    verdicts = [one.verdict for one in comparisons]
    return verdicts.count("pass"), verdicts.count("pass") + verdicts.count("miss")


def moments(
    facts: Mapping[str, Fact], measures: Mapping[str, Yardstick] | None = None
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Facts as vectors for a fit: names (``spread/40-60:p50``), coordinates and yardsticks, one for each component.

    The mean over a fact's components of |difference of coordinates| is :func:`distance`. A fact that is not known has
    nan for every component, so that vectors of one feed always line up; a yardstick that is not known is nan.
    """
    names: list[str] = []
    values: list[float] = []
    scales: list[float] = []
    for name, fact in facts.items():
        names += [f"{name}:{part}" for part in fact.parts]
        values += coordinates(fact).tolist() if fact.known else [math.nan] * len(fact.parts)
        measure = (measures or {}).get(name)
        scales += [math.nan if measure is None else measure.distance] * len(fact.parts)
    return tuple(names), np.array(values), np.array(scales)
