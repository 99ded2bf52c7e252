"""The batched environment on the synthetic market: ends, telescoping, buffers, seeds, snapshots."""

from copy import deepcopy
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import envs
from envs.terminations import REASONS
from envs.vector import TradingVectorEnv
from sim.scenarios import synthetic
from sim.scenarios.row import make_rows
from sim.types import REJECT_NOTHING_TO_REDUCE, UUSD

SHORT = synthetic(make_rows(1, life_s=6.5, signal_rate=1.0))  # resolves in the 7th step
MODES = list(AutoresetMode)


def make(num_envs=4, **settings):
    return TradingVectorEnv(num_envs, **{"scenario": SHORT, **settings})


def play(env, steps, seed=0, act=None):
    """Random rows, the same for every batch: an environment's action depends on its number and the step."""
    first = int(env.engine.state.account["number"][0])
    for step in range(steps):
        rng = np.random.default_rng([seed, step])
        rows = rng.integers(0, env.single_action_space.n, first + env.num_envs)[first:]
        yield env.step(rows if act is None else np.full(env.num_envs, act))


def test_make_vec_in_five_lines():
    env = gym.make_vec("shadowbook/Directional-v0", num_envs=8)
    obs, _ = env.reset(seed=0)
    assert obs.shape == (8, 87)
    assert obs.dtype == np.float32
    obs, *_ = env.step(env.action_space.sample())
    assert obs in env.observation_space
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    names = ("Directional", "MarketMaking", "Execution")
    assert list(envs.registration.IDS) == [f"shadowbook/{name}-v0" for name in names]


def test_the_step_returns_what_the_class_says():
    env = make(5, actions="full", costs=("kill", "drawdown"), reward={"pnl": 1.0, "messages": 0.001})
    env.reset(seed=0)
    obs, reward, terminated, truncated, info = env.step(np.zeros(5, np.int64))
    assert (obs.dtype, reward.dtype, terminated.dtype, truncated.dtype) == (np.float32, np.float64, np.bool_, np.bool_)
    shapes = {name: value.shape for name, value in info.items()}
    assert shapes == {
        "action_mask": (5, 44), "costs": (5, 2), "reward_terms": (5, 2), "reward_uusd": (5,), "equity_uusd": (5,),
        "reject": (5,), "venue_reject": (5,), "reason": (5,),
    }  # fmt: skip
    assert info["costs"].dtype == np.float32
    assert env.spec_sheet["costs"] == ["kill", "drawdown"]
    assert env.spec_sheet["rewards"] == ["pnl", "messages"]
    assert env.spec_sheet["actions"] == env.table.listed
    assert len(env.spec_sheet["observation"]) == obs.shape[1]


@pytest.mark.parametrize("mode", MODES)
def test_ends_and_last_observations_in_every_mode(mode):
    env = make(3, autoreset_mode=mode)
    names = env.spec_sheet["observation"]
    left, is_open = names.index("close_minute"), names.index("market_open")
    env.reset(seed=0)
    steps = [deepcopy(step) for step in play(env, 9)]
    for step, (_, reward, terminated, truncated, info) in enumerate(steps):
        assert terminated.all() == (step == 6)
        assert terminated.any() == (step == 6)
        assert not truncated.any()
        assert [REASONS[code] for code in info["reason"]] == ["resolution" if step == 6 else "running"] * 3
        assert ("final_obs" in info) == (step == 6 and mode is AutoresetMode.SAME_STEP)
        assert np.isfinite(reward).all()
    last, after = steps[6][0], steps[7][0]
    if mode is AutoresetMode.SAME_STEP:
        first, last = last, steps[6][4]["final_obs"]
        assert steps[6][4]["_final_obs"].all()
        assert steps[6][4]["_final_info"].all()
        np.testing.assert_array_equal(steps[6][4]["final_info"]["costs"], steps[6][4]["costs"])
    elif mode is AutoresetMode.NEXT_STEP:
        first = after
        assert (steps[7][1] == 0).all()
        assert (steps[7][4]["reward_uusd"] == 0).all()
        assert (steps[7][4]["costs"] == 0).all()
    else:
        np.testing.assert_array_equal(after, last)
        assert (steps[7][1] == 0).all()
        first = env.reset(options={"reset_mask": np.ones(3, np.bool_)})[0]
    assert (last[:, [left, is_open]] == 0).all()
    assert first[:, left] == pytest.approx(6.5 / 66.5)
    assert (first[:, is_open] == 1).all()
    assert (first[:, names.index("window_used")] == 0).all()


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_what_is_left_is_charged_once(mode):
    env = make(2, window_s=4, autoreset_mode=mode, reward={"left": 1.0}, costs=("left",))
    env.reset(seed=0)
    charged = [(step[1].tolist(), step[4]["costs"][:, 0].tolist()) for step in play(env, 6, act=1)]  # 5 YES a step
    assert charged[3] == ([-20.0] * 2, [20.0] * 2)
    assert charged[:3] + charged[4:] == [([0.0] * 2, [0.0] * 2)] * 5


