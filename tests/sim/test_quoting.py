"""The market maker's functions by hand, and its orders on a made-up recording."""

import math

import numpy as np
import pytest
from by_hand import INTERPRETED, check_books_balance, engine_on, level, opening, settlement, tape, trade

from sim.backtest import backtest
from sim.engine import Engine
from sim.scenarios import synthetic
from sim.scenarios.row import make_rows
from sim.strategies.market_makers import avellaneda_stoikov, joiner
from sim.strategies.quoting import (
    edge,
    half_spread,
    may_move,
    moved_variance,
    outward_px,
    reservation_price,
    shrunk_size,
)
from sim.types import ASK, BID, FILL


def test_variance_is_an_average_over_market_time():
    # half of the memory is gone after one half life: .5 x .0004 + .5 x (.03^2 / 10)
    assert moved_variance(0.0004, 0.03, 10.0, 10.0) == pytest.approx(0.0002 + 0.5 * 0.00009)
    # two looks at a path that moves by v x t each time agree with one look
    twice = moved_variance(moved_variance(0.0, 0.1, 1.0, 5.0), 0.1, 1.0, 5.0)
    assert twice == pytest.approx(moved_variance(0.0, math.sqrt(2) * 0.1, 2.0, 5.0))


def test_the_reservation_price_leans_against_the_inventory():
    # .55 - 20 x .1 x .0001 x 50 = .54; a short of 20 wants .56
    assert reservation_price(0.55, 20.0, 0.1, 0.0001, 50.0) == pytest.approx(0.54)
    assert reservation_price(0.55, -20.0, 0.1, 0.0001, 50.0) == pytest.approx(0.56)


def test_the_half_spread_pays_for_risk_and_for_thin_fills():
    # .5 x 2 x .0001 x 50 + log(1 + 2 / 100) / 2 = .005 + .009901...
    assert half_spread(2.0, 0.0001, 50.0, 100.0) == pytest.approx(0.005 + math.log(1.02) / 2)
    assert half_spread(0.0, 0.0001, 50.0, 100.0) == 0.01
    assert half_spread(1e-6, 0.0, 50.0, 100.0) == pytest.approx(0.01, rel=1e-6)  # the limit of no risk aversion


@pytest.mark.parametrize(
    ("price", "side", "tick", "px"),
    [(0.5049, BID, 100, 5000), (0.5001, ASK, 100, 5100), (0.29, BID, 100, 2900), (0.29, ASK, 100, 2900),
     (0.0237, BID, 10, 230), (0.0237, ASK, 10, 240), (-0.004, BID, 100, -100)],
)  # fmt: skip
def test_quotes_are_rounded_outwards(price, side, tick, px):
    assert outward_px(price, side, tick) == px


def test_the_edge_is_what_the_fair_price_says_less_the_fee():
    assert edge(0.48, 0.50, BID, 0.005) == pytest.approx(0.015)
    assert edge(0.53, 0.50, ASK, 0.005) == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("net", "side", "size"),
    [(0.0, BID, 10.0), (25.0, BID, 5.0), (25.0, ASK, 10.0), (-40.0, ASK, 2.0), (60.0, BID, 0.0)],
)
def test_size_shrinks_where_it_adds_to_the_position(net, side, size):
    assert shrunk_size(10.0, net, 50.0, side) == pytest.approx(size)


@pytest.mark.parametrize(
    ("own", "wanted", "side", "age", "moves"),
    [
        (5000, 5000, BID, 9.0, False),
        (5000, 5100, BID, 0.1, False),  # better for the others, but too young
        (5000, 5100, BID, 0.5, True),
        (5000, 4900, BID, 0.1, True),  # about to be picked off: at once
        (5000, 5100, ASK, 0.1, True),
        (5000, 4900, ASK, 0.1, False),
        (5000, 4950, BID, 9.0, False),  # within the tolerance
    ],
)
def test_a_quote_moves_when_it_must_or_when_it_is_old_enough(own, wanted, side, age, moves):
    assert may_move(own, wanted, side, age, 0.5, 50) == moves


BOOK = opening({4800: 30, 4700: 50}, {5200: 30, 5300: 50})


def played(*rows, chosen=joiner, **values):
    engine = engine_on(tape(*BOOK, *rows, settlement(60, 10_000), end_s=None), window_s=np.inf)
    result = backtest(engine, chosen, values)
    check_books_balance(engine)
    return engine, result


