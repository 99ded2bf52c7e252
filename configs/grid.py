"""Experiment grids: ``train.py -m ...`` and ``evaluate.py -m ...`` write two tables beside their jobs' folders.

Hydra calls `Grid` before and after every job of a multirun. A single run is left alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from evaluation.grid import FAILED, FINISHED, HEAD, RUNNING, Row, as_csv, figures_of, settings_of, summarise
from sim.files import write_whole

_taken: list[Path] = []  # tables of another grid that this one would have overwritten


def job_folder() -> Path | None:
    """The folder of this job in a grid, ``runs/<name>/<number>``; None in a single run.

    Raises FileExistsError where the grid's tables were there before it.
    """
    config = HydraConfig.get()
    if config.mode != RunMode.MULTIRUN:
        return None
    if _taken:
        raise FileExistsError(
            f"{_taken[0]} exists, and a grid never writes into another one's folder: name one with "
            "hydra.sweep.dir=runs/NAME"
        )
    return Path(config.runtime.output_dir)


def grid_name() -> str | None:
    """The name of the grid that this job is one of; None in a single run, and outside of Hydra."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir).name


class Grid(Callback):
    """Keeps ``<name>_runs.csv`` and ``<name>_summary.csv`` in ``runs/<name>``, up to date after every job."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.settings: list[str] = []

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Nothing is overwritten; an error here would be a warning, so the jobs raise it (`job_folder`)."""
        table = _table(config, "runs")
        _taken[:] = [table] if table.exists() else []

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """A job that is killed leaves a row that says ``running``."""
        if config.hydra.mode != RunMode.MULTIRUN or _taken:
            return
        chosen = settings_of(OmegaConf.to_container(config.hydra.overrides.task))  # type: ignore[arg-type]
        self.settings = list(dict.fromkeys([*self.settings, *chosen]))
        head = {
            "job": config.hydra.job.num,
            "status": RUNNING,
            "error": None,
            "folder": config.hydra.runtime.output_dir,
        }
        self.rows.append({**head, **chosen})
        self._write(config)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """What the job came to, or why it came to nothing."""
        if config.hydra.mode != RunMode.MULTIRUN or _taken:
            return
        self.rows[-1] |= _outcome(job_return)
        self._write(config)

    def _write(self, config: DictConfig) -> None:
        table = _table(config, "runs")
        table.parent.mkdir(parents=True, exist_ok=True)
        write_whole(table, as_csv(self.rows, (*HEAD, *self.settings)).encode())
        write_whole(_table(config, "summary"), as_csv(summarise(self.rows, self.settings)).encode())


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
