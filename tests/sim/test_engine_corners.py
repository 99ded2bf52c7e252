"""Corners of the engine that the oracle found, each by hand: small recordings of one market at 50 and 51 cents."""

from __future__ import annotations

import numpy as np

from sim.engine import Engine
from sim.scenarios import Scenario
from sim.scenarios.row import make_rows
from sim.tape import FeeRates, Header, Market, Source, seal
from sim.types import (
    ASK,
    BID,
    CLEAR,
    DO_CANCEL,
    DO_PLACE,
    END_OF_BATCH,
    EVENT,
    FEES,
    FOK,
    GTC,
    INTENT,
    IOC,
    LEVEL,
    REJECT_FOK_UNFILLED,
    TRADE,
    YES,
)  # fmt: skip

MS = 1_000_000
BOOK = [(0, CLEAR, -1, 0, 0), (0, LEVEL, BID, 5000, 20), (0, LEVEL, ASK, 5100, 30)]


def engine_on(rows, *, cash_uusd=10_000_000_000, rates=((0, 0),), **row):
    """An engine on a Kalshi recording of ``(ms, kind, side, px, lots)`` rows, each a message of its own."""
    events = np.zeros(len(rows) + 1, EVENT)
    for event, (ms, kind, side, px, qty) in zip(events, rows, strict=False):
        event["local_ns"], event["kind"], event["side"], event["px"] = 10**9 + ms * MS, kind, side, px
        event["qty"] = qty * 10_000 if kind in (LEVEL, TRADE) else qty
    events["flags"][2:] = END_OF_BATCH  # CLEAR and the first two levels are one message
    events[-1]["local_ns"], events[-1]["kind"], events[-1]["side"] = 10**12, TRADE, -1  # the feed shows trades
    schedules = tuple(FeeRates(f"{i}", "kalshi", *rate) for i, rate in enumerate(rates))
    header = Header("kalshi", (Market("m", "m"),), (((0, 10_000, 100),),), schedules, (Source("s", "", "", ""),))
    values = {"order_delay_ms": 0, "cancel_delay_ms": 0, **row}
    scenario = Scenario(
        make_rows(1, **values), tapes=(seal(events, header),), names=("t",), replay_share=1.0, sequential=True
    )
    engine = Engine(scenario, 1, cash_uusd=cash_uusd, window_s=np.inf)
    engine.reset()
    return engine


def want(engine, side, qty=0, px=0, *, do=DO_PLACE, tif=GTC, budget=0, leg=YES):
    """Say what is wanted on one side, and let the messages that are due at once arrive."""
    intents = np.zeros((1, 2), INTENT)
    intents[0, side] = (qty, budget, 0, px, do, leg, tif, 0)
    engine.submit(intents[:, None])


def resting(engine):
    return [int(order["qty"]) for order in engine.state.orders[0] if order["id"]]


def takeable(engine, px):
    """Lots of an ask that an order may still take, by taking them from a copy."""
    before = engine.snapshot()
    want(engine, BID, 10_000, px, tif=IOC)
    engine.advance(1e-9)
    count = int(engine.state.account[0]["n_fills"])
    lots = int(engine.state.fills[0, :count]["qty"].sum())
    engine.restore(before)
    return lots


def test_a_cancel_that_overtakes_its_order_can_be_sent_again():
    engine = engine_on(BOOK, order_delay_ms=300, cancel_delay_ms=100)
    want(engine, BID, 5, 4900)
    engine.advance(0.05)
    want(engine, BID, do=DO_CANCEL)  # arrives at 150 ms; its order at 300 ms
    engine.advance(0.5)
    assert resting(engine) == [5]
    want(engine, BID, do=DO_CANCEL)
    engine.advance(0.5)
    assert resting(engine) == []


def test_an_order_that_takes_and_then_rests_is_journalled_as_taker_and_as_maker():
    # 40 lots wanted at 51 cents: 30 are shown, a print of 10 through us fills the rest in the same step
    engine = engine_on([*BOOK, (10, TRADE, ASK, 5000, 10)])
    want(engine, BID, 40, 5100)
    engine.advance(1)
    fills = engine.state.fills[0, : engine.state.account[0]["n_fills"]]
    assert [(int(f["qty"]), int(f["px"]), int(f["maker"])) for f in fills] == [(30, 5100, 0), (10, 5100, 1)]
    assert engine.state.pool[0, 0]["cash_uusd"] == 10_000_000_000 - 40 * 5100
    assert engine.state.position[0]["yes_qty"] == 40


