"""When messages arrive: tails with stated quantiles, busy markets, no overtaking, races, the venue's taker delay."""

from __future__ import annotations

import math

import numpy as np
import pytest
from by_hand import (
    CANCEL,
    FREE,
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
    send,
    tape,
    trade,
    wait,
)
from scipy.stats import kstest, lognorm

from sim.scenarios.row import make_rows
from sim.types import (
    ASK,
    BID,
    CLOSED,
    IOC,
    REJECT_IN_DELAY,
    REJECT_MARKET_CLOSED,
    REJECT_POST_ONLY_CROSS,
    STATUS,
)

BOOK = opening({5000: 100}, {5200: 100})
MS = 1_000_000


def engine_with(*rows, venue=(FREE,), num_envs=1, **row):
    return engine_on(tape(*BOOK, *rows, trade(800, BID, 6000, 1), fees=venue), num_envs=num_envs, **row)


def delays(what, count=800, **row):
    """Milliseconds that the first message of each of ``count`` environments takes."""
    engine = engine_with(num_envs=count, **row)
    engine.submit(intents(engine, bid=buy(4000, 10)))
    if what == "cancel":
        pass_time(engine, seconds=1.0)
        engine.submit(intents(engine, bid=CANCEL))
    message = engine.state.messages[:, 0]
    return (message["due_ns"] - engine.state.account["now_ns"]) / MS


def test_an_exponential_tail_has_the_stated_median():
    """Base 20 ms, median 10 ms on top: mean 10 / log 2. Kolmogorov-Smirnov at level 1e-4."""
    found = delays("order", order_delay_ms=20.0, order_tail_ms=10.0)
    assert kstest(found - 20.0, "expon", args=(0, 10 / math.log(2))).pvalue > 1e-4


def test_a_log_normal_tail_has_the_stated_quantiles():
    """Median 10 ms and 99th percentile 80 ms on top of 5 ms: sigma = log(8) / 2.3263."""
    found = delays("cancel", cancel_delay_ms=5.0, cancel_tail_ms=10.0, cancel_tail99_ms=80.0)
    assert kstest(found - 5.0, lognorm(math.log(8) / 2.3263478740408408, scale=10.0).cdf).pvalue > 1e-4


def test_the_feed_s_delay_adds_to_orders_and_cancels():
    assert set(delays("order", 2, order_delay_ms=20.0, feed_delay_ms=7.0)) == {27.0}
    assert set(delays("cancel", 2, cancel_delay_ms=30.0, feed_delay_ms=7.0)) == {37.0}
    found = delays("order", feed_tail_ms=10.0)
    assert kstest(found, "expon", args=(0, 10 / math.log(2))).pvalue > 1e-4


def test_delays_are_drawn_by_the_number_of_the_message():
    """The same environment, the same message: the same delay, whatever else runs beside it."""
    many, few = delays("order", 50, order_tail_ms=10.0), delays("order", 3, order_tail_ms=10.0)
    assert (many[:3] == few).all()
    assert len(np.unique(many)) == 50


def test_a_wide_market_is_slower():
    """Two cents of spread are one beyond the first: 100 ms x (1 + 0.3 x 1)."""
    assert delays("order", 1, order_delay_ms=100.0, delay_spread=0.3)[0] == pytest.approx(130.0, abs=1e-5)


def test_a_busy_market_is_slower():
    """Twenty prints in a moment, 5 s or ten buckets ago: 20 x 2 ** (-10 / 16) x log 2 / 8.590 s = 1.0464 a second."""
    engine = engine_with(*[trade(2, BID, 5200, 1)] * 20, order_delay_ms=100.0, delay_activity=0.5)
    wait(engine, until=7)
    engine.submit(intents(engine, bid=buy(4000, 10)))
    rate = 20 * 2 ** (-10 / 16) * math.log(2) / (16 * 2**29 * 1e-9)
    found = int(engine.state.messages[0, 0]["due_ns"] - engine.state.account["now_ns"][0])
    assert found == pytest.approx(100 * MS * (1 + 0.5 * math.log(1 + rate)), abs=2)


