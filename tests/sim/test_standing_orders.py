"""What of a wish is there already, and the strategy that sells over time, by hand."""

import os

import numpy as np
import pytest
from test_linked_strategies import asked, sights

from sim.backtest import MEMORY
from sim.links import compile_links
from sim.state import AMEND, MARKET, NEW
from sim.strategies.execution import twap
from sim.types import ASK, BID, GTC, INTENT, IOC, NO, YES
from sim.wishes import standing

LOTS = 100
# compiled code takes no single record from Python: the shield's own tests run it compiled
by_python = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") != "1", reason="kernels are compiled")


def wish(**changes):
    intent = np.zeros(1, INTENT)
    for name, value in {"px": 5000, "qty": 500, "tif": GTC, "leg": YES, **changes}.items():
        intent[name] = value
    return intent[0]


def market(*, orders=(), messages=()):
    made = np.zeros(1, MARKET)
    for index, order in enumerate(orders):
        for name, value in {"id": index + 1, "px": 5000, "side": BID, "leg": YES, **order}.items():
            made["orders"][name][0, index] = value
    for index, message in enumerate(messages):
        given = {"id": index + 9, "due_ns": 1, "kind": NEW, "px": 5000, "side": BID, "leg": YES, "tif": GTC, **message}
        for name, value in given.items():
            made["messages"][name][0, index] = value
    return made[0]


@by_python
@pytest.mark.parametrize(
    "orders, amends, intent, expected",
    [
        ([{"qty": 300}], 0, wish(), (300, False)),  # what rests is part of it
        ([{"qty": 500}], 0, wish(), (500, False)),
        ([{"qty": 800}], 0, wish(), (0, False)),  # too large, and cannot shrink in place
        ([{"qty": 800}], 1, wish(), (500, True)),  # it can
        ([{"qty": 200}, {"qty": 400}], 0, wish(), (400, False)),  # the largest
        ([{"qty": 300, "px": 4900}], 0, wish(), (0, False)),
        ([{"qty": 300, "side": ASK}], 0, wish(), (0, False)),
        ([{"qty": 300, "leg": NO}], 0, wish(), (0, False)),
        ([{"qty": 300, "leaving": 1}], 0, wish(), (0, False)),
        ([{"qty": 300}], 0, wish(expiry_ns=10**10), (0, False)),
        ([{"qty": 300}], 0, wish(tif=IOC), (0, False)),
        ([{"qty": 300}], 0, wish(budget_uusd=1), (0, False)),
    ],
)
def test_a_resting_order_stands_for_a_wish_of_its_price(orders, amends, intent, expected):
    assert tuple(standing(market(orders=orders), 0, amends, BID, intent)) == expected


@by_python
@pytest.mark.parametrize(
    "message, expected",
    [
        ({"qty": 300}, 300),
        ({"qty": 800}, 0),
        ({"qty": 300, "px": 4900}, 0),
        ({"qty": 300, "post_only": 1}, 0),
        ({"qty": 300, "side": ASK}, 0),
        ({"qty": 300, "due_ns": 0}, 0),  # no message
    ],
)
def test_an_order_under_way_stands_for_a_wish_too(message, expected):
    assert tuple(standing(market(messages=[message]), 0, 0, BID, wish())) == (expected, False)


@by_python
def test_an_order_that_is_being_amended_stands_for_nothing():
    held = market(orders=[{"qty": 300}], messages=[{"id": 1, "kind": AMEND, "qty": 100}])
    assert tuple(standing(held, 0, 1, BID, wish())) == (0, False)


def test_twap_sells_what_is_due_and_no_less_than_a_slice():
    alone, memory = compile_links([], 1), np.zeros((1, MEMORY))
    quote = (50, 100, 52, 100)

    def at(now_s, held, bid=quote):
        seen = sights(bid, held=(held,), now_s=now_s)
        return asked(twap, seen, alone, memory, horizon_s=10.0, slice=5.0)

    assert at(1.0, 30) == {}  # it begins: nothing is due
    assert at(2.0, 30) == {}  # a tenth, 3 contracts: less than a slice
    assert at(3.0, 30) == {(0, ASK): (6, 48, YES)}  # a fifth is 6; two ticks below the bid
    assert at(4.0, 24) == {}  # 9 are due, 6 are sold
    assert at(5.0, 24) == {(0, ASK): (6, 48, YES)}  # 12 less 6
    assert at(5.0, 24, (1, 100, 52, 100)) == {(0, ASK): (6, 1, YES)}  # not below the lowest price: at the bid
    assert at(5.0, 24, (0, 0, 52, 100)) == {}  # nobody bids
    assert at(11.0, 2) == {(0, ASK): (2, 48, YES)}  # the rest, however little
    closed = sights(quote, held=(24,), now_s=11.0)
    closed["open"] = 0
    assert asked(twap, closed, alone, memory, horizon_s=10.0, slice=5.0) == {}
