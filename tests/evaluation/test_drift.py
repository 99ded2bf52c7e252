"""When a policy asks for a refresh: money down by a fifth, or accuracy by 15 points."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import made_up

from evaluation.drift import Seen, as_report, drift, lines
from evaluation.patterns import gained_entries

PATTERNS = ["signal", "flow"]


def seen(seed=0, skill=0.8, count=80, looks=(0.5, 0.1)):
    episodes = made_up(count, 60, seed=seed, skill=skill, maker=True)
    fills = np.stack([np.ones(len(episodes.fill), np.bool_), np.arange(len(episodes.fill)) % 2 == 0], axis=1)
    return Seen(episodes, fills, np.array(looks))


def paid(one, cents):
    """The same episodes, each ``cents`` dollar cents better."""
    return one._replace(episodes=replace(one.episodes, final_uusd=one.episodes.final_uusd + cents * 10_000))


def mean_usd(one):
    return one.episodes.result_uusd.mean() / 1e6


def test_nothing_new_is_no_drift():
    report = as_report(drift(seen(), seen(), PATTERNS))
    assert not report["refresh"]
    assert all(entry["change"] == 0 for entry in report["changes"].values())
    assert list(report["changes"]) == [
        "performance", "accuracy", "signal_strength", "signal_accuracy", "flow_strength", "flow_accuracy",
    ]  # fmt: skip


@pytest.mark.parametrize(("share", "fell"), [(0.19, False), (0.21, True), (-0.5, False)])
def test_money_that_fell_by_more_than_a_fifth_is_a_trigger(share, fell):
    then = paid(seen(), 100 * 100 - 100 * mean_usd(seen()))  # $100 an episode
    report = as_report(drift(then, paid(then, -100 * 100 * share), PATTERNS))
    entry = report["changes"]["performance"]
    assert entry["then"] == pytest.approx(100.0) and entry["change"] == pytest.approx(-100.0 * share)
    assert entry["fell"] == report["refresh"] == fell


def test_a_policy_that_lost_before_cannot_fall_by_a_share():
    then = paid(seen(), -100 * 100 - 100 * mean_usd(seen()))
    assert not as_report(drift(then, paid(then, -5000), PATTERNS))["changes"]["performance"]["fell"]


def test_accuracy_that_fell_by_more_than_15_points_is_a_trigger():
    then, now = seen(skill=1.0), seen(seed=1, skill=0.0)
    shares = []
    for one in (then, now):
        counted, gained = gained_entries(one.episodes, np.ones(len(one.episodes.fill), np.bool_))
        shares.append(gained.sum() / counted.sum())
    entry = as_report(drift(then, now, PATTERNS))["changes"]["accuracy"]
    assert (entry["then"], entry["now"]) == pytest.approx(tuple(shares))
    assert entry["fell"] == (shares[0] - shares[1] > 0.15)
    assert shares[0] - shares[1] > 0.15 and entry["high"] < 0  # and it is no chance


def test_what_is_not_there_has_not_fallen():
    """No entries now: accuracy is not defined, and nobody has seen it fall."""
    empty = made_up(20, 30, rate=0.0)
    now = Seen(empty, np.zeros((0, 2), np.bool_), np.array([0.0, 0.0]))
    entry = as_report(drift(seen(), now, PATTERNS))["changes"]["accuracy"]
    assert entry["now"] is None and not entry["fell"]


def test_lines_say_what_fell():
    then = paid(seen(), 100 * 100 - 100 * mean_usd(seen()))
    found = lines(as_report(drift(then, paid(then, -5000), PATTERNS)))
    assert found[0].startswith("FELL performance") and "100 -> 50" in found[0]
    assert found[2].split()[0] == "signal_strength"
