"""Tune a baseline on training episodes, so that an agent is not compared with badly chosen numbers.

Random search with successive halving (Jamieson and Talwalkar 2016): many candidates play few episodes, the best third
plays three times as many, and so on. All candidates meet the same worlds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from agents.policy import BASELINE, FIXED, load
from evaluation.compiled import COMPILED, trader
from evaluation.episodes import Episodes
from evaluation.rollout import rollout
from sim.strategies import Parameter, find_strategy
from sim.types import UUSD

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv

CANDIDATES = 27
KEEP = 3  # one of so many survives a round
_PURPOSE = 0x7E5E


def plain_results(episodes: Episodes) -> np.ndarray:
    """``(E,)`` micro-dollars made."""
    return episodes.result_uusd


def within(budgets: Mapping[str, float]) -> Callable[[Episodes], np.ndarray]:
    """``results`` for `tune`: micro-dollars made where the mean of every cost is within its budget, else -inf.

    ``budgets`` are a mean an episode by name of the cost, in its unit. Raises ValueError for a cost that episodes lack.
    """

    def results(episodes: Episodes) -> np.ndarray:
        for name, budget in budgets.items():
            if name not in episodes.cost_names:
                raise ValueError(f"tune: no cost {name!r}; the episodes have {', '.join(episodes.cost_names)}")
            if episodes.costs[:, episodes.cost_names.index(name)].mean() > budget:
                return np.full(len(episodes), -np.inf)
        return episodes.result_uusd

    return results


@dataclass(frozen=True)
class Tuned:
    """The best parameters found, and what finding them took."""

    name: str
    params: dict[str, float]
    steps: int  # environment steps used
    candidates: int  # parameter sets tried, the defaults among them
    result_usd: float  # mean result an episode of the winner's last round; too good by selection

    @property
    def spec(self) -> str:
        """What `agents.policy.load` and `evaluate` take: "baseline:quoter?size=12.5&..."."""
        return spec_of(self.name, self.params)


def spec_of(name: str, params: Mapping[str, float]) -> str:
    """A baseline with its parameters as one text."""
    query = "&".join(f"{key}={value!r}" for key, value in params.items())
    return f"{BASELINE}{name}{'?' if query else ''}{query}"


def tune(
    name: str,
    make_env: Callable[[], TradingVectorEnv],
    budget_steps: int,
    *,
    candidates: int = CANDIDATES,
    seed: int = 0,
    progress: bool = True,
    results: Callable[[Episodes], np.ndarray] = plain_results,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> Tuned:
    """The parameters of baseline ``name`` with the best mean result, found within ``budget_steps`` environment steps.

    ``name``: of ``sim.strategies``, of `evaluation.compiled.COMPILED`, or ``fixed``, a point of a control surface. The
    defaults are candidate 0; candidate i > 0 is uniform in the parameters' bounds, from Philox with key (seed, purpose)
    and counter i; or where ``ranges`` has the parameter in (low, high), in the logarithm where 0 < low <= high / 10.

    ``make_env()`` builds a fresh environment in ``AutoresetMode.DISABLED`` with the training rows and always the same
    seed. Every round costs about as many steps; a rollout that could go over the budget, judged by the longest episode
    so far, is not begun, and the best of the last round that was finished wins. Only where episodes grow longer than
    any before can the last rollout end beyond it; ``Tuned.steps`` says what was used.

    ``results`` gives the ``(E,)`` micro-dollars whose mean counts; where the truth is known, pass a less noisy one, and
    where there are budgets `within` them.

    Raises ValueError for an unknown baseline or parameter, no candidate, or a budget too small for the first round.
    """
    if candidates < 1:
        raise ValueError(f"tune {name}: expected at least one candidate, got {candidates}")
    parameters = parameters_of(name, make_env)
    if not parameters:
        return Tuned(name, {}, 0, 1, 0.0)
    _check_ranges(name, parameters, ranges or {})
    search = _Search(name, parameters, make_env, budget_steps, seed, results, ranges or {})
    return search.run(candidates, progress)


def parameters_of(name: str, make_env: Callable[[], TradingVectorEnv]) -> tuple[Parameter, ...]:
    """What a baseline can be tuned by. Raises ValueError for an unknown one, or ``fixed`` without a control surface."""
    if name in COMPILED:
        return COMPILED[name].parameters
    if name != FIXED:
        return find_strategy(name).parameters
    env = make_env()
    load(BASELINE + FIXED, env.spec_sheet)  # refuses a table
    env.close()
    return tuple(
        Parameter(key, default, low, high, unit) for key, unit, low, default, high in env.spec_sheet["actions"]
    )


def _check_ranges(name: str, parameters: Sequence[Parameter], ranges: Mapping[str, tuple[float, float]]) -> None:
    bounds = {parameter.name: (parameter.low, parameter.high) for parameter in parameters}
    for key, (low, high) in ranges.items():
        if key not in bounds:
            raise ValueError(f"tune {name}: ranges: no parameter {key!r}; it has {', '.join(bounds)}")
        if not bounds[key][0] <= low <= high <= bounds[key][1]:
            raise ValueError(f"tune {name}: ranges: {key} in [{low}, {high}] leaves its bounds {list(bounds[key])}")


def candidate(
    parameters: Sequence[Parameter], index: int, seed: int, ranges: Mapping[str, tuple[float, float]] | None = None
) -> dict[str, float]:
    """Parameters of candidate ``index``; 0 = the defaults."""
    if index == 0:
        return {parameter.name: parameter.default for parameter in parameters}
    generator = np.random.Generator(np.random.Philox(key=[seed, _PURPOSE], counter=[0, 0, 0, index]))
    draws = generator.random(len(parameters))
    drawn = {}
    for parameter, draw in zip(parameters, draws, strict=True):
        low, high = parameter.low, parameter.high
        if ranges is not None and parameter.name in ranges:
            low, high = ranges[parameter.name]
            if 0.0 < low <= high / 10.0:
                drawn[parameter.name] = math.exp(math.log(low) + (math.log(high) - math.log(low)) * float(draw))
                continue
        drawn[parameter.name] = float(low + (high - low) * draw)
    return drawn


class _Search:
    def __init__(
        self,
        name: str,
        parameters: Sequence[Parameter],
        make_env: Callable[[], TradingVectorEnv],
        budget_steps: int,
        seed: int,
        results: Callable[[Episodes], np.ndarray],
        ranges: Mapping[str, tuple[float, float]],
    ) -> None:
        self.name, self.parameters, self.ranges = name, parameters, ranges
        self.make_env, self.seed, self.results = make_env, seed, results
        self.budget, self.used, self.longest = budget_steps, 0, 1

    def run(self, candidates: int, progress: bool) -> Tuned:
        scores = {0: self._first_look()}
        alive = list(range(candidates))
        for rung, episodes in enumerate(self._episodes_a_rung(candidates)):
            scores = self._play(alive, episodes, f"tune {self.name}, round {rung + 1}" if progress else None) or scores
            alive = sorted(scores, key=lambda index: -scores[index])[: max(1, len(scores) // KEEP)]
        winner = alive[0]
        params = candidate(self.parameters, winner, self.seed, self.ranges)
        return Tuned(self.name, params, self.used, candidates, scores[winner])

    def _first_look(self) -> float:
        """One episode an environment with the defaults: how long an episode is."""
        score = self._score(0, 1)
        if self.used > self.budget:
            raise ValueError(
                f"tune {self.name}: one episode in each environment took {self.used} steps, the budget is "
                f"{self.budget}: raise it or use fewer environments"
            )
        return score

    def _episodes_a_rung(self, candidates: int) -> list[int]:
        """Episodes an environment that each candidate plays, round by round; every round costs about the same."""
        rungs = [candidates]
        while rungs[-1] > KEEP:
            rungs.append(max(1, rungs[-1] // KEEP))
        share = (self.budget - self.used) / len(rungs)
        each = [int(share / (alive * self.longest)) for alive in rungs]
        if each[0] < 1:
            raise ValueError(
                f"tune {self.name}: {self.budget} steps are too few for {candidates} candidates of one episode an "
                f"environment, {self.longest} steps each, in {len(rungs)} rounds: raise the budget to at least "
                f"{self.used + candidates * self.longest * len(rungs)}"
            )
        return each

    def _play(self, alive: list[int], rounds: int, label: str | None) -> dict[int, float]:
        """Scores of all candidates of a round; none where the budget would not have lasted."""
        scores = {}
        for index in tqdm(alive, desc=label, unit="candidate", disable=label is None, leave=False):
            if self.used + rounds * self.longest > self.budget:
                return {}
            scores[index] = self._score(index, rounds)
        return scores

    def _score(self, index: int, rounds: int) -> float:
        """Mean result of a candidate over ``rounds`` episodes in each environment, in dollars."""
        env = self.make_env()
        spec = spec_of(self.name, candidate(self.parameters, index, self.seed, self.ranges))
        policy = trader(spec, env) or load(spec, env.spec_sheet, seed=self.seed)
        episodes = rollout(env, policy, rounds * env.num_envs)
        env.close()
        self.used += episodes.env_steps
        self.longest = max(self.longest, int(episodes.steps.max()) * env.num_envs)
        return float(self.results(episodes).mean() / UUSD)
