"""A feed that stands still: agents and strategies see the market as it was, themselves and the clock as they are."""

from __future__ import annotations

import numpy as np
import pytest

from envs.vector import TradingVectorEnv
from sim.backtest import backtest, strategy
from sim.engine import Engine
from sim.kernel import how_kernels_run
from sim.scales import PRINTS_HALF
from sim.scenarios import Scenario, synthetic
from sim.scenarios.portfolio import cross_venue
from sim.scenarios.row import make_rows
from sim.types import ASK, BID, DO_PLACE, GTC, INTENT, YES

ROWS = make_rows(
    1, stale_rate=0.2, stale_s=4.0, news_rate=3.0, news_size=0.1, maker_rate=5.0, life_s=100.0, order_delay_ms=0.0
)
# the market itself: what fades with time or compares two looks is left out
STILL = (
    "bid", "ask", "mid", "spread", "tick", *(f"{side}_size_{n}" for side in ("bid", "ask") for n in range(1, 6)),
    "imbalance", "depth_imbalance", "micro", "market_open", "signal_live", "signal_edge", "anchor_25", "anchor_size",
)  # fmt: skip
NOTHING_NEW = ("prints", "flow", "order_flow", "return_1")
AGES = ("since_trade", "since_book")
COUNT, STEPS = (8, 30) if how_kernels_run() == "interpreted" else (40, 80)


def played(scenario=None, steps=STEPS, action=0, **settings):
    """An environment and its observations: first of the reset, then of each step, holding but for the first."""
    env = TradingVectorEnv(COUNT, scenario=scenario or synthetic(ROWS), window_s=200.0, **settings)
    obs, _ = env.reset(seed=1)
    yield env, obs
    shape = (COUNT, *env.single_action_space.shape)
    for step in range(steps):
        obs, *_ = env.step(np.full(shape, action if step == 0 else 0))
        yield env, obs


def columns(env, names):
    return [env.schema.names.index(name) for name in names]


@pytest.mark.parametrize("portfolio", [None, cross_venue()])
def test_the_market_stands_still_and_time_goes_on(portfolio):
    """From look to look at one standstill nothing of the market changes, and what is old grows older."""
    looks = moved = 0
    last = None
    for env, obs in played(Scenario(ROWS, portfolio=portfolio)):
        now = env.engine.state.account["now_ns"].repeat(env.engine.num_markets)
        market = env.engine.state.market
        seen = obs.reshape(len(market), -1)
        since = np.where(now < market["stale_until_ns"], env.engine.state.frozen[::2]["draws"], -1)
        if last is not None:
            same = (since > 0) & (last[1] == since)
            assert (seen[same][:, columns(env, STILL)] == last[0][same][:, columns(env, STILL)]).all()
            assert (seen[same][:, columns(env, NOTHING_NEW)] == 0.0).all()
            older, old = seen[same][:, columns(env, AGES)], last[0][same][:, columns(env, AGES)]
            assert ((older > old) | (old == 1.0)).all()  # 1: there was none yet
            looks += same.sum()
            moved += (market["book_ns"] > last[2])[same].sum()
        last = seen.copy(), since, market["book_ns"].copy()
    assert looks > 20
    assert moved > 0.9 * looks  # the market itself went on


def test_what_happened_meanwhile_is_told_when_the_feed_comes_back():
    """What looks tell of prints adds up to what an unseen twin counts; the feature is told / (told + 10)."""
    told, stale = np.zeros(COUNT), 0
    for env, obs in played():
        state = env.engine.state
        if not told.any():
            twin = env.engine.fork(1)
            twin.state.market["n_prints"] = 0
            told += 1e-9
            continue
        twin.submit(np.zeros((COUNT, 1, 2), INTENT))
        twin.advance(1.0)
        share = obs[:, env.schema.names.index("prints")].astype(float)
        told += PRINTS_HALF * share / (1.0 - share)
        behind = state.account["now_ns"] < state.market["stale_until_ns"]
        stale += behind.sum()
    assert (twin.state.account["now_ns"] == state.account["now_ns"]).all()
    untold = np.where(behind, state.market["n_prints"], 0)
    assert stale > 20
    assert told + untold == pytest.approx(twin.state.market["n_prints"], abs=0.01)


