"""A run is watched on new tapes and refreshed from where it was."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from entry_points import call
from test_configs import composed

from agents.checkpoint import RunFolder, read_manifest
from configs import monitor
from configs.lineage import lineage, refuse_leak
from configs.refresh import refreshed
from configs.schema import read_run_config, to_config
from sim.tape import SUFFIX, write

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "evaluation"))
from worlds import tiny_tape  # noqa: E402

SMALL = (
    "scenario=synthetic", "scenario.rows.life_s=20", "num_envs=32", "agent.n_steps=16", "agent.hidden=[8]",
    "env.features=[book,time,portfolio,orders,flow]", "total_steps=1e3", "evaluation.synthetic_episodes=20",
    "evaluation.baselines=[noop]", "evaluation.fill_models=[queue]", "evaluation.failures=null",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refresh")
    done = call("train.py", *SMALL, "run_name=first", cwd=folder)
    assert done.returncode == 0, done.stderr
    for name, numbers in (("june", range(4)), ("july", range(4, 9))):
        (folder / name).mkdir()
        for number in numbers:
            write(folder / name / f"{number}{SUFFIX}", tiny_tape(number, 30, f"M{number}"))
    return folder


def test_the_monitor_compares_two_folders_of_tapes(folder, capsys):
    arguments = [
        str(folder / "checkpoints/first"),
        "--reference",
        str(folder / "june"),
        "--tapes",
        str(folder / "july"),
    ]
    status = monitor.main([*arguments, "--out", str(folder / "drift.json")])
    report = json.loads((folder / "drift.json").read_text())
    assert status == (monitor.REFRESH if report["refresh"] else 0)
    assert {"performance", "accuracy", "flow_strength", "flow_accuracy"} == set(report["changes"])
    shown = capsys.readouterr().out
    assert ("+curriculum=refresh from=" in shown) == report["refresh"] and "performance" in shown


def test_a_refresh_goes_on_in_the_runs_own_environment(folder):
    done = call(
        "train.py", "+curriculum=refresh", "from=checkpoints/first", "total_steps=5e2", "run_name=second", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    first, second = (read_run_config(folder / "checkpoints" / name) for name in ("first", "second"))
    assert second.env == first.env and second.agent == first.agent and second.scenario == first.scenario
    assert second.init_from == "checkpoints/first" and second.total_steps == 500
    assert read_manifest(folder / "checkpoints" / "second")["status"] == "finished"


def made(*overrides):
    return refreshed(to_config(composed("+curriculum=refresh", *overrides)), ["+curriculum=refresh", *overrides])


def test_the_command_line_goes_before_the_run(folder):
    run = f"init_from={folder / 'checkpoints' / 'first'}"
    stored = read_run_config(folder / "checkpoints" / "first")
    assert made(run, "scenario.rows.life_s=7").scenario == replace(
        stored.scenario, rows=replace(stored.scenario.rows, life_s=7)
    )
    other = made(run, "scenario=replay", "scenario.tapes=DIR", "agent.learning_rate=1e-4")
    assert other.scenario.kind == "replay" and other.scenario.tapes == "DIR"
    assert other.agent == replace(stored.agent, learning_rate=1e-4)
    assert made(run, "seed=3").seed == 3


def test_a_refresh_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"goes on from a policy: add from=checkpoints/<run>"):
        made()


def test_a_refresh_leaves_out_nothing_that_was_said(folder):
    run = f"init_from={folder / 'checkpoints' / 'first'}"
    with pytest.raises(ValueError, match=r"\+experiment=opponents cannot be laid over it"):
        refreshed(
            to_config(composed("+curriculum=refresh", run)), ["+curriculum=refresh", run, "+experiment=opponents"]
        )


def test_what_an_ancestor_trained_on_is_not_unseen(folder):
    ancestors = lineage(str(folder / "checkpoints" / "first"))
    assert [one["seed"] for one in ancestors] == [0] and len(ancestors[0]["policy_sha256"]) == 64
    tapes = {"train": {"a": "1"}, "held_out": {"b": "2"}}
    refuse_leak(ancestors, tapes, seed=5)
    with pytest.raises(ValueError, match="trained with seed 0, which is"):
        refuse_leak(ancestors, tapes, seed=0)
    with pytest.raises(ValueError, match="trained on b, which this run holds out"):
        refuse_leak([{**ancestors[0], "train": {"b": "2"}}], tapes, seed=5)
    refuse_leak([{**ancestors[0], "train": {"b": "2"}}], {"train": {"b": "2"}, "held_out": {"b": "2"}}, seed=5)


def test_a_run_under_way_is_nothing_to_begin_with(tmp_path):
    run = RunFolder.create(tmp_path, "running", config_yaml="", manifest={"seed": 0, "data": {}})
    with pytest.raises(ValueError, match="that run is running; expected one of finished"):
        lineage(str(run.path))