@pytest.mark.parametrize(("fifo", "resting"), [(0.0, 1), (1.0, 0)])
def test_a_later_message_overtakes_only_where_it_may(fifo, resting):
    """The order takes 300 ms, its cancel 100 ms: the cancel finds nothing, or waits in line."""
    engine = engine_with(order_delay_ms=300.0, cancel_delay_ms=100.0, fifo=fifo)
    send(engine, bid=buy(4800, 10), seconds=0.05)
    send(engine, bid=CANCEL, seconds=1.0)
    assert engine.state.market["live_orders"][0] == resting


def test_immediate_orders_under_way_are_not_replaced():
    """The same one at each of three steps, all under way at once: 3 x 10. A resting one asked for thrice is one."""
    engine = engine_with(order_delay_ms=300.0)
    for _ in range(3):
        send(engine, bid=buy(5200, 10, tif=IOC), seconds=0.05)
    wait(engine, seconds=1.0)
    assert position(engine, "yes_qty") == lots(30)
    for _ in range(3):
        send(engine, bid=buy(4800, 10), seconds=0.05)
    wait(engine, seconds=1.0)
    assert engine.state.orders["qty"][0].sum() == lots(10)


@pytest.mark.parametrize(("print_s", "got"), [(2.499, 10), (2.501, 0)])
def test_a_cancel_races_a_fill(print_s, got):
    """The cancel leaves at 2 s and takes 500 ms; a print through our price comes a millisecond before or after it."""
    engine = engine_with(trade(print_s, ASK, 4700, 50), cancel_delay_ms=500.0)
    send(engine, bid=buy(4800, 10), until=2)
    assert send(engine, bid=CANCEL, until=3)[0] == lots(got)
    assert engine.state.market["live_orders"][0] == 0
    check_books_balance(engine)


def test_the_venue_holds_back_what_would_trade_at_once():
    """Three seconds: meanwhile its cancel is refused and the book moves; it matches what is there at the end."""
    engine = engine_with(level(3, ASK, 5200, 0), level(4, ASK, 5300, 60), taker_delay_ms=3000.0)
    wait(engine, until=2)
    assert send(engine, bid=buy(5300, 100), until=2.5) == (0, 0)
    assert engine.state.messages[0, 0]["held"] == 1
    assert send(engine, bid=CANCEL, until=3) == (0, REJECT_IN_DELAY)
    assert send(engine, bid=CANCEL, until=4.999) == (0, REJECT_IN_DELAY)  # it may be tried again, in vain
    assert wait(engine, until=5) == lots(60)  # at 53 cents, not at 52
    assert engine.state.fills[0, 0]["px"] == 5300
    order = engine.state.orders[0, 0]
    assert (order["px"], order["qty"], order["leaving"]) == (5300, lots(40), 0)
    check_books_balance(engine)


def test_a_held_order_may_find_nothing():
    engine = engine_with(level(3, ASK, 5200, 0), level(3, ASK, 5400, 9), taker_delay_ms=3000.0)
    assert send(engine, bid=buy(5300, 100, tif=IOC), until=6) == (0, 0)
    assert not engine.state.messages[0]["due_ns"].any()


def test_what_waits_is_judged_again():
    """The market closes meanwhile; and an order that is refused at once does not wait."""
    engine = engine_with(event(3, STATUS, code=CLOSED), taker_delay_ms=3000.0)
    assert send(engine, bid=buy(5200, 100, post_only=1)) == (0, REJECT_POST_ONLY_CROSS)
    assert send(engine, bid=buy(5200, 100), until=6) == (0, REJECT_MARKET_CLOSED)
    assert position(engine, "yes_qty") == 0


def test_makers_do_not_wait():
    engine = engine_with(taker_delay_ms=3000.0)
    send(engine, bid=buy(5100, 100), seconds=0.001)
    assert engine.state.market["live_orders"][0] == 1
    assert account(engine, "n_rejects") == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"order_tail99_ms": 5.0}, "order_tail99_ms = 5.0 does not fit order_tail_ms = 0.0"),
        ({"feed_tail_ms": 5.0, "feed_tail99_ms": 5.0}, "feed_tail99_ms = 5.0 does not fit feed_tail_ms = 5.0"),
        ({"cancel_tail_ms": 1.0, "cancel_tail99_ms": 2000.0}, "at most 1000 times"),
        ({"cancel_rule": 1.5}, "cancel_rule = 1.5 is a code; expected a whole number"),
        ({"drop_split": 3.0}, "lies outside"),
    ],
)
def test_rows_that_cannot_be(fields, message):
    with pytest.raises(ValueError, match=message):
        make_rows(1, **fields)
