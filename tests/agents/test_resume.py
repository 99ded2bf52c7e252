"""A run that was stopped after any update and goes on is the run that was never stopped, bit for bit."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_envs import ClockEnv, small_ppo
from learner_envs import ArmsEnv, MarketsEnv, PullEnv, RecallEnv, learner
from test_checkpoint import make_run

from agents.budgets import Budget
from agents.callbacks import Checkpoints
from agents.checkpoint import RunFolder, parameters_digest, read_manifest
from agents.multipliers import MultiplierConfig
from agents.ppo import ConstrainedPPO
from agents.resume import check_forkable, fork_resume, load_resume
from agents.run import train

FILES = ("metrics.jsonl", "metrics.csv", "policy.zip")
BUDGET = {"cost": Budget(0.4)}
KINDS = {
    "plain": lambda: learner(ArmsEnv(8)),
    "masks": lambda: small_ppo(ClockEnv()),
    "constrained": lambda: learner(ArmsEnv(8), budgets=BUDGET, multipliers=MultiplierConfig("pid", kd=0.1)),
    "tail": lambda: learner(PullEnv(8, life=5), n_steps=3, budgets={"cost": Budget(0.4, "cvar", 0.8)}),
    "box": lambda: learner(PullEnv(8, life=5), n_steps=3, budgets={"cost": Budget(0.4, "discounted")}, gamma=0.9),
    "gru": lambda: learner(RecallEnv(8), n_steps=4, memory="gru", memory_size=4),
    "lstm": lambda: learner(PullEnv(8), n_steps=4, memory="lstm", memory_size=4, budgets=BUDGET),
    "markets": lambda: learner(MarketsEnv(8), markets=4, memory="gru", memory_size=4),
}
UPDATES = 6


class Killed(Exception):
    """Stands for a SIGKILL: nothing of ours runs after it."""


def steps_of(model, updates=UPDATES):
    return updates * model.n_envs * model.n_steps


def begin(folder, kind, name="run"):
    run = make_run(folder, name, network=KINDS[kind]().policy.spec)
    return KINDS[kind](), run


def run_and_die(folder, kind, after, *, every=1, monkeypatch):
    """A run that dies in update ``after`` + 1, when its metrics are written and its checkpoint is not."""
    model, run = begin(folder, kind)
    record = ConstrainedPPO._record

    def die(self, losses, entropy):
        record(self, losses, entropy)
        if self._n_updates == after + 1:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ConstrainedPPO, "_record", die)
        patch.setattr(run, "record", lambda *_, **__: None)  # a killed run says nothing
        with pytest.raises(Killed):
            train(model, steps_of(model), run, save_every=every)
    return run.path


def go_on(path, kind):
    model = KINDS[kind]()
    torch.manual_seed(99)  # whatever a fresh process may have drawn before
    train(model, steps_of(model), RunFolder.open(path), save_every=1, resume=True)
    return model


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Runs that were never stopped, by kind."""
    found = {}

    def of(kind):
        if kind not in found:
            model, run = begin(tmp_path_factory.mktemp(kind), kind)
            train(model, steps_of(model), run, save_every=1)
            found[kind] = (parameters_digest(model), run.path)
        return found[kind]

    return of


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after, every", [(0, 1), (2, 1), (5, 2)])
def test_a_stopped_run_ends_as_one_that_was_not(tmp_path, monkeypatch, straight, kind, after, every):
    digest, whole = straight(kind)
    path = run_and_die(tmp_path, kind, after, every=every, monkeypatch=monkeypatch)
    assert (path / "metrics.jsonl").read_bytes() == b"".join(
        (whole / "metrics.jsonl").read_bytes().splitlines(keepends=True)[: after + 1]
    )
    model = go_on(path, kind)
    assert parameters_digest(model) == digest
    for name in FILES:
        assert (path / name).read_bytes() == (whole / name).read_bytes(), name
    manifest = read_manifest(path)
    assert manifest["status"] == "finished" and manifest["policy_digest"] == digest
    assert len((path / "speed.jsonl").read_text().splitlines()) == UPDATES


