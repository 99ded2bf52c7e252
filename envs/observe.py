"""Observations of a batch, one kernel call: no allocation, float32 out. The formulas stand in ``envs.features``.

The kernels below ``observe`` take single arrays and records: a named tuple of arrays is passed by value, and a call
that is not inlined then copies and counts references to all of them, which costs more than the work.
"""

from __future__ import annotations

import math

from envs.features import DEPTH, SCAN
from envs.memory import MIDS
from sim.kernel import inner, kernel
from sim.scales import (
    AGE_HALF,
    BOOK_HALF,
    DISTANCE_HALF,
    EDGE_HALF,
    ERROR_HALF,
    FEE_HALF,
    HOUR_HALF,
    MINUTE_HALF,
    MONEY_HALF,
    MOVE_HALF,
    PRINTS_HALF,
    SIGNAL_HALF,
    SIZE_HALF,
    SPREAD_HALF,
    TICK_HALF,
    TRADE_HALF,
    part,
    soft,
)
from sim.state import ORDER_SLOTS
from sim.types import ASK, BID, LOTS_PER_CONTRACT, OPEN, PX_ONE, UUSD

_SIZE_LOTS = SIZE_HALF * LOTS_PER_CONTRACT
_SECOND = 1e-9
_DOLLAR = 1.0 / PX_ONE
_HALF_DOLLAR = 0.5 / PX_ONE  # of bid + ask
_DECAY = 0.9  # weight of the past in the variance of the mid's moves


