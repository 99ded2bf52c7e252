"""How far two accounts part, what live fills are beside simulated ones; when a decision is due; what is counted."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.shadow.divergence import Divergence, FillsCompared, Gate
from live.shadow.pace import Pace
from live.shadow.tally import Curve
from sim.types import ASK, BID, DO_CANCEL, DO_NOTHING, DO_PLACE, INTENT, NO, SECOND_NS, YES

FLAT = np.zeros((2, 1), np.int64)
EVEN = np.array([10_000_000_000, 10_000_000_000])


def orders(accounts=2, markets=1):
    return np.zeros((accounts, markets, 2), INTENT)


def placing(**changes):
    """Both accounts place the same bid; ``changes`` to the second one's."""
    found = orders()
    for account in (0, 1):
        for name, value in {"do": DO_PLACE, "px": 4800, "qty": 500, "leg": YES, "tif": 1}.items():
            found[account, 0, BID][name] = value
    for name, value in changes.items():
        found[1, 0, BID][name] = value
    return found


def share_of(found):
    divergence = Divergence(Gate(), 0, 1, found.shape[1])
    divergence.add(found, np.zeros(found.shape[:2], np.int64), EVEN)
    return divergence.measured.disagreement


def test_the_same_orders_are_no_disagreement():
    assert share_of(placing()) == 0.0 == share_of(orders())


@pytest.mark.parametrize("changes", [{"px": 4700}, {"qty": 400}, {"leg": NO}, {"tif": 2}, {"do": DO_CANCEL}])
def test_orders_that_differ_in_anything_that_counts_do(changes):
    assert share_of(placing(**changes)) == 1.0


@pytest.mark.parametrize("do", [DO_NOTHING, DO_CANCEL])
def test_what_stands_in_an_order_that_places_nothing_does_not_count(do):
    found = placing(px=4700, qty=1)
    found["do"][:, 0, BID] = do
    assert share_of(found) == 0.0


def test_one_side_is_enough_and_markets_are_counted_each():
    divergence = Divergence(Gate(), 1, 0, 3)
    found = orders(2, 3)
    found[0, 1, ASK]["do"] = DO_CANCEL
    divergence.add(found, np.zeros((2, 3), np.int64), EVEN)
    divergence.add(orders(2, 3), np.zeros((2, 3), np.int64), EVEN)
    assert divergence.by_market.tolist() == [0.0, 0.5, 0.0] and divergence.measured.disagreement == 0.5


def test_positions_and_results_by_hand():
    divergence = Divergence(Gate(), 1, 0, 2)
    # contracts: |3 - 1| and |0 - -2|, mean 2; then |5 - 1| and 0, mean 2; of both 2
    divergence.add(orders(2, 2), np.array([[100, -200], [300, 0]]), EVEN)
    divergence.add(orders(2, 2), np.array([[100, 0], [500, 0]]), np.array([10_000_000_000, 9_990_000_000]))
    assert divergence.measured == (2, 0.0, 2.0, -10_000_000)


def test_the_gate_of_results_holds_from_the_first_decision_and_shares_from_later_on():
    gate = Gate(least_decisions=3, disagreement=0.5, position=1.0, loss_usd=5.0)
    divergence = Divergence(gate, 0, 1, 1)
    apart = placing(px=4700)
    divergence.add(apart, np.array([[200], [0]]), EVEN - [5_000_000, 0])
    assert divergence.breaches() == {} and divergence.worst is None  # five dollars are allowed
    divergence.add(apart, np.array([[200], [0]]), EVEN - [5_000_001, 0])
    assert list(divergence.breaches()) == ["result"] and divergence.worst is None
    divergence.add(apart, np.array([[200], [0]]), EVEN)
    assert divergence.breaches() == {
        "disagreement": "other orders at 100.0% of decisions; 50.0% allowed",
        "position": "positions 2.0 contracts apart; 1 allowed",
    }
    assert divergence.worst == 2.0  # both at twice their limit; nothing is lost now
    divergence.add(apart, np.array([[200], [0]]), EVEN - [12_500_000, 0])
    assert (
        divergence.worst == 2.5 and divergence.breaches()["result"] == "result $12.50 below the other's; $5.00 allowed"
    )


