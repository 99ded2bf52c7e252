"""``hydra/launcher=ray``: the jobs of a grid as tasks of Ray, as many at a time as there are processors for.

The grid's tables, its plan and what goes on after a crash are those of Hydra's own launcher (`configs.grid`,
`configs.jobs`); so is how a job that fails is reported. A job whose process or node dies is begun again, from its last
checkpoint, a bounded number of times. `configs.working` is what happens in the process of a job.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra import version
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from tqdm import tqdm

from agents.cluster import running_ray
from configs.grid import refuse_grid
from configs.jobs import done_in
from configs.working import LOG, Around, Outcome, work
from hydra_plugins.shadowbook import RayLauncherConfig

_LOOK_S = 10.0  # how often one looks whether nodes have come
_OURS = ("WANDB_", "SHADOWBOOK_")  # variables of this process that the jobs' processes get, wherever they are


class Job(NamedTuple):
    """A job of the grid, and what it needs."""

    number: int
    config: DictConfig
    folder: Path
    bundles: list[dict[str, float]]  # of resources: its own, then one for each of its env runners

    @property
    def cpus(self) -> float:
        """Of all its processes."""
        return sum(bundle["CPU"] for bundle in self.bundles)


class _Begun(NamedTuple):
    """A job that Ray has."""

    job: Job
    group: Any  # Ray's placement group of its resources
    tries: int  # this one included


class Crew:
    """Runs the jobs of a grid; the tables of the grid are kept by its callbacks."""

    def __init__(
        self, context: HydraContext, task: TaskFunction, config: DictConfig, settings: RayLauncherConfig
    ) -> None:
        self.context, self.task, self.config, self.settings = context, task, config, settings

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; what became of each, in their order. Raises FileExistsError in another grid's folder."""
        setup_globals()
        refuse_grid()
        jobs = [self._job(initial_job_idx + index, list(words)) for index, words in enumerate(job_overrides)]
        done: dict[int, JobReturn] = {}
        with tqdm(total=len(jobs), desc="grid", unit="job") as bar:
            for job in jobs:
                found = _done(job)
                if found is not None:
                    self._start(job)
                    done[job.number] = self._end(job, Outcome(str(found), None, ""), bar)
            missing = [job for job in jobs if job.number not in done]
            if missing:
                with running_ray(self.settings.cpus or len(os.sched_getaffinity(0))):
                    done |= self._run(missing, bar)
        return [done[job.number] for job in jobs]

    def _job(self, number: int, overrides: list[str]) -> Job:
        config = self.context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
            config.hydra.sweep.dir = str(Path(str(self.config.hydra.sweep.dir)).resolve())
        folder = Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(folder)
        cpus = float(self.settings.cpus_per_job or OmegaConf.select(config, "threads", default=1))
        count = OmegaConf.select(config, "trainer.num_env_runners", default=0)  # of trainer=rllib
        runners = [{"CPU": float(config.trainer.num_cpus_per_env_runner)} for _ in range(count)]
        return Job(number, config, folder, [{"CPU": cpus, **self._gpus()}, *runners])

    def _gpus(self) -> dict[str, float]:
        return {"GPU": self.settings.gpus_per_job} if self.settings.gpus_per_job else {}

    def _run(self, jobs: Sequence[Job], bar: tqdm) -> dict[int, JobReturn]:
        """Keep Ray busy until no job is left."""
        import ray

        waiting, running, done = list(jobs), dict[Any, _Begun](), dict[int, JobReturn]()
        refuse_too_large(jobs, [node["Resources"] for node in ray.nodes() if node["Alive"]])
        while waiting or running:
            while waiting and self._room(waiting[0], running):
                self._start(waiting[0])
                begun = _submit(waiting.pop(0), self.task, 1)
                running[begun[0]] = begun[1]
            finished, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_S)
            if not finished:
                continue  # nodes may have come
            (ready,) = finished
            job, group, tries = running.pop(ready)
            found = _fetch(ready)
            ray.util.remove_placement_group(group)
            if found.died and tries <= self.settings.retries:
                bar.write(f"{_named(job)}: {found.text}; again, {tries} of {self.settings.retries}", file=sys.stderr)
                again = _submit(job, self.task, tries + 1)
                running[again[0]] = again[1]
            else:
                done[job.number] = self._end(job, found, bar)
        return done

    def _room(self, job: Job, running: Mapping[Any, _Begun]) -> bool:
        """Whether one more is handed to Ray. One waits there for room, so that an autoscaler sees it."""
        import ray

        if self.settings.jobs is not None and len(running) >= self.settings.jobs:
            return False
        taken = sum(begun.job.cpus for begun in running.values())
        return taken <= ray.cluster_resources().get("CPU", 0.0)

    def _start(self, job: Job) -> None:
        self.context.callbacks.on_job_start(config=job.config, task_function=self.task)

    def _end(self, job: Job, found: Outcome, bar: tqdm) -> JobReturn:
        """As Hydra's launcher says it: the program ends with the first error, when all jobs are over."""
        overrides = OmegaConf.to_container(job.config.hydra.overrides.task)
        result = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)  # type: ignore[arg-type]
        result.return_value = found.value
        if found.error is not None:
            result.status, result.return_value = JobStatus.FAILED, found.error
            bar.write(f"{_named(job)}: {found.text}", file=sys.stderr)
        self.context.callbacks.on_job_end(config=job.config, job_return=result)
        bar.update(1)
        return result


