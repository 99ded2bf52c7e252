"""The gate of a phase: a run plays validation rows, beside random, and its training rows; figures meet thresholds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.policy import BASELINE, load
from configs.build import Trial, generated_side, trial, trial_env
from configs.schema import Config, MixConfig, ReplayConfig, phase_of
from curricula.lessons import validation
from curricula.phase import Gate
from evaluation.episodes import Episodes
from evaluation.files import write_json
from evaluation.gates import Thresholds, rank_correlation, results_usd, verdicts
from evaluation.patterns import PATTERNS, Success, Watcher, pattern_columns, success
from evaluation.rollout import rollout
from sim.scenarios import Scenario

FILE = "gate.json"


class Played(NamedTuple):
    """Episodes of a policy, and its entries on patterns."""

    episodes: Episodes
    rows: np.ndarray  # (E,) ROW
    success: Success


def measure(config: Config, run: Path) -> dict[str, Any] | None:
    """Judge the policy of ``run`` by the gate of its phase; what ``run/gate.json`` gets. None where nothing is asked.

    Validation rows, one an episode, are drawn with the evaluation's seed, with entries that training does not have; of
    recorded markets the held-out ones are played. Raises ValueError for patterns that are not observed.
    """
    phase = phase_of(config)
    if phase is None or not asks(phase.gate):
        return None
    gate, what = phase.gate, gate_trial(config)
    agent = _play(config, what, str(run), "gate, validation rows")
    random = _play(config, what, f"{BASELINE}random", "gate, random")
    agreement = None
    if gate.generalisation is not None:
        training = what._replace(scenario=replace(generated_side(config), sequential=True))
        seen = _play(config, training, str(run), "gate, training rows")
        rows, episodes = (seen.rows, agent.rows), (seen.episodes, agent.episodes)
        agreement = rank_correlation(rows, (results_usd(episodes[0]), results_usd(episodes[1])))
    asked = Thresholds(gate.success, gate.sharpe, gate.drawdown, gate.generalisation)
    found = verdicts(
        asked, agent.episodes, agent=agent.success, random=random.success, generalisation=agreement,
        seed=config.evaluation.seed,
    )  # fmt: skip
    report = {
        "phase": phase.name,
        "passed": all(verdict.passed for verdict in found),
        "judged_on": what.title,
        "episodes": len(agent.episodes),
        "result_usd": float(results_usd(agent.episodes).mean()),
        "random_usd": float(results_usd(random.episodes).mean()),
        "patterns": list(gate.patterns),
        "verdicts": [verdict.as_dict() for verdict in found],
    }
    write_json(run / FILE, report)
    return report


def asks(gate: Gate) -> bool:
    """Whether it has a threshold at all."""
    return any(value is not None for value in (gate.success, gate.sharpe, gate.drawdown, gate.generalisation))


def check_gate(config: Config, sheet: Mapping[str, Any]) -> None:
    """Raise ValueError where the gate of a run's phase cannot be measured in an environment of ``sheet``."""
    phase = phase_of(config)
    assert phase is not None
    gate = phase.gate
    where = f"curriculum.phases.{phase.name}.gate"
    if gate.success is not None and not gate.patterns:
        raise ValueError(f"{where}.success = {gate.success} without patterns: name some of {', '.join(PATTERNS)}")
    if gate.generalisation is not None and not _generated(config):
        raise ValueError(
            f"{where}.generalisation = {gate.generalisation}: recordings have no rows to compare; set it to null, or "
            f"use a scenario with generated markets"
        )
    pattern_columns(gate.patterns, sheet["observation"], sheet["markets"])
    gate_trial(config)


def gate_trial(config: Config) -> Trial:
    """What the gate of a run's phase plays: generated markets, or where there are none recorded ones held out."""
    phase = phase_of(config)
    assert phase is not None
    wanted, count = config.scenario, phase.gate.episodes
    if not _generated(config):
        return trial(wanted, config.evaluation, config.seed)
    other = replace(config, seed=config.evaluation.seed, scenario=replace(wanted, row_count=count))
    other = replace(other, curriculum=replace(config.curriculum, phases={phase.name: validation(phase)}))  # type: ignore[type-var]
    scenario = replace(generated_side(other), sequential=True)
    return Trial(f"validation rows of {phase.name}", scenario, count, count, wanted)


def _generated(config: Config) -> bool:
    """Whether the scenario has generated markets; those of a mix are judged without the recorded ones."""
    return not isinstance(config.scenario, ReplayConfig) or isinstance(config.scenario, MixConfig)


def read_gate(run: Path) -> dict[str, Any] | None:
    """What `measure` left in a run's folder; None where nothing was asked."""
    path = run / FILE
    return json.loads(path.read_bytes()) if path.is_file() else None


def _play(config: Config, what: Trial, source: str, label: str) -> Played:
    phase = phase_of(config)
    assert phase is not None
    env = trial_env(config.env, what, config.evaluation)(config.env.fill_model)
    policy = load(source, env.spec_sheet, deterministic=config.evaluation.deterministic, seed=config.evaluation.seed)
    watcher = Watcher(policy, phase.gate.patterns, env.spec_sheet["observation"], env.spec_sheet["markets"])
    episodes = rollout(env, watcher, what.episodes, label=label)
    env.close()
    found = success(episodes, np.any(watcher.shown(episodes), axis=1), seed=config.evaluation.seed)
    return Played(episodes, _first_market(what.scenario)[episodes.row], found)


def _first_market(scenario: Scenario) -> np.ndarray:
    return scenario.rows if scenario.rows.ndim == 1 else scenario.rows[:, 0]