def test_a_policy_that_earns_more_diverges_by_no_loss():
    divergence = Divergence(Gate(least_decisions=1, loss_usd=1.0), 0, 1, 1)
    divergence.add(orders(), FLAT, EVEN - [-(10**9), 0])
    assert divergence.worst == 0.0 and divergence.breaches() == {}


@pytest.mark.parametrize(
    "gate",
    [{"loss_usd": 0.0}, {"loss_usd": math.nan}, {"disagreement": -0.1}, {"position": math.nan}, {"least_decisions": 0},
     {"least_fills": 0}, {"fill_share": 0.0}],
)  # fmt: skip
def test_a_gate_that_lets_nothing_or_everything_through_is_refused(gate):
    with pytest.raises(ValueError, match="expected counts of at least 1 and limits above 0"):
        Gate(**gate)


# Live fills beside simulated ones


def compare(gate, live, simulated):
    """Each a list of (market, side, px, lots)."""
    compared = FillsCompared(gate)
    for place, fills in ((True, live), (False, simulated)):
        for market, side, px, lots in fills:
            compared.add(live=place, market=market, side=side, px=px, lots=lots)
    return compared


def test_fills_by_hand():
    gate = Gate(least_fills=2, fill_share=0.5, fill_px=50.0)
    live, simulated = [(0, BID, 5000, 100)], [(0, BID, 5100, 200)]
    assert compare(gate, live, simulated).apart is None and compare(gate, live, simulated).breaches() == {}
    live.append((0, BID, 5200, 300))  # mean (500,000 + 1,560,000) / 400 = 5150
    # 200 of 400 lots are missing, bought 50 x 1e-4 dearer
    assert compare(gate, live, simulated).apart == (0.5, 50.0) and compare(gate, live, simulated).breaches() == {}
    live.append((0, BID, 5160, 100))  # 500 lots, mean 5152
    assert compare(gate, live, simulated).apart == (0.6, 52.0)
    assert compare(gate, live, simulated).breaches() == {
        "fill_share": "live and simulated fills 60% of lots apart; 50% allowed",
        "fill_px": "live fills 52 x 1e-4 dollar worse than simulated ones; 50 allowed",
    }
    live, simulated = ([(0, ASK, px, lots) for _, _, px, lots in fills] for fills in (live, simulated))
    assert compare(gate, live, simulated).apart == (0.6, 0.0), "sold 52 dearer is better, and no breach"


def test_another_share_of_markets_is_no_other_price():
    """At 10 cents and at 90 cents, the same prices in both: only 100 of 2,000 lots are missing."""
    pair = [(0, BID, 1000, 100), (1, BID, 9000, 100)]
    compared = compare(Gate(), 10 * pair, 10 * pair[1:] + 9 * pair[:1])
    assert compared.apart == (0.05, 0.0) and compared.breaches() == {}


def test_prices_against_us_on_both_sides_do_not_cancel():
    """Live buys at 60 and sells at 40 cents what the simulator buys at 40 and sells at 60: 20 cents worse each."""
    live, simulated = [(0, BID, 6000, 100), (0, ASK, 4000, 100)], [(0, BID, 4000, 100), (0, ASK, 6000, 100)]
    assert compare(Gate(), 10 * live, 10 * simulated).apart == (0.0, 2000.0)
    assert list(compare(Gate(), 10 * live, 10 * simulated).breaches()) == ["fill_px"]
    assert compare(Gate(), 10 * simulated, 10 * live).apart == (0.0, 0.0), "better is not apart"


def test_prices_are_weighed_by_live_lots():
    # 300 lots 40 worse, 100 lots 80 better: (12,000 - 8,000) / 400 = 10; lots: 200 + 0 of 400
    live, simulated = [(0, BID, 5040, 300), (1, ASK, 6080, 100)], [(0, BID, 5000, 100), (1, ASK, 6000, 100)]
    assert compare(Gate(least_fills=1), live, simulated).apart == (0.5, 10.0)


@pytest.mark.parametrize(
    ("simulated", "share"), [([], 1.0), ([(0, ASK, 5000, 1)], 2.0), ([(1, BID, 5000, 1)], 2.0)]
)  # fmt: skip
def test_fills_that_the_simulator_never_gave_are_as_far_apart_as_can_be(simulated, share):
    compared = compare(Gate(least_fills=1), [(0, BID, 5000, 1)], simulated)
    assert compared.apart == (share, math.inf) and set(compared.breaches()) == {"fill_share", "fill_px"}


