"""Observations of a batch: no allocation, float32 out. The formulas stand in ``envs.features``.

Every feature is a numerator over a denominator. A market's numerators and denominators are written to scratch first and
divided in one loop at the end, eight at once.

The kernels below ``observe`` take single arrays and records: a named tuple of arrays is passed by value, and a call
that is not inlined then copies all of them, which costs more than the work.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from envs.crossing import VERDICTS, fair_forecast, fair_value, judge_bounds, write_links
from envs.features import DEPTH, SCAN
from envs.flows import write_anchors, write_fair, write_flows, write_liquidity, write_opponents
from envs.memory import MIDS
from sim.activity import fade_until
from sim.kernel import hot, inner, kernel
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
)
from sim.state import ORDER_SLOTS
from sim.types import ASK, BID, LOTS_PER_CONTRACT, OPEN, PX_ONE, UUSD

_SIZE_LOTS = SIZE_HALF * LOTS_PER_CONTRACT
_SECOND = 1e-9
_HALF_DOLLAR = 0.5 / PX_ONE  # of bid + ask
_SPREAD_PX = SPREAD_HALF * PX_ONE
_TICK_PX = TICK_HALF * PX_ONE
_MOVE_PX2 = 2.0 * MOVE_HALF * PX_ONE  # of bid + ask
_DECAY = 0.9  # weight of the past in the variance of the mid's moves


class Scratch(NamedTuple):
    """Where one thread keeps the features of the market it is at."""

    num: np.ndarray  # (F,) float64
    den: np.ndarray  # (F,) float64
    bounds: np.ndarray  # (C, VERDICTS) float64, see envs.crossing
    sources: np.ndarray  # (C + 1,) float64: sources of a fair value


def make_scratch(features: int, bounds: int) -> Scratch:
    """Scratch of one thread."""
    return Scratch(np.zeros(features), np.ones(features), np.zeros((bounds, VERDICTS)), np.zeros(bounds + 1))


@kernel
def observe(rules, state, memory, links, columns, scratch, wanted, first, last, out):
    """Write rows of ``out`` float32 ``(N x M, F)`` for environments ``first`` to ``last`` in ``wanted`` bool ``(N,)``.

    ``columns`` int64 ``(groups,)``: where a group of ``features.GROUPS`` starts, -1 = left out. Counts "since the last
    observation" start again at 0, and the mid is remembered: an environment is observed once a step.
    """
    px_of, level_of, ticks, fees = rules.px_of, rules.level_of, rules.tick, rules.fees
    accounts, pools, markets, book = state.account, state.pool, state.market, state.book
    track, mids = memory.track, memory.mids
    num, den, bounds, sources = scratch.num, scratch.den, scratch.bounds, scratch.sources
    width = len(markets) // len(accounts)
    for env in range(first, last):
        if not wanted[env]:
            continue
        account = accounts[env]
        now = account["now_ns"]
        slot0 = env * width
        _remember(track[env], mids[env], markets, slot0, px_of, now, width)
        if len(bounds) > 0:
            _covary(track[env], links.partner)
            judge_bounds(px_of, fees, book, markets, slot0, links, bounds)
        for index in range(width):
            slot = slot0 + index
            market, pool = markets[slot], pools[env, markets[slot]["venue"]]
            _market(
                account, pool, market, track[env, index], mids[env, index], book[slot], px_of, level_of, ticks, fees,
                columns, num, den,
            )  # fmt: skip
            if columns[8] >= 0 and len(bounds) > 0:
                write_links(markets, slot0, index, links, track[env], bounds, num, den, columns[8])
            if columns[10] >= 0:
                if len(bounds) > 0:
                    value, count = fair_value(markets, slot0, index, links, len(px_of), now, bounds, sources)
                else:
                    value, count = fair_forecast(market, now)
                write_fair(market, value, count, num, den, columns[10])
            _start_counts_again(market)
            _divide(num, den, out[slot])


@hot
def _divide(num, den, out):
    for column in range(len(out)):
        out[column] = np.float32(num[column]) / np.float32(den[column])


@hot
def _market(account, pool, market, track, mids, book, px_of, level_of, ticks, fees, columns, num, den):
    """All features of one market but those that look at others."""
    levels = len(px_of)
    bid = px_of[market["best_bid"]] if market["best_bid"] >= 0 else 0
    ask = px_of[market["best_ask"]] if market["best_ask"] < levels else PX_ONE
    quoted = market["best_bid"] >= 0 and market["best_ask"] < levels
    tick = np.int64(ticks[market["tick_grid"], market["mid2_px"] >> 1])
    now = account["now_ns"]
    if columns[0] >= 0:
        _quotes(market, bid, ask, quoted, tick, num, den, columns[0])
        _depth(book, market, bid, ask, quoted, num, den, columns[0] + 5)
        _moves(track, mids, market, num, den, columns[0] + 18)
    if columns[1] >= 0:
        _time(account, market, num, den, columns[1])
    if columns[2] >= 0:
        _portfolio(account, pool, market, fees[market["fee"]]["taker_ppm"], num, den, columns[2])
    if columns[3] >= 0:
        _orders(market, now, bid, ask, tick, num, den, columns[3])
    if columns[4] >= 0:
        _signal(market, now, num, den, columns[4])
    activity = market["activity"]
    if columns[5] >= 0:
        write_flows(activity, num, den, columns[5])
    if columns[6] >= 0:
        write_anchors(activity, market, book, level_of, ask - bid, quoted, num, den, columns[6])
    if columns[7] >= 0:
        write_liquidity(activity, market, ask - bid, quoted, num, den, columns[7])
    if columns[9] >= 0:
        write_opponents(activity, num, den, columns[9])


@inner
def _remember(tracks, mids, markets, slot0, px_of, now, width):
    """The mids of an environment's markets, and what of the past has faded since the last event."""
    for index in range(width):
        market, track = markets[slot0 + index], tracks[index]
        fade_until(market, px_of, now)
        mid2, seen = market["mid2_px"], track["seen"]
        if seen > 0:
            move = (mid2 - mids[index, (seen - 1) % MIDS]) * _HALF_DOLLAR
            track["variance"] = _DECAY * track["variance"] + (1.0 - _DECAY) * (move * move)
            track["move"] = move
        mids[index, seen % MIDS] = mid2
        track["seen"] = seen + 1


