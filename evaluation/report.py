"""One self-contained HTML page about an evaluation, and its plots as PNG files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
from matplotlib.figure import Figure

from evaluation import link_plots, plots, tables
from evaluation.canvas import style, svg, write_png
from evaluation.compare import Evaluation
from evaluation.episodes import Episodes
from evaluation.regression import regression_table
from evaluation.scorecard import scorecard
from sim.files import write_whole

REPORT = "report.html"  # written last: where it is, an evaluation is whole
FILES = ("scorecard.json", REPORT, "plots")  # what an evaluation leaves in its folder
SHOWN_BESIDE = 1  # baselines on the price charts
_POSITION = ("Net position, YES less NO,", "Net positions, YES less NO, added up over the markets without their signs,")
_CHART = ("Mid price, own fills and net position", "Mid prices, own fills and all positions together")
_LONGEST_NAME = 26  # of a market in a title, in characters


class Section(NamedTuple):
    """One plot of the page with its caption and the tables under it."""

    key: str
    title: str
    caption: str
    svg: str
    tables: list[tables.Grid]


def write_report(
    folder: Path, evaluation: Evaluation, manifest: Mapping[str, Any], card: Mapping[str, Any] | None = None
) -> Path:
    """Write ``folder/report.html`` and ``folder/plots/*.png``; the page's path.

    ``manifest`` is shown as it is, nested keys joined by dots. ``card`` is the `scorecard` of this evaluation where the
    caller has it already. The page loads nothing from anywhere.
    Raises FileExistsError rather than overwrite a report or a plot.
    """
    folder = Path(folder)
    page = folder / REPORT
    refuse_existing(folder, FILES[1:])
    card = scorecard(evaluation) if card is None else card
    (folder / "plots").mkdir(parents=True)
    with style():
        sections = [_section(folder, *entry) for entry in _figures(evaluation, card)]
    sections = [section._replace(tables=_tables(section.key, card)) for section in sections]
    write_whole(page, _render(card, sections, manifest).encode())
    return page


def refuse_existing(folder: Path, names: Sequence[str] = FILES) -> None:
    """Raise FileExistsError where ``folder`` holds one of ``names``; ask before the work, not after it."""
    for name in names:
        if (Path(folder) / name).exists():
            raise FileExistsError(f"{Path(folder) / name} exists: a report is never overwritten; name another folder")


def _section(folder: Path, key: str, title: str, caption: str, figure: Figure) -> Section:
    write_png(figure, folder / "plots" / f"{key}.png")
    return Section(key, title, caption, svg(figure, key), [])


def _figures(evaluation: Evaluation, card: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Figure]]:
    """Key, title, caption and figure of each section, in the page's order."""
    runs, agent = evaluation.shown, evaluation.agent
    model, level = card["fill_names"][evaluation.headline], f"{100 * card['interval']['level']:g} %"
    beside, columns = _chosen(runs)
    several = runs[agent].num_markets > 1
    yield (
        "fill-models", "What the fills are worth",
        f"Mean result an episode under each fill model, with {level} intervals. The pessimistic model fills a resting "
        "order only when a print goes through its price, the optimistic one with nobody ahead in the queue; orders "
        f"that cross are filled alike. All plots below show {model} fills.",
        plots.bracket(card),
    )  # fmt: skip
    yield (
        "equity", "Equity",
        "Left: results added up over the episodes, in the order they were played or recorded. Right: the mean change "
        f"of equity inside an episode, ended episodes staying at their result; the band is a 95 % interval of the mean "
        f"for {agent}.",
        plots.equity(runs),
    )  # fmt: skip
    yield (
        "drawdown", "Drawdown",
        "Left: how far the added-up result lies below its highest point so far. Right: the largest fall inside single "
        "episodes; box = middle half, line = median, whiskers = 5 % and 95 %.",
        plots.drawdown(runs),
    )  # fmt: skip
    yield (
        "inventory", "Inventory",
        f"{_POSITION[several]} over the time of an episode: median, middle half (dark) and 5 % to 95 % (light) of "
        "the episodes that are still running, while at least a tenth of them are.",
        plots.inventory(runs),
    )  # fmt: skip
    yield (
        "fills", "Fills on the price chart",
        f"{_CHART[several]} in {agent}'s middle and worst episode that traded"
        f"{', and in the same episodes those of ' + beside[-1] if len(beside) > 1 else ''}. Upward marks bought YES "
        "(or sold NO), downward marks the opposite; filled marks took liquidity, hollow ones rested; a larger mark is "
        "a larger fill.",
        plots.fills_on_price({name: runs[name] for name in beside}, columns),
    )  # fmt: skip
    yield (
        "actions", "Action mix",
        "Share of decisions that chose each kind of action, all sizes together. A strategy that writes its own orders "
        "chooses none.",
        plots.action_mix(runs),
    )  # fmt: skip
    yield (
        "markouts", "Markouts",
        "What a contract was worth against its fill price, in the direction of the trade, before fees: against the mid "
        f"just before the fill, and 1 to 60 seconds after it, with {level} intervals. A curve that falls shows "
        "adverse selection.",
        plots.markouts(card, runs),
    )  # fmt: skip
    yield (
        "attribution", "Where the money came from",
        "The mean result an episode in five parts that add up to it exactly. Spread: fill price against the mid just "
        "before. Adverse selection: the mid's move in the first 5 seconds. Inventory: its move from there to the last "
        "mid. Settlement: from the last mid to the payout.",
        plots.attribution(card),
    )  # fmt: skip
    if "arb_attempts" in card["legend"]:
        yield (
            "arbitrage", "Arbitrage",
            "An attempt orders every leg of a package of linked markets in one step, the same lots each, none to rest. "
            "Legs that the others did not follow are orphans. Quoted: the package's floor less what was ordered, fees "
            "paid. Realised: the same of what became whole, at the prices paid. Policies without an attempt are left "
            "out of the plot.",
            link_plots.arbitrage(card),
        )  # fmt: skip


def _chosen(runs: Mapping[str, Episodes]) -> tuple[list[str], list[tuple[str, int]]]:
    """Policies and episodes of the price charts: the agent and the best baseline that traded; middle and worst."""
    agent, *baselines = runs
    traders = [name for name in baselines if len(runs[name].fill)]
    best = sorted(traders, key=lambda name: -int(runs[name].result_uusd.sum()))[:SHOWN_BESIDE]
    traded = np.flatnonzero(runs[agent].filled_qty > 0)
    pool = traded if len(traded) else np.arange(len(runs[agent]))
    order = pool[np.argsort(runs[agent].result_uusd[pool], kind="stable")]
    middle, worst = int(order[len(order) // 2]), int(order[0])
    columns = [(f"middle, {_called(runs[agent], middle)}", middle)]
    if worst != middle:
        columns.append((f"worst, {_called(runs[agent], worst)}", worst))
    return [agent, *best], columns


def _called(episodes: Episodes, episode: int) -> str:
    """A recorded market by its name, a synthetic episode by its number."""
    market = int(episodes.market[episode])
    if market < 0:
        return f"no. {episode}"
    name = episodes.market_names[market]
    return name if len(name) <= _LONGEST_NAME else f"{name[:12]}…{name[-12:]}"


def _tables(key: str, card: Mapping[str, Any]) -> list[tables.Grid]:
    """Tables that belong under a plot."""
    if key == "fill-models":
        return [tables.results_table(card), *([tables.advantage_table(card)] if card["policies"][1:] else [])]
    if key == "arbitrage":
        return [tables.arbitrage_table(card)]
    if key != "attribution":
        return []
    several = card["results"][card["headline"]][card["agent"]]["markets"]
    return [tables.attribution_table(card), *([tables.markets_table(card)] if several else [])]


def _flat(manifest: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in manifest.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _render(card: Mapping[str, Any], sections: list[Section], manifest: Mapping[str, Any]) -> str:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    drawn = card["interval"]
    level = f"{100 * drawn['level']:g} %"
    baselines = card["policies"][1:]
    return environment.get_template("report.html.j2").render(
        title=f"{card['agent']} beside {len(baselines)} baselines" if baselines else card["agent"],
        subtitle=f"shadowbook evaluation. {card['episodes']:,} episodes a policy and fill model, the same for all.",
        lead=tables.lead(card),
        tiles=tables.tiles(card),
        sections=sections,
        card=card,
        scorecard=tables.metrics_table(card),
        regression=regression_table(card["regression"], card["agent"]) if card.get("regression") else None,
        level=level,
        note=f"Intervals: bootstrap (BCa, {drawn['resamples']:,} resamples, seed {drawn['seed']}) over "
        f"{drawn['clusters']:,} {drawn['drawn']}; Sharpe and Sortino over days. {card['tails']} "
        f"{card['false_alarms']}",
        manifest=list(_flat(manifest)),
    )
