"""Passive fills: only a print at or through our price fills us, and never for more than the print.

The models differ in what they believe of the queue ahead (docs/fills.md):

* ``pessimistic``: we are last; only a print through our price fills us.
* ``queue``: we stand behind the size shown at entry. Prints eat it; of cancels the row's ``cancel_rule`` says how many
  stood ahead (:mod:`sim.place`); own orders queue behind each other.
* ``probabilistic``: at each print at our price a coin says whether it reached us, by a fitted model (:mod:`sim.coin`).
* ``optimistic``: nobody is ahead.

A print through our price fills us under all four, so on one stream of prints the fills are ordered
pessimistic <= queue, probabilistic <= optimistic.
"""

from __future__ import annotations

import math

from sim.account import fill_resting, stop_triggered
from sim.activity import on_change_seen, on_print_seen
from sim.book import set_level
from sim.coin import freeze, toss
from sim.kernel import hot, inner
from sim.place import cancel_again, expect_print, level_fell
from sim.state import ORDER_SLOTS
from sim.types import ASK, BID, OPTIMISTIC, PESSIMISTIC, PROBABILISTIC, QUEUE

# How a drop is split into trade and cancel where a feed has no trades: the row's ``drop_split``.
SPLIT_SHARE = 0  # a share of every drop of the touch was traded
SPLIT_WHOLE = 1  # a drop was traded whole or cancelled whole: traded once half of it is owed to the share
SPLIT_VANISHED = 2  # a touch that vanishes was traded, any other drop was cancelled


@inner
def _next_in_line(desk, side, px, served):
    """Own order that a print at ``px`` meets next: best price first, then the oldest. -1 when there is none."""
    best = -1
    for index in range(ORDER_SLOTS):
        order = desk.market["orders"][index]
        if order["id"] == 0 or order["side"] != side or served & (1 << index):
            continue
        if (order["px"] < px) if side == BID else (order["px"] > px):
            continue
        if best >= 0:
            other = desk.market["orders"][best]
            better = order["px"] > other["px"] if side == BID else order["px"] < other["px"]
            if not better and not (order["px"] == other["px"] and order["id"] < other["id"]):
                continue
        best = index
    return best


@inner
def _reach(desk, index, left, now):
    """Lots of a print at our price that get past the queue ahead of order ``index``."""
    if desk.account["fill_model"] == PESSIMISTIC:
        return 0
    if desk.account["fill_model"] == OPTIMISTIC:
        return left
    if desk.account["fill_model"] == QUEUE:
        ahead = desk.market["orders"][index]["ahead_qty"]
        eaten = min(ahead, left)
        desk.market["orders"][index]["ahead_qty"] = ahead - eaten
        return left - eaten
    return left if toss(desk, index, now) else 0


@inner
def _fill_side(desk, side, px, qty, through_only, now):
    """Share a print of ``qty`` lots at ``px`` among our resting orders on ``side``."""
    if not through_only:
        expect_print(desk, side, px, qty, now)
    left = qty
    served = 0
    while left > 0:
        index = _next_in_line(desk, side, px, served)
        if index < 0:
            break
        served |= 1 << index
        order = desk.market["orders"][index]
        if order["px"] != px:
            reach = left
        elif through_only:
            reach = 0
        else:
            reach = _reach(desk, index, left, now)
        fill = min(reach, order["qty"])
        if fill > 0:
            mid2 = order["debit_mid2_px"] if order["late"] == 1 else desk.market["sweep_mid2_px"]
            fill_resting(desk, index, fill, mid2, now)
            left -= fill
            stop_triggered(desk)
    if not through_only:
        cancel_again(desk, side, px)


@hot
def on_print(desk, taker_side, px, qty, now):
    """A trade of others: remember it, and let it fill our resting orders.

    ``taker_side`` -1 means the venue did not say: then only orders the print went through are filled.
    """
    market = desk.market
    if market["trade_ns"] != now or market["last_side"] != taker_side:
        market["sweep_mid2_px"] = market["mid2_px"]  # the first print of a taker
    on_print_seen(desk.market, desk.px_of, taker_side, px, qty, now)
    market["trade_ns"] = now
    market["last_px"] = px
    market["last_side"] = taker_side
    market["last_qty"] = qty
    market["n_prints"] += 1
    market["n_events"] += 1
    desk.account["events"] += 1
    if taker_side == BID:
        market["bought_qty"] += qty
    elif taker_side == ASK:
        market["sold_qty"] += qty
    if market["live_orders"] == 0:
        return
    if taker_side != ASK:
        _fill_side(desk, ASK, px, qty, taker_side < 0, now)
    if taker_side != BID:
        _fill_side(desk, BID, px, qty, taker_side < 0, now)


@hot
def on_level(desk, side, level, qty, now):
    """Others change a level's size to ``qty`` lots: the book follows, then our place in its queue."""
    old = desk.book[side, level]
    if qty == old:
        return
    market = desk.market
    on_change_seen(desk.market, desk.px_of, side, qty - old, now)
    market["book_ns"] = now
    market["n_events"] += 1
    desk.account["events"] += 1
    mid2 = market["mid2_px"]
    set_level(desk.market, desk.book, desk.px_of, side, level, qty)
    if qty > old:
        if side == BID:
            market["bid_added_qty"] += qty - old
        else:
            market["ask_added_qty"] += qty - old
        return
    if side == BID:
        market["bid_removed_qty"] += old - qty
    else:
        market["ask_removed_qty"] += old - qty
    if market["live_orders"] > 0:
        level_fell(desk, side, level, old, qty, mid2, now)


@inner
def _traded(desk, old, new):
    """Lots of a touch's drop that count as a trade, by the row's ``drop_split``."""
    share = desk.row["trade_share"]
    drop = old - new
    if desk.row["drop_split"] == SPLIT_SHARE:
        return int(math.floor(share * drop))
    if desk.row["drop_split"] == SPLIT_VANISHED:
        return drop if new == 0 else 0
    desk.market["owed_qty"] += share * drop
    if 2.0 * desk.market["owed_qty"] < drop:
        return 0
    desk.market["owed_qty"] -= drop
    return drop


@hot
def on_drop(desk, side, level, qty, now):
    """As :func:`on_level`, for a feed without trades: part of a drop at the touch counts as a print."""
    old = desk.book[side, level]
    touch = desk.market["best_bid"] if side == BID else desk.market["best_ask"]
    if qty < old and level == touch:
        traded = _traded(desk, old, qty)
        if traded > 0:
            taker = ASK if side == BID else BID
            on_print(desk, taker, desk.px_of[level], traded, now)
    on_level(desk, side, level, qty, now)


@inner
def join_queue(desk, index, now):
    """A new resting order takes its place behind the size shown at its level; a coin's hazard is frozen here."""
    order = desk.market["orders"][index]
    order["ahead_qty"] = desk.book[order["side"], order["level"]]
    order["credit_qty"] = 0
    order["debit_qty"] = 0
    order["late"] = 0
    order["entry_ns"] = now
    order["drawn_ns"] = now
    order["draws"] = 0
    order["hazard"] = 0.0
    if desk.account["fill_model"] == PROBABILISTIC:
        freeze(desk, index, now)
