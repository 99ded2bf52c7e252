"""Distances by arithmetic, yardsticks, and that nothing passes without data."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from streams import random_stream

from sim.scenarios.distance import Yardstick, compare, coordinates, distance, moments, share_passed
from sim.scenarios.facts import Fact, facts_of

DEPTH = Fact("depth/0-5", "depth", "positive", "contracts", ("bid1", "bid2"), (9.0, 0.0), resolution=1.0)
SHARE = Fact("touch_trade_share", "touch", "share", "", ("traded",), (0.25,))


def other(fact, *values):
    return replace(fact, values=values, missing="" if values else "not recorded")


def test_distances_by_hand():
    # log((9 + 1) / (4 + 1)) = log 2 and log((0 + 1) / (3 + 1)) = -log 4: 1.5 log 2 on average
    assert distance(DEPTH, other(DEPTH, 4.0, 3.0)) == pytest.approx(1.5 * math.log(2))
    assert distance(SHARE, other(SHARE, 0.75)) == 0.5
    assert distance(DEPTH, DEPTH) == 0.0


def test_distance_has_no_unit_and_no_direction():
    price = replace(DEPTH, resolution=0.0, values=(3.0, 5.0))
    one, two = other(price, 6.0, 50.0), other(price, 600.0, 5000.0)
    assert distance(price, one) == distance(one, price)
    assert distance(other(price, 300.0, 500.0), two) == pytest.approx(distance(price, one))


def test_verdicts():
    recorded = dict.fromkeys("abcdef", SHARE) | {"d": other(SHARE)}
    made = {"a": other(SHARE, 0.40), "b": other(SHARE, 0.41), "c": other(SHARE), "d": SHARE, "e": SHARE, "f": SHARE}
    measures = {name: Yardstick(0.1, 1) for name in "abcd"}
    found = dict(zip("abcdef", compare([(recorded, made)], measures), strict=True))
    assert [one.verdict for one in found.values()] == ["pass", "miss", "miss", *["not comparable"] * 3]
    assert found["c"].why == "other: not recorded" and math.isnan(found["c"].distance)  # shown by one, not the other
    assert found["d"].why == "recorded: not recorded"
    assert found["e"].why == "too few samples of two days can say it, or no fitted one"  # equal, and it does not pass
    assert share_passed(list(found.values())) == (1, 3)


def test_several_samples_are_compared_by_their_median():
    measures = {"touch_trade_share": Yardstick(0.1, 1)}

    def verdict(*values):
        """Of samples recorded as 0.25 against these; None is a sample that the recording cannot say."""
        pairs = [(SHARE, other(SHARE, value)) if value is not None else (other(SHARE), SHARE) for value in values]
        named = [({SHARE.name: one}, {SHARE.name: two}) for one, two in pairs]
        return compare(named, measures)[0]

    # distances 0.05, 0.15, 0.45: the median is 1.5 yardsticks
    assert verdict(0.30, 0.70, 0.40).verdict == "pass"
    assert verdict(0.30, 0.70, 0.40).distance == pytest.approx(0.15)
    assert verdict(0.45, 0.70, 0.40).verdict == "miss"
    assert verdict(None, None, None, 0.30).verdict == "pass"  # one of four: a quarter
    assert verdict(None, None, None, None, 0.30).verdict == "not comparable"


def test_a_yardstick_of_zero_asks_for_the_same_value():
    measures = {"touch_trade_share": Yardstick(0.0, 1)}
    recorded = {"touch_trade_share": SHARE}
    assert compare([(recorded, recorded)], measures)[0].verdict == "pass"
    assert compare([(recorded, {"touch_trade_share": other(SHARE, 0.2500001)})], measures)[0].verdict == "miss"


def test_a_market_is_at_no_distance_from_itself_and_passes_only_what_it_can_say():
    facts = facts_of([random_stream(seed, 3000, with_gaps=False) for seed in range(3)])
    found = compare([(facts, facts)], {name: Yardstick(0.0, 1) for name in facts})
    passed, comparable = share_passed(found)
    assert passed == comparable == sum(fact.known for fact in facts.values())
    assert 0 < comparable < len(facts)


def test_moments_are_the_distance():
    one, two = (facts_of([random_stream(seed, 3000)]) for seed in (1, 2))
    names, left, scales = moments(one, {"spread/20-40": Yardstick(0.3, 1)})
    same, right, none = moments(two)
    assert names == same and len(names) == len(left) == len(set(names)) and np.isnan(none).all()
    for fact in one:
        own = np.array([name.split(":")[0] == fact for name in names])
        expected = distance(one[fact], two[fact])
        assert np.abs(left - right)[own].mean() == pytest.approx(expected, nan_ok=True)
        assert np.isnan(left[own]).all() == (not one[fact].known)
        assert (scales[own] == 0.3).all() == (fact == "spread/20-40")


def test_bad_input():
    with pytest.raises(ValueError, match="at least one pair of samples, got none"):
        compare([], {})
    with pytest.raises(ValueError, match="expected one fact, seen through the same feed"):
        distance(DEPTH, SHARE)
    with pytest.raises(ValueError, match="lacks touch_trade_share"):
        compare([({"touch_trade_share": SHARE}, {})], {})
    with pytest.raises(ValueError, match="expected positive ones"):
        coordinates(other(DEPTH, -2.0, 1.0))
    with pytest.raises(ValueError, match="expected positive ones"):
        coordinates(replace(DEPTH, resolution=0.0))
