"""What an episode begins with, and what selling it costs: implementation shortfall by hand."""

import gymnasium as gym
import numpy as np
import pytest
from hand import empty_state, quote

from agents.policy import load
from envs.holding import begin_with, start_lots
from envs.registration import TASKS
from envs.vector import TradingVectorEnv
from evaluation.attribution import attribute
from evaluation.compiled import trader
from evaluation.rollout import rollout
from sim.scenarios import Scenario, synthetic
from sim.scenarios.portfolio import exclusive
from sim.scenarios.row import default_rows, make_rows
from sim.types import UUSD

SELL_ALL = 5  # row of "seller": sell YES 100, crossing


def still(**values):
    return synthetic(
        make_rows(
            1, news_rate=0.0, add_rate=0.0, cancel_rate=0.0, noise_rate=0.0, informed_rate=0.0, maker_rate=0.001,
            order_delay_ms=0.0, cancel_delay_ms=0.0, **values,
        )
    )  # fmt: skip


def conserved(env):
    pool = env.engine.state.pool
    total = pool["cash_uusd"] + pool["counterparty_uusd"] + pool["fees_uusd"] + pool["escrow_uusd"]
    return (total == pool["start_uusd"]).all()


def test_the_holding_is_paid_for_at_the_mid():
    """300 contracts at 49.5 cents: 148.50 dollars; the counterparty pays 151.50 into the escrow of 300."""
    state = empty_state(2)
    for env in range(2):
        quote(state, env, {48: 60}, {51: 20})
    begin_with(state, np.array([False, True]), 30_000)
    pool, position = state.pool[:, 0], state.position
    assert position["yes_qty"].tolist() == [0, 30_000]
    assert position["yes_cost_uusd"].tolist() == [0, 148_500_000]
    assert pool["cash_uusd"].tolist() == [10_000 * UUSD, 10_000 * UUSD - 148_500_000]
    assert pool["counterparty_uusd"].tolist() == [0, -151_500_000]
    assert pool["escrow_uusd"].tolist() == [0, 300 * UUSD]


@pytest.mark.parametrize("portfolio", [None, exclusive(3)])
def test_money_is_conserved_and_equity_does_not_change(portfolio):
    scenario = Scenario(default_rows(), portfolio=portfolio) if portfolio else synthetic()
    env = TradingVectorEnv(5, scenario=scenario, start_contracts=12.34, actions="full", window_s=9.0)
    env.reset(seed=0)
    assert (env.engine.state.account["equity_uusd"] == 10_000 * UUSD).all()
    rng = np.random.default_rng(0)
    shape = env.action_space.shape
    for step in range(30):  # through resets
        assert conserved(env), step
        env.step(rng.integers(0, 44, shape))
    assert (env.engine.state.position["yes_qty"] > 0).any()


def test_the_shortfall_by_hand():
    """Sell 100 at once into a still book: each contract loses the mid less what the bids pay, and the fee."""
    env = TradingVectorEnv(1, scenario=still(), **{**TASKS["shadowbook/Execution-v0"], "window_s": 3.0})
    env.reset(seed=3)
    state = env.engine.state
    market = state.market[0]
    px_of, best = env.engine.world.px_of, int(market["best_bid"])
    mid2 = int(market["mid2_px"])
    left, proceeds, level = 10_000, 0, best
    while left > 0:
        take = min(left, int(state.book[0, 0, level]))
        proceeds += take * int(px_of[level])
        left -= take
        level -= 1
    assert int(px_of[best]) - int(px_of[level + 1]) <= 200, "beyond the reach of a crossing row: choose another seed"
    _, reward, _, _, info = env.step(np.array([SELL_ALL]))
    fee = int(state.pool["fees_uusd"][0, 0])
    assert state.position["yes_qty"][0] == 20_000 and fee > 0
    # cash in, less what it cost at the arrival mid; what is left is marked at the mid of now
    marked = 20_000 * (int(state.market[0]["mid2_px"]) - mid2) // 2
    assert info["reward_uusd"][0] == proceeds - 10_000 * mid2 // 2 - fee + marked
    assert info["reward_uusd"][0] < 0 and reward[0] == info["reward_uusd"][0] / UUSD


def test_what_is_left_is_charged_once_at_the_end():
    env = TradingVectorEnv(2, scenario=still(), **{**TASKS["shadowbook/Execution-v0"], "window_s": 4.0})
    env.reset(seed=3)
    for step in range(4):
        _, reward, _, truncated, info = env.step(np.array([0, SELL_ALL if step == 0 else 0]))
        assert truncated.all() == (step == 3)
        np.testing.assert_array_equal(info["costs"][:, 0], [300, 200] if step == 3 else [0, 0])
        pnl, left = info["reward_terms"].T
        np.testing.assert_array_equal(info["costs"][:, 1], (-pnl).astype(np.float32))
        np.testing.assert_array_equal(reward, pnl + 0.02 * left)
    np.testing.assert_array_equal(left, [-300, -200])


