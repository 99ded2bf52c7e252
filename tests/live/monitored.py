"""A session to look at: two accounts, two markets, every kind of check and alert."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgspec

from live.clock import Clock, ManualClock
from live.monitor.checklist import Statistics, Thresholds, check
from live.monitor.metrics import Metrics
from live.monitor.server import MonitorServer
from live.monitor.view import (
    AccountView,
    Alert,
    LatencyView,
    MarketView,
    PositionView,
    Proposal,
    RestingView,
    StageView,
    Trading,
    View,
)
from live.secrets import Secret
from sim.types import SECOND_NS, UUSD

NOW_NS = 1_795_340_000 * SECOND_NS
TOKEN = Secret("a-token-of-this-run")
WRONG = "<img src=x onerror=alert(1)>"  # as a venue might put it into a title


def statistics(**changed) -> Statistics:
    """Of a session in which everything is well."""
    well = Statistics(
        span_ns=1_000 * SECOND_NS, feed_age_ns=SECOND_NS, frames=10_000, quotes=5_000, orders=1_000, orders_cut=50,
        messages=400, rejects=2, fills=10, decisions=2_000, latency_p99_ns=180_000, shortest_life_ns=2 * SECOND_NS,
        divergence=0.05,
    )  # fmt: skip
    return msgspec.structs.replace(well, **changed)


def _history(step_uusd: int) -> tuple[tuple[int, int], ...]:
    """Up and down by a rule without chance."""
    return tuple(
        (NOW_NS + (n - 299) * SECOND_NS, 10_000 * UUSD + step_uusd * (n + 40 * ((n // 30) % 3)) // 100)
        for n in range(300)
    )


def _accounts() -> tuple[AccountView, ...]:
    agent, quoter = _history(5 * UUSD), _history(-2 * UUSD)
    return (
        AccountView(
            "agent", "executes", 10_000 * UUSD, agent[-1][1], 9_870 * UUSD, 52 * UUSD, 3_250_000, "warning",
            (PositionView("KXBTC-A", 2_500, 0, 13 * UUSD), PositionView("KXBTC-B", 0, 1_000, 4_750_000)),
            (RestingView("KXBTC-A", "bid", "yes", 5_100, 1_000, 3 * SECOND_NS),), 12, 1, agent,
        ),
        AccountView(
            "quoter", "proposes", 10_000 * UUSD, quoter[-1][1], 9_950 * UUSD, 101 * UUSD, 6 * UUSD, "normal", (),
            (
                RestingView("KXBTC-A", "bid", "yes", 5_050, 5_000, 9 * SECOND_NS),
                RestingView("KXBTC-A", "ask", "no", 5_400, 2_500, SECOND_NS // 2),
            ), 4, 0, quoter,
        ),
    )  # fmt: skip


def _markets() -> tuple[MarketView, ...]:
    steps = tuple(range(10))
    return (
        MarketView(
            "KXBTC-A", "Bitcoin above 100,000 at noon?",
            tuple((5_100 - 100 * n, 12_000 + 3_700 * ((n * 7) % 5)) for n in steps),
            tuple((5_300 + 100 * n, 9_050 + 5_200 * ((n * 3) % 4)) for n in steps),
            5_200, 5_250, 400_000_000, False, 0.97, (),
            (
                Proposal("agent", "place", "bid", "yes", 5_100, 1_000, 5_000, ("per_trade",)),
                Proposal("agent", "place", "ask", "yes", 0, 0, 2_000, ("kill_switch",)),
                Proposal("quoter", "place", "bid", "yes", 5_050, 5_000, 5_000),
                Proposal("quoter", "place", "ask", "no", 5_400, 2_500, 2_500),
            ), 0.05,
        ),
        MarketView("KXBTC-B", WRONG, (), ((9_900, 100),), 4_750, None, 65 * SECOND_NS, True, 0.4, ("book", "signal")),
    )  # fmt: skip


def view(**changed) -> View:
    """The session, some of it ``changed``."""
    shown = View(
        ns=NOW_NS, session="kalshi-1795340000", venue="kalshi", mode="shadow", state="running", why="",
        started_ns=NOW_NS - 4_000 * SECOND_NS, decisions=4_321, policies=("agent", "quoter"), feed="live",
        markets=_markets(), accounts=_accounts(),
        latency=LatencyView(
            4_000, 69_400, 101_000, 167_800, 2_400_000,
            (StageView("reading", 7_000, 15_000), StageView("observing", 29_000, 61_000),
             StageView("policy", 18_000, 52_000), StageView("shield", 15_000, 40_000)),
        ),
        alerts=(
            Alert(NOW_NS - 5 * SECOND_NS, "critical", "book_lost", "KXBTC-B: a message was lost", "Wait."),
            Alert(NOW_NS - 95 * SECOND_NS, "warning", "reconnected", "The connection was made afresh", "Nothing."),
        ),
        checks=check(statistics(lost=("KXBTC-B",), orders_cut=150, shortest_life_ns=None), Thresholds()),
        counts={"frames": 123_456, "messages": 400, "quotes_agree": 5_000, "quotes_differ": 0, "reconnects": 1},
        trading=Trading(False, "at most $50 in a market"),
    )  # fmt: skip
    return msgspec.structs.replace(shown, **changed)


class Session:
    """What a runner is to the monitor: a view, and a kill switch that shows in it."""

    def __init__(self) -> None:
        self.view, self.killed = view(), []

    def look(self) -> View:
        return self.view

    async def kill(self, reason: str) -> None:
        self.killed.append(reason)
        self.view = msgspec.structs.replace(
            self.view, ns=self.view.ns + SECOND_NS, killed=True, state="killed", why=reason
        )


@contextlib.asynccontextmanager
async def monitored(session: Session, clock: Clock | None = None) -> AsyncIterator[MonitorServer]:
    """The monitor of it, on a free port."""
    metrics = Metrics(session.look)
    metrics.observe([69_400] * 50 + [167_800])
    async with MonitorServer(session.look, session.kill, metrics, TOKEN, clock or ManualClock(NOW_NS)) as server:
        yield server
