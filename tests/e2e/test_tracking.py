"""The process that sends: what arrives at a server, and what becomes of a run where there is none."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from wandb_stand_in import KEY, stand_in

from agents.tracking.config import TrackingConfig, check_tracking, settled_mode
from agents.tracking.journal import Followed
from agents.tracking.tracker import Tracker

SAID = {"loss": 0.5, "good": True, "note": "text", "nothing": None, "infinite": float("inf")}
PATIENT = TrackingConfig(connect_s=60.0, finish_s=120.0)
ONLINE = replace(PATIENT, mode="online")
BOUND_S = 15.0  # beyond `finish_s`: a slow machine


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)


def grow(path, first, last):
    """A file of metrics, ten steps a row."""
    with path.open("a", encoding="utf-8") as file:
        for number in range(first, last + 1):
            file.write(json.dumps({"steps": 10 * number, "value": number, "void": None}) + "\n")


def tracker_of(folder, config, **more):
    follow = {"train/": folder / "metrics.jsonl", "speed/": folder / "speed.jsonl"}
    about = {"agent": {"lr": 0.1}, "made": {"git": {"commit": "abc", "dirty": True}}}
    return Tracker(folder, config, name="my run", job="train", about=about, group="grid", follow=follow, **more)


def test_what_is_written_arrives_and_a_run_that_goes_on_is_the_same_run(tmp_path, monkeypatch, capfd):
    (tmp_path / "policy.zip").write_bytes(b"policy")
    with stand_in() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        with tracker_of(tmp_path, replace(PATIENT, tags=["one"])) as tracker:
            grow(tmp_path / "metrics.jsonl", 1, 2)
            grow(tmp_path / "speed.jsonl", 1, 2)
            tracker.summary(SAID)
            tracker.artifact("policy", {"policy.zip": tmp_path / "policy.zip", "none": tmp_path / "none"})
            tracker.artifact("report", {"none": tmp_path / "none"})
        ((number, sent),) = server.runs.items()
        assert sent.exit_code == 0 and sent.curve("train/value") == [(10, 1), (20, 2)]
        assert sent.curve("speed/value") == [(10, 1), (20, 2)] and sent.curve("train/void") == []
        assert {name: sent.summary[name] for name in ("loss", "good", "note")} == {
            "loss": 0.5,
            "good": True,
            "note": "text",
        }
        assert not {"nothing", "infinite"} & sent.keys
        assert sent.config["agent"] == {"lr": 0.1} and sent.config["made"]["git"]["commit"] == "abc"
        assert sent.about["groupName"] == "grid" and sent.about["jobType"] == "train" and sent.about["tags"] == ["one"]
        assert sent.about["displayName"] == "my run" and sent.about["project"] == "shadowbook"
        assert sent.artifacts == {"my-run-policy": {"policy.zip": b"policy"}}
        assert sent.system and any("cpu" in key for row in sent.system for key in row)

        grow(tmp_path / "metrics.jsonl", 3, 3)
        with pytest.raises(ZeroDivisionError), tracker_of(tmp_path, PATIENT):
            raise ZeroDivisionError
        assert list(server.runs) == [number] and sent.exit_code == 1
        assert sent.curve("train/value") == [(10, 1), (20, 2), (30, 3)]
        assert not server.unknown
    said = capfd.readouterr().err
    assert said.count("tracking   ") == 2 and f"runs/{number}" in said
    assert KEY not in "".join(path.read_text(errors="ignore") for path in tmp_path.rglob("*") if path.is_file())


@contextmanager
def refused(server):
    yield {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY}


@contextmanager
def never_answers(server):
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listening:
        yield {"WANDB_BASE_URL": f"http://127.0.0.1:{listening.getsockname()[1]}", "WANDB_API_KEY": KEY}


@contextmanager
def no_key(server):
    yield {"WANDB_BASE_URL": server.url, "NETRC": os.devnull}


@contextmanager
def falls_silent(server):
    yield server.environment()


def children(process):
    """Numbers of the processes that one has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended while we looked
            number, rest = path.parent.name, path.read_text().rpartition(")")[2].split()
            found += [int(number)] if int(rest[1]) == process else []
    return found


def hurt(how, tracker, server):
    worker = tracker._worker.pid
    if how is falls_silent:
        server.silent.set()
    elif how == "W&B's process is killed":
        for number in children(worker):
            os.kill(number, signal.SIGKILL)
    elif how == "W&B's process hangs":
        for number in children(worker):
            os.kill(number, signal.SIGSTOP)
    elif how == "the sender is killed":
        os.kill(worker, signal.SIGKILL)


