"""Samples of one size, so that a distance between two of them says how the markets differ and not how much was seen.

A recording's parts are its days, or stretches where there are no days. Their units are whole markets (a game with both
its sides, a day's event with all its brackets), cut in time where longer than a sixteenth of a sample. A sample
is drawn from the units of one part without putting back, up to a stated amount: seconds of known book, seconds of
prints where there are only those, or whole books where a feed has views far apart.

The yardstick of a fact is the median over draws of the distance between samples of two different parts. It is not less
than the sampling noise: the mean over draws of the distance between two samples of one part, which share no unit,
each of half the amount, over the root of 2, since a distance made by chance alone falls with the root of the amount.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from sim.scenarios.distance import LEAST_KNOWN, Yardstick, distance
from sim.scenarios.facts import Fact
from sim.scenarios.recordings import Piece, Recording, facts_of_traces
from sim.scenarios.trace import Feed, Trace, cut
from sim.types import SECOND_NS

DRAWS = 24  # of two parts, and of two halves of one
PIECES = 16  # a unit is at most a sample over this

Units = list["Unit"]
Traces = dict[int, list[Trace]]  # by number of the source


class Unit(NamedTuple):
    """What is drawn as a whole: a market, or a stretch of one."""

    amount: float
    traces: tuple[Trace, ...]


def amount(one: Trace, feed: Feed) -> float:
    """Whole books, seconds of known book, or where there is no book seconds from the first print to the last."""
    if feed.views:
        return float(len(one.depth_ns))
    known = float(np.diff(one.state_ns, append=one.end_ns)[one.bid_px > 0].sum()) / SECOND_NS
    if known > 0.0 or not len(one.trade_ns):
        return known
    return float(one.trade_ns[-1] - one.trade_ns[0]) / SECOND_NS


def units_of(markets: Sequence[Sequence[Trace]], feed: Feed, wanted: float) -> Units:
    """Units of some ``markets``, each all traces of one; what is longer than ``wanted`` / PIECES is cut in time."""
    return [unit for traces in markets for unit in _cut(traces, feed, wanted / PIECES)]


def draw(units: Sequence[Unit], wanted: float, rng: np.random.Generator, times: int = 1) -> list[list[Trace]]:
    """``times`` samples that share no unit, each as near to ``wanted`` as whole units come."""
    left = [units[index] for index in rng.permutation(len(units))]
    samples = []
    for _ in range(times):
        sample, total = [], 0.0
        while left and wanted - total > 0.5 * left[-1].amount:
            unit = left.pop()
            sample += unit.traces
            total += unit.amount
        samples.append(sample)
    return samples


class Sampler:
    """Draws samples of a recording, all of one size for each source."""

    def __init__(self, recording: Recording, seconds: float = math.inf) -> None:
        """No sample is larger than the smallest part of its source, nor, views apart, than ``seconds``.

        Raises ValueError where a source has fewer than two parts: nothing says then how days differ.
        """
        self.recording = recording
        self.wanted: dict[int, float] = {}
        self._parts: dict[int, dict[str, Units]] = {}
        for index, source in enumerate(recording.set.sources):
            parts = recording.parts(index)
            if len(parts) < 2:
                raise ValueError(f"{recording.name}, {source.folder}: {len(parts)} parts; expected two or more")
            whole = [sum(amount(piece.trace, source.feed) for piece in pieces) for pieces in parts.values()]
            self.wanted[index] = min(*whole, math.inf if source.feed.views else seconds)
            self._parts[index] = {
                part: units_of(markets_of_pieces(pieces), source.feed, self.wanted[index])
                for part, pieces in parts.items()
            }

    def yardsticks(self, seed: int = 0, draws: int = DRAWS) -> dict[str, Yardstick]:
        """Yardstick of each fact that at least a quarter of the draws of two parts can say."""
        between, within = [], []
        for number in range(draws):
            rng = np.random.default_rng([seed, number])
            between.append(_distances(*map(self._facts, self._two_parts(number, rng))))
            within.append(_distances(*map(self._facts, self._two_halves(number, rng))))
        found = {}
        for name in between[0]:
            days, noise = (_known([one[name] for one in many]) for many in (between, within))
            if len(days) >= LEAST_KNOWN * draws:
                floor = float(noise.mean()) / math.sqrt(2.0) if len(noise) else 0.0
                found[name] = Yardstick(max(float(np.median(days)), floor), len(days), floor)
        return found

    def recorded(self, use: str, rng: np.random.Generator) -> dict[str, Fact]:
        """Facts of a sample of the parts of one ``use`` together: "report", or "fit"."""
        allowed = {(piece.source, piece.part) for piece in self.recording.only("fit" if use == "fit" else "report")}
        traces = {}
        for index, parts in self._parts.items():
            units = [unit for part, own in parts.items() if (index, part) in allowed for unit in own]
            traces[index] = draw(units, self.wanted[index], rng)[0]
        return self._facts(traces)

    def synthetic(self, traces: Mapping[int, Sequence[Trace]], rng: np.random.Generator) -> dict[str, Fact]:
        """Facts of a sample of a synthetic market's sessions, given by source as ``recordings.traces_as`` makes them.

        Sessions too few for a whole sample are all taken, and so are all for whole books.
        """
        sampled = {}
        for index, source in enumerate(self.recording.set.sources):
            sampled[index] = list(traces[index])
            if not source.feed.views:
                units = units_of([[one] for one in traces[index]], source.feed, math.inf)
                sampled[index] = draw(units, self.wanted[index], rng)[0]
        return facts_of_traces(self.recording.name, sampled)

    def _facts(self, traces: Traces) -> dict[str, Fact]:
        return facts_of_traces(self.recording.name, traces, views=True)

    def _two_parts(self, number: int, rng: np.random.Generator) -> Iterator[Traces]:
        """A sample of each of two parts of every source; the pairs take turns, which comes first is drawn.

        The days of one source are not those of another: no order of one goes with an order of the other.
        """
        one: Traces = {}
        other: Traces = {}
        for index, parts in self._parts.items():
            pairs = list(combinations(parts.values(), 2))
            pair = pairs[number % len(pairs)]
            first, second = pair if rng.integers(2) else pair[::-1]
            one[index] = draw(first, self.wanted[index], rng)[0]
            other[index] = draw(second, self.wanted[index], rng)[0]
        return iter((one, other))

    def _two_halves(self, number: int, rng: np.random.Generator) -> Iterator[Traces]:
        """Two samples of half the amount of one part of every source; the parts take turns."""
        one: Traces = {}
        other: Traces = {}
        for index, parts in self._parts.items():
            units = list(parts.values())[number % len(parts)]
            one[index], other[index] = draw(units, 0.5 * self.wanted[index], rng, times=2)
        return iter((one, other))


def markets_of_pieces(pieces: Sequence[Piece]) -> list[list[Trace]]:
    """Traces by the market that they belong to."""
    found: dict[str, list[Trace]] = {}
    for piece in pieces:
        found.setdefault(piece.market or piece.tape, []).append(piece.trace)
    return list(found.values())


def _cut(traces: Sequence[Trace], feed: Feed, most: float) -> Units:
    """A market as units of about ``most``, at most; without those in which nothing is known."""
    total = sum(amount(one, feed) for one in traces)
    if total <= most:
        return [Unit(total, tuple(traces))] if total > 0.0 else []
    start, end = min(map(_start_ns, traces)), max(one.end_ns for one in traces) + 1
    edges = np.linspace(start, end, math.ceil(total / most) + 1).astype(np.int64)
    found = []
    for low, high in pairwise(edges):
        parts = tuple(cut(one, int(low), int(high)) for one in traces if _start_ns(one) < high and one.end_ns >= low)
        size = sum(amount(one, feed) for one in parts)
        if size > 0.0:
            found.append(Unit(size, parts))
    return found


def _start_ns(one: Trace) -> int:
    stamps = (one.state_ns, one.message_ns, one.trade_ns, one.depth_ns)
    return min((int(own[0]) for own in stamps if len(own)), default=one.end_ns)


def _distances(one: Mapping[str, Fact], other: Mapping[str, Fact]) -> dict[str, float]:
    return {name: distance(fact, other[name]) for name, fact in one.items()}


def _known(values: Sequence[float]) -> np.ndarray:
    found = np.array(values)
    return found[~np.isnan(found)]
