"""A search whose trials are looked at while they train: ASHA stops bad ones, PBT has them go on from the good ones.

Ray Tune proposes, schedules and keeps the state of the search in ``OUT/ray``; a trial is `configs.trialling`, and its
run folder lies in ``OUT/runs``. Driver, trial or node may die: the same command goes on from the last reports.

Sources: L. Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020 (ASHA); M. Jaderberg et al.,
Population Based Training of Neural Networks, 2017; K. Deb, An Efficient Constraint Handling Method for Genetic
Algorithms, 2000.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from agents.checkpoint import RunFolder, read_manifest
from agents.resume import check_forkable
from configs.schema import Config, RLlibConfig, whole_steps
from configs.trialling import ERROR, PARAMS, SCORE, STEPS, Told, last_row, train_trial
from evaluation.files import write_json
from evaluation.pareto import SAMPLERS, Measured, Range, Search, Trial, begin
from evaluation.plan import PLAN
from evaluation.workers import Workers
from sim.files import write_whole

ASHA, PBT = "asha", "pbt"
SCHEDULERS = {ASHA: ("tpe", "random"), PBT: ("random",)}  # and what can propose trials, the first unless told
LOOKS = 10  # of a scheduler at each trial, where nothing else is said
_REDUCTION = 3  # of ASHA: one of so many goes on behind a rung
_STATES = 4  # of a trial that are kept, for others to go on from
_TRIES = 2  # of a trial whose process died, beyond the first
_RUNS, _RAY, LOG = "runs", "ray", "ray.log"  # of the trials, what Tune keeps, and what it would print


@dataclass(frozen=True)
class Schedule:
    """How a search is scheduled."""

    kind: str  # of `SCHEDULERS`
    every: int  # updates between two looks
    config: Config  # of a trial, whatever its parameters
    overrides: list[str]
    out: Path
    gpus: float = 0.0  # that Ray sets aside for a trial
    at_once: int | None = None  # trials; None: as many as Ray has room for

    @property
    def steps(self) -> int:
        """Environment steps between two looks."""
        return self.every * self.config.num_envs * self.config.agent.n_steps

    @property
    def cpus(self) -> float:
        """That Ray sets aside for a trial, its env runners included."""
        return sum(bundle["CPU"] for bundle in self.bundles)

    @property
    def bundles(self) -> list[dict[str, float]]:
        """What a trial needs of Ray: its threads and share of a GPU, and its env runners where it has some."""
        own = {"CPU": float(self.config.threads)} | ({"GPU": self.gpus} if self.gpus else {})
        trainer = self.config.trainer
        if not isinstance(trainer, RLlibConfig):
            return [own]
        return [own, *({"CPU": trainer.num_cpus_per_env_runner} for _ in range(trainer.num_env_runners))]

    def facts(self) -> dict[str, Any]:
        """For the plan."""
        return {"scheduler": self.kind, "every": self.every}


def looks_every(config: Config, every: int | None) -> int:
    """``every`` updates, or a `LOOKS`-th of a run's. Raises ValueError where a run would end before the first look."""
    updates = math.ceil(whole_steps(config) / (config.num_envs * config.agent.n_steps))
    every = max(1, updates // LOOKS) if every is None else every
    if not 1 <= every < updates:
        raise ValueError(f"--every {every}: a run has {updates} updates; expected at least 1 and fewer than those")
    return every


def sampler_of(scheduler: str | None, asked: str | None) -> str:
    """Who proposes trials. Raises ValueError where the scheduler cannot work with who was ``asked`` for."""
    able = SAMPLERS if scheduler is None else SCHEDULERS[scheduler]
    if asked is not None and asked not in able:
        raise ValueError(f"--sampler {asked}: with --scheduler {scheduler} expected {' or '.join(able)}")
    return asked or able[0]


def check_schedule(schedule: Schedule, ranges: Mapping[str, Range], trials: int) -> None:
    """Raise ValueError for what cannot be searched so."""
    if schedule.config.curriculum is not None and len(schedule.config.curriculum.phases) > 1:
        raise ValueError("--scheduler looks at single runs: tune the phases of a curriculum one by one")
    if schedule.kind == PBT:
        for name in ranges:
            check_forkable(name)
        if trials < 4:
            raise ValueError(f"--trials {trials}: a population has at least 4, of which one in four begins anew")


def begin_scheduled(schedule: Schedule, search: Search, trials: int) -> None:
    """Write the plan of a search, or compare it with the one there; Ray need not run yet.

    Raises ValueError where its folder holds what is not of it, or runs that Tune has forgotten: none is ever removed.
    """
    out = schedule.out
    there = [name for name in (_RUNS, _RAY) if (out / name).exists()]
    if there and not (out / PLAN).exists():
        raise ValueError(f"{out}: {' and '.join(there)} without {PLAN}, so of nobody knows what; give another --out")
    begin(search, trials, out)
    runs = sorted(path.name for path in (out / _RUNS).glob("[!.]*"))
    if runs and not _can_go_on(out):
        raise ValueError(
            f"{out / _RUNS}: {', '.join(runs[:3])}{', ...' if runs[3:] else ''}, but {out / _RAY} does not hold the "
            f"search that they are of, so that it cannot go on; put {_RAY} back, or give another --out"
        )


def search_scheduled(
    schedule: Schedule, search: Search, trials: int, workers: Workers, judge: Callable[[Path], Measured]
) -> list[Trial]:
    """Train ``trials`` trials, or go on with them, then judge each run as far as it came; Ray must run.

    It goes on from where `begin_scheduled` allowed it. Raises ValueError where Ray has no room for a trial,
    RuntimeError where training was interrupted: nothing is judged then.
    """
    import ray

    refuse_too_large(schedule.bundles, [node["Resources"] for node in ray.nodes() if node["Alive"]])
    found = sorted(_fit(schedule, search, trials), key=_begun)
    measured: dict[Path, Measured | str] = {}
    with tqdm(total=len(found), desc="judge", unit="trial") as bar:
        for run, outcome in workers.each(partial(_judged, judge), found, str):
            measured[run] = outcome
            bar.update(1)
    return [_trial(number, run, measured[run]) for number, run in enumerate(found)]


def refuse_too_large(bundles: Sequence[Mapping[str, float]], nodes: Sequence[Mapping[str, float]]) -> None:
    """Raise ValueError for a trial that would wait for ever: ``bundles`` on ``nodes``, resources by name.

    A cluster of which no node has a processor is taken for one that grows.
    """
    nodes = [node for node in nodes if node.get("CPU", 0.0)]
    for name in ("CPU", "GPU"):
        wanted = [bundle.get(name, 0.0) for bundle in bundles]
        there = [node.get(name, 0.0) for node in nodes]
        if there and (sum(wanted) > sum(there) or max(wanted) > max(there)):
            raise ValueError(
                f"a trial asks for {sum(wanted):g} {name}, {max(wanted):g} of them on one node, and Ray has "
                f"{sum(there):g}, at most {max(there):g} on one: lower threads, trainer.num_env_runners or --gpus"
            )


def _begun(run: Path) -> tuple[str, str]:
    """When a trial began, to the second; those that never did come last."""
    began = read_manifest(run)["date"] if (run / "manifest.json").is_file() else "never"
    return began, run.name


def _judged(judge: Callable[[Path], Measured], run: Path) -> Measured | str:
    error = run.with_suffix(ERROR)
    if error.is_file():
        return error.read_text(encoding="utf-8")
    try:
        return judge(run)
    except (ValueError, RuntimeError, OSError) as failure:
        return str(failure)


def _trial(number: int, run: Path, measured: Measured | str) -> Trial:
    """A row of the table. A run that the scheduler stopped says so, and after how many steps.

    All training is over here: what was neither finished nor failed was stopped.
    """
    params = json.loads(run.with_suffix(PARAMS).read_bytes())
    if isinstance(measured, str):
        return Trial(number, params, {}, [], 0.0, measured, {"run": run.name})
    folder = RunFolder.open(run)
    stopped = folder.manifest["status"] != "finished"
    if stopped:  # what it reported last is what there is
        folder.record("interrupted", steps=last_row(run)[STEPS])
    forks = [fork["from"] for fork in folder.manifest.get("forks", [])]
    notes = {
        "run": run.name,
        "steps": folder.manifest.get("steps", 0),
        "stopped": int(stopped),
        "forks": " ".join(forks),
    }
    return Trial(number, params, dict(measured.figures), list(measured.daily_usd), measured.seconds, "", notes)


def _fit(schedule: Schedule, search: Search, trials: int) -> list[Path]:
    """All training, from where it was left; the folders of the trials' runs."""
    for name, value in (
        ("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1"),  # runs write their own metrics
        ("TUNE_GLOBAL_CHECKPOINT_S", "1"),  # seconds of a search that a kill may cost
        ("RAY_CHDIR_TO_TRIAL_DIR", "0"),  # a run finds files where the search was started
    ):
        os.environ[name] = value
    from ray import tune

    told = Told((schedule.out / _RUNS).resolve(), schedule.overrides, schedule.every, schedule.out.name)
    resources = tune.PlacementGroupFactory(schedule.bundles)
    trainable = tune.with_resources(tune.with_parameters(train_trial, told=told), resources)
    kept = schedule.out.resolve() / _RAY
    random.seed(search.seed)  # PBT explores with the generators of the process
    np.random.seed(search.seed)  # noqa: NPY002 - see above
    if _can_go_on(schedule.out):
        tuner = tune.Tuner.restore(
            str(kept / "tune"), trainable, resume_unfinished=True, resume_errored=True,
            param_space=_space(search.ranges),
        )  # fmt: skip
    else:
        shutil.rmtree(kept, ignore_errors=True)  # of a search that was killed before a trial had begun
        tuner = _tuner(trainable, schedule, search, trials, kept)
    told.runs.mkdir(parents=True, exist_ok=True)
    with (schedule.out / LOG).open("a", encoding="utf-8") as log, contextlib.redirect_stdout(log):
        results = tuner.fit()
    over = results.num_terminated + results.num_errors
    if not over == len(results) == trials:  # Tune takes an interrupt for an end
        raise RuntimeError(
            f"{schedule.out}: interrupted when {over} of {trials} trials were over; none was judged, and the same "
            "command goes on"
        )
    runs = [_written_down(told.runs, result) for result in results]
    lost = sorted({path.stem for path in told.runs.glob(f"[!.]*{PARAMS}")} - {run.name for run in runs})
    if lost:
        tqdm.write(f"{told.runs}: {', '.join(lost)}: begun right before a kill, and not of the search", file=sys.stderr)
    return runs


def _can_go_on(out: Path) -> bool:
    """Whether Tune has kept a search: how it was set up, its trials, and what their proposals come from."""
    kept = out / _RAY / "tune"
    searchers = ("searcher-state-*", "basic-variant-state-*")
    return (
        (kept / "tuner.pkl").is_file()
        and any(kept.glob("experiment_state-*.json"))
        and any(any(kept.glob(pattern)) for pattern in searchers)
    )


def _written_down(runs: Path, result: Any) -> Path:
    """The run's folder of a trial that is over; what its process could not write, because it died, is beside it."""
    run = runs / Path(result.path).name
    if not run.with_suffix(PARAMS).is_file():
        write_json(run.with_suffix(PARAMS), dict(result.config))
    if result.error is not None:  # its process died once too often
        write_whole(run.with_suffix(ERROR), str(result.error).encode())
    return run


def _named(trial: Any) -> str:
    return trial.trial_id


def _tuner(trainable: Any, schedule: Schedule, search: Search, trials: int, kept: Path) -> Any:
    from ray import tune
    from ray.tune.search.basic_variant import BasicVariantGenerator
    from ray.tune.search.optuna import OptunaSearch

    shared = {"time_attr": STEPS}
    space: dict[str, Any] = _space(search.ranges)
    if schedule.kind == ASHA:
        scheduler: Any = tune.schedulers.ASHAScheduler(
            max_t=whole_steps(schedule.config), grace_period=schedule.steps, reduction_factor=_REDUCTION, **shared
        )
    else:
        scheduler = tune.schedulers.PopulationBasedTraining(
            perturbation_interval=schedule.steps, hyperparam_mutations=space,
            custom_explore_fn=partial(within, ranges=dict(search.ranges)), **shared,
        )  # fmt: skip
    at_once = schedule.at_once if schedule.kind == ASHA else None  # a population takes turns where it has no room
    if search.sampler == "tpe":
        algorithm: Any = OptunaSearch(seed=search.seed)
        algorithm = tune.search.ConcurrencyLimiter(algorithm, at_once) if at_once else algorithm
    else:
        algorithm = BasicVariantGenerator(random_state=search.seed, max_concurrent=at_once or 0)
    return tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric=SCORE, mode="max", search_alg=algorithm, scheduler=scheduler, num_samples=trials, reuse_actors=True,
            trial_dirname_creator=_named,
        ),
        run_config=tune.RunConfig(
            name="tune", storage_path=str(kept), verbose=0, callbacks=[_bar(trials)],
            failure_config=tune.FailureConfig(max_failures=_TRIES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=_STATES),
        ),
    )  # fmt: skip


