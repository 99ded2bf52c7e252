"""Facts of hand-made streams by arithmetic, what is said where the data cannot say, and the recordings' own table."""

from __future__ import annotations

import json

import numpy as np
import pytest
from importing import INTERPRETED
from streams import S, by_hand, random_stream, row, stream

from sim.importers import convert
from sim.scenarios.facts import EDGES, YES_EDGES, Fact, fact_names, facts_from, facts_of, from_json, to_json
from sim.scenarios.pooled import Pool, taker_orders, weighted_quantiles
from sim.scenarios.trace import FAMILIES, FULL, Feed, trace
from sim.types import ASK, BID, CLEAR, DELTA, LEVEL, PX_ONE, TRADE


def test_weighted_quantiles_by_hand():
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 1.0])
    # Summed weights 2, 3, 4 at the values 1, 2, 3: half of 4 is reached at 1, three quarters at 2
    assert weighted_quantiles(values, weights, (0.5, 0.75, 0.76, 1.0)).tolist() == [1.0, 2.0, 3.0, 3.0]
    assert weighted_quantiles(np.arange(1.0, 11.0), None, (0.1, 0.5, 0.9)).tolist() == [1.0, 5.0, 9.0]
    assert np.isnan(weighted_quantiles(np.zeros(0), None, (0.5,))).all()


def test_facts_by_hand():
    facts = facts_of([by_hand()])
    # Mid 41 and 41.5 cents for 100 s; the spread is 1 cent from 10 to 60 s, else 2: half of the time each
    assert facts["spread/40-50"].values == (1.0, 1.0, 2.0, 2.0)
    assert facts["spread/40-50"].amount == 100.0
    # Best bid 10 for 50 s and 5 for 50 s: half of the weight is reached at 5. Next bid: none (0) half of the time.
    # Best ask 20 until 30 s, then 12 for 70 s
    assert facts["depth/40-50"].values == (5.0, 0.0, 0.0, 0.0, 0.0, 12.0, 0.0, 0.0, 0.0, 0.0)
    assert facts["message_rate/40-50"].values == (0.03,)  # three changes in 100 s
    assert facts["mid_changes/40-50"].values == (0.02,)  # at 10 and 60 s
    assert facts["touch_turnover/40-50"].values == (0.13, 0.05)  # 8 + 5 removed, 5 added
    assert facts["touch_trade_share"].missing == "too little data: 1 trades, at least 100 are needed"
    # 100 starts a second apart; of moves over 30 s those that begin at 0 to 69 are known, too few
    assert facts["move_1s/40-50"].amount == 99  # the last second ends when the market closes
    assert facts["move_30s/40-50"].missing == "too little data: 70 starts, at least 100 are needed"
    assert facts["spread/5-10"].missing == "too little data: 0 seconds, at least 60 are needed"


def test_moves_and_jumps_by_hand():
    pool = Pool([trace(by_hand())], FULL, EDGES)
    moves, where = pool.moves(30)
    # From 0 .. 9 s to 30 .. 39 s and from 30 .. 59 s to 60 .. 89 s the mid moves by half a cent; else it stands
    assert (len(moves), (moves == 0.5).sum(), (moves == 0.0).sum()) == (70, 40, 30)
    assert set(where) == {4}
    assert [jump.tolist() for jump in pool.jumps] == [[], [], [], [], [0.5, 0.5]]


def test_orders_are_prints_of_one_stamp_and_side():
    prints = [(1, BID, 2), (1, BID, 3), (1, ASK, 4), (2, ASK, 1), (2, ASK, 1)]
    one = trace(stream(*(row(t, TRADE, side, 5000, size) for t, side, size in prints)))
    sizes, signs = taker_orders(one)
    assert (sizes.tolist(), signs.tolist()) == ([5.0, 4.0, 2.0], [1.0, -1.0, -1.0])
    unknown = trace(stream(row(1, TRADE, BID, 5000, 1), row(2, TRADE, -1, 5000, 1)))
    assert taker_orders(unknown)[1].size == 0  # one side not said: nothing is said of the flow


