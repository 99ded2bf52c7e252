"""Expiry, amends, order groups, self-trade prevention, pauses, a game's start, notional and rate limits."""

from __future__ import annotations

import pytest
from by_hand import (
    CANCEL,
    CENTS,
    FREE,
    MILLS,
    POLYMARKET,
    RESET_GROUP,
    account,
    buy,
    check_books_balance,
    engine_on,
    event,
    level,
    lots,
    opening,
    position,
    sell,
    send,
    tape,
    trade,
    wait,
)

from sim.types import (
    ASK,
    BID,
    CLOSED,
    FOK,
    GTC,
    HALTED,
    IOC,
    NO,
    OPEN,
    PAUSED,
    REJECT_EXPIRY,
    REJECT_FOK_UNFILLED,
    REJECT_GONE,
    REJECT_GROUP,
    REJECT_HALTED,
    REJECT_NONE,
    REJECT_NOTIONAL,
    REJECT_OFF_GRID,
    REJECT_ORDER_TYPE,
    REJECT_PAUSED,
    REJECT_RATE_LIMIT,
    REJECT_SELF_TRADE,
    REJECT_SIZE,
    SECOND_NS,
    STATUS,
    TICKS,
    WIPE,
    YES,
)
from sim.venues import VENUES
from sim.venues.orders import offered, order_table

BOOK = opening({5000: 100}, {5200: 100, 5300: 100})


def plain(*rows, fees=(FREE,), ticks=(CENTS,), book=BOOK, **row):
    return engine_on(tape(*book, *rows, trade(800, BID, 6000, 1), fees=fees, ticks=ticks), **row)


def resting(engine):
    """(price, contracts) of what rests, by price."""
    return sorted((int(o["px"]), o["qty"] / 100) for o in engine.state.orders[0] if o["id"])


def test_an_order_ends_at_its_expiry():
    """A print comes right before its end, another at its end: the market comes first, so both still count."""
    engine = plain(trade(4.999, ASK, 4700, 3), trade(5, ASK, 4700, 3), trade(5.001, ASK, 4700, 3))
    assert send(engine, bid=buy(4800, 10, expiry=5.7), until=4.5) == (0, 0)  # the wire carries whole seconds
    assert wait(engine, until=6) == lots(6)
    assert resting(engine) == []
    assert account(engine, "reserved_uusd") == 0
    assert account(engine, "n_rejects") == 0
    check_books_balance(engine)


@pytest.mark.parametrize(("expiry", "reason"), [(2.0, REJECT_EXPIRY), (2.9, REJECT_EXPIRY), (4.0, 0)])
def test_an_expiry_that_is_past(expiry, reason):
    """At 3 s; 2.9 s works from 2 s on. 3.9 s would end the order at once."""
    engine = plain()
    wait(engine, until=3)
    assert send(engine, bid=buy(4800, 10, expiry=expiry))[1] == reason


def test_polymarket_ends_orders_a_minute_early():
    engine = plain(fees=(POLYMARKET,))
    assert send(engine, bid=buy(4800, 10, expiry=180.5))[1] == REJECT_EXPIRY  # at 1 s: less than three minutes ahead
    assert send(engine, bid=buy(4800, 10, expiry=200), until=139.9) == (0, 0)
    assert resting(engine) == [(4800, 10)]
    wait(engine, until=140)
    assert resting(engine) == []


@pytest.mark.parametrize(
    "fields", [{"post_only": 1, "tif": IOC}, {"expiry": 9, "tif": FOK}, {"post_only": 1, "tif": FOK}]
)
@pytest.mark.parametrize("fees", [FREE, POLYMARKET])
def test_post_only_and_expiry_are_for_orders_that_rest(fields, fees):
    engine = plain(fees=(fees,))
    assert send(engine, bid=buy(4800, 10, **fields))[1] == REJECT_ORDER_TYPE


