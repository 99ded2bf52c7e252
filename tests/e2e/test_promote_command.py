"""``python -m evaluation promote`` and ``promoted`` on small runs: refused, promoted, replaced, rolled back."""

import dataclasses
import io
import json
import re
import shlex
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from entry_points import call

from agents.checkpoint import load_parameters, write_atomically
from agents.policy import load
from configs.build import training_env
from configs.promote import main as promote
from configs.promotion import unseen
from configs.schema import Config, EvaluationConfig, ReplayConfig, read_run_config
from curricula.adversary import append_case, make_case
from evaluation.promoted import main as promoted
from evaluation.promotion.registry import current

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "scenario=synthetic", "scenario.rows.life_s=20", "total_steps=1e3", "num_envs=32", "agent.n_steps=32",
    "evaluation.synthetic_episodes=16", "evaluation.baselines=[noop]", "evaluation.fill_models=[queue]",
    "agent=constrained_ppo", "evaluation.failures=null",
)  # fmt: skip
# a policy that has learnt nothing passes no honest gate
LENIENT = ("--slack-usd", "1e6", "--without-tapes", "--latency-p99-us", "1e6", "--episodes", "256")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run, a second one that always holds, and a table with one easy case."""
    folder = tmp_path_factory.mktemp("work")
    done = call("train.py", *SMALL, "run_name=first", f"checkpoints={folder}", cwd=folder)
    assert done.returncode == 0, done.stderr
    shutil.copytree(folder / "first", folder / "calm")
    keep_still(folder / "calm")
    case = make_case(
        "easy", policy="baseline:joiner", found="2026-01-31", score="loss", threshold=90.0, value=91.0, episodes=2,
        seed=1, venue="polymarket", fill_model="queue", what="x", values={"life_s": 5.0}, env={},
    )  # fmt: skip
    append_case(case, folder / "cases.toml")
    return folder


def keep_still(run):
    """Make the policy of a run prefer the first row, hold, whatever it sees."""
    parameters = load_parameters(run)
    parameters["network.actor.head.weight"].zero_()
    parameters["network.actor.head.bias"].zero_()[0] = 5.0
    written, whole = io.BytesIO(), io.BytesIO()
    torch.save(parameters, written)
    with zipfile.ZipFile(run / "policy.zip") as source, zipfile.ZipFile(whole, "w") as target:
        for name in source.namelist():
            target.writestr(name, written.getvalue() if name == "policy.pth" else source.read(name))
    write_atomically(run / "policy.zip", whole.getvalue())


def words(place, run, *more):
    return [str(place / run), "--registry", str(place / "promoted"), "--failures", str(place / "cases.toml"), *more]


@pytest.mark.compiled
def test_refused_then_promoted_replaced_and_rolled_back(place, capsys):
    registry = ["--registry", str(place / "promoted")]

    # honest gates refuse it: it loses money, and there is no tape
    assert promote(words(place, "first", "--episodes", "64")) == 1
    said = capsys.readouterr()
    assert "gate features not run: expected observations" in said.err and "came not run: no tapes" in said.err
    assert "gate baseline failed: expected against noop, mean result better by more than 0 dollars" in said.err
    told = json.loads(said.out.splitlines()[-1])
    assert told["promoted"] is False and set(told["refused"]) >= {"features", "baseline"}
    record = json.loads(Path(told["record"]).read_text())
    assert Path(told["record"]).is_relative_to(place / "first" / "promotion") and record["promoted"] is False
    assert not (place / "promoted" / "registry.jsonl").exists()

    assert promote(words(place, "first", *LENIENT, "--reason", "the first")) == 0
    capsys.readouterr()
    first = current(place / "promoted")
    env = training_env(read_run_config(first))
    assert load(first, env.spec_sheet).name == "first"  # what was promoted is a run folder like any other
    card = (first / "promotion" / "card.md").read_text()
    assert "Gate features was not run (--without-tapes)" in card and "1 of 1 cases passed" in card
    assert "| kill | probability | 0.02 |" in card

    # who holds has a better mean and tail than who loses: against the incumbent no slack is needed
    assert promote(words(place, "calm", "--episodes", "2048", "--only", "tails", "--only", "budgets")) == 0
    assert (
        promote(words(place, "first", "--episodes", "2048", "--only", "tails", "--against", str(place / "calm"))) == 1
    )
    assert promote(words(place, "calm", *LENIENT)) == 0
    calm = current(place / "promoted")
    assert calm.name == "0001-calm" and (calm / "promotion" / "difference.png").stat().st_size > 5_000
    record = json.loads((calm / "promotion" / "record.json").read_text())
    assert record["incumbent"] == "0000-first" and 0.5 < record["difference"]["share"] <= 1.0
    assert all(ours == "hold" for ours, _, _ in record["difference"]["pairs"])
    capsys.readouterr()

    assert promote([*registry, "--rollback", "--reason", "it does nothing"]) == 0
    assert current(place / "promoted") == first
    capsys.readouterr()
    assert promoted(registry) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["what"], one["policy"]) for one in told] == [
        ("promoted", "0000-first"), ("promoted", "0001-calm"), ("rolled back", "0000-first"),
    ]  # fmt: skip

    # an item of the checklist is a command, and asks its gate of the copy; the run may be gone
    listed = (calm / "promotion" / "checklist.md").read_text()
    command = re.search(r"`python -m evaluation promote (.*--only table)`", listed)
    shutil.rmtree(place / "calm")
    assert promote(shlex.split(command[1])) == 0


@pytest.mark.compiled
def test_wrong_words_are_explained(place):
    with pytest.raises(ValueError, match="expected a run's folder, or --rollback"):
        promote([])
    with pytest.raises(ValueError, match="--against none: a promotion is against what is current"):
        promote(words(place, "first", "--against", "none"))
    with pytest.raises(ValueError, match="--tapes x and --without-tapes: expected one of them"):
        promote(words(place, "first", "--tapes", "x", "--without-tapes"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        promote(words(place, "none"))
    with pytest.raises(ValueError, match=r"evaluation\.seed = 0 is the seed the run was trained with"):
        promote(words(place, "first", "--seed", "0"))
    shutil.copytree(place / "first", place / "cut")
    manifest = json.loads((place / "cut" / "manifest.json").read_text()) | {"status": "interrupted"}
    (place / "cut" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="expected a finished run, came one that is interrupted"):
        promote(words(place, "cut"))


def test_what_training_has_seen_is_no_judge():
    config = Config(scenario=ReplayConfig(tapes="resolvedkit", held_out=0.0))
    with pytest.raises(ValueError, match="nothing is left to judge it on"):
        unseen(config, dataclasses.replace(EvaluationConfig(), seed=3))
