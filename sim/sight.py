"""What a compiled strategy sees of one market: a record of plain integers, written from the live state.

The book in it is what others show; our own orders stand beside it.
"""

from __future__ import annotations

import numpy as np

from sim.account import free_cash
from sim.kernel import inner
from sim.latency import NEVER_NS
from sim.state import MESSAGE_SLOTS, NEW, ORDER_SLOTS
from sim.types import ASK, BID, GTC, OPEN, PX_ONE

SIGHT = np.dtype(
    [
        ("now_ns", "<i8"),
        ("open", "<i8"),  # 1 while the market takes orders
        ("close_ns", "<i8"),  # when trading is expected to end
        ("bid_px", "<i8"),  # best prices and their lots; 0 and 10000 = none
        ("ask_px", "<i8"),
        ("bid_qty", "<i8"),
        ("ask_qty", "<i8"),
        ("mid2_px", "<i8"),  # bid + ask of the last two-sided book
        ("trade_ns", "<i8"),  # last print: when, price, taker's side, lots
        ("last_px", "<i8"),
        ("last_side", "<i8"),
        ("last_qty", "<i8"),
        ("signal_ppm", "<i8"),  # forecast and its stated standard error; -1 = none
        ("signal_err_ppm", "<i8"),
        ("signal_ns", "<i8"),
        ("taker_ppm", "<i8"),  # fee rates in force
        ("maker_ppm", "<i8"),
        ("free_uusd", "<i8"),  # cash on the market's venue that no order has locked
        ("yes_qty", "<i8"),  # lots held
        ("no_qty", "<i8"),
        ("own_bid_px", "<i8"),  # our newest order of each side that stays, resting or on its way; qty 0 = none
        ("own_bid_qty", "<i8"),
        ("own_bid_ns", "<i8"),  # since when it rests; 0 = on its way
        ("own_ask_px", "<i8"),
        ("own_ask_qty", "<i8"),
        ("own_ask_ns", "<i8"),
    ]
)


@inner
def look(desk, sight):
    """Write ``sight``, a SIGHT record, from the state of a market."""
    market = desk.market
    bid, ask = market["best_bid"], market["best_ask"]
    sight["now_ns"] = desk.account["now_ns"]
    sight["open"] = 1 if market["status"] == OPEN else 0
    sight["close_ns"] = market["close_ns"]
    sight["bid_px"] = desk.px_of[bid] if bid >= 0 else 0
    sight["bid_qty"] = desk.book[BID, bid] if bid >= 0 else 0
    sight["ask_px"] = desk.px_of[ask] if ask < desk.book.shape[1] else PX_ONE
    sight["ask_qty"] = desk.book[ASK, ask] if ask < desk.book.shape[1] else 0
    sight["mid2_px"] = market["mid2_px"]
    sight["trade_ns"] = market["trade_ns"]
    sight["last_px"] = market["last_px"]
    sight["last_side"] = market["last_side"]
    sight["last_qty"] = market["last_qty"]
    sight["signal_ppm"] = market["signal_ppm"]
    sight["signal_err_ppm"] = market["signal_err_ppm"]
    sight["signal_ns"] = market["signal_ns"]
    sight["taker_ppm"] = desk.fees[market["fee"]]["taker_ppm"]
    sight["maker_ppm"] = desk.fees[market["fee"]]["maker_ppm"]
    sight["free_uusd"] = free_cash(desk)
    sight["yes_qty"] = market["position"]["yes_qty"]
    sight["no_qty"] = market["position"]["no_qty"]
    _own(desk, sight)


@inner
def _own(desk, sight):
    """Our newest order of each side that is not being cancelled."""
    sight["own_bid_qty"] = 0
    sight["own_ask_qty"] = 0
    market = desk.market
    bid_id = ask_id = 0
    if market["live_orders"] > 0:
        for index in range(ORDER_SLOTS):
            order = market["orders"][index]
            if order["id"] == 0 or order["leaving"] == 1:
                continue
            if order["side"] == BID and order["id"] > bid_id:
                bid_id = order["id"]
                _bid(sight, order["px"], order["qty"], order["entry_ns"])
            elif order["side"] == ASK and order["id"] > ask_id:
                ask_id = order["id"]
                _ask(sight, order["px"], order["qty"], order["entry_ns"])
    if market["due_ns"] == NEVER_NS:
        return
    for index in range(MESSAGE_SLOTS):
        message = market["messages"][index]
        stays = message["due_ns"] != 0 and message["kind"] == NEW and message["leaving"] == 0 and message["tif"] == GTC
        if stays and message["side"] == BID and message["id"] > bid_id:
            bid_id = message["id"]
            _bid(sight, message["px"], message["qty"], 0)
        elif stays and message["side"] == ASK and message["id"] > ask_id:
            ask_id = message["id"]
            _ask(sight, message["px"], message["qty"], 0)


@inner
def _bid(sight, px, qty, since):
    sight["own_bid_px"] = px
    sight["own_bid_qty"] = qty
    sight["own_bid_ns"] = since


@inner
def _ask(sight, px, qty, since):
    sight["own_ask_px"] = px
    sight["own_ask_qty"] = qty
    sight["own_ask_ns"] = since
