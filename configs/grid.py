"""Experiment grids: ``train.py -m ...`` and ``evaluate.py -m ...`` write two tables beside their jobs' folders.

Hydra calls `Grid` before and after every job of a multirun, and so does our launcher. A single run is left alone. The
same command goes on with a grid that was interrupted: its folder holds its plan, and `configs.jobs` finds what is done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from configs.evaluator import evaluator
from configs.jobs import let_go, take
from configs.tracking import send_grid, track_grid
from evaluation.grid import FAILED, FINISHED, HEAD, RUNNING, Row, as_csv, figures_of, settings_of, summarise
from evaluation.plan import PLAN, agree
from sim.files import write_whole

_refused: list[str] = []  # why this grid must not write into its folder


def refuse_grid() -> None:
    """Raise FileExistsError where the folder of this grid is another one's."""
    if _refused:
        raise FileExistsError(
            f"{_refused[0]}; a grid never writes into another one's folder: name one with hydra.sweep.dir=runs/NAME"
        )


def job_folder() -> Path | None:
    """The folder of this job in a grid, ``runs/<name>/<number>``, which it keeps to itself; None in a single run.

    Raises FileExistsError where the grid's folder is another one's.
    """
    config = HydraConfig.get()
    if config.mode != RunMode.MULTIRUN:
        return None
    refuse_grid()
    folder = Path(config.runtime.output_dir)
    take(folder)
    return folder


def grid_name() -> str | None:
    """The name of the grid that this job is one of; None in a single run, and outside of Hydra."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir).name


class Grid(Callback):
    """Keeps ``<name>_runs.csv`` and ``<name>_summary.csv`` in ``runs/<name>``, up to date after every job."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}  # by the job's number
        self.settings: list[str] = []

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """The same grid goes on, another one is refused; an error here would be a warning, so it is raised later
        (`refuse_grid`)."""
        _refused.clear()
        folder, table = Path(str(config.hydra.sweep.dir)), _table(config, "runs")
        try:
            if table.exists() and not (folder / PLAN).exists():
                raise ValueError(f"{table} exists, without {PLAN}")
            agree(folder, _plan(config), alone=False)  # jobs of another process may be at work; each cleans its own
        except Exception as error:  # noqa: BLE001 - Hydra would warn of it, and go on
            _refused.append(str(error))

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """A job that is killed leaves a row that says ``running``."""
        if config.hydra.mode != RunMode.MULTIRUN or _refused:
            return
        chosen = settings_of(OmegaConf.to_container(config.hydra.overrides.task))  # type: ignore[arg-type]
        self.settings = list(dict.fromkeys([*self.settings, *chosen]))
        number = config.hydra.job.num
        head = {"job": number, "status": RUNNING, "error": None, "folder": config.hydra.runtime.output_dir}
        self.rows[number] = {**head, **chosen}
        self._write(config)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """What the job came to, or why it came to nothing."""
        let_go()
        if config.hydra.mode != RunMode.MULTIRUN or _refused:
            return
        self.rows[config.hydra.job.num] |= _outcome(job_return)
        self._write(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """The tables are the grid's own result."""
        if _refused:
            return
        settings = OmegaConf.to_object(config.tracking)
        with track_grid(settings, Path(str(config.hydra.sweep.dir)), _plan(config)) as tracker:  # type: ignore[arg-type]
            send_grid(tracker, list(self.rows.values()), [_table(config, what) for what in ("runs", "summary")])

    def _write(self, config: DictConfig) -> None:
        table, rows = _table(config, "runs"), [self.rows[number] for number in sorted(self.rows)]
        write_whole(table, as_csv(rows, (*HEAD, *self.settings)).encode())
        write_whole(_table(config, "summary"), as_csv(summarise(rows, self.settings)).encode())


def _plan(config: DictConfig) -> dict[str, Any]:
    """What makes a grid the one it is: what is swept, what is not, and the program that runs it."""
    fixed = config.copy()
    with open_dict(fixed):
        del fixed["hydra"]
    return {
        "program": config.hydra.job.name,
        "overrides": OmegaConf.to_container(config.hydra.overrides.task),
        "swept": OmegaConf.to_container(config.hydra.sweeper.params or OmegaConf.create({})),
        "config": OmegaConf.to_container(fixed),
        "evaluator": evaluator(),
    }


def _table(config: DictConfig, what: str) -> Path:
    folder = Path(str(config.hydra.sweep.dir))
    return folder / f"{folder.name}_{what}.csv"


def _outcome(job: JobReturn) -> Row:
    """Status, error, folder and figures. The programs return the folder that holds what they found."""
    if job.status != JobStatus.COMPLETED:
        error = job._return_value  # asking for return_value would raise it
        return {"status": FAILED, "error": f"{type(error).__name__}: {error}".replace("\n", " ")}
    folder = Path(job.return_value)
    try:
        return {"status": FINISHED, "folder": str(folder), **figures_of(folder)}
    except (OSError, ValueError) as error:
        return {"status": FAILED, "folder": str(folder), "error": f"{type(error).__name__}: {error}"}
