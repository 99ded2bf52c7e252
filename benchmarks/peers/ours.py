"""Our side: the replay of an in-memory tape, and a two-sided quoter inside the event loop."""

from __future__ import annotations

import time

import numpy as np

from sim.backtest import backtest, strategy
from sim.engine import Engine
from sim.kernel import inner
from sim.scenarios import Place, Scenario
from sim.scenarios.row import make_rows
from sim.shares import NONE
from sim.strategies import Parameter
from sim.strategies.market_makers import two_sided
from sim.strategies.ordering import own_order
from sim.tape import Tape
from sim.types import ASK, BID, DO_PLACE, GTC, NO, UUSD, YES

CASH_UUSD = 1_000_000_000 * UUSD  # hftbacktest asks for no cash: enough not to matter
FOREVER_S = 1e9


def scenario_of(tape: Tape, delay_ns: int) -> Scenario:
    """``tape`` played from its start, with constant delays and a queue that only prints bring forward."""
    delay_ms = delay_ns / 1e6
    rows = make_rows(order_delay_ms=delay_ms, cancel_delay_ms=delay_ms, cancel_rule=NONE, late_print_ms=0.0)
    return Scenario(rows, (Place(),), tapes=(tape,), names=("made-up",), replay_share=1.0, sequential=True)


def make_engine(scenario: Scenario) -> Engine:
    """One environment with more cash than it can need, on the queue model, at the start of the tape."""
    engine = Engine(scenario, 1, window_s=np.inf, cash_uusd=CASH_UUSD, fill_model="queue")
    engine.reset()
    return engine


def run_replay(scenario: Scenario) -> dict:
    """Seconds for the whole tape without an agent, and the rows it has."""
    engine = make_engine(scenario)
    first = int(engine.state.market["cursor"][0])
    begin = time.perf_counter()
    engine.advance(FOREVER_S)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "rows": int(engine.state.market["cursor"][0]) - first}


@inner
def _quote_side(seen, order, side, px, lots):
    """Join the touch of a side; what rests there keeps its place, and what is on its way is waited for."""
    own_px, own_qty, _ = own_order(seen, side)
    since = seen["own_bid_ns"] if side == BID else seen["own_ask_ns"]
    if own_qty > 0 and (since == 0 or own_px == px):
        return
    order["do"], order["px"], order["qty"] = DO_PLACE, px, lots
    order["leg"], order["tif"], order["post_only"] = YES if side == BID else NO, GTC, 1


@strategy("joins the touch of both sides", Parameter("lots", 1000.0, 1.0, 1e9, "lots an order"))
def row_quoter(screen, orders):
    """The task's quoter, called at every row."""
    seen = screen.seen[0]
    if two_sided(seen):
        _quote_side(seen, orders[0, BID], BID, seen["bid_px"], int(screen.params[0]))
        _quote_side(seen, orders[0, ASK], ASK, seen["ask_px"], int(screen.params[0]))


def run_quoter(scenario: Scenario, lots: int) -> dict:
    """Seconds for the whole tape with the quoter acting on every row, and what it did.

    The result's ``log`` is (F, 4) int64: tape row, side, level and lots of every fill.
    """
    engine = make_engine(scenario)
    begin = time.perf_counter()
    result = backtest(engine, row_quoter, {"lots": lots}, mark_s=60.0)
    seconds = time.perf_counter() - begin
    fills = result.fills
    log = np.zeros((len(fills), 4), np.int64)
    log[:, 0] = np.searchsorted(engine.world.events["local_ns"], fills["ns"])
    log[:, 1] = np.where(fills["qty"] > 0, BID, ASK)
    log[:, 2] = engine.grid.level_of[fills["px"]]
    log[:, 3] = np.abs(fills["qty"])
    return {
        "seconds": seconds,
        "rows": result.decisions,
        "fills": len(fills),
        "lots": int(log[:, 3].sum()),
        "orders": int(engine.state.account["sent_qty"][0]) // lots,
        "log": log,
    }
