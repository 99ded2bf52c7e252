"""What a search for several objectives leaves: all trials and the Pareto front as tables, a summary, and a plot."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from evaluation.canvas import AGENT, BASELINES, blank, label, style, write_png
from evaluation.files import write_json
from evaluation.pareto import Search, Trial, best_within, better, deflated, feasible, pareto

SUMMARY = "pareto.json"
FILES = ("trials.csv", "pareto.csv", SUMMARY, "pareto.png")


def write_outcome(
    folder: Path, trials: Sequence[Trial], search: Search, *, fresh: Mapping[int, Mapping[str, float]] | None = None
) -> dict[str, Any]:
    """Write ``trials.csv``, ``pareto.csv``, ``pareto.json`` and ``pareto.png`` into ``folder``; what pareto.json says.

    ``fresh``: by a trial's number, its figures on episodes that no choice was made by. They are what counts: the
    figures of the search are the best of many, and too good by that.
    """
    front = pareto(trials, search.objectives, search.budgets)
    names = [*search.objectives, *(name for name in search.budgets if name not in search.objectives)]
    _write_csv(folder / "trials.csv", trials, search, names, {trial.number for trial in front}, {})
    _write_csv(folder / "pareto.csv", front, search, names, {trial.number for trial in front}, fresh or {})
    outcome = _summary(trials, front, search, fresh or {})
    write_json(folder / SUMMARY, outcome)
    with style():
        write_png(_plot(trials, front, search), folder / "pareto.png")
    return outcome


def _summary(
    trials: Sequence[Trial], front: Sequence[Trial], search: Search, fresh: Mapping[int, Mapping[str, float]]
) -> dict[str, Any]:
    best = deflated(trials, search.budgets)
    named = best_within(trials, search.objectives[0], search.budgets)
    return {
        "objectives": {name: "more" if better(name) > 0 else "less" for name in search.objectives},
        "budgets": dict(search.budgets),
        "ranges": {name: entry._asdict() for name, entry in search.ranges.items()},
        "sampler": search.sampler,
        "seed": search.seed,
        "trials": len(trials),
        "failed": sum(bool(trial.error) for trial in trials),
        "within_budgets": sum(feasible(trial, search.budgets) for trial in trials),
        "seconds": round(sum(trial.seconds for trial in trials), 1),
        "pareto": [_plain(trial, search, fresh) for trial in front],
        "best_within": {budget: None if one is None else _plain(one, search, fresh) for budget, one in named.items()},
        "deflated_sharpe": None if best is None else {k: _number(v) for k, v in best._asdict().items()},
    }


def _plain(trial: Trial, search: Search, fresh: Mapping[int, Mapping[str, float]]) -> dict[str, Any]:
    names = (*search.objectives, *search.budgets)
    seen = fresh.get(trial.number)
    return {
        "number": trial.number,
        "params": trial.params,
        "figures": {name: _number(trial.figures[name]) for name in names},
        "fresh": None if seen is None else {name: _number(seen.get(name, math.nan)) for name in names},
    }


def _number(value: float) -> float | int | None:
    return value if math.isfinite(value) else None


def _write_csv(
    path: Path,
    trials: Sequence[Trial],
    search: Search,
    names: Sequence[str],
    front: set[int],
    fresh: Mapping[int, Mapping[str, float]],
) -> None:
    """One line a trial: number, parameters, figures, whether it keeps the budgets and is on the front, cost, error."""
    notes = list(dict.fromkeys(name for trial in trials for name in trial.notes))
    head = [
        "number",
        *search.ranges,
        *names,
        *(f"fresh_{name}" for name in names if fresh),
        "feasible",
        "pareto",
        *notes,
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*head, "seconds", "error"])
        for trial in trials:
            seen = fresh.get(trial.number, {})
            writer.writerow(
                [
                    trial.number,
                    *(trial.params.get(name, "") for name in search.ranges),
                    *(trial.figures.get(name, "") for name in names),
                    *(seen.get(name, "") for name in names if fresh),
                    int(feasible(trial, search.budgets)),
                    int(trial.number in front),
                    *(trial.notes.get(name, "") for name in notes),
                    round(trial.seconds, 3),
                    " ".join(trial.error.split()),
                ]
            )


def _plot(trials: Sequence[Trial], front: Sequence[Trial], search: Search) -> Figure:
    """The first two objectives: trials within budgets and beyond, and the front; one objective: by the trial."""
    figure = blank(4.2)
    axes = figure.subplots()
    across = search.objectives[1] if len(search.objectives) > 1 else None
    groups = (
        ("beyond a budget", [t for t in trials if not t.error and not feasible(t, search.budgets)], BASELINES[0], 14),
        ("within the budgets", [t for t in trials if feasible(t, search.budgets)], BASELINES[1], 18),
        ("no other is better", list(front), AGENT, 34),
    )
    for name, group, colour, size in groups:
        x = [trial.figures[across] if across else trial.number for trial in group]
        y = [trial.figures[search.objectives[0]] for trial in group]
        axes.scatter(x, y, s=size, color=colour, label=f"{name} ({len(group)})", linewidths=0)
    label(axes, "Trials", across or "trial", search.objectives[0])
    axes.legend(loc="best")
    return figure
