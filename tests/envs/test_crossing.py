"""Features of linked markets by hand: broken bounds, arbitrage after fees, implied prices, the fair value's gate."""

import numpy as np
import pytest
from hand import cent_rules, empty_state, quote
from test_observe import Watcher, approx

from envs.links import bounds_of
from sim.links import Exclusive, Same
from sim.types import PAUSED, SECOND_NS, SETTLED

EXCLUSIVE = bounds_of([Exclusive((0, 1), exhaustive=False)])
COMPLEMENT = bounds_of([Exclusive((0, 1))])
SAME = bounds_of([Same(0, 1)])
FREE = cent_rules(taker_ppm=0)


def fresh(state):
    state.market["book_ns"] = state.account["now_ns"][0]
    return state


def linked(bids, asks, bounds, rules=FREE):
    """Features of the markets of one environment whose touches are ``{cents: contracts}`` each."""
    state = fresh(empty_state(1, len(bids)))
    for slot, (bid, ask) in enumerate(zip(bids, asks, strict=True)):
        quote(state, slot, bid, ask)
    watcher = Watcher(state, rules, bounds=bounds)
    names = watcher.schema.names
    return [dict(zip(names, row.tolist(), strict=True)) for row in watcher.observe()]


def soft(x, half=0.05):
    return approx(x / (abs(x) + half))


def test_exclusive_outcomes_whose_bids_sum_to_more_than_a_dollar():
    # selling both brings 0.62 + 0.45 = 1.07 and pays at most 1: 7 cents, for the 30 contracts that both touches give
    seen = linked([{62: 80}, {45: 30}], [{64: 10}, {47: 10}], EXCLUSIVE)
    for market in seen:
        assert market["link_edge"] == soft(0.07)
        assert market["link_size"] == approx(30 / 130)
        assert market["link_violation"] == approx(0.09 / 0.14)  # mids 0.63 + 0.46
        assert market["link_basis"] == 0.0  # no equality


def test_fees_eat_the_gain():
    # 7 % of 0.62 x 0.38 + 0.45 x 0.55 = 0.033817: 0.07 becomes 0.036183
    seen = linked([{62: 80}, {45: 30}], [{64: 10}, {47: 10}], EXCLUSIVE, cent_rules(taker_ppm=70_000))
    assert seen[0]["link_edge"] == soft(0.07 - 0.07 * (0.62 * 0.38 + 0.45 * 0.55))


def test_no_gain_has_no_size_and_a_missing_quote_no_edge():
    seen = linked([{50: 80}, {45: 30}], [{52: 10}, {47: 10}], EXCLUSIVE)
    assert seen[0]["link_edge"] == soft(-0.05)
    assert seen[0]["link_size"] == seen[0]["link_violation"] == 0.0
    seen = linked([{50: 80}, {}], [{52: 10}, {47: 10}], EXCLUSIVE)
    assert seen[0]["link_edge"] == -1.0


def test_one_event_on_two_venues():
    # buy at 47, sell at 50: 3 cents for 20 contracts; mids 46 and 51
    seen = linked([{45: 10}, {50: 20}], [{47: 60}, {52: 10}], SAME)
    assert seen[0]["link_edge"] == seen[1]["link_edge"] == soft(0.03)
    assert seen[0]["link_size"] == approx(20 / 120)
    assert seen[0]["link_basis"] == soft(-0.05)
    assert seen[1]["link_basis"] == soft(0.05)
    # the other venue's mid is the fair value of this one
    assert seen[0]["fair_available"] == 1.0
    assert seen[0]["fair_edge"] == soft(0.05)
    assert seen[0]["fair_sources"] == 0.5


def test_a_complement_implies_one_minus_the_other():
    seen = linked([{45: 10}, {50: 20}], [{47: 60}, {52: 10}], COMPLEMENT)
    assert seen[0]["link_basis"] == soft(0.46 - (1 - 0.51))


def test_a_market_without_links_has_zeros():
    seen = linked([{62: 80}, {45: 30}, {50: 10}], [{64: 10}, {47: 10}, {52: 10}], EXCLUSIVE)
    assert {value for name, value in seen[2].items() if name.startswith("link_")} == {0.0}


def test_correlation_of_moves():
    state = fresh(empty_state(1, 2))
    watcher = Watcher(state, bounds=SAME)
    rng = np.random.default_rng(0)
    mids = np.array([10_000, 9_000])
    for _ in range(40):
        state.market["mid2_px"] = mids
        out = watcher.observe()
        mids = mids + 100 * rng.integers(-1, 2) * np.array([1, 2])  # together, one twice as far
    column = watcher.schema.names.index("link_correlation")
    assert out[:, column] == approx([1.0, 1.0])


