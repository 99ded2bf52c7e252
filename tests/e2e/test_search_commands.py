"""``python -m evaluation adversary`` and ``tune``, small: what they print, write, keep and go on with."""

import csv
import json

import pytest
from hydra.errors import ConfigCompositionException

from configs.adversary import main as adversary
from configs.build import trial
from configs.judge import judge
from configs.schema import DirectionalConfig, EvaluationConfig, SyntheticConfig
from configs.tune import Agent
from configs.tune import main as tune
from curricula.adversary import append_case, load_cases, make_case
from curricula.phase import RowRanges

SPACE = """title = "two fields"
[fields]
half_spread = {low = 0.001, high = 0.03, scale = "log"}
informed_rate = {low = 0.1, high = 5.0, scale = "log"}
"""


@pytest.mark.compiled
def test_a_failure_is_found_kept_once_and_played_by_the_next_evaluation(tmp_path, capsys):
    """A taker of imbalance pays the spread: a mean drawdown above 0.03 % of the cash is soon found."""
    (tmp_path / "space.toml").write_text(SPACE)
    table = tmp_path / "failures.toml"
    words = [
        "--policy", "baseline:imbalance", "--score", "drawdown", "--threshold", "0.03",
        "--space", f"{tmp_path}/space.toml", "--episodes", "8", "--confirm-episodes", "64", "--life-s", "20",
        "--evaluations", "100", "--deepen", "1", "--out", str(table),
    ]  # fmt: skip
    assert adversary(words) == 0
    line = json.loads(capsys.readouterr().out)
    case = load_cases(table)[0]
    assert line["found"] and line["added"] and line["case"] == case.name
    assert case.values["life_s"] == 20.0 and set(case.values) <= {"life_s", "half_spread", "informed_rate"}
    assert case.value > 0.03 and (case.episodes, case.venue) == (64, "polymarket")
    assert line["tests"] >= 2 and line["value"] == case.value  # once to find it, once for what was kept
    before = table.read_bytes()
    assert adversary([*words, "--workers", "2"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again == {**line, "added": False} and table.read_bytes() == before  # two workers find what one found

    settings = EvaluationConfig(synthetic_episodes=8, baselines=[], fill_models=["queue"], failures=str(table))
    what = trial(SyntheticConfig(rows=RowRanges(life_s=5.0)), settings, None)
    card = judge({"agent": "baseline:imbalance"}, DirectionalConfig(), what, settings, tmp_path / "out", {})
    again = card["regression"][0]
    assert (again["name"], again["passed"], again["differs"]) == (case.name, False, [])
    assert (case.env["cash"], case.env["dt_s"], case.env["window_s"]) == (10_000.0, 1.0, "Infinity")
    assert again["value"] == pytest.approx(case.value, rel=1e-5)  # the same episodes
    assert json.loads((tmp_path / "out" / "scorecard.json").read_text())["regression"] == card["regression"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Known failures" in page and case.name in page
    calm = judge({"agent": "baseline:noop"}, DirectionalConfig(), what, settings, tmp_path / "calm", {})
    assert calm["regression"][0]["passed"] is True


@pytest.mark.compiled
def test_a_baseline_is_tuned_and_the_front_is_played_again(tmp_path, capsys):
    words = [
        "--out", str(tmp_path / "out"), "--policy", "joiner", "--range", "size=5:50:log", "--episodes", "16",
        "--budget", "cost_drawdown=1000", "scenario=synthetic", "scenario.rows.life_s=15", "num_envs=8",
        "evaluation.synthetic_episodes=24",
    ]  # fmt: skip
    assert tune([*words, "--trials", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 2
    assert tune([*words, "--trials", "4"]) == 0  # goes on
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["trials"] == 4 and outcome["within_budgets"] == 4 and outcome["pareto"]
    assert all(set(one["fresh"]) == {"result_usd", "cvar95_usd", "cost_drawdown"} for one in outcome["pareto"])
    for other in (["--sampler", "tpe"], ["--seed", "3"], ["--episodes", "17"]):
        with pytest.raises(ValueError, match=r"plan\.json: begun with"):
            tune([*words, "--trials", "5", *other])
    with pytest.raises(ValueError, match=r"plan\.json: begun with overrides = "):
        tune(["--trials", "5", *words, "scenario.rows.depth=9"])
    with (tmp_path / "out" / "trials.csv").open() as file:
        assert [5 <= float(line["size"]) <= 50 for line in csv.DictReader(file)] == [True] * 4


def test_a_trial_of_many_parameters_has_a_name_that_fits(tmp_path):
    agent = Agent(tmp_path, ["scenario=synthetic"], {})
    assert (
        agent._name({"agent.learning_rate": 0.001, "env.kill_drawdown": 0.05})
        == "learning_rate-0.001_kill_drawdown-0.05"
    )
    many = {f"scenario.rows.field_{number}": 0.123456789012345 + number for number in range(20)}
    names = {agent._name({**many, "agent.gamma": last}) for last in (0.9, 0.99)}
    assert len(names) == 2 and all(len(name) == 120 for name in names)


def test_wrong_words_are_explained(tmp_path):
    out = ["--out", str(tmp_path / "out")]
    with pytest.raises(ValueError, match=r"--range size=5: expected NAME=LOW:HIGH"):
        tune([*out, "--policy", "joiner", "--range", "size=5"])
    with pytest.raises(ValueError, match="joiner has no parameter 'nope'; it has size, limit"):
        tune([*out, "--policy", "joiner", "--range", "nope=5:6", "scenario=synthetic"])
    with pytest.raises(ValueError, match="leaves its bounds"):
        tune([*out, "--policy", "joiner", "--range", "size=0:6", "scenario=synthetic"])
    joiner = [*out, "--policy", "joiner", "scenario=synthetic"]
    with pytest.raises(ValueError, match=r"--budget cost_kill: expected METRIC=MOST"):
        tune([*joiner, "--budget", "cost_kill"])
    with pytest.raises(ValueError, match=r"no cost 'kil'; env\.costs has drawdown, kill"):
        tune([*joiner, "--budget", "cost_kil=0.1"])
    with pytest.raises(ValueError, match="'hit_rate' cannot have a budget"):
        tune([*joiner, "--budget", "hit_rate=0.1"])
    with pytest.raises(ConfigCompositionException, match=r"agent\.learning_rat"):
        tune([*out, "--range", "agent.learning_rat=1e-4:1e-3", "scenario=synthetic"])
    assert not (tmp_path / "out").exists()
    asked = ["--score", "loss", "--threshold", "1", "--out", str(tmp_path / "failures.toml")]
    with pytest.raises(ValueError, match="no baseline 'nope'"):
        adversary(["--policy", "baseline:nope", *asked])
    with pytest.raises(ValueError, match="environment of its run: leave out env=market_making"):
        adversary(["--policy", "checkpoints/none", *asked, "env=market_making"])
    with pytest.raises(ValueError, match="no score 'nope'"):
        adversary(["--policy", "baseline:joiner", "--score", "nope", "--threshold", "1", *asked[4:]])


def test_a_table_of_failures_that_is_not_there_is_said_before_anything_is_played(tmp_path):
    case = make_case(
        "x", policy="baseline:joiner", found="2026-01-31", score="loss", threshold=1.0, value=2.0, episodes=2, seed=1,
        venue="kalshi", fill_model="queue", what="x", values={"life_s": 5.0}, env={},
    )  # fmt: skip
    assert append_case(case, tmp_path / "there.toml")
    settings = EvaluationConfig(synthetic_episodes=4, fill_models=["queue"], failures=str(tmp_path / "none.toml"))
    what = trial(SyntheticConfig(rows=RowRanges(life_s=5.0)), settings, None)
    with pytest.raises(FileNotFoundError, match=r"evaluation\.failures"):
        judge({"agent": "baseline:noop"}, DirectionalConfig(), what, settings, tmp_path / "out", {})
    assert not (tmp_path / "out").exists()
