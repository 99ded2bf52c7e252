"""The fill model's terms: what is known of an order when it comes to rest, as the numbers its logistic adds up.

logit P(filled within ``life``) = base + sum of coefficient x term. Terms are dimensionless; ``log`` is natural, sizes
are contracts, prices cents, rates per second:

============  ===========================================================  =====
term          formula                                                      sign
============  ===========================================================  =====
inside        1 where the order improves the touch, else 0                 any
distance      ticks behind the touch, 0 where it joins or improves         <= 0
queue         log(1 + size ahead at our price)                             <= 0
better        log(1 + size at better prices of our side)                   <= 0
activity      log(1 + prints a life, both sides)                           >= 0
lean          log(1 + prints a life that hit our side)                     any
              - log(1 + prints a life that hit the other)
clear         log((1 + ahead + better + own size) / (1 + lots printed      <= 0
              against our side a life))
reach         log((distance from the mid + 0.5) / (move + 0.5))            <= 0
spread        log(spread / tick)                                           any
imbalance     (our touch - facing touch) / (our touch + facing touch)      <= 0
time          log(1 + seconds to the close), 0 where no close is known     any
size          log(1 + own size)                                            <= 0
============  ===========================================================  =====

*Prints a life* and *lots a life* are rates x life; ``move`` is the standard deviation of the mid's change over a life.
They come from the fading sums of :mod:`sim.activity`: a sum S in steady state is rate x half-life / log 2, so rate =
S x log 2 / half-life. They therefore do not depend on how often anybody looks. The signs are what a queue demands; the
fit keeps to them. The fit (:mod:`sim.fillfit`) and the engine (:mod:`sim.coin`) call the same functions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from sim.activity import HALF_S, SLOW, per_life
from sim.kernel import kernel
from sim.mathematics import exp, log
from sim.types import BID, LOTS_PER_CONTRACT, PX_ONE

TERMS = (
    "inside", "distance", "queue", "better", "activity", "lean", "clear", "reach", "spread", "imbalance", "time",
    "size",
)  # fmt: skip
SIGNS = (0, -1, -1, -1, 1, 0, -1, -1, 0, -1, 0, -1)  # of the coefficients; 0 = any
COIN_TERMS = TERMS[:-1]  # the coin is about the first lot of a print that reaches us: own size counts as 0
_CENT_PX = PX_ONE // 100
_HALF_CENT = 0.5


class Standing(NamedTuple):
    """Where an order stands. Prices in 1e-4 dollar, quantities in lots, all as floats."""

    distance: float  # ticks behind the touch, negative: inside
    ahead_qty: float
    better_qty: float  # at better prices of our side
    tick_px: float  # to the next price behind ours
    spread_px: float
    gap_px: float  # from the mid to the order, positive where it is behind the mid
    touch_qty: float
    facing_qty: float


class Flow(NamedTuple):
    """What has happened lately, stated for a life."""

    hits: float  # prints against our side
    other_hits: float
    hit_qty: float  # lots printed against our side
    move_px: float  # standard deviation of the mid, 1e-4 dollar


@kernel
def move_of(variance, life_s, half_s):
    """Standard deviation of the mid over a life, from a fading sum of its squared moves."""
    return math.sqrt(per_life(variance, life_s, half_s))


@kernel
def flow_of(activity, side, memory, move_memory, life_s):
    """:class:`Flow` against ``side`` from a market's ``activity``: takers by one memory, the mid's moves by another."""
    half_s = HALF_S[memory]
    sells = per_life(activity["sells"][memory], life_s, half_s)
    buys = per_life(activity["buys"][memory], life_s, half_s)
    variance = 0.25 * activity["squares"][move_memory - SLOW]  # the memory keeps bid + ask
    move = move_of(variance, life_s, HALF_S[move_memory])
    if side == BID:
        return Flow(sells, buys, per_life(activity["sold"][memory], life_s, half_s), move)
    return Flow(buys, sells, per_life(activity["bought"][memory], life_s, half_s), move)


@kernel
def terms_of(standing, flow, own_qty, seconds_left):
    """The terms as 12 floats, in the order of ``TERMS``.

    ``own_qty`` in lots, 0 for the probability that the first lot of a print reaches us; ``seconds_left`` negative = not
    known.
    """
    ahead = standing.ahead_qty / LOTS_PER_CONTRACT
    better = standing.better_qty / LOTS_PER_CONTRACT
    own = own_qty / LOTS_PER_CONTRACT
    both = standing.touch_qty + standing.facing_qty
    return (
        1.0 if standing.distance < 0.0 else 0.0,
        max(0.0, standing.distance),
        log(1.0 + ahead),
        log(1.0 + better),
        log(1.0 + flow.hits + flow.other_hits),
        log(1.0 + flow.hits) - log(1.0 + flow.other_hits),
        log(1.0 + ahead + better + own) - log(1.0 + flow.hit_qty / LOTS_PER_CONTRACT),
        log(max(0.0, standing.gap_px / _CENT_PX) + _HALF_CENT) - log(flow.move_px / _CENT_PX + _HALF_CENT),
        log(standing.spread_px / standing.tick_px),
        (standing.touch_qty - standing.facing_qty) / both if both > 0.0 else 0.0,
        log(1.0 + seconds_left) if seconds_left >= 0.0 else 0.0,
        log(1.0 + own),
    )


@kernel
def logit_of(base, coefficients, terms):
    """``base + sum of coefficient x term``, added in order; ``coefficients`` and ``terms`` of one length."""
    logit = base
    for index in range(len(coefficients)):
        logit += coefficients[index] * terms[index]
    return logit


@kernel
def hazard_of(logit):
    """Hazard of a life in which the event has the probability p = 1 / (1 + exp(-logit)): -log(1 - p)."""
    return max(logit, 0.0) + log(1.0 + exp(-abs(logit)))


@kernel
def chance_within(hazard, elapsed_ns, life_ns):
    """Chance of the event within ``elapsed``: 1 - (1 - p) ** (elapsed / life), for the ``hazard`` of a life."""
    return 1.0 - exp(-hazard * (elapsed_ns / life_ns))
