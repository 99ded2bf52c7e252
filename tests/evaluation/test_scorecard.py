"""scorecard.json, the table on the terminal, and their agreement with the episodes."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from made_up import made_up
from rich.console import Console

from evaluation.compare import Evaluation, advantage
from evaluation.fills import fill_set_of, shown_names
from evaluation.scorecard import scorecard, summarise, write_scorecard
from evaluation.summary import parse_summary
from evaluation.terminal import print_scorecard
from sim.scenarios.row import default_rows, make_rows

KEYS = [
    "schema", "agent", "policies", "fill_models", "fill_set", "fill_names", "headline", "episodes", "interval",
    "legend", "results", "advantage", "tails", "false_alarms", "summary",
]  # fmt: skip


def evaluation(policies=3, count=48):
    names = ["ppo", "noop", "quoter", *(f"baseline_{i}" for i in range(policies))][:policies]
    made = {"ppo": {"skill": 0.9}, "noop": {"rate": 0.0}, "quoter": {"maker": True}}
    return Evaluation(
        {
            model: {name: made_up(count, 40, **made.get(name, {})) for name in names}
            for model in ("pessimistic", "probabilistic", "optimistic")
        },
        "probabilistic",
    )


def test_keys_are_stable_and_every_value_is_json(tmp_path):
    judged = evaluation()
    card = scorecard(judged, resamples=100)
    assert list(card) == KEYS and card["schema"] == 1
    path = write_scorecard(tmp_path, card)
    assert json.loads(path.read_text()) == card
    with pytest.raises(FileExistsError):
        write_scorecard(tmp_path, card)


def test_numbers_agree_with_the_episodes():
    judged = evaluation()
    card = scorecard(judged, resamples=100)
    for model, runs in judged.runs.items():
        for name, episodes in runs.items():
            result = card["results"][model][name]
            assert result["total_uusd"] == episodes.result_uusd.sum() == sum(result["attribution_uusd"].values())
            assert result["metrics"]["result_usd"]["value"] == pytest.approx(episodes.result_uusd.mean() / 1e6)
            assert result["env_steps"] == episodes.steps.sum()
    expected = judged.shown["ppo"].result_uusd.mean() / 1e6
    assert card["advantage"]["probabilistic"]["noop"]["value"] == pytest.approx(expected)
    assert card["results"]["probabilistic"]["noop"]["metrics"]["sharpe"] == {"value": None, "low": None, "high": None}
    assert card["interval"]["drawn"] == "episodes" and card["interval"]["clusters"] == 48


@pytest.mark.parametrize("policies", [1, 3, 8])
def test_the_table_is_readable_at_100_columns_and_ends_with_the_summary(policies):
    judged = evaluation(policies)
    console = Console(width=100, record=True, file=io.StringIO())
    print_scorecard(scorecard(judged, resamples=50), console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines[:-1])) <= 100
    assert "…" not in "".join(lines)  # no column was cut
    for name in judged.policies:
        assert any(name in line for line in lines)
    last = parse_summary(lines[-1])
    assert last == summarise(judged.shown["ppo"])
    assert last.total_uusd == judged.shown["ppo"].result_uusd.sum()


def test_unrealised_is_what_is_still_marked():
    episodes = made_up(40, 30, settle=False)
    summary = summarise(episodes)
    assert summary.unrealised_uusd == episodes.unrealised_uusd.sum() != 0
    assert summary.total_uusd == episodes.result_uusd.sum()
    # nothing was closed at a profit except against what it cost: the rest of the result is realised
    assert summary.realised_uusd == episodes.result_uusd.sum() - episodes.unrealised_uusd.sum()


def test_kill_and_ruin_reach_the_summary():
    episodes = made_up(5, 20)
    assert summarise(episodes)[2:] == (False, "none")
    costs = episodes.costs.copy()
    costs[3, 1] = 1.0
    assert summarise(replace(episodes, costs=costs))[2:] == (True, "kill")
    assert summarise(replace(episodes, ruined=np.arange(5) == 2))[2:] == (True, "ruin")


def test_policies_on_different_episodes_are_not_compared():
    runs = {"ppo": made_up(10), "noop": replace(made_up(10), start_ns=np.arange(10))}
    judged = Evaluation({"queue": runs}, "queue")
    with pytest.raises(ValueError, match="number 0 has start_ns"):
        advantage(judged, "noop", "queue")


def test_an_evaluation_needs_the_same_policies_everywhere():
    with pytest.raises(ValueError, match="headline"):
        Evaluation({"queue": {"a": made_up(3)}}, "optimistic")
    with pytest.raises(ValueError, match="same policies"):
        Evaluation({"queue": {"a": made_up(3)}, "optimistic": {"b": made_up(3)}}, "queue")


def test_the_middle_of_the_bracket_is_called_fitted_and_says_on_what():
    judged = replace(evaluation(), fill_set="polymarket_mlb")
    card = scorecard(judged, resamples=100)
    assert card["fill_names"] == {
        "pessimistic": "pessimistic", "probabilistic": "fitted (polymarket_mlb)", "optimistic": "optimistic",
    }  # fmt: skip
    shown = io.StringIO()
    print_scorecard(card, Console(file=shown, width=200))
    assert "fitted (polymarket_mlb) fills" in shown.getvalue() and "probabilistic" not in shown.getvalue()
    assert shown_names(["queue", "probabilistic"], "") == {"queue": "queue", "probabilistic": "fitted"}


def test_the_set_is_known_by_the_rows():
    assert fill_set_of(default_rows(2)) == "kalshi_btc15m"
    assert fill_set_of(make_rows(3, fill_set="kalshi_nba")) == "kalshi_nba"
    assert fill_set_of(make_rows(2, fill_base=np.array([0.0, 1.0]))) == ""
    assert fill_set_of(np.concatenate([default_rows(), make_rows(1, fill_set="kalshi_nba")])) == ""
