"""A state made by hand: one market per environment, its book, position, orders and signal set by the test."""

from __future__ import annotations

import numpy as np

from envs.rules import Rules, make_rules
from sim.state import State, allocate
from sim.types import ASK, BID, LOTS_PER_CONTRACT, NO, OPEN, PX_ONE, SECOND_NS, UUSD, YES
from sim.venues.fees import FEE

CENTS = np.arange(100, PX_ONE, 100)  # level i is i + 1 cents
START = 10_000 * UUSD


def cent_rules(*, taker_ppm=70_000, cancels_first=True, legal=CENTS, cross_ticks=2) -> Rules:
    tick_ok = np.zeros((1, PX_ONE + 1), np.bool_)
    tick_ok[0, legal] = True
    fees = np.array([(taker_ppm, 0, 100, 0)], FEE)
    return make_rules(CENTS, tick_ok, fees, cross_ticks=cross_ticks, cancels_first=np.array([cancels_first]))


def empty_state(num_envs=1, num_markets=1) -> State:
    """Open markets without quotes, mid 50 cents, $10,000 in cash, 60 s after the start of a 300 s window."""
    state = allocate(num_envs, len(CENTS), num_markets=num_markets)
    account, market = state.account, state.market
    for name in ("start_uusd", "equity_uusd", "peak_uusd"):
        account[name] = START
    state.pool["cash_uusd"] = START
    state.pool["min_qty"] = 1
    account["start_ns"] = 1000 * SECOND_NS
    account["now_ns"] = 1060 * SECOND_NS
    account["end_ns"] = 1300 * SECOND_NS
    market["tape"] = -1
    market["status"] = OPEN
    market["close_ns"] = 1360 * SECOND_NS
    market["mid2_px"] = PX_ONE
    market["best_bid"] = -1
    market["best_ask"] = len(CENTS)
    market["low"] = len(CENTS)
    market["high"] = -1
    market["signal_ppm"] = -1
    market["last_px"] = -1
    market["payout_px"] = -1
    return state


def quote(state: State, env: int, bids: dict[int, float], asks: dict[int, float]) -> None:
    """Put ``{cents: contracts}`` on both sides of an empty book."""
    market = state.market[env]
    for side, levels in ((BID, bids), (ASK, asks)):
        for cents, contracts in levels.items():
            state.book[env, side, cents - 1] = round(contracts * LOTS_PER_CONTRACT)
            market["low"] = min(market["low"], cents - 1)
            market["high"] = max(market["high"], cents - 1)
    if bids:
        market["best_bid"] = max(bids) - 1
    if asks:
        market["best_ask"] = min(asks) - 1
    if bids and asks:
        market["mid2_px"] = (max(bids) + min(asks)) * 100


def hold(state: State, env: int, *, yes=0.0, no=0.0, yes_price=0.5, no_price=0.5) -> None:
    """Own contracts, paid for out of the cash."""
    position, pool = state.position[env], state.pool[env, 0]
    for leg, contracts, price in ((YES, yes, yes_price), (NO, no, no_price)):
        name = "yes" if leg == YES else "no"
        cost = round(contracts * price * UUSD)
        position[f"{name}_qty"] = round(contracts * LOTS_PER_CONTRACT)
        position[f"{name}_cost_uusd"] = cost
        pool["cash_uusd"] -= cost


def rest(
    state: State,
    env: int,
    index: int,
    side: int,
    cents: int,
    contracts: float,
    *,
    leg=YES,
    reduce=0,
    ahead=0.0,
    age_s=0.0,
):
    """An own order that rests."""
    order = state.orders[env, index]
    state.market[env]["live_orders"] += order["id"] == 0
    order["id"] = index + 1
    order["side"] = side
    order["leg"] = leg
    order["reduce"] = reduce
    order["px"] = cents * 100
    order["level"] = cents - 1
    order["qty"] = round(contracts * LOTS_PER_CONTRACT)
    order["ahead_qty"] = round(ahead * LOTS_PER_CONTRACT)
    order["entry_ns"] = state.account[env]["now_ns"] - round(age_s * SECOND_NS)
    if reduce:
        state.position[env]["yes_held_qty" if leg == YES else "no_held_qty"] += order["qty"]
    else:
        price = cents * 100 if leg == YES else PX_ONE - cents * 100
        order["reserved_uusd"] = price * order["qty"]
        state.pool[env, 0]["reserved_uusd"] += order["reserved_uusd"]


def random_state(num_envs: int, seed: int) -> State:
    """Books, holdings, orders, forecasts, counts and clocks at random, for properties and timing."""
    rng = np.random.default_rng(seed)
    state = empty_state(num_envs)
    for env in range(num_envs):
        bid = int(rng.integers(1, 98))
        ask = int(rng.integers(bid + 1, min(100, bid + 5)))
        bids = {
            c: float(rng.integers(1, 1000)) for c in range(max(1, bid - 8), bid + 1) if c == bid or rng.random() < 0.7
        }
        asks = {
            c: float(rng.integers(1, 1000)) for c in range(ask, min(100, ask + 9)) if c == ask or rng.random() < 0.7
        }
        quote(state, env, bids if rng.random() < 0.95 else {}, asks if rng.random() < 0.95 else {})
        if rng.random() < 0.5:
            hold(state, env, yes=float(rng.integers(0, 200)), no=float(rng.integers(0, 200)))
        if rng.random() < 0.5:
            rest(state, env, 0, BID, bid, float(rng.integers(1, 100)), ahead=float(rng.integers(0, 500)), age_s=3.0)
        if rng.random() < 0.5:
            rest(
                state,
                env,
                1,
                ASK,
                ask,
                float(rng.integers(1, 100)),
                leg=NO,
                ahead=float(rng.integers(0, 500)),
                age_s=9.0,
            )
        market, account = state.market[env], state.account[env]
        for name in ("bought_qty", "sold_qty", "bid_added_qty", "ask_added_qty", "bid_removed_qty", "ask_removed_qty"):
            market[name] = rng.integers(0, 50_000)
        market["n_prints"] = rng.integers(0, 30)
        market["trade_ns"] = account["now_ns"] - rng.integers(0, 100 * SECOND_NS)
        market["book_ns"] = account["now_ns"] - rng.integers(0, 10 * SECOND_NS)
        account["equity_uusd"] = START + rng.integers(-500 * UUSD, 500 * UUSD)
        account["peak_uusd"] = max(START, account["equity_uusd"]) + rng.integers(0, 100 * UUSD)
        if rng.random() < 0.7:
            market["signal_ppm"] = rng.integers(1000, 999_000)
            market["signal_err_ppm"] = rng.integers(0, 50_000)
            market["signal_ns"] = account["now_ns"] - rng.integers(0, 100 * SECOND_NS)
    return state
