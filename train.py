"""Train an agent, judge it beside the baselines: ``python train.py [key=value ...] [+curriculum=phase1]``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from agents import ppo
from agents.checkpoint import RunFolder, make_manifest
from agents.run import train
from agents.sb3_vec import SB3VecEnv
from configs.build import data_digests, training_env, trial
from configs.judge import judge, policies_of, print_places
from configs.schema import Config, register, to_config, whole_steps
from evaluation.terminal import print_scorecard

register()


@hydra.main(version_base=None, config_path="configs", config_name="config")
def main(composed: DictConfig) -> None:
    """Compose, build, run, report."""
    config: Config = to_config(composed)
    started = datetime.now(UTC)
    torch.set_num_threads(config.threads)
    env = training_env(config)
    unseen = trial(config.scenario, config.evaluation, config.seed)
    model = ppo.build(
        SB3VecEnv(env),
        config.agent,
        gamma=ppo.discount(config.agent.gamma_per_s, config.env.dt_s),
        seed=config.seed,
        cost_names=env.spec_sheet["costs"],
    )
    run = RunFolder.create(
        config.checkpoints,
        config.run_name or f"directional-ppo-seed{config.seed}-{started:%Y%m%d-%H%M%S}",
        config_yaml=OmegaConf.to_yaml(composed),
        manifest=make_manifest(
            date=started.isoformat(timespec="seconds"),
            sheet=env.spec_sheet,
            network={"activation": config.agent.activation, "masks": config.agent.masks},
            data={"train": data_digests(env.engine.scenario), "held_out": data_digests(unseen.scenario)},
            seed=config.seed,
            total_steps=whole_steps(config),
            repository=Path(__file__).parent,
        ),
    )
    try:
        train(model, whole_steps(config), run, save_every=config.save_every, tensorboard=config.tensorboard)
    except KeyboardInterrupt:
        sys.exit(f"interrupted; {run.path} holds the metrics and the policy so far")
    env.close()

    folder = run.path / "evaluation"
    card = judge(
        policies_of(run.path, config.evaluation.baselines), config.env, unseen, config.evaluation, folder, run.manifest
    )
    console = Console()
    print_scorecard(card, console)
    places = {
        "run": run.path,
        "checkpoint": run.policy_path,
        "report": folder / "report.html",
        "plots": folder / "plots",
    }
    print_places(f"judged on {unseen.title}", places, console)


if __name__ == "__main__":
    main()
