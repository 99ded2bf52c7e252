"""Relations between markets: which packages they guarantee, what these cost, what is refused."""

import itertools

import numpy as np
import pytest

from sim.book import fresh_market
from sim.links import Exclusive, Nested, Same, check_payouts, compile_links, scan
from sim.state import allocate
from sim.types import ASK, BID, NO, OPEN, PX_ONE, YES
from sim.venues import fee_table, kalshi_fees

PX_OF = np.arange(100, PX_ONE, 100)
FEES = fee_table([kalshi_fees()])
LOTS = 100  # a contract


def quoted(*quotes):
    """State of one environment; a quote is (bid, bid contracts, ask, ask contracts) in cents, None = no such side."""
    state = allocate(1, len(PX_OF), num_markets=len(quotes))
    for slot, quote in enumerate(quotes):
        market, book = state.market[slot], state.book[slot]
        fresh_market(market, book)
        market["status"] = OPEN
        for side, best, cents, contracts in ((BID, "best_bid", *quote[:2]), (ASK, "best_ask", *quote[2:])):
            if cents is not None:
                book[side, cents - 1] = contracts * LOTS
                market[best] = cents - 1
    return state


def scanned(state, links, most_contracts=1_000_000):
    compiled = compile_links(links, len(state.market))
    out = [np.full((1, len(compiled.packages)), -7, np.int64) for _ in range(3)]
    scan(state.market, state.book, PX_OF, FEES, compiled, most_contracts * LOTS, *out)
    return [column[0].tolist() for column in out]


def test_a_set_whose_asks_sum_to_less_than_a_dollar():
    # YES in all three: 30 + 25 + 40 = 95 cents for a dollar, 10 contracts at most
    # fees of 10 contracts: 0.07 x 10 x (.3 x .7 + .25 x .75 + .4 x .6) = .147 + .13125 + .168, each rounded up to 1e-4
    # dollar: .1470 + .1313 + .1680 = .4463; edge 10 x .05 - .4463 = .0537 dollars
    # NO in all three: (1 - .28) + (1 - .23) + (1 - .37) = 2.12 for two dollars
    state = quoted((28, 50, 30, 10), (23, 50, 25, 20), (37, 50, 40, 30))
    price, qty, edge = scanned(state, [Exclusive((0, 1, 2))])
    assert price == [21_200, 9_500]
    assert qty == [50 * LOTS, 10 * LOTS]
    assert edge[1] == 500_000 - 446_300
    assert edge[0] < -50 * 120_000


def test_a_set_that_need_not_pay_guarantees_no_yes():
    state = quoted((28, 50, 30, 10), (23, 50, 25, 20))
    price, _, _ = scanned(state, [Exclusive((0, 1), exhaustive=False)])
    assert price == [14_900]  # NO in both: .72 + .77


def test_the_same_event_on_two_venues():
    # YES in 0 at 40 and NO in 1 at 100 - 45 = 55: 95 cents for a dollar; the other way round 62 + 57 = 119
    # 5 contracts: fees .07 x 5 x .4 x .6 = .084 and .07 x 5 x .55 x .45 = .086625 -> .0867: edge .25 - .1707 = .0793
    state = quoted((38, 9, 40, 5), (45, 8, 57, 8))
    price, qty, edge = scanned(state, [Same(0, 1)])
    assert price == [9_500, 6_200 + 5_700]
    assert qty == [5 * LOTS, 8 * LOTS]
    assert edge[0] == 79_300


def test_nested_strikes_cost_a_dollar_at_least():
    # "above 30" implies "above 20" implies "above 10": NO in the narrow one, YES in the wide one
    state = quoted((20, 5, 22, 5), (19, 5, 21, 5), (60, 5, 62, 5))
    price, _, _ = scanned(state, [Nested((0, 1, 2))])
    assert price == [8_000 + 2_100, 8_100 + 6_200]