def test_the_joiner_stands_behind_the_touch_and_follows_it():
    # 10 contracts at 48 behind 30: a sale of 35 fills 5 of ours; the touch moves to 47, our order with it: a print at
    # 48 finds nobody. Settled at $1: 5 x (1 - .48) = 2.60 dollars, makers pay nothing on this series
    engine, result = played(trade(5, ASK, 4800, 35), level(5, BID, 4800, 0), trade(7, ASK, 4800, 3))
    ours = result.fills
    assert [(int(f["px"]), int(f["qty"]), int(f["maker"])) for f in ours] == [(4800, 500, 1)]
    assert engine.state.account["equity_uusd"][0] - engine.state.account["start_uusd"][0] == 2_600_000
    assert result.marks["net_qty"].max() == 500
    assert result.marks["equity_uusd"][-1] == engine.state.account["equity_uusd"][0]


def test_limits_stop_a_side():
    rows = [row for second in range(5, 25) for row in (trade(second, ASK, 4800, 40), level(second, BID, 4800, 30))]
    _, result = played(*rows, size=10.0, limit=20.0)
    assert result.marks["net_qty"].max() == 2000


def test_the_quoter_quotes_by_its_formulas():
    # no move yet: no variance; half-spread log(1 + .1 / 50) / .1 = .01998: bid .5 - .01998 -> 48, ask 52
    engine, _ = played(level(5, BID, 4600, 10), chosen=avellaneda_stoikov, gamma=0.1, kappa=50.0)
    quiet = engine_on(tape(*BOOK, level(5, BID, 4600, 10), level(50, BID, 4500, 10), end_s=60), window_s=np.inf)
    backtest(quiet, avellaneda_stoikov, {"gamma": 0.1, "kappa": 50.0}, seconds=10)
    orders = quiet.state.orders[0]
    assert sorted((int(o["side"]), int(o["px"])) for o in orders[orders["id"] > 0]) == [(BID, 4800), (ASK, 5200)]
    assert engine.state.account["equity_uusd"][0] == engine.state.account["start_uusd"][0]


def by_python(engine, chosen, params, steps):
    """The same loop in Python: look, decide, submit, advance by an event. Interpreted kernels only."""
    from sim.backtest import MEMORY, Screen
    from sim.desk import desk_at
    from sim.sight import SIGHT, look
    from sim.types import INTENT

    memory, seen = np.zeros((engine.num_envs, 1, MEMORY)), np.zeros(1, SIGHT)
    fills = []
    engine.reset()
    for _ in range(steps):
        orders = np.zeros((engine.num_envs, 1, 2), INTENT)
        for env in np.flatnonzero(engine.state.account["done"] == 0):
            look(desk_at(engine.world, engine.state, env, env), seen[0])
            book = engine.state.book[env : env + 1]
            chosen.act(Screen(seen, book, engine.world.px_of, params, memory[env], engine.world.links), orders[env])
        engine.submit(orders)
        engine.advance_events(1)
        for env in range(engine.num_envs):
            fills += [(env, fill) for fill in engine.state.fills[env, : engine.state.account["n_fills"][env]].tolist()]
    return fills


@pytest.mark.skipif(not INTERPRETED, reason="the slow way calls inner kernels, which only interpreted ones can be")
@pytest.mark.parametrize("chosen", [joiner, avellaneda_stoikov], ids=lambda chosen: chosen.name)
def test_the_loop_does_what_single_steps_do(chosen):
    rows = make_rows(1, life_s=25.0, noise_rate=5.0, depth=15.0, order_delay_ms=20.0, cancel_delay_ms=40.0)
    one, two = (Engine(synthetic(rows), 2, seed=6, window_s=20) for _ in range(2))
    result = backtest(one, chosen)
    slow = by_python(two, chosen, chosen.params(), 400)
    assert one.state.pool.tolist() == two.state.pool.tolist()
    fast = list(zip(result.fill_env.tolist(), result.fills.tolist(), strict=True))
    assert len(fast) > 2
    assert sorted(fast) == sorted(slow)
    assert result.fills.dtype == FILL


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"values": {"sise": 1.0}}, "strategy joiner: no parameter 'sise'; it has size, limit"),
        ({"values": {"size": -1.0}}, r"size = -1.0 lies outside \[0.01, 100000.0\]"),
        ({"dt_s": 0.0}, "dt_s must be at least a nanosecond, got 0.0"),
        ({"every_events": 0}, "expected every_events >= 1"),
        ({"mark_s": 0.0}, "mark_s > 0"),
    ],
)
def test_bad_settings_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        backtest(Engine(synthetic(), 1), joiner, **settings)


def test_full_buffers_are_emptied_and_nothing_is_lost(monkeypatch):
    rows = make_rows(1, life_s=30.0, noise_rate=8.0, depth=10.0)
    whole = backtest(Engine(synthetic(rows), 3, seed=1, window_s=25), joiner, mark_s=0.5)
    monkeypatch.setattr("sim.backtest._BUFFER", 40)
    parts = backtest(Engine(synthetic(rows), 3, seed=1, window_s=25), joiner, mark_s=0.5)
    assert len(whole.marks) > 80
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)
