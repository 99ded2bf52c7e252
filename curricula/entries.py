"""The scenario library: named, versioned distributions over markets, each a text file in ``curricula/library``.

An entry is a TOML file; its name is the file's::

    title = "Toxic flow"
    version = 1                       # goes up with every change of what is played
    meaning = "Most who take know the belief, come in size, and come with the news"
    base = "defaults"                 # or a fitted table of sim.scenarios.tables, whose place it then has

    [place]                           # where its one market trades: venue, fees, ticks, later_fees, later_ticks
    venue = "kalshi"

    [[groups]]                        # or several markets, as scenario.groups of a config has them
    kind = "same"
    venues = ["kalshi", "polymarket"]

    [env]                             # what the environment must begin with
    start_contracts = 200.0

    [rows]                            # fields of a scenario row: a number, or [low, high] to draw from
    informed_rate = [1.0, 3.0]

All but title, version, meaning and base may be left out. Fields that are not named are the base's own.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curricula.phase import RowRanges, ranges_of
from sim.scenarios.portfolio import Place
from sim.scenarios.row import FIELDS
from sim.scenarios.shelf import file_named, names_in
from sim.scenarios.tables import load_table, rows_of, table_names

FOLDER = Path(__file__).parent / "library"
DEFAULTS = "defaults"
ENV_SETTINGS = ("start_contracts",)  # what an entry may say of the environment
_HEADER = ("title", "version", "meaning", "base")
_KEYS = (*_HEADER, "place", "groups", "env", "rows")


class Entry(NamedTuple):
    """One scenario of the library."""

    name: str
    title: str
    version: int
    meaning: str
    base: str  # DEFAULTS, or the name of a fitted table
    place: Place  # of its one market; unused where there are groups
    groups: tuple[Mapping[str, Any], ...]  # () = one market
    env: Mapping[str, float]  # settings of the environment, some of ENV_SETTINGS
    rows: RowRanges
    digest: str  # of the file

    def base_rows(self) -> np.ndarray | None:
        """``(R,)`` ROW that fields are taken from where ``rows`` says nothing; None = the defaults."""
        return None if self.base == DEFAULTS else rows_of(load_table(self.base))

    def overlaid(self, rows: RowRanges) -> RowRanges:
        """Its ranges, with those of ``rows`` in their place where it has some."""
        said = {field.name: getattr(rows, field.name) for field in fields(rows)}
        return replace(self.rows, **{name: value for name, value in said.items() if value is not None})


def entry_names() -> tuple[str, ...]:
    """Names of the entries that come with the package."""
    return names_in(FOLDER)


def load_entry(name: str | Path) -> Entry:
    """Read an entry by name or file.

    Raises ValueError naming file and key where the text is no entry, or a value lies outside its field's bounds.
    """
    path = file_named(name, FOLDER, f"no scenario {str(name)!r} in the library")
    content = path.read_bytes()
    try:
        found = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}; expected TOML") from error
    _check_header(path, found)
    base = found["base"]
    if "groups" in found and "place" in found:
        raise ValueError(f"{path}: place and groups: groups bring their venues; leave place out")
    return Entry(
        path.stem,
        found["title"],
        found["version"],
        found["meaning"],
        base,
        _place(path, found.get("place", {}), Place() if base == DEFAULTS else load_table(base).place),
        _groups(path, found.get("groups", [])),
        _env(path, found.get("env", {})),
        _rows(path, found.get("rows", {})),
        hashlib.sha256(content).hexdigest()[:16],
    )


def _check_header(path: Path, found: Mapping[str, Any]) -> None:
    for key in found:
        if key not in _KEYS:
            raise ValueError(f"{path}: no key {key!r}; an entry has {', '.join(_KEYS)}")
    for key in _HEADER:
        if key not in found:
            raise ValueError(f"{path}: no {key!r}; an entry must have {', '.join(_HEADER)}")
    version = found["version"]
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"{path}: version = {version!r}; expected a whole number from 1 on")
    for key in ("title", "meaning", "base"):
        if not isinstance(found[key], str) or not found[key]:
            raise ValueError(f"{path}: {key} = {found[key]!r}; expected a text")
    if found["base"] not in (DEFAULTS, *table_names()):
        raise ValueError(f"{path}: base = {found['base']!r}; expected {', '.join((DEFAULTS, *table_names()))}")


def _section(path: Path, key: str, found: object, known: tuple[str, ...]) -> dict[str, Any]:
    """The table ``found`` under ``key``, its names checked."""
    if not isinstance(found, dict):
        raise ValueError(f"{path}: {key} = {found!r}; expected a table of {', '.join(known)}")
    for name in found:
        if name not in known:
            raise ValueError(f"{path}: {key} has no {name!r}; it may have {', '.join(known)}")
    return found


def _place(path: Path, found: object, otherwise: Place) -> Place:
    said = _section(path, "place", found, Place._fields)
    for name, value in said.items():
        if not isinstance(value, str):
            raise ValueError(f"{path}: place.{name} = {value!r}; expected a text")
    return otherwise._replace(**said)


def _groups(path: Path, found: object) -> tuple[Mapping[str, Any], ...]:
    """What their kinds take is checked where portfolios are made of them."""
    if not isinstance(found, list):
        raise ValueError(f"{path}: groups = {found!r}; expected [[groups]]")
    known = ("kind", "venues", "markets", "exhaustive", "nets")
    return tuple(_section(path, "groups", group, known) for group in found)


def _env(path: Path, found: object) -> dict[str, float]:
    said = _section(path, "env", found, ENV_SETTINGS)
    for name, value in said.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise ValueError(f"{path}: env.{name} = {value!r}; expected a number from 0 on")
    return {name: float(value) for name, value in said.items()}


def _rows(path: Path, found: object) -> RowRanges:
    said = _section(path, "rows", found, tuple(FIELDS))
    rows = RowRanges(**said)
    try:
        ranges = ranges_of(rows)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    for name, wanted in ranges.items():
        low, high = wanted if isinstance(wanted, tuple) else (wanted, wanted)
        field = FIELDS[name]
        if not field.low <= low <= high <= field.high:
            raise ValueError(f"{path}: rows.{name} = {said[name]} {field.unit} leaves [{field.low}, {field.high}]")
    return rows
