"""Baselines in the environment: views rebuilt from real observations, and how they play the synthetic market."""

import numpy as np
import pytest

from envs.vector import TradingVectorEnv
from sim.scenarios import synthetic
from sim.scenarios.row import make_rows
from sim.strategies import (
    UNIFORMS,
    VIEW,
    decide,
    nearest_actions,
    strategy_params,
    table_from_rows,
    view_from_observation,
)
from sim.types import BID, LOTS_PER_CONTRACT, OPEN, PX_ONE, SECOND_NS, UUSD


def trading_env(num_envs=64, **settings):
    rows = make_rows(1, signal_rate=1.0, signal_err_high=0.05)
    return TradingVectorEnv(num_envs, **{"scenario": synthetic(rows), "actions": "full", "window_s": 120.0, **settings})


def views_of_state(env):
    """VIEW straight from the engine's arrays: what the inverse of the features has to give."""
    state, px = env.engine.state, env.engine.world.px_of
    market, position, account = state.market, state.position, state.account
    views = np.zeros(env.num_envs, VIEW)
    row = np.arange(env.num_envs)
    has_bid, has_ask = market["best_bid"] >= 0, market["best_ask"] < len(px)
    bid, ask = np.where(has_bid, market["best_bid"], 0), np.where(has_ask, market["best_ask"], 0)
    views["open"] = market["status"] == OPEN
    views["bid"] = np.where(has_bid, px[bid], 0) / PX_ONE
    views["ask"] = np.where(has_ask, px[ask], PX_ONE) / PX_ONE
    views["mid"] = market["mid2_px"] / (2 * PX_ONE)
    views["tick"] = 0.01
    views["bid_size"] = np.where(has_bid, state.book[row, 0, bid], 0) / LOTS_PER_CONTRACT
    views["ask_size"] = np.where(has_ask, state.book[row, 1, ask], 0) / LOTS_PER_CONTRACT
    both = views["bid_size"] + views["ask_size"]
    views["imbalance"] = (views["bid_size"] - views["ask_size"]) / np.where(both > 0, both, 1)
    views["fee"] = 0.07 * views["mid"] * (1 - views["mid"])
    views["seconds_left"] = np.maximum(market["close_ns"] - account["now_ns"], 0) / SECOND_NS
    views["yes"], views["no"] = position["yes_qty"] / LOTS_PER_CONTRACT, position["no_qty"] / LOTS_PER_CONTRACT
    for env_number, orders in enumerate(state.orders):
        for order in sorted(orders[orders["id"] > 0], key=lambda order: order["id"]):
            side, sign = ("bid", 1) if order["side"] == BID else ("ask", -1)
            touch = views[side][env_number]
            quoted = (has_bid if side == "bid" else has_ask)[env_number]
            views[f"own_{side}"][env_number] = 1
            views[f"own_{side}_ticks"][env_number] = sign * (touch - order["px"] / PX_ONE) / 0.01 if quoted else 0
    live = market["signal_ppm"] >= 0
    views["signal_live"] = live
    views["signal"] = np.where(live, market["signal_ppm"] / UUSD, 0)
    views["signal_err"] = np.where(live, market["signal_err_ppm"] / UUSD, 0)
    views["signal_age"] = np.where(live, account["now_ns"] - market["signal_ns"], 0) / SECOND_NS
    return views


def test_a_view_is_rebuilt_from_an_observation():
    env = trading_env()
    obs, _ = env.reset(seed=0)
    env.action_space.seed(0)
    seen = []
    for _ in range(60):
        obs, *_ = env.step(env.action_space.sample())
        rebuilt, true = view_from_observation(env.spec_sheet["observation"], obs), views_of_state(env)
        for name in ("open", "bid", "ask", "mid", "tick", "own_bid", "own_ask", "signal_live"):
            np.testing.assert_array_equal(rebuilt[name], true[name], err_msg=name)
        for name in ("bid_size", "ask_size", "yes", "no"):  # to the lot
            np.testing.assert_allclose(rebuilt[name], true[name], atol=0.011, err_msg=name)
        for name in ("imbalance", "fee", "own_bid_ticks", "own_ask_ticks", "signal", "signal_err", "signal_age"):
            np.testing.assert_allclose(rebuilt[name], true[name], atol=2e-5, err_msg=name)
        np.testing.assert_allclose(rebuilt["seconds_left"], true["seconds_left"], rtol=1e-4)
        seen.append(true)
    seen = np.concatenate(seen)
    for name in VIEW.names:
        if name not in ("open", "tick"):
            assert len(np.unique(seen[name])) > 1, name  # the comparison compared something


def play(env, name, seed=0, **values):
    """Every environment's result of one episode, dollars; and how many orders were sent."""
    names, table = env.spec_sheet["observation"], table_from_rows(env.spec_sheet["actions"])
    params, rng = strategy_params(name, values), np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    result, messages, over = np.zeros(env.num_envs), 0, np.zeros(env.num_envs, np.bool_)
    while not over.all():
        views = view_from_observation(names, obs)
        actions = nearest_actions(table, decide(name, views, params, rng.random((env.num_envs, UNIFORMS))))
        obs, _, terminated, truncated, info = env.step(actions)
        over |= terminated | truncated
        result += info["reward_uusd"] / UUSD
        messages += int(env.engine.state.account["n_messages"].sum())
    return result, messages


def test_strategies_play_the_real_market():
    slow_makers = synthetic(make_rows(1, signal_rate=2.0, signal_err_high=0.01, maker_rate=0.1, informed_rate=0.0))
    results = {
        name: play(trading_env(128, scenario=slow_makers, autoreset_mode="Disabled"), name)
        for name in ("noop", "random", "imbalance", "signal", "quoter")
    }
    assert results["noop"] == (pytest.approx(np.zeros(128)), 0)
    for name in ("random", "imbalance", "signal", "quoter"):
        assert results[name][1] > 100, name
    assert results["random"][0].mean() < 0  # it knows nothing and pays spread and fee
    assert results["signal"][0].mean() > 0  # it knows what the makers learn late
