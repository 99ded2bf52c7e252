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
from configs.scheduled import (
    Schedule,
    begin_scheduled,
    check_schedule,
    looks_every,
    refuse_too_large,
    sampler_of,
    within,
)
from configs.trialling import score
from configs.tune import main as tune
from evaluation.pareto import Range, Search

SMALL = (
    "scenario=synthetic", "scenario.rows.life_s=30", "num_envs=64", "agent.n_steps=16", "tracking.mode=off",
    "evaluation.synthetic_episodes=8", "evaluation.fill_models=[queue]",
)  # fmt: skip
RATE = ("--range", "agent.learning_rate=1e-6:1e-2:log")


def command(out, *words):
    return [sys.executable, "-m", "evaluation", "tune", "--out", str(out), *words, *SMALL]


def begun(words, folder):
    """A search in the background."""
    with (folder / "log").open("w") as log:
        return subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log)


def reports(out):
    return list((out / "ray" / "tune").glob("*/checkpoint_*/manifest.json"))


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


def test_folders_of_others_and_runs_that_nobody_knows_are_kept_and_refused(tmp_path):
    mine = tmp_path / "runs" / "precious"
    mine.mkdir(parents=True)
    words = ["--out", str(tmp_path), *RATE, "--scheduler", "asha", "total_steps=1e4", *SMALL]
    with pytest.raises(ValueError, match=r"runs without plan\.json, so of nobody knows what; give another --out"):
        tune(words)
    assert mine.is_dir() and not (tmp_path / "plan.json").exists()
    schedule = Schedule("asha", 1, composed([*SMALL, "total_steps=1e4"]), list(SMALL), tmp_path / "out")
    search = Search({"agent.learning_rate": Range(1e-4, 1e-2)}, ("result_usd",), {}, "tpe")
    begin_scheduled(schedule, search, 4)
    begin_scheduled(schedule, search, 4)  # killed before anything was begun
    (tmp_path / "runs").rename(tmp_path / "out" / "runs")
    with pytest.raises(ValueError, match=r"runs: precious, but .*ray does not hold the search .* cannot go on"):
        begin_scheduled(schedule, search, 4)
    assert (tmp_path / "out" / "runs" / "precious").is_dir()


def test_a_trial_that_no_ray_has_room_for_is_refused(tmp_path):
    """Two threads and two env runners of 1.5 are 5 processors, 2 of them on one node."""
    rllib = composed([*SMALL, "trainer=rllib", "trainer.num_env_runners=2", "trainer.num_cpus_per_env_runner=1.5"])
    rllib.threads = 2
    one = Schedule("asha", 2, rllib, list(SMALL), tmp_path, gpus=0.5)
    assert one.cpus == 5.0 and one.bundles == [{"CPU": 2.0, "GPU": 0.5}, {"CPU": 1.5}, {"CPU": 1.5}]
    refuse_too_large(one.bundles, [{"CPU": 3.0}, {"CPU": 2.0, "GPU": 1.0}])
    refuse_too_large(one.bundles, [{}])  # a head that works not; workers are to come
    for nodes, said in (
        ([{"CPU": 4.0, "GPU": 1.0}], "asks for 5 CPU, 2 of them on one node, and Ray has 4, at most 4 on one"),
        ([{"CPU": 1.0}] * 9, "asks for 5 CPU, 2 of them on one node, and Ray has 9, at most 1 on one"),
        ([{"CPU": 9.0}], r"asks for 0\.5 GPU, 0\.5 of them on one node, and Ray has 0, at most 0"),
    ):
        with pytest.raises(ValueError, match=said):
            refuse_too_large(one.bundles, nodes)


@pytest.mark.compiled
def test_bad_trials_are_stopped_early_and_an_interrupted_search_judges_nothing_and_goes_on(tmp_path):
    """Acting at random costs, and the reward is that cost by a weight: the heavier, the lower the score at every look.

    One trial at a time, so that each meets the scores of those before it: the lightest is never the worst, and ends at
    12 updates of 1024 steps. Which others are stopped is a matter of their order.
    """
    out = tmp_path / "asha"
    weights = ("--range", "env.reward.pnl=1:1000:log", "--trials", "3", "--scheduler", "asha", "--every", "1")
    words = command(out, *weights, "total_steps=12e3")
    process = begun(words, tmp_path)
    until(lambda: reports(out), process)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    assert "the same command goes on" in (tmp_path / "log").read_text()
    assert not (out / "trials.csv").exists() and not list(out.glob("runs/*/evaluation"))
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, rows = json.loads(done.stdout), rows_of(out / "trials.csv")
    assert (said["trials"], said["failed"]) == (3, 0) and all(row["result_usd"] for row in rows)
    by_weight = sorted(rows, key=lambda row: float(row["env.reward.pnl"]))
    assert (by_weight[0]["stopped"], by_weight[0]["steps"]) == ("0", "12288")
    assert all((row["stopped"] == "1") == (int(row["steps"]) < 12288) for row in rows)
    assert all(one["fresh"]["result_usd"] is not None for one in said["pareto"])


@pytest.mark.compiled
def test_a_population_copies_its_best_and_goes_on_after_a_kill(tmp_path):
    """Four trials with looks after 2 to 7 of 8 updates: whoever is the worst at one goes on from the best."""
    out = tmp_path / "pbt"
    some = ("--trials", "4", "--scheduler", "pbt", "--every", "1", "--workers", "2")
    words = command(out, *RATE, *some, "total_steps=8e3")
    process = begun(words, tmp_path)
    until(lambda: len(reports(out)) > 4, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path.name for path in (out / "runs").glob("*.json")}
    done = subprocess.run(words, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = rows_of(out / "trials.csv")
    assert {f"{row['run']}.json" for row in rows} >= before and len(rows) == 4
    assert all(row["steps"] == "8192" and not row["error"] and row["result_usd"] for row in rows)
    forks = [fork for row in rows for fork in read_manifest(out / "runs" / row["run"]).get("forks", [])]
    for row_ in rows:
        metrics = (out / "runs" / row_["run"] / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["steps"] for line in metrics] == [1024 * k for k in range(1, 9)]
    if not forks:
        pytest.skip("nobody was the worst when he looked: that depends on who was faster, and all else held")
    assert {fork["from"] for fork in forks} <= {row["run"] for row in rows}