def test_no_more_than_wanted_is_judged():
    state = quoted((38, 9, 40, 5), (45, 8, 57, 8))
    assert scanned(state, [Same(0, 1)], most_contracts=1)[2][0] == 50_000 - 16_800 - 17_400  # .017325 up to 1e-4


@pytest.mark.parametrize("quotes", [((None, 0, 40, 5), (None, 0, 41, 8)), ((38, 5, None, 0), (37, 8, 57, 8))])
def test_a_leg_without_a_quote_has_no_price(quotes):
    price, qty, edge = scanned(quoted(*quotes), [Same(0, 1)])
    assert (price[0], qty[0], edge[0]) == (0, 0, 0)


def test_a_closed_market_has_no_price():
    state = quoted((38, 9, 40, 5), (45, 8, 57, 8))
    state.market["status"][1] = OPEN + 1
    assert scanned(state, [Same(0, 1)])[0] == [0, 0]


def outcomes(link, markets):
    """All joint payouts of ``markets`` that a relation allows."""
    for pays in itertools.product((0, 1), repeat=markets):
        if isinstance(link, Same):
            fits = pays[link.first] == pays[link.second]
        elif isinstance(link, Nested):
            fits = all(pays[a] <= pays[b] for a, b in itertools.pairwise(link.markets))
        else:
            fits = sum(pays[m] for m in link.markets) in ((1,) if link.exhaustive else (0, 1))
        if fits:
            yield pays


@pytest.mark.parametrize(
    "link",
    [Exclusive((0, 1)), Exclusive((3, 1, 0)), Exclusive((0, 1, 2, 3), exhaustive=False), Same(2, 0), Nested((2, 0, 3))],
)
def test_every_package_pays_its_floor_in_every_outcome_and_no_more_in_one(link):
    compiled = compile_links([link], 4)
    allowed = list(outcomes(link, 4))
    assert allowed
    for package in compiled.packages:
        legs = compiled.legs[package["first"] : package["first"] + package["count"]]
        totals = [sum(p[g["market"]] == (1 if g["leg"] == YES else 0) for g in legs) * PX_ONE for p in allowed]
        assert min(totals) == package["floor_px"]
        assert set(legs["leg"].tolist()) <= {YES, NO}


@pytest.mark.parametrize(
    ("link", "says"),
    [
        (Exclusive((0, 3)), r"link 1, Exclusive.*no market 3; the markets are 0 to 2"),
        (Same(0, -1), "no market -1"),
        (Same(1, 1), "two or more markets, each once"),
        (Nested((2,)), "two or more markets, each once"),
    ],
)
def test_links_to_unknown_or_repeated_markets_are_refused(link, says):
    with pytest.raises(ValueError, match=says):
        compile_links([Same(0, 1), link], 3)


def test_a_relation_that_the_payouts_contradict_is_refused():
    # a third outcome in which neither pays: then YES in both pays nothing
    pays = [[PX_ONE, 0, 0], [0, PX_ONE, 0]]
    check_payouts([Exclusive((0, 1), exhaustive=False)], [pays])
    says = (
        r"link 0, Exclusive.*: promises that YES of market 0 and YES of market 1 pay 1 dollars together, "
        r"but market 0 may pay 0, market 1 may pay 0: that makes 0"
    )
    with pytest.raises(ValueError, match=says):
        check_payouts([Exclusive((0, 1))], [pays])
    # nested the wrong way round: NO of the hard one pays, and the easy one need not
    strikes = [[0, PX_ONE, PX_ONE], [0, 0, PX_ONE]]
    check_payouts([Nested((1, 0))], [strikes])
    with pytest.raises(ValueError, match=r"NO of market 0 and YES of market 1 pay 1 dollars .* that makes 0"):
        check_payouts([Nested((0, 1))], [strikes])


def test_markets_that_know_nothing_of_each_other_can_pay_anything_together():
    event = [PX_ONE, 0]
    check_payouts([Same(0, 1)], [[event, event]])
    with pytest.raises(ValueError, match="market 0 may pay 0, market 1 may pay 1: that makes 0"):
        check_payouts([Same(0, 1)], [[event], [event]])
