"""The ladder: its grid, and best prices, totals and mid after any sequence of changes."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import CENTS, FREE, MILLS, engine_on, event, level, lots, opening, tape, wait
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.book import make_grid
from sim.types import ASK, BID, CLEAR, DELTA, END_OF_BATCH, PX_ONE


def test_a_grid_is_the_union_of_its_tick_tables():
    grid = make_grid([CENTS, ((0, 1000, 10), (1000, 9000, 100), (9000, 10_000, 10))])
    assert len(grid.px_of) == 99 + 2 * 90  # 9 mills between two cents, in ten cents at either end
    assert (np.diff(grid.px_of) > 0).all()
    assert (grid.level_of[grid.px_of] == np.arange(len(grid.px_of))).all()
    assert grid.level_of[[0, PX_ONE, 2550]].tolist() == [-1, -1, -1]
    assert grid.tick_ok[0, 110] == 0
    assert grid.tick_ok[1, 110] == 1
    assert grid.tick_ok[:, 5000].all()


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([], "at least one tick table"),
        ([()], "no ranges"),
        ([((0, 10_001, 1),)], "not an interval within"),
        ([((0, 100, 30),)], "does not divide"),
        ([((0, 100, 0),)], "does not divide"),
        ([((0, 200, 10), (100, 300, 10))], "overlap"),
    ],
)
def test_a_bad_grid_is_refused(tables, message):
    with pytest.raises(ValueError, match=message):
        make_grid(tables)


changes = st.lists(
    st.tuples(st.sampled_from([BID, ASK]), st.integers(1, 999), st.sampled_from([0, 0, 1, 5, 250])), max_size=25
)


@given(before=changes, after=changes, cut=st.booleans())
@settings(max_examples=40)
def test_the_book_is_a_dictionary_of_sizes(before, after, cut):
    """Best quotes, totals and sizes equal those of two dictionaries after every change; ``cut``: a second snapshot."""
    rows = list(opening({4000: 10}, {6000: 10}))
    steps = [(side, 10 * px, contracts) for side, px, contracts in before]
    rows += [level(2 + n, side, px, contracts) for n, (side, px, contracts) in enumerate(steps)]
    shown = [{4000: 10}, {6000: 10}]
    checks = [(1.5, [dict(side) for side in shown])]
    for n, (side, px, contracts) in enumerate(steps):
        shown[side][px] = contracts
        checks.append((2.5 + n, [dict(side) for side in shown]))
    if cut:
        shown = [{100: 3}, {200: 4}]
        rows += opening(*shown, second=40)
        checks.append((40.5, [dict(side) for side in shown]))
    for n, (side, px, contracts) in enumerate(after):
        rows.append(level(50 + n, side, 10 * px, contracts))
        shown[side][10 * px] = contracts
        checks.append((50.5 + n, [dict(side) for side in shown]))
    engine = engine_on(tape(*rows, fees=(FREE,), ticks=(MILLS,)))
    mid2 = None
    for second, (bids, asks) in checks:
        wait(engine, until=second)
        market, book, px_of = engine.state.market[0], engine.state.book[0], engine.grid.px_of
        for side, levels in ((BID, bids), (ASK, asks)):
            found = {int(px_of[i]): int(book[side, i]) for i in np.flatnonzero(book[side])}
            assert found == {px: lots(n) for px, n in levels.items() if n}
        best_bid = max((px for px, n in bids.items() if n), default=None)
        best_ask = min((px for px, n in asks.items() if n), default=None)
        assert (None if market["best_bid"] < 0 else px_of[market["best_bid"]]) == best_bid
        assert (None if market["best_ask"] == len(px_of) else px_of[market["best_ask"]]) == best_ask
        assert market["bid_total_qty"] == sum(lots(n) for n in bids.values())
        assert market["ask_total_qty"] == sum(lots(n) for n in asks.values())
        if best_bid is not None and best_ask is not None:
            mid2 = best_bid + best_ask if best_bid < best_ask else mid2  # a crossed book keeps its last mid
        elif mid2 is not None and best_bid is not None:
            mid2 = max(mid2, 2 * best_bid)  # so does a one-sided one, on the side that nobody quotes
        elif mid2 is not None and best_ask is not None:
            mid2 = min(mid2, 2 * best_ask)
        assert mid2 is None or market["mid2_px"] == mid2


def test_a_signed_change_adds_to_the_level():
    rows = [event(2, DELTA, BID, 4900, -0.25), event(3, DELTA, BID, 4900, 1.5)]
    engine = engine_on(tape(*opening({4900: 10}, {5100: 10}), *rows))
    wait(engine, until=2.5)
    assert engine.state.market["bid_total_qty"][0] == 975
    wait(engine, until=3.5)
    assert engine.state.market["bid_total_qty"][0] == 1125


def test_sizes_finer_than_a_lot_are_floored_and_fine_changes_refused():
    engine = engine_on(tape(*opening({4900: 10.019999}, {5100: 10})))
    assert engine.state.market["bid_total_qty"][0] == 1001
    with pytest.raises(
        ValueError, match=r"tape tape 0, row 3: a change of 5000 x 1e-6 contracts is not a whole number"
    ):
        engine_on(tape(*opening({4900: 10}, {5100: 10}), event(2, DELTA, BID, 4900, 0.005)))


def test_a_price_off_the_ladder_is_refused():
    with pytest.raises(ValueError, match="tape tape 0, row 3: price 4950 x 1e-4 lies on none of its tick tables"):
        engine_on(tape(*opening({4900: 10}, {5100: 10}), level(2, BID, 4950, 1)))


def test_a_change_below_zero_is_refused_when_the_tape_is_loaded():
    with pytest.raises(ValueError, match="tape tape 0, row 3: the change leaves a negative size"):
        engine_on(tape(*opening({4900: 10}, {5100: 10}), event(2, DELTA, BID, 4900, -11)))


def test_a_tape_without_a_whole_batch_is_refused():
    rows = [event(1, CLEAR, flags=0), level(1, BID, 4900, 1, flags=0)]
    with pytest.raises(ValueError, match="tape tape 0: no whole message batch"):
        engine_on(tape(*rows, end_s=None))
    assert opening({1: 1}, {})[-1]["flags"][0] == END_OF_BATCH
