"""Scenario tables as text: the rows of a market, each field with value, unit, bounds and where the value comes from.

A table is a TOML file. Its rows are kinds of sessions; ``copies`` says how often one stands among the episodes::

    title = "Kalshi crypto, 15 minutes"
    set = "kalshi_crypto"                 # the recorded market it was fitted to
    venue = "kalshi"
    fees = ""
    ticks = "tapered_deci_cent"

    [[row]]
    name = "10 to 50 cents, calm"
    copies = 2
    maker_rate = {value = 4.2, unit = "1/s", low = 0.001, high = 100.0, source = "fitted"}

A row that is ``mirrored`` stands in the table a second time, with YES and NO in each other's place: its beliefs are one
less those of the first. Fields that are not named have their defaults.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from sim.scenarios import Scenario
from sim.scenarios.portfolio import Place
from sim.scenarios.row import FIELDS, ROW, make_rows
from sim.scenarios.shelf import file_named, names_in
from sim.scenarios.splits import SETS

FOLDER = Path(__file__).parent / "tables"
_HEADER = ("title", "set", "venue", "fees", "ticks")
_OF_ROW = ("name", "copies", "mirrored")

Origin = Literal["prior", "moments", "fitted"]


class Value(NamedTuple):
    """A field's value, and where it comes from: a search, a formula of the recording's moments, or nobody's data."""

    value: float
    source: Origin = "prior"


class TableRow(NamedTuple):
    """One kind of session."""

    name: str
    values: Mapping[str, Value]
    copies: int = 1
    mirrored: bool = True

    def row(self) -> np.ndarray:
        """``(1,)`` ROW, checked."""
        values: dict[str, Any] = {name: entry.value for name, entry in self.values.items()}
        return make_rows(1, **values)


class ScenarioTable(NamedTuple):
    """What a market's episodes are drawn from."""

    title: str
    set: str  # of sim.scenarios.splits; "" = fitted to none
    place: Place
    rows: tuple[TableRow, ...]


def table_names() -> tuple[str, ...]:
    """Names of the tables that come with the package."""
    return names_in(FOLDER)


def table_path(name: str | Path) -> Path:
    """The file of a table: of one that comes with the package, by name, or any file ending in ``.toml``.

    Raises ValueError where there is none.
    """
    return file_named(name, FOLDER, f"no scenario table {str(name)!r}")


def load_table(name: str | Path) -> ScenarioTable:
    """Read a table by name or file.

    Raises ValueError naming row and field where the text is not a table, or a value lies outside the bounds.
    """
    path = table_path(name)
    try:
        found = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}; expected TOML as save_table writes it") from error
    missing = [key for key in (*_HEADER, "row") if key not in found]
    if missing:
        raise ValueError(f"{path}: no {missing[0]!r}; a table has {', '.join(_HEADER)} and one [[row]] or more")
    if not isinstance(found["row"], list) or not found["row"]:
        raise ValueError(f"{path}: row = {found['row']!r}; expected one [[row]] or more")
    if found["set"] not in ("", *SETS):
        raise ValueError(f"{path}: set = {found['set']!r}; expected one of {', '.join(SETS)}, or nothing")
    rows = tuple(_read_row(path, number, entries) for number, entries in enumerate(found["row"]))
    return ScenarioTable(found["title"], found["set"], Place(found["venue"], found["fees"], found["ticks"]), rows)


def rows_of(table: ScenarioTable) -> np.ndarray:
    """``(R,)`` ROW of a table's sessions, every copy and its mirror image; an episode plays one of them."""
    parts: list[np.ndarray] = []
    for kind in table.rows:
        row = kind.row()
        sides = [row, _mirrored(row)] if kind.mirrored else [row]
        parts.extend(sides * kind.copies)
    return np.concatenate(parts)


def scenario_of(name: str | Path) -> Scenario:
    """Synthetic markets drawn from a table, at its venue."""
    table = load_table(name)
    return Scenario(rows_of(table), places=(table.place,))


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise FileExistsError where ``path`` is there and may not be overwritten. Ask before a long search, too."""
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: name another file, or say --overwrite (in code overwrite=True)")


def save_table(table: ScenarioTable, path: Path, *, overwrite: bool = False) -> None:
    """Write a table. Raises FileExistsError where the file is there and may not be overwritten."""
    refuse_existing(path, overwrite=overwrite)
    rows_of(table)  # what cannot be played is not written
    heads = (table.title, table.set, table.place.venue, table.place.fees, table.place.ticks)
    lines = [f"{key} = {_text(value)}" for key, value in zip(_HEADER, heads, strict=True)]
    for row in table.rows:
        lines += ["", "[[row]]", f"name = {_text(row.name)}", f"copies = {row.copies}"]
        lines.append(f"mirrored = {'true' if row.mirrored else 'false'}")
        lines += [field_line(name, entry.value, entry.source) for name, entry in row.values.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def _mirrored(row: np.ndarray) -> np.ndarray:
    """The same market with its legs changed about."""
    other = row.copy()
    other["belief_low"], other["belief_high"] = 1.0 - row["belief_high"], 1.0 - row["belief_low"]
    return other


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def field_line(name: str, value: float, source: str) -> str:
    """A field of a row as a table has it: ``NAME = {value, unit, low, high, source}``."""
    field = FIELDS[name]
    return (
        f"{name} = {{value = {float(value)!r}, unit = {_text(field.unit)}, low = {float(field.low)!r}, "
        f"high = {float(field.high)!r}, source = {_text(source)}}}"
    )


def _read_row(path: Path, number: int, entries: object) -> TableRow:
    if not isinstance(entries, dict):
        raise ValueError(f"{path}, row {number}: {entries!r}; expected a [[row]] with fields")
    where = f"{path}, row {number} ({entries.get('name', 'no name')})"
    values = {name: _read_value(where, name, entry) for name, entry in entries.items() if name not in _OF_ROW}
    copies = entries.get("copies", 1)
    if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
        raise ValueError(f"{where}: copies = {copies!r}; expected a whole number above 0")
    mirrored = entries.get("mirrored", True)
    if not isinstance(mirrored, bool):
        raise ValueError(f"{where}: mirrored = {mirrored!r}; expected true or false")
    row = TableRow(str(entries.get("name", "")), values, copies, mirrored)
    try:
        row.row()
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return row


def _read_value(where: str, name: str, entry: object) -> Value:
    if name not in FIELDS:
        raise ValueError(f"{where}: no field {name!r}; the fields are {', '.join(ROW.names or ())}")
    if not isinstance(entry, dict) or not {"value", "unit", "low", "high", "source"} <= set(entry):
        raise ValueError(f"{where}: {name} = {entry!r}; expected {{value, unit, low, high, source}}")
    if entry["unit"] != FIELDS[name].unit:
        raise ValueError(f"{where}: {name} is in {FIELDS[name].unit}, got {entry['unit']!r}")
    if entry["source"] not in get_args(Origin):
        raise ValueError(f"{where}: {name}: source {entry['source']!r}; expected {', '.join(get_args(Origin))}")
    for key in ("value", "low", "high"):
        if isinstance(entry[key], bool) or not isinstance(entry[key], (int, float)):
            raise ValueError(f"{where}: {name}: {key} = {entry[key]!r}; expected a number")
    value = float(entry["value"])
    if not entry["low"] <= value <= entry["high"]:
        raise ValueError(f"{where}: {name} = {value} lies outside [{entry['low']}, {entry['high']}]")
    return Value(value, entry["source"])
