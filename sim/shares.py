"""Where a cancel came from: how much of it stood ahead of us in the queue. Pure functions of integers.

A feed says that a level lost ``cancelled`` lots, not who cancelled. With ``front`` lots ahead of our order and ``back``
lots of others behind it, the rules say what share of the cancel came from ahead:

=================  =======================================================================================
rule               share from ahead
=================  =======================================================================================
``NONE``           0: nobody ahead of us ever cancels
``PROPORTIONAL``   front / (front + back): every lot of the level is equally likely to go
``POWER``          f(front) / (f(front) + f(back)) with f(x) = x ** power
``LOG``            the same with f(x) = log(1 + x)
``SNAPSHOT``       0 while those behind us cover the cancel, the rest beyond that: the cut a snapshot makes
=================  =======================================================================================

``POWER`` and ``LOG`` are the probability queue models of hftbacktest's documentation ("Order fill", "Probability-based
queue position models": p = f(back) / (f(back) + f(front)) is the probability that the decrease happens behind us). As
there, those behind us cannot cancel more than they have: under every rule but ``NONE`` at least ``cancelled - back``
lots come from ahead. ``POWER`` with power 1 is ``PROPORTIONAL``.

The level's size is an upper bound of what is ahead, whatever the rule; who keeps the order applies it. With that bound
``NONE`` and ``SNAPSHOT`` leave the same number ahead.
"""

from __future__ import annotations

import math

from sim.kernel import kernel
from sim.mathematics import exp, log

NONE = 0
PROPORTIONAL = 1
POWER = 2
LOG = 3
SNAPSHOT = 4
RULE_NAMES = ("none", "proportional", "power", "log", "snapshot")


@kernel
def _power_share(power, front_qty, back_qty):
    """front ** power / (front ** power + back ** power), of positive numbers, without forming a power of either."""
    return 1.0 / (1.0 + exp(power * (log(float(back_qty)) - log(float(front_qty)))))


@kernel
def _log_share(front_qty, back_qty):
    front = log(1.0 + front_qty)
    return front / (front + log(1.0 + back_qty))


@kernel
def share_ahead(rule, power, front_qty, back_qty, cancelled_qty):
    """Lots of a cancel that come from ahead of us: a whole number in [0, min(front, cancelled)], rounded down.

    ``rule`` is one of this module's codes, ``power`` > 0 is read by ``POWER`` only; all quantities are lots >= 0.
    Negative quantities, as a level that shows less than we believe ahead may give for ``back``, count as 0.
    """
    front = max(0, front_qty)
    back = max(0, back_qty)
    cancelled = max(0, cancelled_qty)
    if rule == NONE or front == 0:
        return 0
    forced = min(front, max(0, cancelled - back))
    if rule == SNAPSHOT or back == 0:
        return forced
    if rule == PROPORTIONAL:
        ahead = cancelled * front // (front + back)
    elif rule == POWER:
        ahead = int(math.floor(_power_share(power, front, back) * cancelled))
    else:
        ahead = int(math.floor(_log_share(front, back) * cancelled))
    return min(front, max(forced, ahead))
