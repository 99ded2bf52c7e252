"""A curriculum run as a user runs it: phases one after the other, gates, one report; killed, and gone on with."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from entry_points import call
from test_configs import config

from agents.checkpoint import load_parameters, read_manifest
from configs.course import check_phase, create_course, phase_config
from configs.gates import gate_trial
from configs.schema import read_run_config
from sim.tape import SUFFIX, write

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "evaluation"))
from worlds import tiny_tape  # noqa: E402

TWO = (
    "+curriculum=full", "~curriculum.phases.phase3", "~curriculum.phases.phase4",
    "scenario.rows.life_s=15", "scenario.row_count=64", "total_steps=4e3", "num_envs=32", "agent.n_steps=16",
    "curriculum.phases.phase1.gate.episodes=128", "curriculum.phases.phase2.gate.episodes=128",
    "curriculum.phases.phase1.rows.life_s=15", "curriculum.phases.phase2.rows.life_s=15",
    "~curriculum.phases.phase2.entries.cascades",
    "evaluation.synthetic_episodes=20", "evaluation.baselines=[noop]", "evaluation.fill_models=[queue]",
    "evaluation.failures=null",
)  # fmt: skip
SAY = "curriculum.enforce=false"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    done = call("train.py", *TWO, SAY, "run_name=two", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "checkpoints" / "two", done


def test_a_curriculum_leaves_a_run_a_phase_and_one_report(course):
    folder, done = course
    names = {path.name for path in folder.iterdir()}
    assert names == {"1-phase1", "2-phase2", "config.yaml", "course.html", "course.json", "course.png"}
    state = json.loads((folder / "course.json").read_text())
    assert state["status"] == "finished"
    assert [entry["run"] for entry in state["rounds"]] == ["1-phase1", "2-phase2"]
    for entry in state["rounds"]:
        assert entry["gate"] == json.loads((folder / entry["run"] / "gate.json").read_text())
        assert [found["name"] for found in entry["gate"]["verdicts"]] == [
            "success",
            "sharpe",
            "drawdown",
            "generalisation",
        ]
    page = (folder / "course.html").read_text()
    assert "1-phase1: " in page and "2-phase2: " in page and "<svg" in page
    assert "gate of phase1" in done.stdout
    assert not (folder / "1-phase1" / "evaluation").exists()  # its gate has judged it
    assert (folder / "2-phase2" / "evaluation" / "report.html").exists()


def test_phases_share_their_schema_and_differ_in_what_is_shown(course):
    folder, _ = course
    first, second = (read_manifest(folder / name) for name in ("1-phase1", "2-phase2"))
    assert first["sheet"]["observation_digest"] == second["sheet"]["observation_digest"]
    one, two = (read_run_config(folder / name) for name in ("1-phase1", "2-phase2"))
    assert one.env.sizes == [25] and two.env.sizes == [10, 25]
    assert set(one.env.hidden) - set(two.env.hidden) == {"flow", "anchors", "liquidity"}
    assert one.init_from is None and Path(two.init_from).name == "1-phase1"
    assert first["total_steps"] == round(4000 * 0.2 / 0.45) and second["total_steps"] == round(4000 * 0.25 / 0.45)


def test_a_curriculum_that_was_killed_goes_on_to_the_same_end(course, tmp_path):
    """As if it was killed in the second phase, before its first checkpoint, and its report was never written."""
    folder, _ = course
    copy = tmp_path / "checkpoints" / "two"
    shutil.copytree(folder, copy)
    for name in ("policy.zip", "resume.pt", "gate.json", "metrics.jsonl", "metrics.csv", "speed.jsonl"):
        (copy / "2-phase2" / name).unlink()
    shutil.rmtree(copy / "2-phase2" / "evaluation")
    (copy / "course.html").unlink()
    manifest = json.loads((copy / "2-phase2" / "manifest.json").read_text())
    (copy / "2-phase2" / "manifest.json").write_text(json.dumps({**manifest, "status": "running"}))
    done = call("train.py", "resume=checkpoints/two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (copy / "course.html").exists()
    for name in ("metrics.jsonl", "gate.json"):
        assert (copy / "2-phase2" / name).read_text() == (folder / "2-phase2" / name).read_text()
    ours, theirs = load_parameters(copy / "2-phase2"), load_parameters(folder / "2-phase2")
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_a_failed_gate_says_which_and_stays(tmp_path):
    overrides = ["curriculum.phases.phase1.gate.sharpe=1e9", "curriculum.attempts=2", "run_name=stays"]
    done = call("train.py", *TWO, *overrides, cwd=tmp_path)
    assert done.returncode == 1
    assert (
        "phase1 did not pass its gate: " in done.stdout and "sharpe" in done.stdout.split("did not pass its gate: ")[1]
    )
    folder = tmp_path / "checkpoints" / "stays"
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["1-phase1", "1-phase1-round2"]
    assert Path(read_run_config(folder / "1-phase1-round2").init_from).name == "1-phase1"
    state = json.loads((folder / "course.json").read_text())
    assert state["status"] == "stayed" and [entry["passed"] for entry in state["rounds"]] == [False, False]
    assert "It stayed at phase1" in (folder / "course.html").read_text()


def test_what_a_phase_changes_and_what_it_leaves():
    whole = config("+curriculum=full")
    first = phase_config(whole, whole.curriculum.phases["phase1"], None)
    last = phase_config(whole, whole.curriculum.phases["phase4"], Path("before"))
    assert first.env.features == last.env.features == whole.env.features
    assert not first.agent.prices and last.agent.prices
    assert last.env.hidden == [] and last.env.sizes is None and last.env.reward["pnl"] == 1.0
    assert first.total_steps == 6e6 * 0.2 and last.init_from == "before"
    assert phase_config(last, last.curriculum.phases["phase4"], Path("before")) == last  # nothing more to change
    taught = config("+curriculum=full", "agent.warm_start=quoter")
    teachers = [phase_config(taught, phase, before).agent.warm_start for phase, before in (
        (taught.curriculum.phases["phase1"], None), (taught.curriculum.phases["phase2"], Path("before"))
    )]  # fmt: skip
    assert teachers == ["quoter", None]  # who has been taught is not taught again


def test_every_round_has_worlds_and_judges_of_its_own():
    whole = config("+curriculum=full")
    rounds = [phase_config(whole, whole.curriculum.phases["phase1"], None, attempt) for attempt in (1, 2, 3)]
    assert [made.seed for made in rounds] == [0, 100_000, 200_000]
    assert [made.evaluation.seed for made in rounds] == [1_000_000, 1_000_001, 1_000_002]


@pytest.mark.parametrize("name", ["phase1", "phase2", "phase3", "phase4", "refresh"])
def test_every_lesson_alone_can_be_gated_in_its_own_surroundings(name):
    made = config(f"+curriculum={name}", "init_from=somewhere")
    (phase,) = made.curriculum.phases.values()
    check_phase(phase_config(made, phase, Path("somewhere")))


def test_of_a_mix_the_generated_markets_are_judged():
    made = config("+curriculum=phase1")
    own = phase_config(made, made.curriculum.phases["phase1"], None)
    what = gate_trial(own)
    assert own.scenario.kind == "mix" and not what.scenario.tapes
    assert what.episodes == what.num_envs == len(what.scenario.rows) == own.curriculum.phases["phase1"].gate.episodes
    assert (what.scenario.rows["news_size"] >= 0.02).all()  # the phase's


def test_recordings_alone_have_no_rows_to_compare(tmp_path):
    write(tmp_path / f"one{SUFFIX}", tiny_tape(0, 30, "M"))
    made = config("+curriculum=phase1", "scenario=replay", f"scenario.tapes={tmp_path}")
    with pytest.raises(ValueError, match=r"phase1\.gate\.generalisation = 0\.7: recordings have no rows to compare"):
        check_phase(phase_config(made, made.curriculum.phases["phase1"], None))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("curriculum.attempts=0", "curriculum.attempts = 0: expected at least 1"),
        ("curriculum.phases.phase4.share=0", "phase4.share = 0"),
        ("curriculum.phases.phase4.name=other", "phase4.name = other: expected phase4"),
        ("curriculum.phases.phase4.gate.patterns=[]", "gate.success = 0.55 without patterns"),
        ("curriculum.phases.phase4.sampler=best", "sampler = best: expected one of"),
        ("curriculum.phases.phase4.sizes=[7]", "sizes: expected some of"),
        ("+curriculum.phases.phase4.entries.basis=0.2", "entry basis is more than ranges of rows"),
        ("curriculum.phases.phase4.unseen=[opponents]", "stands in entries and in unseen"),
        ("curriculum.phases.phase4.gate.patterns=[moon]", "pattern 'moon'"),
    ],
)
def test_what_would_fail_phases_later_is_refused_at_once(tmp_path, override, words):
    made = config("+curriculum=full", "scenario.row_count=64", override)
    with pytest.raises(ValueError, match=words):
        create_course(made, tmp_path, "never")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_written_into(tmp_path):
    (tmp_path / "there").mkdir()
    made = replace(config("+curriculum=full"), run_name="there")
    with pytest.raises(FileExistsError, match="run_name=NAME"):
        create_course(made, tmp_path, "there")
