"""Plots of a synthetic market against a recorded one: facts by price, quantiles, and distances in yardsticks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sim.scenarios.distance import FACTOR, Comparison
from sim.scenarios.facts import Fact

_RECORDED, _SYNTHETIC = "#1b5e8a", "#d1603d"
_PER_ROW = 3
_SMALLEST = 1e-3  # drawn on a logarithmic axis, where the fact has no resolution


def write_plots(
    folder: Path, recorded: Mapping[str, Fact], synthetic: Mapping[str, Fact], comparisons: Sequence[Comparison]
) -> list[Path]:
    """Write ``by_price.png``, ``overall.png`` and ``distances.png`` into ``folder``; returns those written.

    A plot with nothing that both markets can say is left out.
    """
    shared = [name for name, fact in recorded.items() if fact.known and synthetic[name].known]
    families = list(dict.fromkeys(name.split("/")[0] for name in shared if "/" in name))
    overall = [name for name in shared if "/" not in name]
    written = []
    if families:
        figure, axes = _grid(len(families))
        for axis, family in zip(axes, families, strict=False):
            _by_price(axis, family, recorded, synthetic)
        written.append(_save(figure, folder / "by_price.png"))
    if overall:
        figure, axes = _grid(len(overall))
        for axis, name in zip(axes, overall, strict=False):
            _components(axis, recorded[name], synthetic[name])
        written.append(_save(figure, folder / "overall.png"))
    judged = [one for one in comparisons if one.verdict != "not comparable"]
    if judged:
        written.append(_save(_distances(judged), folder / "distances.png"))
    return written


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    rows = -(-count // _PER_ROW)
    figure = Figure(figsize=(4.2 * _PER_ROW, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, _PER_ROW, place + 1) for place in range(count)]
    return figure, axes


def _by_price(axis: Axes, family: str, recorded: Mapping[str, Fact], synthetic: Mapping[str, Fact]) -> None:
    """Every component of a family's facts over the buckets of the mid."""
    names = [name for name in recorded if name.split("/")[0] == family]
    buckets = [name.split("/")[1] for name in names]
    for facts, colour, label in ((recorded, _RECORDED, "recorded"), (synthetic, _SYNTHETIC, "synthetic")):
        width = max(len(facts[name].parts) for name in names)
        table = np.full((len(names), width), np.nan)
        for row, name in enumerate(names):
            if facts[name].known:
                table[row] = facts[name].values
        floor = max(facts[names[0]].resolution, _SMALLEST)  # smaller values are drawn at the resolution
        for part in range(width):
            shown = np.maximum(table[:, part], floor)
            axis.plot(range(len(names)), shown, color=colour, alpha=0.7, marker=".", label=label if part == 0 else None)
    axis.set_yscale("log")
    axis.set_xticks(range(len(names)), buckets, rotation=45, fontsize=7)
    axis.set_title(f"{family}: {', '.join(recorded[names[0]].parts)}", fontsize=8)
    axis.set_ylabel(recorded[names[0]].unit, fontsize=8)
    axis.legend(fontsize=7)


def _components(axis: Axes, recorded: Fact, synthetic: Fact) -> None:
    """The components of a fact that is not by price."""
    places = range(len(recorded.parts))
    floor = max(recorded.resolution, _SMALLEST) if recorded.kind == "positive" else -1.0
    axis.plot(places, np.maximum(recorded.values, floor), color=_RECORDED, marker="o", label="recorded")
    axis.plot(places, np.maximum(synthetic.values, floor), color=_SYNTHETIC, marker="o", label="synthetic")
    if recorded.kind == "positive":
        axis.set_yscale("log")
    axis.set_xticks(places, recorded.parts, fontsize=7)
    axis.set_title(recorded.name, fontsize=8)
    axis.set_ylabel(recorded.unit, fontsize=8)
    axis.legend(fontsize=7)


def _distances(judged: Sequence[Comparison]) -> Figure:
    """Distance and allowance of every comparable fact."""
    figure = Figure(figsize=(8.0, 1.0 + 0.17 * len(judged)), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    places = np.arange(len(judged))
    colours = [_RECORDED if one.verdict == "pass" else _SYNTHETIC for one in judged]
    axis.barh(places, [one.distance for one in judged], color=colours, height=0.7)
    axis.scatter([FACTOR * one.yardstick for one in judged], places, marker="|", color="black", s=40, label="allowed")
    axis.set_yticks(places, [one.name for one in judged], fontsize=6)
    axis.invert_yaxis()
    axis.set_xlabel("distance; the mark is 1.5 yardsticks", fontsize=8)
    axis.legend(fontsize=7)
    return figure


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    return path
