"""Prometheus metrics of one runner: gauges and counters of its `View`, and a histogram of decision latencies.

Each runner has its own registry; nothing is global. Names and units are in docs/monitoring.md, in Prometheus' base
units: seconds, dollars, contracts. What is not known is not there, instead of being 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from live.monitor.view import AccountView, MarketView, View
from sim.types import LOTS_PER_CONTRACT, PX_ONE, SECOND_NS, UUSD

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_BUCKETS_S = (
    25e-6, 50e-6, 75e-6, 100e-6, 150e-6, 200e-6, 250e-6, 350e-6, 500e-6, 750e-6,
    1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0,
)  # fmt: skip

Row = tuple[tuple[str, ...], float]  # values of the labels, and the metric's
_Rows = Iterable[Row]


class Metrics:
    """What ``/metrics`` tells. ``view`` is asked at each scrape."""

    def __init__(self, view: Callable[[], View]) -> None:
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            "shadowbook_decision_seconds", "From a frame to certified orders", buckets=_BUCKETS_S,
            registry=self._registry,
        )  # fmt: skip
        self._registry.register(_OfView(view))

    def observe(self, latencies_ns: Sequence[int]) -> None:
        """Add a batch of decision latencies: about once a second, never one by one where they are made."""
        for ns in latencies_ns:
            self._latency.observe(ns / SECOND_NS)

    def exposition(self) -> bytes:
        """The page that Prometheus reads, of CONTENT_TYPE."""
        return generate_latest(self._registry)


class _OfView(Collector):
    def __init__(self, view: Callable[[], View]) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """All metrics of the view as it is now."""
        view = self._view()
        yield InfoMetricFamily(
            "shadowbook_session", "What runs",
            {"session": view.session, "venue": view.venue, "mode": view.mode, "policies": ",".join(view.policies)},
        )  # fmt: skip
        yield from _of_session(view)
        yield from _of_markets(view.markets)
        yield from _of_accounts(view.accounts)


def _of_session(view: View) -> Iterator[Metric]:
    yield _gauge(
        "shadowbook_start_time_seconds", "When the session began, since epoch", [], _one(view.started_ns, SECOND_NS)
    )
    yield _gauge(
        "shadowbook_view_time_seconds", "When what is shown was taken, since epoch", [], _one(view.ns, SECOND_NS)
    )
    yield _gauge("shadowbook_ready", "1 = ready, as /readyz says", [], _one(not view.ready))
    yield _gauge("shadowbook_killed", "1 = the kill switch was thrown", [], _one(view.killed))
    yield _gauge("shadowbook_trading_enabled", "1 = orders may go to the venue", [], _one(view.trading.enabled))
    yield _counter("shadowbook_decisions", "Decisions made", [], _one(view.decisions))
    yield _counter("shadowbook_events", "What the runner counts", ["name"], [((k,), v) for k, v in view.counts.items()])
    checks = [((one.name,), float(one.ok)) for one in view.checks if one.ok is not None]
    yield _gauge("shadowbook_check_ok", "1 = passes, 0 = fails, absent = not measured yet", ["check"], checks)
    stages = [
        ((stage.name, quantile), ns / SECOND_NS)
        for stage in view.latency.stages
        for quantile, ns in (("0.5", stage.p50_ns), ("0.99", stage.p99_ns))
    ]
    yield _gauge("shadowbook_stage_seconds", "Parts of a decision, of late", ["stage", "quantile"], stages)


def _of_markets(markets: Sequence[MarketView]) -> Iterator[Metric]:
    def each(value: Callable[[MarketView], float | None]) -> list[Row]:
        return [((one.id,), found) for one in markets if (found := value(one)) is not None]

    label = ["market"]
    yield _gauge(
        "shadowbook_book_age_seconds",
        "Since the book last changed",
        label,
        each(lambda m: _over(m.book_age_ns, SECOND_NS)),
    )
    yield _gauge("shadowbook_book_lost", "1 = not to be trusted", label, each(lambda m: m.lost))
    yield _gauge("shadowbook_bid_dollars", "Best bid for YES", label, each(lambda m: _over(_best(m.bids), PX_ONE)))
    yield _gauge("shadowbook_ask_dollars", "Best ask for YES", label, each(lambda m: _over(_best(m.asks), PX_ONE)))
    yield _gauge("shadowbook_mark_dollars", "What YES is counted at", label, each(lambda m: _over(m.mark_px, PX_ONE)))
    yield _gauge("shadowbook_quality_ratio", "Of the data, 0 to 1", label, each(lambda m: m.quality))
    yield _gauge("shadowbook_stale_parts", "Parts of the data that are too old", label, each(lambda m: len(m.stale)))
    yield _gauge("shadowbook_divergence_ratio", "0 to 1, larger = worse", label, each(lambda m: m.divergence))


def _of_accounts(accounts: Sequence[AccountView]) -> Iterator[Metric]:
    def each(value: Callable[[AccountView], float]) -> list[Row]:
        return [((one.name, one.role), value(one)) for one in accounts]

    label = ["account", "role"]
    yield _gauge("shadowbook_equity_dollars", "At marks", label, each(lambda a: a.equity_uusd / UUSD))
    yield _gauge(
        "shadowbook_result_dollars",
        "Equity less the first",
        label,
        each(lambda a: (a.equity_uusd - a.start_uusd) / UUSD),
    )
    yield _gauge("shadowbook_cash_dollars", "Reserved cash included", label, each(lambda a: a.cash_uusd / UUSD))
    yield _gauge("shadowbook_reserved_dollars", "For orders that rest", label, each(lambda a: a.reserved_uusd / UUSD))
    yield _gauge("shadowbook_drawdown_dollars", "Below the best equity", label, each(lambda a: a.drawdown_uusd / UUSD))
    yield _gauge("shadowbook_resting_orders", "Orders that rest", label, each(lambda a: len(a.resting)))
    yield _counter("shadowbook_fills", "Fills", label, each(lambda a: a.fills))
    yield _counter("shadowbook_rejects", "Orders refused by the venue", label, each(lambda a: a.rejects))
    regimes = [((a.name, a.role, a.regime), 1.0) for a in accounts]
    yield _gauge("shadowbook_regime", "1 for the shield's regime now", [*label, "regime"], regimes)
    held = [
        ((a.name, a.role, one.market, leg), lots / LOTS_PER_CONTRACT)
        for a in accounts
        for one in a.positions
        for leg, lots in (("yes", one.yes_lots), ("no", one.no_lots))
    ]
    yield _gauge("shadowbook_position_contracts", "Held", [*label, "market", "leg"], held)


def _best(levels: tuple[tuple[int, int], ...]) -> int | None:
    return levels[0][0] if levels else None


def _over(value: int | None, unit: int) -> float | None:
    return None if value is None else value / unit


def _one(value: float, unit: int = 1) -> list[Row]:
    return [((), value / unit)]


def _gauge(name: str, meaning: str, labels: list[str], rows: _Rows) -> Metric:
    return _filled(GaugeMetricFamily(name, meaning, labels=labels), rows)


def _counter(name: str, meaning: str, labels: list[str], rows: _Rows) -> Metric:
    return _filled(CounterMetricFamily(name, meaning, labels=labels), rows)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, rows: _Rows) -> Metric:
    for labels, value in rows:
        family.add_metric(labels, value)
    return family
