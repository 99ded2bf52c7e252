"""Fitted fill models, as fields of a scenario row.

``fitted.json`` is what ``python -m sim.fillfit`` wrote as ``table.json`` (docs/fill-model.md says from which data). An
entry is a set and a label: ``first`` (the first lot of a print reaches the order), ``full`` (complete within the life),
``coin`` (the probability the engine's coin at prints needs, see :mod:`sim.fillfit.model`): the one for scenario rows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from sim.fillmodel import COIN_TERMS, SIGNS

_FILE = Path(__file__).with_name("fitted.json")
_SCHEMA_VERSION = 1


class RowField(NamedTuple):
    """A field of a scenario row, in the shape of ``sim.scenarios.row.Field``."""

    default: float
    low: float
    high: float
    unit: str
    meaning: str


_MEANING = {
    "inside": "where the order improves the touch",
    "distance": "per tick behind the touch",
    "queue": "per unit of log(1 + contracts ahead at the price)",
    "better": "per unit of log(1 + contracts at better prices of the side)",
    "activity": "per unit of log(1 + prints a life)",
    "lean": "per unit of log(1 + prints a life against our side) - log(1 + against the other)",
    "clear": "per unit of log((1 + contracts ahead, better and own) / (1 + contracts printed a life against our side))",
    "reach": "per unit of log((cents from the mid + 0.5) / (deviation of the mid over a life in cents + 0.5))",
    "spread": "per unit of log(spread in ticks)",
    "imbalance": "per unit of (own touch - facing touch) / (own + facing)",
    "time": "per unit of log(1 + seconds to the close)",
}


def entries(path: str | Path = _FILE) -> list[dict[str, Any]]:
    """All fitted models: set, label, the days and orders they were fitted on, base rate, rules, and ``row``.

    Raises ValueError where the file is not such a table, or of another version.
    """
    path = Path(path)
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        version, models = table["schema_version"], table["models"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: not a table of fitted fill models ({error!r}); `python -m sim.fillfit` writes one"
        ) from error
    if version != _SCHEMA_VERSION:
        raise ValueError(f"{path}: table version {version!r}; this program reads version {_SCHEMA_VERSION}")
    return list(models)


def row_fields(name: str, path: str | Path = _FILE) -> dict[str, float]:
    """The ``fill_...`` fields of a scenario row for the set ``name``, from its label ``coin``.

    Raises ValueError naming the sets there are where it is none of them.
    """
    known = {entry["set"]: entry["row"] for entry in entries(path) if entry["label"] == "coin"}
    if name not in known:
        raise ValueError(f"no fitted fill model {name!r}; the sets are {', '.join(known)}")
    return {field: float(value) for field, value in known[name].items()}


def fill_fields(name: str) -> dict[str, RowField]:
    """Fields of a scenario row for the coin: bounds, units, meanings, and the set ``name`` as defaults.

    Signs that a queue demands become bounds. Raises ValueError where the set was not fitted.
    """
    row = row_fields(name)
    fields = {
        "fill_life_s": RowField(
            row["fill_life_s"], 0.1, 3600.0, "s", "the life that the fill probability is stated for"
        ),
        "fill_memory": RowField(
            row["fill_memory"], 0.0, 3.0, "code", "memory of prints and lots: 0 2.1 s, 1 8.6 s, 2 34 s, 3 275 s"
        ),
        "fill_move_memory": RowField(
            row["fill_move_memory"], 2.0, 3.0, "code", "memory of the mid's moves: 2 34 s, 3 275 s"
        ),
        "fill_base": RowField(
            row["fill_base"], -20.0, 20.0, "logit", "intercept: prints through the price fill besides"
        ),
    }
    for term, sign in zip(COIN_TERMS, SIGNS, strict=False):  # the sign of size is left over
        low, high = (0.0 if sign > 0 else -20.0), (0.0 if sign < 0 else 20.0)
        fields[f"fill_{term}"] = RowField(row[f"fill_{term}"], low, high, "logit", _MEANING[term])
    return fields
