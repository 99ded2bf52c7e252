"""The arbitrageur and the hedger on made-up quotes, and on recordings through the engine."""

import numpy as np
import pytest
from by_hand import DOLLAR, FREE, START, check_books_balance, level, opening, settlement, tape

from sim.backtest import MEMORY, Screen, backtest
from sim.engine import Engine
from sim.links import Exclusive, Nested, Same, compile_links
from sim.scenarios import Place, Scenario
from sim.scenarios.row import make_rows
from sim.sight import SIGHT
from sim.strategies.arbitrage import arbitrageur, best_offer, offer
from sim.strategies.hedger import hedger, left_by_completing, left_by_reducing
from sim.types import ASK, BID, DO_NOTHING, DO_PLACE, INTENT, IOC, NO, SECOND_NS, YES
from sim.venues.fees import exact_fee

LOTS = 100
PPM = 70_000


def sights(*quotes, held=(), free=10_000 * DOLLAR, now_s=1.0):
    """SIGHT of markets; a quote is (bid cents, contracts, ask cents, contracts), ``held`` is YES less NO contracts."""
    seen = np.zeros(len(quotes), SIGHT)
    for market, (bid, bid_size, ask, ask_size) in enumerate(quotes):
        one = seen[market]
        one["now_ns"], one["open"], one["free_uusd"], one["taker_ppm"] = round(now_s * SECOND_NS), 1, free, PPM
        one["bid_px"], one["bid_qty"], one["ask_px"], one["ask_qty"] = (
            100 * bid, LOTS * bid_size, 100 * ask, LOTS * ask_size,
        )  # fmt: skip
    for market, net in enumerate(held):
        seen[market]["yes_qty"], seen[market]["no_qty"] = max(0, net) * LOTS, max(0, -net) * LOTS
    return seen


def asked(strategy, seen, links, memory=None, **values):
    """Orders as {(market, side): (contracts, cents, leg)}."""
    memory = np.zeros((len(seen), MEMORY)) if memory is None else memory
    orders = np.zeros((len(seen), 2), INTENT)
    book, px_of = np.zeros((len(seen), 2, 1), np.int64), np.zeros(1, np.int64)
    strategy.act(Screen(seen, book, px_of, strategy.params(values), memory, links), orders)
    for order in orders[orders["do"] != DO_NOTHING]:
        assert (order["do"], order["tif"], order["post_only"], order["budget_uusd"]) == (DO_PLACE, IOC, 0, 0)
    return {
        (market, side): (orders[market, side]["qty"] / LOTS, orders[market, side]["px"] // 100,
                         int(orders[market, side]["leg"]))
        for market, side in np.argwhere(orders["do"] != DO_NOTHING).tolist()
    }  # fmt: skip


TRIO = compile_links([Exclusive((0, 1, 2))], 3)  # package 0: NO in all, 1: YES in all
CHEAP = ((28, 50, 30, 10), (23, 50, 25, 20), (37, 50, 40, 30))  # YES for 95 cents, NO for 2.12 of 2 dollars


def test_the_fee_is_the_formula_rounded_up():
    assert exact_fee(3000, 1000, PPM) == 147_000  # .07 x 10 x .3 x .7
    assert exact_fee(2500, 1000, PPM) == 131_250
    assert exact_fee(2500, 1, PPM) == 132  # 131.25
    assert exact_fee(5000, 10**11, 1_000_000) == 250_000_000 * DOLLAR  # a billion contracts do not overflow


def test_what_a_package_gains_after_fees():
    # 10 contracts: .05 x 10 - (.147 + .13125 + .168) = .05375
    assert offer(sights(*CHEAP), TRIO, 1, 100 * LOTS) == (1000, 53_750)
    assert offer(sights(*CHEAP), TRIO, 0, 100 * LOTS) == (0, 0)
    # 5 dollars over .95 + 3 x .02 = 1.01 a contract: 4.95
    assert offer(sights(*CHEAP, free=5 * DOLLAR), TRIO, 1, 100 * LOTS)[0] == 495
    assert best_offer(sights(*CHEAP), TRIO, 100 * LOTS, 500, 50.0) == (1, 1000)  # .53 cents a contract
    assert best_offer(sights(*CHEAP), TRIO, 100 * LOTS, 500, 54.0) == (-1, 0)
    assert best_offer(sights(*CHEAP), TRIO, 100 * LOTS, 1001, 50.0) == (-1, 0)


