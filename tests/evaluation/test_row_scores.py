"""Scores of rows: by hand, on common chance, and alike in an environment and without one."""

import numpy as np
import pytest
from worlds import make_env

from configs.regression import known_failures, player_of, replay_failures
from configs.schema import DirectionalConfig
from curricula.adversary import append_case, make_case
from evaluation.adversary import (
    Outcomes,
    backtest_player,
    env_player,
    fails,
    find_score,
    score_interval,
    scores,
)
from evaluation.bootstrap import Interval
from evaluation.compiled import COMPILED
from evaluation.regression import failed, regression_table, replay_cases
from sim.scenarios.row import make_rows

ROWS = make_rows(3, life_s=20.0, half_spread=np.array([0.002, 0.01, 0.03]), informed_rate=np.array([0.1, 1.0, 3.0]))


def make(scenario, num_envs, seed):
    return make_env(num_envs, scenario=scenario, seed=seed)


def outcomes(loss, **costs):
    loss = np.array(loss)
    return Outcomes(loss, 2 * np.abs(loss), loss > 2.5, {name: np.array(value) for name, value in costs.items()})


def test_scores_by_hand():
    """Two rows of four episodes. Of four losses the worst twentieth is the worst: CVaR 95 % is the largest."""
    seen = outcomes([[1.0, 2.0, 3.0, -2.0], [0.0, 0.0, 4.0, 8.0]], inventory=[[1.0, 1, 1, 1], [2, 2, 2, 6]])
    assert scores(seen, "loss").tolist() == [1.0, 3.0]
    assert scores(seen, "cvar").tolist() == [3.0, 8.0]
    assert scores(seen, "drawdown").tolist() == [4.0, 6.0]
    assert scores(seen, "kill").tolist() == [0.25, 0.5]
    assert scores(seen, "cost:inventory").tolist() == [1.0, 3.0]


def test_a_failure_is_one_with_confidence():
    assert fails(Interval(3.0, 2.1, 4.0), 2.0) and not fails(Interval(3.0, 1.9, 4.0), 2.0)
    assert not fails(Interval(3.0, np.nan, np.nan), 2.0)  # one episode proves nothing
    interval = score_interval(outcomes([[1.0, 2.0, 3.0, -2.0] * 16]), "loss")
    assert interval.value == 1.0 and 0.3 < interval.low < 1.0 < interval.high < 1.7  # standard error 1.87 / 8 = 0.23


def test_the_share_killed_has_its_exact_interval():
    """None of 64: high solves (1 - p)^64 = 0.025, p = 0.0560; a bootstrap would say 0. All of them: low is 0.9440."""
    none = score_interval(outcomes([[0.0] * 64]), "kill")
    assert (none.value, none.low) == (0.0, 0.0) and none.high == pytest.approx(1 - 0.025 ** (1 / 64))
    assert score_interval(outcomes([[9.0] * 64]), "kill").low == pytest.approx(0.025 ** (1 / 64))


def test_wrong_use_is_explained():
    with pytest.raises(ValueError, match="no score 'nope'; the scores are loss"):
        find_score("nope")
    with pytest.raises(ValueError, match="no such cost; they have a"):
        scores(outcomes([[1.0]], a=[[1.0]]), "cost:b")
    with pytest.raises(ValueError, match="episodes of one row, got 2 rows"):
        score_interval(outcomes([[1.0], [2.0]]), "loss")


@pytest.mark.compiled
@pytest.mark.parametrize("spec", ["baseline:joiner", "baseline:quoter"])
def test_a_row_scores_the_same_in_any_company(spec):
    """Candidates of one batch meet common chance, and do not touch each other: alone each row comes out alike."""
    play = env_player(spec, make)
    together = play(ROWS, 5, 3)
    for index in range(3):
        alone = play(ROWS[index : index + 1], 5, 3)
        assert (alone.loss[0] == together.loss[index]).all()
        assert (alone.costs["drawdown"][0] == together.costs["drawdown"][index]).all()
    same = play(ROWS[[1, 1]], 5, 3)
    assert (same.loss[0] == same.loss[1]).all() and len(set(same.loss[0])) > 1  # one row, one chance; five episodes
    assert (play(ROWS, 5, 4).loss != together.loss).any()


