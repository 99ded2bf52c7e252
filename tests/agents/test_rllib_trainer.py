"""The RLlib trainer beside SB3's, and its runs: folders, resuming, env runners that die. One Ray for all of it."""

import os
import sys
from functools import partial

import numpy as np
import pytest
import ray
import torch
from learner_envs import ArmsEnv, PullEnv, RecallEnv, learner
from rllib_settings import small
from test_checkpoint import make_run

from agents.budgets import Budget
from agents.checkpoint import RunFolder, load_parameters, parameters_digest, read_manifest
from agents.ppo import ConstrainedPPO
from agents.resume import load_resume, save_resume
from agents.rllib import trainer
from agents.rllib.trainer import RLlibPPO
from agents.run import train

ROWS, UPDATES = 8, 4


class Staggered(PullEnv):
    """Its rows' first episodes do not count."""

    staggered = True


KINDS = {
    "staggered": (Staggered, {"budgets": {"cost": Budget(0.4)}}),
    "episode": (ArmsEnv, {"budgets": {"cost": Budget(0.4)}}),
    "cvar": (PullEnv, {"budgets": {"cost": Budget(0.4, "cvar", 0.8)}}),
    "memory": (RecallEnv, {"memory": "gru", "memory_size": 4, "n_steps": 4}),
}


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # env runners import these modules
        ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def piece(make, first, count):
    return make(count)


def build(kind, runners=0, **settings_of_ray):
    env, settings = KINDS[kind]
    one = env(1)
    spaces = one.single_observation_space, one.single_action_space
    return trainer.build(
        partial(piece, env), spaces, small(**settings), num_envs=ROWS, gamma=1.0, seed=0, cost_names=["cost"],
        runners=runners, **settings_of_ray,
    )  # fmt: skip


@pytest.fixture
def on_rllib():
    """`build`, closed in the end."""
    made = []

    def make(kind):
        made.append(build(kind))
        return made[-1]

    yield make
    for model in made:
        model.close()


@pytest.fixture(scope="module")
def spread():
    """A learner with two env runners elsewhere; tests go on with it in their order."""
    model = build("cvar", runners=2)
    yield model
    model.close()


def on_sb3(kind):
    env, settings = KINDS[kind]
    return learner(env(ROWS), **settings)


def steps_of(model):
    return UPDATES * ROWS * model.n_steps


def run_of(model, folder, **settings):
    run = make_run(folder, network=model.policy.spec)
    train(model, steps_of(model), run, save_every=1, **settings)
    return run


@pytest.mark.parametrize("kind", KINDS)
def test_in_one_process_a_run_is_sb3s_bit_for_bit(kind, on_rllib, tmp_path):
    theirs, ours = on_sb3(kind), on_rllib(kind)
    wanted, found = run_of(theirs, tmp_path / "sb3"), run_of(ours, tmp_path / "rllib")
    assert parameters_digest(ours) == parameters_digest(theirs)
    for name in ("metrics.jsonl", "metrics.csv"):
        assert (found.path / name).read_bytes() == (wanted.path / name).read_bytes(), name
    manifest = read_manifest(found.path)
    assert manifest["status"] == "finished" and manifest["steps"] == steps_of(theirs)
    parameters = load_parameters(found.path)
    assert all((parameters[name] == tensor).all() for name, tensor in load_parameters(wanted.path).items())
    again = ConstrainedPPO.load(found.policy_path, device="cpu")
    assert parameters_digest(again) == parameters_digest(theirs) and again._n_updates == UPDATES
    assert (again.multipliers.values == theirs.multipliers.values).all()


class Killed(Exception):
    """Stands for a SIGKILL: nothing of ours runs after it."""


def test_a_killed_run_ends_as_one_that_was_left_alone(on_rllib, tmp_path, monkeypatch):
    whole = on_rllib("cvar")
    straight = run_of(whole, tmp_path / "whole")
    model, run = on_rllib("cvar"), make_run(tmp_path, network=whole.policy.spec)
    log = RLlibPPO._log

    def die(self):
        log(self)
        if self._n_updates == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RLlibPPO, "_log", die)
        patch.setattr(run, "record", lambda *_, **__: None)
        with pytest.raises(Killed):
            train(model, steps_of(model), run, save_every=1)
    again = on_rllib("cvar")
    torch.manual_seed(99)  # whatever a fresh process may have drawn before
    train(again, steps_of(again), RunFolder.open(run.path), save_every=1, resume=True)
    assert parameters_digest(again) == parameters_digest(whole)
    assert (run.path / "metrics.jsonl").read_bytes() == (straight.path / "metrics.jsonl").read_bytes()


def learn(model, updates, **settings):
    model.learn(updates * ROWS * model.n_steps, **settings)


def test_env_runners_elsewhere_go_on_from_a_checkpoint_bit_for_bit(spread, tmp_path):
    learn(spread, 2)
    save_resume(spread, tmp_path / "resume.pt", {})
    learn(spread, 2, reset_num_timesteps=False)
    wanted = parameters_digest(spread)
    load_resume(spread, tmp_path / "resume.pt")
    assert parameters_digest(spread) != wanted
    learn(spread, 2, reset_num_timesteps=False)
    assert parameters_digest(spread) == wanted


def test_env_runners_share_the_rows_and_one_that_dies_is_replaced(spread):
    rows = []
    note = spread.algorithm.sampled

    def watched(parts):
        rows.append([(part.first, part.rollout.rows) for part in parts])
        if len(rows) == 2:
            ray.kill(spread.algorithm.env_runner_group._worker_manager.actors()[1], no_restart=False)
        note(parts)

    spread.algorithm.sampled = watched
    learn(spread, 3)
    while rows[-1] != rows[0]:  # nobody waits for the new one; it takes some seconds
        learn(spread, 1, reset_num_timesteps=False)
    spread.algorithm.sampled = note
    assert rows[0] == rows[1] == [(0, 4), (4, 4)]
    assert [(4, 4)] in rows  # the other one went on alone
    assert spread.num_timesteps == sum(count for found in rows for _, count in found) * spread.n_steps


def test_who_is_left_without_env_runners_waits_for_one(spread):
    rows = []
    note = spread.algorithm.sampled
    for actor in spread.algorithm.env_runner_group._worker_manager.actors().values():
        ray.kill(actor, no_restart=False)
    spread.algorithm.sampled = lambda parts: (rows.append([part.first for part in parts]), note(parts))
    learn(spread, 1)
    spread.algorithm.sampled = note
    assert rows and rows[0] in ([0], [4], [0, 4])


def test_what_ray_has_no_room_for_is_said(spread):
    # 3 CPUs, of which two env runners hold 1 each: one of these starts, the other one does not
    wanted = r"[12] of 2 env runners have not started; they want 1 CPU each, and Ray has 3 CPU on 1 nodes, [01] of"
    with pytest.raises(RuntimeError, match=wanted):
        build("cvar", runners=2, wait_s=2.0)
    assert ray.is_initialized()
    learn(spread, 1)  # who was there before goes on


def broken(actions):
    return np.full(len(actions), np.nan), np.zeros(len(actions))


def test_what_a_runner_raises_ends_the_run(spread):
    spread._on_runners(lambda runner: setattr(runner.rows.env, "pay", broken))
    with pytest.raises(FloatingPointError, match="the environment pays nan"):
        learn(spread, 1)
