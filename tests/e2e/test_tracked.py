"""Every entry point, tracked: what arrives is what docs/metrics.md lists, and no server is no reason to fail."""

import json
import re
import shlex
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from entry_points import call
from test_train import SMALL
from wandb_stand_in import KEY, stand_in

from agents.checkpoint import git_state, read_manifest
from configs.tracking import send_found

COURSE = (
    *SMALL, "total_steps=4e3", "+curriculum=phase1", "curriculum.attempts=2", "curriculum.enforce=false",
    "agent=constrained_ppo", "curriculum.phases.phase1.gate.episodes=128", "tensorboard=true",
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "live"))
from test_live_record import fake  # noqa: E402

SECTION = (ROOT / "docs" / "metrics.md").read_text().split("## Standard names")[1].split("\n## ")[0]
NAMES = {
    name
    for line in SECTION.splitlines()
    for name in re.findall(r"`([^`]+)`", line.split("|")[1] if "|" in line else "")
}
ENDS = ("eval/<", "library/", "montecarlo/<policy>/<figure>")  # those have intervals
ELSEWHERE = {"speed/gpu_memory_mib", "system.<...>"}  # no GPU here; W&B's own


def pattern(name):
    ends = r"(_low|_high)?" if name.startswith(ENDS) else ""
    return re.compile("[^/]+".join(map(re.escape, re.split(r"<[^>]*>", name))) + ends)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A working folder where everything was tracked, and the server it was sent to."""
    folder = tmp_path_factory.mktemp("tracked")
    with stand_in() as server:
        there = server.environment()
        done = call("train.py", *COURSE, "run_name=course", cwd=folder, environment=there)
        assert done.returncode == 0, done.stderr
        run = "checkpoint=checkpoints/course/1-phase1"
        words = (*SMALL[5:], "out=judged", "tracking.tags=[mine]", "hydra.sweep.dir=runs/grid")
        done = call("evaluate.py", "-m", run, *words, cwd=folder, environment=there)
        assert done.returncode == 0, done.stderr
        with fake("polymarket") as lines:
            (line,) = [line for line in lines if line.startswith("python -m live.record")]
            words = dict(word.split("=", 1) for word in shlex.split(line)[3:])
            words["markets"] = f"[{words['markets']}]"
            done = call(
                "shadow.py", "checkpoint=baseline:noop", *(f"{key}={value}" for key, value in words.items()),
                "minutes=0.05", "page.port=-1", "name=one", cwd=folder, environment=there,
            )  # fmt: skip
        assert (folder / "shadow" / "one" / "summary.json").is_file(), done.stderr
        assert not server.unknown
        yield folder, server


def sent_by(server, name):
    (sent,) = [sent for sent in server.runs.values() if sent.about["displayName"] == name]
    return sent


def test_what_arrives_is_what_is_documented(tracked, tmp_path):
    _, server = tracked
    assert len(NAMES) > 40
    known = [pattern(name) for name in NAMES]
    keys = {key for sent in server.runs.values() for key in sent.keys} | suite_keys(tmp_path)
    assert not [key for key in sorted(keys) if not any(one.fullmatch(key) for one in known)]
    assert {name for name in NAMES - ELSEWHERE if not any(pattern(name).fullmatch(key) for key in keys)} == set()
    assert all(sent.exit_code is not None for sent in server.runs.values())


def suite_keys(folder):
    """Of suites that take too long here."""
    end = {"value": 1.0, "low": 0.5, "high": None}
    library = {"entries": [{"name": "reference", "results": {"noop": {"result_usd": end}}}]}
    tails = {"results": {"noop": {"metrics": {"cvar99_usd": end}, "episodes": 64}}}
    best = {"figures": {"result_usd": 1.0}, "fresh": {"result_usd": 0.5}}
    search = {
        "trials": 4, "failed": 1, "within_budgets": 2, "best_within": {"no budget": best},
        "deflated_sharpe": {"probability": 0.5},
    }  # fmt: skip
    for name, card in (("library.json", library), ("montecarlo.json", tails), ("pareto.json", search)):
        (folder / name).write_text(json.dumps(card))
    said = {}
    tracker = SimpleNamespace(attempt=lambda work: work(), summary=said.update, artifact=lambda *words: None)
    send_found(tracker, folder)
    return set(said)


def test_a_curriculum_is_a_group_of_runs(tracked):
    folder, server = tracked
    run = folder / "checkpoints" / "course" / "1-phase1"
    for name in ("course", "1-phase1"):
        assert sent_by(server, name).about["groupName"] == "course"
    sent = sent_by(server, "1-phase1")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    terms = [key for key in rows[0] if key.startswith("reward_")]
    assert [key.removeprefix("reward_") for key in terms] == read_manifest(run)["sheet"]["rewards"]
    for key in ("policy_loss", "cost_inventory", "multiplier_kill", *terms):
        assert sent.curve(f"train/{key}") == [(row["steps"], pytest.approx(row[key])) for row in rows]
    gate = json.loads((run / "gate.json").read_text())
    assert sent.summary["gate/passed"] is gate["passed"]
    manifest = read_manifest(run)
    assert sent.config["seed"] == 0 and sent.config["made"]["git"] == git_state(ROOT) == manifest["git"]
    assert sent.config["made"]["sheet"]["observation_digest"] == manifest["sheet"]["observation_digest"]
    held = sent.artifacts
    assert held["1-phase1-policy"]["policy.zip"] == (run / "policy.zip").read_bytes()
    assert held["1-phase1-report"]["report.html"] == (run / "evaluation" / "report.html").read_bytes()
    assert sent_by(server, "course").artifacts["course-report"]["course.html"].startswith(b"<!")


def test_the_same_is_in_the_event_files(tracked):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, server = tracked
    events = EventAccumulator(str(folder / "checkpoints" / "course" / "1-phase1" / "tensorboard"))
    events.Reload()
    sent = sent_by(server, "1-phase1")
    numbers = {key for key in sent.keys if isinstance(sent.summary.get(key), bool | int | float)}
    assert numbers <= set(events.Tags()["scalars"])
    assert "config/text_summary" in events.Tags()["tensors"]


def test_evaluations_and_sessions_say_what_they_found(tracked):
    folder, server = tracked
    card = json.loads((folder / "judged" / "scorecard.json").read_text())
    sent = sent_by(server, "judged")
    value = card["results"]["queue"]["agent"]["metrics"]["result_usd"]["value"]
    assert sent.summary["eval/queue/agent/result_usd"] == pytest.approx(value)
    assert sent.about["jobType"] == "evaluate" and sent.about["tags"] == ["mine"]
    assert sent.about["groupName"] == "grid"
    assert json.loads(sent.artifacts["judged-report"]["scorecard.json"]) == card
    session = sent_by(server, "one")
    summary = json.loads((folder / "shadow" / "one" / "summary.json").read_text())
    assert session.summary["shadow/decisions"] == summary["decisions"] > 0
    assert session.summary["shadow/check/books known"] is True and session.curve("shadow/policy/result_usd")


def test_without_a_network_a_run_ends_well_and_its_files_are_complete(tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=1) as never_answers:
        nowhere = {
            "WANDB_BASE_URL": f"http://127.0.0.1:{never_answers.getsockname()[1]}",
            "WANDB_API_KEY": KEY,
            "WANDB_MODE": "online",
        }
        words = (*SMALL, "tracking.connect_s=2", "tracking.finish_s=15", "run_name=alone")
        done = call("train.py", *words, cwd=tmp_path, environment=nowhere)
    assert done.returncode == 0 and done.stderr.count("kept offline: wandb sync") == 1, done.stderr
    run = tmp_path / "checkpoints" / "alone"
    assert {path.name for path in run.iterdir()} == {
        "policy.zip", "resume.pt", "config.yaml", "manifest.json", "metrics.jsonl", "metrics.csv", "speed.jsonl",
        "evaluation", "tracking",
    }  # fmt: skip
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2
    assert (run / "evaluation" / "report.html").is_file() and read_manifest(run)["status"] == "finished"
