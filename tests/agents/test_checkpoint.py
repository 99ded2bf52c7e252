"""Run folders: never reused, never half written, equal for equal runs."""

import json
import subprocess
import zipfile

import pytest
import torch
from fake_envs import SHEET, ClockEnv, small_ppo
from stable_baselines3.common.logger import Logger

from agents.callbacks import Checkpoints, ProgressBar
from agents.checkpoint import (
    RunFolder,
    git_state,
    load_parameters,
    make_manifest,
    parameters_digest,
    read_manifest,
    save_policy,
    write_atomically,
)
from agents.metrics import MetricsWriter
from agents.ppo import ConstrainedPPO
from agents.sb3_vec import SB3VecEnv


def make_run(root, name="run", **changes):
    facts = {
        "date": "2026-01-02T03:04:05Z",
        "sheet": SHEET,
        "network": small_ppo().policy.spec,
        "data": {"train": {"tape": "cc"}},
        "seed": 0,
        "total_steps": 100,
        "repository": root,
        **changes,
    }
    return RunFolder.create(root, name, config_yaml="seed: 0\n", manifest=make_manifest(**facts))


def test_a_run_leaves_what_it_needs_to_be_understood(tmp_path):
    run = make_run(tmp_path)
    run.record("finished", steps=128)
    manifest = read_manifest(run.path)
    assert (run.path / "config.yaml").read_text() == "seed: 0\n"
    assert manifest["status"] == "finished" and manifest["steps"] == 128 and manifest["seed"] == 0
    assert (
        manifest["sheet"] == SHEET
        and manifest["data"] == {"train": {"tape": "cc"}}
        and manifest["date"].startswith("2026")
    )
    assert set(manifest["versions"]) == {"numpy", "numba", "gymnasium", "torch", "stable-baselines3"}
    assert manifest["git"] == {"commit": None, "dirty": None}  # tmp_path is no repository


def test_an_existing_folder_is_never_written_into(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"run exists, .* choose another name with run_name=NAME"):
        make_run(tmp_path)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("name", ["", "a/b", "..", "../x", ".hidden"])
def test_a_name_that_is_a_path_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="expected a plain folder name"):
        make_run(tmp_path, name)


def test_git_state_names_commit_and_dirt(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "one")
    state = git_state(tmp_path)
    assert len(state["commit"]) == 40 and state["dirty"] is False
    (tmp_path / "file").write_text("2")
    assert git_state(tmp_path) == {"commit": state["commit"], "dirty": True}


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.fsync", lambda fd: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_policy_comes_back_as_it_was_and_sb3_can_read_it(tmp_path):
    model = small_ppo().learn(64)
    save_policy(model, tmp_path / "policy.zip")
    again = ConstrainedPPO.load(tmp_path / "policy.zip", env=SB3VecEnv(ClockEnv()), device="cpu")
    assert parameters_digest(again) == parameters_digest(model)
    assert again.num_timesteps == 64 and again.config.n_steps == 8
    again.learn(16, reset_num_timesteps=False)  # and go on
    assert again.num_timesteps == 80
    for name, tensor in load_parameters(tmp_path).items():
        assert torch.equal(tensor, model.policy.state_dict()[name])


def test_equal_runs_give_equal_bytes_at_any_time(tmp_path, monkeypatch):
    for number, (name, seed) in enumerate((("a", 0), ("b", 0), ("c", 1))):
        monkeypatch.setattr("time.time", lambda number=number: 1e9 + 100.0 * number)
        save_policy(small_ppo(seed=seed).learn(64), tmp_path / name)
    first, second, other = [(tmp_path / name).read_bytes() for name in "abc"]
    assert first == second and first != other


def test_torn_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"version": 1, "ru')
    with pytest.raises(ValueError, match=r"manifest.json: not JSON .* torn or edited"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"version": 99}')
    with pytest.raises(ValueError, match="manifest version 99, this program reads version 2"):
        read_manifest(tmp_path)
    with pytest.raises(FileNotFoundError, match="stopped before its first checkpoint"):
        load_parameters(tmp_path)
    save_policy(small_ppo(), tmp_path / "whole")
    (tmp_path / "policy.zip").write_bytes((tmp_path / "whole").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"policy.zip: not a policy that SB3 saved .* torn"):
        load_parameters(tmp_path)
    with zipfile.ZipFile(tmp_path / "policy.zip", "w") as archive:
        archive.writestr("data", "{}")
    with pytest.raises(ValueError, match=r"policy\.zip: not a policy that SB3 saved"):
        load_parameters(tmp_path)


def test_metrics_and_last_checkpoint_stay_when_a_run_dies(tmp_path):
    class Broken(ClockEnv):
        def step(self, actions):
            obs, reward, *rest = super().step(actions)
            return obs, reward * (float("nan") if self.episode[0] == 16 else 1.0), *rest

    run = make_run(tmp_path)
    model = small_ppo(Broken(lives=(3, 5)))
    writer = MetricsWriter(run.path)
    model.set_logger(Logger(None, [writer]))
    with pytest.raises(FloatingPointError, match="update 6"):
        model.learn(1000, callback=[Checkpoints(run, 2)])
    model.logger.close()
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["steps"] for row in rows] == [16, 32, 48, 64, 80]
    assert rows[0]["return_mean"] == pytest.approx(11 / 3)  # ended in 8 steps: two of length 3 and one of 5
    table = (run.path / "metrics.csv").read_text().splitlines()
    assert table[0].startswith("steps,update,episodes,return_mean") and len(table) == 6
    saved = ConstrainedPPO.load(run.policy_path, device="cpu")
    assert saved.num_timesteps == 64  # after update 4


def test_a_progress_bar_says_where_the_run_is(capsys):
    model = small_ppo(ClockEnv(lives=(3, 5)))
    model.set_logger(Logger(None, []))
    bar = ProgressBar(64)
    model.learn(64, callback=[bar])
    bar.close()
    shown = capsys.readouterr().err
    assert "64.0/64.0" in shown and "return" in shown
