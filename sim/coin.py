"""The coin of the ``probabilistic`` fill model: whether a print at our price gets to us.

When an order comes to rest, :mod:`sim.fillmodel` says the probability p that prints at its price reach it within a
life, with the coefficients of its scenario row; the hazard -log(1 - p) is frozen. At each print a coin falls with the
chance ``1 - (1 - p) ** (dt / life)``, dt being the time since the last one: the chance belongs to a stretch of time.
"""

from __future__ import annotations

import numpy as np

from sim.activity import fade_until
from sim.fillmodel import Standing, chance_within, flow_of, hazard_of, logit_of, terms_of
from sim.kernel import inner
from sim.rng import FILL, philox, uniform
from sim.types import BID, PX_ONE, SECOND_NS


@inner
def _better_qty(desk, side, level):
    """Lots of others at better prices than ``level``."""
    total = 0
    if side == BID:
        for other in range(level + 1, desk.market["best_bid"] + 1):
            total += desk.book[side, other]
    else:
        for other in range(desk.market["best_ask"], level):
            total += desk.book[side, other]
    return total


@inner
def _rank(desk, px):
    """How many prices of the tick table in force lie at or below ``px``."""
    return np.int64(desk.ticks[desk.market["tick_grid"], 0, px])


@inner
def _tick_px(desk, side, px):
    """Distance to the next price behind ``px`` on the tick table in force, or to 0 or a dollar."""
    rank = _rank(desk, px)
    level = np.int64(desk.ticks[desk.market["tick_grid"], 1, rank - 1 if side == BID else rank + 1])
    if level < 0 or level >= len(desk.px_of):
        return px if side == BID else PX_ONE - px
    return abs(desk.px_of[level] - px)


@inner
def standing_of(desk, side, level):
    """:class:`sim.fillmodel.Standing` of an order of ours. Where its side is empty it stands a tick inside.

    Without two uncrossed sides the spread is a tick, and sizes at the touch count as equal.
    """
    market = desk.market
    px = desk.px_of[level]
    bid, ask = market["best_bid"], market["best_ask"]
    empty = bid < 0 if side == BID else ask >= desk.book.shape[1]
    quoted = bid >= 0 and ask < desk.book.shape[1] and bid < ask
    touch = bid if side == BID else ask
    facing = ask if side == BID else bid
    distance = -1
    if not empty and (level <= touch if side == BID else level >= touch):  # inside may be less than a tick inside
        distance = abs(_rank(desk, desk.px_of[touch]) - _rank(desk, px))
    tick = _tick_px(desk, side, px)
    gap = 0.5 * market["mid2_px"] - px
    return Standing(
        float(distance),
        float(desk.book[side, level]),
        float(_better_qty(desk, side, level)),
        float(tick),
        float(desk.px_of[ask] - desk.px_of[bid]) if quoted else float(tick),
        gap if side == BID else -gap,
        float(desk.book[side, touch]) if quoted else 0.0,
        float(desk.book[1 - side, facing]) if quoted else 0.0,
    )


@inner
def freeze(desk, index, now):
    """Fix the hazard of resting order ``index`` by what is known now; coins count from here."""
    fade_until(desk.market, desk.px_of, now)
    row = desk.row
    order = desk.market["orders"][index]
    side = order["side"]
    flow = flow_of(
        desk.market["activity"], side, row["fill_memory"], row["fill_move_memory"], row["fill_life_ns"] / SECOND_NS
    )
    close = desk.market["close_ns"]
    seconds = (close - now) / SECOND_NS if close > 0 else -1.0
    terms = terms_of(standing_of(desk, side, order["level"]), flow, 0.0, seconds)
    desk.market["orders"][index]["hazard"] = hazard_of(logit_of(row["fill_base"], row["fill_terms"], terms))


@inner
def toss(desk, index, now):
    """Whether a print at our price reached resting order ``index``."""
    order = desk.market["orders"][index]
    account = desk.account
    chance = chance_within(order["hazard"], now - order["drawn_ns"], desk.row["fill_life_ns"])
    word, _, _, _ = philox(account["seed"], account["episode"], order["id"], FILL, account["number"], order["draws"])
    desk.market["orders"][index]["drawn_ns"] = now
    desk.market["orders"][index]["draws"] += 1
    return uniform(word) < chance
