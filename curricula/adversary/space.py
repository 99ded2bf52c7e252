"""Where a search for failures looks: some fields of a scenario row, each within plausible bounds, as a unit cube.

A space is a TOML file. Fields that it does not name keep the values of the row that the search starts from::

    title = "Stress of one generated market"

    [fields]
    cascade_rate = {low = 0.0, high = 0.05, scale = "linear"}
    noise_size = {low = 5.0, high = 100.0, scale = "log"}

Coordinate u in [0, 1] of a field is ``low + u (high - low)``, or ``low (high / low)^u`` on the log scale.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from sim.scenarios.row import FIELDS, ROW, check_rows, default_rows
from sim.scenarios.shelf import file_named, names_in

FOLDER = Path(__file__).parent / "spaces"
Scale = Literal["linear", "log"]


class Axis(NamedTuple):
    """One field that a search may move."""

    name: str
    low: float
    high: float
    scale: Scale = "linear"

    def value(self, unit: np.ndarray | float) -> np.ndarray:
        """The field at coordinates ``unit`` in [0, 1], of any shape."""
        unit = np.asarray(unit, np.float64)
        if self.scale == "log":
            # the ends exactly: exp(log(high)) may lie a bit beyond
            inner = np.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
            return np.clip(inner, self.low, self.high)
        return self.low + unit * (self.high - self.low)

    def unit(self, value: float) -> float:
        """The coordinate of ``value``; the nearest end where it lies outside."""
        value = min(self.high, max(self.low, value))
        if self.scale == "log":
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)


class Space(NamedTuple):
    """The axes of a search, and the row that it departs from."""

    title: str
    axes: tuple[Axis, ...]
    base: np.ndarray  # (1,) ROW

    @property
    def dimension(self) -> int:
        """How many fields are searched."""
        return len(self.axes)

    def values(self, point: np.ndarray) -> dict[str, float]:
        """The fields at ``point`` (D,) of the unit cube."""
        return {axis.name: float(axis.value(unit)) for axis, unit in zip(self.axes, point, strict=True)}

    def rows(self, points: np.ndarray) -> np.ndarray:
        """``(n,)`` ROW at ``points`` (n, D) of the unit cube, checked."""
        if points.ndim != 2 or points.shape[1] != self.dimension or not ((points >= 0.0) & (points <= 1.0)).all():
            raise ValueError(
                f"space {self.title!r}: expected points (n, {self.dimension}) in [0, 1], got {points.shape}, "
                f"from {points.min(initial=0.0)} to {points.max(initial=0.0)}"
            )
        rows = np.repeat(self.base, len(points))
        for index, axis in enumerate(self.axes):
            rows[axis.name] = axis.value(points[:, index])
        check_rows(rows)
        return rows

    def row(self, values: Mapping[str, float]) -> np.ndarray:
        """``(1,)`` ROW: the base with ``values`` put in, checked."""
        row = self.base.copy()
        for name, value in values.items():
            row[name] = value
        check_rows(row)
        return row


def make_space(title: str, axes: tuple[Axis, ...], base: np.ndarray | None = None) -> Space:
    """A space around ``base``, ``(1,)`` ROW, by default the default row.

    Raises ValueError for no axis, two of one field, a field that rows lack, or bounds that are not increasing, leave
    the field's own or do not fit the scale.
    """
    if not axes or len({axis.name for axis in axes}) != len(axes):
        raise ValueError(f"space {title!r}: expected one axis or more, each of another field, got {axes}")
    for axis in axes:
        if axis.name not in FIELDS:
            raise ValueError(f"space {title!r}: no field {axis.name!r}; the fields are {', '.join(ROW.names or ())}")
        field = FIELDS[axis.name]
        if not field.low <= axis.low < axis.high <= field.high:
            raise ValueError(
                f"space {title!r}: {axis.name} from {axis.low} to {axis.high}: expected low < high within "
                f"[{field.low}, {field.high}] {field.unit}"
            )
        if axis.scale not in get_args(Scale) or (axis.scale == "log" and axis.low <= 0.0):
            raise ValueError(
                f"space {title!r}: {axis.name}: scale {axis.scale!r} from {axis.low}; expected 'linear', or 'log' "
                "above 0"
            )
    return Space(title, axes, default_rows() if base is None else base)


def space_names() -> tuple[str, ...]:
    """Names of the spaces that come with the package."""
    return names_in(FOLDER)


def load_space(name: str | Path = "market", base: np.ndarray | None = None) -> Space:
    """A space that comes with the package, by name, or of any file ending in ``.toml``.

    Raises ValueError naming file and field where the text is not a space.
    """
    path = file_named(name, FOLDER, f"no space {str(name)!r}")
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        axes = tuple(
            Axis(field, float(entry["low"]), float(entry["high"]), entry.get("scale", "linear"))
            for field, entry in found["fields"].items()
        )
        return make_space(str(found["title"]), axes, base)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: {error!r}; expected a title, and [fields] with NAME = {{low, high, scale}} each"
        ) from error