def test_less_of_an_order_keeps_its_place():
    """100 ahead at entry, 50 join behind; the order shrinks from 10 to 4 in place, at the price of one message."""
    engine = plain(level(2, BID, 5000, 150), trade(4, ASK, 5000, 102), trade(5, ASK, 5000, 10))
    send(engine, bid=buy(5000, 10), until=3)
    first = int(engine.state.orders["id"][0, 0])
    send(engine, bid=buy(5000, 4))
    assert account(engine, "n_messages") == 1
    assert int(engine.state.orders["id"][0, 0]) == first
    assert (resting(engine), account(engine, "reserved_uusd")) == ([(5000, 4)], 2_000_000)
    assert wait(engine, until=4.5) == lots(2)  # what passes the 100 ahead
    assert wait(engine, until=6) == lots(2)
    check_books_balance(engine)


@pytest.mark.parametrize(("px", "contracts"), [(5000, 11), (4900, 4)])
def test_more_or_another_price_goes_to_the_back(px, contracts):
    engine = plain(level(2, BID, 5000, 150))
    send(engine, bid=buy(5000, 10), until=3)
    first = int(engine.state.orders["id"][0, 0])
    send(engine, bid=buy(px, contracts))
    assert account(engine, "n_messages") == 2
    assert first not in engine.state.orders["id"][0]
    assert int(engine.state.orders["ahead_qty"].max()) == (lots(150) if px == 5000 else 0)


def test_polymarket_has_no_amend():
    engine = plain(level(2, BID, 5000, 150), fees=(POLYMARKET,))
    send(engine, bid=buy(5000, 10), until=3)
    send(engine, bid=buy(5000, 6))
    assert account(engine, "n_messages") == 2
    assert int(engine.state.orders["ahead_qty"].max()) == lots(150)


@pytest.mark.parametrize(("print_s", "left"), [(3.2, []), (3.7, [])])
def test_an_amend_counts_what_was_filled(print_s, left):
    """Ten wanted, then four; six are filled before or after the amend arrives: four at most are filled after it."""
    engine = plain(trade(print_s, ASK, 4800, 6), cancel_delay_ms=500.0)
    send(engine, bid=buy(4900, 10), until=3)
    send(engine, bid=buy(4900, 4), until=4)
    assert position(engine, "yes_qty") == lots(6 if print_s < 3.5 else 4)
    assert resting(engine) == left


def test_an_amend_of_what_is_gone():
    engine = plain(trade(3.2, ASK, 4800, 10), cancel_delay_ms=500.0)
    send(engine, bid=buy(4900, 10), until=3)
    assert send(engine, bid=buy(4900, 4), until=4) == (lots(10), REJECT_GONE)


def test_a_wish_is_not_amended_twice():
    engine = plain(cancel_delay_ms=500.0)
    send(engine, bid=buy(4900, 10), until=3)
    send(engine, bid=buy(4900, 4), seconds=0.1)
    send(engine, bid=buy(4900, 4), seconds=0.1)
    assert account(engine, "n_messages") == 0
    wait(engine, until=4)
    assert resting(engine) == [(4900, 4)]


@pytest.mark.parametrize(
    ("mode", "fills", "left", "reason"), [(0, 100, [(5200, 20)], 0), (1, 60, [(5200, 8)], REJECT_SELF_TRADE)]
)
def test_who_gives_way_when_ours_meet(mode, fills, left, reason):
    """60 ahead of our ask of 8 at 52, then 40 behind it; a buy of 120 takes all 100, or the 60 ahead of ours."""
    book = opening({5000: 100}, {5200: 60, 5300: 100})
    engine = plain(level(2, ASK, 5200, 100), book=book, self_trade=float(mode))
    send(engine, ask=sell(5200, 8), until=3)
    assert send(engine, bid=buy(5200, 120)) == (lots(fills), reason)
    assert resting(engine) == left
    check_books_balance(engine)


