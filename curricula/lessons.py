"""The scenario rows of a phase: drawn from ranges, a share of them from entries of the scenario library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from curricula.entries import Entry, load_entry
from curricula.phase import Phase, RowRanges, ranges_of
from sim.scenarios.row import FILL_SET, draw_rows

UNSEEN_SHARE = 0.1  # of the validation rows, for each entry that training does not have


def draw(
    rows: RowRanges,
    phase: Phase | None,
    count: int,
    seed: int,
    base: np.ndarray | None = None,
    *,
    fill_set: str = FILL_SET,
) -> np.ndarray:
    """``(count,)`` ROW array drawn from the scenario's ranges, with the phase's in their place where it has some.

    The phase's entries follow with their shares: their ranges stand in the place of the phase's. Fields that nobody
    names are those of ``base``, ``(R,)`` ROW that are taken in turn, or their defaults; the fill model's those of
    ``fill_set``, see `sim.fillfit.table`. Raises ValueError for shares that are no shares, and for entries that are
    more than rows.
    """
    ranges: Mapping[str, float | tuple[float, float]] = ranges_of(rows)
    if phase is None:
        return draw_rows(count, ranges, seed, base, fill_set=fill_set)
    ranges = {**ranges, **ranges_of(phase.rows)}
    result = draw_rows(count, ranges, seed, base, fill_set=fill_set)
    for name, part in _parts(phase, count).items():
        theirs = {**ranges, **ranges_of(_rows_only(load_entry(name)))}
        result[part] = draw_rows(count, theirs, seed, base, fill_set=fill_set)[part]
    return result


def validation(phase: Phase) -> Phase:
    """The phase as its gate plays it: with the entries that training does not have.

    Raises ValueError where training has one of them.
    """
    both = [name for name in phase.unseen if name in phase.entries]
    if both:
        raise ValueError(f"phase {phase.name}: {', '.join(both)} stands in entries and in unseen; name it once")
    return replace(phase, entries={**phase.entries, **dict.fromkeys(phase.unseen, UNSEEN_SHARE)}, unseen=[])


def _parts(phase: Phase, count: int) -> dict[str, slice]:
    """Which of ``count`` rows fall to each entry: the first ones, in their order."""
    shares = phase.entries
    if any(not 0.0 < share <= 1.0 for share in shares.values()) or sum(shares.values()) > 1.0 + 1e-9:
        raise ValueError(f"phase {phase.name}: entries = {dict(shares)}: expected shares above 0, at most 1 together")
    ends = [0, *(round(end * count) for end in np.cumsum(list(shares.values())).tolist())]
    if any(first == last for first, last in pairwise(ends)):
        raise ValueError(f"phase {phase.name}: {count} rows are too few for the shares {dict(shares)}")
    return {name: slice(first, last) for name, (first, last) in zip(shares, pairwise(ends), strict=True)}


def _rows_only(entry: Entry) -> RowRanges:
    if entry.groups or entry.env or entry.base != "defaults":
        raise ValueError(
            f"entry {entry.name} is more than ranges of rows (base {entry.base}, groups {len(entry.groups)}, env "
            f"{dict(entry.env)}): a phase plays its own scenario; train on it with scenario=library instead"
        )
    return entry.rows
