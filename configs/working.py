"""What happens in the process of a job that Ray runs: Hydra's own `run_job`, with all that is printed in a file.

Kept apart from the launcher: a process of Ray's imports this module by its name.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobRuntime, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from configs.jobs import let_go

LOG = "job.log"


class Outcome(NamedTuple):
    """What a job came to."""

    value: Any  # what the program returned
    error: Exception | None
    text: str  # of the error, in a line
    died: bool = False  # the job's process is gone; it may be tried again


class Around(NamedTuple):
    """What of the launching process a job is to find as it was there."""

    folder: str  # that it works in
    environment: Mapping[str, str]  # variables that it shall have
    hydra: str  # the version whose ways Hydra follows


def work(task: TaskFunction, config: DictConfig, around: Around) -> Outcome:
    """Run the job of ``config``; output goes to `LOG` in its folder, behind that of an earlier try."""
    setup_globals()
    version.setbase(around.hydra)
    os.environ.update(around.environment)
    if Path(around.folder).is_dir():  # on another node it need not be there
        os.chdir(around.folder)
    JobRuntime.instance().set("name", config.hydra.job.name)
    log = Path(config.hydra.runtime.output_dir) / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    with written_to(log):
        try:
            done = run_job(
                task_function=task,
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
                hydra_context=HydraContext(config_loader=None, callbacks=Callbacks()),  # type: ignore[arg-type]
            )
        except SystemExit as error:  # ends a program, not the process that others come to work in
            return _failed(RuntimeError(f"ended with {error.code}"))
        finally:
            let_go()
        if done.status == JobStatus.COMPLETED:
            return Outcome(done.return_value, None, "")
        return _failed(done._return_value)


def _failed(error: Exception) -> Outcome:
    """The error as it is where it can travel, else what it says; its traceback goes to the log."""
    traceback.print_exception(error)
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever an error is made of
        return Outcome(None, RuntimeError(text), text)
    return Outcome(None, error, text)


@contextlib.contextmanager
def written_to(log: Path) -> Iterator[None]:
    """All output of this process behind what is in ``log``, also that of processes which it starts."""
    kept = os.dup(1), os.dup(2)
    with (
        log.open("a", buffering=1, encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            yield
        finally:
            file.flush()
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)
