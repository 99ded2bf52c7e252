"""Netting sets: what the venue returns, merges and converts, in numbers worked by hand and as laws."""

import numpy as np
import pytest
from by_hand import DOLLAR, INTERPRETED, START, buy, check_books_balance, sell, trade
from sets_by_hand import ASK, BID, pool, quotes, set_engine, submit, worst_by_hand

from sim.links import Exclusive
from sim.scenarios import Place, Scenario
from sim.scenarios.row import make_rows
from sim.sets import compile_sets
from sim.types import (
    DO_CONVERT,
    DO_MERGE,
    INTENT,
    IOC,
    NO,
    REJECT_CANNOT_CONVERT,
    REJECT_CASH,
    REJECT_NOTHING_TO_MERGE,
    YES,
)
from sim.venues.netting import collateral_return

LOTS = 100


def merge(contracts):
    return {"do": DO_MERGE, "qty": round(contracts * LOTS)}


def convert(contracts):
    return {"do": DO_CONVERT, "qty": round(contracts * LOTS)}


def holdings(engine, name):
    return (engine.state.position[name] // LOTS).tolist()


# NO at 65 cents in either market: YES bids at 35; the example of the venue's page costs 2 x .65 = 1.30 dollars
PAIR = [quotes(3500, 3700), quotes(3500, 3700)]
BUY_NO = sell(3500, 1, tif=IOC)


def test_positions_that_cost_130_and_pay_100_need_30_cents():
    engine = set_engine(PAIR, (0, 10_000), fees="free")
    submit(engine, (0, ASK, BUY_NO))
    assert pool(engine, "cash_uusd") == START - 650_000  # one NO may pay nothing
    submit(engine, (1, ASK, BUY_NO))
    assert pool(engine, "cash_uusd") == START - 300_000
    assert engine.state.returned.tolist() == [[1_000_000]]
    assert pool(engine, "escrow_uusd") == 1_000_000  # $2 of two pairs less the dollar returned
    # at the mid of 36: two NO at 64 cents, of which a dollar has been paid already
    assert engine.state.account["equity_uusd"][0] == START - 300_000 + 2 * 640_000 - 1_000_000
    check_books_balance(engine)
    engine.advance(9.5)  # the first pays 0: its NO a dollar, which was paid already
    assert pool(engine, "cash_uusd") == START - 300_000
    engine.advance(1.0)  # the second pays a dollar: its NO nothing
    assert pool(engine, "cash_uusd") == START - 300_000
    assert pool(engine, "escrow_uusd") == 0
    check_books_balance(engine)


def test_what_a_settled_market_has_paid_is_not_asked_back():
    # the first pays a dollar, so the NO of the second is certain: the dollar stays returned until that has paid too
    engine = set_engine(PAIR, (10_000, 0), fees="free")
    submit(engine, (0, ASK, BUY_NO), (1, ASK, BUY_NO))
    engine.advance(9.5)
    assert pool(engine, "cash_uusd") == START - 300_000
    assert engine.state.returned.tolist() == [[1_000_000]]
    engine.advance(1.0)
    assert pool(engine, "cash_uusd") == START - 300_000
    assert engine.state.returned.tolist() == [[0]]


def test_a_purse_too_small_for_both_buys_both_where_the_set_nets():
    # 1.00 dollar: after the first NO 35 cents are left, too few for the second at 65 where nothing is returned ...
    for nets in (False, True):
        engine = set_engine([*PAIR, quotes(500, 9000)], (0, 0, 0), fees="free", nets=nets, cash=1_000_000)
        submit(engine, (0, ASK, BUY_NO))
        assert submit(engine, (1, ASK, BUY_NO)) == REJECT_CASH  # ... and where it is: it comes after the purchase
    # with 1.32 dollars both fit (2 cents for what fees might be); the dollar returned buys a third NO at 95 cents
    for nets, expected in ((False, REJECT_CASH), (True, 0)):
        engine = set_engine([*PAIR, quotes(500, 9000)], (0, 0, 0), fees="free", nets=nets, cash=1_320_000)
        submit(engine, (0, ASK, BUY_NO), (1, ASK, BUY_NO))
        assert submit(engine, (2, ASK, sell(500, 1, tif=IOC))) == expected


def test_a_sale_locks_what_the_set_may_have_to_give_back():
    # NO of both held for 1.30 with a dollar returned. Selling one at 60 cents gives 60 cents and takes the dollar back:
    # it locks 40 cents, as buying YES at 40 would
    engine = set_engine(PAIR, (0, 0), fees="free", cash=1_320_000)
    submit(engine, (0, ASK, BUY_NO), (1, ASK, BUY_NO))
    assert pool(engine, "cash_uusd") == 1_020_000
    submit(engine, (0, BID, buy(3600, 1, leg=NO)))  # rests: sells NO at 64, locks 36
    assert pool(engine, "reserved_uusd") == 360_000
    check_books_balance(engine)
    submit(engine, (0, BID, buy(3700, 1, leg=NO, tif=IOC)))  # sells at 63: cash 1.02 + .63 - 1.00
    assert pool(engine, "cash_uusd") == 650_000
    assert engine.state.returned.tolist() == [[0]]
    check_books_balance(engine)


def test_a_sale_is_refused_where_the_cash_to_give_back_is_gone():
    engine = set_engine([*PAIR, quotes(500, 9000)], (0, 0, 0), fees="free", cash=1_320_000)
    submit(engine, (0, ASK, BUY_NO), (1, ASK, BUY_NO))
    submit(engine, (2, ASK, sell(500, 1, tif=IOC)))  # NO at 95: three NO pay 2 dollars at least: cash .07 + 1.00
    assert pool(engine, "cash_uusd") == 1_070_000
    submit(engine, (2, ASK, sell(9900, 35, leg=NO)))  # NO at 1 cent, resting: locks .35
    submit(engine, (1, ASK, sell(9900, 40, leg=NO)))  # and .40: .32 are free
    assert submit(engine, (0, BID, buy(3700, 1, leg=NO, tif=IOC))) == REJECT_CASH  # needs .37
    check_books_balance(engine)


def test_selling_the_yes_of_a_set_locks_what_buying_its_no_would():
    # YES of the first and NO of the second, 1 contract each: if nobody wins that pays 1, if the first wins 2, if the
    # second wins 0: nothing is returned. Selling YES at 40 might cost 60 cents of a return: that much is locked
    engine = set_engine(PAIR, (0, 0), fees="free")
    submit(engine, (0, BID, buy(3700, 1, tif=IOC)), (1, ASK, BUY_NO))
    assert engine.state.returned.tolist() == [[0]]
    submit(engine, (0, ASK, sell(4000, 1, leg=YES)))
    assert pool(engine, "reserved_uusd") == 600_000


def test_a_pair_is_returned_once():
    # YES and NO of one market net into a dollar at once; the set returns nothing for them
    engine = set_engine(PAIR, (0, 0), fees="free")
    submit(engine, (0, ASK, BUY_NO), (1, ASK, BUY_NO))
    submit(engine, (0, BID, buy(3700, 1, tif=IOC)))  # buying YES instead of selling NO: -.37 + 1.00 - 1.00
    assert pool(engine, "cash_uusd") == START - 300_000 - 370_000
    assert holdings(engine, "no_qty") == [0, 1]
    check_books_balance(engine)


def test_polymarket_merges_pairs_on_request():
    # 10 YES at 37 and 6 NO at 65: 6 pairs. 4 are merged, then what is left of 10
    engine = set_engine(PAIR, (0, 10_000), fees="polymarket", exhaustive=True)
    submit(engine, (0, BID, buy(3700, 10, tif=IOC)), (0, ASK, sell(3500, 6, tif=IOC)))
    cash = pool(engine, "cash_uusd")
    assert submit(engine, (0, ASK, merge(4))) == 0
    assert pool(engine, "cash_uusd") == cash + 4 * DOLLAR
    assert engine.state.account["n_messages"][0] == 1
    # their cost: 4 x .37 + 4 x .65 = 4.08 for 4 dollars
    assert engine.state.position["realised_uusd"][0] == -80_000
    assert submit(engine, (0, BID, merge(10))) == 0
    assert pool(engine, "cash_uusd") == cash + 6 * DOLLAR
    assert (holdings(engine, "yes_qty")[0], holdings(engine, "no_qty")[0]) == (4, 0)
    check_books_balance(engine)
    assert submit(engine, (0, BID, merge(1))) == REJECT_NOTHING_TO_MERGE
    assert submit(engine, (1, BID, merge(-1))) == REJECT_NOTHING_TO_MERGE


def test_what_an_order_has_promised_is_not_merged():
    engine = set_engine(PAIR, (0, 0), fees="polymarket", exhaustive=True)
    submit(engine, (0, BID, buy(3700, 10, tif=IOC)), (0, ASK, sell(3500, 10, tif=IOC)))
    submit(engine, (0, ASK, sell(9000, 7, leg=YES)))
    submit(engine, (0, BID, merge(10)))
    assert holdings(engine, "yes_qty")[0] == 7
    check_books_balance(engine)


TRIO = [quotes(3500, 3700), quotes(3000, 3200), quotes(2000, 2200)]


def test_two_of_three_no_become_a_dollar_and_the_third_yes():
    # 10 NO of the first at .65 and of the second at .70 cost 13.50; converted: 10 dollars and 10 YES of the third,
    # which cost 3.50 by that
    engine = set_engine(TRIO, (0, 0, 10_000), fees="polymarket", exhaustive=True)
    submit(engine, (0, ASK, sell(3500, 10, tif=IOC)), (1, ASK, sell(3000, 10, tif=IOC)))
    cash = pool(engine, "cash_uusd")
    assert submit(engine, (0, BID, convert(10)), (1, ASK, convert(10))) == 0
    assert engine.state.account["n_messages"][0] == 1
    assert pool(engine, "cash_uusd") == cash + 10 * DOLLAR
    assert (holdings(engine, "no_qty"), holdings(engine, "yes_qty")) == ([0, 0, 0], [0, 0, 10])
    assert engine.state.position["yes_cost_uusd"].tolist() == [0, 0, 3_500_000]
    assert engine.state.position["realised_uusd"].tolist() == [0, 0, 0]
    assert pool(engine, "escrow_uusd") == 10 * DOLLAR
    check_books_balance(engine)
    engine.advance(12.0)
    assert pool(engine, "cash_uusd") == cash + 20 * DOLLAR


def test_all_no_become_all_but_one_dollar_and_a_single_one_becomes_the_other_yes():
    engine = set_engine(TRIO, (0, 0, 10_000), fees="polymarket", exhaustive=True)
    orders = [(0, ASK, sell(3500, 10, tif=IOC)), (1, ASK, sell(3000, 10, tif=IOC)), (2, ASK, sell(2000, 20, tif=IOC))]
    submit(engine, *orders)
    cash = pool(engine, "cash_uusd")
    submit(engine, *((market, BID, convert(10)) for market in range(3)))
    assert pool(engine, "cash_uusd") == cash + 20 * DOLLAR
    # 6.50 + 7.00 + 8.00 = 21.50 paid for 20 dollars; the result is the first market's
    assert engine.state.position["realised_uusd"].tolist() == [-1_500_000, 0, 0]
    submit(engine, (2, BID, convert(10)))  # NO of the third is YES of the other two, at 8.00 in two halves
    assert pool(engine, "cash_uusd") == cash + 20 * DOLLAR
    assert holdings(engine, "yes_qty") == [10, 10, 0]
    assert engine.state.position["yes_cost_uusd"].tolist() == [4_000_000, 4_000_000, 0]
    check_books_balance(engine)


def test_an_odd_micro_dollar_goes_to_the_first_and_a_gain_is_realised():
    engine = set_engine([quotes(3500, 3700), quotes(9800, 9900), quotes(9800, 9900)], (0, 0, 0), fees="polymarket",
                        exhaustive=True)  # fmt: skip
    # NO at 2 cents in the second and third, 100 each: 4 dollars become 100 and YES of the first for nothing
    submit(engine, (1, ASK, sell(9800, 100, tif=IOC)), (2, ASK, sell(9800, 100, tif=IOC)))
    submit(engine, (1, BID, convert(100)), (2, BID, convert(100)))
    assert engine.state.position["yes_cost_uusd"].tolist() == [0, 0, 0]
    assert engine.state.position["realised_uusd"].tolist() == [0, 96 * DOLLAR, 0]
    check_books_balance(engine)
    # 10 NO of the first at 65, their cost of 6.50 made 3 micro-dollars dearer
    submit(engine, (0, ASK, sell(3500, 10, tif=IOC)))
    engine.state.position["no_cost_uusd"][0] += 3
    submit(engine, (0, BID, convert(10)))
    assert engine.state.position["yes_cost_uusd"].tolist() == [0, 3_250_002, 3_250_001]


@pytest.mark.parametrize(
    ("fees", "exhaustive", "asked"),
    [
        ("polymarket", True, [(0, BID, convert(10)), (1, BID, convert(9))]),  # not the same
        ("polymarket", True, [(0, BID, convert(10)), (2, BID, convert(10))]),  # nothing held in the third
        ("polymarket", True, [(0, BID, convert(11))]),
        ("polymarket", True, [(0, BID, convert(0))]),
        ("kalshi", False, [(0, BID, convert(10)), (1, BID, convert(10))]),  # the venue does not convert
    ],
)
def test_what_cannot_be_converted_is_refused_and_nothing_changes(fees, exhaustive, asked):
    engine = set_engine(TRIO, (0, 0, 0), fees=fees, exhaustive=exhaustive)
    submit(engine, (0, ASK, sell(3500, 10, tif=IOC)), (1, ASK, sell(3000, 10, tif=IOC)))
    position = engine.state.position.copy()
    cash = pool(engine, "cash_uusd")
    assert submit(engine, *asked) == REJECT_CANNOT_CONVERT
    assert engine.state.account[["n_messages", "n_rejects"]][0].item() == (1, 1)
    assert (engine.state.position == position).all() and pool(engine, "cash_uusd") == cash


def test_nothing_is_converted_once_a_market_of_the_set_has_settled_or_without_a_set():
    engine = set_engine(TRIO, (0, 0, 10_000), fees="polymarket", exhaustive=True)
    submit(engine, (1, ASK, sell(3000, 10, tif=IOC)))
    engine.advance(9.5)
    assert submit(engine, (1, BID, convert(10))) == REJECT_CANNOT_CONVERT
    engine = set_engine(TRIO, (0, 0, 10_000), fees="polymarket", exhaustive=True, nets=False)
    submit(engine, (1, ASK, sell(3000, 10, tif=IOC)))
    assert submit(engine, (1, BID, convert(10))) == REJECT_CANNOT_CONVERT


@pytest.mark.parametrize(
    ("links", "venues", "says"),
    [
        ([Exclusive((0, 1), nets=True)], ("kalshi", "polymarket"), "link 0, .*: a set that nets lies on one venue"),
        ([Exclusive((0, 1), nets=True), Exclusive((1, 2), nets=True)], ("kalshi",) * 3, "link 1, .* in one set only"),
        ([Exclusive((0, 1), False, nets=True)], ("polymarket",) * 2, "exactly one pays can be converted"),
        ([Exclusive((0, 5))], ("kalshi",) * 2, "no market 5; the markets are 0 to 1"),
    ],
)
def test_sets_that_cannot_be_are_refused(links, venues, says):
    with pytest.raises(ValueError, match=says):
        Scenario(make_rows(1), tuple(map(Place, venues)), links=tuple(links))


def test_compiled_sets_name_their_markets():
    sets = compile_sets([Exclusive((3, 1), nets=True), Exclusive((0, 2))], [0, 0, 1, 0], [True, False])
    assert (sets.members.tolist(), sets.set_of.tolist()) == ([3, 1], [-1, 0, -1, 0])
    assert sets.returns.tolist() == [0, 1, 0, 1]


def test_what_is_returned_is_what_the_venue_documents():
    random = np.random.default_rng(3)
    for _ in range(20):
        engine = set_engine(TRIO, (0, 0, 0))
        held = random.integers(0, 500, (2, 3)) * (random.random((2, 3)) < 0.7)
        engine.state.position["yes_qty"], engine.state.position["no_qty"] = held
        assert worst_by_hand(engine, 0) == collateral_return(*held, 0)


def random_wishes(random, markets, convert_qty):
    wanted = np.zeros((1, markets, 2), INTENT)
    wanted["do"] = random.choice([0, 1, 1, 1, 2], wanted.shape)
    wanted["qty"] = random.integers(1, 40, wanted.shape) * 50
    wanted["px"] = 100 * random.integers(15, 60, wanted.shape)
    wanted["tif"] = random.choice([0, 0, 1, 2], wanted.shape)
    wanted["leg"] = np.where(random.random(wanted.shape) < 0.5, [NO, YES], [YES, NO])
    asked = random.random((markets, 2)) < 0.1
    wanted["do"][0][asked] = random.choice([DO_MERGE, DO_CONVERT], asked.sum())
    if random.random() < 0.3:
        chosen = random.permutation(markets)[: random.integers(1, markets + 1)]
        wanted["do"][0, chosen, 0], wanted["qty"][0, chosen, 0] = DO_CONVERT, convert_qty
    return wanted


def random_prints(random):
    """Takers at random prices, one a second."""
    return [
        trade(1.5 + second, int(random.integers(2)), 100 * int(random.integers(15, 60)), int(random.integers(1, 60)))
        for second in range(18)
    ]


def random_payouts(random, markets, exhaustive):
    """Payouts of a set: a winner, nobody, or a dollar cut in pieces."""
    if random.random() < 0.5 or exhaustive:
        pays = np.zeros(markets, int)
        pays[random.integers(markets)] = 10_000
        return pays
    cuts = np.sort(random.integers(0, 10_001, markets))
    return np.diff(np.concatenate([[0], cuts]))


@pytest.mark.parametrize("fees", ["kalshi", "polymarket"])
@pytest.mark.parametrize("poor", [False, True])
def test_laws_of_sets_under_random_orders(fees, poor):
    """Conservation on the venue, no negative free cash, and the return equal to the worst case found one by one."""
    polymarket = fees == "polymarket"
    returned = locked = made = 0
    for seed in range(4 if INTERPRETED else 40):
        random = np.random.default_rng([seed, polymarket, poor])
        markets = int(random.integers(2, 5))
        books = [quotes(100 * int(px), 100 * int(px) + 200, 400) for px in random.integers(20, 50, markets)]
        stamps = 20.0 + random.permutation(markets)
        engine = set_engine(books, random_payouts(random, markets, polymarket), fees=fees, exhaustive=polymarket,
                            cash=20_000_000 if poor else START, settle_s=stamps,
                            rows=[random_prints(random) for _ in books], used_life_s=0.5)  # fmt: skip
        for _ in range(30):
            held = engine.state.position["no_qty"]
            engine.submit(random_wishes(random, markets, int(held[held > 0].min(initial=100))))
            engine.advance(0.8)
            check_books_balance(engine)
            assert (engine.state.pool["cash_uusd"] >= engine.state.pool["reserved_uusd"]).all()
            if not polymarket:
                assert engine.state.returned[0, 0] == worst_by_hand(engine, 0)
            returned += engine.state.returned[0, 0] > 0
            locked += (engine.state.orders["reduce"] & (engine.state.orders["reserved_uusd"] > 0)).sum()
            made += engine.state.fills["maker"][0, : engine.state.account["n_fills"][0]].sum()
        assert engine.terminated[0]
        assert engine.state.returned[0, 0] == 0 and pool(engine, "escrow_uusd") == 0
    assert made > 0 and (polymarket or (returned > 5 and locked > 5))


@pytest.mark.parametrize("fees", ["kalshi", "polymarket"])
def test_at_settlement_netting_has_changed_no_worth(fees):
    """The same orders with and without netting, with cash for all of them, end with the same cash."""
    polymarket = fees == "polymarket"
    seeds, converted = 3 if INTERPRETED else 20, 0
    for seed in range(seeds):
        ends = []
        for nets in (False, True):
            random = np.random.default_rng([seed, 7])
            books = [quotes(100 * int(px), 100 * int(px) + 200, 400) for px in random.integers(20, 50, 3)]
            engine = set_engine(books, random_payouts(random, 3, polymarket), fees=fees, exhaustive=polymarket,
                                nets=nets, settle_s=[20.0, 21.0, 22.0], used_life_s=0.5)  # fmt: skip
            for step in range(30):
                wanted = random_wishes(random, 3, 100)
                wanted["do"][wanted["do"] > 2] = 0
                # a conversion replaces what later orders could sell: nothing is sold after the first one
                wanted["leg"] = [YES, NO]
                wanted["tif"] = IOC
                if nets and step == 15:
                    wanted["do"] = 0
                    wanted["do"][0, :2, 0], wanted["qty"][0, :2, 0] = DO_CONVERT, 50
                elif step == 15:
                    wanted["do"] = 0
                engine.submit(wanted)
                converted += nets and step == 15 and engine.state.account["n_rejects"][0] == 0
                engine.advance(0.8)
                check_books_balance(engine)
            assert engine.terminated[0]
            ends.append(pool(engine, "cash_uusd"))
        assert ends[0] == ends[1]
    assert converted > seeds // 2 if polymarket else converted == 0


def test_a_fork_and_a_snapshot_keep_what_was_returned():
    engine = set_engine(PAIR, (0, 10_000), fees="free")
    submit(engine, (0, ASK, BUY_NO), (1, ASK, BUY_NO))
    twin = engine.fork(3)
    assert twin.state.returned.tolist() == [[1_000_000]] * 3
    saved = engine.snapshot()
    engine.advance(12.0)
    engine.restore(saved)
    assert engine.state.returned.tolist() == [[1_000_000]]
    engine.reset()
    assert engine.state.returned.tolist() == [[0]]