def test_orders_are_priced_by_what_is_seen_and_ours_is_told_at_once():
    """A purchase at the touch of a standstill: limit and fill as of then; the position is there at the next look."""
    env = TradingVectorEnv(COUNT, scenario=synthetic(ROWS), window_s=200.0)
    env.reset(seed=1)
    ours = columns(env, ("position_yes", "own_bid_live"))
    checked = 0
    for _ in range(STEPS):
        state = env.engine.state
        behind = state.account["now_ns"] < state.market["stale_until_ns"]
        shown = state.frozen[::2]["best_ask"].copy()
        buy = behind & (state.position["yes_qty"] == 0) & (shown < len(env.engine.grid.px_of))
        before = state.position["yes_qty"].copy()
        obs, *_ = env.step(np.where(buy, 1, 0))  # 5 YES at the offer plus two ticks
        limit = env.engine.grid.px_of[np.minimum(shown, len(env.engine.grid.px_of) - 1)] + 200
        sent = env.core._work.intents[:, 0, BID]
        buy &= sent["do"] == DO_PLACE
        assert (sent["px"][buy] == np.minimum(limit, 9900)[buy]).all()
        bought = buy & (state.position["yes_qty"] > before)
        assert (obs[bought][:, ours[0]] > 0.0).all()
        checked += bought.sum()
    assert checked > 3


@strategy("bids a cent for as many lots as it sees of bid + ask")
def tells_the_mid(screen, orders):
    orders[0, BID]["do"] = DO_PLACE
    orders[0, BID]["px"] = 100
    orders[0, BID]["qty"] = screen.seen[0]["mid2_px"]
    orders[0, BID]["leg"] = YES
    orders[0, BID]["tif"] = GTC
    orders[0, BID]["budget_uusd"] = 0
    best = -1
    for level in range(screen.book.shape[2]):
        if best < 0 and screen.book[0, ASK, level] > 0:
            best = level
    if best >= 0 and screen.px_of[best] != screen.seen[0]["ask_px"]:
        orders[0, BID]["qty"] = 1  # book and sight are of different moments


def test_a_compiled_strategy_sees_what_stood_still():
    """Its last wish, on its way for 9 s, tells what it saw at a decision half a second before the end."""
    rows = ROWS.copy()
    rows["order_delay_ms"] = rows["cancel_delay_ms"] = 9000.0
    engine = Engine(synthetic(rows), COUNT, seed=3, window_s=200.0)
    checked = moved = 0
    for seconds in (2.0, 4.0, 6.0):
        backtest(engine, tells_the_mid, dt_s=seconds / 2, seconds=seconds)
        state = engine.state
        decided = state.account["start_ns"] + round(seconds / 2 * 1e9)
        for env in range(COUNT):
            messages = state.messages[env]
            sent = messages[(messages["due_ns"] == decided[env] + 9_000_000_000) & (messages["kind"] == 0)]
            assert (sent["qty"] != 1).all()
            frozen, market = state.frozen[2 * env], state.market[env]
            # one standstill, from before the decision to after the end
            if (
                len(sent) == 1
                and market["stale_until_ns"] > state.account["now_ns"][env]
                and still(frozen, decided[env])
            ):
                assert sent["qty"][0] == frozen["mid2_px"]
                checked += 1
                moved += market["mid2_px"] != frozen["mid2_px"]
    assert checked > 3
    assert moved > 0


def still(frozen, decided_ns):
    """Whether a feed stopped before a decision: its next arrival would have come before."""
    return 0 < frozen["flow_ns"] <= decided_ns


def test_snapshots_and_forks_remember_what_stands_still():
    env = TradingVectorEnv(COUNT, scenario=synthetic(ROWS), window_s=200.0)
    env.reset(seed=1)
    hold = np.zeros(COUNT, np.int64)
    for _ in range(10):
        env.step(hold)
    assert (env.engine.state.account["now_ns"] < env.engine.state.market["stale_until_ns"]).any()
    saved = env.snapshot()
    expected = [env.step(hold)[0].copy() for _ in range(5)]
    env.restore(saved)
    assert all((env.step(hold)[0] == obs).all() for obs in expected)
    assert env.engine.fork(1).digest() == env.engine.digest()


def test_where_no_feed_stands_still_nothing_is_kept():
    engine = Engine(synthetic(make_rows(1)), 3)
    assert (len(engine.state.frozen), len(engine.state.frozen_book)) == (0, 0)