def test_a_run_killed_before_its_first_checkpoint_begins_again_in_its_folder(tmp_path, monkeypatch, straight):
    digest, whole = straight("constrained")
    model, run = begin(tmp_path, "constrained")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", lambda self: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(model, steps_of(model), run, save_every=1)
    assert not run.resume_path.exists()
    (run.path / "metrics.jsonl").write_text('{"steps": 64, "upd')  # half a line
    (run.path / "metrics.csv").unlink()
    model = KINDS["constrained"]()
    train(model, steps_of(model), RunFolder.open(run.path), save_every=1, resume=True)
    assert parameters_digest(model) == digest
    assert all((run.path / name).read_bytes() == (whole / name).read_bytes() for name in FILES)


def test_a_run_killed_between_its_last_checkpoint_and_its_policy_still_saves_it(tmp_path, straight):
    digest, whole = straight("constrained")
    path = tmp_path / "run"
    shutil.copytree(whole, path)
    (path / "policy.zip").unlink()
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"torn')
    assert parameters_digest(go_on(path, "constrained")) == digest
    assert all((path / name).read_bytes() == (whole / name).read_bytes() for name in FILES)


def test_what_a_killed_write_left_is_removed_and_an_error_of_before_forgotten(tmp_path, straight):
    path = tmp_path / "run"
    shutil.copytree(straight("plain")[1], path)
    (path / ".resume.pt.123.tmp").write_bytes(b"half")
    run = RunFolder.open(path)
    run.record("failed", error="disk full")
    go_on(path, "plain")
    assert not list(path.glob(".*")) and "error" not in read_manifest(path)


@pytest.mark.parametrize("keep", [0, 10, 1000, -1])
def test_a_torn_checkpoint_is_refused(tmp_path, straight, keep):
    path = tmp_path / "resume.pt"
    path.write_bytes((straight("plain")[1] / "resume.pt").read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"resume\.pt: not a checkpoint that can be resumed .* torn"):
        load_resume(KINDS["plain"](), path)


def test_another_file_and_another_version_are_refused(tmp_path):
    path = tmp_path / "resume.pt"
    with pytest.raises(FileNotFoundError, match=r"resume\.pt: nothing to resume"):
        load_resume(KINDS["plain"](), path)
    path.write_bytes(b"something else altogether")
    with pytest.raises(ValueError, match="not a checkpoint that can be resumed"):
        load_resume(KINDS["plain"](), path)
    for content in ({"version": 99}, [1, 2]):
        torch.save(content, path)
        with pytest.raises(ValueError, match="this program resumes version"):
            load_resume(KINDS["plain"](), path)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda: learner(ArmsEnv(8), learning_rate=0.5), r"agent\.learning_rate was 0\.001, is 0\.5\. Resume with"),
        (lambda: learner(ArmsEnv(16)), "environments was 8, is 16"),
        (lambda: learner(ArmsEnv(8), hidden=[4]), r"agent\.hidden was \[8\], is \[4\]"),
        (lambda: learner(ArmsEnv(8), budgets=BUDGET), r"agent\.budgets was None, is \{'cost': Budget"),
        (lambda: learner(ArmsEnv(8), gamma=0.5), r"discount of a step was 1\.0, is 0\.5"),
        (lambda: learner(ArmsEnv(8), seed=3), "seed was 0, is 3"),
        (lambda: learner(PullEnv(8)), "network was .* is .*box"),
    ],
)
def test_other_settings_are_refused_before_anything_is_changed(straight, change, message):
    model = change()
    before = parameters_digest(model)
    with pytest.raises(ValueError, match=message):
        load_resume(model, straight("plain")[1] / "resume.pt")
    assert parameters_digest(model) == before


def test_an_environment_of_another_size_is_refused(straight):
    with pytest.raises(ValueError, match=r"environment: the checkpoint holds arrays of .* made with other settings"):
        load_resume(learner(RecallEnv(8), n_steps=4, memory="gru", memory_size=4), _with_smaller_env(straight))


def _with_smaller_env(straight):
    whole = straight("gru")[1] / "resume.pt"
    state = torch.load(whole, weights_only=True)
    state["env"] = state["env"][:-1]
    path = whole.with_name("smaller.pt")
    torch.save(state, path)
    return path


