"""The classifier tells what differs, does not tell what does not, and never judges a market it learnt from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from streams import by_hand, random_stream

from sim.scenarios.classifier import MOST_WINDOWS, auc, feature_names, score, windows
from sim.scenarios.trace import FULL, Feed, trace


def markets(seeds, scale=1):
    """Markets of about ten windows; sizes times ``scale``."""
    found = []
    for seed in seeds:
        events = random_stream(seed, 1000, with_gaps=False)
        events["qty"] *= scale
        found.append([trace(events)])
    return found


def test_auc_by_hand():
    # Pairs (0.1, 0.4), (0.1, 0.35), (0.4, 0.4), (0.4, 0.35): won, won, tied, lost: 2.5 of 4
    assert auc(np.array([0.1, 0.4, 0.35, 0.4]), np.array([0.0, 0.0, 1.0, 1.0])) == 0.625


def test_features_of_a_window_by_hand():
    rows = windows(trace(by_hand()), FULL)
    found = dict(zip(feature_names(FULL), rows.T, strict=True))
    assert len(rows) == 3  # 100 s, and the last 10 are no whole window
    # 0 to 30 s: spread 2 cents for 10 s, 1 cent for 20; one mid change, of half a cent; one change of the book
    assert found["log mean spread"][0] == pytest.approx(math.log(100 * (2 * 10 + 1 * 20) / 30))
    assert found["share of the time at the narrowest spread"][0] == pytest.approx(2 / 3)
    # A change at 10 s; none; the one at 60 s is how the last window begins
    assert found["log mid changes"].tolist() == [math.log1p(1), 0.0, 0.0]
    assert found["log range"][0] == pytest.approx(math.log(0.25 + 0.5))
    assert found["log changes"].tolist() == [math.log1p(1)] * 3
    assert found["log volume"].tolist() == [0.0, math.log1p(8), 0.0]
    assert found["log removed at the touch"].tolist() == pytest.approx([0.0, math.log1p(8), math.log1p(5)])


def test_markets_of_one_kind_are_not_told_apart():
    found = score(markets(range(12)), markets(range(100, 112)), FULL)
    assert found.low <= 0.5 <= found.high
    assert found.first >= 20 and found.second >= 20


def test_markets_that_differ_are():
    found = score(markets(range(8)), markets(range(100, 108), scale=5), FULL)
    assert found.auc > 0.95
    assert 0.9 < found.low <= found.auc <= found.high <= 1.0
    assert found == score(markets(range(8)), markets(range(100, 108), scale=5), FULL)  # same seed, same score


def test_a_copy_is_no_help():
    """Every market comes in both kinds: a fit that saw the judged windows would still be no better than guessing."""
    same = markets(range(10))
    assert score(same, same, FULL).auc == pytest.approx(0.5, abs=0.08)


def test_two_sides_of_one_game_are_judged_together():
    """Games of sizes 1 and 3,000 against 30 and 100: only who learns a game from one of its sides tells them."""
    scales = [1, 30, 3000, 100]
    halves = [[markets([seed + side], scale)[0] for side in range(0, 60, 10)] for seed, scale in enumerate(scales)]
    games = [[one for side in sides for one in side] for sides in halves]
    found = score(games[::2], games[1::2], FULL)
    apart = score([side for game in halves[::2] for side in game], [s for game in halves[1::2] for s in game], FULL)
    assert found.first == apart.first and found.second == apart.second  # the same windows
    assert apart.auc > 0.9 > found.auc + 0.2  # folds by side know every game's size, folds by game none


def test_features_are_those_that_the_feed_shows():
    shallow = feature_names(Feed(frozenset({"spread", "depth"}), levels=1))
    assert "log level 1" in shallow and "log level 2" not in shallow and "log prints" not in shallow
    assert len(feature_names(FULL)) == 18


def test_long_markets_are_looked_at_in_part():
    events = random_stream(1, 200, with_gaps=False)
    events["local_ns"] = events["local_ns"][0] + np.arange(len(events)) * 250 * 10**9
    assert len(windows(trace(events), FULL)) <= MOST_WINDOWS


def test_too_little_data():
    with pytest.raises(ValueError, match="3 windows of 1 markets in the first kind; expected at least 20"):
        score([[trace(by_hand())]], markets(range(3)), FULL)
