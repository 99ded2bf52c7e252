"""A phase of a curriculum: ranges that the scenario rows of training are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any

import numpy as np

from sim.scenarios.row import FIELDS, FILL_SET, draw_rows

# One attribute a field of a scenario row: a number, [low, high] to draw from, or None for the row's default. A class,
# so that a typed config knows the names and refuses a misspelt one.
RowRanges: Any = make_dataclass("RowRanges", [(name, Any, field(default=None)) for name in FIELDS])
RowRanges.__module__ = __name__  # so that processes can send it to each other


@dataclass
class Phase:
    """A named distribution over scenario rows; what it leaves out keeps the scenario's own value."""

    name: str
    meaning: str
    rows: RowRanges = field(default_factory=RowRanges)


def ranges_of(rows: RowRanges) -> dict[str, float | tuple[float, float]]:
    """The fields that are set, as `draw_rows` takes them.

    Raises ValueError naming the field for anything but a number or a list of two, low before high.
    """
    ranges: dict[str, float | tuple[float, float]] = {}
    for entry in fields(rows):
        value = getattr(rows, entry.name)
        if value is None:
            continue
        if _is_number(value):
            ranges[entry.name] = float(value)
        elif _is_range(value):
            ranges[entry.name] = (float(value[0]), float(value[1]))
        else:
            raise ValueError(f"rows.{entry.name} = {value!r}: expected a number, or [low, high] with low <= high")
    return ranges


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

    Fields that neither names are those of ``base``, ``(R,)`` ROW that are taken in turn, or their defaults; the fill
    model's those of ``fill_set``, see `sim.fillfit.table`.
    """
    ranges: Mapping[str, float | tuple[float, float]] = ranges_of(rows)
    if phase is not None:
        ranges = {**ranges, **ranges_of(phase.rows)}
    return draw_rows(count, ranges, seed, base, fill_set=fill_set)


def _is_range(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