@kernel
def observe(rules, accounts, pools, markets, book, memory, columns, wanted, first, last, out):
    """Write rows ``first`` to ``last`` of ``out`` float32 ``(N, F)`` where ``wanted`` bool ``(N,)``; others stay.

    ``accounts``, ``pools``, ``markets`` and ``book`` are those of the state. ``columns`` int64 ``(groups,)``: where a
    group of ``features.GROUPS`` starts, -1 = left out. Counts "since the last observation" start again at 0, and the
    mid is remembered: an environment is observed once a step.
    """
    px_of, ticks, fees = rules.px_of, rules.tick, rules.fees
    past, mids = memory.past, memory.mids
    levels = book.shape[2]
    for env in range(first, last):
        if not wanted[env]:
            continue
        slot = env  # one market an environment
        account, market = accounts[env], markets[slot]
        bid = px_of[market["best_bid"]] if market["best_bid"] >= 0 else 0
        ask = px_of[market["best_ask"]] if market["best_ask"] < levels else PX_ONE
        tick = ticks[market["tick_grid"], market["mid2_px"] // 2]
        _remember(past[env], mids, env, market["mid2_px"])
        if columns[0] >= 0:
            _quotes(market, bid, ask, tick, out, env, columns[0])
            _depth(book, market, slot, bid, ask, out, env, columns[0] + 5)
            _moves(past[env], mids, market, out, env, columns[0] + 18)
        if columns[1] >= 0:
            _time(account, market, out, env, columns[1])
        if columns[2] >= 0:
            pool = pools[env, market["venue"]]
            _portfolio(
                account, pool, market, market["position"], fees[market["fee"]]["taker_ppm"], out, env, columns[2]
            )
        if columns[3] >= 0:
            _orders(market["orders"], account["now_ns"], bid, ask, tick, out, env, columns[3])
        if columns[4] >= 0:
            _signal(market, account["now_ns"], out, env, columns[4])
        _start_counts_again(market)


@inner
def _remember(past, mids, env, mid2):
    seen = past["seen"]
    if seen > 0:
        move = (mid2 - mids[env, (seen - 1) % MIDS]) * _HALF_DOLLAR
        past["variance"] = _DECAY * past["variance"] + (1.0 - _DECAY) * (move * move)
    mids[env, seen % MIDS] = mid2
    past["seen"] = seen + 1


@inner
def _start_counts_again(market):
    market["bought_qty"] = 0
    market["sold_qty"] = 0
    market["bid_added_qty"] = 0
    market["ask_added_qty"] = 0
    market["bid_removed_qty"] = 0
    market["ask_removed_qty"] = 0
    market["n_prints"] = 0
    market["n_events"] = 0


@inner
def _quotes(market, bid_px, ask_px, tick, out, env, at):
    bid, ask = bid_px * _DOLLAR, ask_px * _DOLLAR
    out[env, at] = 2.0 * bid - 1.0
    out[env, at + 1] = 2.0 * ask - 1.0
    out[env, at + 2] = market["mid2_px"] * _DOLLAR - 1.0
    out[env, at + 3] = soft(ask - bid, SPREAD_HALF) if bid_px > 0 and ask_px < PX_ONE else 1.0
    out[env, at + 4] = part(tick * _DOLLAR, TICK_HALF)


@inner
def _levels(book, slot, side, level, end, step, out, env, at):
    """Sizes of the next quoted levels from ``level`` to before ``end``; returns lots at the touch, lots in all."""
    touch = total = found = 0
    while level != end and found < DEPTH:
        qty = book[slot, side, level]
        if qty > 0:
            if found == 0:
                touch = qty
            total += qty
            out[env, at + found] = part(qty, _SIZE_LOTS)
            found += 1
        level += step
    for rest in range(found, DEPTH):
        out[env, at + rest] = 0.0
    return touch, total


@inner
def _lean(bids, asks):
    return (bids - asks) / (bids + asks) if bids + asks > 0 else 0.0


@inner
def _depth(book, market, slot, bid_px, ask_px, out, env, at):
    best = market["best_bid"]
    end = max(market["low"], best - (SCAN - 1), 0) - 1
    bids, all_bids = _levels(book, slot, BID, best, min(end, best), -1, out, env, at)
    best = market["best_ask"]
    end = min(market["high"], best + (SCAN - 1)) + 1
    asks, all_asks = _levels(book, slot, ASK, best, max(end, best), 1, out, env, at + 5)
    lean = _lean(bids, asks)
    spread = (ask_px - bid_px) * _DOLLAR
    out[env, at + 10] = lean
    out[env, at + 11] = _lean(all_bids, all_asks)
    out[env, at + 12] = soft(lean * spread * 0.5, MOVE_HALF) if bid_px > 0 and ask_px < PX_ONE else 0.0


@inner
def _change(mids, env, newest, steps):
    """Mid less the mid ``steps`` observations ago, or less the episode's first, in dollars."""
    return (mids[env, newest % MIDS] - mids[env, max(newest - steps, 0) % MIDS]) * _HALF_DOLLAR


@inner
def _moves(past, mids, market, out, env, at):
    newest = past["seen"] - 1
    bid_change = market["bid_added_qty"] - market["bid_removed_qty"]
    ask_change = market["ask_added_qty"] - market["ask_removed_qty"]
    out[env, at] = soft(_change(mids, env, newest, 1), MOVE_HALF)
    out[env, at + 1] = soft(_change(mids, env, newest, 5), MOVE_HALF)
    out[env, at + 2] = soft(_change(mids, env, newest, 30), MOVE_HALF)
    out[env, at + 3] = part(math.sqrt(past["variance"]), MOVE_HALF)
    out[env, at + 4] = soft(market["bought_qty"] - market["sold_qty"], _SIZE_LOTS)
    out[env, at + 5] = soft(bid_change - ask_change, _SIZE_LOTS)
    out[env, at + 6] = part(market["n_prints"], PRINTS_HALF)


@inner
def _since(now, then, half):
    """part(seconds since ``then``, half); 1 where ``then`` is 0, never."""
    return part((now - then) * _SECOND, half) if then > 0 else 1.0


@inner
def _time(account, market, out, env, at):
    now = account["now_ns"]
    left = max(market["close_ns"] - now, 0) * _SECOND
    elapsed = (now - account["start_ns"]) * _SECOND
    window = elapsed + max(account["end_ns"] - now, 0) * _SECOND
    out[env, at] = part(left, MINUTE_HALF)
    out[env, at + 1] = part(left, HOUR_HALF)
    out[env, at + 2] = elapsed / window if window > 0.0 else 0.0
    out[env, at + 3] = _since(now, market["trade_ns"], TRADE_HALF)
    out[env, at + 4] = _since(now, market["book_ns"], BOOK_HALF)
    out[env, at + 5] = 1.0 if market["status"] == OPEN else 0.0


@inner
def _portfolio(account, pool, market, position, rate_ppm, out, env, at):
    yes, no = position["yes_qty"], position["no_qty"]
    mid = market["mid2_px"] * _HALF_DOLLAR
    value = (yes * mid + no * (1.0 - mid)) * PX_ONE
    cost = position["yes_cost_uusd"] + position["no_cost_uusd"]
    cash, equity = pool["cash_uusd"], account["equity_uusd"]
    start = float(account["start_uusd"])
    money = MONEY_HALF * start
    out[env, at] = part(yes, _SIZE_LOTS)
    out[env, at + 1] = part(no, _SIZE_LOTS)
    out[env, at + 2] = position["yes_cost_uusd"] / yes * _DOLLAR if yes > 0 else 0.0
    out[env, at + 3] = position["no_cost_uusd"] / no * _DOLLAR if no > 0 else 0.0
    out[env, at + 4] = soft(value - cost, money)
    out[env, at + 5] = soft(position["realised_uusd"], money)
    out[env, at + 6] = soft(equity - account["start_uusd"], money)
    out[env, at + 7] = part(account["peak_uusd"] - equity, money)
    out[env, at + 8] = part(cash - pool["reserved_uusd"], start)
    out[env, at + 9] = value / (value + cash) if value > 0.0 else 0.0
    out[env, at + 10] = part(rate_ppm * 1e-6 * (mid * (1.0 - mid)), FEE_HALF)


@inner
def newest_order(orders, side):
    """Index of our newest order resting on a side; -1 when there is none."""
    best = -1
    newest = 0
    for index in range(ORDER_SLOTS):
        order = orders[index]
        if order["id"] > newest and order["side"] == side:
            best = index
            newest = order["id"]
    return best


@inner
def _orders(orders, now, bid_px, ask_px, tick, out, env, at):
    bid, ask = newest_order(orders, BID), newest_order(orders, ASK)
    if bid >= 0:
        behind = bid_px - orders[bid]["px"] if bid_px > 0 else 0
        _order(orders[bid], now, behind / tick, out, env, at)
    else:
        _no_order(out, env, at)
    if ask >= 0:
        behind = orders[ask]["px"] - ask_px if ask_px < PX_ONE else 0
        _order(orders[ask], now, behind / tick, out, env, at + 5)
    else:
        _no_order(out, env, at + 5)


@inner
def _order(order, now, behind, out, env, at):
    qty, ahead = order["qty"], order["ahead_qty"]
    out[env, at] = 1.0
    out[env, at + 1] = soft(behind, DISTANCE_HALF)
    out[env, at + 2] = part(qty, _SIZE_LOTS)
    out[env, at + 3] = ahead / (ahead + qty)
    out[env, at + 4] = part((now - order["entry_ns"]) * _SECOND, AGE_HALF)


@inner
def _no_order(out, env, at):
    for column in range(at, at + 5):
        out[env, column] = 0.0


@inner
def _signal(market, now, out, env, at):
    if market["signal_ppm"] < 0:
        for column in range(at, at + 4):
            out[env, column] = 0.0
        return
    out[env, at] = 1.0
    out[env, at + 1] = soft(market["signal_ppm"] / UUSD - market["mid2_px"] * _HALF_DOLLAR, EDGE_HALF)
    out[env, at + 2] = part(market["signal_err_ppm"] / UUSD, ERROR_HALF)
    out[env, at + 3] = part((now - market["signal_ns"]) * _SECOND, SIGNAL_HALF)
