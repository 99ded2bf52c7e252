"""The table of failures: rows on which some policy failed, kept for good and played by every later evaluation.

The file is TOML, close to that of scenario tables (`sim.scenarios.tables`): a row has its fields with value, unit and
bounds, and beside them what failed there, and on which chance::

    title = "Rows on which policies failed"
    version = 2

    [[row]]
    name = "joiner-5f0c2a91"           # the last part is a digest of what the case is
    policy = "baseline:joiner"         # on which it was found
    found = "2026-11-22"
    score = "loss"                     # of `evaluation.adversary.SCORES`, and its threshold: above it is a failure
    threshold = 2.0
    value = 3.1                        # of that policy, on the episodes below
    episodes = 64
    seed = 1000
    venue = "polymarket"
    fill_model = "queue"
    what = "mean loss 3.1 % of the cash"
    row_digest = "0f3c..."             # of all fields of the row, defaults included
    env = {cash = 10000.0, dt_s = 1.0} # the environment it was found in
    cascade_rate = {value = 0.03, unit = "1/s", low = 0.0, high = 10.0, source = "search"}

Cases are added at the end, never changed: `append_case` leaves the text before as it was, and a case whose content does
not fit its digest is refused. Fields that are not named have their defaults; where those have changed since, the row is
another one than was found, and `Case.changed` says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sim.scenarios.row import make_rows
from sim.scenarios.tables import field_line

LIBRARY = Path(__file__).parent / "failures.toml"
VERSION = 2
SOURCE = "search"
_HEAD = f'title = "Rows on which policies failed"\nversion = {VERSION}\n'
_TEXTS = ("name", "policy", "found", "score", "venue", "fill_model", "what", "row_digest")
_NUMBERS = ("threshold", "value", "episodes", "seed")
_IDENTITY = ("score", "threshold", "episodes", "seed", "venue", "fill_model", "values", "row_digest", "env")
_KEYS = (*_TEXTS, *_NUMBERS, "env")


class Case(NamedTuple):
    """One failure: a row, the chance it is played on, and what counts as failing there."""

    name: str
    policy: str
    found: str  # date
    score: str
    threshold: float
    value: float
    episodes: int
    seed: int
    venue: str
    fill_model: str
    what: str
    values: Mapping[str, float]  # fields that differ from their defaults
    env: Mapping[str, float | str]  # settings of the environment that it was found in: cash, step, limits, ...
    row_digest: str = ""  # of all fields

    @property
    def changed(self) -> bool:
        """Whether a default that the row rests on is another one than when it was found."""
        return row_digest(self.row()) != self.row_digest

    def row(self) -> np.ndarray:
        """``(1,)`` ROW, checked."""
        given: dict[str, Any] = dict(self.values)
        return make_rows(1, **given)


def row_digest(row: np.ndarray) -> str:
    """Of every field of a row ``(1,)`` ROW, by name and value."""
    values = sorted((name, float(row[name][0])) for name in row.dtype.names or ())
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def make_case(label: str, **entries: Any) -> Case:
    """A case whose name is ``label`` and its digest; ``entries`` are the other fields of `Case`, less its row's digest.

    Two failures on the same row, chance, score, threshold and environment are one case, whoever failed there.
    """
    case = Case(name="", **entries)
    case = case._replace(row_digest=row_digest(case.row()))
    return case._replace(name=f"{label}-{_digest(case)}")


def load_cases(path: str | Path = LIBRARY) -> tuple[Case, ...]:
    """The cases of a table, in the order they were found; none where there is no such file.

    Raises ValueError naming file and case where the text is not a table, or a case was changed after it was added.
    """
    path = Path(path)
    if not path.exists():
        return ()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}; expected TOML as append_case writes it") from error
    if found.get("version") != VERSION:
        raise ValueError(f"{path}: version {found.get('version')!r}; this program reads version {VERSION}")
    cases = tuple(_read(path, number, entry) for number, entry in enumerate(found.get("row", [])))
    names = [case.name.rpartition("-")[2] for case in cases]
    if len(set(names)) != len(names):
        raise ValueError(f"{path}: a case stands there twice, among {', '.join(case.name for case in cases)}")
    return cases


def append_case(case: Case, path: str | Path = LIBRARY) -> bool:
    """Add a case at the end of a table, whole or not at all; False = it stands there already, and nothing is written.

    What was there stays byte for byte. Raises ValueError where the file is no table.
    """
    path = Path(path)
    digest = _digest(case)
    if any(known.name.endswith(f"-{digest}") for known in load_cases(path)):
        return False
    before = path.read_text(encoding="utf-8") if path.exists() else _HEAD
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(before + "\n" + _text(case))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(unfinished, 0o644)  # noqa: PTH101
        os.replace(unfinished, path)  # noqa: PTH105
    finally:
        Path(unfinished).unlink(missing_ok=True)
    return True


def _digest(case: Case) -> str:
    known = {name: value for name, value in case._asdict().items() if name in _IDENTITY}
    known["values"] = sorted((name, float(value)) for name, value in case.values.items())
    known["env"] = dict(case.env)
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]


def _text(case: Case) -> str:
    lines = ["[[row]]"]
    lines += [f"{name} = {json.dumps(getattr(case, name))}" for name in ("name", "policy", "found", "score")]
    lines += [f"{name} = {getattr(case, name)!r}" for name in _NUMBERS]
    lines += [f"{name} = {json.dumps(getattr(case, name))}" for name in ("venue", "fill_model", "what", "row_digest")]
    lines.append(f"env = {{{', '.join(f'{name} = {json.dumps(value)}' for name, value in case.env.items())}}}")
    for name, value in case.values.items():
        lines.append(field_line(name, value, SOURCE))
    return "\n".join(lines) + "\n"


def _read(path: Path, number: int, entry: object) -> Case:
    if not isinstance(entry, dict):
        raise ValueError(f"{path}, row {number}: {entry!r}; expected a [[row]] with fields")
    where = f"{path}, row {number} ({entry.get('name', 'no name')})"
    missing = [name for name in _KEYS if name not in entry]
    if missing:
        raise ValueError(f"{where}: no {missing[0]!r}; a case has {', '.join(_KEYS)} and fields")
    fields = {name: value for name, value in entry.items() if name not in _KEYS}
    try:
        values = {name: float(value["value"]) for name, value in fields.items()}
        known = {name: entry[name] for name in _KEYS}
        case = Case(**{**known, "threshold": float(entry["threshold"]), "value": float(entry["value"])}, values=values)
        case.row()
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{where}: {error}; expected fields as {{value, unit, low, high, source}}") from error
    if case.name.rpartition("-")[2] != _digest(case):
        raise ValueError(
            f"{where}: its digest is {_digest(case)}, not the one in its name: a case is never changed; add a new one"
        )
    return case
