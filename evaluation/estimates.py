"""All metrics of one policy's episodes, each with its interval: one table of what is divided by what."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evaluation.arbitrage import arbitrage_parts
from evaluation.bootstrap import LEVEL, RESAMPLES, Interval, Statistic, bootstrap, of_tail
from evaluation.episodes import Episodes, clusters, column_at, market_days, value2_at
from evaluation.metrics import (
    TAIL,
    brier,
    entries,
    expected_shortfall,
    max_drawdown,
    ratio,
    sharpe,
    slippage2_uusd,
    sortino,
    time_in_market,
    turnover_uusd,
    value_at_risk,
)
from sim.types import LOTS_PER_CONTRACT, SECOND_NS, UUSD

MARKOUT_S = (1, 5, 30, 60)
CENTS_PER_CONTRACT = LOTS_PER_CONTRACT / 10_000  # from micro-dollars a lot


class Metric(NamedTuple):
    """How a metric is shown; what it means is in docs/metrics.md."""

    label: str
    unit: str  # "$", "cents", "%", or "" for a plain number
    digits: int
    better: int  # 1 = more is better, -1 = less is, 0 = neither


METRICS: dict[str, Metric] = {
    "result_usd": Metric("Result per episode", "$", 2, 1),
    "return": Metric("Return per episode", "%", 3, 1),
    "sharpe": Metric("Sharpe, yearly", "", 2, 1),
    "sortino": Metric("Sortino, yearly", "", 2, 1),
    "drawdown_usd": Metric("Max drawdown, mean", "$", 2, -1),
    "var95_usd": Metric("VaR 95 % of an episode", "$", 2, -1),
    "cvar95_usd": Metric("CVaR 95 % of an episode", "$", 2, -1),
    "hit_rate": Metric("Hit rate", "%", 1, 1),
    "fill_ratio": Metric("Fill ratio", "%", 1, 0),
    "edge_theoretical_cents": Metric("Edge seen when deciding", "cents", 3, 1),
    "edge_realised_cents": Metric("Edge realised", "cents", 3, 1),
    "edge_ratio": Metric("Realised / seen edge", "%", 0, 1),
    "slippage_cents": Metric("Slippage of takers", "cents", 3, -1),
    "turnover_usd": Metric("Turnover per episode", "$", 2, 0),
    "contracts": Metric("Contracts per episode", "", 1, 0),
    "fees_usd": Metric("Fees per episode", "$", 2, -1),
    "time_in_market": Metric("Time in market", "%", 1, 0),
    "messages": Metric("Messages per episode", "", 1, 0),
    "rejects": Metric("Rejects per episode", "", 2, -1),
    "brier_entries": Metric("Brier score of entries", "", 4, -1),
    "brier_forecast": Metric("Brier score of forecasts at entries", "", 4, -1),
    **{f"markout_{s}s_cents": Metric(f"Markout after {s} s", "cents", 3, 1) for s in MARKOUT_S},
}


ARBITRAGE: dict[str, Metric] = {  # where the scenario has links
    "arb_attempts": Metric("Arbitrage attempts per episode", "", 2, 0),
    "arb_complete": Metric("Attempts that got every leg", "%", 1, 1),
    "arb_orphaned": Metric("Attempts with orphaned legs", "%", 1, -1),
    "arb_empty": Metric("Attempts that got nothing", "%", 1, -1),
    "arb_unwind_rate": Metric("Orphans unwound", "%", 1, 1),
    "arb_unwind_cost_usd": Metric("Unwinding cost per episode", "$", 3, -1),
    "arb_gap_s": Metric("Gap between the legs' fills", "s", 3, -1),
    "arb_slippage_usd": Metric("Slippage of legs per episode", "$", 3, -1),
    "arb_quoted_usd": Metric("Arbitrage quoted per episode", "$", 3, 0),
    "arb_realised_usd": Metric("Arbitrage realised per episode", "$", 3, 1),
}

SHIELD: dict[str, Metric] = {  # where there are limits
    "intervention_rate": Metric("Orders that the shield changed, a step", "%", 3, -1),
    "trip_rate": Metric("Episodes with a tripped kill switch", "%", 2, -1),
}


def estimate(
    episodes: Episodes, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> dict[str, Interval]:
    """Every metric of METRICS, and ``cost_<name>`` for each cost, with its bootstrap interval.

    Ratios are sums over sums; a cluster (an episode, or a recorded market) is drawn as a whole. Sharpe and Sortino
    draw days. Fields that are not defined on these episodes are NaN, and so are the ends of a thin tail's CVaR
    (`evaluation.bootstrap.of_tail`).
    """
    found = {
        name: bootstrap(statistic, size, seed=seed, resamples=resamples, level=level)
        for name, (statistic, size) in _statistics(episodes).items()
    }
    return {**found, "cvar95_usd": of_tail(found["cvar95_usd"], int(clusters(episodes).max()) + 1, TAIL)}


def figures(episodes: Episodes) -> dict[str, float]:
    """The values of `estimate` without intervals, for searches that look at many policies."""
    return {name: float(statistic(np.ones((1, size)))[0]) for name, (statistic, size) in _statistics(episodes).items()}


def daily_usd(episodes: Episodes) -> np.ndarray:
    """``(D,)`` dollars: the results day by day, see `evaluation.episodes.market_days`."""
    return np.bincount(market_days(episodes), episodes.result_uusd / UUSD)


def _statistics(episodes: Episodes) -> dict[str, tuple[Statistic, int]]:
    """What every metric is of the weights of its clusters, and how many clusters there are."""
    cluster = clusters(episodes)
    count = int(cluster.max()) + 1

    def of_ratio(above: np.ndarray, below: np.ndarray) -> tuple[Statistic, int]:
        over = np.bincount(cluster, above, count)
        under = np.bincount(cluster, below, count)
        return lambda weights: ratio(over, under, weights), count

    result = {name: of_ratio(*parts) for name, parts in ratio_parts(episodes).items()}
    loss = -episodes.result_uusd / UUSD
    result["var95_usd"] = lambda weights: value_at_risk(loss, weights[:, cluster]), count
    result["cvar95_usd"] = lambda weights: expected_shortfall(loss, weights[:, cluster]), count
    daily = daily_usd(episodes)
    result["sharpe"] = lambda weights: sharpe(daily, weights), len(daily)
    result["sortino"] = lambda weights: sortino(daily, weights), len(daily)
    order = [*METRICS, *(name for name in result if name not in METRICS)]
    return {name: result[name] for name in order}


def ratio_parts(episodes: Episodes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Numerator and denominator ``(E,)`` float64 of every metric that is a sum over a sum."""
    one = np.ones(len(episodes))
    result_usd = episodes.result_uusd / UUSD
    traded = episodes.filled_qty > 0
    parts: dict[str, tuple[np.ndarray, np.ndarray]] = {
        "result_usd": (result_usd, one),
        "return": (episodes.result_uusd / episodes.start_uusd, one),
        "drawdown_usd": (max_drawdown(episodes.equity_uusd) / UUSD, one),
        "hit_rate": ((traded & (result_usd > 0)).astype(np.float64), traded.astype(np.float64)),
        "fill_ratio": (episodes.filled_qty.astype(np.float64), episodes.sent_qty.astype(np.float64)),
        "turnover_usd": (_sum(episodes, turnover_uusd(episodes.fill)) / UUSD, one),
        "contracts": (episodes.filled_qty / LOTS_PER_CONTRACT, one),
        "fees_usd": (episodes.fees_uusd / UUSD, one),
        "time_in_market": _shares(*time_in_market(episodes.elapsed_ns, episodes.held_qty)),
        "messages": (episodes.messages.astype(np.float64), one),
        "rejects": (episodes.rejects.astype(np.float64), one),
    }
    parts["slippage_cents"] = _slippage(episodes)
    parts |= _edges(episodes)
    parts |= _briers(episodes)
    parts |= arbitrage_parts(episodes)
    parts |= _shield(episodes)
    parts |= {f"markout_{s}s_cents": _markout(episodes, s * SECOND_NS) for s in MARKOUT_S}
    parts |= {f"cost_{name}": (episodes.costs[:, k], one) for k, name in enumerate(episodes.cost_names)}
    return parts