def test_the_arbitrageur_takes_all_legs_in_one_step():
    orders = asked(arbitrageur, sights(*CHEAP), TRIO)
    assert orders == {(0, BID): (10, 30, YES), (1, BID): (10, 25, YES), (2, BID): (10, 40, YES)}
    assert asked(arbitrageur, sights(*CHEAP), TRIO, margin=0.01) == {}
    closed = sights(*CHEAP)
    closed["open"][1] = 0
    assert asked(arbitrageur, closed, TRIO) == {}


def test_no_is_bought_at_the_bid():
    # same event: YES in the first at 40, NO in the second at 1 - .45
    links = compile_links([Same(0, 1)], 2)
    orders = asked(arbitrageur, sights((38, 50, 40, 20), (45, 30, 47, 50)), links)
    assert orders == {(0, BID): (20, 40, YES), (1, ASK): (20, 45, NO)}


def test_orphans_are_sold_after_the_time_and_whole_packages_kept():
    memory = np.zeros((3, MEMORY))
    before = (0, 7, -3)  # contracts held before the attempt
    assert len(asked(arbitrageur, sights(*CHEAP, held=before), TRIO, memory)) == 3
    after = (10, 11, 7)  # got 10, 4 and 10: 4 whole, 6 orphans in the first and the third
    assert asked(arbitrageur, sights(*CHEAP, held=after, now_s=1.9), TRIO, memory) == {}
    orders = asked(arbitrageur, sights(*CHEAP, held=after, now_s=2.0), TRIO, memory)
    assert orders == {(0, ASK): (6, 28, YES), (2, ASK): (6, 37, YES)}
    # the first is sold, the third only in part: what is left is asked again after another second
    after = (4, 11, 2)
    assert asked(arbitrageur, sights(*CHEAP, held=after, now_s=2.5), TRIO, memory) == {}
    dear = ((28, 50, 38, 10), (23, 50, 25, 20), (37, 50, 40, 30))
    # got 4, 4 and 5: one contract is below `least` and stays; nothing is cheap any more
    assert asked(arbitrageur, sights(*dear, held=after, now_s=3.0), TRIO, memory) == {}
    assert memory[0, 0] == 0


def test_an_orphan_that_was_netted_away_is_bought_back():
    # NO in all three at 1.90; before, 10 YES of the first were held: its 10 NO netted to nothing
    rich = ((40, 10, 50, 50), (35, 10, 50, 50), (35, 10, 50, 50))
    memory = np.zeros((3, MEMORY))
    orders = asked(arbitrageur, sights(*rich, held=(10, 0, 0)), TRIO, memory)
    assert orders == {(0, ASK): (10, 40, NO), (1, ASK): (10, 35, NO), (2, ASK): (10, 35, NO)}
    orders = asked(arbitrageur, sights(*rich, held=(0, 0, -10), now_s=5.0), TRIO, memory)
    assert orders == {(0, BID): (10, 50, YES), (2, BID): (10, 50, NO)}


def test_a_market_that_closed_ends_the_attempt():
    memory = np.zeros((3, MEMORY))
    asked(arbitrageur, sights(*CHEAP), TRIO, memory)
    after = sights(*CHEAP, held=(10, 0, 0), now_s=3.0)
    after["open"][1] = 0
    assert asked(arbitrageur, after, TRIO, memory) == {}
    assert memory[0, 0] == 0


SAME_EVENT = (Same(0, 1),)
SAME = compile_links(SAME_EVENT, 2)  # package 0: YES in 0 and NO in 1; package 1 the other way round


def test_the_hedger_compares_the_ways_out():
    # 10 YES of the first held. NO of the second costs .52: 10 - 5.2 - .07 x 10 x .52 x .48 = 4.62528 are left;
    # selling the YES at .44 leaves 4.4 - .07 x 10 x .44 x .56 = 4.22752
    seen = sights((44, 50, 46, 50), (48, 50, 50, 50), held=(10, 0))
    assert left_by_completing(seen, SAME, 0, 0, 1000) == 4_625_280
    assert left_by_reducing(seen, SAME, 0, 0) == 4_227_520
    assert asked(hedger, seen, SAME) == {(1, ASK): (10, 48, NO)}
    # dearer NO: selling is better
    seen = sights((44, 50, 46, 50), (40, 50, 50, 50), held=(10, 0))
    assert asked(hedger, seen, SAME) == {(0, ASK): (10, 44, YES)}
    assert asked(hedger, seen, SAME, size=4.0) == {(0, ASK): (4, 44, YES)}


