"""Play an agent and its baselines over the same episodes under several fill models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.policy import load
from evaluation.bootstrap import Interval, difference
from evaluation.compiled import check_names, trader
from evaluation.episodes import Episodes, check_pairs, clusters
from evaluation.rollout import Policy, rollout
from sim.backtest import Trader
from sim.types import FILL_MODELS, UUSD

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv

PolicySource = str | Path | Callable[[Mapping[str, Any]], Policy]
BRACKET = ("pessimistic", "probabilistic", "optimistic")


@dataclass(frozen=True)
class Evaluation:
    """Episodes of every policy under every fill model, all over the same worlds. The agent is the first policy."""

    runs: dict[str, dict[str, Episodes]]  # fill model -> policy -> episodes
    headline: str  # the fill model that tables and plots show
    fill_set: str = ""  # recordings that the probabilistic fill model was fitted on; "" = not known

    def __post_init__(self) -> None:
        if self.headline not in self.runs:
            raise ValueError(f"evaluation: headline fill model {self.headline!r} is not among {', '.join(self.runs)}")
        names = {tuple(runs) for runs in self.runs.values()}
        if len(names) != 1 or not all(names):
            raise ValueError(f"evaluation: every fill model needs the same policies, at least one; got {names}")

    @property
    def fill_models(self) -> tuple[str, ...]:
        """In the order they were asked for."""
        return tuple(self.runs)

    @property
    def policies(self) -> tuple[str, ...]:
        """The agent first, then the baselines."""
        return tuple(self.runs[self.headline])

    @property
    def agent(self) -> str:
        """The policy that is judged."""
        return self.policies[0]

    @property
    def shown(self) -> dict[str, Episodes]:
        """Policy -> episodes under the headline fill model."""
        return self.runs[self.headline]


def evaluate(
    policies: Mapping[str, PolicySource],
    make_env: Callable[..., TradingVectorEnv],
    episodes: int,
    *,
    fill_models: Sequence[str] = BRACKET,
    headline: str = "probabilistic",
    fill_set: str = "",
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Play ``episodes`` episodes of each policy under each fill model and keep everything.

    Args:
        policies: name -> where the policy comes from, the agent first, baselines behind it: what `agents.policy.load`
            takes ("checkpoints/<run>", "baseline:quoter"), a strategy of `evaluation.compiled.COMPILED`
            ("baseline:arbitrageur"), or a function of the environment's spec sheet that returns a
            policy. A fresh policy plays each fill model, so that nothing it keeps depends on the order.
        make_env: ``make_env(fill_model=name)`` builds a fresh environment with ``AutoresetMode.DISABLED`` and always
            the same seed, number of environments and scenario: then every policy meets the same worlds and differences
            may be paired. Each environment is closed again.
        episodes: as in `rollout`.
        fill_models: names of `sim.types.FILL_MODELS`, at least one.
        headline: the one that tables and plots show; the first of ``fill_models`` where it is not among them.
        fill_set: what the scenario's probabilistic fill model was fitted on, for tables and plots; see `fill_set_of`.
        seed: of the policies that draw.
        progress: a bar of finished episodes for each run.

    Raises ValueError for no policy, an unknown fill model, or two policies that did not meet the same episodes.
    """
    if not policies or not fill_models:
        raise ValueError("evaluate: expected at least one policy and one fill model")
    for model in fill_models:
        if model not in FILL_MODELS:
            raise ValueError(f"evaluate: no fill model {model!r}; the models are {', '.join(FILL_MODELS)}")
    check_names(policies)
    runs: dict[str, dict[str, Episodes]] = {}
    for model in fill_models:
        runs[model] = {}
        for name, source in policies.items():
            env = make_env(fill_model=model)
            runs[model][name] = rollout(
                env, policy_of(source, env, seed), episodes, label=f"{name}, {model} fills" if progress else None
            )
            env.close()
            check_pairs(next(iter(runs[model].values())), runs[model][name])
    return Evaluation(runs, headline if headline in runs else fill_models[0], fill_set)


def policy_of(source: PolicySource, env: TradingVectorEnv, seed: int) -> Policy | Trader:
    """A fresh policy from where it comes from, for ``env``; see `evaluate`."""
    if callable(source):
        return source(env.spec_sheet)
    return trader(source, env) or load(source, env.spec_sheet, seed=seed)


def advantage(evaluation: Evaluation, baseline: str, fill_model: str, **options: Any) -> Interval:
    """Paired interval of the agent's mean result an episode less the baseline's, in dollars; options of `bootstrap`."""
    agent, other = evaluation.runs[fill_model][evaluation.agent], evaluation.runs[fill_model][baseline]
    check_pairs(agent, other)
    return difference(agent.result_uusd / UUSD, other.result_uusd / UUSD, clusters(agent), **options)