def spread_cents(episodes: Episodes) -> float:
    """Mean gain of a fill against the mid just before it, cents a contract: the markout at 0 s. NaN without fills."""
    fill = episodes.fill
    gain = (fill["qty"] * (fill["mid2_px"] - 2 * fill["px"].astype(np.int64))).sum() / 2 * CENTS_PER_CONTRACT
    lots = np.abs(fill["qty"]).sum()
    return float(gain / lots) if lots else float("nan")


def entry_lots(episodes: Episodes) -> np.ndarray:
    """``(F,)`` int64 lots of each fill that opened or added to a position in its market."""
    order = np.argsort(episodes.fill_lane, kind="stable")
    lots = np.zeros(len(order), np.int64)
    lots[order] = entries(episodes.fill[order], episodes.fill_lane[order])
    return lots


def _sum(episodes: Episodes, values: np.ndarray) -> np.ndarray:
    """``(E,)`` float64 sums of one value per fill."""
    return np.bincount(episodes.fill_episode, values, len(episodes))


def _shares(part: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return part.astype(np.float64), whole.astype(np.float64)


def _end_value2(episodes: Episodes) -> np.ndarray:
    """``(F,)`` int64: twice what a YES contract of each fill was worth in the end."""
    return value2_at(episodes, episodes.fill_lane, episodes.steps[episodes.fill_episode])[0]


def _shield(episodes: Episodes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    if episodes.interventions is None or episodes.tripped is None:
        return {}
    return {
        "intervention_rate": _shares(episodes.interventions, episodes.steps),
        "trip_rate": _shares(episodes.tripped, np.ones(len(episodes))),
    }


def _slippage(episodes: Episodes) -> tuple[np.ndarray, np.ndarray]:
    taker = episodes.fill["maker"] == 0
    cost = slippage2_uusd(episodes.fill) * taker / 2 * CENTS_PER_CONTRACT
    return _sum(episodes, cost), _sum(episodes, np.abs(episodes.fill["qty"]) * taker)


def _edges(episodes: Episodes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The edge the decision saw, the edge that came of it, and their ratio; of fills whose value was known."""
    fill = episodes.fill
    at = (episodes.fill_lane, episodes.fill_step)  # what was observed when the step's action was chosen
    belief_ppm = np.where(episodes.signal_ppm[at] >= 0, episodes.signal_ppm[at], episodes.latent_ppm[at])
    known = belief_ppm >= 0
    seen = fill["qty"] * (belief_ppm / 100 - fill["sent_mid2_px"] / 2) * known
    came = (fill["qty"] * (_end_value2(episodes) / 2 - fill["px"]) - fill["fee_uusd"]) * known
    seen, came = _sum(episodes, seen) * CENTS_PER_CONTRACT, _sum(episodes, came) * CENTS_PER_CONTRACT
    lots = _sum(episodes, np.abs(fill["qty"]) * known)
    return {"edge_theoretical_cents": (seen, lots), "edge_realised_cents": (came, lots), "edge_ratio": (came, seen)}


def _briers(episodes: Episodes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of entries into markets that settled: the price paid as a forecast, and the forecast held then."""
    lane = episodes.fill_lane
    lots = entry_lots(episodes) * episodes.settled[lane]
    payout = episodes.payout_px[lane]
    forecast_ppm = episodes.signal_ppm[lane, episodes.fill_step]
    known = lots * (forecast_ppm >= 0)
    price = (_sum(episodes, lots * brier(episodes.fill["px"], payout)), _sum(episodes, lots))
    forecast = (_sum(episodes, known * brier(forecast_ppm / 100, payout)), _sum(episodes, known))
    return {"brier_entries": price, "brier_forecast": forecast}


def _markout(episodes: Episodes, after_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """What fills were worth ``after_ns`` later less their price, and the lots whose worth is known."""
    fill, episode = episodes.fill, episodes.fill_episode
    column = column_at(episodes, episode, fill["ns"] - episodes.start_ns[episode] + after_ns)
    value2, known = value2_at(episodes, episodes.fill_lane, column)
    gain = fill["qty"] * (value2 - 2 * fill["px"].astype(np.int64)) / 2 * CENTS_PER_CONTRACT
    return _sum(episodes, gain * known), _sum(episodes, np.abs(fill["qty"]) * known)