@pytest.mark.compiled
def test_a_compiled_strategy_comes_out_alike_with_an_environment_and_without():
    inside = env_player("baseline:joiner", make)(ROWS, 6, 3)
    outside = backtest_player(COMPILED["joiner"])(ROWS, 6, 3)
    assert outside.loss == pytest.approx(inside.loss, abs=1e-9) and np.abs(inside.loss).max() > 0
    assert outside.drawdown == pytest.approx(inside.drawdown, abs=1e-9)
    assert not outside.killed.any() and outside.costs == {}
    sure = backtest_player(COMPILED["joiner"], kill_drawdown=1e-9)(ROWS, 6, 3)
    assert (sure.killed == (sure.drawdown > 0)).all() and sure.killed.any()


def a_case(**changes):
    entries = {
        "policy": "baseline:joiner", "found": "2026-01-31", "score": "loss", "threshold": 0.0, "value": 1.0,
        "episodes": 3, "seed": 7, "venue": "polymarket", "fill_model": "queue", "what": "x",
        "values": {"life_s": 5.0}, "env": {"cash": 10_000.0},
    }  # fmt: skip
    return make_case("joiner", **{**entries, **changes})


def test_known_failures_are_passed_at_their_threshold_and_failed_above_it():
    """Mean loss of 1, 2 and 6 is 3: at most 3 is passed, at most 2.9 is not; a cost that is not kept is not played."""
    asked = []

    def player(case):
        def play(row, episodes, seed):
            asked.append((row["life_s"][0], episodes, seed))
            return outcomes([[1.0, 2.0, 6.0]])

        return play

    cases = [a_case(threshold=3.0), a_case(threshold=2.9), a_case(score="cost:inventory")]
    played = replay_cases(cases, player, {"cash": 700.0})
    assert [entry["passed"] for entry in played] == [True, False, None]
    assert played[0]["value"] == 3.0 and played[0]["text"] == "mean loss 3 % of the cash"
    assert asked == [(5.0, 3, 7)] * 3
    assert failed(played) == [cases[1].name]
    assert played[0]["differs"] == ["cash = 700.0, found with 10000.0"]
    old = replay_cases([cases[0]._replace(row_digest="another")], player, cases[0].env)
    assert old[0]["differs"] == ["its row: a default is another one than when it was found"]
    assert "default is another one" in regression_table(old, "agent").rows[0].cells[0].value
    table = regression_table(played, "agent")
    assert [row.cells[2].value for row in table.rows] == ["passed", "failed", "not played"]


def test_the_table_is_played_in_the_environment_that_a_config_describes(tmp_path):
    path = tmp_path / "failures.toml"
    append_case(a_case(threshold=0.5), path)
    append_case(a_case(score="cost:order_rate", threshold=-1.0), path)
    env = DirectionalConfig(actions="full")
    played = replay_failures("baseline:noop", env, known_failures(str(path), 1))
    assert [(entry["value"], entry["passed"]) for entry in played] == [(0.0, True), (0.0, False)]
    assert known_failures(None, 1) == () == known_failures(str(path), 3)
    with pytest.raises(FileNotFoundError, match="expected a table of failures, library or null"):
        known_failures(str(tmp_path / "none.toml"), 1)


def test_a_fill_model_and_a_venue_are_the_cases_own():
    row = make_rows(1, life_s=5.0)
    outcome = player_of("baseline:noop", DirectionalConfig(), "kalshi", "optimistic")(row, 2, 0)
    assert (outcome.loss == 0).all() and outcome.loss.shape == (1, 2)
