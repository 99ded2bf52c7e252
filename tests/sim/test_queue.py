"""When a resting order is filled: the queue, the four beliefs about it, feeds without trades."""

from __future__ import annotations

import math

import numpy as np
import pytest
from by_hand import (
    FREE,
    INTERPRETED,
    account,
    buy,
    check_books_balance,
    engine_on,
    filled,
    intents,
    level,
    lots,
    opening,
    pass_time,
    sell,
    send,
    tape,
    trade,
    wait,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from sim.fillmodel import COIN_TERMS
from sim.scenarios.row import default_rows
from sim.shares import RULE_NAMES
from sim.types import ASK, BID, FILL_MODELS

BOOK = opening({5000: 100, 4900: 50}, {5200: 100})


def order_after(*rows, model="queue", contracts=10, px=5000, until=100, **row):
    """Join ``px`` behind the book, play ``rows``, and return (engine, contracts filled). The feed shows trades."""
    engine = engine_on(tape(*BOOK, *rows, trade(800, BID, 6000, 1), fees=(FREE,)), fill_model=model, **row)
    send(engine, bid=buy(px, contracts))
    return engine, wait(engine, until=until) / 100


def ahead(engine):
    return int(engine.state.orders["ahead_qty"][0, 0]) / 100


@pytest.mark.parametrize("model", FILL_MODELS)
def test_no_print_no_fill(model):
    """The level comes and goes, the market moves through our price: without a print nobody has traded with us."""
    rows = [
        level(2, BID, 5000, 0), level(3, ASK, 4900, 5), level(4, BID, 4900, 0), level(5, BID, 5000, 500),
        trade(6, BID, 5300, 1000), trade(7, ASK, 5100, 1000),
    ]  # fmt: skip
    assert order_after(*rows, model=model)[1] == 0


@pytest.mark.parametrize("model", FILL_MODELS)
def test_never_more_than_the_print(model):
    assert order_after(trade(2, ASK, 4900, 3), model=model)[1] == 3


def test_orders_join_behind_what_is_shown():
    assert ahead(order_after()[0]) == 100
    assert ahead(order_after(px=4800)[0]) == 0


@pytest.mark.parametrize(
    ("rule", "left"),
    [("none", 100), ("proportional", 80), ("power", 76), ("log", 84), ("snapshot", 100)],
)
def test_cancels_ahead_are_shared_by_rule(rule, left):
    """50 join behind our place: 100 of 150 are ahead, then 30 are cancelled.

    Proportional: 30 x 100 / 150 = 20 from ahead; power 2: 30 x 100**2 / (100**2 + 50**2) = 24; log, in lots:
    30 x ln(10001) / (ln(10001) + ln(5001)) = 15.58; those behind cover the cancel, so the snapshot rule takes none.
    """
    engine, _ = order_after(
        level(2, BID, 5000, 150), level(3, BID, 5000, 120), cancel_rule=float(RULE_NAMES.index(rule)), cancel_power=2.0
    )
    assert ahead(engine) == pytest.approx(left, abs=0.5)


def test_nobody_is_ahead_who_is_not_shown():
    engine, _ = order_after(level(2, BID, 5000, 60), cancel_rule=0.0)
    assert ahead(engine) == 60


def test_a_print_is_not_counted_again_when_the_level_follows():
    engine, got = order_after(trade(2, ASK, 5000, 30), level(2, BID, 5000, 70))
    assert (ahead(engine), got) == (70, 0)
    # the print's 30, then 10 cancelled of 70: all in front of us
    engine, got = order_after(trade(2, ASK, 5000, 30), level(2, BID, 5000, 60))
    assert (ahead(engine), got) == (60, 0)


def test_a_print_without_a_side_fills_only_what_it_went_through():
    assert order_after(trade(2, -1, 5000, 500), model="optimistic")[1] == 0
    assert order_after(trade(2, -1, 4900, 4))[1] == 4


@pytest.mark.parametrize("model", FILL_MODELS)
def test_a_buyers_print_does_not_fill_a_bid(model):
    assert order_after(trade(2, BID, 5000, 500), trade(3, BID, 4900, 500), model=model)[1] == 0


def test_own_orders_queue_behind_each_other():
    """The first rests at 50 with its cancel a minute away, the second at 49: a print meets the better price first."""
    prints = [trade(2, ASK, 4900, 12), trade(3, ASK, 4800, 100)]
    engine = engine_on(tape(*opening({}, {5200: 9}), *prints, fees=(FREE,)), cancel_delay_ms=60_000.0)
    send(engine, bid=buy(5000, 10))
    send(engine, bid=buy(4900, 10))
    assert wait(engine, until=2.5) == lots(12)  # ten through 50, then two at 49
    assert sorted(engine.state.orders["qty"][0].tolist()) == [0, 0, 0, lots(8)]
    assert wait(engine, until=3.5) == lots(8)
    check_books_balance(engine)


@given(
    prints=st.lists(
        st.tuples(st.sampled_from([ASK, ASK, BID]), st.integers(47, 52), st.integers(1, 4000)), min_size=1, max_size=12
    ),
    shown=st.integers(0, 60),
    wanted=st.integers(1, 60),
    seed=st.integers(0, 3),
)
@settings(max_examples=25)
def test_the_models_are_ordered_on_one_stream_of_prints(prints, shown, wanted, seed):
    """pessimistic <= queue <= optimistic and pessimistic <= probabilistic <= optimistic, after every print."""
    rows = [trade(2 + n, side, 100 * px, size / 100) for n, (side, px, size) in enumerate(prints)]
    book = opening({5000: shown} if shown else {4000: 1}, {5500: 10})
    totals = {}
    for model in FILL_MODELS:
        engine = engine_on(tape(*book, *rows, fees=(FREE,)), fill_model=model, seed=seed)
        send(engine, bid=buy(5000, wanted))
        got = [wait(engine, until=2.5 + n) for n in range(len(prints))]
        room = [size if side == ASK and px <= 50 else 0 for side, px, size in prints]
        assert all(0 <= g <= r for g, r in zip(got, room, strict=True)), model
        assert sum(got) <= lots(wanted)
        totals[model] = np.cumsum(got)
    for model in ("queue", "probabilistic"):
        assert (totals["pessimistic"] <= totals[model]).all()
        assert (totals[model] <= totals["optimistic"]).all()


def test_a_feed_without_trades_splits_a_drop_at_the_touch():
    """trade_share = 1/2: the touch drops by 60, of which 30 were a trade; it went through our 51, so ten are ours."""
    rows = [level(2, ASK, 5200, 40), level(3, ASK, 5200, 0)]
    engine = engine_on(tape(*opening({5000: 100}, {5200: 100}), *rows, fees=(FREE,)), trade_share=0.5)
    send(engine, ask=sell(5100, 10))
    assert wait(engine, until=2.5) == -lots(10)
    assert engine.state.market["last_qty"][0] == lots(30)
    assert engine.state.market["last_side"][0] == BID
    engine = engine_on(tape(*opening({5000: 100}, {5200: 100}), *rows, fees=(FREE,)), trade_share=0.0)
    send(engine, ask=sell(5100, 10))
    assert wait(engine, until=4) == 0


def test_a_drop_behind_the_touch_is_a_cancel():
    engine = engine_on(
        tape(*opening({5000: 100, 4900: 100}, {5200: 1}), level(2, BID, 4900, 0), fees=(FREE,)), trade_share=1.0
    )
    send(engine, bid=buy(4900, 10))
    assert wait(engine, until=3) == 0


@pytest.mark.parametrize("seconds", [(6,), (2, 3, 4, 5, 6), (1.5, 1.6, 1.7, 5.5, 6)])
def test_probabilistic_fills_come_as_often_as_stated(seconds):
    """Prints at our price up to a life after we joined: however many, together they have the stated probability.

    Exact binomial test at level 1e-4.
    """
    count = 400 if INTERPRETED else 4000
    row = {f"fill_{term}": 0.0 for term in COIN_TERMS} | {"fill_base": 0.4}
    prints = [trade(second, ASK, 5000, 500) for second in seconds]
    engine = engine_on(tape(*BOOK, *prints, fees=(FREE,)), fill_model="probabilistic", num_envs=count, **row)
    engine.submit(intents(engine, bid=buy(5000, 10)))
    pass_time(engine, until=1.25)
    stated = 1 / (1 + math.exp(-0.4))
    assert engine.state.orders["hazard"][:, 0] == pytest.approx(-math.log(1 - stated), rel=1e-12)
    engine.submit(intents(engine))
    pass_time(engine, until=7)
    hits = int((engine.state.account["n_fills"] > 0).sum())
    assert binomtest(hits, count, stated).pvalue > 1e-4
    assert filled(engine) in (0, lots(10))


def test_default_rows_are_stated_for_five_seconds():
    assert default_rows()["fill_life_s"][0] == 5.0
    assert account(order_after()[0], "fill_model") == FILL_MODELS.index("queue")