@pytest.mark.parametrize(("settings", "reason"), [({"window_s": 4}, "window"), ({}, "ruin")])
def test_window_and_ruin(settings, reason):
    env = make(2, **settings)
    env.reset(seed=0)
    if reason == "ruin":
        env.engine.state.account["ruin_uusd"] = 10_001 * 1_000_000  # more than the account has
    seen = [
        (terminated.copy(), truncated.copy(), info["reason"][0]) for _, _, terminated, truncated, info in play(env, 4)
    ]
    terminated, truncated, code = next(step for step in seen if (step[0] | step[1]).any())
    assert REASONS[code] == reason
    assert terminated.all() == (reason == "ruin")
    assert truncated.all() == (reason == "window")


@pytest.mark.parametrize("table", ["taker21", "maker21", "full"])
def test_rewards_telescope_to_final_cash(table):
    env = make(16, actions=table, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=3)
    total = np.zeros(16, np.int64)
    dollars = np.zeros(16)
    for _, reward, _, _, info in play(env, 8, seed=3):
        total += info["reward_uusd"]
        dollars += reward
    account, cash = env.engine.state.account, env.engine.state.pool["cash_uusd"][:, 0]
    assert (account["done"] == 1).all()
    np.testing.assert_array_equal(total, cash - account["start_uusd"])
    np.testing.assert_array_equal(info["equity_uusd"], cash)
    assert dollars == pytest.approx(total / UUSD)
    assert total.any()


def test_the_next_step_does_not_overwrite_what_this_one_returned():
    env = make(4, actions="full")
    obs, info = env.reset(seed=0)
    held = [(obs, info, obs.copy(), {key: value.copy() for key, value in info.items()})]
    for step in play(env, 20):
        obs, reward, terminated, truncated, info = step
        previous_obs, previous_info, obs_then, info_then = held[-1]
        np.testing.assert_array_equal(previous_obs, obs_then)
        for key, value in info_then.items():
            np.testing.assert_array_equal(previous_info[key], value, err_msg=key)
        arrays = {key: value for key, value in info.items() if isinstance(value, np.ndarray)}
        arrays |= {"reward": reward, "terminated": terminated, "truncated": truncated}
        held.append((obs, arrays, obs.copy(), {key: value.copy() for key, value in arrays.items()}))


def rollout(num_envs, first_env, steps=9, **settings):
    env = make(num_envs, first_env=first_env, actions="full", **settings)
    obs, _ = env.reset(seed=0)
    seen = [obs.copy()]
    for obs, reward, _, _, info in play(env, steps):
        seen.append(np.column_stack([obs, reward, info["costs"], info["action_mask"]]))
    return seen, env


def test_results_do_not_depend_on_the_batch():
    whole, env = rollout(7, 0)
    part, other = rollout(3, 2)
    for of_whole, of_part in zip(whole, part, strict=True):
        np.testing.assert_array_equal(of_whole[2:5], of_part)
    assert env.digest(2, 3) == other.digest()
    assert env.digest(2, 3) != env.digest(3, 3)


def test_threads_do_not_change_results():
    assert rollout(7, 0)[1].digest() == rollout(7, 0, threads=2)[1].digest()


def test_seeds():
    env = make(3)
    first = env.reset(seed=0)[0].copy()
    second = env.reset()[0].copy()
    assert (first != second).any()  # two episodes of one seed differ
    assert (env.reset(seed=1)[0] != first).any()
    np.testing.assert_array_equal(env.reset(seed=0)[0], first)
    np.testing.assert_array_equal(env.reset()[0], second)
    np.testing.assert_array_equal(make(3, seed=0).reset()[0], first)
    np.testing.assert_array_equal(make(3, seed=5).reset(seed=0)[0], first)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pause", [3, 7])
def test_a_restored_batch_goes_on_as_before(mode, pause):
    env = make(3, actions="full", autoreset_mode=mode)
    env.reset(seed=0)
    for _ in play(env, pause):
        pass
    saved, before = env.snapshot(), env.digest()
    first = [(obs.copy(), reward.copy(), info["costs"].copy()) for obs, reward, _, _, info in play(env, 9, seed=1)]
    after = env.digest()
    env.restore(saved)
    assert env.digest() == before
    other = make(3, actions="full", autoreset_mode=mode)
    other.restore(saved)
    for again in (env, other):
        for (obs, reward, costs), step in zip(first, play(again, 9, seed=1), strict=True):
            np.testing.assert_array_equal(step[0], obs)
            np.testing.assert_array_equal(step[1], reward)
            np.testing.assert_array_equal(step[4]["costs"], costs)
        assert again.digest() == after


