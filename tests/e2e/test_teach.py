"""A warm start on the simulator: what is recorded is what the teacher did, and who cannot teach is refused at once."""

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from rich.console import Console
from test_configs import config

import configs.teach
from agents import ppo
from agents.checkpoint import RunFolder, load_parameters, read_manifest
from agents.policy import load
from agents.run import train
from agents.sb3_vec import SB3VecEnv
from agents.trajectories import load_trajectories, save_trajectories
from configs.build import make_env, training_env, training_scenario, trial
from configs.teach import find_teacher, record, warm_start
from evaluation.rollout import rollout
from sim.types import UUSD

TINY = (
    "scenario=synthetic", "scenario.rows.life_s=[8,16]", "scenario.row_count=4", "env.actions=maker21",
    "env.features=[book,time,portfolio,orders]", "num_envs=4", "total_steps=64", "agent.n_steps=4",
    "agent.hidden=[8]", "agent.minibatches=2", "agent.warm_start_steps=60", "agent.warm_start_epochs=2",
    "evaluation.synthetic_episodes=4",
)  # fmt: skip
QUOTER = "agent.warm_start='quoter?stop_s=0'"  # the quotes are Hydra's


@pytest.fixture(autouse=True)
def few_slots(monkeypatch):
    monkeypatch.setattr(configs.teach, "SLOTS", 4)


def test_what_is_recorded_is_what_the_teacher_did():
    made = config(*TINY, QUOTER)
    data = record(made, "baseline:quoter?stop_s=0")
    rounds = len(data.lengths) // 4
    assert len(data.obs) >= 60 > data.lengths[:-4].sum()  # whole rounds, and none too many
    settings = {"num_envs": 4, "seed": made.seed, "autoreset_mode": AutoresetMode.DISABLED}
    env = make_env(made.env, training_scenario(made), **settings)
    policy = load("baseline:quoter?stop_s=0", env.spec_sheet)
    played = rollout(env, policy, 4 * rounds)
    assert data.lengths.tolist() == played.steps.tolist()
    assert data.returns == pytest.approx(played.result_uusd / UUSD, abs=1e-3)
    assert data.episode_costs == pytest.approx(played.costs, abs=1e-2)
    assert data.terminated.all()  # every market settles
    wanted = policy.act(data.obs)
    done = data.masks[np.arange(len(wanted)), wanted]
    assert (data.actions == np.where(done, wanted, 0)).all()  # what was refused is as good as hold
    assert data.facts["parameters"]["stop_s"] == 0.0 and data.facts["teacher"] == "baseline:quoter?stop_s=0"


def warm(made, root, name):
    """As train.py does it: the model after its warm start, its run and what was printed."""
    env = training_env(made)
    teacher = find_teacher(made, env)
    model = ppo.build(SB3VecEnv(env), made.agent, gamma=0.97, seed=0, cost_names=env.spec_sheet["costs"])
    manifest = {"sheet": dict(env.spec_sheet), "network": model.policy.spec}
    run = RunFolder.create(root, name, config_yaml="", manifest=manifest)
    printed = StringIO()
    unseen = trial(made.scenario, made.evaluation, made.seed)
    warm_start(made, model, teacher, run, unseen, Console(file=printed, width=200))
    return model, run, printed.getvalue()


def test_a_warm_start_reports_and_leaves_data_and_clone(tmp_path):
    model, run, printed = warm(config(*TINY, QUOTER), tmp_path, "run")
    report = json.loads((run.path / "cloning.json").read_text())
    assert report["teacher"] == "baseline:quoter?stop_s=0" and report["parameters"]["size"] == 10.0
    assert 0.0 <= report["action_error"] <= 1.0 and report["cross_entropy"] > 0.0
    assert report["parity"]["episodes"] == 4 and report["parity"]["kill"]["clone"][0] == 0.0
    for words in ("cloned baseline:quoter?stop_s=0", "action error", "result, $ an episode", "drawdown", "kill rate"):
        assert words in printed
    data = load_trajectories(run.path / "teacher.npz")
    assert read_manifest(run.path)["warm_start"]["data_digest"] == data.digest
    kept = load_parameters(run.path)
    assert all((kept[name] == tensor).all() for name, tensor in model.policy.state_dict().items())
    again, _, _ = warm(config(*TINY, f"agent.warm_start={run.path / 'teacher.npz'}"), tmp_path, "again")
    assert all((kept[name] == tensor).all() for name, tensor in again.policy.state_dict().items())
    assert not (tmp_path / "again" / "teacher.npz").exists()  # it has one already


