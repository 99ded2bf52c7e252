"""A run of trainer=rllib as train.py makes it, beside one of trainer=sb3: same folder, same numbers, same readers."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import ray
from hydra import compose, initialize_config_module
from rich.console import Console

from agents.checkpoint import RunFolder, read_manifest
from agents.policy import load
from agents.rllib.trainer import RLlibPPO
from configs.build import training_batch
from configs.course import create_course, train_course
from configs.gates import measure
from configs.runs import Start, train_run
from configs.schema import read_run_config, register, to_config

SMALL = [
    "scenario=synthetic", "scenario.rows.life_s=20", "total_steps=1024", "num_envs=32", "agent=constrained_ppo",
    "agent.n_steps=8", "agent.hidden=[8]", "save_every=2", "+curriculum=phase2", "tracking.mode=off",
]  # fmt: skip
SAME = ("metrics.jsonl", "metrics.csv", "gate.json")
pytestmark = pytest.mark.compiled


def composed(*overrides):
    register()
    with initialize_config_module("configs", version_base=None):
        config = to_config(compose("config", [*SMALL, *overrides]))
    (phase,) = config.curriculum.phases.values()  # rows by a sampler that watches results; a gate of few episodes
    phase = replace(phase, sampler="adversarial", gate=replace(phase.gate, episodes=8, generalisation=None))
    return replace(config, curriculum=replace(config.curriculum, phases={phase.name: phase}))


def run_of(config, root, name):
    where = Start(root, name, datetime(2026, 1, 2, tzinfo=UTC), Path(__file__).parent)
    return train_run(config, where, judged=False)[0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each trainer."""
    root = tmp_path_factory.mktemp("runs")
    return {name: run_of(composed(f"trainer={name}"), root, name) for name in ("sb3", "rllib")}


def test_its_folder_is_that_of_sb3(runs):
    ours, theirs = runs["rllib"].path, runs["sb3"].path
    assert sorted(path.name for path in ours.iterdir()) == sorted(path.name for path in theirs.iterdir())
    for name in SAME:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    rows = [json.loads(line) for line in (ours / "metrics.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [256, 512, 768, 1024] and sum(row["episodes"] for row in rows) > 0
    manifest = read_manifest(ours)
    assert manifest["trainer"] == {"kind": "rllib", "ray": "2.60.0"} and manifest["status"] == "finished"
    assert manifest["policy_digest"] == read_manifest(theirs)["policy_digest"]


def test_whoever_reads_runs_reads_it(runs):
    run = runs["rllib"].path
    config = read_run_config(run)
    assert config.trainer.kind == "rllib" and config.trainer.num_env_runners == 0
    env = training_batch(config, num_envs=4)
    policies = [load(run.path, env.spec_sheet) for run in runs.values()]
    obs, info = env.reset()
    ours, theirs = (policy.act(obs, info["action_mask"]) for policy in policies)
    env.close()
    assert (ours == theirs).all() and np.isfinite(obs).all()


def test_a_run_that_was_killed_goes_on(runs, tmp_path, monkeypatch):
    log = RLlibPPO._log

    def die(self):
        log(self)
        if self._n_updates == 3:
            raise KeyboardInterrupt

    config = composed("trainer=rllib")
    with monkeypatch.context() as patch:
        patch.setattr(RLlibPPO, "_log", die)
        with pytest.raises(SystemExit, match="goes on"):
            run_of(config, tmp_path, "killed")
    folder = tmp_path / "killed"
    assert read_manifest(folder)["status"] == "interrupted"
    train_run(config, RunFolder.open(folder), judged=False)
    for name in SAME:
        assert (folder / name).read_bytes() == (runs["rllib"].path / name).read_bytes(), name


PHASES = [
    "+curriculum=full", "~curriculum.phases.phase3", "~curriculum.phases.phase4", "scenario.rows.life_s=15",
    "scenario.row_count=64", "total_steps=1024", "num_envs=32", "agent.n_steps=8", "agent.hidden=[8]",
    "curriculum.phases.phase1.gate.episodes=64", "curriculum.phases.phase2.gate.episodes=64",
    "curriculum.phases.phase1.rows.life_s=15", "curriculum.phases.phase2.rows.life_s=15",
    "~curriculum.phases.phase2.entries.cascades", "evaluation.synthetic_episodes=8", "evaluation.baselines=[noop]",
    "evaluation.fill_models=[queue]", "evaluation.failures=null", "curriculum.enforce=false", "tracking.mode=off",
    "trainer=rllib", "trainer.num_env_runners=1",
]  # fmt: skip


def test_a_course_keeps_its_ray_and_its_gates_are_played_there(tmp_path, monkeypatch):
    """Two phases, whose env runner comes and goes; each gate says what it says where one process plays it."""
    register()
    with initialize_config_module("configs", version_base=None):
        config = to_config(compose("config", PHASES))
    started, begin = [], ray.init
    monkeypatch.setattr(ray, "init", lambda **settings: started.append(begin(**settings)))
    folder = create_course(config, tmp_path, "course")
    last = train_course(config, folder, Path(__file__).parent, Console(quiet=True))
    assert len(started) == 1 and not ray.is_initialized() and last == folder / "2-phase2"
    for run in (folder / "1-phase1", last):
        gate = (run / "gate.json").read_bytes()
        assert measure(read_run_config(run), run)["episodes"] == 64 and (run / "gate.json").read_bytes() == gate
        assert sum(json.loads(line)["episodes"] for line in (run / "metrics.jsonl").read_text().splitlines()) > 0