def test_an_order_with_a_budget_never_rests():
    # 6 dollars of cash; a budget of 0.10 buys 19 of the 30 lots shown (0.0969); 3,000 lots (15.30) could not be paid
    engine = engine_on(BOOK, cash_uusd=6_000_000)
    want(engine, BID, 3000, 5100, budget=100_000)
    engine.advance(1)
    account = engine.state.pool[0, 0]
    assert engine.state.position[0]["yes_qty"] == 100_000 // 5100 == 19
    assert resting(engine) == []
    assert account["cash_uusd"] - account["reserved_uusd"] == 6_000_000 - 19 * 5100


def test_fill_or_kill_counts_what_its_budget_pays():
    # 30 lots are shown, but 0.10 dollars pay for 19 of the 30 wanted: all or nothing gives nothing
    engine = engine_on(BOOK)
    want(engine, BID, 30, 5100, tif=FOK, budget=100_000)
    engine.advance(1)
    assert engine.state.account[0]["last_reject"] == REJECT_FOK_UNFILLED
    assert engine.state.position[0]["yes_qty"] == 0


def test_a_print_that_fills_our_first_order_is_not_a_cancel_ahead_of_our_second():
    # 0 ms  ours A joins behind 20; 10 ms a print of 20 clears the queue, the level shows 20 anew
    # 15 ms ours B joins behind those 20; 20 ms others make it 40
    # 30 ms a print of 4 fills A; the level goes 40 -> 36 and tells of that print: B still has 20 ahead
    rows = [
        *BOOK, (10, TRADE, ASK, 5000, 20), (11, LEVEL, BID, 5000, 0), (12, LEVEL, BID, 5000, 20),
        (20, LEVEL, BID, 5000, 40), (30, TRADE, ASK, 5000, 4), (31, LEVEL, BID, 5000, 36),
    ]  # fmt: skip
    engine = engine_on(rows, cancel_delay_ms=60_000)  # A's cancel takes a minute: both rest
    want(engine, BID, 5, 5000)
    engine.advance(0.015)
    want(engine, BID, 7, 5000)
    engine.advance(0.1)
    assert resting(engine) == [1, 7]
    second = max(engine.state.orders[0], key=lambda order: order["id"])
    assert second["ahead_qty"] == 20


def test_a_level_that_a_snapshot_does_not_show_forgets_what_we_took():
    other = [(100, CLEAR, -1, 0, 0), (100, LEVEL, BID, 5000, 20), (100, LEVEL, ASK, 5200, 20)]
    engine = engine_on([*BOOK, *other, (200, LEVEL, ASK, 5100, 30)], used_life_s=5)
    want(engine, BID, 10, 5100, tif=IOC)
    engine.advance(0.05)
    assert takeable(engine, 5100) == 30 - 9  # 10 taken, 1 % of 5 s gone: floor(9.9) are missing
    engine.advance(0.2)
    assert takeable(engine, 5100) == 30


def test_consumed_liquidity_is_the_exact_floor():
    # 10 taken, 4.5 s of 5 s gone: floor(10 x 0.1) = 1 still missing; in binary, 10 x (1 - 0.9) is 0.99...98
    engine = engine_on(BOOK, used_life_s=5)
    want(engine, BID, 10, 5100, tif=IOC)
    engine.advance(1e-9)
    engine.advance(4.5 - 1e-9)
    assert takeable(engine, 5100) == 29


def test_new_fees_are_reserved_for_orders_that_rest_already():
    # 2,000 lots at 50 cents take all of 10 dollars; from 10 ms on makers pay 7 %, 0.35 dollars more than there is:
    # the venue can no longer let the order rest
    rows = [*BOOK, (10, FEES, -1, 0, 1), (20, TRADE, ASK, 4900, 2000)]
    engine = engine_on(rows, cash_uusd=10_000_000, rates=((0, 0), (70_000, 70_000)))
    want(engine, BID, 2000, 5000)
    engine.advance(0.005)
    assert engine.state.pool[0, 0]["reserved_uusd"] == 10_000_000
    engine.advance(1)
    pool = engine.state.pool[0, 0]
    assert pool["cash_uusd"] >= pool["reserved_uusd"]
    assert (pool["cash_uusd"], resting(engine)) == (10_000_000, [])
