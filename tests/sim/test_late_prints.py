"""A trade shows as a print and as a drop of its level: in either order it counts once, and fills alike."""

from __future__ import annotations

import pytest
from by_hand import FREE, buy, engine_on, level, lots, opening, sell, send, tape, trade, wait
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.shares import RULE_NAMES
from sim.types import ASK, BID, QUEUE

BOOK = opening({5000: 80, 4900: 50}, {5200: 100})
FAR = trade(800, BID, 6000, 1)  # so that the feed has prints


def play(*rows, until=20, **row):
    """80 ahead of our 10 at 50 cents, 20 join behind us, then ``rows``; (lots filled, lots ahead)."""
    engine = engine_on(tape(*BOOK, level(2, BID, 5000, 100), *rows, FAR, fees=(FREE,)), **row)
    got = send(engine, bid=buy(5000, 10), until=until)[0]
    return got, int(engine.state.orders["ahead_qty"][0, 0]), engine


@pytest.mark.parametrize("rule", RULE_NAMES)
@pytest.mark.parametrize(("printed", "dropped"), [(30, 30), (30, 50), (85, 85), (80, 100), (85, 60), (90, 100)])
def test_either_order_ends_alike(rule, printed, dropped):
    """A print of 30 and a drop of 30 or more; 85 of the 100 shown reach us with 5; drops may be cancels in part."""
    print_, drop = (lambda s: trade(s, ASK, 5000, printed)), (lambda s: level(s, BID, 5000, 100 - dropped))
    rule = float(RULE_NAMES.index(rule))
    before = play(print_(3), drop(3.2), cancel_rule=rule)[:2]
    after = play(drop(3), print_(3.2), cancel_rule=rule)[:2]
    assert before == after
    assert before[0] == lots(max(0, min(10, printed - 80)))


def test_the_worked_example():
    """docs/fills.md in lots: 80 ahead, 20 behind, a drop of 50 and a print of 30; 50 - floor(20 x 50 / 70) = 36."""
    for print_s, drop_s in ((3, 3.2), (3.2, 3)):
        rows = sorted([(print_s, trade(print_s, ASK, 5000, 0.3)), (drop_s, level(drop_s, BID, 5000, 0.5))])
        book = opening({5000: 0.8, 4900: 50}, {5200: 100})
        late = [row for _, row in rows]
        engine = engine_on(tape(*book, level(2, BID, 5000, 1), *late, FAR, fees=(FREE,)))
        assert send(engine, bid=buy(5000, 10), until=20)[0] == 0
        assert engine.state.orders["ahead_qty"][0, 0] == 36


def test_too_late_a_print_is_another_trade():
    """The drop of 30 took floor(30 x 80 / 100) = 24 of the 80 ahead; a print of 30 a second later eats 30 of the 56."""
    assert play(level(3, BID, 5000, 70), trade(4, ASK, 5000, 30))[:2] == (0, lots(56 - 30))
    # within the window it is the same trade: 80 - 30
    assert play(level(3, BID, 5000, 70), trade(4, ASK, 5000, 30), late_print_ms=1000.0)[:2] == (0, lots(50))


def test_a_late_print_is_not_counted_twice():
    """Everyone ahead of us leaves; the print that tells of it comes 206 ms later and must not reach us."""
    got, ahead, _ = play(level(3, BID, 5000, 0), trade(3.206, ASK, 5000, 100))
    assert (got, ahead) == (lots(10), 0)  # 80 ahead, 10 ours of the rest of the print
    got, ahead, _ = play(level(3, BID, 5000, 20), trade(3.206, ASK, 5000, 80))
    assert (got, ahead) == (0, 0)


def test_several_drops_and_several_prints():
    """Two drops of 20, one print of 30 explains 30 of the 40: 80 - 30 = 50 ahead of 20 behind, then 10 are cancelled.

    Of these floor(10 x 50 / 70) = 7 stood ahead: 43 (all in lots, so 4285).
    """
    _, ahead, engine = play(level(3, BID, 5000, 80), level(3.1, BID, 5000, 60), trade(3.2, ASK, 5000, 30))
    assert ahead == lots(50) - lots(10) * 50 // 70 == 4286
    assert engine.state.orders["debit_qty"][0, 0] == lots(10)