FROM_THE_START = (refused, never_answers, no_key)
LATER = (falls_silent, "W&B's process is killed", "W&B's process hangs", "the sender is killed")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [*FROM_THE_START, *LATER], ids=lambda how: getattr(how, "__name__", how))
def test_whatever_fails_the_run_ends_in_time_and_what_it_wrote_is_kept(tmp_path, monkeypatch, capfd, how):
    config = replace(ONLINE, connect_s=1.0) if how in FROM_THE_START else replace(ONLINE, finish_s=4.0)
    with ExitStack() as held:
        server = held.enter_context(stand_in())
        environment = held.enter_context(how(server)) if callable(how) else server.environment()
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        grow(tmp_path / "metrics.jsonl", 1, 2)
        with tracker_of(tmp_path, config) as tracker:
            if how in LATER:
                while not server.runs:
                    time.sleep(0.05)
                hurt(how, tracker, server)
            below = children(tracker._worker.pid)
            tracker.row({"value": 3}, 30)
            tracker.artifact("policy", {"metrics.jsonl": tmp_path / "metrics.jsonl"})
            over = time.monotonic()
        assert time.monotonic() - over < config.finish_s + BOUND_S
        for number in below:  # W&B's own processes follow ours; one that hangs cannot
            if how == "W&B's process hangs":
                os.kill(number, signal.SIGCONT)
    said = capfd.readouterr().err
    assert said.count("wandb sync ") == 1, said
    assert list((tmp_path / "tracking" / "wandb").glob("*run-*/*.wandb"))
    if how in FROM_THE_START:
        assert list((tmp_path / "tracking" / "wandb").glob("offline-run-*/*.wandb"))
        assert "kept offline" in said


def test_a_run_kept_offline_needs_no_key_and_is_sent_later(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", os.devnull)
    (tmp_path / "policy.zip").write_bytes(b"policy")
    with tracker_of(tmp_path, PATIENT) as tracker:
        grow(tmp_path / "metrics.jsonl", 1, 2)
        tracker.summary(SAID)
        tracker.artifact("policy", {"policy.zip": tmp_path / "policy.zip"})
    (kept,) = (tmp_path / "tracking" / "wandb").glob("offline-run-*")
    with stand_in() as server:
        command = [sys.executable, "-m", "wandb", "sync", str(kept)]
        environment = os.environ | server.environment()
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (sent,) = server.runs.values()
        assert sent.curve("train/value") == [(10, 1), (20, 2)] and sent.summary["loss"] == 0.5
        assert sent.artifacts == {"my-run-policy": {"policy.zip": b"policy"}}
        assert sent.config["agent"] == {"lr": 0.1}


def test_what_cannot_be_written_is_said_once(tmp_path, capfd):
    (tmp_path / "tracking").write_text("a file where the folder should be")
    with tracker_of(tmp_path, replace(PATIENT, mode="offline")) as tracker:
        tracker.attempt(lambda: {}["gone"])
        tracker.summary(SAID)
    assert capfd.readouterr().err.count("cannot track: ") == 1


def test_off_leaves_nothing(tmp_path):
    with tracker_of(tmp_path, replace(PATIENT, mode="off")) as tracker:
        tracker.summary(SAID)
        tracker.attempt(lambda: {}["not even looked at"])
    assert not list(tmp_path.iterdir())


def test_who_asks_for_it_is_tracked():
    auto = TrackingConfig()
    assert settled_mode(auto, {}) == "off"
    assert settled_mode(auto, {"WANDB_API_KEY": KEY}) == "online"
    assert settled_mode(auto, {"WANDB_API_KEY": KEY, "WANDB_MODE": "disabled"}) == "off"
    assert settled_mode(auto, {"WANDB_MODE": "offline"}) == "offline"
    assert settled_mode(TrackingConfig(mode="off"), {"WANDB_MODE": "online", "WANDB_API_KEY": KEY}) == "off"
    with pytest.raises(ValueError, match="WANDB_MODE = loud: expected one of"):
        settled_mode(auto, {"WANDB_MODE": "loud"})
    with pytest.raises(ValueError, match=r"tracking\.mode = on: expected one of auto, online"):
        check_tracking(TrackingConfig(mode="on"))
    with pytest.raises(ValueError, match=r"tracking\.finish_s = 0: expected more than 0"):
        check_tracking(TrackingConfig(finish_s=0))


def test_a_file_that_a_resumed_run_cuts_gives_each_step_once(tmp_path):
    path = tmp_path / "metrics.jsonl"
    followed = Followed(path, "train/")
    assert list(followed.take()) == []
    grow(path, 1, 3)
    with path.open("a") as file:
        file.write('{"steps": 40, "val')
    assert [step for step, _ in followed.take()] == [10, 20, 30]
    path.write_bytes(b"")
    grow(path, 1, 2)
    assert list(followed.take()) == []
    grow(path, 3, 4)
    assert list(followed.take()) == [(40, {"train/value": 4})]
    path.write_text('{"steps": 10, "value": 1, "longer": "than before"}\n' * 4)
    assert list(followed.take()) == []  # in the middle of a line that was not there
    grow(path, 5, 5)
    assert list(followed.take()) == [(50, {"train/value": 5})]
    path.write_text('{"steps": 60, "value": 6}\n')  # cut, and still shorter than it was
    assert list(followed.take()) == [(60, {"train/value": 6})]
