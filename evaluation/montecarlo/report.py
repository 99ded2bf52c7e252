"""What a Monte Carlo run found: figures with intervals as plain JSON values, a table, a plot of the tails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evaluation.bootstrap import LEVEL, RESAMPLES, Interval, plain, tail_note
from evaluation.canvas import FAINT, MAX_POINTS, blank, colours, label, legend, style, weight, write_png
from evaluation.estimates import Metric
from evaluation.files import write_json
from evaluation.montecarlo.histogram import CENT_UUSD, Histogram
from evaluation.montecarlo.intervals import cvar_interval, mean_interval, quantile_interval
from evaluation.montecarlo.shards import Shard
from evaluation.parity import rate_interval
from evaluation.text import caption, interval
from sim.types import UUSD

SCHEMA = 1  # of montecarlo.json; goes up when a key changes its name or meaning
FILE = "montecarlo.json"
PLOT = "tails.png"
TAILS = (0.95, 0.99)
FIGURES: dict[str, Metric] = {
    "result_usd": Metric("Result per episode", "$", 3, 1),
    "var95_usd": Metric("VaR 95 %", "$", 2, -1),
    "var99_usd": Metric("VaR 99 %", "$", 2, -1),
    "cvar95_usd": Metric("CVaR 95 %", "$", 2, -1),
    "cvar99_usd": Metric("CVaR 99 %", "$", 2, -1),
    "drawdown_usd": Metric("Max drawdown, mean", "$", 3, -1),
    "drawdown95_usd": Metric("Max drawdown, 95 % quantile", "$", 2, -1),
    "drawdown99_usd": Metric("Max drawdown, 99 % quantile", "$", 2, -1),
    "kill": Metric("Kill probability", "%", 4, -1),
}
_CENTS = UUSD // CENT_UUSD  # in a dollar


def figures(shard: Shard, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL) -> dict[str, Interval]:
    """Every figure of FIGURES with its interval, in dollars; see docs/montecarlo.md."""
    losses, falls = shard.results.mirrored(), shard.drawdowns
    found = {
        "result_usd": _dollars(mean_interval(shard.results, shard.result_uusd / CENT_UUSD, level=level)),
        "drawdown_usd": _dollars(mean_interval(falls, shard.drawdown_uusd / CENT_UUSD, level=level)),
        "kill": rate_interval(shard.kills, shard.episodes, level),
    }
    for share in TAILS:
        name = round(100 * share)
        found[f"var{name}_usd"] = _dollars(quantile_interval(losses, share, level=level))
        found[f"cvar{name}_usd"] = _dollars(cvar_interval(losses, share, seed=seed, resamples=resamples, level=level))
        found[f"drawdown{name}_usd"] = _dollars(quantile_interval(falls, share, level=level))
    return {name: found[name] for name in FIGURES}


def make_card(
    shards: Mapping[str, Shard], facts: Mapping[str, Any], *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """The run as plain JSON values: the first policy is the one that is judged.

    Keys: schema, suite, policies, ``facts``, interval, tails (why a CVaR has no interval, ""), results[policy] =
    metrics {value, low, high; null = not defined}, episodes, kills, ruins, steps, worst and best result. Nothing in it
    depends on when or how it was played.
    """
    options: dict[str, Any] = {"seed": seed, "resamples": resamples, "level": LEVEL}
    return {
        "schema": SCHEMA,
        "suite": "montecarlo",
        "policies": list(shards),
        **facts,
        "interval": options,
        "tails": tail_note(next(iter(shards.values())).episodes, TAILS),
        "results": {name: _result(shard, options) for name, shard in shards.items()},
    }


def _result(shard: Shard, options: dict[str, Any]) -> dict[str, Any]:
    found = figures(shard, **options)
    return {
        "metrics": {name: plain(one) for name, one in found.items()},
        "episodes": shard.episodes,
        "kills": shard.kills,
        "ruins": shard.ruins,
        "steps": shard.steps,
        "result_uusd": shard.result_uusd,
        "worst_usd": int(shard.results.values[0]) / _CENTS,
        "best_usd": int(shard.results.values[-1]) / _CENTS,
    }


def write(folder: Path, card: Mapping[str, Any], shards: Mapping[str, Shard]) -> dict[str, Path]:
    """Write ``montecarlo.json`` and ``tails.png``; where they lie."""
    with style():
        write_png(tails(shards), folder / PLOT)
    return {"figures": write_json(folder / FILE, card), "plot": folder / PLOT}


def print_card(card: Mapping[str, Any], console: Console) -> None:
    """A table: a row a figure, a column a policy."""
    count = next(iter(card["results"].values()))["episodes"]
    table = Table(
        title=f"{count:,} episodes, {100 * card['interval']['level']:g} % intervals",
        title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    table.add_column("")
    for name in card["policies"]:
        table.add_column(escape(name), justify="right")
    for key, metric in FIGURES.items():
        cells = [interval(card["results"][name]["metrics"][key], metric) for name in card["policies"]]
        table.add_row(escape(caption(metric)), *(escape(f"{value} {ends}".strip()) for value, ends in cells))
    console.print(table)
    if card["tails"]:
        console.print(card["tails"], style="dim", highlight=False)


def tails(shards: Mapping[str, Shard]) -> Figure:
    """How often a loss, and a drawdown, is larger than so many dollars: both axes of probability logarithmic."""
    figure = blank(3.4)
    axes = figure.subplots(1, 3)
    paint = colours(list(shards))
    for rank, (name, shard) in enumerate(shards.items()):
        look = {"color": paint[name], "label": name, **weight(rank == 0)}
        middles, density = _binned(shard.results)
        axes[0].plot(middles, density, drawstyle="steps-mid", **look)
        for plot, values in ((axes[1], shard.results.mirrored()), (axes[2], shard.drawdowns)):
            dollars, beyond = _beyond(values)
            plot.plot(dollars, beyond, drawstyle="steps-post", **look)
    for plot in axes[1:]:
        for share in TAILS:
            plot.axhline(1.0 - share, color=FAINT, lw=0.7, ls=":")
    for plot in axes:
        plot.set_yscale("log")
        plot.xaxis.set_major_locator(MaxNLocator(4))
    label(axes[0], "Results", "dollars", "share of episodes a dollar")
    label(axes[1], "Loss larger than", "dollars", "share of episodes")
    label(axes[2], "Drawdown larger than", "dollars", "share of episodes")
    axes[1].set_xlim(left=0.0)
    axes[2].set_xlim(left=0.0)
    legend(figure, axes[0])
    return figure


def _dollars(cents: Interval) -> Interval:
    return Interval(*(value / _CENTS for value in cents))


def _beyond(values: Histogram) -> tuple[np.ndarray, np.ndarray]:
    """Dollars, and the share of draws above them, at points that are even on a logarithmic axis of shares.

    The last value, which no draw is above, is left out.
    """
    above = values.total - np.cumsum(values.counts)
    above = above[above > 0]
    if len(above) == 0:
        return np.zeros(0), np.zeros(0)
    wanted = np.geomspace(above[0], above[-1], MAX_POINTS)
    at = np.unique(np.searchsorted(-above, -wanted))
    return values.values[at] / _CENTS, above[at] / values.total


def _binned(values: Histogram, bins: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Middles and densities of bins that are whole cents wide; empty bins are NaN."""
    low, high = int(values.values[0]), int(values.values[-1])
    width = max(1, -(-(high - low + 1) // bins))
    counts = np.bincount((values.values - low) // width, values.counts)
    density = np.where(counts > 0, counts / (values.total * width / _CENTS), np.nan)
    return (low + (np.arange(len(counts)) + 0.5) * width) / _CENTS, density
