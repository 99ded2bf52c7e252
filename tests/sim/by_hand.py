"""Made-up recordings and an engine on them, so that a test can say what happens and when.

The clock of a recording starts at 1 s with a whole book; every further row has its own second unless told otherwise.
"""

from __future__ import annotations

import numba
import numpy as np

from sim.engine import Engine
from sim.scenarios import Place, Scenario
from sim.scenarios.row import make_rows
from sim.tape import FeeRates, Header, Market, Source, seal
from sim.types import (
    ASK,
    BID,
    CLEAR,
    DO_CANCEL,
    DO_PLACE,
    DO_RESET_GROUP,
    END_OF_BATCH,
    EVENT,
    GTC,
    INTENT,
    LEVEL,
    LOTS_PER_CONTRACT,
    MICRO_PER_LOT,
    NO,
    SECOND_NS,
    SETTLE,
    TRADE,
    YES,
)

CENTS = ((0, 10_000, 100),)
MILLS = ((0, 10_000, 10),)
TENTH_MILLS = ((0, 10_000, 1),)
MICRO = MICRO_PER_LOT * LOTS_PER_CONTRACT  # one contract on a tape
DOLLAR = 1_000_000
INTERPRETED = bool(numba.config.DISABLE_JIT)  # then big batches are made small: minutes become seconds
START = 10_000 * DOLLAR
KALSHI = FeeRates("quadratic", "kalshi", 70_000)
KALSHI_WITH_MAKERS = FeeRates("quadratic_with_maker_fees", "kalshi", 70_000, 17_500)
POLYMARKET = FeeRates("crypto", "polymarket", 70_000)
FREE = FeeRates("free", "kalshi", 0)


def event(second, kind, side=-1, px=0, contracts=0, *, code=None, flags=END_OF_BATCH):
    """One EVENT row at ``second`` of the recording; ``code`` is what the row's qty says where it is not a size."""
    row = np.zeros(1, EVENT)
    stamp = round(second * SECOND_NS)
    row[0] = (stamp, stamp, round(contracts * MICRO) if code is None else code, px, -1, flags, 0, kind, side)
    return row


def level(second, side, px, contracts, **more):
    return event(second, LEVEL, side, px, contracts, **more)


def trade(second, taker_side, px, contracts, **more):
    return event(second, TRADE, taker_side, px, contracts, **more)


def opening(bids, asks, second=1.0):
    """A snapshot: {px: contracts} of either side."""
    rows = [event(second, CLEAR, flags=0)]
    rows += [level(second, BID, px, contracts, flags=0) for px, contracts in bids.items()]
    rows += [level(second, ASK, px, contracts, flags=0) for px, contracts in asks.items()]
    rows[-1]["flags"] = END_OF_BATCH
    return rows


def tape(*rows, fees=(KALSHI,), ticks=(CENTS,), close_s=1000.0, end_s=900.0):
    """A recording; an empty row at ``end_s`` keeps it from running out before."""
    venue = fees[0].kind
    market = Market("M", "made up", 0, round(close_s * SECOND_NS))
    header = Header(venue, (market,), ticks, fees, (Source("by hand", "0" * 64, "MIT", "this test"),))
    tail = [] if end_s is None else [event(end_s, CLEAR)]
    return seal(np.concatenate([*rows, *tail]), header)


def engine_on(*tapes, fill_model="queue", cash=START, num_envs=1, seed=0, window_s=np.inf, **row):
    """An engine that plays ``tapes`` from their starts, reset; orders arrive at once unless the row says otherwise."""
    values = {"order_delay_ms": 0.0, "cancel_delay_ms": 0.0, **row}
    scenario = Scenario(
        make_rows(1, **values), places=(Place(tapes[0].header.venue),), tapes=tapes,
        names=tuple(f"tape {index}" for index in range(len(tapes))), replay_share=1.0, sequential=True,
    )  # fmt: skip
    engine = Engine(
        scenario, num_envs, seed=seed, window_s=window_s, cash_uusd=cash, ruin_uusd=0, fill_model=fill_model
    )
    engine.reset()
    return engine