def test_a_snapshot_forgets_what_is_to_be_explained():
    rows = [level(3, BID, 5000, 70), *opening({5000: 70}, {5200: 100}, second=3.1), trade(3.2, ASK, 5000, 30)]
    assert play(*rows)[1] == lots(56 - 30)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 40), st.booleans()), min_size=1, max_size=6),
    st.sampled_from(range(len(RULE_NAMES))),
)
@settings(max_examples=30)
def test_whole_trades_in_any_order_end_alike(trades, rule):
    """Pure trades of a level of 400, one a second, each print first or level first: the queue is the same."""
    book = opening({5000: 400}, {5200: 100})
    results = []
    for flip in (False, True):
        rows, shown = [], 400
        for number, (_, size, late) in enumerate(trades):
            second = 3 + number
            shown -= size
            order = (second, second + 0.05) if late == flip else (second + 0.05, second)
            rows.append((order[0], trade(order[0], ASK, 5000, size)))
            rows.append((order[1], level(order[1], BID, 5000, shown)))
        rows = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
        engine = engine_on(tape(*book, *rows, FAR, fees=(FREE,)), cancel_rule=float(rule))
        got = send(engine, bid=buy(5000, 10), until=20)[0]
        results.append((got, int(engine.state.orders["ahead_qty"][0, 0])))
    assert results[0] == results[1] == (0, lots(400 - sum(size for _, size, _ in trades)))


def test_a_maker_fill_is_journalled_with_the_mid_before_its_sweep():
    """Bids of 10 at 50 and ours at 49; a seller sweeps: a print and a drop at 50, then the print at 49, all at once."""
    rows = [trade(3, ASK, 5000, 10), level(3, BID, 5000, 0), trade(3, ASK, 4900, 5)]
    engine = engine_on(tape(*opening({5000: 10, 4000: 5}, {5200: 100}), *rows, FAR, fees=(FREE,)))
    assert send(engine, bid=buy(4900, 5), until=4)[0] == lots(5)
    fill = engine.state.fills[0, 0]
    assert (fill["px"], fill["mid2_px"], fill["maker"]) == (4900, 10_200, 1)  # not (4000 + 5200)
    # the level's change comes first: the mid before the change
    rows = [level(3, BID, 5000, 0), trade(3.03, ASK, 5000, 12)]
    engine = engine_on(tape(*opening({5000: 10, 4000: 5}, {5200: 100}), *rows, FAR, fees=(FREE,)))
    assert send(engine, bid=buy(5000, 5), until=4)[0] == lots(2)
    assert engine.state.fills[0, 0]["mid2_px"] == 10_200


@pytest.mark.parametrize(
    ("split", "traded"), [(0, [12, 12, 16]), (1, [0, 30, 0]), (2, [0, 0, 40])], ids=["share", "whole", "vanished"]
)
def test_drops_of_a_feed_without_trades(split, traded):
    """The ask's touch falls by 30, 30 and its last 40; 0.4 of each is 12, 12, 16.

    Whole: 12 owed is less than half of 30; 24 is not: traded, and -6 owed; 10 is less than half of 40: none.
    """
    rows = [level(3, ASK, 5200, 70), level(4, ASK, 5200, 40), level(5, ASK, 5200, 0)]
    engine = engine_on(
        tape(*opening({5000: 80}, {5200: 100}), *rows, fees=(FREE,)), drop_split=float(split), trade_share=0.4
    )
    found = []
    for second in (3.5, 4.5, 5.5):
        wait(engine, until=second)
        found.append(int(engine.state.market["bought_qty"][0]))
    each = [found[0], found[1] - found[0], found[2] - found[1]]
    assert each == [lots(x) for x in traded]


def test_the_rate_of_prints_does_not_depend_on_how_often_one_looks():
    """The same moment reached in one step or in forty, with observations between: the same chance to the last bit."""
    prints = [trade(2 + n / 4, BID, 5200, 1) for n in range(20)]
    chances = []
    for steps in (1, 40):
        engine = engine_on(tape(*BOOK, *prints, FAR, fees=(FREE,)), fill_model="probabilistic")
        for _ in range(steps):
            wait(engine, seconds=8 / steps)
            engine.state.market["n_prints"] = 0
        send(engine, bid=buy(5000, 10))
        chances.append(float(engine.state.orders["hazard"][0, 0]))
    assert chances[0] == chances[1]


def test_sellers_are_served_alike():
    rows = [level(3, ASK, 5200, 0), trade(3.1, BID, 5200, 104)]
    engine = engine_on(tape(*BOOK, *rows, FAR, fees=(FREE,)))
    assert engine.state.account["fill_model"][0] == QUEUE
    assert send(engine, ask=sell(5200, 10), until=4)[0] == -lots(4)
