"""How the venue treats our messages: time in force, limits, refusals with their reasons, what is reserved."""

from __future__ import annotations

import pytest
from by_hand import (
    CANCEL,
    CENTS,
    DOLLAR,
    FREE,
    MILLS,
    POLYMARKET,
    account,
    buy,
    check_books_balance,
    engine_on,
    event,
    intents,
    level,
    lots,
    opening,
    pass_time,
    position,
    sell,
    send,
    tape,
    trade,
    wait,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.types import (
    ASK,
    BID,
    CLOSED,
    FOK,
    GTC,
    IOC,
    NO,
    PAUSED,
    REJECT_CASH,
    REJECT_FOK_UNFILLED,
    REJECT_MARKET_CLOSED,
    REJECT_NO_SLOT,
    REJECT_NONE,
    REJECT_NOTHING_TO_REDUCE,
    REJECT_OFF_GRID,
    REJECT_PAUSED,
    REJECT_POST_ONLY_CROSS,
    REJECT_SIZE,
    STATUS,
    TICKS,
    YES,
)

BOOK = opening({4900: 100, 4800: 50}, {5000: 80, 5100: 120, 5200: 200})


def plain(*rows, **more):
    return engine_on(tape(*BOOK, *rows, fees=(FREE,)), **more)


def resting(engine):
    orders = engine.state.orders[0]
    return [(int(o["side"]), int(o["px"]), int(o["qty"])) for o in orders if o["id"]]


@pytest.mark.parametrize(
    ("tif", "wanted", "got", "left"),
    [(GTC, 250, 200, 50), (IOC, 250, 200, 0), (FOK, 250, 0, 0), (FOK, 200, 200, 0), (GTC, 30, 30, 0)],
)
def test_time_in_force(tif, wanted, got, left):
    """Up to 51 cents there are 80 + 120 = 200."""
    engine = plain()
    filled, reason = send(engine, bid=buy(5100, wanted, tif=tif))
    assert filled == lots(got)
    assert resting(engine) == ([(BID, 5100, lots(left))] if left else [])
    assert reason == (REJECT_FOK_UNFILLED if tif == FOK and got == 0 else REJECT_NONE)


def test_a_seller_walks_the_bids():
    engine = plain()
    assert send(engine, ask=sell(4800, 120, tif=IOC))[0] == -lots(120)
    fills = engine.state.fills[0, :2]
    assert fills[["px", "qty", "leg"]].tolist() == [(4900, -lots(100), NO), (4800, -lots(20), NO)]
    # NO at .51 and .52: 100 x .51 + 20 x .52 = 61.40
    assert position(engine, "no_cost_uusd") == 61_400_000


@given(
    levels=st.dictionaries(st.integers(51, 99), st.integers(1, 300), min_size=1, max_size=8),
    limit=st.integers(50, 99),
    wanted=st.integers(1, 1000),
    tif=st.sampled_from([GTC, IOC, FOK]),
)
@settings(max_examples=40)
def test_a_walk_takes_the_best_first_and_never_more_than_shown(levels, limit, wanted, tif):
    engine = engine_on(tape(*opening({}, {100 * px: n for px, n in levels.items()}), fees=(FREE,)))
    send(engine, bid=buy(100 * limit, wanted, tif=tif))
    fills = engine.state.fills[0, : account(engine, "n_fills")]
    got, left = {}, wanted
    for px in sorted(levels):
        if px <= limit and left:
            got[100 * px] = lots(min(left, levels[px]))
            left -= min(left, levels[px])
    if tif == FOK and left:
        got = {}
    assert {int(f["px"]): int(f["qty"]) for f in fills} == got
    assert resting(engine) == ([(BID, 100 * limit, lots(left))] if tif == GTC and left else [])
    check_books_balance(engine)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (buy(5050, 10), REJECT_OFF_GRID),  # half a cent on a grid of cents
        (buy(0, 10), REJECT_OFF_GRID),
        (buy(10_000, 10), REJECT_OFF_GRID),
        (buy(5000, 0), REJECT_SIZE),
        (buy(1000, 10**14), REJECT_SIZE),  # its cost would pass 2**63 and look like none
        (buy(4900, 10, leg=NO), REJECT_NOTHING_TO_REDUCE),
        (buy(5000, 10, post_only=1), REJECT_POST_ONLY_CROSS),
        (buy(4900, 20_500), REJECT_CASH),  # 20,500 x .49 = 10,045
    ],
)
def test_refusals(order, reason):
    engine = plain()
    assert send(engine, bid=order) == (0, reason)
    assert account(engine, "n_rejects") == 1
    assert resting(engine) == []
    assert account(engine, "cash_uusd") == account(engine, "start_uusd")