def _space(ranges: Mapping[str, Range]) -> dict[str, Any]:
    from ray import tune

    made: dict[str, Any] = {}
    for name, entry in ranges.items():
        if entry.whole:
            draw = tune.lograndint if entry.log else tune.randint
            made[name] = draw(round(entry.low), round(entry.high) + 1)
        else:
            made[name] = (tune.loguniform if entry.log else tune.uniform)(entry.low, entry.high)
    return made


def within(params: dict[str, Any], ranges: Mapping[str, Range]) -> dict[str, Any]:
    """Hyperparameters as PBT has changed them, by a fifth up or down, kept in their ranges."""
    kept = dict(params)
    for name, entry in ranges.items():
        value = min(max(kept[name], entry.low), entry.high)
        kept[name] = round(value) if entry.whole else value
    return kept


def _bar(trials: int) -> Any:
    """Tune's own tables stay off; this says how many trials are over, and the best score so far."""
    from ray import tune

    class Bar(tune.Callback):
        def setup(self, **_: Any) -> None:
            self.bar = tqdm(total=trials, desc="tune", unit="trial", file=sys.stderr)
            self.best = -math.inf

        def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **_: Any) -> None:
            self.best = max(self.best, result.get(SCORE, -math.inf))
            over = sum(one.is_finished() for one in trials)
            self.bar.set_postfix_str(f"best score {self.best:+.3f}", refresh=False)
            self.bar.update(over - self.bar.n)

        def on_experiment_end(self, trials: list, **_: Any) -> None:
            self.bar.update(sum(one.is_finished() for one in trials) - self.bar.n)
            self.bar.close()

        def get_state(self) -> dict | None:
            return None

    return Bar()
