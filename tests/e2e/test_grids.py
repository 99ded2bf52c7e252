"""``-m``: a row a job whatever becomes of it; the shipped experiments compose."""

import csv
from pathlib import Path

import pytest
from entry_points import call
from hydra import compose, initialize_config_dir
from test_configs import CONFIGS, config
from test_train import SMALL

from configs.build import settled
from configs.schema import DirectionalConfig, register

register()
EXPERIMENTS = {path.stem: path for path in (CONFIGS / "experiment").glob("*.yaml")}
OF_EVALUATE = {"stress"}


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def sweeps(name, program):
    """What an experiment sweeps, as lists of values by key."""
    with initialize_config_dir(str(CONFIGS), version_base=None):
        given = ["policies=[noop]"] if program == "evaluate" else []
        whole = compose(program, [f"+experiment={name}", *given, *needed(name)], return_hydra_config=True)
    assert whole.hydra.sweep.dir == f"runs/{name}"
    return {key: str(values).split(",") for key, values in whole.hydra.sweeper.params.items()}


def needed(name):
    text = EXPERIMENTS[name].read_text()
    return ["scenario.name=reference"] if "library" in text else []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_job_of_every_experiment_composes(name):
    program = "evaluate" if name in OF_EVALUATE else "config"
    swept = sweeps(name, program)
    given = ["policies=[noop]"] if program == "evaluate" else []
    seeds = swept.pop("evaluation.seed" if program == "evaluate" else "seed")
    assert len(seeds) == 3 and len(swept) == 1 and f"-m +experiment={name}" in EXPERIMENTS[name].read_text()
    ((key, values),) = swept.items()
    for value in values:
        made = config(f"+experiment={name}", *given, f"{key}={value}", name=program)
        assert made.scenario is not None
        settled(made.env or DirectionalConfig(), made.scenario)


@pytest.mark.compiled
def test_a_grid_of_trainings_with_a_job_that_fails(tmp_path):
    command = ("train.py", "-m", *SMALL, "hydra.sweep.dir=runs/mine", "seed=0", "env.kill_drawdown=7,0.05")
    done = call(*command, cwd=tmp_path)
    assert done.returncode != 0 and "kill_drawdown is a share of the cash" in done.stderr
    folder = tmp_path / "runs" / "mine"
    failed, trained = rows_of(folder / "mine_runs.csv")
    assert (failed["seed"], failed["env.kill_drawdown"], failed["status"]) == ("0", "7", "failed")
    assert "kill_drawdown is a share of the cash in (0, 1], got 7" in failed["error"] and failed["result_usd"] == ""
    assert (trained["env.kill_drawdown"], trained["status"], trained["policy"]) == ("0.05", "finished", "agent")
    assert trained["run_steps"] == "2048" and not (tmp_path / "checkpoints").exists()
    run = Path(trained["folder"])
    assert run.parent == folder / "1" and (run / "evaluation" / "scorecard.json").is_file()
    of_failed, of_trained = rows_of(folder / "mine_summary.csv")
    assert (of_failed["runs"], of_failed["failed"], of_trained["runs"], of_trained["failed"]) == ("0", "1", "1", "0")
    assert of_trained["result_usd"] == trained["result_usd"] and "seed" not in of_trained
    before = (folder / "mine_runs.csv").read_bytes()
    again = call(*command[:-1], "env.kill_drawdown=0.05", cwd=tmp_path)
    assert again.returncode != 0 and "a grid never writes into another one's folder: name one with" in again.stderr
    assert (folder / "mine_runs.csv").read_bytes() == before


@pytest.mark.compiled
def test_a_grid_of_evaluations(tmp_path):
    done = call(
        "evaluate.py", "-m", "scenario=library", "scenario.name=reference,toxic_flow", "policies=[joiner]",
        "suite=montecarlo", "n=64", "shard=32", "scenario.rows.life_s=10", "hydra.sweep.dir=runs/tails", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "runs" / "tails" / "tails_runs.csv")
    assert [row["scenario.name"] for row in rows] == ["reference", "toxic_flow"]
    assert all(row["status"] == "finished" and row["episodes"] == "64" and row["cvar99_usd"] for row in rows)
    assert (tmp_path / "runs" / "tails" / "1" / "montecarlo.json").is_file()
