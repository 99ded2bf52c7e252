"""The report's plots. Each function draws one figure; its first line is what the figure shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.attribution import PARTS
from evaluation.canvas import (
    AGENT,
    FAINT,
    GAIN,
    INK,
    LOSS,
    blank,
    colours,
    label,
    legend,
    panels,
    thin,
    weight,
)
from evaluation.episodes import Episodes, column_at
from evaluation.estimates import MARKOUT_S, METRICS, spread_cents
from evaluation.metrics import max_drawdown
from evaluation.text import number
from sim.types import LOTS_PER_CONTRACT, SECOND_NS, UUSD

GRID_POINTS = 120  # points in time of a path
KIND_SHADES = (
    "#e3e7ec", "#2a7f62", "#b5443c", "#8cc3ae", "#dda29d", "#1f4fa3", "#d08c2f", "#8fb0dd", "#ecc78f", "#5f4f8c",
    "#9486b8", "#c9c1dd", "#7d5a3c", "#c23b8f",
)  # fmt: skip
MARKET_SHADES = (INK, "#d08c2f", "#7b5ea7", "#3a9188", "#b65a7d", "#6d7f3a", "#4d86b8", "#a0522d")
LEAST_RUNNING = 0.1  # share of the episodes below which a path over them is not drawn
MARKS = ("v", "o", "^", "s")


def equity(runs: Mapping[str, Episodes]) -> Figure:
    """Result summed over episodes, and the mean path inside an episode with a 95 % band."""
    figure = blank(3.2)
    left, right = figure.subplots(1, 2)
    paint = colours(list(runs))
    for rank, (name, episodes) in enumerate(runs.items()):
        total = np.r_[0, np.cumsum(_in_time(episodes))] / UUSD
        at = thin(len(total))
        left.plot(at, total[at], color=paint[name], label=name, **weight(rank == 0))
        seconds, paths = on_grid(episodes, (episodes.equity_uusd - episodes.start_uusd[:, None]) / UUSD)
        mean, error = paths.mean(axis=0), paths.std(axis=0) / np.sqrt(len(paths))
        right.plot(seconds, mean, color=paint[name], **weight(rank == 0))
        if rank == 0:
            right.fill_between(seconds, mean - 1.96 * error, mean + 1.96 * error, color=paint[name], alpha=0.14, lw=0)
    label(left, "Result, summed over episodes", "episode", "dollars")
    label(right, "Mean path inside an episode", "seconds", "dollars")
    legend(figure, left)
    return figure


def drawdown(runs: Mapping[str, Episodes]) -> Figure:
    """How far the summed result lies below its peak, and how deep single episodes fell."""
    figure = blank(3.0)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    paint = colours(list(runs))
    for rank, (name, episodes) in enumerate(runs.items()):
        total = np.r_[0, np.cumsum(_in_time(episodes))] / UUSD
        at = thin(len(total))
        under = total - np.maximum.accumulate(total)
        left.plot(at, under[at], color=paint[name], label=name, **weight(rank == 0))
    falls = [max_drawdown(episodes.equity_uusd) / UUSD for episodes in runs.values()]
    boxes = right.boxplot(falls, orientation="horizontal", whis=(5, 95), showfliers=False, patch_artist=True)
    for box, middle, name in zip(boxes["boxes"], boxes["medians"], runs, strict=True):
        box.set(facecolor=paint[name], alpha=0.35, edgecolor=paint[name])
        middle.set(color=paint[name], linewidth=2)
    for line in (*boxes["whiskers"], *boxes["caps"]):
        line.set(color=FAINT, linewidth=1)
    right.set_yticks(range(1, len(runs) + 1), list(runs))
    right.invert_yaxis()
    label(left, "Below the peak of the summed result", "episode", "dollars")
    label(right, "Largest fall inside an episode", "dollars", "")
    legend(figure, left)
    return figure


def inventory(runs: Mapping[str, Episodes]) -> Figure:
    """Net position over an episode, or the sum over its markets: median, middle half, and 5 to 95 %."""
    figure, boxes = panels(len(runs), 1.75, sharey=True)
    paint = colours(list(runs))
    for axes, (name, episodes) in zip(boxes, runs.items(), strict=True):
        seconds, paths = on_grid(episodes, episodes.held_qty / LOTS_PER_CONTRACT)
        running = seconds[None, :] * SECOND_NS <= episodes.elapsed_ns[:, -1:]
        drawn = running.mean(axis=0) >= LEAST_RUNNING
        seconds, paths = seconds[drawn], np.where(running, paths, np.nan)[:, drawn]
        low, quarter, median, three, high = np.nanquantile(paths, (0.05, 0.25, 0.5, 0.75, 0.95), axis=0)
        axes.fill_between(seconds, low, high, color=paint[name], alpha=0.15, lw=0)
        axes.fill_between(seconds, quarter, three, color=paint[name], alpha=0.3, lw=0)
        axes.plot(seconds, median, color=paint[name])
        axes.axhline(0, color=FAINT, lw=0.6)
        label(axes, name, "seconds", "contracts")
    return figure


def fills_on_price(runs: Mapping[str, Episodes], shown: Sequence[tuple[str, int]]) -> Figure:
    """Mid, own fills and net position; ``shown`` lists (title, episode) columns, a row per policy."""
    figure = blank(2.7 * len(runs) + 0.35)
    rows = figure.subplots(2 * len(runs), len(shown), sharex="col", squeeze=False, height_ratios=(3, 1) * len(runs))
    for index, (name, episodes) in enumerate(runs.items()):
        for column, (title, episode) in enumerate(shown):
            price, position = rows[2 * index][column], rows[2 * index + 1][column]
            _price_chart(price, episodes, episode)
            _position_strip(position, episodes, episode)
            result = number(episodes.result_uusd[episode] / UUSD, METRICS["result_usd"], sign=True)
            # two lines: a market's name may be long
            label(price, f"{name}, {result} dollars\n{title}", "", "" if column else "cents")
            last = index == len(runs) - 1
            label(position, "", "seconds" if last else "", "" if column else "contracts")
    if next(iter(runs.values())).num_markets > 1:
        legend(figure, rows[0][0])
    return figure


def action_mix(runs: Mapping[str, Episodes]) -> Figure:
    """Share of decisions that chose each kind of action."""
    kinds: dict[str, list[int]] = {}
    for index, name in enumerate(next(iter(runs.values())).action_names):
        kinds.setdefault(_kind(name), []).append(index)
    figure = blank(0.75 + 0.32 * len(runs))
    axes = figure.subplots()
    left = np.zeros(len(runs))
    for rank, (kind, members) in enumerate(kinds.items()):
        share = np.array([100 * np.isin(run.action, members).sum() / _choices(run) for run in runs.values()])
        shade = KIND_SHADES[rank % len(KIND_SHADES)]
        axes.barh(range(len(runs)), share, left=left, color=shade, label=kind, height=0.62)
        left += share
    axes.set_yticks(range(len(runs)), list(runs))
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.grid(axis="y", visible=False)
    label(axes, "", "% of decisions", "")
    legend(figure, axes)
    return figure


def markouts(card: Mapping[str, Any], runs: Mapping[str, Episodes]) -> Figure:
    """What a fill was worth later, with intervals; at 0 s its spread."""
    figure = blank(3.1)
    axes = figure.subplots()
    paint = colours(list(runs))
    traders = [name for name, episodes in runs.items() if len(episodes.fill)]
    for rank, name in enumerate(traders):
        metrics = card["results"][card["headline"]][name]["metrics"]
        points = [metrics[f"markout_{s}s_cents"] for s in MARKOUT_S]
        at = np.arange(len(points) + 1) + 0.07 * (rank - (len(traders) - 1) / 2)
        spread = spread_cents(runs[name])
        values = np.array([spread, *(_number(p["value"]) for p in points)])
        low = np.array([spread, *(_number(p["low"]) for p in points)])
        high = np.array([spread, *(_number(p["high"]) for p in points)])
        axes.vlines(at, low, high, color=paint[name], lw=1.2, alpha=0.6)
        axes.plot(at, values, color=paint[name], marker="o", ms=3.5, label=name, **weight(name == next(iter(runs))))
    axes.axhline(0, color=FAINT, lw=0.8)
    axes.set_xticks(range(len(MARKOUT_S) + 1), ["at the fill", *(f"{s} s" for s in MARKOUT_S)])
    axes.grid(axis="x", visible=False)
    label(axes, "", "after the fill", "cents a contract")
    legend(figure, axes)
    return figure


def attribution(card: Mapping[str, Any]) -> Figure:
    """The parts of each policy's result, an episode, and their sum."""
    results = card["results"][card["headline"]]
    figure, boxes = panels(len(results), 1.85, sharey=True)
    names = [part.replace("_", " ").replace("adverse selection", "adverse sel.") for part in PARTS]
    for axes, (policy, result) in zip(boxes, results.items(), strict=True):
        parts = np.array([result["attribution_uusd"][part] for part in PARTS]) / UUSD / result["episodes"]
        base = np.r_[0, np.cumsum(parts)[:-1]]
        axes.bar(range(len(parts)), parts, bottom=base, width=0.62, color=[GAIN if p >= 0 else LOSS for p in parts])
        axes.bar(len(parts), parts.sum(), width=0.62, color=AGENT if policy == card["agent"] else FAINT)
        axes.axhline(0, color=FAINT, lw=0.8)
        axes.use_sticky_edges = False
        axes.margins(x=0.02, y=0.12)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xticks(range(len(parts) + 1), [*names, "total"], rotation=40, ha="right", rotation_mode="anchor")
        axes.grid(axis="x", visible=False)
        label(axes, policy, "", "dollars")
    return figure


