"""The two entry points, run as a user runs them, on a few steps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from stable_baselines3.common.env_checker import check_env

from agents.checkpoint import read_manifest
from envs.single import TradingEnv
from evaluation.summary import parse_summary

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "scenario=synthetic", "scenario.rows.life_s=30", "total_steps=2e3", "num_envs=64", "agent.n_steps=16",
    "evaluation.synthetic_episodes=40", "evaluation.baselines=[noop,signal]", "evaluation.fill_models=[queue]",
)  # fmt: skip


def call(script, *overrides, cwd):
    command = [sys.executable, str(ROOT / script), *overrides]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A working folder with two runs of one config."""
    folder = tmp_path_factory.mktemp("work")
    first = call("train.py", *SMALL, "run_name=first", "+curriculum=phase1", cwd=folder)
    assert first.returncode == 0, first.stderr
    second = call("train.py", *SMALL, "run_name=second", "+curriculum=phase1", cwd=folder)
    assert second.returncode == 0, second.stderr
    return folder, first


def test_a_run_leaves_all_it_promises_and_nothing_else(trained):
    folder, done = trained
    run = folder / "checkpoints" / "first"
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file() and path.suffix != ".png"}
    assert names == {
        "policy.zip", "config.yaml", "manifest.json", "metrics.jsonl", "metrics.csv", "evaluation/scorecard.json",
        "evaluation/report.html",
    }  # fmt: skip
    assert [path.name for path in folder.iterdir()] == ["checkpoints"]  # Hydra left nothing
    manifest = read_manifest(run)
    assert manifest["status"] == "finished" and manifest["steps"] == 2048 and manifest["seed"] == 0
    assert "checkpoints/first/policy.zip" in done.stdout and "checkpoints/first/evaluation/plots" in done.stdout


def test_the_same_config_gives_the_same_policy_bytes(trained):
    first, second = [(trained[0] / "checkpoints" / name / "policy.zip").read_bytes() for name in ("first", "second")]
    assert first == second


def test_an_existing_run_is_not_written_into(trained):
    again = call("train.py", *SMALL, "run_name=first", cwd=trained[0])
    assert again.returncode != 0 and "run_name=NAME" in again.stderr


def test_evaluate_ends_with_one_summary_line_and_agrees_with_the_training(trained):
    done = call("evaluate.py", "checkpoint=checkpoints/first", *SMALL[5:], "out=judged", cwd=trained[0])
    assert done.returncode == 0, done.stderr
    summary = parse_summary(done.stdout.splitlines()[-1])
    card = json.loads((trained[0] / "judged" / "scorecard.json").read_text())
    assert card == json.loads((trained[0] / "checkpoints" / "first" / "evaluation" / "scorecard.json").read_text())
    assert parse_summary(card["summary"]) == summary


def test_a_checkpoint_that_is_none_is_named(trained):
    done = call("evaluate.py", "checkpoint=checkpoints/none", cwd=trained[0])
    assert done.returncode != 0 and "checkpoints/none: not a run folder" in done.stderr


def test_sb3_accepts_the_single_environment():
    check_env(TradingEnv(), warn=True)
