"""How busy a market is: a rate of prints that belongs to market time, not to how often anybody looks.

A sum gains 1 with every print and halves every 10 s. In steady state it is rate x 10 s / log 2, so

    prints a second = sum x log 2 / 10 s

The sum is brought up to date at prints only, and when it is read.
"""

from __future__ import annotations

from sim.kernel import hot, inner
from sim.mathematics import exp
from sim.types import SECOND_NS

RATE_HALF_NS = 10 * SECOND_NS
_LN2 = 0.6931471805599453


@hot
def count_print(market, now):
    """One print more, before ``trade_ns`` is set to now."""
    market["print_sum"] = 1.0 + market["print_sum"] * exp(-_LN2 * (now - market["trade_ns"]) / RATE_HALF_NS)


@inner
def print_rate(market, now):
    """Prints a second."""
    left = exp(-_LN2 * (now - market["trade_ns"]) / RATE_HALF_NS)
    return market["print_sum"] * left * (_LN2 * SECOND_NS / RATE_HALF_NS)
