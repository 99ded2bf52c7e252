"""A curriculum of several phases: a run for each, begun with the policy of the one before, and one report of them all.

``<checkpoints>/<run>/`` holds the config, ``course.json``, ``course.html`` and a run folder a round: ``1-phase1``, and
``1-phase1-round2`` where a gate was failed and tried again. What is there says how far it has come: a curriculum that
was killed goes on with ``resume=``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from rich.console import Console

from agents.checkpoint import RunFolder, read_manifest, taken
from configs.build import training_batch
from configs.gates import FILE as GATE
from configs.gates import asks, check_gate, read_gate
from configs.grid import grid_name
from configs.jobs import COURSE as STATE
from configs.runs import Start, train_run
from configs.schema import Config, phase_of, whole_steps
from configs.trainers import cluster_of
from curricula.phase import Phase
from curricula.samplers import make_sampler
from evaluation.course_report import write_course
from evaluation.files import write_json
from sim.files import write_whole
from sim.scenarios.row import default_rows

ROUND_SEED = 100_000  # between the training seeds of two rounds of a phase


class Round(NamedTuple):
    """A run of a phase."""

    phase: Phase
    number: int  # of the phase, from 1
    attempt: int  # from 1

    @property
    def name(self) -> str:
        """Its folder."""
        again = "" if self.attempt == 1 else f"-round{self.attempt}"
        return f"{self.number}-{self.phase.name}{again}"


def create_course(config: Config, root: str | Path, name: str) -> Path:
    """The folder of a new curriculum. Raises FileExistsError where it exists, ValueError for phases that cannot be."""
    assert config.curriculum is not None
    _check(config)
    folder = Path(root) / name
    if folder.exists():
        raise taken(folder)
    hidden = Path(root) / f".{name}.{os.getpid()}.tmp"
    hidden.mkdir(parents=True)
    write_whole(hidden / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(config)).encode())
    _record(hidden, config, [], "running")
    hidden.rename(folder)
    return folder


def train_course(config: Config, folder: Path, repository: Path, console: Console) -> Path | None:
    """Train what is not trained yet; the last run's folder, None where a gate was not passed.

    Report and state are up to date after every run. A Ray that has to be started is kept for all of them.
    """
    with cluster_of(config):
        return _train_phases(config, folder, repository, console)


def _train_phases(config: Config, folder: Path, repository: Path, console: Console) -> Path | None:
    assert config.curriculum is not None
    done: list[dict[str, Any]] = []
    before: Path | None = None if config.init_from is None else Path(config.init_from)
    phases = list(config.curriculum.phases.values())
    for number, phase in enumerate(phases, 1):
        passed = False
        rounds = config.curriculum.attempts if config.curriculum.enforce else 1
        for attempt in range(1, rounds + 1):
            turn = Round(phase, number, attempt)
            gate = _train(turn, config, folder, before, repository, console)
            passed = gate is None or bool(gate["passed"])
            before = folder / turn.name
            done.append({"run": turn.name, "phase": phase.name, "passed": passed, "gate": gate})
            _record(folder, config, done, "running")
            if passed:
                break
        if not passed and config.curriculum.enforce:
            failed = [entry["name"] for entry in done[-1]["gate"]["verdicts"] if not entry["passed"]]
            _record(folder, config, done, "stayed")
            console.print(
                f"{phase.name} did not pass its gate: {', '.join(failed)}. The curriculum stays there, with "
                f"{len(phases) - number} phases to come; curriculum.attempts allows more rounds",
                soft_wrap=True,
            )
            return None
    _record(folder, config, done, "finished")
    return before


def phase_config(config: Config, phase: Phase, before: Path | None, attempt: int = 1) -> Config:
    """The config of a run that trains in ``phase`` alone, from the policy of the run ``before``; then nobody teaches.

    Every ``attempt`` has seeds of its own: it trains in other worlds, and is judged on other rows than the last one.

    The environment's observation and actions stay the same in all phases: groups of features that a phase does not show
    are hidden, sizes that it does not offer cannot be done.
    """
    assert config.curriculum is not None
    shares = [other.share for other in config.curriculum.phases.values()]
    shown = phase.features
    env = replace(
        config.env,
        hidden=config.env.hidden if shown is None else [name for name in config.env.features if name not in shown],
        sizes=config.env.sizes if phase.sizes is None else phase.sizes,
        reward=config.env.reward if phase.reward is None else phase.reward,
    )
    return replace(
        config,
        env=env,
        agent=replace(
            config.agent,
            prices=config.agent.prices and phase.prices,
            warm_start=config.agent.warm_start if before is None else None,
        ),
        seed=config.seed + ROUND_SEED * (attempt - 1),
        evaluation=replace(config.evaluation, seed=config.evaluation.seed + attempt - 1),
        curriculum=replace(config.curriculum, phases={phase.name: phase}),
        total_steps=float(round(whole_steps(config) * phase.share / sum(shares))),
        init_from=None if before is None else str(before),
        run_name=None,
    )


def _train(
    turn: Round, config: Config, folder: Path, before: Path | None, repository: Path, console: Console
) -> dict[str, Any] | None:
    """Train a round, or go on with it, or take it as it is done; its gate's report."""
    assert config.curriculum is not None
    path, last = folder / turn.name, turn.number == len(config.curriculum.phases)
    own = phase_config(config, turn.phase, before, turn.attempt)
    if path.exists() and _is_done(path, own, judged=last):
        return read_gate(path)
    console.rule(f"{turn.name}: {turn.phase.meaning}")
    where = RunFolder.open(path) if path.exists() else Start(folder, turn.name, datetime.now(UTC), repository)
    _, gate = train_run(own, where, judged=last, console=console, group=grid_name() or folder.name)
    return gate


def _is_done(path: Path, config: Config, *, judged: bool) -> bool:
    phase = phase_of(config)
    assert phase is not None
    gated = (path / GATE).is_file() or not asks(phase.gate)
    reported = (path / "evaluation" / "report.html").is_file() or not judged
    return read_manifest(path)["status"] == "finished" and gated and reported


def _record(folder: Path, config: Config, done: list[dict[str, Any]], status: str) -> None:
    """Write state and report as they are now."""
    assert config.curriculum is not None
    meanings = {name: phase.meaning for name, phase in config.curriculum.phases.items()}
    state = {
        "curriculum": config.curriculum.name,
        "status": status,
        "phases": meanings,
        "seed": config.seed,
        "total_steps": whole_steps(config),
        "rounds": done,
    }
    write_json(folder / STATE, state)
    write_course(folder, state)


def check_phase(config: Config) -> None:
    """Raise ValueError for what a run of one phase would only notice after its training."""
    phase = phase_of(config)
    assert phase is not None
    make_sampler(phase.sampler, default_rows())
    if asks(phase.gate):
        check_gate(config, training_batch(config, num_envs=1).spec_sheet)


def _check(config: Config) -> None:
    """What would only be noticed phases later."""
    assert config.curriculum is not None
    if config.curriculum.attempts < 1:
        raise ValueError(f"curriculum.attempts = {config.curriculum.attempts}: expected at least 1")
    for key, phase in config.curriculum.phases.items():
        if key != phase.name or Path(key).name != key or key.startswith("."):
            raise ValueError(f"curriculum.phases.{key}.name = {phase.name}: expected {key}, a plain folder name")
        if not phase.share > 0.0:
            raise ValueError(f"curriculum.phases.{key}.share = {phase.share}: expected a positive number")
        check_phase(phase_config(config, phase, None))
