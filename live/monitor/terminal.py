"""The session in a terminal: the same `View` as the page, drawn by rich."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from live.clock import Clock
from live.monitor.view import AccountView, Check, LatencyView, MarketView, Proposal, View
from live.monitor.words import contracts, duration, money, price
from sim.types import PX_ONE, SECOND_NS

PERIOD_S = 1.0
_MOST_ALERTS = 5
_SIGNS = {True: "[green]ok[/]", False: "[bold red]FAIL[/]", None: "[dim]-[/]"}
_COLOURS = {"info": "cyan", "warning": "yellow", "critical": "bold red"}


async def show(view: Callable[[], View], clock: Clock, console: Console) -> None:
    """Draw the session about once a second until cancelled. Messages of the log are to go to a file meanwhile."""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(render(view()), refresh=True)
            await clock.sleep(PERIOD_S)


def render(view: View) -> RenderableType:
    """What is seen of ``view``."""
    return Group(
        _head(view),
        _markets(view),
        _accounts(view.accounts),
        Columns([_checks(view.checks), _latency(view.latency)], padding=(0, 3)),
        *_alerts(view),
    )


def _head(view: View) -> Text:
    at = datetime.fromtimestamp(view.ns // SECOND_NS, UTC)
    parts = [
        f"[bold]{view.mode}[/] on {escape(view.venue)}", f"{escape(view.state)}", f"feed {escape(view.feed)}",
        f"{view.decisions:,} decisions", f"up {duration(view.ns - view.started_ns)}", f"{at:%H:%M:%S} UTC",
        "[bold red]orders go to the venue[/]" if view.trading.enabled else "no orders to the venue",
    ]  # fmt: skip
    if view.killed:
        parts.insert(0, "[bold white on red] KILLED [/]")
    lines = ["  ".join(parts)]
    if view.why:
        lines.append(f"[red]{escape(view.why)}[/]")
    if view.ready:
        lines.append(f"[red]not ready: {escape('; '.join(view.ready))}[/]")
    return Text.from_markup("\n".join(lines))


def _markets(view: View) -> Table:
    table = _table("market", ">bid", ">ask", ">mark", ">age", "data", "proposals")
    for one in view.markets:
        bid, ask = (side[0] if side else None for side in (one.bids, one.asks))
        table.add_row(
            escape(one.id), _level(bid), _level(ask), price(one.mark_px), duration(one.book_age_ns), _quality(one),
            _proposals(one),
        )  # fmt: skip
    return table


def _level(level: tuple[int, int] | None) -> str:
    return "–" if level is None else f"{contracts(level[1])} at {price(level[0])}"


def _quality(market: MarketView) -> str:
    if market.lost:
        return "[bold red]lost[/]"
    stale = f" [red]{escape(', '.join(market.stale))} old[/]" if market.stale else ""
    return f"{market.quality:.0%}{stale}"


def _proposals(market: MarketView) -> str:
    return "\n".join(f"[bold]{escape(one.account)}[/] {_wish(one)}" for one in market.proposals)


def _wish(one: Proposal) -> str:
    """As the page writes it: what is done to which leg, at that leg's price."""
    if one.do != "place":
        return f"{one.do} {one.side if one.do == 'cancel' else contracts(one.lots)}"
    verb = "buy" if (one.side == "bid") == (one.leg == "yes") else "sell"
    px = one.px if one.leg == "yes" else PX_ONE - one.px
    left = f"{contracts(one.lots)} at {price(px)}" if one.lots else "refused"
    cut = f" [yellow](asked {contracts(one.asked_lots)}: {escape(', '.join(one.reasons) or 'cut')})[/]"
    return f"{verb} {one.leg.upper()} {left}{cut if one.changed else ''}"


def _accounts(accounts: tuple[AccountView, ...]) -> Table:
    table = _table("account", "role", ">result", ">equity", ">drawdown", "regime", ">fills", ">rejects", "holds")
    for one in accounts:
        held = ", ".join(
            f"{escape(held.market)} {contracts(held.yes_lots)} YES {contracts(held.no_lots)} NO"
            for held in one.positions
        )
        table.add_row(
            escape(one.name), one.role, money(one.equity_uusd - one.start_uusd, signed=True), money(one.equity_uusd),
            money(one.drawdown_uusd), escape(one.regime), f"{one.fills:,}", f"{one.rejects:,}", held or "–",
        )  # fmt: skip
    return table


def _checks(checks: tuple[Check, ...]) -> Table:
    table = _table("", "check", "measured", "wanted")
    for one in checks:
        advice = f"\n[yellow]{escape(one.do)}[/]" if one.ok is False else ""
        table.add_row(_SIGNS[one.ok], one.name, escape(one.measured) + advice, escape(one.wanted))
    return table


def _latency(latency: LatencyView) -> Table:
    table = _table("latency", ">p50", ">p99")
    if latency.count:
        table.add_row("decision", duration(latency.p50_ns), duration(latency.p99_ns))
    for one in latency.stages:
        table.add_row(escape(one.name), duration(one.p50_ns), duration(one.p99_ns))
    return table


def _alerts(view: View) -> list[Text]:
    return [
        Text.from_markup(f"[{_COLOURS[one.level]}]{one.level}[/] {escape(one.text)} [yellow]{escape(one.do)}[/]")
        for one in view.alerts[:_MOST_ALERTS]
    ]


def _table(*heads: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head.removeprefix(">"), justify="right" if head.startswith(">") else "left")
    return table