def lots(contracts):
    return round(contracts * LOTS_PER_CONTRACT)


def intents(engine, **sides):
    """INTENT array of one environment; ``bid=`` and ``ask=`` are dictionaries of the fields that are not zero."""
    result = np.zeros((engine.num_envs, engine.num_markets, 2), INTENT)
    for name, fields in sides.items():
        for key, value in fields.items():
            result[key][:, :, BID if name == "bid" else ASK] = value
    return result


def buy(px, contracts, *, leg=YES, tif=GTC, post_only=0, budget=0, expiry=0):
    """Fields of an order that buys in YES space (column BID): buys YES, or sells NO that is held."""
    return {
        "do": DO_PLACE, "px": px, "qty": lots(contracts), "leg": leg, "tif": tif, "post_only": post_only,
        "budget_uusd": budget, "expiry_ns": round(expiry * SECOND_NS),
    }  # fmt: skip


def sell(px, contracts, *, leg=NO, **more):
    """Fields of an order that sells in YES space (column ASK): buys NO, or sells YES that is held."""
    return buy(px, contracts, leg=leg, **more)


CANCEL = {"do": DO_CANCEL}
RESET_GROUP = {"do": DO_RESET_GROUP}


def send(engine, *, until=None, seconds=None, **sides):
    """Submit and let the time pass; returns (lots filled, signed; last reject)."""
    engine.submit(intents(engine, **sides))
    pass_time(engine, until=until, seconds=seconds)
    account = engine.state.account[0]
    return filled(engine), int(account["last_reject"])


def pass_time(engine, *, until=None, seconds=None):
    """Advance by ``seconds`` (default: nothing but what is due now), or to the second ``until`` of the recording."""
    if until is not None:
        seconds = until - int(engine.state.account["now_ns"][0]) / SECOND_NS
    engine.advance(1e-9 if seconds is None else seconds)


def wait(engine, *, until=None, seconds=None):
    """Pass time without an order; returns the lots filled, signed."""
    engine.submit(intents(engine))
    pass_time(engine, until=until, seconds=seconds)
    return filled(engine)


def filled(engine):
    state = engine.state
    return int(state.fills["qty"][0, : state.account["n_fills"][0]].sum())


def account(engine, name):
    """A field of the first environment's account, or of its cash pool."""
    state = engine.state
    return int(state.account[name][0] if name in state.account.dtype.names else state.pool[name][0, 0])


def position(engine, name):
    return int(engine.state.position[name][0])


def paid(engine):
    """Micro-dollars that have left the account since the start."""
    return account(engine, "start_uusd") - account(engine, "cash_uusd")


def settlement(second, payout_px):
    return event(second, SETTLE, px=payout_px, code=0)


def check_books_balance(engine):
    """The laws of every moment, in exact integers, over all environments, venues and markets."""
    state, count = engine.state, engine.num_markets
    for venue in range(state.pool.shape[1]):
        there = (state.market["venue"] == venue).reshape(-1, count)
        returned = state.returned[:, _sets_of(engine, venue)].sum(axis=1)
        _check_pool(state, state.pool[:, venue], lambda values, there=there: _per_env(values, there), returned)
    _check_orders(state)
    assert (state.market["moved"] == 0).all(), "a set whose collateral was not looked at"
    if count > 1:
        assert (state.pool["start_uusd"].sum(axis=1) == state.account["start_uusd"]).all(), "cash of the venues differs"


def _per_env(values, there):
    """Sum over the markets of one venue, (N,), of values (K, ...)."""
    values = values.reshape(*there.shape, -1).sum(axis=2)
    return np.where(there, values, 0).sum(axis=1)


