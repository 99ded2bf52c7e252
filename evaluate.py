"""Judge a trained run beside the baselines: ``python evaluate.py checkpoint=checkpoints/<run> [key=value ...]``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from agents.checkpoint import read_manifest
from configs.build import recorded_trial, trial
from configs.judge import judge, print_places
from configs.schema import EvaluateConfig, read_run_config, register, to_config
from evaluation.report import refuse_existing
from evaluation.terminal import print_scorecard

register()


@hydra.main(version_base=None, config_path="configs", config_name="evaluate")
def main(composed: DictConfig) -> None:
    """Compose, build, run, report."""
    config: EvaluateConfig = to_config(composed)
    run = Path(config.checkpoint)
    manifest = read_manifest(run)
    now = datetime.now(UTC)
    folder = Path(config.out or f"outputs/{manifest['run']}-{now:%Y%m%d-%H%M%S}")
    refuse_existing(folder)  # before tapes are read
    trained = read_run_config(run)
    what = (
        recorded_trial(config.tapes, trained, config.evaluation) if config.tapes else trial(trained, config.evaluation)
    )
    card = judge(run, trained.env, what, config.evaluation, folder, manifest)
    console = Console()
    places = {"scorecard": folder / "scorecard.json", "report": folder / "report.html", "plots": folder / "plots"}
    print_places(f"judged on {what.title}", places, console)
    print_scorecard(card, console)


if __name__ == "__main__":
    main()
