"""How far two markets are apart, fact by fact, and whether that is more than two days of one recording are.

The distance of a fact is the mean over its components of

- ``|log((a + r) / (b + r))|`` for positive quantities, r being the fact's resolution (docs/realism.md lists them), and
- ``|a - b|`` for shares and autocorrelations.

So it has no unit. Its yardstick is the same distance between two days of the recording, from samples of one size
(:mod:`sim.scenarios.samples`). A fact passes where distance <= 1.5 x yardstick. A fact that the recording cannot say,
or that has no yardstick, is not comparable: it neither passes nor misses, and is listed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from sim.scenarios.facts import Fact

FACTOR = 1.5
LEAST_KNOWN = 0.25  # share of pairs of samples that must be able to say a fact


class Yardstick(NamedTuple):
    """Distance between days of a recording, from ``pairs`` pairs of samples that could be compared."""

    distance: float
    pairs: int
    noise: float = 0.0  # what it is at least: that of two samples of one part


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


def compare(
    pairs: Sequence[tuple[Mapping[str, Fact], Mapping[str, Fact]]],
    measures: Mapping[str, Yardstick],
    factor: float = FACTOR,
) -> list[Comparison]:
    """Every fact, in order, of some ``pairs`` of samples of equal size: a recorded one and another's.

    A fact is compared by the median distance of the pairs whose recorded sample knows it, where at least a quarter of
    them do. It misses where the other sample of more than half of these does not: too rare to be said is not alike.
    Raises ValueError for no pairs, or where a second sample lacks a name: a fact that cannot be said must be there, and
    say why.
    """
    if not pairs:
        raise ValueError("compare: expected at least one pair of samples, got none")
    lacking = sorted(set(pairs[0][0]) - set(pairs[0][1]))
    if lacking:
        raise ValueError(f"compare: the second market lacks {', '.join(lacking)}; expected every fact of the first")
    return [_compared(name, pairs, measures.get(name), factor) for name in pairs[0][0]]


def _compared(
    name: str,
    pairs: Sequence[tuple[Mapping[str, Fact], Mapping[str, Fact]]],
    measure: Yardstick | None,
    factor: float,
) -> Comparison:
    yardstick = math.nan if measure is None else measure.distance
    told = [(one[name], other[name]) for one, other in pairs if one[name].known]
    if len(told) < LEAST_KNOWN * len(pairs):
        missing = next(one[name].missing for one, _ in pairs if not one[name].known)
        return Comparison(name, "not comparable", math.nan, yardstick, f"recorded: {missing}")
    if measure is None:
        return Comparison(
            name, "not comparable", math.nan, yardstick, "too few samples of two days can say it, or no fitted one"
        )
    known = [distance(one, other) for one, other in told if other.known]
    if 2 * len(known) < len(told):
        missing = next(other.missing for _, other in told if not other.known)
        return Comparison(name, "miss", math.nan, yardstick, f"other: {missing}")
    between = float(np.median(known))
    return Comparison(name, "pass" if between <= factor * yardstick else "miss", between, yardstick)


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