@pytest.mark.parametrize(
    ("forecast", "age_s", "others", "fair", "sources"),
    [
        (0.60, 1, [], 0.60, 1),
        (0.60, 31, [], None, 0),  # stale
        (None, 0, [], None, 0),
        (0.60, 1, [55], 0.575, 2),  # both within 10 cents of their middle
        (0.90, 1, [55], None, 0),  # they disagree by 35 cents: neither is trusted
        (0.90, 1, [55, 57], 0.56, 2),  # the forecast is 33 cents from the median 57
        (0.90, 31, [55, 57], 0.56, 2),
    ],
)
def test_the_fair_value_leaves_out_what_is_stale_or_far_off(forecast, age_s, others, fair, sources):
    state = fresh(empty_state(1, 1 + len(others)))
    for slot, cents in enumerate([50, *others]):
        quote(state, slot, {cents - 1: 10}, {cents + 1: 10})
    if forecast is not None:
        state.market[0]["signal_ppm"] = round(forecast * 1e6)
        state.market[0]["signal_ns"] = state.account[0]["now_ns"] - age_s * SECOND_NS
    bounds = bounds_of([Same(0, slot + 1) for slot in range(len(others))])
    seen = Watcher(state, bounds=bounds).look()
    assert seen["fair_available"] == (fair is not None)
    assert seen["fair_edge"] == soft(0.0 if fair is None else fair - 0.50)
    assert seen["fair_sources"] == approx(sources / (sources + 1))


@pytest.mark.parametrize("broken", ["old", "paused", "one-sided"])
def test_a_linked_market_that_is_not_healthy_is_no_source(broken):
    state = fresh(empty_state(1, 2))
    quote(state, 0, {49: 10}, {51: 10})
    quote(state, 1, {55: 10}, {} if broken == "one-sided" else {57: 10})
    if broken == "old":
        state.market[1]["book_ns"] -= 31 * SECOND_NS
    if broken == "paused":
        state.market[1]["status"] = PAUSED
    assert Watcher(state, bounds=SAME).look()["fair_available"] == 0.0


def test_the_deviation_of_a_second_has_the_fill_models_rate():
    # squared moves of bid + ask add up to S; rate = S log 2 / half-life, the mid moves half as far as bid + ask:
    # S = 4e6 px^2, half-life 64 x 2^29 ns = 34.36 s: sqrt(4e6 x .693147 / 34.36) / 2 = 142.0 px = 0.0142 dollars
    state = empty_state()
    quote(state, 0, {49: 10}, {51: 10})
    activity = state.market[0]["activity"]
    activity["bucket"] = state.account[0]["now_ns"] >> 29
    activity["squares"][0] = 4e6
    deviation = np.sqrt(4e6 * np.log(2) / (64 * 2**29 * 1e-9)) / 2 / 10_000
    assert deviation == pytest.approx(0.0142, abs=1e-5)
    assert Watcher(state).look()["fair_volatility"] == approx(deviation / (deviation + 0.01))


@pytest.mark.parametrize(
    ("payout", "violation", "basis"),
    [
        # the last mid of the settled market was 46 cents, the open one stands at 51: 46 + 51 = 97
        (0, 0.49, -0.49),  # it paid nothing: 51 cents against the dollar that is certain, 49 too little
        (10_000, 0.51, 0.51),  # it paid the dollar: the other is worth nothing
        (2500, 0.24, -0.24),  # 25 + 51 = 76
    ],
)
def test_a_settled_market_counts_with_its_payout(payout, violation, basis):
    state = fresh(empty_state(1, 2))
    quote(state, 0, {45: 10}, {47: 60})
    quote(state, 1, {50: 20}, {52: 10})
    state.market[0]["status"], state.market[0]["payout_px"] = SETTLED, payout
    watcher = Watcher(state, FREE, bounds=COMPLEMENT)
    seen = [dict(zip(watcher.schema.names, row.tolist(), strict=True)) for row in watcher.observe()]
    assert seen[1]["link_violation"] == soft(violation)
    assert seen[1]["link_basis"] == soft(basis)
    # and so the fair value of the other is known: the dollar less the payout
    assert (seen[1]["fair_available"], seen[1]["fair_sources"]) == (1.0, 0.5)
    assert seen[1]["fair_edge"] == soft(1 - payout / 10_000 - 0.51)
    # the settled one's basis is its payout less the dollar's rest by the other's mid
    assert seen[0]["link_basis"] == soft(payout / 10_000 - 0.49)
