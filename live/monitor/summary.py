"""What a session came to, for its folder and for the terminal: text for people, JSON for programs."""

from __future__ import annotations

import msgspec

from live.monitor.checklist import passed
from live.monitor.view import Alert, Check, LatencyView, Mode, View
from live.monitor.words import duration, money

_MARKS = {True: "ok  ", False: "FAIL", None: "    "}


class AccountSummary(msgspec.Struct, frozen=True):
    """What an account came to."""

    name: str
    role: str
    result_uusd: int  # equity less what it began with
    drawdown_uusd: int  # at the end
    fills: int
    rejects: int
    regime: str


class Summary(msgspec.Struct, frozen=True):
    """What a session came to."""

    session: str
    venue: str
    mode: Mode
    markets: tuple[str, ...]
    policies: tuple[str, ...]
    started_ns: int
    ended_ns: int
    state: str
    why: str
    killed: bool
    passed: bool  # no check fails
    decisions: int
    checks: tuple[Check, ...]
    accounts: tuple[AccountSummary, ...]
    latency: LatencyView
    alerts: tuple[Alert, ...]
    counts: dict[str, int]


def summarise(view: View) -> Summary:
    """The summary of a session whose last view this is."""
    accounts = tuple(
        AccountSummary(
            one.name, one.role, one.equity_uusd - one.start_uusd, one.drawdown_uusd, one.fills, one.rejects, one.regime
        )
        for one in view.accounts
    )
    return Summary(
        view.session, view.venue, view.mode, tuple(one.id for one in view.markets), view.policies, view.started_ns,
        view.ns, view.state, view.why, view.killed, passed(view.checks), view.decisions, view.checks, accounts,
        view.latency, view.alerts, view.counts,
    )  # fmt: skip


def as_json(summary: Summary) -> bytes:
    """For a file: indented, in the order of the fields."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"


def as_text(summary: Summary) -> str:
    """For people: result, checklist with what to do about each failure, alerts."""
    return "\n".join([*_head(summary), "", *_accounts(summary), "", *_checks(summary), *_alerts(summary)]) + "\n"


def _head(summary: Summary) -> list[str]:
    latency = summary.latency
    ended = f"{summary.state}: {summary.why}" if summary.why else summary.state
    lines = [
        f"session    {summary.session}, {summary.mode} on {summary.venue}, {len(summary.markets)} markets, "
        f"{duration(summary.ended_ns - summary.started_ns)}",
        f"ended      {ended}{' (killed)' if summary.killed else ''}",
        f"decisions  {summary.decisions:,}",
    ]
    if latency.count:
        lines[-1] += f", p50 {duration(latency.p50_ns)}, p99 {duration(latency.p99_ns)}"
    return lines


def _accounts(summary: Summary) -> list[str]:
    width = max((len(one.name) for one in summary.accounts), default=0)
    return [
        f"{one.name:{width}s}  {one.role:8s}  {money(one.result_uusd, signed=True):>12s}  {one.fills:,} fills, "
        f"{one.rejects:,} rejects, {money(one.drawdown_uusd)} below its best, {one.regime}"
        for one in summary.accounts
    ]


def _checks(summary: Summary) -> list[str]:
    width = max((len(one.name) for one in summary.checks), default=0)
    lines = []
    for one in summary.checks:
        lines.append(f"{_MARKS[one.ok]} {one.name:{width}s}  {one.measured}; {one.wanted}")
        if one.ok is False:
            lines.append(f"     {'':{width}s}  -> {one.do}")
    failed = sum(one.ok is False for one in summary.checks)
    unknown = sum(one.ok is None for one in summary.checks)
    lines.append(f"{len(summary.checks) - failed - unknown} passed, {failed} failed, {unknown} not measured")
    return lines


def _alerts(summary: Summary) -> list[str]:
    return [f"{one.level}: {one.text} -> {one.do}" for one in summary.alerts]
