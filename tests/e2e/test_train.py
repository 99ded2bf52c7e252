"""The two entry points, run as a user runs them, on a few steps."""

import json
from pathlib import Path

import numpy as np
import pytest
from entry_points import call, from_a_shell
from stable_baselines3.common.env_checker import check_env

from agents.checkpoint import git_state, read_manifest
from agents.policy import load
from envs.single import TradingEnv
from evaluation.summary import parse_summary

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "scenario=synthetic", "scenario.rows.life_s=30", "total_steps=2e3", "num_envs=64", "agent.n_steps=16",
    "evaluation.synthetic_episodes=40", "evaluation.baselines=[noop,signal]", "evaluation.fill_models=[queue]",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A working folder with two runs of one config: one from a shell, the other beside it."""
    folder = tmp_path_factory.mktemp("work")
    phase = (
        "+curriculum=phase1",
        "curriculum.phases.phase1.gate.episodes=64",
        "curriculum.phases.phase1.rows.life_s=30",
    )
    first = from_a_shell("train.py", *SMALL, *phase, "run_name=first", cwd=folder)
    assert first.returncode == 0, first.stderr
    second = call("train.py", *SMALL, *phase, "run_name=second", cwd=folder)
    assert second.returncode == 0, second.stderr
    return folder, first


def test_a_run_leaves_all_it_promises_and_nothing_else(trained):
    folder, done = trained
    run = folder / "checkpoints" / "first"
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file() and path.suffix != ".png"}
    assert names == {
        "policy.zip", "resume.pt", "config.yaml", "manifest.json", "metrics.jsonl", "metrics.csv", "speed.jsonl",
        "gate.json",
        "evaluation/scorecard.json",
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


def test_a_policy_may_be_judged_as_it_samples(trained):
    done = call(
        "evaluate.py", "checkpoint=checkpoints/first", *SMALL[5:], "evaluation.deterministic=false", "out=sampled",
        cwd=trained[0],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sampled, likeliest = (
        json.loads((trained[0] / folder / "scorecard.json").read_text())["results"]["queue"]
        for folder in ("sampled", "checkpoints/first/evaluation")
    )
    assert sampled["agent"] != likeliest["agent"] and sampled["noop"] == likeliest["noop"]


def test_an_exported_policy_acts_as_the_run_does(trained):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="the extra serve is not installed")
    folder = trained[0]
    done = call("-m evaluation", "export", "checkpoints/first", "--steps", "8", cwd=folder)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["out"] == "checkpoints/first/export/policy.onnx" and said["rows"] == 512 and said["largest"] <= 1e-5
    run, sheet = folder / "checkpoints" / "first", read_manifest(folder / "checkpoints" / "first")["sheet"]
    obs = np.random.default_rng(0).standard_normal((32, len(sheet["observation"]))).astype(np.float32)
    one, other = load(run, sheet), load(run / "export" / "policy.onnx", sheet)
    assert (one.act(obs) == other.act(obs)).all()


def test_a_checkpoint_that_is_none_is_named(trained):
    done = call("evaluate.py", "checkpoint=checkpoints/none", cwd=trained[0])
    assert done.returncode != 0 and "checkpoints/none: not a run folder" in done.stderr


def test_a_constrained_run_with_a_memory_trains_and_goes_on_from_its_checkpoint(tmp_path):
    command = ("train.py", *SMALL, "agent=constrained_ppo", "agent.memory=gru", "agent.memory_size=8", "save_every=1")
    done = call(*command, "run_name=kept", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "checkpoints" / "kept"
    rows = (run / "metrics.jsonl").read_bytes()
    first = json.loads(rows.splitlines()[0])
    for name in ("drawdown", "kill", "inventory", "order_rate"):
        assert {f"spent_{name}", f"budget_{name}", f"multiplier_{name}", f"cost_{name}"} <= set(first)
    assert first["budget_kill"] == pytest.approx(0.02 * 0.95)  # the limit less its margin
    again = call("train.py", "resume=checkpoints/kept", cwd=tmp_path)
    assert again.returncode != 0 and "exists: a report is never overwritten" in again.stderr
    (run / "evaluation" / "report.html").unlink()  # as if it was killed while it was judged
    (run / "metrics.jsonl").write_bytes(rows + b"{half a li")
    again = call("train.py", "resume=checkpoints/kept", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (run / "metrics.jsonl").read_bytes() == rows and (run / "evaluation" / "report.html").exists()
    other = call("train.py", "resume=checkpoints/kept", "seed=3", cwd=tmp_path)
    assert other.returncode != 0 and "goes on with the run's own config; leave out seed=3" in other.stderr


def test_sb3_accepts_the_single_environment():
    check_env(TradingEnv(), warn=True)


def test_a_portfolio_is_trained_and_judged(tmp_path):
    small = [one for one in SMALL if not one.startswith(("scenario=", "evaluation.baselines"))]
    done = call(
        "train.py", "scenario=negrisk4", "env=portfolio", *small, "run_name=four",
        "evaluation.baselines=[noop,arbitrageur]", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(tmp_path / "checkpoints" / "four")
    assert manifest["sheet"]["markets"] == 4 and manifest["network"]["masks"]
    card = json.loads((tmp_path / "checkpoints" / "four" / "evaluation" / "scorecard.json").read_text())
    agent = card["results"]["queue"]["agent"]
    assert len(agent["markets"]) == 4 and "arb_orphaned" in agent["metrics"]
    # one network looks at each market: what four of them taught it plays on the two of another scenario
    briefly = (
        "scenario.rows.life_s=30", "evaluation.synthetic_episodes=8", "evaluation.baselines=[noop]",
        "evaluation.fill_models=[queue]",
    )  # fmt: skip
    again = call("evaluate.py", "checkpoint=checkpoints/four", "scenario=two_venues", *briefly, cwd=tmp_path)
    assert again.returncode == 0 and "judged on unseen synthetic episodes" in again.stdout


def test_baselines_are_judged_without_a_run(tmp_path):
    command = (
        "evaluate.py", "scenario=two_venues", "env=portfolio", "policies=[arbitrageur,noop]", "scenario.rows.life_s=30",
        "evaluation.synthetic_episodes=40", "evaluation.fill_models=[queue]", "out=judged",
    )  # fmt: skip
    done = call(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Attempts with orphaned legs" in done.stdout and parse_summary(done.stdout.splitlines()[-1])
    page = (tmp_path / "judged" / "report.html").read_text()
    assert "git.commit" in page and str(git_state(ROOT)["commit"]) in page
    again = call(*command, cwd=tmp_path)
    assert again.returncode != 0 and "exists: a report is never overwritten; name another folder" in again.stderr
    assert "queue fills:" not in again.stderr  # nothing was played: no progress bar


@pytest.mark.parametrize("script", ["shadow.py", "evaluate.py"])
def test_other_entry_points_import_what_they_need_by_themselves(script, tmp_path):
    done = from_a_shell(script, "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
