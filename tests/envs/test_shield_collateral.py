"""Sales at a venue that returns the collateral of sets: they may take cash, and the buffer counts it."""

from dataclasses import replace

from shielded import WIDE, desk, judge, order, own, under_way

from envs.shield import ORDER_REASONS
from sim.types import BID, NO


def returned(state):
    """A venue that returns the collateral of the set that all markets are in."""
    state.market["returns"] = 1
    return state


def test_sales_that_may_give_collateral_back_take_from_the_buffer():
    # $10,000, 99 % of which stay: $100 less $30 of what is held (60 NO at 0.50) are free. NO of market 0 sold at 0.40,
    # a bid at 0.60, may give back the dollar less the price: 0.60 x 50 = $30. 40 / 0.40 = 100 contracts are left
    limits = replace(WIDE, cash_buffer=0.99, per_trade=0.01)
    for sends in (lambda state: under_way(state, 0, BID, 60, 50, leg=NO), lambda state: state):
        state = sends(own(returned(desk(1, 2)), 0, no=60))
        sale = {} if state.messages["due_ns"].any() else {"m0_bid": order(60, 50, leg=NO)}
        verdict = judge(state, limits, m1_bid=order(40, 1000), **sale)
        assert verdict.orders[1, BID]["qty"] == 100 * 100
        assert ORDER_REASONS[verdict.reasons[1, BID]] == "cash_buffer"
        # where nothing is returned a sale takes no cash: 70 / 0.40 = 175
        state.market["returns"] = 0
        assert judge(state, limits, m1_bid=order(40, 1000), **sale).orders[1, BID]["qty"] == 175 * 100


def test_a_sale_that_gives_collateral_back_and_does_not_only_close_must_leave_the_buffer():
    # a pair of 100 YES and 100 NO for $100 leaves $9,900, less a buffer of 98.9 %: $10 free. To sell the NO at 0.40,
    # a bid at 0.60, gives back 0.60 a contract: 10 / 0.60 = 16.66
    state = own(returned(desk()), 0, yes=100, no=100)
    limits = replace(WIDE, cash_buffer=0.989, per_trade=0.011, per_market=0.02)
    verdict = judge(state, limits, m0_bid=order(60, 100, leg=NO))
    assert verdict.orders[0, BID]["qty"] == 1666
    assert ORDER_REASONS[verdict.reasons[0, BID]] == "cash_buffer"
