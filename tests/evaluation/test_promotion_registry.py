"""The line of promoted policies: copied whole, appended only, checked whenever it is read."""

import json
import shutil

import pytest

from evaluation import promoted
from evaluation.promotion import registry
from evaluation.promotion.registry import current, entries, publish, roll_back, standing

PAPERS = {"record.json": b"{}\n", "card.md": b"# card\n"}


@pytest.fixture
def line(tmp_path):
    """A registry with two promoted runs."""
    for number, name in enumerate(("old", "new")):
        promote(tmp_path, name, seen=number)
    return tmp_path / "promoted"


def promote(folder, name, *, seen):
    run = folder / "runs" / name
    (run / "evaluation").mkdir(parents=True, exist_ok=True)
    (run / "policy.zip").write_bytes(name.encode() * 100)
    (run / "evaluation" / "scorecard.json").write_text("{}")
    (run / ".policy.zip.7.tmp").write_text("half")
    (run / "promotion").mkdir(exist_ok=True)
    (run / "promotion" / "refused.json").write_text("{}")
    judged = registry.files_of(run)
    return publish(folder / "promoted", run, PAPERS, judged=judged, seen=seen, date="2026-01-31", reason="a try")


def listed(where, capsys):
    status = promoted.main(["--registry", str(where)])
    return status, capsys.readouterr().out.splitlines()


def test_a_policy_is_copied_whole_and_outlives_its_run(line, tmp_path):
    shutil.rmtree(tmp_path / "runs")
    folder = current(line)
    assert folder == line / "policies" / "0001-new"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"policy.zip", "evaluation/scorecard.json", "promotion/record.json", "promotion/card.md"}
    assert (folder / "policy.zip").read_bytes() == b"new" * 100
    first, second = entries(line)
    assert (first.what, first.policy, first.previous) == ("promoted", "0000-old", "") and set(second.files) == names
    assert {path.name for path in line.iterdir()} == {"registry.jsonl", "policies", ".lock"}


def test_nothing_promoted_is_said(tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match="no policy is promoted"):
        current(tmp_path)
    assert entries(tmp_path) == () and listed(tmp_path, capsys) == (0, [f"{tmp_path}: nothing is promoted"])


def test_rolling_back_and_forth_only_appends(line, tmp_path, capsys):
    before = (line / "registry.jsonl").read_bytes()
    with pytest.raises(ValueError, match="expected a reason"):
        roll_back(line, date="2026-02-01", reason=" ")
    entry = roll_back(line, date="2026-02-01", reason="it lost")
    assert current(line).name == "0000-old" and (entry.what, entry.reason) == ("rolled back", "it lost")
    assert (line / "registry.jsonl").read_bytes().startswith(before) and (line / "policies" / "0001-new").is_dir()
    with pytest.raises(ValueError, match=r"expected a policy to go back to, came 1 standing: \['0000-old'\]"):
        roll_back(line, date="2026-02-01", reason="it lost too")
    promote(tmp_path, "new", seen=3)  # the same run again, under another number
    assert standing(entries(line)) == ["0000-old", "0003-new"]
    status, lines = listed(line, capsys)
    told = [json.loads(text) for text in lines]
    assert status == 0 and [one["what"] for one in told] == ["promoted", "promoted", "rolled back", "promoted"]
    assert [one.get("current") for one in told] == [False, False, None, True]
    assert [one.get("standing") for one in told] == [True, False, None, True]


@pytest.mark.parametrize("harm", ["changed", "missing", "added"])
def test_a_changed_policy_is_not_loaded_and_can_be_left(line, harm, capsys):
    folder = line / "policies" / "0001-new"
    name = {"changed": "policy.zip", "missing": "evaluation/scorecard.json", "added": "extra.py"}[harm]
    if harm == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(b"other")
    with pytest.raises(ValueError, match=rf"{name}: expected .*, came .*a promoted policy was changed and is not"):
        current(line)
    status, lines = listed(line, capsys)
    assert status == 1 and [json.loads(text)["whole"] for text in lines] == [True, False]
    roll_back(line, date="2026-02-01", reason="changed by somebody")
    assert current(line).name == "0000-old"


def test_going_back_to_a_changed_policy_is_refused(line):
    (line / "policies" / "0000-old" / "policy.zip").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"0000-old.policy\.zip: expected"):
        roll_back(line, date="2026-02-01", reason="it lost")
    assert current(line).name == "0001-new"


@pytest.mark.parametrize("old, new, what", [
    (b"a try", b"a lie", "line 2: expected number 1 after a line of digest"),  # the second line names its digest
    (b'"version": 1', b'"version": 2', "line 1: expected an entry of version 1"),
    (b"}\n", b"}", "expected"),
    (b'"what": "promoted"', b'"what": "wished"', "line 1: what = 'wished'"),
])  # fmt: skip
def test_a_changed_list_is_refused(line, old, new, what):
    path = line / "registry.jsonl"
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(ValueError, match=what):
        current(line)


def test_a_torn_list_is_refused(line):
    path = line / "registry.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="line 2: expected JSON"):
        entries(line)


def test_a_promotion_against_a_policy_that_is_no_longer_current_is_refused(line, tmp_path):
    with pytest.raises(RuntimeError, match="expected 1 entries, came 2: another promotion or rollback was faster"):
        promote(tmp_path, "late", seen=1)
    assert current(line).name == "0001-new" and not (line / "policies" / "0001-late").exists()


@pytest.mark.parametrize("name", ["policy.zip", "config.yaml"])  # changed, added
def test_a_run_that_changed_since_it_was_judged_is_refused(line, tmp_path, name):
    run = tmp_path / "runs" / "new"
    judged = registry.files_of(run)
    (run / name).write_bytes(b"better, surely")
    with pytest.raises(RuntimeError, match=rf"{name}: changed since the gates were asked"):
        publish(line, run, PAPERS, judged=judged, seen=2, date="2026-01-31", reason="")
    assert current(line).name == "0001-new"


def test_what_a_promotion_that_was_cut_off_left_is_no_policy(line, tmp_path, monkeypatch):
    def cut(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "_append", cut)
    with pytest.raises(KeyboardInterrupt):
        promote(tmp_path, "third", seen=2)
    monkeypatch.undo()
    (line / "policies" / "0002-third" / "litter").write_text("x")
    assert current(line).name == "0001-new"
    promote(tmp_path, "third", seen=2)
    assert current(line).name == "0002-third" and not (current(line) / "litter").exists()


def test_a_promoted_copy_keeps_its_name_when_it_is_promoted_elsewhere(line):
    assert registry.name_of(4, line / "policies" / "0001-new") == "0004-new"
    assert registry.name_of(4, line / "2026-run") == "0004-2026-run"
