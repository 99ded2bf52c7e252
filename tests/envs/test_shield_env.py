"""The shield as a stage of the environments: what it reports, keeps and forgets; unwanted, it is not there."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from shielded import WIDE

from envs.shield import CRITICAL, ORDER_REASONS, PRESETS, Limits
from envs.single import TradingEnv
from envs.vector import TradingVectorEnv
from envs.wrappers import SafetyShield, VectorSafetyShield
from sim.scenarios import Scenario
from sim.scenarios.portfolio import Place, exclusive
from sim.scenarios.row import default_rows, make_rows
from sim.types import BID, DO_NOTHING, DO_PLACE, INTENT, UUSD, YES

COSTS = ("drawdown", "kill", "intervention")
SHIELDED = ("shield_reason", "shield_cut", "regime", "regime_reason", "overshoot_uusd")


def make(num_envs=4, **settings):
    costs = COSTS if "limits" in settings else COSTS[:2]
    return TradingVectorEnv(num_envs, **{"actions": "full", "window_s": 20.0, "costs": costs, **settings})


def play(env, steps=30, seed=0):
    """Everything that a random policy is told in ``steps``."""
    env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    rows = len(env.spec_sheet["actions"])
    return [env.step(rng.integers(0, rows, env.action_space.shape)) for _ in range(steps)]


def test_without_limits_nothing_of_it_is_there():
    env = make()
    *_, info = play(env, 3)[-1]
    assert env.limits is None
    assert not set(SHIELDED) & set(info)
    with pytest.raises(ValueError, match="expected an environment with limits"):
        env.lift()


def test_limits_that_bind_nothing_change_nothing():
    plain, shielded = make(), make(limits=WIDE)
    for ours, theirs in zip(play(plain), play(shielded), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
    for one, other in zip(plain.engine.state, shielded.engine.state, strict=True):
        assert one.tobytes() == other.tobytes()


def test_changed_and_refused_orders_are_reported_and_charged():
    env = make(limits=replace(WIDE, per_trade=0.0005, self_cross=True))  # $5
    charged = 0
    for *_, info in play(env, 40):
        reasons, cuts = info["shield_reason"], info["shield_cut"]
        assert reasons.shape == cuts.shape == (4, 1, 2)
        np.testing.assert_array_equal(info["costs"][:, 2], (reasons > 0).sum(axis=(1, 2)))
        assert ((cuts > 0) <= (reasons > 0)).all()
        assert {ORDER_REASONS[code] for code in np.unique(reasons)} <= {"passed", "per_trade", "self_cross"}
        charged += info["costs"][:, 2].sum()
    assert charged > 10


def test_sent_are_the_orders_that_were_certified():
    env = make(limits=replace(WIDE, order_size=1.0, critical_size=1.0))
    env.reset(seed=0)
    wanted = np.zeros((4, 1, 2), INTENT)
    order = wanted[:, 0, BID]
    order["do"], order["px"], order["qty"], order["leg"] = DO_PLACE, 3000, 500, YES
    wanted[:, 0, BID] = order
    *_, info = env.step_orders(wanted)
    assert (env.sent["qty"][:, 0, BID] == 100).all()
    assert (info["shield_cut"][:, 0, BID] == 400).all()
    assert (wanted["qty"][:, 0, BID] == 500).all()  # the caller's stay as they are


def test_the_kill_switch_ends_trading_but_not_the_episode():
    rows = make_rows(1, news_size=0.05)
    env = make(8, limits=replace(WIDE, drawdown_critical=0.0002, drawdown_warning=0.0002), window_s=120.0,
               scenario=Scenario(rows), autoreset_mode=AutoresetMode.DISABLED)  # fmt: skip
    env.reset(seed=1)
    rng = np.random.default_rng(1)
    rows_count, kills = len(env.spec_sheet["actions"]), np.zeros(8)
    net = np.zeros(8)
    critical_before = np.zeros(8, np.bool_)
    for _ in range(100):
        *_, info = env.step(rng.integers(0, rows_count, 8))
        kills += info["costs"][:, 1]
        position = env.engine.state.position
        now = position["yes_qty"] - position["no_qty"]
        # orders under way when it tripped may still fill: a second later all of them have arrived
        settled = critical_before & (info["regime"] == CRITICAL)
        assert (np.abs(now[settled]) <= np.abs(net[settled])).all()
        critical_before = since_two(critical_before, info["regime"] == CRITICAL, env)
        net = now
    assert (info["regime"] == CRITICAL).all()
    assert (kills == 1).all()
    assert (info["overshoot_uusd"] > 0).all()
    assert env.lift(np.arange(8) < 3) == 3
    *_, info = env.step(np.zeros(8, int))
    assert (info["regime"][:3] != CRITICAL).all() and (info["regime"][3:] == CRITICAL).all()


def since_two(before, critical, env):
    """Environments in CRITICAL in which no order of ours is on the wire or at rest."""
    state = env.engine.state
    quiet = (state.messages["due_ns"] == 0).all(axis=1) & (state.market["live_orders"] == 0)
    return critical & quiet


def test_no_day_loses_more_than_its_limit():
    """Orders are certified on the worst case, so what a whole episode loses is bounded, whatever the market does."""
    rows = make_rows(4, news_size=0.2, news_rate=0.2, life_s=90.0)
    limits = replace(WIDE, **dict.fromkeys(("per_trade", "per_market", "per_event", "gross", "net", "daily_loss"), 0.1))
    env = make(32, limits=limits, cash=100.0, window_s=1e9, scenario=Scenario(rows),
               autoreset_mode=AutoresetMode.DISABLED)  # fmt: skip
    plain = make(32, cash=100.0, window_s=1e9, scenario=Scenario(rows), autoreset_mode=AutoresetMode.DISABLED)
    final = []
    for each in (env, plain):
        *_, info = play(each, 150)[-1]
        assert (each.engine.state.account["done"] == 1).all()
        final.append(info["equity_uusd"])
    assert final[0].min() >= 90 * UUSD
    assert final[1].min() < 90 * UUSD  # without a shield they do


def test_snapshots_digests_and_batches_cover_it():
    env, other = make(limits="balanced"), make(limits="balanced")
    play(env, 5)
    saved = env.snapshot()
    digest = env.digest()
    env.core._memory.watch["used"][0] += 1
    assert env.digest() != digest
    other.restore(saved)
    assert other.digest() == digest
    whole, part = make(4, limits="small", cash=500.0), make(2, limits="small", cash=500.0, first_env=1)
    whole.reset(seed=0)
    part.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(25):
        actions = rng.integers(0, 44, 4)
        *_, of_whole = whole.step(actions)
        *_, of_part = part.step(actions[1:3])
        for name in SHIELDED:
            np.testing.assert_array_equal(of_whole[name][1:3], of_part[name])
    assert whole.digest(1, 2) == part.digest()


def test_several_markets_and_events():
    scenario = Scenario(default_rows(), portfolio=exclusive(3))
    tight = dict.fromkeys(("per_trade", "per_market", "per_event"), 0.002)
    env = make(scenario=scenario, limits=replace(WIDE, **tight))
    reasons = np.concatenate([info["shield_reason"] for *_, info in play(env, 40)])
    assert reasons.shape == (160, 3, 2)
    names = {ORDER_REASONS[code] for code in np.unique(reasons)}
    assert "per_event" in names


def test_both_wrappers_are_the_argument():
    settings = {"actions": "full", "window_s": 20.0, "costs": COSTS}
    by_argument = make(limits="conservative")
    wrapped = VectorSafetyShield(make(), "conservative")
    for ours, theirs in zip(play(by_argument), play(wrapped.unwrapped), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[4]["shield_reason"], theirs[4]["shield_reason"])
    single = SafetyShield(TradingEnv(**settings), {"preset": "small", "gross": 0.4})
    assert single.unwrapped.vector.limits == replace(PRESETS["small"], gross=0.4)
    single.reset(seed=0)
    *_, info = single.step(3)
    assert info["shield_reason"].shape == (1, 2) and info["regime"] == 0
    assert single.lift() is False
    assert wrapped.lift() == 0


def test_wrappers_can_be_switched_off_and_refuse_what_they_cannot_guard():
    off = VectorSafetyShield(make(), enabled=False)
    assert off.unwrapped.limits is None and not off.enabled
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="without limits and before its first reset"):
        VectorSafetyShield(env)
    with pytest.raises(ValueError, match="without limits and before its first reset"):
        VectorSafetyShield(make(limits="small"))
    with pytest.raises(ValueError, match="expected one of this package's environments, got CartPoleEnv"):
        SafetyShield(gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="no preset 'none'"):
        make(limits="none")


def test_a_shield_without_limits_is_refused_and_so_is_what_only_a_shield_charges():
    for wrap, env in ((VectorSafetyShield, make()), (SafetyShield, TradingEnv())):
        with pytest.raises(ValueError, match="limits = None and enabled = True"):
            wrap(env, None)
        assert wrap(env, None, enabled=False).unwrapped is env
    env = make(costs=COSTS)
    with pytest.raises(ValueError, match=r"costs = .*'intervention'.* and limits = None"):
        env.reset(seed=0)
    VectorSafetyShield(make(costs=COSTS), "small").reset(seed=0)


@pytest.mark.parametrize(
    "contracts, limits, markets, said",
    [
        # of $10,000: 101 contracts may cost $101, more than 1 %
        (101.0, {"per_trade": 0.001, "per_market": 0.01}, 1, "per_market = 0.01 allows 100 .* = 101 may cost 101"),
        # 3 x 100
        (100.0, {"per_trade": 0.001, "per_market": 0.02, "per_event": 0.02}, 3, "per_event = 0.02 .* 200 .* 300"),
        (9_001.0, {"cash_buffer": 0.1, "per_trade": 0.9}, 1, "cash_buffer = 0.1 allows 9000 dollars, .* cost 9001"),
    ],
)  # fmt: skip
def test_an_episode_must_not_begin_past_its_limits(contracts, limits, markets, said):
    scenario = Scenario(default_rows(), portfolio=exclusive(3)) if markets == 3 else Scenario(default_rows())
    with pytest.raises(ValueError, match=said):
        make(scenario=scenario, start_contracts=contracts, limits=replace(WIDE, **limits))
    env = make(scenario=scenario, start_contracts=contracts)
    with pytest.raises(ValueError, match=said):
        VectorSafetyShield(env, replace(WIDE, **limits))
    assert env.limits is None
    make(scenario=scenario, start_contracts=contracts, limits=WIDE)


def test_gross_counts_all_markets_at_the_start():
    limits = replace(WIDE, per_trade=0.001, per_market=0.01, per_event=0.01, gross=0.029, net=0.029)
    scenario = Scenario(default_rows(), places=(Place(),) * 3)
    with pytest.raises(ValueError, match=r"gross = 0.029 allows 290 dollars, .* may cost 300"):
        make(scenario=scenario, start_contracts=100.0, limits=limits)


@pytest.mark.filterwarnings("ignore:.*render_modes.*")
def test_a_shielded_environment_keeps_gymnasiums_contract():
    check_env(SafetyShield(TradingEnv(window_s=10.0), Limits()).env, skip_render_check=True)


def test_finished_environments_ask_for_nothing():
    env = make(limits="small", autoreset_mode=AutoresetMode.DISABLED, window_s=3.0)
    *_, info = play(env, 6)[-1]
    assert not info["shield_reason"].any() and not info["costs"].any()
    assert (env.sent["do"] == DO_NOTHING).all()
