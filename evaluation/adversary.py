"""What a policy does on given scenario rows, as scores of failure: what an adversarial search climbs.

A candidate is a row. All candidates of a generation play side by side, each environment pinned to its row, and meet
common random numbers: environment e of every candidate has the same global number, so the same chance. Episodes do not
touch each other, so a batch may be cut anywhere, and its pieces be played by several processes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agents.policy import BaselinePolicy, carried
from evaluation.bootstrap import LEVEL, RESAMPLES, Interval, bootstrap
from evaluation.compare import PolicySource, policy_for
from evaluation.metrics import expected_shortfall, max_drawdown, ratio
from evaluation.parity import KILL, rate_interval
from evaluation.rollout import rollout
from evaluation.workers import Alone, Workers
from sim.backtest import CompiledStrategy, backtest
from sim.engine import Engine
from sim.scenarios import Scenario
from sim.scenarios.portfolio import Place
from sim.types import UUSD

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv

BATCH = 1024  # environments that play at once
LEAST = 64  # of them in a piece that another worker is given
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


class _Piece(NamedTuple):
    """Environments that play together: number k plays row ``rows[of[k]]`` with the chance ``numbers[k]``."""

    first: int  # of them, among all
    rows: np.ndarray  # (C,) ROW
    of: np.ndarray  # (n,) int64
    numbers: np.ndarray  # (n,) int64
    seed: int


def env_player(
    policy: PolicySource,
    make_env: Callable[[Scenario, int, int], TradingVectorEnv],
    venue: str = "polymarket",
    *,
    workers: Workers | None = None,
) -> Player:
    """Plays any policy in environments; ``make_env(scenario, num_envs, seed)`` makes them fresh, not resetting alone.

    ``workers``: who plays; None = this process. Outcomes do not depend on it: also a policy that draws at random meets
    common chance, since it draws by the number of an environment. One that is given as a function and draws draws by
    the place in its batch.
    """
    crew = workers or Alone()
    source = policy if callable(policy) else carried(policy)
    function = partial(_play_piece, source, make_env, venue)  # one for all calls: a cluster is sent it once

    def play(rows: np.ndarray, episodes: int, seed: int) -> Outcomes:
        pieces = _cut(rows, episodes, seed, crew.count)
        found: dict[int, Outcomes] = {}
        for piece, outcomes in crew.each(function, pieces, _called):
            found[piece.first] = outcomes
        return joined([found[piece.first] for piece in pieces], (len(rows), episodes))

    return play


def _cut(rows: np.ndarray, episodes: int, seed: int, workers: int) -> list[_Piece]:
    """All episodes of all rows in order, in pieces of at most `BATCH`, and where that is worth it one a worker."""
    count = len(rows) * episodes
    pieces = max(-(-count // BATCH), min(workers, count // LEAST), 1)
    ends = [count * number // pieces for number in range(pieces + 1)]
    return [_piece(rows, episodes, seed, first, last) for first, last in itertools.pairwise(ends)]


def _piece(rows: np.ndarray, episodes: int, seed: int, first: int, last: int) -> _Piece:
    of, numbers = np.divmod(np.arange(first, last), episodes)
    return _Piece(first, rows[of[0] : of[-1] + 1], of - of[0], numbers, seed)


def _called(piece: _Piece) -> str:
    return f"episodes {piece.first} to {piece.first + len(piece.numbers) - 1} with seed {piece.seed}"


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
            engine.pin(*np.divmod(np.arange(engine.num_envs), episodes))
            marks = backtest(engine, chosen, values, dt_s=dt_s, mark_s=dt_s).marks
            parts.append(_of_marks(marks, engine.num_envs, cash_usd * UUSD, kill_drawdown))
        return joined(parts, (len(rows), episodes))

    return play


def joined(parts: list[Outcomes], shape: tuple[int, int]) -> Outcomes:
    """Outcomes ``(n,)`` of pieces in their order as one of the ``shape`` (C, E)."""
    costs = {name: np.concatenate([part.costs[name] for part in parts]).reshape(shape) for name in parts[0].costs}
    columns = zip(*(part[:3] for part in parts), strict=True)
    loss, drawdown, killed = (np.concatenate(column).reshape(shape) for column in columns)
    return Outcomes(loss, drawdown, killed, costs)


def _play_piece(
    policy: PolicySource, make_env: Callable[[Scenario, int, int], TradingVectorEnv], venue: str, piece: _Piece
) -> Outcomes:
    """``(n,)`` outcomes of a piece."""
    env = make_env(Scenario(piece.rows, places=(Place(venue),)), len(piece.of), piece.seed)
    env.engine.pin(piece.of, piece.numbers)
    plays = policy_for(policy, env, piece.seed)
    if isinstance(plays, BaselinePolicy):
        plays.numbers = piece.numbers
    played = rollout(env, plays, env.num_envs)
    env.close()
    killed = played.ruined.copy()  # round 0 of every environment, in the order of the batch
    if KILL in played.cost_names:
        killed |= played.costs[:, played.cost_names.index(KILL)] > 0
    return Outcomes(
        -100.0 * played.result_uusd / played.start_uusd,
        100.0 * max_drawdown(played.equity_uusd) / played.start_uusd,
        killed,
        {name: played.costs[:, k].copy() for k, name in enumerate(played.cost_names)},
    )


def _of_marks(marks: np.ndarray, count: int, cash_uusd: float, kill_drawdown: float) -> Outcomes:
    """Outcomes ``(count,)`` of marks, environment after environment, each in the order of time."""
    last = np.searchsorted(marks["env"], np.arange(count), side="right")
    first = np.concatenate([[0], last[:-1]])
    column = np.minimum(first[:, None] + np.arange(int((last - first).max()))[None, :], last[:, None] - 1)
    equity = np.concatenate([np.full((count, 1), cash_uusd), marks["equity_uusd"][column]], axis=1)
    loss = 100.0 * (1.0 - equity[:, -1] / cash_uusd)
    drawdown = 100.0 * max_drawdown(equity) / cash_uusd
    return Outcomes(loss, drawdown, drawdown > 100.0 * kill_drawdown, {})


def _cost(outcomes: Outcomes, name: str) -> np.ndarray:
    if name not in outcomes.costs:
        raise ValueError(f"score {COST}{name}: the episodes have no such cost; they have {', '.join(outcomes.costs)}")
    return outcomes.costs[name]
