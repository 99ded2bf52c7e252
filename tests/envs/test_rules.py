"""Price tables against a search by hand."""

import numpy as np
import pytest

from envs.rules import make_rules
from sim.types import PX_ONE

PRICES = np.arange(PX_ONE + 1)  # a ladder of every price: its levels are the prices


def brute(legal, px, step, count):
    """Walk ``count`` legal prices from ``px`` in a direction; the last one there is, -1 = none at all."""
    found = -1
    while 0 < px < PX_ONE and count >= 0:
        if px in legal:
            found = px
            count -= 1
        px += step
    return found


@pytest.mark.parametrize("cross_ticks", [0, 1, 3])
def test_tables_agree_with_a_walk(cross_ticks):
    # tapered: 0.1 cent within 3 cents of the ends, cents between; and a table with one price
    legal = [{*range(10, 300, 10), *range(300, 9701, 100), *range(9710, 10_000, 10)}, {5000}]
    tick_ok = np.zeros((2, PX_ONE + 1), np.bool_)
    for table, prices in enumerate(legal):
        tick_ok[table, sorted(prices)] = True
    none = np.zeros(0)
    rules = make_rules(PRICES, tick_ok, none, cross_ticks=cross_ticks, cancels_first=none)
    for table, prices in enumerate(legal):
        for px in [1, 9, 10, 11, 290, 299, 300, 350, 5000, 5001, 9700, 9705, 9989, 9990, 9991, 9999]:
            assert rules.join_ask[table, px] == brute(prices, px, 1, 0)
            assert rules.join_bid[table, px] == brute(prices, px, -1, 0)
            assert rules.cross_bid[table, px] == brute(prices, px, 1, cross_ticks)
            assert rules.cross_ask[table, px] == brute(prices, px, -1, cross_ticks)


@pytest.mark.parametrize(
    ("px", "tick"), [(1, 10), (150, 10), (299, 10), (300, 100), (5050, 100), (9700, 10), (9999, 10)]
)
def test_the_tick_at_a_price(px, tick):
    tick_ok = np.zeros((1, PX_ONE + 1), np.bool_)
    tick_ok[0, [*range(10, 300, 10), *range(300, 9701, 100), *range(9710, 10_000, 10)]] = True
    none = np.zeros(0)
    rules = make_rules(PRICES, tick_ok, none, cross_ticks=2, cancels_first=none)
    assert rules.tick[0, px] == tick
