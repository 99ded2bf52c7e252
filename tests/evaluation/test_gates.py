"""Gates: thresholds against figures, and the rank correlation over buckets of rows."""

import math
from dataclasses import replace

import numpy as np
import pytest
from made_up import made_up

from evaluation.bootstrap import Interval
from evaluation.gates import Thresholds, figures_of, rank_correlation, verdict_lines, verdicts
from evaluation.patterns import Success
from sim.scenarios.row import draw_rows

ALL = Thresholds(success=0.55, sharpe=1.5, drawdown=0.15, generalisation=0.7)


def a_success(share, entries=100):
    return Success(Interval(share, share - 0.1, share + 0.1), entries)


def judge(agent=0.6, random=0.5, agreement=0.8, asked=ALL, **made):
    episodes = made_up(480, 30, seed=1, **made)
    correlation = None if agreement is None else Interval(agreement, agreement - 0.1, agreement + 0.1)
    return {
        verdict.name: verdict
        for verdict in verdicts(
            asked, figures_of(episodes), agent=a_success(agent), random=a_success(random), generalisation=correlation
        )
    }


def test_a_good_policy_passes_every_gate():
    found = judge(skill=1.0, maker=True)
    assert {name: verdict.passed for name, verdict in found.items()} == dict.fromkeys(ALL._fields, True)
    assert found["sharpe"].figure.low < found["sharpe"].figure.value  # its interval is reported


@pytest.mark.parametrize(
    ("agent", "random", "passed"),
    [(0.56, 0.5, True), (0.55, 0.5, False), (0.7, 0.7, False), (0.7, math.nan, True), (math.nan, 0.5, False)],
)
def test_success_must_be_above_its_threshold_and_above_randoms(agent, random, passed):
    """A random policy that never met a pattern is nothing to be above of; an agent that never did has shown nothing."""
    assert judge(agent, random)["success"].passed == passed


def test_a_few_lucky_entries_show_nothing():
    asked = Thresholds(success=0.55)
    episodes = made_up(20, 30)
    for entries, passed in ((99, False), (100, True)):
        (verdict,) = verdicts(
            asked, figures_of(episodes), agent=a_success(1.0, entries), random=a_success(0.5), generalisation=None
        )
        assert verdict.passed == passed


def test_a_ratio_of_idle_days_shows_nothing():
    """A policy that made a dollar in two episodes of 480, and nothing in the others: two of 20 days traded."""
    episodes = made_up(480, 30, rate=0.0)
    final = episodes.start_uusd.copy()
    final[[3, 200]] += 1_000_000
    idle = figures_of(replace(episodes, final_uusd=final))
    (verdict,) = verdicts(Thresholds(sharpe=1.5), idle, agent=None, random=None, generalisation=None)
    assert verdict.figure.value > 1.5 and not verdict.passed and "10% of them traded" in verdict.note


def test_money_lost_at_random_fails_the_sharpe_gate():
    assert not judge(skill=0.0)["sharpe"].passed


def test_drawdown_is_the_fall_that_one_episode_in_a_hundred_exceeds():
    """The smallest fall that 99 % of 200 episodes do not exceed is the 198th of them in order."""
    episodes = made_up(200, 30, seed=1)
    falls = [max(max(row[: t + 1]) - row[t] for t in range(len(row))) for row in episodes.equity_uusd.tolist()]
    worst = sorted(falls)[197] / 10_000_000_000
    asked = Thresholds(drawdown=worst + 1e-12)
    (verdict,) = verdicts(asked, figures_of(episodes), agent=None, random=None, generalisation=None)
    assert verdict.figure.value == pytest.approx(worst) and verdict.passed
    assert verdict.note == f"the worst of 200: {max(falls) / 10_000_000_000:.1%}"
    (verdict,) = verdicts(
        Thresholds(drawdown=worst), figures_of(episodes), agent=None, random=None, generalisation=None
    )
    assert not verdict.passed


@pytest.mark.parametrize(("agreement", "passed"), [(0.71, True), (0.7, False), (None, False)])
def test_generalisation_that_was_not_measured_does_not_pass(agreement, passed):
    verdict = judge(agreement=agreement)["generalisation"]
    assert verdict.passed == passed and (verdict.note == "") == (agreement is not None)


def test_only_what_is_asked_is_judged():
    assert list(judge(asked=Thresholds(sharpe=1.0))) == ["sharpe"]


def test_lines_say_what_failed():
    found = {"verdicts": [verdict.as_dict() for verdict in judge(agent=0.5, agreement=None).values()]}
    lines = verdict_lines(found)
    assert lines[0].startswith("FAILED  success: 0.5 [0.4, 0.6]; wanted more than 55% of entries")
    assert lines[3].startswith("FAILED  generalisation: not defined")


RANGES = {"half_spread": (0.002, 0.02), "news_rate": (0.1, 1.0), "depth": (50.0, 300.0)}


def rows_and_results(seed, noise, law):
    rows = draw_rows(2048, RANGES, seed, None)
    return rows, law(rows) + noise * np.random.default_rng(seed).normal(size=len(rows))


def spread_earns(rows):
    return 100.0 * rows["half_spread"] - rows["news_rate"]


def test_results_that_follow_the_rows_agree_over_buckets():
    (rows, results), (others, theirs) = rows_and_results(1, 0.5, spread_earns), rows_and_results(2, 0.5, spread_earns)
    found = rank_correlation((rows, others), (results, theirs))
    assert found is not None and found.value > 0.95 and found.low < found.value < found.high <= 1.0


def test_results_that_do_not_carry_over_do_not():
    """What was learnt on training rows is turned round on validation rows."""
    (rows, results), (others, theirs) = rows_and_results(1, 0.1, spread_earns), rows_and_results(2, 0.1, spread_earns)
    found = rank_correlation((rows, others), (results, -theirs))
    assert found is not None and found.value < -0.9


def test_chance_is_near_0():
    """32 buckets of noise: the deviation of the correlation is 1 / sqrt(31) = 0.18; four of them are a false alarm in
    16,000 seeds."""
    (rows, results), (others, theirs) = (
        rows_and_results(seed, 1.0, lambda rows: np.zeros(len(rows))) for seed in (3, 4)
    )
    found = rank_correlation((rows, others), (results, theirs))
    assert found is not None and abs(found.value) < 0.72


def test_rows_that_do_not_differ_have_no_buckets():
    rows = draw_rows(100, {}, 0, None)
    assert rank_correlation((rows, rows), (np.arange(100.0), np.arange(100.0))) is None


def test_a_field_that_most_rows_do_not_have_is_no_way_to_halve_them():
    """A quarter of the rows has cascades: their size is 0 elsewhere, and the median with it."""
    (rows, results), (others, theirs) = rows_and_results(1, 0.1, spread_earns), rows_and_results(2, 0.1, spread_earns)
    for part, result in ((rows, results), (others, theirs)):
        part["cascade_size"][: len(part) // 4] = 100.0
        result[: len(part) // 4] += 5.0  # it goes with the result more than any other
    found = rank_correlation((rows, others), (results, theirs))
    assert found is not None and found.value > 0.4  # the cascades are noise within the boxes
