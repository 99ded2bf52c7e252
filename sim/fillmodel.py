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
Rates come from sums that decay with a stated half-life of market time: a sum S in steady state is rate x half / log 2,
so rate = S x log 2 / half. They therefore do not depend on how often anybody looks. The signs are what a queue demands;
the fit keeps to them.
"""

from __future__ import annotations

import math

from sim.kernel import kernel
from sim.mathematics import exp, log
from sim.types import LOTS_PER_CONTRACT, PX_ONE

TERMS = (
    "inside", "distance", "queue", "better", "activity", "lean", "clear", "reach", "spread", "imbalance", "time",
    "size",
)  # fmt: skip
SIGNS = (0, -1, -1, -1, 1, 0, -1, -1, 0, -1, 0, -1)  # of the coefficients; 0 = any
_LN2 = 0.6931471805599453
_CENT_PX = PX_ONE // 100
_HALF_CENT = 0.5


@kernel
def decayed(total, elapsed_ns, half_ns):
    """A decaying sum, ``elapsed`` later: it halves every ``half``."""
    return total * exp(-_LN2 * elapsed_ns / half_ns)


@kernel
def per_life(total, life_s, half_s):
    """What a decaying sum says to expect within a life: rate x life, rate = total x log 2 / half."""
    return total * _LN2 * life_s / half_s


@kernel
def place_terms(terms, distance, ahead_qty, better_qty, tick_px, spread_px, gap_px, touch_qty, facing_qty):
    """Terms of where the order stands: ``terms`` (12,) float64 gets inside, distance, queue, better, spread,
    imbalance and the distance part of reach.

    ``distance`` in ticks behind the touch (negative: inside), ``gap_px`` from the mid to the order (positive), in 1e-4
    dollar and may be fractional; quantities in lots.
    """
    terms[0] = 1.0 if distance < 0 else 0.0
    terms[1] = float(max(0, distance))
    terms[2] = log(1.0 + ahead_qty / LOTS_PER_CONTRACT)
    terms[3] = log(1.0 + better_qty / LOTS_PER_CONTRACT)
    terms[7] = log(max(0.0, gap_px / _CENT_PX) + _HALF_CENT)
    terms[8] = log(spread_px / tick_px)
    both = touch_qty + facing_qty
    terms[9] = (touch_qty - facing_qty) / both if both > 0 else 0.0


@kernel
def flow_terms(terms, hits, other_hits, hit_qty, move_px, standing_qty, own_qty, seconds_left):
    """Terms of what has happened lately, after :func:`place_terms`: the rest of ``terms`` (12,) float64.

    ``hits``, ``other_hits``: prints a life against our side and the other; ``hit_qty`` lots a life against our side;
    ``move_px`` standard deviation of the mid over a life, 1e-4 dollar; ``standing_qty`` lots ahead and better;
    ``own_qty`` 0 for the probability that the first lot of a print reaches us; ``seconds_left`` negative = not known.
    """
    own = own_qty / LOTS_PER_CONTRACT
    terms[4] = log(1.0 + hits + other_hits)
    terms[5] = log(1.0 + hits) - log(1.0 + other_hits)
    terms[6] = log(1.0 + standing_qty / LOTS_PER_CONTRACT + own) - log(1.0 + hit_qty / LOTS_PER_CONTRACT)
    terms[7] -= log(move_px / _CENT_PX + _HALF_CENT)
    terms[10] = log(1.0 + seconds_left) if seconds_left >= 0.0 else 0.0
    terms[11] = log(1.0 + own)


@kernel
def probability(base, coefficients, terms):
    """``1 / (1 + exp(-(base + sum of coefficient x term)))``; arrays of one length."""
    logit = base
    for index in range(len(terms)):
        logit += coefficients[index] * terms[index]
    return 1.0 / (1.0 + exp(-logit))


@kernel
def move_of(variance, life_s, half_s):
    """Standard deviation of the mid over a life, from a decaying sum of its squared moves."""
    return math.sqrt(per_life(variance, life_s, half_s))
