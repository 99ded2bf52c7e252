"""The recorded markets of :mod:`sim.scenarios.splits`, read, traced and turned into facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sim.importers import convert, kalshi_btc15m, resolvedkit
from sim.scenarios.facts import EDGES, Fact, facts_from
from sim.scenarios.splits import SETS, MarketSet, Source, Use, market_of, rule_of
from sim.scenarios.trace import FAMILIES, Feed, Trace, cut, markets_of, trace
from sim.tape import Tape, TapeError
from sim.types import EVENT


class Piece(NamedTuple):
    """One traced tape, or half of one."""

    tape: str
    source: int  # place in the set's sources
    part: str
    use: Use
    trace: Trace
    market: str = ""  # what it is a segment or a side of; empty: the tape itself


class Recording(NamedTuple):
    """A recorded market."""

    name: str
    pieces: tuple[Piece, ...]

    @property
    def set(self) -> MarketSet:
        """What it consists of."""
        return SETS[self.name]

    def only(self, use: Use) -> list[Piece]:
        """Pieces to fit to, or to report on."""
        return [piece for piece in self.pieces if piece.use == use]

    def parts(self, source: int) -> dict[str, list[Piece]]:
        """Pieces of one source by part, in order."""
        found: dict[str, list[Piece]] = {}
        for piece in self.pieces:
            if piece.source == source:
                found.setdefault(piece.part, []).append(piece)
        return found


def load(name: str, data: Path) -> Recording:
    """Read the set ``name`` below the folder ``data``.

    Raises ValueError for an unknown name, or a tape that no rule names; TapeError where a source cannot be used.
    """
    if name not in SETS:
        raise ValueError(f"no recorded market {name!r}; expected one of {', '.join(SETS)}")
    pieces = [piece for index, source in enumerate(SETS[name].sources) for piece in _pieces(index, source, data)]
    return Recording(name, tuple(pieces))


def facts_of_pieces(name: str, pieces: Sequence[Piece], edges: Sequence[float] = EDGES) -> dict[str, Fact]:
    """Facts of some pieces of the set ``name``: each family from the sources that speak of it."""
    traces = {
        index: [piece.trace for piece in pieces if piece.source == index] for index in range(len(SETS[name].sources))
    }
    return _facts(SETS[name], traces, edges)


def facts_as(name: str, events_list: Sequence[np.ndarray], edges: Sequence[float] = EDGES) -> dict[str, Fact]:
    """Facts of other streams, a synthetic market's, seen through the feeds of the set ``name``.

    Raises ValueError as :func:`sim.scenarios.facts.facts_of` does.
    """
    return facts_of_traces(name, traces_as(name, events_list), edges)


def traces_as(name: str, events_list: Sequence[np.ndarray]) -> dict[int, list[Trace]]:
    """Traces of other streams by number of the source of the set ``name`` through whose feed they are seen."""
    streams = [market for events in events_list for market in markets_of(events)]
    seen: dict[Feed, list[Trace]] = {}
    traces = {}
    for index, source in enumerate(SETS[name].sources):
        lens = source.feed._replace(views=False)
        key = lens._replace(families=frozenset({"depth"} & lens.families))  # what a walk depends on
        if key not in seen:
            seen[key] = [trace(events, key) for events in streams]
        traces[index] = seen[key]
    return traces


def facts_of_traces(
    name: str, traces: Mapping[int, list[Trace]], edges: Sequence[float] = EDGES, *, views: bool = False
) -> dict[str, Fact]:
    """Facts of traces as :func:`traces_as` makes them; of several groups of streams where lists are joined.

    ``views``: the traces are recorded ones, of which a feed may have whole books only.
    """
    return _facts(SETS[name], traces, edges, views=views)


def _pieces(index: int, source: Source, data: Path) -> Iterator[Piece]:
    path = source.folder if source.folder == resolvedkit.WORD else data / source.folder
    volumes = kalshi_btc15m.volumes(Path(path)) if kalshi_btc15m.detect(Path(path)) else {}
    for name, tape in convert(path).tapes:
        rule = rule_of(source, name)
        if not rule.part or not len(tape.events):
            continue
        whole, market = _traced(tape, source.feed, volumes), market_of(source, name)
        if source.halves:
            start, middle = int(tape.events["local_ns"][0]), _middle_ns(tape.events)
            yield Piece(name, index, f"{rule.part}, first half", "fit", cut(whole, start, middle), market)
            yield Piece(
                name, index, f"{rule.part}, second half", "report", cut(whole, middle, whole.end_ns + 1), market
            )
        else:
            yield Piece(name, index, rule.part, rule.use, whole, market)


def _middle_ns(events: np.ndarray) -> int:
    stamps = events["local_ns"]
    return int(stamps[0]) + (int(stamps.max()) - int(stamps[0])) // 2


def _traced(tape: Tape, feed: Feed, volumes: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Trace:
    if len(tape.header.markets) != 1:
        raise TapeError(f"{tape.header.markets[0].id}: a tape of {len(tape.header.markets)} markets; expected one")
    found = trace(tape.events, feed)
    stamps, traded = volumes.get(tape.header.markets[0].id, (found.volume_ns, found.volume_qty))
    inside = slice(*np.searchsorted(stamps, (tape.events["local_ns"][0], found.end_ns + 1)))
    found = found._replace(volume_ns=stamps[inside], volume_qty=traded[inside])
    market = tape.header.markets[0]
    return cut(
        found, market.open_ns, market.close_ns or found.end_ns + 1
    )  # what is recorded around the window is not it


def _groups(market: MarketSet, views: bool) -> Iterator[tuple[frozenset[str], Feed, tuple[int, ...]]]:
    """Families, the sources that speak of them together, and the feed of the first of these.

    Families that no source speaks of come last, under a feed that shows none.
    """
    by_sources: dict[tuple[int, ...], set[str]] = {}
    for family in FAMILIES:
        sources = tuple(index for index, source in enumerate(market.sources) if family in source.feed.families)
        by_sources.setdefault(sources, set()).add(family)
    for sources, families in sorted(by_sources.items(), reverse=True):
        lens = market.sources[sources[0] if sources else 0].feed
        shown = frozenset(families if sources else ())
        yield frozenset(families), lens._replace(families=shown, views=lens.views and views), sources or (0,)


def _facts(
    market: MarketSet, traces: Mapping[int, list[Trace]], edges: Sequence[float], views: bool = True
) -> dict[str, Fact]:
    found: dict[str, Fact] = {}
    for families, feed, sources in _groups(market, views):
        pooled = [one for source in sources for one in traces[source]] or [trace(np.zeros(0, EVENT))]
        facts = facts_from(pooled, feed, edges)
        found.update((name, fact) for name, fact in facts.items() if fact.family in families)
    return {name: found[name] for name in facts_from([trace(np.zeros(0, EVENT))], Feed(), edges)}
