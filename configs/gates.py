"""The gate of a phase: a run plays validation rows, beside random, and its training rows; figures meet thresholds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from agents.policy import BASELINE, CarriedPolicy, load
from configs.build import Trial, generated_side, trial, trial_env
from configs.schema import Config, MixConfig, ReplayConfig, phase_of
from curricula.lessons import validation
from curricula.phase import Gate
from evaluation.files import write_json
from evaluation.gates import Figures, Thresholds, figures_of, rank_correlation, verdicts
from evaluation.patterns import PATTERNS, Success, Watcher, pattern_columns, success
from evaluation.rollout import rollout
from evaluation.workers import Alone, Workers
from sim.scenarios import Scenario

FILE = "gate.json"


class _Turn(NamedTuple):
    """Whose turn it is to play what."""

    name: str  # for progress and errors
    source: str | CarriedPolicy
    seen: bool  # it plays the rows of training


class Played(NamedTuple):
    """What is left of a policy's episodes, and of its entries on patterns."""

    figures: Figures
    rows: np.ndarray  # (E,) ROW
    success: Success


def measure(config: Config, run: Path, workers: Workers | None = None) -> dict[str, Any] | None:
    """Judge the policy of ``run`` by the gate of its phase; what ``run/gate.json`` gets. None where nothing is asked.

    Validation rows, one an episode, are drawn with the evaluation's seed, with entries that training does not have; of
    recorded markets the held-out ones are played. ``workers``: who plays; None = this process. The policy, random and
    the policy on its training rows are a job each. Raises ValueError for patterns that are not observed.
    """
    phase = phase_of(config)
    if phase is None or not asks(phase.gate):
        return None
    gate = phase.gate
    policy = CarriedPolicy(run)
    turns = [_Turn("validation rows", policy, seen=False), _Turn("random", f"{BASELINE}random", seen=False)]
    if gate.generalisation is not None:
        turns.append(_Turn("training rows", policy, seen=True))
    played = _played(config, turns, workers or Alone())
    agent, random, *seen = (played[turn.name] for turn in turns)
    agreement = None
    if seen:
        results = seen[0].figures.result_usd, agent.figures.result_usd
        agreement = rank_correlation((seen[0].rows, agent.rows), results)
    asked = Thresholds(gate.success, gate.sharpe, gate.drawdown, gate.generalisation)
    found = verdicts(
        asked, agent.figures, agent=agent.success, random=random.success, generalisation=agreement,
        seed=config.evaluation.seed,
    )  # fmt: skip
    report = {
        "phase": phase.name,
        "passed": all(verdict.passed for verdict in found),
        "judged_on": gate_trial(config).title,
        "episodes": len(agent.rows),
        "result_usd": float(agent.figures.result_usd.mean()),
        "random_usd": float(random.figures.result_usd.mean()),
        "patterns": list(gate.patterns),
        "verdicts": [verdict.as_dict() for verdict in found],
    }
    write_json(run / FILE, report)
    return report


def _played(config: Config, turns: Sequence[_Turn], workers: Workers) -> dict[str, Played]:
    """What came of every turn, by its name; a bar of episodes here, or of turns where others play."""
    here = isinstance(workers, Alone)
    done = workers.each(partial(_play, config, here), turns, lambda turn: f"gate, {turn.name}")
    with tqdm(done, total=len(turns), desc="gate", unit="policy", disable=here, leave=False) as bar:
        return {turn.name: played for turn, played in bar}


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


def _play(config: Config, shown: bool, turn: _Turn) -> Played:
    """One turn; ``shown``: with a bar of its episodes."""
    phase = phase_of(config)
    assert phase is not None
    what, evaluation = gate_trial(config), config.evaluation
    if turn.seen:
        what = what._replace(scenario=replace(generated_side(config), sequential=True))
    env = trial_env(config.env, what, evaluation)(config.env.fill_model)
    settings: dict[str, Any] = {"deterministic": evaluation.deterministic, "seed": evaluation.seed}
    source = turn.source
    policy = load(source, env.spec_sheet, **settings) if isinstance(source, str) else source(env.spec_sheet, **settings)
    watcher = Watcher(policy, phase.gate.patterns, env.spec_sheet["observation"], env.spec_sheet["markets"])
    episodes = rollout(env, watcher, what.episodes, label=f"gate, {turn.name}" if shown else None)
    env.close()
    found = success(episodes, np.any(watcher.shown(episodes), axis=1), seed=evaluation.seed)
    return Played(figures_of(episodes), _first_market(what.scenario)[episodes.row], found)


def _first_market(scenario: Scenario) -> np.ndarray:
    return scenario.rows if scenario.rows.ndim == 1 else scenario.rows[:, 0]
