"""Orders judged by a shield on states made by hand."""

from __future__ import annotations

import math

import numpy as np
from hand import START, cent_rules, empty_state

from envs.shield import Limits, certify, new_watch
from sim.state import NEW
from sim.types import BID, DO_PLACE, GTC, INTENT, PX_ONE, UUSD, YES

# limits that bind nothing: a test tightens the one that it is about
WIDE = Limits(
    per_trade=1.0, per_market=1.0, per_event=1.0, gross=1.0, net=1.0, daily_loss=1.0, cash_buffer=0.0, order_size=1e6,
    messages=10**6, min_price=0.0001, max_price=0.9999, max_distance=1.0, self_cross=False, drawdown_warning=1000.0,
    drawdown_critical=1000.0, marked_loss_warning=1000.0, marked_loss_critical=1000.0, stale_warning=math.inf,
    stale_critical=math.inf, gap_critical=False, fee_change_seconds=0.0, calm_seconds=0.0, warning_factor=1.0,
    warning_distance=0.0, critical_size=1e6,
)  # fmt: skip
FEES = cent_rules().fees  # takers 7 %, makers nothing, balances in $0.0001


def desk(num_envs=1, num_markets=1):
    """`hand.empty_state` whose venue knows what the account started with."""
    state = empty_state(num_envs, num_markets)
    state.pool["start_uusd"] = START
    state.market["book_ns"] = state.account["now_ns"][0]
    return state


def order(cents, contracts, *, leg=YES, tif=GTC, post_only=1, budget=0):
    """One INTENT."""
    intent = np.zeros(1, INTENT)[0]
    intent["do"], intent["px"], intent["qty"], intent["leg"] = DO_PLACE, cents * 100, round(contracts * 100), leg
    intent["tif"], intent["post_only"], intent["budget_uusd"] = tif, post_only, budget
    return intent


def orders(markets, **placed):
    """``(M, 2)`` INTENT; ``m0_bid=order(...)``."""
    wanted = np.zeros((markets, 2), INTENT)
    for place, intent in placed.items():
        market, side = place[1:].split("_")
        wanted[int(market), int(side == "ask")] = intent
    return wanted


def judge(state, limits, links=(), watch=None, fees=FEES, **placed):
    """Verdict on environment 0."""
    watch = new_watch(state.account, state.pool[0], state.market) if watch is None else watch
    wanted = orders(len(state.market), **placed)
    return certify(wanted, state.account, state.pool[0], state.market, fees, limits, watch, links)


def own(state, market, *, yes=0.0, no=0.0, yes_price=0.5, no_price=0.5):
    """Hold contracts in a market of environment 0, paid for out of the cash."""
    position = state.position[market]
    for leg, contracts, price in (("yes", yes, yes_price), ("no", no, no_price)):
        position[f"{leg}_qty"] = round(contracts * 100)
        position[f"{leg}_cost_uusd"] = round(contracts * price * UUSD)
        state.pool[0, 0]["cash_uusd"] -= position[f"{leg}_cost_uusd"]
    return state


def resting(state, market, side, cents, contracts, *, leg=YES, leaving=0, index=0):
    """An order of ours at rest in a market of environment 0, its cash reserved."""
    resting_order = state.orders[market, index]
    state.market[market]["live_orders"] += 1
    reduce = int((side == BID) != (leg == YES))
    resting_order["id"], resting_order["side"], resting_order["leg"] = index + 1, side, leg
    resting_order["px"], resting_order["qty"] = cents * 100, round(contracts * 100)
    resting_order["leaving"], resting_order["reduce"] = leaving, reduce
    price = cents * 100 if leg == YES else PX_ONE - cents * 100
    resting_order["reserved_uusd"] = 0 if reduce else price * resting_order["qty"]
    state.pool[0, 0]["reserved_uusd"] += resting_order["reserved_uusd"]
    return state


def under_way(state, market, side, cents, contracts, *, leg=YES, post_only=1, leaving=0, tif=GTC, budget=0, index=0):
    """An order of ours on the wire to a market of environment 0."""
    message = state.messages[market, index]
    message["due_ns"], message["kind"], message["id"] = state.account["now_ns"][0] + 1, NEW, 77 + index
    message["side"], message["px"], message["qty"] = side, cents * 100, round(contracts * 100)
    message["leg"], message["post_only"], message["leaving"] = leg, post_only, leaving
    message["tif"], message["budget_uusd"], message["reduce"] = tif, budget, int((side == BID) != (leg == YES))
    return state


def watch_in(regime, state, entered=0):
    watch = new_watch(state.account, state.pool[0], state.market)
    watch["regime"], watch["entered"] = regime, entered
    return watch
