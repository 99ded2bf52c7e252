"""The scorecard on the terminal: readable at 100 columns, the summary line last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evaluation.text import caption, interval, metric_of, number

ROWS = (
    "sharpe", "sortino", "drawdown_usd", "var95_usd", "cvar95_usd", "hit_rate", "fill_ratio", "edge_theoretical_cents",
    "edge_realised_cents", "slippage_cents", "markout_5s_cents", "turnover_usd", "fees_usd", "time_in_market",
    "brier_entries",
)  # fmt: skip
LINK_ROWS = (  # where the scenario has links
    "arb_attempts", "arb_complete", "arb_orphaned", "arb_unwind_rate", "arb_gap_s", "arb_quoted_usd",
    "arb_realised_usd", "arb_unwind_cost_usd",
)  # fmt: skip
POLICIES_A_TABLE = 6


def print_scorecard(card: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the scorecard and, last, its summary line.

    Three tables: the result under each fill model, what the agent is ahead of each baseline, and the other metrics
    under the headline fill model. A result whose interval excludes zero is coloured.
    """
    console = console or Console()
    level = f"{100 * card['interval']['level']:g} %"
    console.print(_results(card, level))
    if card["policies"][1:]:
        console.print(_advantages(card, level))
    for first in range(0, len(card["policies"]), POLICIES_A_TABLE):
        console.print(_details(card, card["policies"][first : first + POLICIES_A_TABLE]))
    if card.get("regression"):
        _print_regression(card["regression"], console)
    drawn = card["interval"]
    console.print(
        f"{card['episodes']} episodes. Intervals: bootstrap over {drawn['clusters']} {drawn['drawn']}, "
        f"seed {drawn['seed']}. {card['tails']} {card['false_alarms']}",
        style="dim",
        highlight=False,
    )
    console.print(card["summary"], highlight=False, markup=False, soft_wrap=True)


def _print_regression(regression: Sequence[Mapping[str, Any]], console: Console) -> None:
    """How many known failures are passed, and each that is not."""
    played = [entry for entry in regression if entry["passed"] is not None]
    passed = sum(entry["passed"] for entry in played)
    console.print(f"Known failures: {passed} of {len(played)} passed", highlight=False)
    for entry in played:
        if not entry["passed"]:
            text = f"  {entry['name']}: {entry['text']}, at most {entry['threshold']:g}"
            console.print(text, style="red", highlight=False, markup=False, soft_wrap=True)


def _results(card: Mapping[str, Any], level: str) -> Table:
    title = f"Result per episode in dollars, {level} interval"
    table = _table(title, "policy", [f"{card['fill_names'][m]} fills" for m in card["fill_models"]])
    metric = metric_of("result_usd", card["legend"])
    for name in card["policies"]:
        cells = [
            _coloured(card["results"][model][name]["metrics"]["result_usd"], metric) for model in card["fill_models"]
        ]
        table.add_row(_name(card, name), *cells)
    return table


def _advantages(card: Mapping[str, Any], level: str) -> Table:
    title = f"{card['agent']} less baseline, dollars per episode, paired, {level} interval"
    table = _table(title, "baseline", [f"{card['fill_names'][m]} fills" for m in card["fill_models"]])
    metric = metric_of("result_usd", card["legend"])
    for name in card["policies"][1:]:
        table.add_row(escape(name), *(_coloured(card["advantage"][m][name], metric) for m in card["fill_models"]))
    return table


def _details(card: Mapping[str, Any], policies: Sequence[str]) -> Table:
    table = _table(f"Under {card['fill_names'][card['headline']]} fills", "", [_name(card, name) for name in policies])
    results = card["results"][card["headline"]]
    for key in (*ROWS, *(key for key in LINK_ROWS if key in card["legend"])):
        metric = metric_of(key, card["legend"])
        table.add_row(
            escape(caption(metric)), *(number(results[name]["metrics"][key]["value"], metric) for name in policies)
        )
    return table


def _table(title: str, first: str, columns: Sequence[str]) -> Table:
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _name(card: Mapping[str, Any], name: str) -> str:
    return f"[bold]{escape(name)}[/bold]" if name == card["agent"] else escape(name)


def _coloured(estimate: Mapping[str, float | None], metric: Any) -> str:
    value, ends = interval(estimate, metric, sign=True)
    low, high = estimate["low"], estimate["high"]
    text = escape(f"{value} {ends}".strip())
    if low is not None and low > 0:
        return f"[green]{text}[/green]"
    if high is not None and high < 0:
        return f"[red]{text}[/red]"
    return text
