"""One training run from its config to its report: what train.py does once, and a curriculum for every phase."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from rich.console import Console
from stable_baselines3.common.callbacks import BaseCallback

from agents.adopt import adopt
from agents.checkpoint import RunFolder, make_manifest, refuse_changed
from agents.run import train
from configs.build import Trial, data_digests, library_digests, trial
from configs.gates import measure
from configs.grid import grid_name
from configs.judge import judge, policies_of, print_places
from configs.lineage import lineage, refuse_leak
from configs.schema import Config, whole_steps
from configs.start import refuse_hopeless
from configs.teach import Teacher, find_teacher, forget_teacher, warm_start
from configs.tracking import send_found, send_policy, track_run
from configs.trainers import Trainee, cluster_of, make_trainee
from evaluation.gates import verdict_lines
from evaluation.report import refuse_existing
from evaluation.terminal import print_scorecard
from evaluation.workers import Workers


class Start(NamedTuple):
    """Where a run that begins now belongs."""

    root: str | Path
    name: str
    date: datetime
    repository: Path


def train_run(
    config: Config,
    where: Start | RunFolder,
    *,
    judged: bool = True,
    console: Console | None = None,
    group: str | None = None,
    callbacks: Sequence[BaseCallback] = (),
) -> tuple[RunFolder, dict[str, Any] | None]:
    """Train, gate and judge; the run's folder and its gate's report, None where it has no gate.

    ``where``: of a run that begins, or the folder of one that goes on. ``judged=False`` leaves out the report.
    ``group``: of runs that it is tracked with, instead of its grid. ``callbacks``: of the caller, beside the trainer's.
    """
    with cluster_of(config) as workers:
        trainee = make_trainee(config)
        trainee.callbacks.extend(callbacks)
        try:
            return _train_run(config, where, trainee, workers, judged=judged, console=console or Console(), group=group)
        finally:
            trainee.model.close()


def _train_run(
    config: Config,
    where: Start | RunFolder,
    trainee: Trainee,
    workers: Workers,
    *,
    judged: bool,
    console: Console,
    group: str | None,
) -> tuple[RunFolder, dict[str, Any] | None]:
    model, env = trainee.model, trainee.env
    unseen = trial(config.scenario, config.evaluation, config.seed)
    run, teacher = _begin(config, where, trainee, unseen)
    if config.init_from is not None and not run.resume_path.is_file():
        adopt(model, config.init_from, env.spec_sheet)
    folder = run.path / "evaluation"
    goes_on = isinstance(where, RunFolder)
    if goes_on and not (folder / "report.html").exists():
        shutil.rmtree(folder, ignore_errors=True)  # killed while it was judged
    refuse_existing(folder)
    with track_run(config, run, group or grid_name()) as tracker:
        if teacher is not None:
            warm_start(config, model, teacher, run, unseen, console)
        _learn(config, trainee, run, goes_on=goes_on)
        trainee.model.close()
        gate = measure(config, run.path, workers)
        if gate is not None:
            console.print(f"gate of {gate['phase']}", *verdict_lines(gate), sep="\n", markup=False, highlight=False)
        if judged:
            _report(config, run, unseen, folder, console)
        send_policy(tracker, run)
        for place in (run.path, folder):
            send_found(tracker, place)
    return run, gate


def _learn(config: Config, trainee: Trainee, run: RunFolder, *, goes_on: bool) -> None:
    """All steps; who interrupts them is told how to go on."""
    try:
        train(
            trainee.model,
            whole_steps(config),
            run,
            save_every=config.save_every,
            tensorboard=config.tensorboard,
            resume=goes_on,
            callbacks=trainee.callbacks,
        )
    except KeyboardInterrupt:
        sys.exit(f"interrupted; {run.path} holds the metrics and the policy so far: resume={run.path} goes on")


def _begin(
    config: Config, where: Start | RunFolder, trainee: Trainee, unseen: Trial
) -> tuple[RunFolder, Teacher | None]:
    """The run's folder, and a teacher where training begins with one. Nothing has been played yet."""
    env, model = trainee.env, trainee.model
    data = {"train": data_digests(env.engine.scenario), "held_out": data_digests(unseen.scenario)}
    data |= library_digests(config.scenario)
    if isinstance(where, RunFolder):
        refuse_changed(where, env.spec_sheet, data)
        if where.resume_path.is_file() or where.has_trained:
            return where, None
        if lineage(config.init_from) != where.manifest.get("ancestors", []):
            raise ValueError(
                f"{where.path}: {config.init_from} is not the policy that it began with; start another run"
            )
        forget_teacher(where)  # killed while it was taught
        return where, find_teacher(config, env)
    if config.init_from is not None and config.agent.warm_start is not None:
        raise ValueError(
            f"from={config.init_from}, agent.warm_start = {config.agent.warm_start}: begin with one of them"
        )
    ancestors = lineage(config.init_from)
    refuse_leak(ancestors, data, config.evaluation.seed)
    refuse_hopeless(config, model.constraints)
    teacher = find_teacher(config, env)
    run = RunFolder.create(
        where.root,
        where.name,
        config_yaml=OmegaConf.to_yaml(OmegaConf.structured(config)),
        manifest={"ancestors": ancestors, "trainer": trainee.facts}
        | make_manifest(
            date=where.date.isoformat(timespec="seconds"),
            sheet=env.spec_sheet,
            network=model.policy.spec,
            data=data,
            seed=config.seed,
            total_steps=whole_steps(config),
            repository=where.repository,
        ),
    )
    return run, teacher


def _report(config: Config, run: RunFolder, unseen: Trial, folder: Path, console: Console) -> None:
    policies = policies_of(run.path, config.evaluation.baselines)
    card = judge(policies, config.env, unseen, config.evaluation, folder, run.manifest)
    print_scorecard(card, console)
    places = {
        "run": run.path,
        "checkpoint": run.policy_path,
        "report": folder / "report.html",
        "plots": folder / "plots",
    }
    print_places(f"judged on {unseen.title}", places, console)