@inner
def _covary(tracks, partner):
    for index in range(len(tracks)):
        if partner[index] >= 0 and tracks[index]["seen"] > 1:
            product = tracks[index]["move"] * tracks[partner[index]]["move"]
            tracks[index]["covariance"] = _DECAY * tracks[index]["covariance"] + (1.0 - _DECAY) * product


@hot
def _start_counts_again(market):
    market["bought_qty"] = 0
    market["sold_qty"] = 0
    market["bid_added_qty"] = 0
    market["ask_added_qty"] = 0
    market["bid_removed_qty"] = 0
    market["ask_removed_qty"] = 0
    market["n_prints"] = 0
    market["n_events"] = 0


@hot
def _put(num, den, at, top, bottom):
    num[at] = top
    den[at] = bottom


@hot
def _quotes(market, bid, ask, quoted, tick, num, den, at):
    _put(num, den, at, 2 * bid - PX_ONE, PX_ONE)
    _put(num, den, at + 1, 2 * ask - PX_ONE, PX_ONE)
    _put(num, den, at + 2, market["mid2_px"] - PX_ONE, PX_ONE)
    spread = ask - bid
    _put(num, den, at + 3, spread if quoted else 1.0, abs(spread) + _SPREAD_PX if quoted else 1.0)
    _put(num, den, at + 4, tick, tick + _TICK_PX)


@hot
def _levels(book, side, level, end, step, num, den, at):
    """Sizes of the next quoted levels from ``level`` to before ``end``; returns lots at the touch, lots in all."""
    touch = total = found = 0
    while level != end and found < DEPTH:
        qty = book[side, level]
        if qty > 0:
            if found == 0:
                touch = qty
            total += qty
            _put(num, den, at + found, qty, qty + _SIZE_LOTS)
            found += 1
        level += step
    for rest in range(found, DEPTH):
        _put(num, den, at + rest, 0.0, 1.0)
    return touch, total


@hot
def _depth(book, market, bid_px, ask_px, quoted, num, den, at):
    best = market["best_bid"]
    end = max(market["low"], best - (SCAN - 1), 0) - 1
    bids, all_bids = _levels(book, BID, best, min(end, best), -1, num, den, at)
    best = market["best_ask"]
    end = min(market["high"], best + (SCAN - 1)) + 1
    asks, all_asks = _levels(book, ASK, best, max(end, best), 1, num, den, at + 5)
    # max(1, ...): both sides empty
    _put(num, den, at + 10, bids - asks, max(1, bids + asks))
    _put(num, den, at + 11, all_bids - all_asks, max(1, all_bids + all_asks))
    # microprice - mid = lean x spread / 2, and soft(a / b, h) = a / (abs(a) + h b)
    tilt = (bids - asks) * (ask_px - bid_px) if quoted else 0
    _put(num, den, at + 12, tilt, abs(tilt) + _MOVE_PX2 * max(1, bids + asks))


@hot
def _change(mids, newest, steps):
    """Mid less the mid ``steps`` observations ago, or less the episode's first, times two, in px."""
    return np.int64(mids[newest % MIDS]) - np.int64(mids[max(newest - steps, 0) % MIDS])


@hot
def _soft(num, den, at, top, half):
    num[at] = top
    den[at] = abs(top) + half


@hot
def _part(num, den, at, top, half):
    num[at] = top
    den[at] = top + half


