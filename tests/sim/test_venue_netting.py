"""Merge, convert and collateral return keep what a set pays, whatever happens."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.types import PAIR_UUSD
from sim.venues.netting import collateral_return, convert, convertible, locked, merge, pays_if, return_nested

DOLLAR_LOTS = 100  # lots that pay one dollar
DOLLAR = 1_000_000


def lots(*values):
    return np.array(values, np.int64)


SETS = st.integers(1, 7).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(0, 10**9), min_size=n, max_size=n) for _ in range(2)))
)


def worth(yes, no, payouts):
    """What a set pays under any payouts of its YES, exactly."""
    return sum(int(y) * p + int(n) * (1 - p) for y, n, p in zip(yes, no, payouts, strict=True)) * PAIR_UUSD


def test_merge():
    yes, no = lots(300, 0), lots(200, 50)
    assert merge(yes, no, 0, 150) == 150 * PAIR_UUSD
    assert (yes.tolist(), no.tolist()) == ([150, 0], [50, 50])
    assert merge(yes, no, 0, 10**9) == 50 * PAIR_UUSD  # no more than there are pairs
    assert merge(yes, no, 1, 5) == 0


def test_convert_by_hand():
    # of four outcomes NO of the first two, 3 contracts each: 3 dollars and 3 YES of the other two
    yes, no = lots(0, 0, 0, 100), lots(300, 500, 0, 0)
    assert convertible(no, lots(1, 1, 0, 0)) == 300
    assert convert(yes, no, lots(1, 1, 0, 0), 300) == 3 * DOLLAR
    assert (yes.tolist(), no.tolist()) == ([0, 0, 300, 400], [0, 200, 0, 0])
    # one NO is a YES of everything else, and no money
    assert convert(yes, no, lots(0, 1, 0, 0), 200) == 0
    assert (yes.tolist(), no.tolist()) == ([200, 0, 500, 600], [0, 0, 0, 0])


def test_a_no_of_every_outcome_is_all_but_one_dollar():
    yes, no = lots(0, 0, 0), lots(100, 100, 100)
    assert convert(yes, no, lots(1, 1, 1), 100) == 2 * DOLLAR
    assert not yes.any()
    assert not no.any()


@pytest.mark.parametrize(("chosen", "qty"), [((1, 1), 101), ((0, 0), 1), ((1, 1), 0), ((1, 1), -1)])
def test_what_cannot_be_converted_stays(chosen, qty):
    yes, no = lots(5, 6), lots(100, 200)
    assert convert(yes, no, lots(*chosen), qty) == -1
    assert (yes.tolist(), no.tolist()) == ([5, 6], [100, 200])


@given(SETS, st.data())
def test_merge_and_convert_keep_the_worth(holdings, data):
    yes, no = lots(*holdings[0]), lots(*holdings[1])
    n = len(yes)
    weights = data.draw(st.lists(st.integers(0, 100), min_size=n, max_size=n).filter(any))
    payouts = [Fraction(w, sum(weights)) for w in weights]  # any payouts that add up to 1: ties and scalars too
    before = worth(yes, no, payouts)
    chosen = lots(*data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    qty = data.draw(st.integers(0, 10**9))
    cash = max(0, convert(yes, no, chosen, qty))
    index = data.draw(st.integers(0, n - 1))
    cash += merge(yes, no, index, data.draw(st.integers(0, 10**9)))
    assert (yes >= 0).all()
    assert (no >= 0).all()
    assert worth(yes, no, payouts) + cash == before


@given(SETS, st.booleans(), st.data())
def test_collateral_return_is_the_worst_case(holdings, exhaustive, data):
    yes, no = lots(*holdings[0]), lots(*holdings[1])
    n = len(yes)
    returned = collateral_return(yes, no, int(exhaustive))
    cases = [pays_if(yes, no, winner) for winner in range(0 if exhaustive else -1, n)]
    assert returned == min(cases)
    # and no payouts in between are worse
    weights = data.draw(st.lists(st.integers(0, 100), min_size=n + 1, max_size=n + 1).filter(lambda w: any(w[:n])))
    total = sum(weights[:n]) + (0 if exhaustive else weights[n])
    assert worth(yes, no, [Fraction(w, total) for w in weights[:n]]) >= returned


@given(SETS, st.integers(0, 10**13))
def test_what_is_advanced_is_paid_back(holdings, cost):
    """Cash after settlement is the same with collateral return and without, and the advance is always covered."""
    yes, no = lots(*holdings[0]), lots(*holdings[1])
    returned = collateral_return(yes, no, 0)
    for winner in range(-1, len(yes)):
        payout = pays_if(yes, no, winner)
        without = payout - cost
        with_return = -locked(cost, returned) + (payout - returned)
        assert with_return == without
        assert payout - returned >= 0


def test_the_pages_example():
    # NO of two outcomes for 0.60 and 0.70: at most one of them happens, so one pays at least
    returned = collateral_return(lots(0, 0), lots(100, 100), 0)
    assert returned == DOLLAR
    assert locked(600_000 + 700_000, returned) == 300_000


@pytest.mark.parametrize(
    ("yes", "no", "exhaustive", "dollars"),
    [
        ((0, 0, 0), (1, 1, 1), 0, 2),  # one may lose
        ((0, 0, 0), (1, 1, 1), 1, 2),
        ((1, 1, 1), (0, 0, 0), 0, 0),  # none may happen
        ((1, 1, 1), (0, 0, 0), 1, 1),
        ((3, 0, 0), (0, 2, 2), 0, 2),  # the second happens: its NO is lost, the first's YES too
        ((0, 0), (5, 0), 0, 0),
        ((2,), (2,), 0, 2),  # a pair
    ],
)
def test_sets_by_hand(yes, no, exhaustive, dollars):
    scaled = (lots(*yes) * DOLLAR_LOTS, lots(*no) * DOLLAR_LOTS)
    assert collateral_return(*scaled, exhaustive) == dollars * DOLLAR


def test_nested_strikes():
    # above 100 and above 110: YES of the lower and NO of the higher pay one dollar at least, two in between
    assert return_nested(lots(100, 0), lots(0, 100)) == DOLLAR
    # the other way round nothing is sure
    assert return_nested(lots(0, 100), lots(100, 0)) == 0


@given(SETS)
def test_nested_strikes_are_the_worst_of_all_numbers_passed(holdings):
    yes, no = lots(*holdings[0]), lots(*holdings[1])
    cases = [int(yes[:passed].sum() + no[passed:].sum()) for passed in range(len(yes) + 1)]
    assert return_nested(yes, no) == min(cases) * PAIR_UUSD
