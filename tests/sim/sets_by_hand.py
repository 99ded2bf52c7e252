"""Sets of markets with quiet books, made-up payouts and an engine on them."""

from __future__ import annotations

import numpy as np
from by_hand import FREE, KALSHI, POLYMARKET, START, opening, settlement, tape

from sim.engine import Engine
from sim.links import Exclusive
from sim.scenarios import Place, Scenario
from sim.scenarios.row import make_rows
from sim.types import ASK, BID, INTENT, PX_ONE

FEES = {"kalshi": KALSHI, "polymarket": POLYMARKET, "free": FREE}


def quotes(bid_px, ask_px, contracts=1000):
    """A book with one level a side."""
    return {bid_px: contracts}, {ask_px: contracts}


def set_engine(
    books, payouts, *, fees="kalshi", nets=True, exhaustive=False, cash=START, settle_s=None, rows=None, **row
):
    """One environment with a set of markets; ``payouts`` px come a second apart from 10 s on, or at ``settle_s``.

    ``rows``: what else each market's tape holds, in between.
    """
    venue = "polymarket" if fees == "polymarket" else "kalshi"
    stamps = [10.0 + index for index in range(len(books))] if settle_s is None else settle_s
    between = rows or [[]] * len(books)
    tapes = tuple(
        tape(*opening(*book), *more, settlement(second, payout), fees=(FEES[fees],), end_s=None)
        for book, more, second, payout in zip(books, between, stamps, payouts, strict=True)
    )
    scenario = Scenario(
        make_rows(1, **{"order_delay_ms": 0.0, "cancel_delay_ms": 0.0, **row}), (Place(venue),) * len(books),
        tapes=tapes, names=tuple(map(str, range(len(books)))), replay_share=1.0, sequential=True,
        links=(Exclusive(tuple(range(len(books))), exhaustive, nets),),
    )  # fmt: skip
    engine = Engine(scenario, 1, window_s=np.inf, cash_uusd=cash, ruin_uusd=-1)
    engine.reset()
    return engine


def submit(engine, *orders):
    """Send (market, side, fields) in one step and let what is due happen."""
    wanted = np.zeros((1, engine.num_markets, 2), INTENT)
    for market, side, fields in orders:
        for name, value in fields.items():
            wanted[0, market, side][name] = value
    engine.submit(wanted)
    engine.advance(1e-9)
    return int(engine.state.account["last_reject"][0])


def pool(engine, name):
    return int(engine.state.pool[name][0, 0])


def worst_by_hand(engine, index):
    """What a set pays at least: every way the rest of the dollar can go, one by one."""
    sets = engine.world.sets
    first = int(sets.sets[index]["first"])
    rows = [engine.state.market[m] for m in sets.members[first : first + int(sets.sets[index]["count"])]]
    left = max(0, PX_ONE - sum(int(row["payout_px"]) for row in rows if row["payout_px"] >= 0))
    live = [row["position"] for row in rows if row["payout_px"] < 0]
    outcomes = [[left if index == winner else 0 for index in range(len(live))] for winner in range(-1, len(live))]
    return min(
        sum(int(p["yes_qty"]) * x + int(p["no_qty"]) * (PX_ONE - x) for p, x in zip(live, pays, strict=True))
        for pays in outcomes
    )


__all__ = ["ASK", "BID", "pool", "quotes", "set_engine", "submit", "worst_by_hand"]
