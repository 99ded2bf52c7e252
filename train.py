"""Train an agent, judge it beside the baselines.

``python train.py [key=value ...] [+curriculum=phase1]``
``python train.py +curriculum=full``: from a first lesson to the last, with a gate after each; docs/curriculum.md
``python train.py +curriculum=phase2 from=checkpoints/<run>``: begin with the policy of another run
``python train.py +curriculum=refresh from=checkpoints/<run>``: go on from a policy, in its own environment
``python train.py agent.warm_start=quoter``: clone a teacher first; docs/training.md
``python train.py resume=checkpoints/<run>``: go on where a run, or a curriculum, was killed
``python train.py -m +experiment=opponents``: a grid of runs, and two tables of them; again goes on where it was killed
``python train.py -m hydra/launcher=ray seed=0,1,2``: as many of its runs at a time as Ray has processors for
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from agents.checkpoint import RunFolder
from configs.course import check_phase, create_course, phase_config, train_course
from configs.grid import grid_name, job_folder
from configs.jobs import begun_in, done_in
from configs.judge import print_places
from configs.refresh import refreshed
from configs.runs import Start, train_run
from configs.schema import Config, phase_of, read_run_config, register, to_config
from configs.tracking import send_found, track_course

register()


@hydra.main(version_base=None, config_path="configs", config_name="config")
def main(composed: DictConfig) -> str:
    """Compose, build, run, report; the run's folder."""
    started, grid = datetime.now(UTC), job_folder()
    done = None if grid is None else done_in(grid)
    if done is not None:
        return str(done)
    config, going_on = _config(composed, None if grid is None else begun_in(grid))
    torch.set_num_threads(config.threads)
    root = grid or Path(config.checkpoints)
    name = config.run_name or f"{_task()}-seed{config.seed}-{started:%Y%m%d-%H%M%S}"
    repository = Path(__file__).parent
    if config.curriculum is not None and (len(config.curriculum.phases) > 1 or config.curriculum.attempts > 1):
        folder = create_course(config, root, name) if going_on is None else going_on
        return _course(config, folder, repository)
    if going_on is not None:
        run, _ = train_run(config, RunFolder.open(going_on))
        return str(run.path)
    phase = phase_of(config)
    if phase is not None:
        config = phase_config(config, phase, None if config.init_from is None else Path(config.init_from))
        check_phase(config)
    run, _ = train_run(config, Start(root, name, started, repository))
    return str(run.path)


def _course(config: Config, folder: Path, repository: Path) -> str:
    """All phases; the folder of the last run. A gate not passed: exit status 1, in a grid a job that failed."""
    console = Console()
    with track_course(config, folder, grid_name()) as tracker:
        last = train_course(config, folder, repository, console)
        send_found(tracker, folder)
    print_places("curriculum", {"folder": folder, "report": folder / "course.html"}, console)
    if last is None and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise RuntimeError(f"{folder}: a gate was not passed, see its course.json")
    if last is None:
        sys.exit(1)
    return str(last)


def _config(composed: DictConfig, begun: Path | None) -> tuple[Config, Path | None]:
    """The composed config; or that of the run or curriculum to go on with, and its folder.

    ``begun``: what this job of a grid had begun when the grid was killed.
    """
    if begun is not None:
        return read_run_config(begun), begun
    config: Config = to_config(composed)
    overrides = list(HydraConfig.get().overrides.task)
    if config.resume is None:
        goes_on = config.curriculum is not None and config.curriculum.goes_on
        return refreshed(config, overrides) if goes_on else config, None
    others = [text for text in overrides if not text.startswith(("resume=", "tracking."))]
    if others:
        raise ValueError(f"resume={config.resume} goes on with the run's own config; leave out {', '.join(others)}")
    own = read_run_config(Path(config.resume))
    if len(overrides) > 1:  # what is told of a run does not change it
        own.tracking = config.tracking
    return own, Path(config.resume)


def _task() -> str:
    """The chosen environment and agent, such as directional-ppo."""
    chosen = HydraConfig.get().runtime.choices
    return f"{chosen['env']}-{chosen['agent']}"


if __name__ == "__main__":
    # from is a word of Python, and no field of a config can be called so
    sys.argv[1:] = [f"init_{text}" if text.startswith("from=") else text for text in sys.argv[1:]]
    main()
