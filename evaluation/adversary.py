"""What a policy does on given scenario rows, as scores of failure: what an adversarial search climbs.

A candidate is a row. All candidates of a generation play in one batch, each environment pinned to its row, and meet
common random numbers: environment e of every candidate has the same global number, so the same chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evaluation.bootstrap import LEVEL, RESAMPLES, Interval, bootstrap
from evaluation.compare import PolicySource, policy_for
from evaluation.metrics import expected_shortfall, max_drawdown, ratio
from evaluation.parity import KILL, rate_interval
from evaluation.rollout import rollout
from sim.backtest import CompiledStrategy, backtest
from sim.engine import Engine
from sim.scenarios import Scenario
from sim.scenarios.portfolio import Place
from sim.types import UUSD

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv

BATCH = 1024  # environments that play at once
TAIL = 0.95  # of the score "cvar"
COST = "cost:"


class Outcomes(NamedTuple):
    """What E episodes on each of C rows came to."""

    loss: np.ndarray  # (C, E) float64, % of the starting cash; below 0 = a gain
    drawdown: np.ndarray  # (C, E) float64, largest fall from a peak, % of the starting cash
    killed: np.ndarray  # (C, E) bool: drew the kill cost, or was ruined
    costs: Mapping[str, np.ndarray]  # (C, E) float64 each, summed over the episode


Player = Callable[[np.ndarray, int, int], Outcomes]  # (C,) ROW, episodes a row, seed


class Score(NamedTuple):
    """A measure of failure: values of episodes, and what is made of them."""

    values: Callable[[Outcomes], np.ndarray]
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray]  # (E,) values, (B, E) weights -> (B,)
    text: str  # the value goes in for {}


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return ratio(values, np.ones(len(values)), weights)


def _tail(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return expected_shortfall(values, weights, TAIL)


SCORES: dict[str, Score] = {
    "loss": Score(lambda o: o.loss, _mean, "mean loss {:.3g} % of the cash"),
    "cvar": Score(lambda o: o.loss, _tail, "mean of the worst twentieth of losses {:.3g} % of the cash"),
    "drawdown": Score(lambda o: o.drawdown, _mean, "mean largest drawdown {:.3g} % of the cash"),
    KILL: Score(lambda o: o.killed.astype(np.float64), _mean, "share of episodes killed {:.3g}"),
}


def find_score(name: str) -> Score:
    """A score of `SCORES`, or ``cost:NAME``: the mean of a cost, whose threshold is its budget.

    Raises ValueError for any other name.
    """
    if name in SCORES:
        return SCORES[name]
    if name.startswith(COST):
        cost = name.removeprefix(COST)
        return Score(lambda outcomes: _cost(outcomes, cost), _mean, f"mean {cost} {{:.3g}}")
    raise ValueError(f"no score {name!r}; the scores are {', '.join(SCORES)} and {COST}NAME")


def scores(outcomes: Outcomes, name: str) -> np.ndarray:
    """``(C,)`` scores of the rows; higher is worse for the policy."""
    score = find_score(name)
    values = score.values(outcomes)
    return np.array([score.statistic(row, np.ones((1, len(row))))[0] for row in values])


def score_interval(outcomes: Outcomes, name: str, *, level: float = LEVEL, resamples: int = RESAMPLES) -> Interval:
    """Interval of the score of one row, by a bootstrap of its episodes; of the share killed the exact one.

    Raises ValueError for several rows.
    """
    score = find_score(name)
    values = score.values(outcomes)
    if len(values) != 1:
        raise ValueError(f"score_interval: expected the episodes of one row, got {len(values)} rows")
    if name == KILL:
        return rate_interval(int(values.sum()), values.size, level)
    return bootstrap(lambda w: score.statistic(values[0], w), values.shape[1], level=level, resamples=resamples)


def fails(interval: Interval, threshold: float) -> bool:
    """Whether a score is above ``threshold`` with confidence: its lower bound is. One episode has no bound."""
    return bool(interval.low > threshold)


def env_player(
    policy: PolicySource, make_env: Callable[[Scenario, int, int], TradingVectorEnv], venue: str = "polymarket"
) -> Player:
    """Plays any policy in environments; ``make_env(scenario, num_envs, seed)`` makes them fresh, not resetting alone.

    A policy that draws at random draws by its place in the batch, and so meets other chance in each candidate.
    """

    def play(rows: np.ndarray, episodes: int, seed: int) -> Outcomes:
        group = max(1, BATCH // episodes)
        parts = [
            _play_envs(policy, make_env, venue, rows[i : i + group], episodes, seed) for i in range(0, len(rows), group)
        ]
        return joined(parts)

    return play


def backtest_player(
    chosen: CompiledStrategy,
    values: Mapping[str, float] | None = None,
    *,
    venue: str = "polymarket",
    dt_s: float = 1.0,
    cash_usd: float = 10_000.0,
    kill_drawdown: float = 0.05,
    fill_model: str = "queue",
) -> Player:
    """Plays a compiled strategy without an environment around it: the same orders, fills and account, and no costs.

    ``killed`` = a drawdown, seen at the steps, of more than ``kill_drawdown`` of the cash.
    """

    def play(rows: np.ndarray, episodes: int, seed: int) -> Outcomes:
        group = max(1, BATCH // episodes)
        parts = []
        for first in range(0, len(rows), group):
            part = rows[first : first + group]
            engine = Engine(
                Scenario(part, places=(Place(venue),)), len(part) * episodes, seed=seed, window_s=np.inf,
                cash_uusd=round(cash_usd * UUSD), fill_model=fill_model,
            )  # fmt: skip
            _pin(engine, len(part), episodes)
            marks = backtest(engine, chosen, values, dt_s=dt_s, mark_s=dt_s).marks
            parts.append(_of_marks(marks, len(part), episodes, cash_usd * UUSD, kill_drawdown))
        return joined(parts)

    return play


def joined(parts: list[Outcomes]) -> Outcomes:
    """Outcomes of several groups of rows as one."""
    costs = {name: np.concatenate([part.costs[name] for part in parts]) for name in parts[0].costs}
    loss, drawdown, killed = (np.concatenate(columns) for columns in zip(*(part[:3] for part in parts), strict=True))
    return Outcomes(loss, drawdown, killed, costs)


def _pin(engine: Engine, rows: int, episodes: int) -> None:
    """Environment r x E + e plays row r with the chance of number e."""
    engine.pin(np.repeat(np.arange(rows), episodes), np.tile(np.arange(episodes), rows))


def _play_envs(
    policy: PolicySource,
    make_env: Callable[[Scenario, int, int], TradingVectorEnv],
    venue: str,
    rows: np.ndarray,
    episodes: int,
    seed: int,
) -> Outcomes:
    env = make_env(Scenario(rows, places=(Place(venue),)), len(rows) * episodes, seed)
    _pin(env.engine, len(rows), episodes)
    played = rollout(env, policy_for(policy, env, seed), env.num_envs)
    env.close()
    shape = (len(rows), episodes)  # round 0 of every environment, in the order of the batch
    killed = played.ruined.copy()
    if KILL in played.cost_names:
        killed |= played.costs[:, played.cost_names.index(KILL)] > 0
    return Outcomes(
        (-100.0 * played.result_uusd / played.start_uusd).reshape(shape),
        (100.0 * max_drawdown(played.equity_uusd) / played.start_uusd).reshape(shape),
        killed.reshape(shape),
        {name: played.costs[:, k].reshape(shape) for k, name in enumerate(played.cost_names)},
    )


def _of_marks(marks: np.ndarray, rows: int, episodes: int, cash_uusd: float, kill_drawdown: float) -> Outcomes:
    """Outcomes of marks, environment after environment, each in the order of time."""
    count = rows * episodes
    last = np.searchsorted(marks["env"], np.arange(count), side="right")
    first = np.concatenate([[0], last[:-1]])
    column = np.minimum(first[:, None] + np.arange(int((last - first).max()))[None, :], last[:, None] - 1)
    equity = np.concatenate([np.full((count, 1), cash_uusd), marks["equity_uusd"][column]], axis=1)
    loss = 100.0 * (1.0 - equity[:, -1] / cash_uusd)
    drawdown = 100.0 * max_drawdown(equity) / cash_uusd
    shape = (rows, episodes)
    killed = drawdown > 100.0 * kill_drawdown
    return Outcomes(loss.reshape(shape), drawdown.reshape(shape), killed.reshape(shape), {})


def _cost(outcomes: Outcomes, name: str) -> np.ndarray:
    if name not in outcomes.costs:
        raise ValueError(f"score {COST}{name}: the episodes have no such cost; they have {', '.join(outcomes.costs)}")
    return outcomes.costs[name]
