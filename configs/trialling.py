"""A trial of ``python -m evaluation tune --scheduler``: a training run that a scheduler of Ray Tune looks at.

Every so many updates it reports its steps and a score, with all that another run would need to go on from there. The
scheduler lets it go on, stops it, or has it go on from another trial's state with other hyperparameters.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from stable_baselines3.common.callbacks import BaseCallback

from agents.budgets import Budget
from agents.checkpoint import RunFolder, read_manifest
from agents.learner import Learner
from agents.metrics import NAMES
from agents.resume import fork_resume
from configs.compose import composed
from configs.jobs import kept_out
from configs.runs import Start, train_run
from configs.schema import Config
from configs.working import written_to
from evaluation.files import write_json
from sim.files import write_whole

ROOT = Path(__file__).resolve().parent.parent
STEPS, SCORE = "steps", "score"  # what a trial reports
PARAMS, LOG, ERROR = ".json", ".log", ".error"  # beside a run's folder: hyperparameters, output, why it failed
_KEPT = ("resume.pt", "policy.zip", "config.yaml", "manifest.json", *NAMES)
_JUDGED = ("evaluation", "fresh")  # of a run, by its weights of then
_BEYOND = 1e9  # a run beyond its budgets scores below every one within them


@dataclass(frozen=True)
class Told:
    """What all trials of a search are told."""

    runs: Path  # folder of their run folders
    overrides: Sequence[str]  # of train.py
    every: int  # updates between two reports
    group: str  # that they are tracked in


def train_trial(params: Mapping[str, float], told: Told) -> None:
    """Begin a trial, or go on with what Tune has kept of it or of the one that it is to be a copy of.

    What the run raises is no death: it is written down, and the trial is over.
    """
    from ray import tune

    name = tune.get_context().get_trial_id()
    with Turn(told.runs / f".{name}.lock") as turn:
        write_json(told.runs / f"{name}{PARAMS}", dict(params))
        (told.runs / f"{name}{ERROR}").unlink(missing_ok=True)
        _tried(name, params, told, turn)


def _tried(name: str, params: Mapping[str, float], told: Told, turn: Turn) -> None:
    from ray import tune

    try:
        with written_to(told.runs / f"{name}{LOG}"):
            _train(name, params, told, tune.get_checkpoint(), turn)
    except Exception as error:  # noqa: BLE001 - whatever a trial makes of its parameters
        write_whole(told.runs / f"{name}{ERROR}", f"{type(error).__name__}: {error}".encode())


class Turn:
    """A run's turn to be written by this process: others wait for it, such as one that outlived its search."""

    def __init__(self, lock: Path) -> None:
        self.lock, self.held = lock, ExitStack()

    def __enter__(self) -> Turn:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def take(self) -> None:
        """Wait for it."""
        self.held.enter_context(kept_out(self.lock))

    def end(self) -> None:
        """Leave the run to others: also while Tune thinks, for it may have the run go on elsewhere."""
        self.held.close()


def _train(name: str, params: Mapping[str, float], told: Told, saved: Any, turn: Turn) -> None:
    run = told.runs / name
    words = [*told.overrides, *(f"{key}={value!r}" for key, value in params.items()), f"save_every={told.every}"]
    config = composed([*words, f"run_name={name}", f"checkpoints={told.runs}"])
    torch.set_num_threads(config.threads)
    where: Start | RunFolder
    if saved is not None:
        with saved.as_directory() as folder:
            go_on_from(Path(folder), run, config, params)
    if run.is_dir():
        where = RunFolder.open(run)
    else:
        where = Start(told.runs, name, datetime.now(UTC), ROOT)
    reports = _Reports(run, told.every, config.agent.budgets, turn)
    train_run(config, where, judged=False, group=told.group, callbacks=[reports])


def go_on_from(saved: Path, run: Path, config: Config, params: Mapping[str, float]) -> None:
    """Put what was ``saved`` of a trial, this one or another, into the folder ``run`` as where it goes on.

    The manifest lists where it came from under ``forks``. What other weights were judged by is removed. Raises
    ValueError naming a hyperparameter that cannot change.
    """
    source = read_manifest(saved)
    run.mkdir(parents=True, exist_ok=True)
    for name in _JUDGED:
        shutil.rmtree(run / name, ignore_errors=True)
    fork_resume(saved / "resume.pt", run / "resume.pt", config.agent)
    for name in (*NAMES, "policy.zip"):
        shutil.copyfile(saved / name, run / name)
    write_whole(run / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(config)).encode())
    own = read_manifest(run) if (run / "manifest.json").is_file() else {**source, "run": run.name, "forks": []}
    folder = RunFolder(run, own)
    if source["run"] == run.name:
        folder.record("running")
        return
    fork = {"from": source["run"], "steps": last_row(saved)["steps"], "params": dict(params)}
    folder.record("running", forks=[*own.get("forks", []), fork])


def last_row(run: Path) -> dict[str, Any]:
    """The last row of a run's metrics."""
    return _rows(run)[-1]


def score(rows: Sequence[Mapping[str, Any]], budgets: Mapping[str, Budget] | None) -> float | None:
    """What a scheduler judges a run by: the mean return of training episodes that ended in ``rows`` of its metrics.

    Beyond a budget it is -1e9 (1 + by how much, as a share of the budgets), so that of two runs beyond them the one
    that misses less is the better (Deb 2000). None where no episode ended.
    """
    weights = [row["episodes"] for row in rows]
    total = sum(weights)
    if not total:
        return None
    missed = 0.0
    for name, budget in (budgets or {}).items():
        spent = _mean([row[f"spent_{name}"] for row in rows], weights)
        missed += max(0.0, spent - budget.limit) / max(abs(budget.limit), 1e-9)
    return -_BEYOND * (1.0 + missed) if missed > 0.0 else _mean([row["return_mean"] for row in rows], weights)


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> float:
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value is not None and weight]
    return math.fsum(v * w for v, w in known) / math.fsum(w for _, w in known) if known else 0.0


def _rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


class _Reports(BaseCallback):
    """Reports every ``every`` updates, once an episode has ended; after `agents.callbacks.Checkpoints` has saved."""

    model: Learner  # type: ignore[assignment]

    def __init__(self, run: Path, every: int, budgets: Mapping[str, Budget] | None, turn: Turn) -> None:
        super().__init__()
        self.run, self.every, self.budgets, self.turn = run, every, budgets, turn

    def _on_training_start(self) -> None:
        self.reported = self.model._n_updates

    def _on_rollout_start(self) -> None:
        updates = self.model._n_updates
        if updates == self.reported or updates % self.every:
            return
        found = score(_rows(self.run)[self.reported : updates], self.budgets)
        if found is not None:
            self.reported = updates
            self._report(found)

    def _report(self, found: float) -> None:
        from ray import tune

        with tempfile.TemporaryDirectory() as folder:
            for name in _KEPT:
                shutil.copyfile(self.run / name, Path(folder) / name)
            there = tune.Checkpoint.from_directory(folder)
            self.turn.end()
            tune.report({STEPS: self.model.num_timesteps, SCORE: found}, checkpoint=there)
        self.turn.take()

    def _on_step(self) -> bool:
        return True