def _done(job: Job) -> Path | None:
    """What the job has left; None where it is not done, or where that cannot be told: it says so itself then."""
    try:
        return done_in(job.folder)
    except ValueError:
        return None


def _named(job: Job) -> str:
    words = " ".join(OmegaConf.to_container(job.config.hydra.overrides.task))  # type: ignore[arg-type]
    return f"job {job.number} ({words}; {job.folder / LOG})"


def _submit(job: Job, task: Callable[[DictConfig], Any], tries: int) -> tuple[Any, _Begun]:
    """Hand a job to Ray, with the resources of all its processes set aside at once: no job waits for another's."""
    import ray
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = ray.util.placement_group(job.bundles)
    place = PlacementGroupSchedulingStrategy(
        group, placement_group_bundle_index=0, placement_group_capture_child_tasks=len(job.bundles) > 1
    )  # its env runners stay in the group, which has room for them; other workers of a job have none there
    remote = ray.remote(work).options(
        num_cpus=job.bundles[0]["CPU"],
        num_gpus=job.bundles[0].get("GPU", 0.0),
        max_retries=0,  # a job that died is counted, said and begun again here
        scheduling_strategy=place,
        name=f"job {job.number}",
    )
    ours = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
    around = Around(str(Path.cwd()), ours, str(version.getbase()))
    return remote.remote(task, job.config, around), _Begun(job, group, tries)


def _fetch(ready: Any) -> Outcome:
    """What a job came to; ``died`` where its process or its node is gone, which may be nobody's fault."""
    import ray

    try:
        return ray.get(ready)
    except ray.exceptions.RayTaskError as error:  # raised around the job, such as by what cannot be unpickled
        return Outcome(None, RuntimeError(str(error)), str(error.cause))
    except ray.exceptions.RayError as error:
        text = f"its process died: {type(error).__name__}: {str(error).splitlines()[0]}"
        return Outcome(None, RuntimeError(text), text, died=True)


def refuse_too_large(jobs: Sequence[Job], nodes: Sequence[Mapping[str, float]]) -> None:
    """Raise ValueError for a job that would wait for ever: one of its processes fits no node, or all of them not all.

    A cluster of which no node has a processor is taken for one that grows.
    """
    there = sum(node.get("CPU", 0.0) for node in nodes)
    for job in jobs:
        fits = all(any(_holds(node, bundle) for node in nodes) for bundle in job.bundles)
        if there and not (fits and job.cpus <= there):
            raise ValueError(
                f"job {job.number} asks for {job.bundles}; Ray has {', '.join(map(_said, nodes))}: lower "
                "hydra.launcher.cpus_per_job, gpus_per_job or trainer.num_env_runners"
            )


def _said(node: Mapping[str, float]) -> str:
    return f"a node of {node.get('CPU', 0.0):g} processors and {node.get('GPU', 0.0):g} GPUs"


def _holds(node: Mapping[str, float], bundle: Mapping[str, float]) -> bool:
    return all(node.get(name, 0.0) >= count for name, count in bundle.items())
