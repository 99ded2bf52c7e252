"""One page about a curriculum: learning curves by phase, and what every gate asked for and was given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from evaluation.canvas import AGENT, BASELINES, FAINT, GAIN, LOSS, blank, label, style, svg, thin, write_png
from evaluation.tables import Cell, Grid, Row
from sim.files import write_whole

PAGE, PLOT = "course.html", "course.png"
_CAPTION = (
    "Top: mean return of the training episodes that ended in an update, in the reward of the phase, so that levels of "
    "different phases cannot be compared. Bottom: multipliers, the price of each budget's unit. A band is a round; a "
    "green one passed its gate."
)


def write_course(folder: Path, state: Mapping[str, Any]) -> Path:
    """Write ``course.html`` and ``course.png`` of a curriculum's folder; the page's path.

    ``state``: what course.json says. Rounds whose metrics are not there yet are left out of the plot.
    """
    curves = [_read_metrics(folder / entry["run"]) for entry in state["rounds"]]
    with style():
        figure = _plot(state["rounds"], curves)
        write_png(figure, folder / PLOT)
        drawn = svg(figure, "curves")
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    page = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    text = page.get_template("course.html.j2").render(
        title=f"Curriculum {state['curriculum']}",
        subtitle=f"shadowbook. Seed {state['seed']}, {state['total_steps']:,} environment steps planned.",
        lead=_lead(state),
        caption=_CAPTION,
        svg=drawn,
        rounds=[_round(entry, state["phases"]) for entry in state["rounds"]],
    )
    write_whole(folder / PAGE, text.encode())
    return folder / PAGE


def _read_metrics(run: Path) -> list[dict[str, Any]]:
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _lead(state: Mapping[str, Any]) -> str:
    rounds = state["rounds"]
    passed = {entry["phase"] for entry in rounds if entry["gate"] is not None and entry["passed"]}
    words = {
        "running": "It is still running.",
        "finished": "It went through to its last phase.",
        "stayed": f"It stayed at {rounds[-1]['phase'] if rounds else 'its first phase'}, whose gate it did not pass.",
    }
    return f"{len(passed)} of {len(state['phases'])} gates passed in {len(rounds)} rounds. {words[state['status']]}"


def _round(entry: Mapping[str, Any], meanings: Mapping[str, str]) -> dict[str, Any]:
    gate = entry["gate"]
    meaning = meanings[entry["phase"]]
    if gate is None:
        return {"run": entry["run"], "verdict": "no gate", "meaning": meaning, "table": None, "note": ""}
    rows = [
        Row(
            f"{found['name']}: {found['wanted']}",
            [Cell(_number(found["value"]), _around(found), "gain" if found["passed"] else "loss")],
        )
        for found in gate["verdicts"]
    ]
    return {
        "run": entry["run"],
        "verdict": "passed" if gate["passed"] else "not passed",
        "meaning": meaning,
        "table": Grid(["Gate", "Measured"], rows),
        "note": f"{gate['episodes']:,} episodes on {gate['judged_on']}: ${gate['result_usd']:.2f} an episode, random "
        f"${gate['random_usd']:.2f}. " + "; ".join(found["note"] for found in gate["verdicts"] if found["note"]),
    }


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _around(found: Mapping[str, Any]) -> str:
    return "" if found["low"] is None else f"{found['low']:.3g} to {found['high']:.3g}"


def _plot(rounds: Sequence[Mapping[str, Any]], curves: Sequence[Sequence[Mapping[str, Any]]]) -> Figure:
    figure = blank(4.6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    label(top, "", "", "return an episode")
    label(bottom, "", "million steps", "multipliers")
    first, named = 0.0, set()
    for entry, curve in zip(rounds, curves, strict=True):
        last = first + (curve[-1]["steps"] / 1e6 if curve else 0.0)
        for axes in (top, bottom):
            axes.axvspan(first, last, color=GAIN if entry["passed"] else LOSS, alpha=0.07, lw=0)
        top.text(
            (first + last) / 2,
            1.0,
            entry["run"],
            transform=top.get_xaxis_transform(),
            ha="center",
            va="bottom",
            color=FAINT,
        )
        chosen = [curve[index] for index in thin(len(curve))] if curve else []
        x = [first + point["steps"] / 1e6 for point in chosen]
        top.plot(x, [_value(point["return_mean"]) for point in chosen], color=AGENT)
        for colour, name in zip(BASELINES, _multipliers(curve), strict=False):
            shown = name.removeprefix("multiplier_")
            bottom.plot(x, [point[name] for point in chosen], color=colour, label="" if shown in named else shown)
            named.add(shown)
        first = last
    bottom.set_yscale("symlog", linthresh=1e-3)  # a budget's unit may be a dollar or an event
    if named:
        bottom.legend(loc="upper left", ncols=4)
    return figure


def _value(number: float | None) -> float:
    return float("nan") if number is None else number


def _multipliers(curve: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in curve[0] if name.startswith("multiplier_")] if curve else []