def test_losses_add_up_to_what_was_lost():
    env = TradingVectorEnv(8, actions="full", costs=("loss",), window_s=20.0, autoreset_mode="Disabled")
    env.reset(seed=5)
    rng = np.random.default_rng(5)
    total = np.zeros(8)
    for _ in range(20):
        *_, info = env.step(rng.integers(0, 44, 8))
        total += info["costs"][:, 0]
    np.testing.assert_allclose(total, 10_000 - info["equity_uusd"] / UUSD, atol=1e-4)
    assert (total > 0).any() and (total < 0).any()


def test_the_squared_inventory_by_hand():
    """300 contracts for a second: 3 squared; 50: 0.25."""
    for contracts, value in ((300, -9.0), (50, -0.25)):
        env = TradingVectorEnv(1, scenario=still(), reward={"inventory_squared": 0.5}, start_contracts=contracts)
        env.reset(seed=0)
        _, reward, _, _, info = env.step(np.zeros(1, np.int64))
        assert info["reward_terms"][0, 0] == value and reward[0] == 0.5 * value


@pytest.mark.parametrize(
    ("contracts", "message"),
    [
        (-1, "start_contracts = -1: expected 0 or more"),
        (0.01, "start_contracts = 0.01: expected 0 or more, in steps of 0.02"),
        (np.nan, "start_contracts = nan: expected 0 or more"),
        (10_001, "start_contracts = 10001 in 1 markets may cost more than the 10000 dollars"),
    ],
)
def test_a_holding_that_cannot_be_is_refused(contracts, message):
    with pytest.raises(ValueError, match=message):
        TradingVectorEnv(1, start_contracts=contracts)


def test_two_hundredths_are_the_smallest_holding():
    assert start_lots(0.02, np.array([UUSD]), np.zeros(1, np.int64)) == 2


def play(spec, num_envs=64, **changes):
    settings = {**TASKS["shadowbook/Execution-v0"], **changes}
    env = TradingVectorEnv(num_envs, seed=1, autoreset_mode="Disabled", **settings)
    return rollout(env, trader(spec, env) or load(spec, env.spec_sheet), num_envs)


def test_a_report_accounts_for_what_an_episode_began_with():
    """Held to the end: all of the result is inventory. Sold at once: spread and fees but for what was left a while."""
    held, sold = play("baseline:noop"), play("baseline:twap?horizon_s=0.001&reach=10")
    parts = attribute(held)
    assert held.result_uusd.any() and (parts.inventory_uusd == held.result_uusd).all()
    first, last = held.mid2_px[:, 0].astype(int), held.mid2_px[np.arange(64), held.steps].astype(int)
    assert (held.result_uusd == 30_000 * (last - first) // 2).all()
    parts = attribute(sold)  # raises where the parts do not add up
    assert (parts.fees_uusd < 0).all() and (parts.spread_uusd < 0).all()


def test_what_settles_is_accounted_for():
    scenario = synthetic(make_rows(2, life_s=20.0))
    episodes = play("baseline:noop", scenario=scenario)
    cost = 30_000 * episodes.mid2_px[:, 0].astype(int) // 2
    assert episodes.settled.all() and set(episodes.payout_px.tolist()) == {0, 10_000}
    assert (episodes.result_uusd == 30_000 * episodes.payout_px - cost).all()
    assert attribute(episodes).settlement_uusd.any()  # raises where the parts do not add up


def test_twap_sells_along_a_straight_line():
    """300 contracts over 30 s of a window of 40: 10 a second are due, at once with the first decision after it."""
    episodes = play("baseline:twap?horizon_s=30", scenario=still(depth=2000.0), window_s=40.0)
    held = episodes.held_qty[:, :33] / 100
    # column t is held after t steps; the order of step t is for what was due t seconds after the start
    line = np.maximum(0, 300 - 10 * np.maximum(0, np.arange(33) - 1))
    assert (np.abs(held - line) <= 10).mean() > 0.95
    assert (episodes.costs[:, 0] == 0).all()


def test_twap_holds_a_third_of_the_variance():
    """A price that is a martingale with even steps: the risk of a position that falls evenly to 0 is 1/3 of holding it
    (the integral of (1 - s)^2), and selling at once has next to none."""
    rows = synthetic(make_rows(64, life_s=1000.0, news_rate=1.0, depth=2000.0))
    spread = {
        name: play(f"baseline:twap?horizon_s={seconds}&reach=10", 512, scenario=rows).result_uusd.std() / UUSD
        for name, seconds in (("never", 1e6), ("evenly", 120), ("at once", 0.001))
    }
    assert 0.45 < spread["evenly"] / spread["never"] < 0.70  # 0.577
    assert spread["at once"] < 0.2 * spread["never"]


def test_the_tasks_are_registered_with_their_settings():
    env = gym.make_vec("shadowbook/Execution-v0", num_envs=2)
    env.reset(seed=0)
    assert (env.engine.state.position["yes_qty"] == 30_000).all()
    assert env.spec_sheet["costs"] == ["left", "loss"] and env.spec_sheet["rewards"] == ["pnl", "left"]
    quoting = gym.make_vec("shadowbook/MarketMaking-v0", num_envs=2, window_s=60.0)
    assert quoting.spec_sheet["action_form"] == "surface"
    assert quoting.spec_sheet["costs"] == ["drawdown", "kill", "inventory"]