def bracket(card: Mapping[str, Any]) -> Figure:
    """Mean result under each fill model: the span between what the fills could have been."""
    figure = blank(0.9 + 0.42 * len(card["policies"]))
    axes = figure.subplots()
    models = card["fill_models"]
    paint = colours(card["policies"])
    for row, name in enumerate(card["policies"]):
        for index, model in enumerate(models):
            point = card["results"][model][name]["metrics"]["result_usd"]
            at = row + 0.2 * (index - (len(models) - 1) / 2)
            axes.hlines(at, _number(point["low"]), _number(point["high"]), color=paint[name], lw=1.4, alpha=0.55)
            axes.plot(point["value"], at, MARKS[index], color=paint[name], ms=5, mec="white", mew=0.6)
    for index, model in enumerate(models):
        axes.plot([], [], MARKS[index], color=FAINT, ms=5, label=f"{card['fill_names'][model]} fills")
    axes.axvline(0, color=FAINT, lw=0.8)
    axes.set_yticks(range(len(card["policies"])), card["policies"])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    label(axes, "", "dollars an episode", "")
    legend(figure, axes)
    return figure


def on_grid(episodes: Episodes, path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds ``(G,)`` and the path's values ``(E, G)`` there; behind an episode's end its last value."""
    longest = int(episodes.elapsed_ns.max())
    at_ns = np.linspace(0, longest, GRID_POINTS).astype(np.int64)
    episode = np.repeat(np.arange(len(episodes)), GRID_POINTS).reshape(len(episodes), GRID_POINTS)
    column = column_at(episodes, episode, np.broadcast_to(at_ns, episode.shape))
    return at_ns / SECOND_NS, path[episode, np.minimum(column, episodes.steps[:, None])].astype(np.float64)


def _price_chart(axes: Axes, episodes: Episodes, episode: int) -> None:
    """The mids in cents, bought ▲ and sold ▼, filled marks for takers, hollow ones for resting orders."""
    columns = slice(0, episodes.steps[episode] + 1)
    seconds = episodes.elapsed_ns[episode, columns] / SECOND_NS
    for market in range(episodes.num_markets):
        mid2 = episodes.mid2_px[episode * episodes.num_markets + market, columns]
        shade = MARKET_SHADES[market % len(MARKET_SHADES)]
        axes.plot(seconds, mid2 / 200, color=shade, lw=1.0, drawstyle="steps-post", label=episodes.place(market))
    fill = episodes.fill[episodes.fill_episode == episode]
    at = (fill["ns"] - episodes.start_ns[episode]) / SECOND_NS
    crowd = min(1.0, math.sqrt(20 / max(1, len(fill))))  # many fills are drawn smaller
    area = crowd * (10 + 55 * np.abs(fill["qty"]) / np.abs(fill["qty"]).max(initial=1))
    for bought, mark, colour in ((True, "^", GAIN), (False, "v", LOSS)):
        for maker in (False, True):
            chosen = ((fill["qty"] > 0) == bought) & ((fill["maker"] == 1) == maker)
            face = "white" if maker else colour
            axes.scatter(
                at[chosen], fill["px"][chosen] / 100, area[chosen], marker=mark, facecolor=face, edgecolor=colour,
                linewidth=0.8, zorder=3,
            )  # fmt: skip


def _position_strip(axes: Axes, episodes: Episodes, episode: int) -> None:
    columns = slice(0, episodes.steps[episode] + 1)
    seconds = episodes.elapsed_ns[episode, columns] / SECOND_NS
    position = episodes.held_qty[episode, columns] / LOTS_PER_CONTRACT
    axes.fill_between(seconds, position, step="post", color=AGENT, alpha=0.25, lw=0)
    axes.axhline(0, color=FAINT, lw=0.6)


def _choices(episodes: Episodes) -> int:
    """Decisions taken: one a step and market."""
    return episodes.env_steps * episodes.num_markets


def _in_time(episodes: Episodes) -> np.ndarray:
    """Results in the order the episodes started; synthetic ones in the order they were played."""
    return episodes.result_uusd[np.argsort(np.where(episodes.tape >= 0, episodes.start_ns, 0), kind="stable")]


def _kind(action: str) -> str:
    """An action's name less its size: "buy yes 25" is a "buy yes"."""
    return action.rstrip("0123456789. ").strip() or action


def _number(value: float | None) -> float:
    return math.nan if value is None else value