# When a decision is due


def paced(events=None, dt_s=1.0):
    stream = SimpleNamespace(events=100, over=False)
    return Pace(10 * SECOND_NS, dt_s, events, stream), stream


def test_every_so_often():
    pace, _ = paced()
    assert not pace.counts and pace.wait_s(10 * SECOND_NS) == 1.0
    assert pace.due(11 * SECOND_NS - 1) is None
    assert pace.due(11 * SECOND_NS) == 11 * SECOND_NS  # the moment itself
    assert pace.due(11 * SECOND_NS + 1) is None
    assert pace.due(12 * SECOND_NS + 400) == 12 * SECOND_NS  # looked at late: the moment, not now
    assert pace.wait_s(12 * SECOND_NS + SECOND_NS // 4) == 0.75 and pace.skipped == 0


def test_moments_that_passed_are_skipped_and_counted():
    pace, _ = paced()
    assert pace.due(14 * SECOND_NS + 5) == 14 * SECOND_NS and pace.skipped == 3  # 11, 12 and 13
    assert pace.due(15 * SECOND_NS) == 15 * SECOND_NS and pace.skipped == 3


def test_a_clock_that_is_set_back_waits():
    pace, _ = paced()
    assert pace.due(11 * SECOND_NS) is not None
    assert pace.due(5 * SECOND_NS) is None and pace.wait_s(5 * SECOND_NS) == 7.0 and pace.skipped == 0


def test_after_so_many_events():
    pace, stream = paced(events=10)
    assert pace.counts and pace.wait_s(0) == math.inf
    stream.events = 109
    assert pace.due(11 * SECOND_NS) is None
    stream.events = 110
    assert pace.due(11 * SECOND_NS) == 11 * SECOND_NS
    assert pace.due(12 * SECOND_NS) is None
    stream.events = 135  # a burst is one decision, and the next comes ten events after it
    assert pace.due(13 * SECOND_NS) == 13 * SECOND_NS and pace.due(14 * SECOND_NS) is None
    stream.events = 145
    assert pace.due(15 * SECOND_NS) == 15 * SECOND_NS
    stream.events = 147  # nothing more comes once the markets have settled
    assert pace.due(16 * SECOND_NS) is None
    stream.over = True
    assert pace.due(17 * SECOND_NS) == 17 * SECOND_NS


@given(st.lists(st.integers(0, 5 * SECOND_NS), min_size=1, max_size=50), st.sampled_from([0.1, 1.0, 2.5]))
def test_moments_only_go_forward_and_none_is_lost_count_of(steps, dt_s):
    pace, _ = paced(dt_s=dt_s)
    now, step_ns, moments = 10 * SECOND_NS, round(dt_s * SECOND_NS), []
    for step in steps:
        now += step
        moment = pace.due(now)
        if moment is not None:
            assert 0 <= now - moment < step_ns
            moments.append(moment)
    assert moments == sorted(set(moments))
    assert all((moment - 10 * SECOND_NS) % step_ns == 0 for moment in moments)
    if moments:
        assert len(moments) + pace.skipped == (moments[-1] - 10 * SECOND_NS) // step_ns


# Curves


def test_a_curve_that_is_full_is_thinned_and_keeps_its_ends():
    curve = Curve(4)
    assert curve.points == ()
    for number in range(1, 4):
        curve.add(number, 10 * number)
    assert curve.points == ((1, 10), (2, 20), (3, 30))
    curve.add(4, 40)  # full: 2 and 4 go, and every second one is kept from now on
    assert curve.points == ((1, 10), (3, 30), (4, 40))
    curve.add(5, 50)
    curve.add(6, 60)
    assert curve.points == ((1, 10), (3, 30), (5, 50), (6, 60))


@given(st.integers(1, 3000), st.integers(2, 50))
def test_a_curve_is_bounded_in_order_and_ends_where_it_ends(count, most):
    curve = Curve(most)
    for number in range(count):
        curve.add(number, -number)
    points = curve.points
    assert len(points) <= most and points[0] == (0, 0) and points[-1] == (count - 1, 1 - count)
    assert list(points) == sorted(set(points)) and len(points) > min(count, most) // 2 - 1
