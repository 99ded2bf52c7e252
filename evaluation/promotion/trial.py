"""A candidate on trial: it, the policy it would replace and the baselines play the same episodes, and gates are asked.

Episodes are played when the first gate asks for them, once, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from evaluation.bootstrap import plain
from evaluation.compare import PolicySource, policy_for
from evaluation.episodes import Episodes
from evaluation.promotion.budgets import Budget, budget_gate
from evaluation.promotion.diff import difference_view
from evaluation.promotion.gates import Gate
from evaluation.promotion.latency import latency_gate
from evaluation.promotion.replay import Digests, Witness, digest_episodes, replay_gate
from evaluation.promotion.tails import USUAL, Terms, best_baseline, gains, tail_gate
from evaluation.promotion.walk import Walk, walk
from evaluation.rollout import Policy, rollout
from sim.backtest import Trader

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv


class Contender(NamedTuple):
    """A policy and the environment it plays in; all contenders' environments meet the same worlds."""

    name: str
    source: PolicySource
    make_env: Callable[[], TradingVectorEnv]  # fresh, not resetting by itself


@dataclass(frozen=True)
class Trial:
    """Who is judged, against whom, on what. ``incumbent`` None = nothing is promoted yet."""

    candidate: Contender
    incumbent: Contender | None
    baselines: tuple[Contender, ...]
    episodes: int
    budgets: tuple[Budget, ...] = ()
    terms: Terms = USUAL
    seed: int = 0  # of policies that draw
    deterministic: bool = True
    progress: bool = True

    @cached_property
    def _played(self) -> tuple[Episodes, Digests]:
        return self._play(self.candidate, "candidate")

    @property
    def candidate_episodes(self) -> Episodes:
        """What the candidate made of the episodes."""
        return self._played[0]

    @cached_property
    def incumbent_episodes(self) -> Episodes | None:
        """What the incumbent made of them."""
        return None if self.incumbent is None else self._play(self.incumbent, "incumbent")[0]

    @cached_property
    def baseline_episodes(self) -> dict[str, Episodes]:
        """What the baselines made of them, by name."""
        return {one.name: self._play(one, one.name)[0] for one in self.baselines}

    @cached_property
    def places(self) -> Walk:
        """Where the candidate comes to, and what it and the incumbent do there."""
        followers = []
        if self.incumbent is not None and self.difference_refused == "":
            followers = [self._policy(self.incumbent)]
        return walk(self.candidate.make_env(), self._policy(self.candidate), followers)

    @cached_property
    def difference_refused(self) -> str:
        """Why candidate and incumbent cannot be asked the same; "" where they can."""
        if self.incumbent is None:
            return "nothing is promoted yet"
        ours, theirs = _sheet_of(self.candidate), _sheet_of(self.incumbent)
        differ = [what for what in ("observation", "action") if ours[f"{what}_digest"] != theirs[f"{what}_digest"]]
        return f"they have another {differ[0]} schema" if differ else ""

    # gates

    def tails(self) -> Gate:
        """Against the incumbent."""
        if self.incumbent is None or self.incumbent_episodes is None:
            return Gate("tails", True, "a better tail than the incumbent's", "nothing is promoted yet")
        return tail_gate("tails", self.candidate_episodes, self.incumbent_episodes, self.incumbent.name, self.terms)

    def baseline(self) -> Gate:
        """Against the best baseline within the budgets."""
        best = best_baseline(self.baseline_episodes, self.budgets)
        return tail_gate("baseline", self.candidate_episodes, self.baseline_episodes[best], best, self.terms)

    def keeps_budgets(self) -> Gate:
        """Within the run's budgets, and no more than the incumbent."""
        options: dict[str, Any] = {"seed": self.terms.seed, "level": self.terms.level}
        return budget_gate(self.budgets, self.candidate_episodes, self.incumbent_episodes, **options)

    def replay(self) -> Gate:
        """The candidate's episodes a second time."""
        return replay_gate(self._played[1], self._play(self.candidate, "candidate again")[1])

    def latency(self, limit_us: float, clock: Callable[[], int]) -> Gate:
        """How long the candidate takes to decide; ``clock()`` says nanoseconds."""
        return latency_gate(self._policy(self.candidate), self.places, limit_us, clock)

    def difference(self) -> dict[str, Any]:
        """Where candidate and incumbent act differently, see `difference_view`; or ``refused``: why it is not said."""
        if self.difference_refused:
            return {"refused": self.difference_refused}
        return difference_view(self.places, _sheet_of(self.candidate))

    def standings(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """Who beat whom: the candidate's gains over the incumbent and every baseline, by name."""
        others = dict(self.baseline_episodes)
        if self.incumbent is not None and self.incumbent_episodes is not None:
            others = {self.incumbent.name: self.incumbent_episodes, **others}
        return {
            name: {key: plain(one) for key, one in gains(self.candidate_episodes, other, self.terms).items()}
            for name, other in others.items()
        }

    def _play(self, who: Contender, label: str) -> tuple[Episodes, Digests]:
        env = who.make_env()
        policy = policy_for(who.source, env, self.seed, deterministic=self.deterministic)
        witness = None if isinstance(policy, Trader) else Witness(policy)
        played = rollout(env, witness or policy, self.episodes, label=label if self.progress else None)
        env.close()
        return played, Digests("" if witness is None else witness.digest(), digest_episodes(played))

    def _policy(self, who: Contender) -> Policy:
        """Fresh, to be asked alone."""
        env = who.make_env()
        policy = policy_for(who.source, env, self.seed, deterministic=self.deterministic)
        env.close()
        if isinstance(policy, Trader):
            raise ValueError(f"promotion: {who.name} writes orders of its own; expected a policy that chooses actions")
        return policy


def _sheet_of(who: Contender) -> Mapping[str, Any]:
    env = who.make_env()
    env.close()
    return env.spec_sheet