@pytest.mark.parametrize("mode", [0.0, 1.0])
def test_fill_or_kill_that_meets_our_own_is_immediate_or_cancel(mode):
    engine = plain(self_trade=mode)
    assert send(engine, bid=buy(5200, 120, tif=FOK)) == (0, REJECT_FOK_UNFILLED)
    send(engine, ask=sell(5200, 8))
    got, reason = send(engine, bid=buy(5200, 120, tif=FOK))
    assert (got, reason) == (lots(100), REJECT_SELF_TRADE if mode else REJECT_NONE)


def test_an_order_group_past_its_limit_loses_its_orders():
    """12 contracts within 15 s are allowed, 5 more are not: the venue cancels, and refuses until a reset."""
    prints = [trade(3, ASK, 4700, 8), trade(4, ASK, 4700, 4), trade(5, ASK, 4700, 5)]
    engine = plain(*prints, group_limit=12.0)
    send(engine, bid=buy(4800, 100), ask=sell(5900, 1), until=4.5)
    assert resting(engine) == [(4800, 88), (5900, 1)]
    assert wait(engine, until=5) == lots(5)
    assert resting(engine) == []
    assert send(engine, bid=buy(4800, 10))[1] == REJECT_GROUP
    send(engine, bid=RESET_GROUP)
    assert send(engine, bid=buy(4800, 10))[1] == REJECT_NONE
    check_books_balance(engine)


def test_fills_of_more_than_fifteen_seconds_ago_do_not_count():
    engine = plain(trade(3, ASK, 4700, 8), trade(18, ASK, 4700, 8), group_limit=12.0)
    send(engine, bid=buy(4800, 100), until=19)
    assert resting(engine) == [(4800, 84)]


def test_a_taker_past_its_group_s_limit_does_not_rest():
    engine = plain(group_limit=99.0)
    assert send(engine, bid=buy(5200, 150)) == (lots(100), 0)
    assert resting(engine) == []


@pytest.mark.parametrize(
    ("keeps", "status", "during", "after"),
    [(0, PAUSED, 0, 0), (1, PAUSED, 1, 1), (2, PAUSED, 1, 0), (0, HALTED, 0, 0), (1, HALTED, 1, 1), (1, CLOSED, 0, 0)],
)
def test_pauses_take_or_keep_resting_orders(keeps, status, during, after):
    engine = plain(event(5, STATUS, code=status), event(8, STATUS, code=OPEN), pause_keeps=float(keeps))
    send(engine, bid=buy(4800, 10), until=6)
    assert len(resting(engine)) == during
    wait(engine, until=9)
    assert len(resting(engine)) == after


def test_cancels_work_in_a_pause_but_not_in_a_halt():
    for status, reason, left in ((PAUSED, REJECT_PAUSED, 0), (HALTED, REJECT_HALTED, 1)):
        engine = plain(event(5, STATUS, code=status), event(8, STATUS, code=OPEN), pause_keeps=1.0)
        send(engine, bid=buy(4800, 10), until=6)
        assert send(engine, ask=sell(5900, 1))[1] == reason
        send(engine, bid=CANCEL)
        assert len(resting(engine)) == left
        wait(engine, until=9)
        send(engine, bid=CANCEL)  # a refused cancel may be sent again
        assert resting(engine) == []


def test_a_game_s_start_clears_the_book_of_ours_too():
    engine = plain(event(5, WIPE), *opening({4900: 7}, {5100: 7}, second=5))
    send(engine, bid=buy(4800, 10), until=6)
    assert resting(engine) == []
    assert account(engine, "reserved_uusd") == 0
    assert send(engine, bid=buy(4800, 10))[1] == REJECT_NONE


def test_resting_orders_survive_a_change_of_ticks():
    engine = plain(event(5, TICKS, code=1), ticks=(MILLS, CENTS))
    send(engine, bid=buy(4810, 10), until=6)
    assert resting(engine) == [(4810, 10)]
    assert send(engine, ask=sell(5910, 10))[1] == REJECT_OFF_GRID


