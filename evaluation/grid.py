"""Runs of an experiment grid as two tables: a row a run, and a row a setting with the runs of all seeds together.

One parser reads what a run leaves, whichever program made it: ``scorecard.json`` (train.py, evaluate.py),
``montecarlo.json`` or ``library.json`` (the suites), and the manifest of a run folder.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from evaluation.bootstrap import LEVEL
from evaluation.summary import parse_summary
from sim.types import UUSD

Row = dict[str, Any]  # a number, a text, or None = nothing there
FILES = ("scorecard.json", "montecarlo.json", "library.json")
SEEDS = ("seed", "evaluation.seed")  # settings that a summary does not tell apart
HEAD = ("job", "status", "error", "folder")
ENDS = ("result_usd", "drawdown_usd", "sharpe", "var95_usd", "cvar95_usd", "var99_usd", "cvar99_usd", "kill")
FINISHED, FAILED, RUNNING = "finished", "failed", "running"


def settings_of(overrides: Iterable[str]) -> Row:
    """Command-line overrides ``key=value`` as columns; the + of a new key is left out.

    Raises ValueError for a text that is no override.
    """
    row: Row = {}
    for text in overrides:
        key, equals, value = text.lstrip("+~").partition("=")
        if not equals and not text.startswith("~"):
            raise ValueError(f"grid: expected an override KEY=VALUE, got {text!r}")
        row[key] = value
    return row


def figures_of(folder: Path) -> Row:
    """What the run in ``folder`` came to: figures of the policy that is judged, as columns.

    Of a training run the judgement lies in ``evaluation/``, and its manifest gives status and steps. Raises
    FileNotFoundError where there is none of FILES, ValueError naming the file where one is not what it should be.
    """
    row: Row = {}
    manifest = folder / "manifest.json"
    if manifest.is_file():
        found = _read(manifest)
        row |= {f"run_{key}": found.get(key) for key in ("status", "steps", "seconds")}
    for place in (folder, folder / "evaluation"):
        for name in FILES:
            if (place / name).is_file():
                return row | _judged(place / name)
    raise FileNotFoundError(f"{folder}: none of {', '.join(FILES)}, here or in evaluation/: nothing was judged")


def _judged(path: Path) -> Row:
    card = _read(path)
    try:
        return {"scorecard.json": _scorecard, "montecarlo.json": _montecarlo, "library.json": _library}[path.name](card)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{path}: not what it should be: {type(error).__name__}: {error}") from None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); the file is torn or edited") from None


def _scorecard(card: Mapping[str, Any]) -> Row:
    summary = parse_summary(card["summary"])
    return {
        "policy": card["agent"],
        "fill_model": card["headline"],
        "episodes": card["episodes"],
        **_columns(card["results"][card["headline"]][card["agent"]]["metrics"]),
        "total_usd": summary.total_uusd / UUSD,
        "killed": int(summary.kill),
        "reason": summary.reason,
    }


def _montecarlo(card: Mapping[str, Any]) -> Row:
    judged = card["policies"][0]
    found = card["results"][judged]
    head = {"policy": judged, "fill_model": card["fill_model"], "episodes": found["episodes"]}
    return {**head, **_columns(found["metrics"]), "worst_usd": found["worst_usd"]}


def _library(card: Mapping[str, Any]) -> Row:
    judged = card["policies"][0]
    row: Row = {"policy": judged, "fill_model": card["fill_model"], "episodes": card["episodes"]}
    for entry in card["entries"]:
        if judged in entry["results"]:
            found = _columns(entry["results"][judged])
            row |= {f"{entry['name']}.{name}": value for name, value in found.items()}
    return row


def _columns(metrics: Mapping[str, Mapping[str, float | None]]) -> Row:
    """The value of every metric, and of the most important ones the ends of their intervals."""
    row: Row = {}
    for name, one in metrics.items():
        row[name] = one["value"]
        if name in ENDS:
            row |= {f"{name}_low": one["low"], f"{name}_high": one["high"]}
    return row


def summarise(rows: Sequence[Row], settings: Sequence[str]) -> list[Row]:
    """A row for every combination of ``settings`` but the seeds: how many runs are finished, failed and running (or
    were killed), and the mean of each figure.

    Over the finished runs, with Student's 95 % interval of the mean, ``<figure>_low`` and ``<figure>_high``; None with
    fewer than two runs. Ends of a single run's intervals are not averaged.
    """
    apart = [name for name in settings if name not in SEEDS]
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in apart), []).append(row)
    return [{**dict(zip(apart, key, strict=True)), **_summary(group, settings)} for key, group in groups.items()]


def _summary(group: Sequence[Row], settings: Sequence[str]) -> Row:
    done = [row for row in group if row["status"] == FINISHED]
    failed = sum(row["status"] == FAILED for row in group)
    result: Row = {"runs": len(done), "failed": failed, "running": len(group) - len(done) - failed}
    names = list(
        dict.fromkeys(name for row in done for name, value in row.items() if _is_figure(name, value, settings))
    )
    for name in names:
        values = [float(row[name]) for row in done if _is_figure(name, row.get(name), settings)]
        mean, low, high = student(values)
        result |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return result


def _is_figure(name: str, value: object, settings: Sequence[str]) -> bool:
    if name in settings or name in HEAD or name.endswith(("_low", "_high")):
        return False
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def student(values: Sequence[float], level: float = LEVEL) -> tuple[float, float | None, float | None]:
    """Mean and its interval, mean +- t s / sqrt(n) with n - 1 degrees of freedom; no ends with fewer than two values.

    Source: Student, The Probable Error of a Mean, 1908.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    reach = (
        float(stdtrit(len(values) - 1, (1.0 + level) / 2.0)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    )
    return mean, mean - reach, mean + reach


def as_csv(rows: Sequence[Row], first: Sequence[str] = ()) -> str:
    """Rows as CSV with one column for every name there is, ``first`` leading; None is an empty cell."""
    names = list(dict.fromkeys([*first, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
