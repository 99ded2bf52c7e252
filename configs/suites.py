"""The suites of evaluate.py: every entry of the scenario library, and many episodes of one scenario."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from tqdm import tqdm

from configs.build import Trial, entry_of, trial, trial_env
from configs.evaluator import evaluator
from configs.judge import baselines_of, policies_of, print_places
from configs.montecarlo import digests_of, facts_of, plain_env, shards_of
from configs.schema import DirectionalConfig, EvaluateConfig, EvaluationConfig, LibraryConfig, ScenarioConfig
from configs.workers import hired
from curricula.entries import Entry, entry_names
from evaluation import by_entry
from evaluation.compare import BRACKET, evaluate, policy_for
from evaluation.compiled import check_names
from evaluation.files import write_json
from evaluation.montecarlo import report
from evaluation.montecarlo.run import Task, run
from evaluation.plan import agree
from evaluation.report import refuse_existing


def play_suite(
    config: EvaluateConfig,
    env: DirectionalConfig,
    scenario: ScenarioConfig | None,
    trained_with: int | None,
    folder: Path,
    manifest: Mapping[str, Any],
) -> None:
    """Play ``config.suite``, write and print what came out. Raises FileExistsError where that is there already."""
    console = Console()
    policies = _policies(config)
    check_names(policies)
    if config.suite == "library":
        refuse_existing(folder, (by_entry.FILE, by_entry.PLOT))
        card = library_card(policies, env, config.evaluation, trained_with, manifest, folder)
        places = by_entry.write(folder, card)
        by_entry.print_card(card, console)
    else:
        assert scenario is not None  # the schema wants one, or a run that has one
        places = play_montecarlo(config, policies, env, scenario, folder, manifest, console)
    print_places(f"suite {config.suite}", places, console)


def _policies(config: EvaluateConfig) -> dict[str, str]:
    """As without a suite; but a run is alone in suite=montecarlo unless ``evaluation.baselines`` names others."""
    if config.checkpoint is None:
        return baselines_of(config.policies)
    beside = config.evaluation.baselines
    if config.suite == "montecarlo" and beside is None:
        beside = []
    return policies_of(Path(config.checkpoint), beside)


def headline(evaluation: EvaluationConfig) -> str:
    """The one fill model a suite plays: the fitted one where it is among ``evaluation.fill_models``, else the first."""
    return BRACKET[1] if BRACKET[1] in evaluation.fill_models else evaluation.fill_models[0]


class _Played(NamedTuple):
    """An entry, and who can play it."""

    entry: Entry
    what: Trial
    able: dict[str, str]
    refused: dict[str, str]  # why not, by policy


def library_card(
    policies: Mapping[str, str],
    env: DirectionalConfig,
    evaluation: EvaluationConfig,
    trained_with: int | None,
    manifest: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """Every policy on every entry, see `evaluation.by_entry.make_card`.

    What cannot be played is said before anything is. Each entry that was played is kept in ``folder``, and a suite that
    was killed goes on behind it. Raises ValueError where an entry contradicts ``env``, where nobody can play with a
    policy, and where the folder was begun with something else.
    """
    ready = [_prepared(name, policies, env, evaluation, trained_with) for name in entry_names()]
    for policy in policies:
        if all(policy in one.refused for one in ready):
            raise ValueError(f"{policy} can play no entry of the library: {ready[0].refused[policy]}")
    facts = {
        "episodes": evaluation.synthetic_episodes,
        "fill_model": headline(evaluation),
        "seed": evaluation.seed,
        "made": {key: manifest[key] for key in ("run", "git", "versions") if key in manifest},
        "evaluator": evaluator(),
    }
    named = {"policies": dict(policies), "digests": digests_of(policies), "env": plain_env(env)}
    agree(folder, {**facts, **named, "library": {one.entry.name: one.entry.digest for one in ready}})
    entries = [_kept(folder, one, env, evaluation) for one in tqdm(ready, desc="library", unit="entry", leave=False)]
    return by_entry.make_card(entries, facts, list(policies))


def _prepared(
    name: str,
    policies: Mapping[str, str],
    env: DirectionalConfig,
    evaluation: EvaluationConfig,
    trained_with: int | None,
) -> _Played:
    wanted = LibraryConfig(name=name)
    entry, what = entry_of(wanted), trial(wanted, evaluation, trained_with)
    fresh = trial_env(env, what._replace(num_envs=1), evaluation)(fill_model=headline(evaluation))
    able, refused = {}, {}
    for policy, source in policies.items():
        try:
            policy_for(source, fresh, evaluation.seed)
            able[policy] = source
        except ValueError as error:  # made for another number of markets
            refused[policy] = str(error).split("; ")[0]  # which features differ is a long list
    fresh.close()
    return _Played(entry, what, able, refused)


def _kept(folder: Path, one: _Played, env: DirectionalConfig, evaluation: EvaluationConfig) -> dict[str, Any]:
    """What came of an entry: read where it was played before, else played and written."""
    path = folder / "entries" / f"{one.entry.name}.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    results = {}
    if one.able:
        outcome = evaluate(
            one.able,
            trial_env(env, one.what, evaluation),
            one.what.episodes,
            fill_models=[headline(evaluation)],
            seed=evaluation.seed,
            deterministic=evaluation.deterministic,
            progress=False,
        )
        results = by_entry.entry_figures(outcome, seed=evaluation.seed)
    entry = one.entry
    head = {"name": entry.name, "title": entry.title, "version": entry.version, "digest": entry.digest}
    found = {**head, "results": results, "refused": one.refused}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, found)
    return found


def play_montecarlo(
    config: EvaluateConfig,
    policies: Mapping[str, str],
    env: DirectionalConfig,
    scenario: ScenarioConfig,
    folder: Path,
    manifest: Mapping[str, Any],
    console: Console,
) -> dict[str, Path]:
    """Play, or go on where a run in ``folder`` was killed; where its files lie."""
    refuse_existing(folder, (report.FILE,))
    torch.set_num_threads(1)
    model, seed = headline(config.evaluation), config.evaluation.seed
    made = {key: manifest[key] for key in ("run", "git", "versions") if key in manifest}
    facts = {**facts_of(env, scenario, model, policies), "made": made, "evaluator": evaluator()}
    task = Task(policies, shards_of(env, scenario, model), int(config.n), seed, config.shard, facts)
    make_first = task.make_env(1, seed)  # what cannot be played is said before anything is
    for source in policies.values():
        policy_for(source, make_first, seed)
    make_first.close()
    console.print(f"{folder}: out={folder} goes on if this is killed", markup=False, highlight=False, soft_wrap=True)
    with hired(config.workers) as workers:
        shards = run(task, folder, workers=workers)
    shown = {"episodes": task.episodes, "seed": seed, "shard": task.shard, **facts}
    card = report.make_card(shards, shown, seed=seed)
    report.print_card(card, console)
    return report.write(folder, card, shards)