@pytest.mark.parametrize(("px", "contracts", "reason"), [(800, 10, REJECT_NOTIONAL), (800, 12.5, 0), (700, 10, 0)])
def test_polymarket_s_smallest_taker_is_worth_a_dollar(px, contracts, reason):
    """10 at 8 cents are 80 cents, 12.5 a dollar; at 7 cents nothing trades, and a resting order may be worth less."""
    engine = plain(fees=(POLYMARKET,), book=opening({500: 100}, {800: 100}))
    assert send(engine, bid=buy(px, contracts))[1] == reason


def test_a_sale_may_be_worth_less():
    engine = plain(fees=(POLYMARKET,), book=opening({500: 100}, {800: 100}))
    send(engine, bid=buy(800, 20))
    assert send(engine, ask=sell(500, 10, leg=YES)) == (-lots(10), 0)
    assert send(engine, ask=sell(500, 4, leg=YES))[1] == REJECT_SIZE


def test_a_budget_says_what_a_taker_is_worth():
    engine = plain(fees=(POLYMARKET,), book=opening({500: 100}, {800: 100}))
    assert send(engine, bid=buy(800, 50, tif=IOC, budget=900_000))[1] == REJECT_NOTIONAL
    assert send(engine, bid=buy(800, 50, tif=IOC, budget=1_000_000)) == (lots(12.5), 0)


def test_more_messages_than_the_venue_takes():
    """Two a second: two at once pass, the third does not; half a second later one more does."""
    engine = plain(rate_limit=2.0)
    wait(engine, until=2)
    reasons = [send(engine, bid=buy(4000 + 100 * n, 1, tif=IOC), seconds=0.001)[1] for n in range(3)]
    assert reasons == [0, 0, REJECT_RATE_LIMIT]
    assert send(engine, bid=buy(4500, 1, tif=IOC), until=2.51)[1] == REJECT_RATE_LIMIT
    assert send(engine, bid=buy(4600, 1, tif=IOC), until=2.52)[1] == 0


def test_a_cancel_over_the_rate_limit_leaves_the_order():
    engine = plain(rate_limit=1.0)
    wait(engine, until=2)
    send(engine, bid=buy(4800, 10), seconds=0.001)
    assert send(engine, bid=CANCEL, seconds=0.001)[1] == REJECT_RATE_LIMIT
    assert resting(engine) == [(4800, 10)]
    assert send(engine, bid=CANCEL, seconds=1.0)[1] == REJECT_RATE_LIMIT
    assert send(engine, bid=CANCEL, seconds=1.0)[1] == 0
    assert resting(engine) == []


@pytest.mark.parametrize("venue", sorted(VENUES))
def test_engine_and_catalogue_agree_on_combinations(venue):
    """What the engine refuses as an order type, the venue's catalogue does not offer either."""
    table = order_table([VENUES[venue].orders])
    for tif in (GTC, IOC, FOK):
        for post_only in (0, 1):
            for expiry in (0, 900 * SECOND_NS):
                engine = plain(fees=(FREE if venue == "kalshi" else POLYMARKET,))
                fields = {"tif": tif, "post_only": post_only, "expiry": expiry / SECOND_NS}
                found = send(engine, bid=buy(5200, 10, **fields))[1] == REJECT_ORDER_TYPE
                assert found == (offered(table, 0, tif, expiry, post_only, 0, 0, 1) == REJECT_ORDER_TYPE)


def test_no_leg_is_forgotten():
    """A NO bought and resting amends and expires like a YES."""
    engine = plain(level(2, ASK, 5200, 150))
    send(engine, ask=sell(5200, 10, leg=NO, expiry=9), until=3)
    send(engine, ask=sell(5200, 4, leg=NO, expiry=9))
    assert resting(engine) == [(5200, 4)]
    assert account(engine, "reserved_uusd") == 1_920_000  # 4 at 48 cents
    wait(engine, until=9)
    assert resting(engine) == []
