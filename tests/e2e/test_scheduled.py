"""``evaluation tune --scheduler`` on a real Ray: bad trials end early, good ones are copied, a kill costs little."""

import json
import os
import signal
import subprocess
import sys

import pytest
from test_grids import rows_of
from test_sweeps import until
from test_train import ROOT

from agents.budgets import Budget
from agents.checkpoint import read_manifest
from configs.compose import composed
from configs.scheduled import Schedule, check_schedule, looks_every, sampler_of, within
from configs.trialling import score
from configs.tune import main as tune
from evaluation.pareto import Range

SMALL = (
    "scenario=synthetic", "scenario.rows.life_s=30", "num_envs=64", "agent.n_steps=16", "tracking.mode=off",
    "evaluation.synthetic_episodes=8", "evaluation.fill_models=[queue]",
)  # fmt: skip
RATE = ("--range", "agent.learning_rate=1e-6:1e-2:log")


def command(out, *words):
    return [sys.executable, "-m", "evaluation", "tune", "--out", str(out), *RATE, "--workers", "2", *words, *SMALL]


def row(episodes, value, spent=None):
    return {"episodes": episodes, "return_mean": value, "spent_kill": spent}


def test_the_score_by_hand():
    """(2 x 1 + 6 x 3) / 8 = 2.5; beyond a budget of 0.1, (2 x 0.5 + 6 x 0.1) / 8 = 0.2 misses it by all of it."""
    rows = [row(2, 1.0, 0.5), row(0, None), row(6, 3.0, 0.1)]
    assert score(rows, None) == pytest.approx(2.5) == score(rows, {"kill": Budget(0.2)})
    assert score(rows, {"kill": Budget(0.1)}) == pytest.approx(-2e9)
    assert score([row(2, 1.0, 0.5)], {"kill": Budget(0.1)}) == pytest.approx(-5e9)  # misses it by 4 of it
    assert score([row(0, None)], None) is None


def test_hyperparameters_stay_in_their_ranges():
    ranges = {"a": Range(0.1, 1.0), "b": Range(2.0, 9.0, whole=True)}
    assert within({"a": 1.2, "b": 6.4}, ranges) == {"a": 1.0, "b": 6}
    assert within({"a": 0.08, "b": 1.6}, ranges) == {"a": 0.1, "b": 2}


def test_what_cannot_be_scheduled_is_said_before_anything_runs(tmp_path):
    config = composed([*SMALL, "total_steps=1e4"])  # 10 updates of 64 x 16
    assert looks_every(config, None) == 1 and looks_every(config, 9) == 9
    for every in (0, 10):
        with pytest.raises(ValueError, match=f"--every {every}: a run has 10 updates"):
            looks_every(config, every)
    pbt = Schedule("pbt", 2, config, list(SMALL), tmp_path)
    assert pbt.steps == 2048
    with pytest.raises(ValueError, match=r"agent\.n_steps cannot change in a run that goes on"):
        check_schedule(pbt, {"agent.n_steps": Range(8, 16, whole=True)}, 4)
    with pytest.raises(ValueError, match="--trials 3: a population has at least 4"):
        check_schedule(pbt, {"agent.learning_rate": Range(1e-4, 1e-2)}, 3)
    out = ["--out", str(tmp_path / "out")]
    with pytest.raises(ValueError, match="--scheduler looks at training runs: leave out --policy"):
        tune([*out, "--policy", "joiner", "--scheduler", "asha", "scenario=synthetic"])
    with pytest.raises(ValueError, match="--every is of a --scheduler"):
        tune([*out, *RATE, "--every", "3", *SMALL])
    assert (sampler_of(None, None), sampler_of("asha", None), sampler_of("pbt", None)) == ("nsga2", "tpe", "random")
    with pytest.raises(ValueError, match="--sampler tpe: with --scheduler pbt expected random"):
        sampler_of("pbt", "tpe")
    assert not (tmp_path / "out").exists()


@pytest.mark.compiled
def test_bad_trials_are_stopped_early_and_all_are_judged(tmp_path):
    """Of four trials with looks after 1 and 3 of 6 updates, one of three going on behind each, not all can finish."""
    out = tmp_path / "asha"
    words = command(out, "--trials", "4", "--scheduler", "asha", "--every", "1", "total_steps=6e3")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, rows = json.loads(done.stdout), rows_of(out / "trials.csv")
    assert (said["trials"], said["failed"]) == (4, 0) and all(row["result_usd"] for row in rows)
    stopped = [row for row in rows if row["stopped"] == "1"]
    assert stopped and all(0 < int(row["steps"]) < 6144 for row in stopped)
    assert all(int(row["steps"]) == 6144 for row in rows if row["stopped"] == "0")
    assert all(one["fresh"]["result_usd"] is not None for one in said["pareto"])


@pytest.mark.compiled
def test_a_population_copies_its_best_and_goes_on_after_a_kill(tmp_path):
    """Four trials with looks after 2 to 7 of 8 updates: whoever is the worst at one goes on from the best."""
    out = tmp_path / "pbt"
    words = command(out, "--trials", "4", "--scheduler", "pbt", "--every", "1", "total_steps=8e3")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log)
    until(lambda: len(list((out / "ray" / "tune").glob("*/checkpoint_*/manifest.json"))) > 4, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = {path.name for path in (out / "runs").glob("*.json")}
    done = subprocess.run(words, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = rows_of(out / "trials.csv")
    assert {f"{row['run']}.json" for row in rows} >= begun and len(rows) == 4
    assert all(row["steps"] == "8192" and not row["error"] and row["result_usd"] for row in rows)
    forks = [fork for row in rows for fork in read_manifest(out / "runs" / row["run"]).get("forks", [])]
    assert forks and {fork["from"] for fork in forks} <= {row["run"] for row in rows}
    for row_ in rows:
        metrics = (out / "runs" / row_["run"] / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["steps"] for line in metrics] == [1024 * k for k in range(1, 9)]
