"""Train an agent, judge it beside the baselines.

``python train.py [key=value ...] [+curriculum=phase1]``
``python train.py agent.warm_start=quoter``: clone a teacher first; docs/training.md
``python train.py resume=checkpoints/<run>``: go on where a run was killed
``python train.py -m +experiment=opponents``: a grid of runs, and two tables of them
"""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from agents import ppo
from agents.checkpoint import RunFolder, make_manifest, refuse_changed
from agents.config import discount
from agents.run import train
from agents.sb3_vec import SB3VecEnv
from configs.build import data_digests, library_digests, training_env, trial
from configs.grid import job_folder
from configs.judge import judge, policies_of, print_places
from configs.schema import Config, read_run_config, register, to_config, whole_steps
from configs.start import refuse_hopeless
from configs.teach import find_teacher, forget_teacher, warm_start
from evaluation.report import refuse_existing
from evaluation.terminal import print_scorecard

register()


@hydra.main(version_base=None, config_path="configs", config_name="config")
def main(composed: DictConfig) -> str:
    """Compose, build, run, report; the run's folder."""
    started = datetime.now(UTC)
    config, going_on = _config(composed)
    root = job_folder() or config.checkpoints
    torch.set_num_threads(config.threads)
    env = training_env(config)
    unseen = trial(config.scenario, config.evaluation, config.seed)
    model = ppo.build(
        SB3VecEnv(env),
        config.agent,
        gamma=discount(config.agent.gamma_per_s, config.env.dt_s),
        seed=config.seed,
        cost_names=env.spec_sheet["costs"],
        markets=env.spec_sheet["markets"],
    )
    data = {"train": data_digests(env.engine.scenario), "held_out": data_digests(unseen.scenario)}
    data |= library_digests(config.scenario)
    if going_on is None:
        refuse_hopeless(config, model.constraints)
        teacher = find_teacher(config, env)
        run = RunFolder.create(
            root,
            config.run_name or f"{_task()}-seed{config.seed}-{started:%Y%m%d-%H%M%S}",
            config_yaml=OmegaConf.to_yaml(composed),
            manifest=make_manifest(
                date=started.isoformat(timespec="seconds"),
                sheet=env.spec_sheet,
                network=model.policy.spec,
                data=data,
                seed=config.seed,
                total_steps=whole_steps(config),
                repository=Path(__file__).parent,
            ),
        )
    else:
        run = going_on
        refuse_changed(run, env.spec_sheet, data)
        teacher = None
        if not run.resume_path.is_file() and not run.has_trained:  # killed while it was taught
            forget_teacher(run)
            teacher = find_teacher(config, env)
    if teacher is not None:
        warm_start(config, model, teacher, run, unseen, Console())
    folder = run.path / "evaluation"
    if going_on is not None and not (folder / "report.html").exists():
        shutil.rmtree(folder, ignore_errors=True)  # killed while it was judged
    refuse_existing(folder)
    try:
        train(
            model,
            whole_steps(config),
            run,
            save_every=config.save_every,
            tensorboard=config.tensorboard,
            resume=going_on is not None,
        )
    except KeyboardInterrupt:
        sys.exit(f"interrupted; {run.path} holds the metrics and the policy so far: resume={run.path} goes on")
    env.close()

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
    return str(run.path)


def _config(composed: DictConfig) -> tuple[Config, RunFolder | None]:
    """The composed config; or that of the run to go on with, and its folder."""
    config: Config = to_config(composed)
    if config.resume is None:
        return config, None
    others = [text for text in HydraConfig.get().overrides.task if not text.startswith("resume=")]
    if others:
        raise ValueError(f"resume={config.resume} goes on with the run's own config; leave out {', '.join(others)}")
    return read_run_config(Path(config.resume)), RunFolder.open(config.resume)


def _task() -> str:
    """The chosen environment and agent, such as directional-ppo."""
    chosen = HydraConfig.get().runtime.choices
    return f"{chosen['env']}-{chosen['agent']}"


if __name__ == "__main__":
    main()
