"""Tune a baseline on training episodes, so that an agent is not compared with badly chosen numbers.

Random search with successive halving (Jamieson and Talwalkar 2016): many candidates play few episodes, the best third
plays three times as many, and so on. All candidates meet the same worlds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from agents.policy import BASELINE, BaselinePolicy
from evaluation.episodes import Episodes
from evaluation.rollout import rollout
from sim.strategies import Strategy, find_strategy
from sim.types import UUSD

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv

CANDIDATES = 27
KEEP = 3  # one of so many survives a round
_PURPOSE = 0x7E5E


def plain_results(episodes: Episodes) -> np.ndarray:
    """``(E,)`` micro-dollars made."""
    return episodes.result_uusd


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
        query = "&".join(f"{name}={value!r}" for name, value in self.params.items())
        return f"{BASELINE}{self.name}{'?' if query else ''}{query}"


def tune(
    name: str,
    make_env: Callable[[], TradingVectorEnv],
    budget_steps: int,
    *,
    candidates: int = CANDIDATES,
    seed: int = 0,
    progress: bool = True,
    results: Callable[[Episodes], np.ndarray] = plain_results,
) -> Tuned:
    """The parameters of baseline ``name`` with the best mean result, found within ``budget_steps`` environment steps.

    The defaults are candidate 0; candidate i > 0 is uniform in the parameters' bounds, from Philox with key (seed,
    purpose) and counter i. ``make_env()`` builds a fresh environment in ``AutoresetMode.DISABLED`` with the training
    rows and always the same seed. Every round costs about as many steps; a rollout that could go over the budget,
    judged by the longest episode so far, is not begun, and the best of the last round that was finished wins. Only
    where episodes grow longer than any before can the last rollout end beyond it; ``Tuned.steps`` says what was used.

    ``results`` gives the ``(E,)`` micro-dollars whose mean counts; where the truth is known, pass a less noisy one.

    Raises ValueError for an unknown baseline, no candidate, or a budget too small for the first round.
    """
    strategy = find_strategy(name)
    if candidates < 1:
        raise ValueError(f"tune {name}: expected at least one candidate, got {candidates}")
    if not strategy.parameters:
        return Tuned(name, {}, 0, 1, 0.0)
    search = _Search(name, strategy, make_env, budget_steps, seed, results)
    return search.run(candidates, progress)


def candidate(strategy: Strategy, index: int, seed: int) -> dict[str, float]:
    """Parameters of candidate ``index``; 0 = the defaults."""
    if index == 0:
        return {parameter.name: parameter.default for parameter in strategy.parameters}
    generator = np.random.Generator(np.random.Philox(key=[seed, _PURPOSE], counter=[0, 0, 0, index]))
    draws = generator.random(len(strategy.parameters))
    return {
        parameter.name: float(parameter.low + (parameter.high - parameter.low) * draw)
        for parameter, draw in zip(strategy.parameters, draws, strict=True)
    }


class _Search:
    def __init__(
        self,
        name: str,
        strategy: Strategy,
        make_env: Callable[[], TradingVectorEnv],
        budget_steps: int,
        seed: int,
        results: Callable[[Episodes], np.ndarray],
    ) -> None:
        self.name, self.strategy, self.make_env, self.seed, self.results = name, strategy, make_env, seed, results
        self.budget, self.used, self.longest = budget_steps, 0, 1

    def run(self, candidates: int, progress: bool) -> Tuned:
        scores = {0: self._first_look()}
        alive = list(range(candidates))
        for rung, episodes in enumerate(self._episodes_a_rung(candidates)):
            scores = self._play(alive, episodes, f"tune {self.name}, round {rung + 1}" if progress else None) or scores
            alive = sorted(scores, key=lambda index: -scores[index])[: max(1, len(scores) // KEEP)]
        winner = alive[0]
        params = candidate(self.strategy, winner, self.seed)
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
        policy = BaselinePolicy(self.name, candidate(self.strategy, index, self.seed), env.spec_sheet, self.seed)
        episodes = rollout(env, policy, rounds * env.num_envs)
        env.close()
        self.used += episodes.env_steps
        self.longest = max(self.longest, int(episodes.steps.max()) * env.num_envs)
        return float(self.results(episodes).mean() / UUSD)