def test_a_run_that_is_killed_goes_on_from_its_clone(tmp_path, monkeypatch):
    """A checkpoint is written before the first update, and holds the clone: nobody is cloned again."""
    made = config(*TINY, QUOTER)
    model, run, _ = warm(made, tmp_path, "run")
    cloned = {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}
    monkeypatch.setattr(model, "train", lambda: (_ for _ in ()).throw(RuntimeError("killed")))
    with pytest.raises(RuntimeError, match="killed"):
        train(model, 64, run, save_every=100)
    fresh = ppo.build(SB3VecEnv(training_env(made)), made.agent, gamma=0.97, seed=0, cost_names=model.cost_names)
    train(fresh, 64, run, save_every=100, resume=True)
    whole, other, _ = warm(made, tmp_path, "whole")
    train(whole, 64, other, save_every=100)
    for name, tensor in fresh.policy.state_dict().items():
        assert (tensor == whole.policy.state_dict()[name]).all()
    assert any((tensor != cloned[name]).any() for name, tensor in fresh.policy.state_dict().items())


@pytest.mark.parametrize(
    "changes, message",
    [
        (["agent.warm_start=quote"], "no baseline 'quote'; the baselines are"),
        (["agent.warm_start='quoter?width=1'"], "strategy quoter: no parameter 'width'"),
        (["agent.warm_start=joiner"], "joiner: it writes orders of its own"),
        (["agent.warm_start=missing.npz"], r"missing\.npz: no such data set"),
        ([QUOTER, "agent.warm_start_steps=0"], r"agent\.warm_start_steps = 0.*: expected at least 1"),
        ([QUOTER, "agent.warm_start_epochs=0"], r"agent\.warm_start_epochs = 0: expected at least 1"),
        ([QUOTER, "env.features=[book]"], "the observation lacks"),
    ],
)
def test_who_cannot_teach_is_refused_before_anything_is_played(changes, message):
    made = config(*TINY, *changes)
    env = training_env(made)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        find_teacher(made, env)


def test_a_data_set_of_another_environment_is_refused(tmp_path):
    save_trajectories(record(config(*TINY, QUOTER), "baseline:noop"), tmp_path / "a.npz")
    made = config(*TINY, f"agent.warm_start={tmp_path / 'a.npz'}", "env.actions=taker21")
    with pytest.raises(ValueError, match=r"a\.npz: recorded with action schema"):
        find_teacher(made, training_env(made))


def test_a_teacher_that_nobody_can_play_still_teaches(tmp_path):
    data = record(config(*TINY, QUOTER), "baseline:noop")
    other = type(data)(**data.arrays(), facts={**data.facts, "teacher": "me"})
    save_trajectories(other, tmp_path / "mine.npz")
    _, run, printed = warm(config(*TINY, f"agent.warm_start={tmp_path / 'mine.npz'}"), tmp_path, "run")
    assert json.loads((run.path / "cloning.json").read_text())["parity"] is None
    assert "not compared: its teacher cannot be played here" in printed


def test_what_stops_a_warm_start_is_in_the_manifest(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no disk")

    monkeypatch.setattr(configs.teach, "save_trajectories", broken)
    with pytest.raises(RuntimeError, match="no disk"):
        warm(config(*TINY, QUOTER), tmp_path, "run")
    manifest = read_manifest(Path(tmp_path) / "run")
    assert manifest["status"] == "failed" and manifest["error"] == "RuntimeError: no disk"


def test_nothing_but_a_clone_is_made_with_no_steps():
    assert config(*TINY, QUOTER, "total_steps=0").total_steps == 0
    with pytest.raises(ValueError, match=r"total_steps = 0\.0: expected a whole number of at least 1"):
        config(*TINY, "total_steps=0")
