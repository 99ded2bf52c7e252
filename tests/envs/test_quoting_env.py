"""An environment with a control surface: what it says of itself, what it sends, and who else may act in it."""

import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from agents.policy import check_sheet
from envs.surface import make_surface
from envs.vector import TradingVectorEnv
from sim.scenarios import Scenario, synthetic
from sim.scenarios.portfolio import exclusive
from sim.scenarios.row import default_rows, make_rows
from sim.types import ASK, BID, DO_NOTHING, DO_PLACE, INTENT, REJECT_NAMES

# nothing moves once the book stands: no news, no arrival
STILL = synthetic(
    make_rows(
        1, news_rate=0.0, add_rate=0.0, cancel_rate=0.0, noise_rate=0.0, informed_rate=0.0, maker_rate=0.001,
        order_delay_ms=0.0, cancel_delay_ms=0.0,
    )
)  # fmt: skip


def make(num_envs=4, **settings):
    return TradingVectorEnv(num_envs, **{"actions": "surface", **settings})


def middle(env):
    return np.zeros(env.action_space.shape, np.float32)


def test_the_sheet_says_what_an_action_means():
    env, three = make(), make(scenario=Scenario(default_rows(), portfolio=exclusive(3)))
    assert env.single_action_space == gym.spaces.Box(-1, 1, (5,), np.float32)
    assert three.single_action_space.shape == (15,)
    sheet = env.spec_sheet
    assert (sheet["action_form"], sheet["reference"]) == ("surface", "touch")
    assert sheet["actions"] == make_surface().listed and sheet["action_digest"] == make_surface().digest
    assert sheet["rows"] == TradingVectorEnv(1, actions="full").spec_sheet["actions"]
    assert three.spec_sheet["action_digest"] != sheet["action_digest"]
    assert TradingVectorEnv(1).spec_sheet["action_form"] == "table"


def test_a_policy_of_another_encoding_is_refused():
    ours, table = make().spec_sheet, TradingVectorEnv(1).spec_sheet
    wider = make(actions=make_surface(ranges={"skew": (0, 2, 20)})).spec_sheet
    check_sheet("run", ours, make().spec_sheet)
    for other in (table, wider):
        with pytest.raises(ValueError, match=r"trained on action schema .* rows only in the run"):
            check_sheet("run", other, ours)
    with pytest.raises(ValueError, match="the rows have the same names, but their definition or version differs"):
        check_sheet("run", make(actions=make_surface(reference="mid")).spec_sheet, ours)


def test_nothing_is_masked():
    env = make()
    _, info = env.reset(seed=0)
    assert info["action_mask"].shape == (4, 0)
    *_, info = env.step(middle(env))
    assert info["action_mask"].shape == (4, 0)


def test_wanting_the_same_sends_nothing_and_keeps_the_place():
    env = make(scenario=STILL)
    env.reset(seed=0)
    rate = env.spec_sheet["costs"].index("order_rate")
    *_, info = env.step(middle(env))
    assert (info["costs"][:, rate] == 2).all() and (env.sent["do"] == DO_PLACE).all()
    env.step(middle(env))
    before = env.engine.state.orders.copy()
    assert (np.sort(before["id"], axis=-1)[:, -2:] > 0).all()
    for _ in range(5):
        *_, info = env.step(middle(env))
        assert (info["costs"][:, rate] == 0).all() and (env.sent["do"] == DO_NOTHING).all()
    np.testing.assert_array_equal(env.engine.state.orders["ahead_qty"], before["ahead_qty"])
    np.testing.assert_array_equal(env.engine.state.orders["id"], before["id"])


def test_no_quote_is_a_corner_of_the_surface():
    env = make(scenario=STILL)
    env.reset(seed=0)
    env.step(middle(env))
    env.step(middle(env))
    action = middle(env)
    action[:, 3:] = -1.0
    env.step(action)
    env.step(action)
    assert (env.engine.state.orders["id"] == 0).all()
    assert (env.engine.state.pool["reserved_uusd"] == 0).all()


