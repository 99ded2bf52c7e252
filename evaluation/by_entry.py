"""Policies over the scenario library: a few figures for each entry, in one table, one plot and one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evaluation.bootstrap import LEVEL, RESAMPLES, Interval, bootstrap, false_alarms, of_tail, plain, tail_note
from evaluation.canvas import FAINT, blank, colours, label, legend, style, write_png
from evaluation.compare import Evaluation
from evaluation.episodes import Episodes, clusters
from evaluation.estimates import Metric
from evaluation.files import write_json
from evaluation.metrics import TAIL, expected_shortfall
from evaluation.parity import KILL, rate_interval
from evaluation.text import NOT_DEFINED, interval
from sim.types import UUSD

SCHEMA = 1  # of library.json
FILE = "library.json"
PLOT = "library.png"
FIGURES: dict[str, Metric] = {
    "result_usd": Metric("Result per episode", "$", 2, 1),
    "cvar95_usd": Metric("CVaR 95 %", "$", 2, -1),
    "kill": Metric("Kill rate", "%", 2, -1),
}


def entry_figures(outcome: Evaluation, *, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, dict[str, Any]]:
    """Figures of every policy on one entry under the headline fills: {policy: {figure: {value, low, high}}}."""
    return {
        name: {key: plain(one) for key, one in _figures(episodes, seed, resamples).items()}
        for name, episodes in outcome.shown.items()
    }


def _figures(episodes: Episodes, seed: int, resamples: int) -> dict[str, Interval]:
    result = episodes.result_uusd / UUSD
    groups = clusters(episodes)
    count = int(groups.max()) + 1
    sums, sizes = np.bincount(groups, result, count), np.bincount(groups, minlength=count).astype(np.float64)
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    killed = episodes.ruined.copy()
    if KILL in episodes.cost_names:
        killed |= episodes.costs[:, episodes.cost_names.index(KILL)] > 0
    cvar = bootstrap(lambda weights: expected_shortfall(-result, weights[:, groups]), count, **options)
    return {
        "result_usd": bootstrap(lambda weights: (weights @ sums) / (weights @ sizes), count, **options),
        "cvar95_usd": of_tail(cvar, count, TAIL),
        "kill": rate_interval(int(killed.sum()), len(episodes)),
    }


def make_card(entries: list[dict[str, Any]], facts: Mapping[str, Any], policies: list[str]) -> dict[str, Any]:
    """The suite as plain JSON values.

    ``entries``: name, title, version, digest, and ``results`` of `entry_figures`, or ``refused``: why a policy cannot
    play it. ``facts`` are what all have in common.
    """
    return {
        "schema": SCHEMA,
        "suite": "library",
        "policies": policies,
        **facts,
        "legend": {name: metric._asdict() for name, metric in FIGURES.items()},
        "entries": entries,
        "tails": tail_note(facts["episodes"], (TAIL,)),
        "false_alarms": false_alarms(sum(len(entry["results"]) for entry in entries), LEVEL),
    }


def write(folder: Path, card: Mapping[str, Any]) -> dict[str, Path]:
    """Write ``library.json`` and ``library.png``; where they lie."""
    with style():
        write_png(plot(card), folder / PLOT)
    return {"figures": write_json(folder / FILE, card), "plot": folder / PLOT}


def print_card(card: Mapping[str, Any], console: Console) -> None:
    """One table: a row an entry and policy. A result whose interval excludes zero is coloured."""
    table = Table(
        title=f"Scenario library, {card['episodes']} episodes an entry, {100 * LEVEL:g} % intervals",
        title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    table.add_column("entry")
    table.add_column("policy")
    for metric in FIGURES.values():
        table.add_column(f"{metric.label}, {metric.unit}", justify="right")
    for entry in card["entries"]:
        for rank, (name, found) in enumerate(entry["results"].items()):
            cells = [_cell(found[key], metric) for key, metric in FIGURES.items()]
            table.add_row(entry["name"] if rank == 0 else "", escape(name), *cells)
        for name in entry["refused"]:
            table.add_row(entry["name"] if not entry["results"] else "", escape(name), *[NOT_DEFINED] * len(FIGURES))
    console.print(table)
    for entry in card["entries"]:
        for name, why in entry["refused"].items():
            console.print(f"{entry['name']}: {name} cannot play it: {why}", style="dim", markup=False, highlight=False)
    console.print(f"{card['false_alarms']} {card['tails']}".strip(), style="dim", highlight=False)


def _cell(estimate: Mapping[str, float | None], metric: Metric) -> str:
    value, ends = interval(estimate, metric, sign=metric.better > 0)
    text = escape(f"{value} {ends}".strip())
    low, high = estimate["low"], estimate["high"]
    if metric.better > 0 and low is not None and low > 0:
        return f"[green]{text}[/green]"
    if metric.better > 0 and high is not None and high < 0:
        return f"[red]{text}[/red]"
    return text


def _reach(estimate: Mapping[str, float | None], end: str) -> float:
    """How far an interval reaches from its value to an end; 0 where it has none."""
    value, bound = estimate["value"], estimate[end]
    return 0.0 if value is None or bound is None else abs(bound - value)


def plot(card: Mapping[str, Any]) -> Figure:
    """Result and CVaR of every policy on every entry, with the intervals that there are."""
    entries = [entry for entry in card["entries"] if entry["results"]]
    figure = blank(1.2 + 0.24 * len(entries))
    left, right = figure.subplots(1, 2, sharey=True)
    paint = colours(card["policies"])
    for rank, name in enumerate(card["policies"]):
        rows = [(place, entry["results"][name]) for place, entry in enumerate(entries) if name in entry["results"]]
        shift = 0.6 * ((rank + 0.5) / len(card["policies"]) - 0.5)
        for axes, key in ((left, "result_usd"), (right, "cvar95_usd")):
            at = [place + shift for place, _ in rows]
            values = [found[key]["value"] for _, found in rows]
            ends = [[_reach(found[key], end) for _, found in rows] for end in ("low", "high")]
            axes.errorbar(values, at, xerr=ends, fmt="o", ms=3, lw=1, color=paint[name], label=name)
    for axes in (left, right):
        axes.axvline(0.0, color=FAINT, lw=0.8)
    left.set_yticks(range(len(entries)), [entry["name"] for entry in entries])
    left.invert_yaxis()
    label(left, "Result per episode", "dollars", "")
    label(right, "CVaR 95 %", "dollars", "")
    legend(figure, left)
    return figure
