"""Our side: the replay of an in-memory tape, and a two-sided quoter inside the event loop.

:func:`run_quoter` is the adapter: whatever runs compiled strategies goes behind it, and nothing else here knows how.
"""

from __future__ import annotations

import time

import numpy as np

from sim.desk import Desk
from sim.engine import Engine
from sim.kernel import hot, inner, kernel
from sim.latency import forget_message, next_message, want
from sim.matching import accept_cancel, accept_order
from sim.scenarios import Scenario
from sim.scenarios.replay import tape_event
from sim.scenarios.row import make_rows
from sim.state import ORDER_SLOTS
from sim.tape import Tape
from sim.types import ASK, BID, DO_PLACE, GTC, INTENT, NO, UUSD, YES

CASH_UUSD = 1_000_000_000 * UUSD  # hftbacktest asks for no cash: enough not to matter
FOREVER_S = 1e9

QUOTER = np.dtype(
    [
        ("busy_ns", "<i8", (2,)),  # when the last message of a side arrives: until then the side waits
        ("delay_ns", "<i8"),
        ("lots", "<i8"),
        ("fills", "<i8"),
        ("filled_qty", "<i8"),
        ("orders", "<i8"),
        ("rows", "<i8"),
    ]
)


def scenario_of(tape: Tape, delay_ns: int) -> Scenario:
    """``tape`` played from its start, with constant delays and a queue that only prints bring forward."""
    rows = make_rows(order_delay_ms=delay_ns / 1e6, cancel_delay_ms=delay_ns / 1e6, cancel_ahead=0.0)
    return Scenario(rows=rows, venue="kalshi", tapes=(tape,), names=("made-up",), replay_share=1.0, sequential=True)


def make_engine(scenario: Scenario) -> Engine:
    """One environment with more cash than it can need, on the queue model, at the start of the tape."""
    engine = Engine(scenario, 1, window_s=np.inf, cash_uusd=CASH_UUSD, fill_model="queue")
    engine.reset()
    return engine


def run_replay(scenario: Scenario) -> dict:
    """Seconds for the whole tape without an agent, and the rows it has."""
    engine = make_engine(scenario)
    first = int(engine.state.account["cursor"][0])
    begin = time.perf_counter()
    engine.advance(FOREVER_S)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "rows": int(engine.state.account["cursor"][0]) - first}


@inner
def _resting(desk, side):
    """Slot of the order of ours that rests on a side and that no cancel is under way for; -1 = none."""
    for index in range(ORDER_SLOTS):
        order = desk.market["orders"][index]
        if order["id"] > 0 and order["side"] == side and order["leaving"] == 0:
            return index
    return -1


@inner
def _quote_side(desk, quoter, side, intent, now):
    """Join the touch of a side; an order that rests there already keeps its place, partly filled or not."""
    market = desk.market
    touch = market["best_bid"] if side == BID else market["best_ask"]
    index = _resting(desk, side)
    if index >= 0 and market["orders"][index]["level"] == touch:
        return
    intent["do"] = DO_PLACE
    intent["px"] = desk.px_of[touch]
    intent["qty"] = quoter["lots"]
    intent["leg"] = YES if side == BID else NO
    intent["tif"] = GTC
    intent["post_only"] = 1
    want(desk, side, intent)
    quoter["busy_ns"][side] = now + quoter["delay_ns"]
    quoter["orders"] += 1


@hot
def _act(desk, quoter, intents, now):
    """The strategy, called at every row."""
    if desk.market["best_bid"] < 0 or desk.market["best_ask"] >= desk.book.shape[1]:
        return
    for side in range(2):
        if now >= quoter["busy_ns"][side]:
            _quote_side(desk, quoter, side, intents[side], now)


@inner
def _log_fills(desk, quoter, row, log):
    """Move the journal into ``log``, rows of (tape row, side, level, lots), and empty it."""
    for index in range(desk.account["n_fills"]):
        fill = desk.account["fills"][index]
        count = quoter["fills"]
        if count < len(log):
            log[count, 0] = row
            log[count, 1] = BID if fill["qty"] > 0 else ASK
            log[count, 2] = desk.level_of[fill["px"]]
            log[count, 3] = abs(fill["qty"])
        quoter["fills"] += 1
        quoter["filled_qty"] += abs(fill["qty"])
    desk.account["n_fills"] = 0


@inner
def _deliver(world, desk, now):
    """Our earliest message reaches the venue."""
    index = next_message(desk.account)
    message = desk.account["messages"][index]
    if message["cancel"] == 1:
        accept_cancel(desk, message)
    else:
        accept_order(desk, world.tick_ok, message, now)
    forget_message(desk.account, index)


@kernel
def _run(world, state, quoter, intents, log):
    account = state.account[0]
    desk = Desk(
        account, state.market[0], state.book[0], world.rows[account["row"]], world.px_of, world.level_of, world.fees
    )
    while account["cursor"] < account["cursor_end"]:
        event = world.events[account["cursor"]]
        event_ns = max(account["now_ns"], event["local_ns"])
        while account["next_due_ns"] < event_ns:
            account["now_ns"] = account["next_due_ns"]
            _deliver(world, desk, account["now_ns"])
        account["now_ns"] = event_ns
        tape_event(desk, event, event_ns)
        if account["n_fills"] > 0:
            _log_fills(desk, quoter, account["cursor"], log)
        account["cursor"] += 1
        _act(desk, quoter, intents, event_ns)
        quoter["rows"] += 1


def run_quoter(scenario: Scenario, delay_ns: int, lots: int, log_rows: int) -> dict:
    """Seconds for the whole tape with the quoter acting on every row, and what it did.

    The result's ``log`` is (F, 4) int64: tape row, side, level and lots of every fill.
    """
    engine = make_engine(scenario)
    quoter = np.zeros(1, QUOTER)
    quoter["delay_ns"], quoter["lots"] = delay_ns, lots
    log = np.zeros((log_rows, 4), np.int64)
    begin = time.perf_counter()
    _run(engine.world, engine.state, quoter[0], np.zeros(2, INTENT), log)
    seconds = time.perf_counter() - begin
    done = quoter[0]
    return {
        "seconds": seconds,
        "rows": int(done["rows"]),
        "fills": int(done["fills"]),
        "lots": int(done["filled_qty"]),
        "orders": int(done["orders"]),
        "rejects": int(engine.state.account["n_rejects"][0]),
        "log": log[: done["fills"]],
    }