def test_polymarket_refuses_fewer_than_five_shares():
    engine = engine_on(tape(*BOOK, fees=(POLYMARKET,)))
    assert send(engine, bid=buy(5000, 4.99, tif=IOC)) == (0, REJECT_SIZE)
    assert send(engine, bid=buy(5000, 5, tif=IOC)) == (lots(5), REJECT_NONE)


@pytest.mark.parametrize("status", [PAUSED, CLOSED])
def test_a_halt_cancels_our_orders_and_refuses_new_ones(status):
    engine = plain(event(5, STATUS, code=status))
    send(engine, bid=buy(4700, 10))
    assert account(engine, "reserved_uusd") == 47 * DOLLAR // 10
    wait(engine, until=6)
    assert resting(engine) == []
    assert account(engine, "reserved_uusd") == 0
    assert send(engine, bid=buy(4700, 10)) == (0, REJECT_PAUSED if status == PAUSED else REJECT_MARKET_CLOSED)


def test_a_tick_change_says_which_prices_new_orders_may_use():
    rows = [event(5, TICKS, code=1), event(10, TICKS, code=0)]
    engine = engine_on(tape(*BOOK, *rows, fees=(FREE,), ticks=(CENTS, MILLS)))
    assert send(engine, bid=buy(4810, 10))[1] == REJECT_OFF_GRID
    wait(engine, until=6)
    assert send(engine, bid=buy(4810, 10)) == (0, REJECT_NONE)
    wait(engine, until=11)
    assert resting(engine) == [(BID, 4810, lots(10))]  # it keeps the price of its day
    assert send(engine, ask=sell(5310, 10))[1] == REJECT_OFF_GRID


def test_an_order_that_its_cash_might_not_pay_is_refused_whole():
    """Worst case, not expectation: 90 at the limit of .51 are 45.90, though 80 of them would cost .50."""
    engine = plain(cash=42_100_000)
    assert send(engine, bid=buy(5100, 90, tif=IOC)) == (0, REJECT_CASH)
    # with a budget the worst case is the budget, and rounding of at most .000099 a lot: 40.10 + 1.98 + .000099
    assert send(engine, bid=buy(5100, 200, tif=IOC, budget=40_100_000)) == (8019, REJECT_NONE)
    # 80 x .50 = 40.00, then floor(.10 / .51 x 100) = 19 lots for .0969
    assert account(engine, "cash_uusd") == 42_100_000 - 40_000_000 - 19 * 5100


def test_a_budget_ends_the_order_even_where_depth_is_left():
    engine = plain()
    assert send(engine, bid=buy(5200, 1000, budget=50 * DOLLAR))[0] == 8000 + 50 * DOLLAR % (40 * DOLLAR) // 5100
    assert resting(engine) == []


def test_a_reducing_order_never_turns_the_position_over():
    engine = plain()
    send(engine, bid=buy(5000, 10, tif=IOC))
    assert send(engine, ask=sell(4900, 50, leg=YES, tif=IOC)) == (-lots(10), REJECT_NONE)
    assert (position(engine, "yes_qty"), position(engine, "no_qty")) == (0, 0)
    assert send(engine, ask=sell(4900, 50, leg=YES, tif=IOC)) == (0, REJECT_NOTHING_TO_REDUCE)