def test_the_hedger_lets_be_what_is_small_whole_or_on_its_way():
    quotes = ((44, 50, 46, 50), (48, 50, 50, 50))
    assert asked(hedger, sights(*quotes, held=(5, 0)), SAME) == {}
    assert asked(hedger, sights(*quotes, held=(10, -10)), SAME) == {}
    memory = np.zeros((2, MEMORY))
    assert len(asked(hedger, sights(*quotes, held=(10, 0)), SAME, memory)) == 1
    assert asked(hedger, sights(*quotes, held=(10, 0), now_s=1.5), SAME, memory) == {}
    assert len(asked(hedger, sights(*quotes, held=(10, -4), now_s=2.0), SAME, memory)) == 1


def test_the_hedger_hedges_what_is_most_exposed_and_waits_where_nothing_is_quoted():
    links = compile_links([Same(0, 1), Nested((2, 3))], 4)
    quotes = ((44, 50, 46, 50), (48, 50, 50, 50), (20, 50, 22, 50), (30, 50, 32, 50))
    # 20 NO of the hard strike: YES of the easy one at 32 leaves .68 each, selling NO at 1 - .22 leaves .78 each
    assert asked(hedger, sights(*quotes, held=(10, 0, -20, 0)), links) == {(2, BID): (20, 22, NO)}
    silent = sights((0, 0, 100, 0), (0, 0, 100, 0), held=(10, 0))
    memory = np.zeros((2, MEMORY))
    assert asked(hedger, silent, SAME, memory) == {} and memory[0, 1] == 0
    assert asked(hedger, sights((44, 50, 46, 50), held=(10,)), compile_links([], 1)) == {}


def played(first, second, links=SAME_EVENT, **row):
    scenario = Scenario(
        make_rows(1, **{"order_delay_ms": 0.0, "cancel_delay_ms": 0.0, **row}), (Place(), Place()),
        tapes=(first, second), names=("first", "second"), replay_share=1.0, sequential=True, links=links,
    )  # fmt: skip
    return Engine(scenario, 1, window_s=np.inf)


def recording(bid, ask, *more, payout):
    return tape(*opening({bid: 50}, {ask: 50}), *more, settlement(60, payout), fees=(FREE,), end_s=None)


def test_an_arbitrage_pays_its_edge_whatever_happens():
    # YES at 40 in the first, NO at 1 - .45 in the second: 95 cents for a dollar, 50 contracts; then the ask goes
    for payout in (0, 10_000):
        gone = [level(1.4, ASK, 4000, 0), level(1.4, ASK, 6000, 50)]
        engine = played(recording(3800, 4000, *gone, payout=payout), recording(4500, 4700, payout=payout))
        result = backtest(engine, arbitrageur, dt_s=0.5)
        assert [(int(f["market"]), int(f["qty"])) for f in result.fills] == [(0, 5000), (1, -5000)]
        assert engine.state.account["equity_uusd"][0] == START + 2_500_000
        check_books_balance(engine)


def test_a_leg_that_fails_is_unwound_at_a_loss():
    # the second market's bid goes from 45 to 39 while the orders are on their way: its leg gets
    # nothing. 50 YES bought at 40 in the first are sold at 38
    moved = [level(1.1, BID, 4500, 0), level(1.1, BID, 3900, 50)]
    first = recording(3800, 4000, payout=0)
    engine = played(first, recording(4500, 4700, *moved, payout=0), order_delay_ms=300.0)
    result = backtest(engine, arbitrageur, dt_s=0.1)
    assert [(int(f["market"]), int(f["qty"]), int(f["px"])) for f in result.fills] == [
        (0, 5000, 4000),
        (0, -5000, 3800),
    ]
    assert engine.state.account["equity_uusd"][0] == START - 1_000_000


@pytest.mark.parametrize("chosen", [arbitrageur, hedger])
def test_without_links_they_do_nothing(chosen):
    engine = played(recording(3800, 4000, payout=0), recording(4500, 4700, payout=0), links=())
    assert backtest(engine, chosen, dt_s=1.0).messages == 0
