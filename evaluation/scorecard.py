"""Agent and baselines side by side, as a dictionary with stable keys: scorecard.json, the table and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.attribution import PARTS, attribute, attribute_lanes
from evaluation.bootstrap import LEVEL, RESAMPLES, false_alarms, plain, tail_note
from evaluation.compare import Evaluation, advantage
from evaluation.episodes import Episodes, clusters, market_days
from evaluation.estimates import ARBITRAGE, METRICS, SHIELD, Metric, daily_usd, estimate
from evaluation.fills import shown_names
from evaluation.metrics import TAIL, max_drawdown
from evaluation.summary import Summary, format_summary
from sim.types import UUSD

SCHEMA = 1  # of scorecard.json; goes up when a key changes its name or meaning


def scorecard(
    evaluation: Evaluation, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> dict[str, Any]:
    """Every metric of every policy under every fill model, with intervals, as plain JSON values.

    Keys: schema, agent, policies, fill_models, fill_set (what the probabilistic one was fitted on), fill_names (how
    they are shown), headline, episodes, interval, legend, results[fill model][policy],
    advantage[fill model][baseline] (agent less baseline, paired, dollars an episode), tails (why CVaR has no interval,
    ""), false_alarms, summary.
    An estimate is {value, low, high}; null = not defined on these episodes.
    """
    options: dict[str, Any] = {"seed": seed, "resamples": resamples, "level": level}
    shown = evaluation.shown[evaluation.agent]
    drawn = int(clusters(shown).max()) + 1
    results = {
        model: {name: _result(episodes, options) for name, episodes in runs.items()}
        for model, runs in evaluation.runs.items()
    }
    baselines = evaluation.policies[1:]
    comparisons = {
        model: {name: plain(advantage(evaluation, name, model, **options)) for name in baselines}
        for model in evaluation.fill_models
    }
    return {
        "schema": SCHEMA,
        "agent": evaluation.agent,
        "policies": list(evaluation.policies),
        "fill_models": list(evaluation.fill_models),
        "fill_set": evaluation.fill_set,
        "fill_names": shown_names(evaluation.fill_models, evaluation.fill_set),
        "headline": evaluation.headline,
        "episodes": len(shown),
        "interval": options | {"method": "bca", "clusters": drawn, "drawn": drawn_unit(shown)},
        "legend": legend(shown),
        "results": results,
        "advantage": comparisons,
        "tails": tail_note(drawn, (TAIL,)),
        "false_alarms": false_alarms(len(baselines) * len(evaluation.fill_models), level),
        "summary": format_summary(summarise(shown)),
    }


def write_scorecard(folder: Path, card: dict[str, Any]) -> Path:
    """Write ``folder/scorecard.json``; its path. Raises FileExistsError rather than overwrite one."""
    path = Path(folder) / "scorecard.json"
    with path.open("x", encoding="utf-8") as file:
        json.dump(card, file, indent=2, allow_nan=False)
        file.write("\n")
    return path


def summarise(episodes: Episodes) -> Summary:
    """What the episodes came to together: the run's last line.

    Killed = any episode drew the kill cost or was ruined; the reason says which.
    """
    total = int(episodes.result_uusd.sum())
    unrealised = int(episodes.unrealised_uusd.sum())
    reason = "none"
    if "kill" in episodes.cost_names and (episodes.costs[:, episodes.cost_names.index("kill")] > 0).any():
        reason = "kill"
    if episodes.ruined.any():
        reason = "ruin"
    return Summary(total - unrealised, unrealised, reason != "none", reason)


def drawn_unit(episodes: Episodes) -> str:
    """What the bootstrap draws: episodes, recorded markets, or both where a scenario mixes them."""
    recorded = episodes.tape >= 0
    if recorded.all():
        return "markets"
    return "episodes and markets" if recorded.any() else "episodes"


def legend(episodes: Episodes) -> dict[str, dict[str, Any]]:
    """How each metric is labelled and shown."""
    metrics = METRICS | (ARBITRAGE if episodes.linked is not None else {})
    metrics |= SHIELD if episodes.interventions is not None else {}
    metrics |= {f"cost_{name}": Metric(f"Cost: {name}", "", 3, -1) for name in episodes.cost_names}
    return {name: metric._asdict() for name, metric in metrics.items()}


def _result(episodes: Episodes, options: dict[str, Any]) -> dict[str, Any]:
    parts = attribute(episodes)
    summary = summarise(episodes)
    return {
        "metrics": {name: plain(interval) for name, interval in estimate(episodes, **options).items()},
        "total_uusd": summary.total_uusd,
        "realised_uusd": summary.realised_uusd,
        "unrealised_uusd": summary.unrealised_uusd,
        "kill": summary.kill,
        "reason": summary.reason,
        "attribution_uusd": {name: int(part.sum()) for name, part in zip(PARTS, parts, strict=True)},
        "worst_drawdown_usd": float(max_drawdown(episodes.equity_uusd).max() / UUSD),
        "episodes": len(episodes),
        "settled": int(episodes.all_settled.sum()),
        "days": int(np.max(market_days(episodes))) + 1,
        "daily_usd": [round(float(day), 6) for day in daily_usd(episodes)],
        "fills": len(episodes.fill),
        "env_steps": episodes.env_steps,
        "markets": _markets(episodes) if episodes.num_markets > 1 else [],
    }


def _markets(episodes: Episodes) -> list[dict[str, Any]]:
    """What each market contributed, all episodes together; the dollars that conversions brought are in none of them."""
    lanes = attribute_lanes(episodes).total_uusd().reshape(len(episodes), -1).sum(axis=0)
    fill = episodes.fill
    fees, lots, count = (
        np.bincount(fill["market"], values, episodes.num_markets)
        for values in (fill["fee_uusd"], np.abs(fill["qty"]), np.ones(len(fill)))
    )
    return [
        {
            "market": episodes.place(market),
            "result_uusd": int(lanes[market]),
            "fees_uusd": int(fees[market]),
            "filled_qty": int(lots[market]),
            "fills": int(count[market]),
        }
        for market in range(episodes.num_markets)
    ]