def test_what_one_reducing_order_promises_another_cannot():
    engine = plain()
    send(engine, bid=buy(5000, 10, tif=IOC))
    send(engine, ask=sell(5500, 6, leg=YES))
    assert position(engine, "yes_held_qty") == lots(6)
    send(engine, ask=CANCEL)
    assert position(engine, "yes_held_qty") == 0


def test_the_wanted_state_is_kept_replaced_or_cancelled():
    engine = plain()
    send(engine, bid=buy(4700, 10))
    first = int(engine.state.orders["id"][0, 0])
    send(engine, bid=buy(4700, 10))
    assert account(engine, "n_messages") == 0  # it is there already
    assert engine.state.orders["id"][0].tolist() == [first, 0, 0, 0]
    send(engine, bid=buy(4600, 10))
    assert account(engine, "n_messages") == 2  # a cancel and an order
    assert resting(engine) == [(BID, 4600, lots(10))]
    send(engine, bid=CANCEL)
    assert resting(engine) == []
    assert account(engine, "reserved_uusd") == 0


def test_a_new_order_cancels_ours_that_it_would_meet():
    engine = plain()
    send(engine, bid=buy(4900, 10))
    send(engine, ask=sell(4900, 150))
    assert resting(engine) == [(ASK, 4900, lots(50))]  # 100 of others taken, never our own ten
    check_books_balance(engine)


def test_no_slot_for_a_fifth_order():
    """Cancels that take a minute pile up behind orders that arrive at once."""
    engine = plain(cancel_delay_ms=60_000.0)
    reasons = [send(engine, bid=buy(4000 + 100 * n, 1), seconds=0.001)[1] for n in range(5)]
    assert reasons == [0, 0, 0, 0, REJECT_NO_SLOT]
    check_books_balance(engine)


def test_an_order_can_cross_a_cancel_in_flight():
    """The cancel takes half a second; the print comes before it."""
    engine = plain(trade(3, ASK, 4600, 10), cancel_delay_ms=500.0)
    send(engine, bid=buy(4700, 10), until=2.8)
    engine.submit(intents(engine, bid=CANCEL))
    pass_time(engine, until=4)
    assert position(engine, "yes_qty") == lots(10)


def test_an_order_meets_the_book_of_its_arrival():
    """The ask leaves 100 ms after the decision; with a delay of 250 ms the order is too late."""
    rows = [level(2.1, ASK, 5000, 0), level(2.1, ASK, 5100, 0)]
    late = plain(*rows, order_delay_ms=250.0)
    quick = plain(*rows, order_delay_ms=50.0)
    for engine, got in ((late, 0), (quick, lots(10))):
        wait(engine, until=2)
        assert send(engine, bid=buy(5100, 10, tif=IOC), until=3)[0] == got


def test_of_a_market_event_and_our_order_at_one_stamp_the_event_comes_first():
    engine = plain(level(2.25, ASK, 5000, 0), order_delay_ms=250.0)
    wait(engine, until=2)
    assert send(engine, bid=buy(5000, 10, tif=IOC), until=3)[0] == 0


@pytest.mark.parametrize("leg", [YES, NO])
def test_a_resting_order_locks_its_price_and_fee(leg):
    engine = engine_on(tape(*BOOK))
    send(engine, **({"bid": buy(4700, 10)} if leg == YES else {"ask": sell(5300, 10)}))
    assert account(engine, "reserved_uusd") == 4_700_000  # .47 either way; makers pay nothing on this series
    assert account(engine, "cash_uusd") == account(engine, "start_uusd")
    # what is locked cannot be spent a second time
    rest = account(engine, "cash_uusd") - 4_700_000
    size = rest // 4600 // 100 + 1
    assert send(engine, **({"ask": sell(5400, size)} if leg == YES else {"bid": buy(4600, size)}))[1] == REJECT_CASH
