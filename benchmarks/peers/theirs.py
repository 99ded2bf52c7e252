"""hftbacktest's side, run by its own Python: ``python theirs.py EVENTS.npz SETTINGS.json``.

Imports nothing of this project: the two have different versions of NumPy, and this one compiles with its own Numba.
Commands come as lines on standard input, ``replay``, ``quote`` or ``fills``; each is answered by one JSON line. Setting
up is not timed: the events are in memory and the engine is built before the clock starts.

The exchange is ``PartialFillExchange`` with ``RiskAdverseQueueModel``: behind the size shown when the order
arrives, only trades bring it forward, and it is never further back than what the level shows. The order's way takes
``delay_ns``, its answer 0. No fees.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import hftbacktest
import numpy as np
from numba import jit
from numpy.typing import NDArray

END_OF_DATA, MARKET_FEED, ORDER_RESPONSE = 1, 2, 3  # answers of wait_next_feed
PARTIALLY_FILLED = 5  # a status of hftbacktest/order.py that has no public name
LOTS = 100  # a contract
FOREVER = 10**17  # ns: further than any tape reaches


def build(events: NDArray, settings: dict) -> Any:
    """A fresh backtest of ``events``, on the array book, which is hftbacktest's faster one."""
    asset = (
        hftbacktest.BacktestAsset()
        .data(events)
        .linear_asset(1.0)
        .constant_order_latency(settings["delay_ns"], 0)
        .risk_adverse_queue_model()
        .partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(0.01)
        .lot_size(0.01)
        .roi_lb(0.0)
        .roi_ub(1.0)
        .last_trades_capacity(0)
    )
    return hftbacktest.ROIVectorMarketDepthBacktest([asset])


@jit(nopython=True)
def _tally(orders, order_id, known, side, row, log, counts):
    """Note what order ``order_id`` has filled since ``known`` lots were left. Returns the lots that rest now."""
    if known == 0:
        return 0
    order = orders.get(order_id)
    if order is None:
        return 0
    left = round(order.leaves_qty * LOTS)
    if left < known:
        if counts[0] < len(log):
            log[counts[0], 0] = row
            log[counts[0], 1] = side
            log[counts[0], 2] = order.price_tick
            log[counts[0], 3] = known - left
        counts[0] += 1
        counts[1] += known - left
    status = order.status
    return left if status in (hftbacktest.NEW, PARTIALLY_FILLED) else 0


@jit(nopython=True)
def _replace(engine, side, old_id, old_left, number, tick, lots):
    if old_left > 0:
        engine.cancel(0, old_id, False)
    engine.clear_inactive_orders(0)
    price, contracts = tick / 100, lots / LOTS
    if side == 0:
        engine.submit_buy_order(0, number, price, contracts, hftbacktest.GTX, hftbacktest.LIMIT, False)
    else:
        engine.submit_sell_order(0, number, price, contracts, hftbacktest.GTX, hftbacktest.LIMIT, False)


@jit(nopython=True)
def quote(engine, opening, delay_ns, lots, log, counts):
    """Join the touch with one order a side at every row from ``opening`` on.

    Orders are looked up when an answer has come and at no other time. ``counts``: fills, lots, orders sent, rows, and
    the code that ended the loop.
    """
    ids = np.zeros(2, np.int64)  # the order that rests, or is under way
    left = np.zeros(2, np.int64)
    ticks = np.zeros(2, np.int64)
    old_ids = np.zeros(2, np.int64)  # the one before it, whose cancel is under way
    old_left = np.zeros(2, np.int64)
    busy_ns = np.zeros(2, np.int64)
    touch = np.zeros(2, np.int64)
    depth = engine.depth(0)
    orders = engine.orders(0)
    rows = 0
    number = 0
    while True:
        answer = engine.wait_next_feed(True, FOREVER)
        now = engine.current_timestamp
        if answer == ORDER_RESPONSE:
            for side in range(2):
                old_left[side] = _tally(orders, old_ids[side], old_left[side], side, rows, log, counts)
                if now >= busy_ns[side]:  # before, it is still under way
                    left[side] = _tally(orders, ids[side], left[side], side, rows, log, counts)
            if now % 2 == 1:
                continue  # rows have even stamps, and messages arrive at odd ones
        elif answer != MARKET_FEED:
            break
        rows += 1
        touch[0] = depth.best_bid_tick
        touch[1] = depth.best_ask_tick
        if rows <= opening or touch[0] <= 0 or touch[1] >= 100:
            continue
        for side in range(2):
            if now < busy_ns[side] or (left[side] > 0 and ticks[side] == touch[side]):
                continue
            old_ids[side] = ids[side]
            old_left[side] = left[side]
            number += 1
            ids[side] = number
            ticks[side] = touch[side]
            left[side] = lots
            busy_ns[side] = now + delay_ns
            _replace(engine, side, old_ids[side], old_left[side], number, touch[side], lots)
    counts[2] = number
    counts[3] = rows
    counts[4] = answer


def time_replay(events: NDArray, settings: dict) -> dict:
    """Seconds for the whole tape without an agent."""
    engine = build(events, settings)
    begin = time.perf_counter()
    engine.elapse(FOREVER)
    seconds = time.perf_counter() - begin
    engine.close()
    return {"seconds": seconds, "rows": len(events)}


def time_quote(events: NDArray, settings: dict) -> dict:
    """Seconds and fills of the quoter; ``log`` holds (row, side, tick, lots) of each fill."""
    engine = build(events, settings)
    log = np.zeros((settings["log"], 4), np.int64)
    counts = np.zeros(5, np.int64)
    begin = time.perf_counter()
    quote(engine, settings["opening"], settings["delay_ns"], settings["lots"], log, counts)
    seconds = time.perf_counter() - begin
    engine.close()
    fills, lots, orders, rows, end = (int(count) for count in counts)
    if end != END_OF_DATA:
        raise RuntimeError(f"hftbacktest: stopped with code {end} at row {rows} of {len(events)}")
    return {"seconds": seconds, "rows": rows, "fills": fills, "lots": lots, "orders": orders, "log": log[:fills]}


def main() -> None:
    """Answer commands until the input ends."""
    events = np.load(sys.argv[1])["data"]
    settings = json.loads(Path(sys.argv[2]).read_text())
    time_quote(events[:1000].copy(), settings)  # compiles
    time_replay(events[:1000].copy(), settings)
    print(json.dumps({"version": hftbacktest.__version__, "numpy": np.__version__}), flush=True)
    for line in sys.stdin:
        command = line.strip()
        answer = time_replay(events, settings) if command == "replay" else time_quote(events, settings)
        log = answer.pop("log", None)
        if command == "fills":
            np.save(settings["fills"], log)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
