"""Whole episodes in one pass are the episodes of a loop over steps, to the micro-dollar."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs.vector import TradingVectorEnv
from sim.backtest import Trader
from sim.scenarios import Scenario
from sim.scenarios.portfolio import cross_venue
from sim.scenarios.row import draw_rows
from sim.strategies.arbitrage import arbitrageur
from sim.strategies.market_makers import joiner

SECONDS = (4.0, 12.0)
COUNT = 6
SETTINGS = {
    "plain": {},
    "killed": {"kill_drawdown": 0.0002, "fill_model": "optimistic"},  # two dollars
    "shielded": {"limits": {"preset": "small", "drawdown_warning": 0.0001, "drawdown_critical": 0.0002}},
    "windowed": {"window_s": 5.0, "start_contracts": 10.0},
    "by events": {"events_per_step": 7},
}


def world(strategy, settings):
    rows = draw_rows(COUNT, {"life_s": SECONDS, "news_rate": (0.5, 2.0), "stale_rate": 0.2, "noise_rate": 5.0}, 4)
    scenario = Scenario(rows, sequential=True, portfolio=cross_venue() if strategy is arbitrageur else None)
    env = TradingVectorEnv(
        COUNT, scenario=scenario, features=("time",), costs=("kill",), seed=9, autoreset_mode=AutoresetMode.DISABLED,
        **{"window_s": np.inf, **settings},
    )  # fmt: skip
    return env, Trader(env.engine, strategy, {"size": 100.0} if strategy is joiner else None)


def step_by_step(env, trader):
    """The obvious way: a list of equities for each environment."""
    env.reset()
    trader.begin(np.ones(COUNT, bool))
    account = env.engine.state.account
    paths, kills, steps, done = (
        [account["equity_uusd"].copy()],
        np.zeros(COUNT),
        np.zeros(COUNT, int),
        np.zeros(COUNT, bool),
    )
    while not done.all():
        steps += ~done
        _, _, terminated, truncated, info = env.step_orders(trader.orders())
        paths.append(info["equity_uusd"].copy())
        kills += info["costs"][:, 0]
        done |= terminated | truncated
    path = np.array(paths)
    falls = (np.maximum.accumulate(path, axis=0) - path).max(axis=0)
    return path[-1] - path[0], falls, kills, account["ruined"].copy(), steps


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("strategy", [joiner, arbitrageur], ids=lambda one: one.name)
def test_one_pass_is_the_loop_over_steps(strategy, settings):
    expected = step_by_step(*world(strategy, settings))
    env, trader = world(strategy, settings)
    env.reset()
    found = env.play_through(trader)
    for name, values in zip(("result_uusd", "drawdown_uusd", "kill", "ruined", "steps"), expected, strict=True):
        assert found[name].tolist() == values.tolist(), name
    assert (env.engine.state.account["done"] == 1).all()
    if strategy is joiner and "window_s" not in settings:
        assert (found["result_uusd"] != 0).any() and (found["drawdown_uusd"] > 0).any()


def test_a_kill_is_seen():
    env, trader = world(joiner, SETTINGS["killed"])
    env.reset()
    found = env.play_through(trader)
    assert (found["kill"] == (found["drawdown_uusd"] > 2_000_000)).all() and found["kill"].sum() > 0


def test_only_a_trader_of_its_own_after_a_reset():
    env, trader = world(joiner, {})
    other, _ = world(joiner, {})
    with pytest.raises(ValueError, match="expected a trader on this environment's engine, after a reset"):
        env.play_through(trader)
    other.reset()
    with pytest.raises(ValueError, match="expected a trader on this environment's engine, after a reset"):
        other.play_through(trader)