def _sets_of(engine, venue):
    """The netting sets on a venue."""
    sets, venue_of = engine.world.sets, engine.world.venue_of
    return [index for index, one in enumerate(sets.sets) if venue_of[sets.members[one["first"]]] == venue]


def _check_pool(state, a, total_of, returned):
    p, orders = state.position, state.orders
    total = a["cash_uusd"] + a["counterparty_uusd"] + a["fees_uusd"] + a["escrow_uusd"]
    assert (total == a["start_uusd"]).all(), "cash was made or lost"
    escrow = 10_000 * total_of(p["yes_qty"] + p["no_qty"]) - returned
    assert (a["escrow_uusd"] == escrow).all(), "escrow is not $1 a pair less what sets were returned"
    spent = total_of(p["yes_cost_uusd"] + p["no_cost_uusd"] - p["realised_uusd"]) + a["fees_uusd"]
    left = a["start_uusd"] - spent + returned
    assert (a["cash_uusd"] == left).all(), "cash is not what positions cost and results brought"
    reserved = total_of(np.where(orders["id"] > 0, orders["reserved_uusd"], 0))
    assert (a["reserved_uusd"] == reserved).all(), "reserved cash is not what the orders hold"
    assert (reserved <= a["cash_uusd"]).all(), "more reserved than owned"


def _check_orders(state):
    p, orders = state.position, state.orders
    live = orders["id"] > 0
    locks = (orders["reduce"] == 0) | (state.market["returns"] == 1)[:, None]
    assert (orders["reserved_uusd"][live & ~locks] == 0).all(), "an order that cannot cost cash has locked some"
    for leg, held, have in ((YES, "yes_held_qty", "yes_qty"), (NO, "no_held_qty", "no_qty")):
        promised = np.where(live & (orders["reduce"] == 1) & (orders["leg"] == leg), orders["qty"], 0).sum(axis=1)
        assert (p[held] == promised).all(), "promised lots are not what the orders hold"
        assert (promised <= p[have]).all(), "more promised than held"
    assert (np.where(live, orders["qty"], 1) > 0).all(), "an order without size rests"
    assert (p["yes_qty"] >= 0).all() and (p["no_qty"] >= 0).all() and (state.book[:, :2] >= 0).all(), "a negative size"
    nets = state.pool["netting"][np.arange(len(state.market)) // (state.clock.shape[1] - 1), state.market["venue"]] == 1
    assert (np.minimum(p["yes_qty"], p["no_qty"])[nets] == 0).all(), "a pair that was not netted"
    bids = np.where(live & (orders["side"] == BID), orders["px"], 0).max(axis=1)
    asks = np.where(live & (orders["side"] == ASK), orders["px"], 10_000).min(axis=1)
    assert (bids < asks).all(), "our own orders cross"


def play(engine, steps, *, first_step=0):
    """Random orders for ``steps`` seconds, a function of an environment's global number and the step; resets as needed.

    1,100 numbers at most, so that a batch can be cut into pieces.
    """
    number = engine.state.account["number"]
    if first_step == 0:
        engine.reset()
    for step in range(first_step, first_step + steps):
        random = np.random.default_rng([99, step])
        wanted = np.zeros((1100, 2), INTENT)
        wanted["do"] = random.integers(0, 3, wanted.shape)
        wanted["qty"] = random.integers(1, 3000, wanted.shape)
        wanted["px"] = 100 * random.integers(-3, 4, wanted.shape)
        wanted["tif"] = random.integers(0, 3, wanted.shape)
        wanted["leg"] = np.where(
            random.random(wanted.shape) < 0.25, [NO, YES], [YES, NO]
        )  # a quarter sells what is held
        mine = wanted[number]
        mine["px"] += engine.state.market["mid2_px"][:, None] // 200 * 100
        engine.submit(mine[:, None])
        engine.advance(1.0)
        over = engine.terminated | engine.truncated
        if over.any():
            engine.reset(over)
