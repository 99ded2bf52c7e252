"""Judge a trained run beside baselines, or baselines alone.

``python evaluate.py checkpoint=checkpoints/<run> [key=value ...]``
``python evaluate.py scenario=negrisk4 policies=[arbitrageur,noop] [key=value ...]``
``python evaluate.py checkpoint=checkpoints/<run> suite=library``: every entry of the scenario library
``python evaluate.py checkpoint=checkpoints/<run> suite=montecarlo n=1e6``: many episodes, and their tail
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from agents.checkpoint import read_manifest
from configs.build import recorded_trial, trial
from configs.grid import grid_name, job_folder
from configs.jobs import done_in, forget_half_report
from configs.judge import baselines_of, judge, manifest_without_run, policies_of, print_places, with_data
from configs.schema import (
    DirectionalConfig,
    EvaluateConfig,
    ReplayConfig,
    read_run_config,
    register,
    to_config,
)
from configs.suites import play_suite
from configs.tracking import send_found, track_evaluation
from evaluation.report import refuse_existing
from evaluation.terminal import print_scorecard

register()


@hydra.main(version_base=None, config_path="configs", config_name="evaluate")
def main(composed: DictConfig) -> str:
    """Compose, build, run, report; the folder of what was found."""
    config: EvaluateConfig = to_config(composed)
    grid, now = job_folder(), datetime.now(UTC)
    if grid is not None and done_in(grid) is not None:
        return str(grid)
    if grid is not None:
        forget_half_report(grid)
    if config.checkpoint is None:
        manifest = manifest_without_run(
            OmegaConf.to_yaml(composed), now.isoformat(timespec="seconds"), Path(__file__).parent
        )
        policies, name = baselines_of(config.policies), "baselines"
        env, scenario, seed = config.env or DirectionalConfig(), config.scenario or ReplayConfig(), None
    else:
        run = Path(config.checkpoint)
        manifest = read_manifest(run)
        trained = read_run_config(run)
        policies, name = policies_of(run, config.evaluation.baselines), manifest["run"]
        env, scenario, seed = trained.env, config.scenario or trained.scenario, trained.seed
    folder = Path(config.out or grid or f"outputs/{name}-{now:%Y%m%d-%H%M%S}")
    if config.suite is not None:
        with track_evaluation(config, folder, manifest, grid_name()) as tracker:
            play_suite(config, env, scenario, seed, folder, manifest)
            send_found(tracker, folder)
        return str(folder)
    refuse_existing(folder)  # before tapes are read
    if config.tapes:
        what = recorded_trial(config.tapes, scenario, config.evaluation)
    else:
        what = trial(scenario, config.evaluation, seed)
    manifest = with_data(manifest, what)
    with track_evaluation(config, folder, manifest, grid_name()) as tracker:
        card = judge(policies, env, what, config.evaluation, folder, manifest)
        send_found(tracker, folder)
    console = Console()
    places = {"scorecard": folder / "scorecard.json", "report": folder / "report.html", "plots": folder / "plots"}
    print_places(f"judged on {what.title}", places, console)
    print_scorecard(card, console)
    return str(folder)


if __name__ == "__main__":
    main()
