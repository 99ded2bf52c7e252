"""One parser for what runs leave, and the two tables of a grid."""

import csv
import io
import json

import pytest

from evaluation.estimates import METRICS
from evaluation.grid import FAILED, FINISHED, RUNNING, as_csv, figures_of, settings_of, student, summarise
from evaluation.montecarlo.report import FIGURES

SUMMARY = "summary realised=-1.250000 unrealised=0.500000 total=-0.750000 kill=1 reason=kill"


def estimate(value):
    return {"value": value, "low": None if value is None else value - 1, "high": None if value is None else value + 1}


def scorecard():
    metrics = {name: estimate(float(rank)) for rank, name in enumerate(METRICS)} | {"cost_kill": estimate(None)}
    results = {"queue": {"agent": {"metrics": metrics}, "noop": {"metrics": {}}}}
    return {"agent": "agent", "headline": "queue", "episodes": 40, "results": results, "summary": SUMMARY}


def montecarlo():
    found = {"metrics": {name: estimate(2.0) for name in FIGURES}, "episodes": 1000, "worst_usd": -9.5}
    return {"policies": ["joiner", "noop"], "fill_model": "queue", "results": {"joiner": found, "noop": {}}}


def library():
    figures = {"result_usd": estimate(1.0), "cvar95_usd": estimate(5.0), "kill": estimate(0.0)}
    entries = [
        {"name": "basis", "results": {}, "refused": {"agent": "one market"}},
        {"name": "depth_thin", "results": {"agent": figures}, "refused": {}},
    ]
    return {"policies": ["agent"], "fill_model": "queue", "episodes": 512, "entries": entries}


def left(folder, name, card):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(card), encoding="utf-8")
    return folder


def test_a_training_run(tmp_path):
    left(tmp_path, "manifest.json", {"status": "finished", "steps": 2048, "seconds": 3.5, "seed": 0})
    left(tmp_path / "evaluation", "scorecard.json", scorecard())
    row = figures_of(tmp_path)
    assert (row["run_status"], row["run_steps"], row["run_seconds"]) == ("finished", 2048, 3.5)
    assert (row["policy"], row["fill_model"], row["episodes"]) == ("agent", "queue", 40)
    assert (row["result_usd"], row["result_usd_low"], row["result_usd_high"]) == (0.0, -1.0, 1.0)
    assert row["total_usd"] == -0.75 and row["killed"] == 1 and row["reason"] == "kill"
    assert row["cost_kill"] is None and "fees_usd_low" not in row and set(METRICS) <= set(row)


def test_the_suites(tmp_path):
    row = figures_of(left(tmp_path / "m", "montecarlo.json", montecarlo()))
    assert (row["policy"], row["episodes"], row["worst_usd"], row["cvar99_usd_high"]) == ("joiner", 1000, -9.5, 3.0)
    row = figures_of(left(tmp_path / "l", "library.json", library()))
    assert row["depth_thin.result_usd"] == 1.0 and row["depth_thin.cvar95_usd_low"] == 4.0
    assert not any(name.startswith("basis") for name in row)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"scorecard\.json: not JSON .*; the file is torn or edited"),
        ("[]", r"scorecard\.json: not what it should be: TypeError"),
        ('{"agent": "a"}', r"scorecard\.json: not what it should be: KeyError: 'summary'"),
        ('{"summary": "summary total=1"}', "summary line: expected"),
    ],
)
def test_a_file_that_is_not_one_is_named(tmp_path, content, message):
    (tmp_path / "scorecard.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        figures_of(tmp_path)


def test_a_folder_in_which_nothing_was_judged(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none of scorecard\.json, montecarlo\.json, library\.json"):
        figures_of(tmp_path)


def test_overrides_are_columns():
    given = ["seed=1", "+experiment=costs", "scenario.rows.depth=[1,2]", "policies=['quoter?size=5']", "~agent.x"]
    assert settings_of(given) == {
        "seed": "1", "experiment": "costs", "scenario.rows.depth": "[1,2]", "policies": "['quoter?size=5']",
        "agent.x": "",
    }  # fmt: skip
    with pytest.raises(ValueError, match="expected an override KEY=VALUE, got 'seed'"):
        settings_of(["seed"])


def test_students_interval_by_hand():
    """1, 2, 3: mean 2, s = 1, standard error 0.57735; t(2 degrees, 97.5 %) = 4.30265: 2 +- 2.48414."""
    assert student([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2.0 - 2.48414, 2.0 + 2.48414), abs=1e-4)
    assert student([5.0]) == (5.0, None, None)


def row(size, seed, status=FINISHED, **figures):
    return {"job": 0, "status": status, "error": None, "folder": "x", "size": size, "seed": seed, **figures}


def test_seeds_are_put_together_and_failures_counted():
    rows = [
        row("5", "0", result_usd=1.0, result_usd_low=0.0, reason="none", killed=0),
        row("9", "0", result_usd=7.0, killed=1),
        row("5", "1", result_usd=3.0, result_usd_low=0.0, reason="kill", killed=1),
        row("5", "2", FAILED),
        row("9", "1", RUNNING),
    ]
    first, second = summarise(rows, ["size", "seed"])
    assert (first["size"], first["runs"], first["failed"]) == ("5", 2, 1)
    # 1 and 3: mean 2, s = sqrt 2, standard error 1; t(1, 97.5 %) = 12.7062
    assert (first["result_usd"], first["result_usd_high"]) == pytest.approx((2.0, 14.7062), abs=1e-4)
    assert first["killed"] == 0.5 and "reason" not in first and "result_usd_low_low" not in first
    assert (second["size"], second["runs"], second["failed"], second["result_usd"]) == ("9", 1, 0, 7.0)
    assert (first["running"], second["running"]) == (0, 1)
    assert second["result_usd_low"] is None
    (alone,) = summarise([row("5", "0", FAILED)], ["size", "seed"])
    assert alone == {"size": "5", "runs": 0, "failed": 1, "running": 0}


def test_the_csv_has_a_column_for_every_name():
    text = as_csv([{"job": 0, "a": 1.5, "b": None}, {"job": 1, "c": "x,\ny"}], ("job", "status"))
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"job": "0", "status": "", "a": "1.5", "b": "", "c": ""},
        {"job": "1", "status": "", "a": "", "b": "", "c": "x,\ny"},
    ]