def test_metric_files_that_were_cut_are_refused(tmp_path, straight):
    path = tmp_path / "run"
    shutil.copytree(straight("plain")[1], path)
    (path / "metrics.csv").write_text("steps\n")
    with pytest.raises(ValueError, match=r"metrics\.csv: 6 bytes, but it had \d+ at the checkpoint"):
        go_on(path, "plain")


def test_a_policy_without_a_checkpoint_is_not_begun_again(tmp_path, straight):
    path = tmp_path / "run"
    shutil.copytree(straight("plain")[1], path)
    (path / "resume.pt").unlink()
    before = (path / "metrics.jsonl").read_bytes()
    with pytest.raises(FileNotFoundError, match=r"resume\.pt: nothing to resume"):
        go_on(path, "plain")
    assert (path / "metrics.jsonl").read_bytes() == before


def test_a_folder_appears_with_its_config_and_manifest_or_not_at_all(tmp_path, monkeypatch):
    seen = []
    original = Path.rename

    def look(self, target):
        seen.append((Path(target).exists(), sorted(path.name for path in self.iterdir())))
        return original(self, target)

    monkeypatch.setattr(Path, "rename", look)
    run = make_run(tmp_path)
    assert seen == [(False, ["config.yaml", "manifest.json"])]
    assert run.path == tmp_path / "run" and [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_fresh_process_goes_on_as_this_one_would(tmp_path, monkeypatch, straight):
    digest, whole = straight("lstm")
    path = run_and_die(tmp_path, "lstm", 2, monkeypatch=monkeypatch)
    here = Path(__file__).parent
    code = (
        f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parents[1])!r}]; import torch; torch.set_num_threads("
        f"{torch.get_num_threads()}); from test_resume import go_on; go_on(sys.argv[1], 'lstm')"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True)
    assert json.loads((path / "manifest.json").read_text())["policy_digest"] == digest
    assert all((path / name).read_bytes() == (whole / name).read_bytes() for name in FILES)


def test_a_run_without_steps_saves_what_it_has_and_can_be_gone_on_with(tmp_path):
    run = make_run(tmp_path)
    model = small_ppo(ClockEnv(lives=(3, 5)))
    train(model, 0, run, save_every=1)
    assert read_manifest(run.path)["status"] == "finished" and not run.has_trained
    assert torch.load(run.resume_path, weights_only=True)["counters"] == {"num_timesteps": 0, "_n_updates": 0}


def test_a_run_goes_on_with_other_hyperparameters_and_refuses_those_that_cannot_change(tmp_path):
    model, run = begin(tmp_path, "constrained")
    train(model, steps_of(model, 2), run, save_every=1)
    gain = MultiplierConfig("pid", gain=0.2)
    for name, changed in (("learning_rate", {"learning_rate": 7e-3, "learning_rate_end": 7e-3}), ("multipliers", {})):
        config = replace(model.config, **(changed or {"multipliers": gain}))
        fork_resume(run.resume_path, tmp_path / name, config)
        other = learner(ArmsEnv(8), **vars(config))
        with pytest.raises(ValueError, match=f"made with other settings: agent.{name} was"):
            load_resume(other, run.resume_path)
        load_resume(other, tmp_path / name)
        assert parameters_digest(other) == parameters_digest(model) and other.num_timesteps == model.num_timesteps
        other.learn(steps_of(other, 1), reset_num_timesteps=False)
        assert parameters_digest(other) != parameters_digest(model)
        if name == "learning_rate":
            assert other.policy.optimizer.param_groups[0]["lr"] == 7e-3
        else:
            assert other.multipliers.config.gain == 0.2 != model.multipliers.config.gain
    for name, changed in (("hidden", [3]), ("gamma_per_s", 0.5), ("n_steps", 1)):
        with pytest.raises(ValueError, match=f"agent.{name} cannot change in a run that goes on; agent.learning_rate,"):
            fork_resume(run.resume_path, tmp_path / "none", replace(model.config, **{name: changed}))
    assert not (tmp_path / "none").exists()


def test_what_may_change_on_the_way_is_known_by_name():
    for name in ("agent.learning_rate", "agent.ent_coef_end", "agent.multipliers.gain"):
        check_forkable(name)
    for name in ("agent.hidden", "agent.multipliers.rule", "env.cash", "learning_rate", "seed"):
        with pytest.raises(ValueError, match=f"{name} cannot change in a run that goes on"):
            check_forkable(name)
