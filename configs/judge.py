"""Judge a policy beside the baselines and write what came out: scorecard, report, plots."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from agents.policy import BASELINE
from configs.build import Trial, trial_env
from configs.schema import DirectionalConfig, EvaluationConfig
from evaluation.compare import evaluate
from evaluation.fills import fill_set_of
from evaluation.report import refuse_existing, write_report
from evaluation.scorecard import scorecard, write_scorecard


def judge(
    run: Path,
    env: DirectionalConfig,
    what: Trial,
    evaluation: EvaluationConfig,
    folder: Path,
    manifest: Mapping[str, Any],
) -> dict[str, Any]:
    """Play the run's policy and the baselines on ``what``; write ``folder/scorecard.json``, ``report.html`` and
    ``plots/``; return the scorecard. Raises FileExistsError, before anything is played, where one of them is there."""
    refuse_existing(folder)
    policies = {"agent": str(run), **{name: f"{BASELINE}{name}" for name in evaluation.baselines}}
    outcome = evaluate(
        policies,
        trial_env(env, what, evaluation),
        what.episodes,
        fill_models=evaluation.fill_models,
        fill_set=fill_set_of(what.scenario.rows),
        seed=evaluation.seed,
    )
    card = scorecard(outcome, seed=evaluation.seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_scorecard(folder, card)
    write_report(folder, outcome, {"judged on": what.title, **manifest}, card)
    return card


def print_places(title: str, places: Mapping[str, Path], console: Console) -> None:
    """Print where things lie, one a line and never broken."""
    console.print(title)
    for name, path in places.items():
        console.print(f"{name:<10} {path}", soft_wrap=True, markup=False, highlight=False)