@hot
def _moves(track, mids, market, num, den, at):
    newest = track["seen"] - 1
    bid_change = market["bid_added_qty"] - market["bid_removed_qty"]
    ask_change = market["ask_added_qty"] - market["ask_removed_qty"]
    _soft(num, den, at, _change(mids, newest, 1), _MOVE_PX2)
    _soft(num, den, at + 1, _change(mids, newest, 5), _MOVE_PX2)
    _soft(num, den, at + 2, _change(mids, newest, 30), _MOVE_PX2)
    _part(num, den, at + 3, math.sqrt(track["variance"]), MOVE_HALF)
    _soft(num, den, at + 4, market["bought_qty"] - market["sold_qty"], _SIZE_LOTS)
    _soft(num, den, at + 5, bid_change - ask_change, _SIZE_LOTS)
    _part(num, den, at + 6, market["n_prints"], PRINTS_HALF)


@hot
def _since(num, den, at, now, then, half):
    """part(seconds since ``then``, half); 1 where ``then`` is 0, never."""
    seconds = (now - then) * _SECOND if then > 0 else 1.0
    _put(num, den, at, seconds, seconds + half if then > 0 else 1.0)


@hot
def _time(account, market, num, den, at):
    now = account["now_ns"]
    left = max(market["close_ns"] - now, 0) * _SECOND
    elapsed = now - account["start_ns"]
    window = elapsed + max(account["end_ns"] - now, 0)
    _part(num, den, at, left, MINUTE_HALF)
    _part(num, den, at + 1, left, HOUR_HALF)
    _put(num, den, at + 2, elapsed, max(1, window))
    _since(num, den, at + 3, now, market["trade_ns"], TRADE_HALF)
    _since(num, den, at + 4, now, market["book_ns"], BOOK_HALF)
    _put(num, den, at + 5, 1.0 if market["status"] == OPEN else 0.0, 1.0)


@hot
def _portfolio(account, pool, market, rate_ppm, num, den, at):
    position = market["position"]
    yes, no = position["yes_qty"], position["no_qty"]
    mid = market["mid2_px"] * _HALF_DOLLAR
    value = (yes * mid + no * (1.0 - mid)) * PX_ONE
    cost = position["yes_cost_uusd"] + position["no_cost_uusd"]
    cash, equity = pool["cash_uusd"], account["equity_uusd"]
    start = float(account["start_uusd"])
    money = MONEY_HALF * start
    _part(num, den, at, yes, _SIZE_LOTS)
    _part(num, den, at + 1, no, _SIZE_LOTS)
    _put(num, den, at + 2, position["yes_cost_uusd"], max(1, yes * PX_ONE))
    _put(num, den, at + 3, position["no_cost_uusd"], max(1, no * PX_ONE))
    _soft(num, den, at + 4, value - cost, money)
    _soft(num, den, at + 5, position["realised_uusd"], money)
    _soft(num, den, at + 6, equity - account["start_uusd"], money)
    _part(num, den, at + 7, max(account["peak_uusd"] - equity, 0), money)  # a feed that stands still may show more
    _part(num, den, at + 8, cash - pool["reserved_uusd"], start)
    _put(num, den, at + 9, value, value + cash if value > 0.0 else 1.0)
    _part(num, den, at + 10, rate_ppm * 1e-6 * (mid * (1.0 - mid)), FEE_HALF)


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


@hot
def _orders(market, now, bid_px, ask_px, tick, num, den, at):
    if market["live_orders"] == 0:
        for column in range(at, at + 10):
            _put(num, den, column, 0.0, 1.0)
    else:
        _own_orders(market["orders"], now, bid_px, ask_px, tick, num, den, at)


@inner
def _own_orders(orders, now, bid_px, ask_px, tick, num, den, at):
    bid, ask = newest_order(orders, BID), newest_order(orders, ASK)
    if bid >= 0:
        behind = bid_px - orders[bid]["px"] if bid_px > 0 else 0
        _order(orders[bid], now, behind, tick, num, den, at)
    else:
        _no_order(num, den, at)
    if ask >= 0:
        behind = orders[ask]["px"] - ask_px if ask_px < PX_ONE else 0
        _order(orders[ask], now, behind, tick, num, den, at + 5)
    else:
        _no_order(num, den, at + 5)


@inner
def _order(order, now, behind, tick, num, den, at):
    qty, ahead = order["qty"], order["ahead_qty"]
    _put(num, den, at, 1.0, 1.0)
    _soft(num, den, at + 1, behind, DISTANCE_HALF * tick)
    _part(num, den, at + 2, qty, _SIZE_LOTS)
    _put(num, den, at + 3, ahead, ahead + qty)
    _part(num, den, at + 4, (now - order["entry_ns"]) * _SECOND, AGE_HALF)


@inner
def _no_order(num, den, at):
    for column in range(at, at + 5):
        _put(num, den, column, 0.0, 1.0)


@hot
def _signal(market, now, num, den, at):
    if market["signal_ppm"] < 0:
        for column in range(at, at + 4):
            _put(num, den, column, 0.0, 1.0)
        return
    _put(num, den, at, 1.0, 1.0)
    _soft(num, den, at + 1, market["signal_ppm"] / UUSD - market["mid2_px"] * _HALF_DOLLAR, EDGE_HALF)
    _part(num, den, at + 2, market["signal_err_ppm"] / UUSD, ERROR_HALF)
    _part(num, den, at + 3, (now - market["signal_ns"]) * _SECOND, SIGNAL_HALF)
