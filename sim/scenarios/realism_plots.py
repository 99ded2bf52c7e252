"""Plots of a synthetic market against a recorded one: facts by price, quantiles, and distances in yardsticks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from sim.scenarios.distance import FACTOR, Comparison
from sim.scenarios.facts import Fact

_RECORDED, _SYNTHETIC = "#1b5e8a", "#d1603d"
_PER_ROW = 3
_MOST_LINES = 4  # components drawn over the price
_PAIR = 2
_FURTHEST = 4.0  # what is further away is told by a number
_LABELS = ("recorded", "synthetic")
_BUCKETS = colormaps["viridis"]
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
    """Every component of a family's facts over the buckets of the mid; many components over themselves, by bucket."""
    names = [name for name in recorded if name.split("/")[0] == family]
    parts, buckets = recorded[names[0]].parts, [name.split("/")[1] for name in names]
    tables = [_table(facts, names, len(parts)) for facts in (recorded, synthetic)]
    many = len(parts) > _MOST_LINES
    if many:
        for row, bucket in enumerate(buckets):
            shade = _BUCKETS(0.15 + 0.7 * row / max(len(buckets) - 1, 1))
            axis.plot(range(len(parts)), tables[0][row], color=shade, marker=".", label=f"{bucket} c")
            axis.plot(range(len(parts)), tables[1][row], color=shade, marker=".", linestyle="--")
        axis.legend(fontsize=6, ncols=2, title="dashed: synthetic", title_fontsize=6)
    else:
        for table, colour, label in zip(tables, (_RECORDED, _SYNTHETIC), _LABELS, strict=True):
            for part, name in enumerate(parts):
                axis.plot(range(len(names)), table[:, part], color=colour, alpha=0.8, marker=".",
                          label=label if part == 0 else None)  # fmt: skip
                _name_line(axis, table[:, part], name if table is tables[0] and len(parts) > 1 else "")
        axis.legend(fontsize=7)
    axis.set_xticks(*(((range(len(parts))), parts) if many else (range(len(names)), buckets)), rotation=45, fontsize=7)
    axis.margins(x=0.12)
    axis.set_title(family, fontsize=8)
    axis.set_ylabel(recorded[names[0]].unit, fontsize=8)
    _log_axis(axis)


def _table(facts: Mapping[str, Fact], names: Sequence[str], width: int) -> np.ndarray:
    """(names, width) values, not below what a logarithmic axis can show; nan where not known."""
    floor = max(facts[names[0]].resolution, _SMALLEST)
    table = np.full((len(names), width), np.nan)
    for row, name in enumerate(names):
        if facts[name].known:
            table[row] = np.maximum(facts[name].values, floor)
    return table


def _name_line(axis: Axes, values: np.ndarray, name: str) -> None:
    """Write a line's name at its right end."""
    known = np.flatnonzero(~np.isnan(values))
    if name and len(known):
        end = known[-1]
        axis.annotate(name, (end, values[end]), xytext=(4, 0), textcoords="offset points", fontsize=6, va="center")


def _log_axis(axis: Axes) -> None:
    """A logarithmic axis with plain numbers, also between powers of ten where there is room."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.yaxis.set_major_formatter(FuncFormatter(_plain))
    steps = (2.0, 5.0) if high / low < 100.0 else ()
    axis.yaxis.set_minor_locator(LogLocator(subs=steps) if steps else NullLocator())
    axis.yaxis.set_minor_formatter(FuncFormatter(_plain))
    axis.tick_params(axis="y", which="both", labelsize=7)


def _plain(value: float, _: object) -> str:
    return f"{value:g}"


def _components(axis: Axes, recorded: Fact, synthetic: Fact) -> None:
    """The components of a fact that is not by price; joined by lines where they are quantiles or lags."""
    places = range(len(recorded.parts))
    floor = max(recorded.resolution, _SMALLEST) if recorded.kind == "positive" else -1.0
    line = "-" if len(places) > _PAIR else ""
    for fact, colour, label in zip((recorded, synthetic), (_RECORDED, _SYNTHETIC), _LABELS, strict=True):
        axis.plot(places, np.maximum(fact.values, floor), color=colour, marker="o", linestyle=line, label=label)
    axis.set_xticks(places, recorded.parts, fontsize=7)
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.set_title(recorded.name, fontsize=8)
    axis.set_ylabel(recorded.unit, fontsize=8)
    if recorded.kind == "positive":
        _log_axis(axis)
    else:
        axis.set_ylim(min(0.0, axis.get_ylim()[0]), None)
        axis.tick_params(axis="y", labelsize=7)
    axis.legend(fontsize=7)


def _distances(judged: Sequence[Comparison]) -> Figure:
    """Distance of every comparable fact, as a share of what is allowed; those that only one market can say are open."""
    figure = Figure(figsize=(8.0, 1.0 + 0.17 * len(judged)), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    places = np.arange(len(judged))
    allowed = np.array([max(FACTOR * one.yardstick, _SMALLEST) for one in judged])
    found = np.array([one.distance for one in judged]) / allowed
    shown = np.where(np.isnan(found), _FURTHEST, np.minimum(found, _FURTHEST))
    colours = [_RECORDED if one.verdict == "pass" else _SYNTHETIC for one in judged]
    bars = axis.barh(places, shown, color=colours, height=0.7)
    for bar, value in zip(bars, found, strict=True):
        if np.isnan(value):
            bar.set(fill=False, edgecolor=_SYNTHETIC, hatch="//")
        elif value > _FURTHEST:
            axis.annotate(f"{value:.1f}", (_FURTHEST, bar.get_y() + bar.get_height() / 2), fontsize=6, va="center")
    axis.axvline(1.0, color="black", linewidth=1.0)
    axis.set_yticks(places, [one.name for one in judged], fontsize=6)
    axis.set_ylim(len(judged) - 0.5, -0.5)
    axis.set_xlim(0.0, _FURTHEST * 1.06)
    axis.tick_params(axis="x", labelsize=7)
    axis.set_xlabel(f"distance / {FACTOR} yardsticks; beyond the line is a miss; hatched: cannot be said", fontsize=8)
    return figure


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    return path