def test_flow_and_clustering_by_construction():
    # Takers' sides alternate: the autocorrelation is -1 at odd lags and 1 at even ones
    prints = [row(t, TRADE, t % 2, 5000, 1) for t in range(1, 800)]
    flow = facts_of([stream(*prints)])["flow"]
    assert flow.values == pytest.approx((-1.0, 1.0, -1.0, 1.0, 1.0), abs=1e-9)
    # The mid moves by a cent in every second, for ten seconds, then stands for ten: at a lag of 10 s moves and
    # standstills face each other, at lag 5 half of them do
    rows = [row(0, CLEAR, end=False), row(0, LEVEL, BID, 4000, 1, end=False), row(0, LEVEL, ASK, 6000, 1)]
    for second in range(1, 2001):
        moves = (second // 10) % 2
        up = sum((s // 10) % 2 for s in range(1, second + 1)) % 2
        rows += (
            [row(second - 0.5, LEVEL, BID, 4200, up)] if moves else [row(second - 0.5, LEVEL, BID, 3000, second % 2)]
        )
    values = facts_of([stream(*rows)])["clustering"].values
    assert values[3] == pytest.approx(-1.0, abs=0.02)
    assert abs(values[2]) < 0.05
    assert values[0] == pytest.approx(0.8, abs=0.02)  # one change in ten seconds: 1 - 2/10


def test_the_cheaper_leg_folds_a_market_onto_its_mirror():
    events = random_stream(5, with_gaps=False)
    mirror = events.copy()
    level = np.isin(events["kind"], (LEVEL, DELTA, TRADE))
    mirror["px"][level] = PX_ONE - events["px"][level]
    mirror["side"][level] = 1 - events["side"][level]
    folded, mirrored = facts_of([events]), facts_of([mirror])
    for name in folded:
        assert folded[name] == mirrored[name], name
    whole = facts_of([events], edges=YES_EDGES)
    seconds = [sum(fact.amount for name, fact in one.items() if "spread/" in name) for one in (whole, folded)]
    assert seconds[0] == pytest.approx(seconds[1]) and seconds[0] > 60
    assert whole["spread/40-60"].amount > 0 < whole["spread/60-80"].amount


def test_facts_do_not_depend_on_the_scale_of_time_stamps_or_the_order_of_markets():
    one, other = random_stream(1), random_stream(2)
    later = one.copy()
    later["local_ns"] += 10**15
    facts, same = facts_of([one, other]), facts_of([other, later])
    for name, fact in facts.items():
        assert same[name].values == pytest.approx(fact.values) and same[name].amount == pytest.approx(fact.amount)


def test_what_a_feed_does_not_show_is_missing_and_never_zero():
    feed = Feed(frozenset({"spread"}), levels=5)
    facts = facts_of([by_hand()], feed)
    assert tuple(facts) == fact_names()
    for fact in facts.values():
        if fact.family != "spread":
            assert (fact.values, fact.missing) == ((), f"the feed does not show {fact.family}")
    assert facts["spread/40-50"].known
    assert facts_of([by_hand()])["depth/40-50"].parts != facts["depth/40-50"].parts  # five levels: no level 10


def test_trades_said_as_a_volume():
    one = trace(by_hand())._replace(volume_ns=np.array([5, 20, 50]) * S, volume_qty=np.array([0, 4, 6]) * 10**6)
    pool = Pool([one], FULL, EDGES)
    # From 5 to 50 s: 6 contracts were traded, 8 were removed from the best ask
    assert (pool.touch_trades, pool.touch_traded, pool.touch_removed) == (2, 6.0, 8.0)


def test_json_round_trip():
    facts = facts_of([by_hand()])
    text = to_json(facts)
    assert from_json(text) == facts
    assert json.loads(text)["spread/40-50"]["values"] == [1.0, 1.0, 2.0, 2.0]
    with pytest.raises(ValueError, match="expected an object of facts"):
        from_json('{"spread": 3}')
    with pytest.raises(ValueError, match="expected an object of facts"):
        from_json("[]")


def test_every_fact_is_of_a_family():
    facts = facts_of([by_hand()])
    assert {fact.family for fact in facts.values()} == set(FAMILIES)
    assert all(isinstance(fact, Fact) and fact.name == name for name, fact in facts.items())


@pytest.mark.parametrize(
    "streams, edges, message",
    [
        ([], EDGES, "expected at least one stream"),
        ([by_hand()], (0, 30, 20, 100), "edges must ascend"),
        ([by_hand()], (5, 50), "edges must ascend"),
        ([by_hand()], (0, 60), "edges must ascend"),
    ],
)
def test_bad_input(streams, edges, message):
    with pytest.raises(ValueError, match=message):
        facts_of(streams, edges=edges)


@pytest.mark.skipif(INTERPRETED, reason="2.4 million rows through an interpreted kernel take minutes")
def test_the_table_of_the_kalshi_recording(recordings):
    """Against the set's published digest, which was measured on more sessions, by other code."""
    tapes = dict(convert(recordings / "kalshi_kxbtc15m_l2").tapes)
    facts = facts_from([trace(tape.events) for tape in tapes.values()], edges=YES_EDGES)
    spreads = {
        "0-5": (0.1, 0.3),
        "5-10": (0.1, 0.6),
        "20-40": (1, 1),
        "40-60": (1, 1),
        "60-80": (1, 1),
        "95-100": (0.1, 0.3),
    }
    for bucket, (p10, p50) in spreads.items():
        assert facts[f"spread/{bucket}"].values[:2] == (p10, p50)
    rates = {
        "0-5": 56,
        "5-10": 128,
        "10-20": 97,
        "20-40": 106,
        "40-60": 108,
        "60-80": 106,
        "80-90": 92,
        "90-95": 129,
        "95-100": 59,
    }
    for bucket, rate in rates.items():
        assert facts[f"message_rate/{bucket}"].values[0] == pytest.approx(rate, rel=0.15)
    assert facts["move_1s/40-60"].values == (0.0, 2.0, 8.0)  # exactly the digest's
    assert facts["move_5s/40-60"].values == pytest.approx((1.5, 7.0, 17.0), abs=0.6)
    assert facts["move_30s/40-60"].values == pytest.approx((6.5, 18.0, 40.0), rel=0.1)
    assert facts["depth/40-60"].values[:5] == pytest.approx((448, 911, 716, 233, 141), rel=0.2)
    removed, added = facts["touch_turnover/40-60"].values
    assert (removed, added) == (pytest.approx(1800, rel=0.15), pytest.approx(2200, rel=0.25))
    assert "says nothing of trades" in facts["touch_trade_share"].missing