@pytest.mark.parametrize("venue", ["kalshi", "polymarket"])
@pytest.mark.parametrize("surface", ["surface", "surface_mid"])
def test_without_delays_the_venue_refuses_nothing_that_was_sent(venue, surface):
    """Random points, cheap and dear markets, an account that runs out of cash."""
    rows = make_rows(
        8, belief_low=np.array([0.02, 0.9] * 4), belief_high=np.array([0.1, 0.98] * 4), news_size=0.05,
        order_delay_ms=0.0, cancel_delay_ms=0.0,
    )  # fmt: skip
    env = make(16, actions=surface, scenario=synthetic(rows, venue=venue), window_s=60.0, cash=40.0)
    env.reset(seed=4)
    rng = np.random.default_rng(4)
    sent = unsent = 0
    for _ in range(60):
        *_, info = env.step(rng.uniform(-1, 1, env.action_space.shape))
        assert {REJECT_NAMES[reason] for reason in info["venue_reject"].tolist()} <= {"none", "self_trade"}
        pool = env.engine.state.pool
        assert (pool["reserved_uusd"] <= pool["cash_uusd"]).all()
        sent += int((env.sent["do"] == DO_PLACE).sum())
        unsent += int((info["reject"] > 0).sum())
    assert sent > 500 and unsent > 50


def test_several_markets_are_quoted_each_by_its_own_numbers():
    env = make(2, scenario=Scenario(default_rows(), portfolio=exclusive(3)))
    env.reset(seed=1)
    action = middle(env).reshape(2, 3, 5)
    action[:, 1, 3:] = -1.0  # nothing in the second market
    action[:, 2, 3] = 1.0  # a large bid in the third
    env.step(action.reshape(2, 15))
    assert (env.sent["do"][:, [0, 2]] == DO_PLACE).all() and (env.sent["do"][:, 1] == DO_NOTHING).all()
    assert (env.sent["qty"][:, 2, BID] == 10_000).all() and (env.sent["qty"][:, 2, ASK] == 2000).all()


def test_rows_of_the_table_are_still_understood():
    """The same rows in an environment with a table and in one with a surface: the same future."""
    both = TradingVectorEnv(6, actions="full", seed=2), make(6, seed=2)
    rng = np.random.default_rng(2)
    for env in both:
        env.reset()
    for _ in range(40):
        rows = rng.integers(0, 44, 6)
        for ours, theirs in zip(both[0].step(rows)[:2], both[1].step_rows(rows)[:2], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(both[0].engine.state.account, both[1].engine.state.account)


def test_orders_are_still_understood():
    env = make()
    env.reset(seed=0)
    env.step_orders(np.zeros((4, 1, 2), INTENT))
    assert (env.sent["do"] == DO_NOTHING).all()


def test_bad_actions_and_names_are_refused():
    env = make()
    with pytest.raises(ValueError, match="call reset first"):
        env.step(middle(env))
    env.reset(seed=0)
    action = middle(env)
    action[3, 0] = np.nan
    with pytest.raises(ValueError, match="environment 3: offset = nan lies outside"):
        env.step(action)
    with pytest.raises(ValueError, match=r"expected numbers in \[-1, 1\], shape \(4, 5\), got int64 \(4,\)"):
        env.step(np.zeros(4, np.int64))
    with pytest.raises(ValueError, match="no action table 'surfaces'"):
        make(actions="surfaces")


def play(steps=25):
    """Random points in a batch with stale feeds and delays; the digest of how it ends."""
    rows = make_rows(3, stale_rate=0.05, order_delay_ms=300.0, cancel_delay_ms=200.0, noise_rate=4.0)
    env = make(5, scenario=synthetic(rows, venue="kalshi"), window_s=15.0, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=11)
    rng = np.random.default_rng(11)
    for _ in range(steps):
        env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32))
    return env.digest()


@pytest.mark.compiled
def test_compiled_and_interpreted_agree():
    code = "import sys; sys.path.insert(0, 'tests/envs'); import test_quoting_env as t; print(t.play())"
    root = Path(__file__).resolve().parents[2]
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == play()
