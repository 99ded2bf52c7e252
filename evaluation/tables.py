"""The report's tables and headline, made of a scorecard: plain text in rows and cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from evaluation.attribution import PARTS
from evaluation.estimates import ARBITRAGE, Metric
from evaluation.text import caption, interval, metric_of, number
from sim.types import UUSD

TILES = ("result_usd", "sharpe", "drawdown_usd", "cvar95_usd", "hit_rate", "fill_ratio")
COUNTS = {"fills": "Fills", "settled": "Episodes settled", "days": "Days", "env_steps": "Steps"}
_DOLLARS = Metric("", "$", 2, 1)


class Cell(NamedTuple):
    """A value, the small print under it, and its class on the page: "agent", "gain", "loss" or none."""

    value: str
    interval: str = ""
    kind: str = ""


class Row(NamedTuple):
    """A line of a table."""

    label: str
    cells: list[Cell]
    total: bool = False


class Grid(NamedTuple):
    """A table: the head has one cell more than each row has cells."""

    head: list[str]
    rows: list[Row]


def results_table(card: Mapping[str, Any]) -> Grid:
    """Result an episode: a row a policy, a column a fill model."""
    metric = metric_of("result_usd", card["legend"])
    models = card["fill_models"]
    rows = [
        Row(name, [_judged(card["results"][model][name]["metrics"]["result_usd"], metric) for model in models])
        for name in card["policies"]
    ]
    return Grid(["Result per episode, $", *(f"{card['fill_names'][model]} fills" for model in models)], rows)


def advantage_table(card: Mapping[str, Any]) -> Grid:
    """What the agent made more than each baseline on the same episodes."""
    metric = metric_of("result_usd", card["legend"])
    models = card["fill_models"]
    rows = [
        Row(f"less {name}", [_judged(card["advantage"][model][name], metric) for model in models])
        for name in card["policies"][1:]
    ]
    return Grid(
        [f"{card['agent']}, paired difference, $", *(f"{card['fill_names'][model]} fills" for model in models)], rows
    )


def attribution_table(card: Mapping[str, Any]) -> Grid:
    """The parts of all episodes' results together, under the headline fills."""
    results = card["results"][card["headline"]]
    rows = []
    for part in PARTS:
        amounts = [results[name]["attribution_uusd"][part] for name in card["policies"]]
        rows.append(Row(part.replace("_", " ").capitalize(), _first_marked([_dollars(amount) for amount in amounts])))
    totals = [_dollars(results[name]["total_uusd"]) for name in card["policies"]]
    rows.append(Row("Total", _first_marked(totals), total=True))
    return Grid(["All episodes, $", *card["policies"]], rows)


def arbitrage_table(card: Mapping[str, Any]) -> Grid:
    """What became of the attempts to buy whole packages, under the headline fills."""
    results = card["results"][card["headline"]]
    rows = []
    for key in ARBITRAGE:
        metric = metric_of(key, card["legend"])
        cells = [Cell(*interval(results[name]["metrics"][key], metric)) for name in card["policies"]]
        rows.append(Row(caption(metric), _first_marked(cells)))
    return Grid(["", *card["policies"]], rows)


def markets_table(card: Mapping[str, Any]) -> Grid:
    """What each market contributed to the results of all episodes together, under the headline fills."""
    results = card["results"][card["headline"]]
    rows = []
    for index, market in enumerate(results[card["agent"]]["markets"]):
        shares = [results[name]["markets"][index] for name in card["policies"]]
        cells = [Cell(number(share["result_uusd"] / UUSD, _DOLLARS), f"{share['fills']:,} fills") for share in shares]
        rows.append(Row(f"Market {market['market']}", _first_marked(cells)))
    return Grid(["All episodes, $", *card["policies"]], rows)


def metrics_table(card: Mapping[str, Any]) -> Grid:
    """Every metric with its interval under the headline fills, and what it was counted over."""
    results = card["results"][card["headline"]]
    rows = []
    for key in results[card["agent"]]["metrics"]:
        metric = metric_of(key, card["legend"])
        cells = [Cell(*interval(results[name]["metrics"][key], metric)) for name in card["policies"]]
        rows.append(Row(caption(metric), _first_marked(cells)))
    for key, label in COUNTS.items():
        rows.append(Row(label, _first_marked([Cell(f"{results[name][key]:,}") for name in card["policies"]])))
    return Grid(["", *card["policies"]], rows)


def tiles(card: Mapping[str, Any]) -> list[Cell]:
    """The agent's headline figures; the label stands where a cell has its kind."""
    metrics = card["results"][card["headline"]][card["agent"]]["metrics"]
    cells = []
    for key in TILES:
        metric = metric_of(key, card["legend"])
        cells.append(Cell(*interval(metrics[key], metric), caption(metric)))
    return cells


def lead(card: Mapping[str, Any]) -> str:
    """The page's first sentence: what the agent made and which baselines it is ahead of."""
    agent, model = card["agent"], card["headline"]
    metric = metric_of("result_usd", card["legend"])
    made, ends = interval(card["results"][model][agent]["metrics"]["result_usd"], metric, sign=True)
    shown = card["fill_names"][model]
    text = f"Under {shown} fills {agent} made {made} dollars an episode {ends} over {card['episodes']:,} episodes."
    verdicts: dict[str, list[str]] = {"ahead of": [], "behind": [], "not distinguishable from": []}
    for name, estimate in card["advantage"][model].items():
        verdicts[{1: "ahead of", -1: "behind", 0: "not distinguishable from"}[_side(estimate)]].append(name)
    said = [f"{verdict} {', '.join(names)}" for verdict, names in verdicts.items() if names]
    return f"{text} On the same episodes it is {'; '.join(said)}." if said else text


def _side(estimate: Mapping[str, float | None]) -> int:
    """1 where the whole interval lies above zero, -1 below, 0 where it holds zero or there is none."""
    low, high = estimate["low"], estimate["high"]
    if low is None or high is None:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


def _judged(estimate: Mapping[str, float | None], metric: Metric) -> Cell:
    value, ends = interval(estimate, metric, sign=True)
    return Cell(value, ends, {1: "gain", -1: "loss", 0: ""}[_side(estimate)])


def _dollars(uusd: int) -> Cell:
    return Cell(number(uusd / UUSD, _DOLLARS))


def _first_marked(cells: list[Cell]) -> list[Cell]:
    """The agent comes first; its column is tinted."""
    return [cells[0]._replace(kind="agent"), *cells[1:]]