def test_a_masked_row_does_nothing_and_says_why():
    env = make(4)
    _, info = env.reset(seed=0)
    sell = next(row for row, (verb, *_) in enumerate(env.table.listed) if verb == "sell")
    assert not info["action_mask"][:, sell].any()
    *_, info = env.step(np.full(4, sell))
    assert (info["reject"] == REJECT_NOTHING_TO_REDUCE).all()
    assert (env.engine.state.account["n_messages"] == 0).all()
    assert (info["reward_uusd"] == 0).all()


def test_a_step_may_take_events_instead_of_seconds():
    env = make(4, events_per_step=5, scenario=synthetic(make_rows(1, life_s=1e6)))
    env.reset(seed=0)
    before = env.engine.state.account["events"].copy()
    env.step(np.zeros(4, np.int64))
    assert (env.engine.state.account["events"] - before >= 5).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"actions": "taker"}, "no action table 'taker'"),
        ({"features": ("bok",)}, "expected some of book, time"),
        ({"reward": {"pln": 1.0}}, "expected weights for some of pnl"),
        ({"costs": ("drawdwn",)}, "expected some of drawdown"),
        ({"dt_s": 0.0}, "dt_s must be positive, got 0.0"),
        ({"events_per_step": 0}, "events_per_step must be at least 1"),
        ({"cash": -1.0}, "cash must be positive"),
        ({"kill_drawdown": 5.0}, "share of the cash in .0, 1., got 5.0"),
        ({"cross_ticks": -1}, "cross_ticks must be 0 or more"),
        ({"render_mode": "human"}, "None or .ansi., got 'human'"),
        ({"autoreset_mode": "Sometimes"}, "Sometimes"),
        ({"fill_model": "hopeful"}, "hopeful"),
    ],
)
def test_a_wrong_setting_says_what_was_expected(settings, message):
    with pytest.raises(ValueError, match=message):
        make(2, **settings)


def test_wrong_calls():
    env = make(2)
    with pytest.raises(ValueError, match="call reset first"):
        env.step(np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="the first reset is of all"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset()
    with pytest.raises(ValueError, match="environment 1 chose 99; the table has rows 0 to 20"):
        env.step(np.array([0, 99]))
    for mask in ([True, False], np.array([1, 0]), np.zeros(2, np.bool_), np.ones(3, np.bool_)):
        with pytest.raises(ValueError, match=r"reset_mask must be a bool array of shape \(2,\)"):
            env.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match="unknown options mask"):
        env.reset(options={"mask": np.ones(2, np.bool_)})
    with pytest.raises(ValueError, match="without a reset_mask"):
        env.reset(seed=0, options={"reset_mask": np.ones(2, np.bool_)})


def test_render_draws_book_orders_and_account():
    env = make(2, actions="maker21", render_mode="ansi")
    env.reset(seed=0)
    env.step(np.array([0, 5]))  # 100 YES at the best bid
    idle, quoting = env.render()
    assert "*" not in idle
    assert "*" in quoting
    assert "forecast" in quoting
    assert "equity $10,000.00" in idle
    assert idle.startswith("step 1  1.0 s played  5.5 s to the close  open\n")


def test_an_environment_takes_less_than_8_kib():
    """Everything that grows with the batch, 86 features and a one-cent ladder included."""
    assert TradingVectorEnv(16, scenario=synthetic()).bytes_per_env < 8192


def test_staggered_first_episodes_end_one_after_another_and_later_ones_are_whole():
    settings = {"window_s": 20.0, "dt_s": 1.0, "seed": 3, "autoreset_mode": AutoresetMode.SAME_STEP}
    env = TradingVectorEnv(8, staggered=True, **settings)
    env.reset()
    ends = [[] for _ in range(8)]
    for step in range(60):
        _, _, terminated, truncated, _ = env.step(np.zeros(8, np.int64))
        for row in np.flatnonzero(terminated | truncated):
            ends[row].append(step + 1)
    # first ends at ceil(20 x frac((number + 1) x 0.618...)): 13, 5, 18, 10, 2, 15, 7, 19
    assert [row[0] for row in ends] == [13, 5, 18, 10, 2, 15, 7, 19]
    assert all(later - earlier == 20 for row in ends for earlier, later in pairwise(row))


def test_a_step_takes_what_it_is_given_now():
    """Kernels are handed the parts of a step taken apart beforehand: whoever replaces one is heard in the next step."""
    once, twice = (make(2) for _ in range(2))
    for env in (once, twice):
        env.reset(seed=0)
    actions = np.array([1, 7])
    for step in range(6):
        if step == 3:
            terms = twice.core.terms
            twice.core.terms = terms._replace(reward_weights=2.0 * terms.reward_weights)
        rewards = [env.step(actions)[1] for env in (once, twice)]
        assert (rewards[0] != 0.0).all()
        assert np.array_equal(rewards[1], rewards[0] * (2.0 if step >= 3 else 1.0))
