"""A synthetic market written down as events: rebuilt from them, it is the same market."""

from __future__ import annotations

import numpy as np
import pytest

from sim.engine import Engine
from sim.scenarios import Scenario
from sim.scenarios.portfolio import cross_venue, single
from sim.scenarios.record import record
from sim.scenarios.row import make_rows
from sim.types import ASK, BID, CLEAR, END_OF_BATCH, LEVEL, SETTLE, SIGNAL, STATUS, TRADE

BUSY = make_rows(
    2, life_s=np.array([20.0, 100.0]), pull=0.4, excite=0.4, cascade_rate=0.1, outage_rate=0.2, signal_rate=1.0,
    noise_rate=6.0,
)  # fmt: skip


def rebuilt(events):
    """{px: micro-contracts} of either side after the last event, and what was bought and sold."""
    book, taken = ({}, {}), [0, 0]
    for event in events:
        if event["kind"] == LEVEL:
            book[event["side"]][int(event["px"])] = int(event["qty"])
        elif event["kind"] == TRADE:
            taken[event["side"]] += int(event["qty"])
    return [{px: qty for px, qty in side.items() if qty} for side in book], taken


def test_the_events_rebuild_the_market():
    tapes = record(BUSY, 15.0, seed=3, portfolio=cross_venue())
    assert len(tapes) == 4  # two rows, two markets
    for number, events in enumerate(tapes):
        row, market = divmod(number, 2)
        engine = Engine(Scenario(BUSY[row : row + 1], portfolio=cross_venue()), 1, seed=3, first_env=row)
        engine.reset()
        engine.advance(15.0)
        slot, px_of = engine.state.market[market], engine.grid.px_of
        book = engine.state.book[market]
        shown, taken = rebuilt(events)
        for side in (BID, ASK):
            assert shown[side] == {int(px_of[i]): int(book[side, i]) * 10_000 for i in np.flatnonzero(book[side])}
        assert taken == [slot["bought_qty"] * 10_000, slot["sold_qty"] * 10_000]
        assert (events["kind"] == TRADE).sum() == slot["n_prints"]
        assert events["kind"][0] == CLEAR
        assert events["flags"][-1] == END_OF_BATCH
        assert (np.diff(events["local_ns"]) >= 0).all()
        assert (events["market"] == market).all()


def test_a_market_that_closes_ends_with_its_payout():
    events = record(BUSY[:1], 60.0)[0]
    assert events["kind"][-1] == SETTLE
    assert events["local_ns"][-1] == 21 * 10**9  # it opened at one second, for twenty
    assert events["px"][-1] in (0, 10_000)
    assert {SIGNAL, STATUS} <= set(events["kind"].tolist())


def test_the_same_seed_gives_the_same_events_and_a_short_buffer_changes_nothing(monkeypatch):
    whole = record(BUSY[1:], 20.0, seed=1, portfolio=single())[0]
    monkeypatch.setattr("sim.scenarios.record._CHUNK", 1)
    assert (record(BUSY[1:], 20.0, seed=1)[0] == whole).all()
    assert len(whole) > 300


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_seconds(seconds):
    with pytest.raises(ValueError, match="expected a positive number of seconds"):
        record(BUSY, seconds)
