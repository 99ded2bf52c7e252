"""Judge a policy beside the baselines and write what came out: scorecard, report, plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from agents.checkpoint import git_state, versions
from agents.policy import BASELINE
from configs.build import Trial, data_digests, trial_env
from configs.regression import known_failures, replay_failures
from configs.schema import BASELINES, DirectionalConfig, EvaluationConfig
from evaluation.compare import evaluate
from evaluation.fills import fill_set_of
from evaluation.report import refuse_existing, write_report
from evaluation.scorecard import scorecard, write_scorecard


def policies_of(run: Path, baselines: Sequence[str] | None) -> dict[str, str]:
    """A run as the agent, and baselines beside it; None = `configs.schema.BASELINES`."""
    return {"agent": str(run), **baselines_of(BASELINES if baselines is None else baselines)}


def baselines_of(baselines: Sequence[str]) -> dict[str, str]:
    """Baselines by name; ``NAME?key=value`` gives parameters."""
    return {name: f"{BASELINE}{name}" for name in baselines}


def manifest_without_run(config_yaml: str, date: str, repository: Path) -> dict[str, Any]:
    """What a report over baselines alone says of its making, under the names that runs' manifests have."""
    return {"config": config_yaml, "date": date, "git": git_state(repository), "versions": versions()}


def with_data(manifest: Mapping[str, Any], what: Trial) -> dict[str, Any]:
    """``manifest`` and the digests of the tapes that are judged on."""
    return {**manifest, "data": {**manifest.get("data", {}), "judged": data_digests(what.scenario)}}


def judge(
    policies: Mapping[str, str],
    env: DirectionalConfig,
    what: Trial,
    evaluation: EvaluationConfig,
    folder: Path,
    manifest: Mapping[str, Any],
) -> dict[str, Any]:
    """Play ``policies``, the first of them as the agent, on ``what``; write scorecard and report; return the scorecard.

    ``folder`` gets ``scorecard.json``, ``report.html`` and ``plots/``. Raises FileExistsError, before anything is
    played, where one of them is there.
    """
    refuse_existing(folder)
    cases = known_failures(evaluation.failures, len(what.scenario.places))
    outcome = evaluate(
        policies,
        trial_env(env, what, evaluation),
        what.episodes,
        fill_models=evaluation.fill_models,
        fill_set=fill_set_of(what.scenario.rows),
        seed=evaluation.seed,
        deterministic=evaluation.deterministic,
    )
    card = scorecard(outcome, seed=evaluation.seed)
    card["regression"] = replay_failures(next(iter(policies.values())), env, cases)
    folder.mkdir(parents=True, exist_ok=True)
    write_scorecard(folder, card)
    write_report(folder, outcome, {"judged on": what.title, **manifest}, card)
    return card


def print_places(title: str, places: Mapping[str, Path], console: Console) -> None:
    """Print where things lie, one a line and never broken."""
    console.print(title)
    for name, path in places.items():
        console.print(f"{name:<10} {path}", soft_wrap=True, markup=False, highlight=False)
