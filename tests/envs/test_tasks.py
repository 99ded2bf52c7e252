"""The textbook tasks: what every batched environment keeps, and single steps computed by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode

from envs.tasks import (
    CARTEA_JAIMUNGAL_PENALVA,
    GUEANT_LEHALLE_FERNANDEZ_TAPIA,
    LQR,
    TASKS,
    AlmgrenChriss,
    AlmgrenChrissVectorEnv,
    Garnet,
    GarnetVectorEnv,
    Kelly,
    KellyVectorEnv,
    LQRVectorEnv,
    MarketMaking,
    MarketMakingVectorEnv,
    make,
)
from envs.tasks.cmdp import make_tables
from sim.mathematics import normal
from sim.rng import RESET, TASK, philox, uniform

MODES = list(AutoresetMode)


def uniforms(env, episode, step, purpose=TASK, seed=0):
    """What environment ``env`` draws in a step, as sim.rng says it."""
    return [uniform(word) for word in philox(seed, episode, step, purpose, env, 0)]


def random_actions(env, steps, seed=0):
    """The same for every batch: an environment's action depends on its global number and the step."""
    rng = np.random.default_rng(seed)
    space = env.single_action_space
    for _ in range(steps):
        if isinstance(space, Discrete):
            yield rng.integers(0, space.n, 64)[env.first_env :][: env.num_envs]
        else:
            share = rng.random((64, *space.shape))[env.first_env :][: env.num_envs]
            yield (space.low + share * (space.high - space.low)).astype(np.float32)


@pytest.mark.parametrize("name", TASKS)
class TestEveryTask:
    """The contract of a batched environment that reports costs."""

    @pytest.mark.parametrize("mode", MODES)
    def test_steps_stay_within_the_spaces_and_report_everything(self, name, mode):
        env = make(name, 5, autoreset_mode=mode)
        assert env.metadata["autoreset_mode"] is mode
        obs, _ = env.reset(seed=1)
        sheet = env.spec_sheet
        ended = 0
        for actions in random_actions(env, 220):
            assert obs in env.observation_space
            assert obs.dtype == np.float32
            obs, reward, terminated, truncated, info = env.step(actions)
            assert reward.shape == terminated.shape == truncated.shape == (5,)
            assert np.isfinite(reward).all()
            assert info["costs"].shape == (5, len(sheet["costs"]))
            assert info["costs"].dtype == np.float32
            assert info["reward_terms"].shape == (5, len(sheet["rewards"]))
            assert not (terminated & truncated).any()
            assert env.staggered or not truncated.any()
            over = terminated | truncated
            ended += over.sum()
            if mode is AutoresetMode.SAME_STEP and over.any():
                np.testing.assert_array_equal(info["_final_obs"], over)
                assert info["final_obs"][over] in type(env.observation_space)(
                    -np.inf, np.inf, (over.sum(), obs.shape[1]), np.float32
                )
            if mode is AutoresetMode.DISABLED and over.any():
                obs, _ = env.reset(options={"reset_mask": over})
        assert ended >= 5

    def test_the_sheet_names_what_comes_back(self, name):
        env = make(name, 2)
        sheet = env.spec_sheet
        assert len(sheet["observation"]) == env.single_observation_space.shape[0]
        width = 4 if name == "cmdp" else env.single_action_space.shape[0]
        assert len(sheet["actions"]) == width
        assert sheet["observation_digest"] != sheet["action_digest"]
        assert sheet["costs"] and sheet["rewards"]

    def test_results_do_not_depend_on_the_batch(self, name):
        whole, part = make(name, 7), make(name, 3, first_env=2)
        whole.reset(seed=5)
        part.reset(seed=5)
        for ours, theirs in zip(random_actions(whole, 230), random_actions(part, 230), strict=True):
            np.testing.assert_array_equal(ours[2:5], theirs)
            for a, b in zip(whole.step(ours)[:3], part.step(theirs)[:3], strict=True):
                np.testing.assert_array_equal(a[2:5], b)

    @pytest.mark.parametrize("mode", MODES)
    def test_a_restored_batch_goes_on_as_before(self, name, mode):
        env, other = make(name, 4, autoreset_mode=mode), make(name, 4, seed=9, autoreset_mode=mode)
        env.reset(seed=3)
        actions = list(random_actions(env, 240))
        for action in actions[:120]:
            env.step(action)
        saved = env.snapshot()
        other.restore(saved)
        for action in actions[120:]:
            ours, theirs = env.step(action), other.step(action)
            for a, b in zip((*ours[:3], ours[4]["costs"]), (*theirs[:3], theirs[4]["costs"]), strict=True):
                np.testing.assert_array_equal(a, b)
        env.restore(saved)  # the snapshot is a copy: going on has not changed it
        np.testing.assert_array_equal(env.snapshot().state.values, saved.state.values)

    def test_seeds_decide_and_zero_is_one(self, name):
        def play(seed):
            env = make(name, 4, seed=seed)
            env.reset()
            return np.concatenate([env.step(actions)[1] for actions in random_actions(env, 40)])

        np.testing.assert_array_equal(play(0), play(0))
        if name != "almgren_chriss":  # pays the mean of its shortfall: nothing random but what costs nothing
            assert (play(0) != play(1)).any()

    def test_a_step_leaves_the_last_step_as_it_was(self, name):
        env = make(name, 3)
        env.reset(seed=0)
        first, second = list(random_actions(env, 2))
        obs, reward, *_, info = env.step(first)
        kept = obs.copy(), reward.copy(), info["costs"].copy()
        env.step(second)
        for array, copy in zip((obs, reward, info["costs"]), kept, strict=True):
            np.testing.assert_array_equal(array, copy)

    def test_bad_actions_are_named(self, name):
        env = make(name, 2)
        with pytest.raises(ValueError, match="call reset first"):
            env.step(env.action_space.sample())
        env.reset(seed=0)
        with pytest.raises(ValueError, match="expected actions of shape"):
            env.step(np.zeros(3))
        bad = np.zeros(env.action_space.shape)
        bad[1] = np.nan
        with pytest.raises(ValueError, match="environment 1: expected"):
            env.step(bad)
        bad[1] = 4.5
        with pytest.raises(ValueError, match="environment 1: expected"):
            env.step(bad)

    def test_bad_resets_are_refused(self, name):
        env = make(name, 2)
        with pytest.raises(ValueError, match="after a first reset"):
            env.reset(options={"reset_mask": np.ones(2, bool)})
        env.reset(seed=0)
        with pytest.raises(ValueError, match="unknown options seed"):
            env.reset(options={"seed": 1})
        with pytest.raises(ValueError, match="bool array"):
            env.reset(options={"reset_mask": np.ones(3, bool)})
        with pytest.raises(ValueError, match="expected state"):
            env.restore(make(name, 3).snapshot())


def test_rows_that_rest_stand_still():
    env = make("kelly", 3, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    actions = np.zeros((3, 1), np.float32)
    assert env.step(actions)[2].all()
    _, reward, terminated, _, info = env.step(actions)
    assert not reward.any() and not terminated.any() and not info["costs"].any()


def test_unknown_tasks_and_parameters_are_refused():
    with pytest.raises(ValueError, match="no textbook task 'cmpd'; expected one of cmdp"):
        make("cmpd", 1)
    with pytest.raises(ValueError, match="num_envs >= 1"):
        make("cmdp", 0)
    for wrong in (
        lambda: Garnet(branches=13), lambda: Garnet(gamma=1.0), lambda: LQR(horizon=0), lambda: LQR(sigma=-1.0),
        lambda: LQR(gamma=math.nan),
        lambda: Kelly(most=1.0), lambda: AlmgrenChriss(steps=0), lambda: MarketMaking(limit=0),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="expected a number from"):
            wrong()
    assert Kelly(price=0.99, fee_rate=1.0).paid < 1.0


def test_garnet_pays_and_moves_by_its_tables():
    env = GarnetVectorEnv(6, Garnet())
    tables = make_tables(env.task)
    obs, _ = env.reset(seed=0)
    states = obs.argmax(1)
    assert states.tolist() == [int(uniforms(row, 0, 0, RESET)[0] * 12) for row in range(6)]
    actions = np.array([0, 1, 2, 3, 0, 1])
    obs, reward, terminated, truncated, info = env.step(actions)
    np.testing.assert_array_equal(reward, tables.rewards[states, actions])
    np.testing.assert_array_equal(info["costs"][:, 0], tables.costs[states, actions].astype(np.float32))
    seen = np.where(truncated[:, None], info.get("final_obs", obs), obs).argmax(1)
    assert not terminated.any()
    for row in range(6):
        first = uniforms(row, 0, 0)[0]
        edges = tables.probabilities[states[row], actions[row]].cumsum()
        branch = int(first >= edges[0]) + int(first >= edges[1])  # three branches: two inner edges
        assert seen[row] == tables.successors[states[row], actions[row], branch]


def test_first_episodes_are_cut_off_at_different_steps_and_later_ones_at_the_horizon():
    env = GarnetVectorEnv(200, Garnet(horizon=10), autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    cut = [[] for _ in range(200)]
    for step in range(1, 41):
        terminated, truncated = env.step(np.zeros(200, np.int64))[2:4]
        assert not terminated.any()
        for row in np.flatnonzero(truncated):
            cut[row].append(step)
    firsts = [steps[0] for steps in cut]
    assert firsts == [1 + int(uniforms(row, 0, 0, RESET)[3] * 10) for row in range(200)]
    assert set(firsts) == set(range(1, 11))  # one of ten missed by 200 rows: a chance of 7e-9
    assert all(np.diff(steps).tolist() == [10] * (len(steps) - 1) for steps in cut)
    assert env.staggered


def test_garnet_is_a_distribution_over_different_states():
    tables = make_tables(Garnet())
    np.testing.assert_allclose(tables.transitions.sum(-1), 1.0)
    assert ((tables.transitions > 0).sum(-1) == 3).all()
    assert (make_tables(Garnet(instance=4)).rewards != tables.rewards).all()


def test_lqr_by_hand():
    env = LQRVectorEnv(3, LQR())
    obs, _ = env.reset(seed=0)
    x = np.array([normal(uniforms(row, 0, 0, RESET)[0]) for row in range(3)])
    np.testing.assert_array_equal(obs[:, 0], x.astype(np.float32))
    u = np.array([[0.5], [-1.0], [2.0]])
    obs, reward, terminated, _, info = env.step(u)
    np.testing.assert_allclose(reward, -(x**2), rtol=1e-15)  # of the state before the control
    np.testing.assert_allclose(info["costs"][:, 0], [0.25, 1.0, 4.0])
    noise = np.array([normal(uniforms(row, 0, 0)[0]) for row in range(3)])
    assert not terminated.any()
    np.testing.assert_allclose(obs[:, 0], 0.95 * x + 0.5 * u[:, 0] + 0.3 * noise, rtol=1e-6)


def test_kelly_by_hand():
    env = KellyVectorEnv(64, Kelly(bets=1))
    env.reset(seed=0)
    action = np.full((64, 1), 1 / 3)  # (1 + 1 / 3) / 2 of 0.3: a fraction of 0.2
    _, reward, terminated, _, info = env.step(action)
    won = np.array([uniforms(row, 0, 0)[0] < 0.6 for row in range(64)])
    # 0.2 of a wealth of 1 buys 0.4 contracts at 0.5: 1.2 or 0.8 is left
    np.testing.assert_allclose(reward, np.where(won, math.log(1.2), math.log(0.8)), rtol=1e-12)
    np.testing.assert_allclose(info["costs"][:, 0], np.where(won, -0.2, 0.2), rtol=1e-6)
    assert terminated.all() and 20 < won.sum() < 55


def test_kelly_pays_the_mean_of_its_bets():
    env = KellyVectorEnv(5000, Kelly(bets=3))
    env.reset(seed=0)
    _, reward, *_, info = env.step(np.full((5000, 1), 1 / 3))
    up, down = math.log(1.2), math.log(0.8)
    wins = np.rint((3 * reward - 3 * down) / (up - down)).astype(int)
    np.testing.assert_allclose(reward, (wins * up + (3 - wins) * down) / 3, rtol=1e-9)
    # binomial of 3 at 0.6: 0.064, 0.288, 0.432, 0.216; the standard error of a share of 5000 is at most 0.007
    np.testing.assert_allclose(np.bincount(wins, minlength=4) / 5000, [0.064, 0.288, 0.432, 0.216], atol=0.025)
    first = info["costs"][:, 0] < 0
    assert first.mean() == pytest.approx(0.6, abs=0.025)
    assert not first[wins == 0].any() and first[wins == 3].all()
    assert first[wins == 1].mean() == pytest.approx(1 / 3, abs=0.05)  # any of the three may be the first


def test_the_fee_is_part_of_the_price():
    assert Kelly(fee_rate=0.07).paid == pytest.approx(0.5175)  # 0.5 + 0.07 x 0.5 x 0.5


def test_almgren_chriss_by_hand():
    env = AlmgrenChrissVectorEnv(1, AlmgrenChriss(steps=2, days=2.0, realised=True))
    obs, _ = env.reset(seed=0)
    np.testing.assert_array_equal(obs, [[1.0, 1.0]])
    obs, reward, terminated, _, info = env.step(np.array([[-0.5]]))
    # a quarter is sold: impact 0.25 x 0.75 x 0.25 + 0.0625 x 0.25 + 2.5 x 0.0625 = 0.21875
    move = 0.75 * 0.95 * normal(uniforms(0, 0, 0)[0])
    assert reward[0] == pytest.approx(move - 0.21875, rel=1e-12)
    np.testing.assert_allclose(info["reward_terms"], [[-0.21875, move]])
    assert info["costs"][0, 0] == pytest.approx(0.9025 * 0.5625)  # 0.95**2 x 0.75**2
    np.testing.assert_array_equal(obs, [[0.5, 0.75]])
    assert not terminated.any()
    _, reward, terminated, _, info = env.step(np.array([[-1.0]]))
    # the rest is sold whatever was asked for: 0.0625 x 0.75 + 2.5 x 0.5625 = 1.453125, and nothing is left at risk
    assert reward[0] == pytest.approx(-1.453125, rel=1e-12)
    assert info["costs"][0, 0] == 0.0
    assert terminated.all()
    np.testing.assert_array_equal(info["final_obs"], [[0.0, 0.0]])


def quoted(env, below, above):
    """The action for distances in cents, the same everywhere."""
    action = 2 * np.array([below, above]) / env.task.widest - 1
    return np.tile(action, (env.num_envs, 1))


def test_fills_follow_the_hazard():
    env = MarketMakingVectorEnv(400, replace(CARTEA_JAIMUNGAL_PENALVA, steps=10, running=0.3, terminal=0.2, sigma=0.7))
    env.reset(seed=0)
    obs, reward, _, _, info = env.step(quoted(env, 0.5, 1.0))
    # hazards of a step of 0.1: 1 - exp(-2 e**-0.75) = 0.6112 and 1 - exp(-2 e**-1.5) = 0.3600
    draws = np.array([uniforms(row, 0, 0)[:3] for row in range(400)])
    bought, sold = draws[:, 0] >= 1 - 0.6112, draws[:, 1] >= 1 - 0.3600
    held = bought.astype(int) - sold
    np.testing.assert_allclose(obs[:, 1], held / 3, rtol=1e-6)
    move = held * 0.7 * math.sqrt(0.1) * np.array([normal(u) for u in draws[:, 2]])
    np.testing.assert_allclose(reward, 0.5 * bought + 1.0 * sold + move, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(info["costs"][:, 0], abs(held) / 10, rtol=1e-6)
    *_, info = env.step(quoted(env, 0.5, 1.0))
    np.testing.assert_allclose(info["reward_terms"][:, 2], -0.3 * 0.1 * held**2)  # on what was held before the step


def test_the_last_step_pays_for_what_is_left_and_limits_are_not_passed():
    task = MarketMaking(intensity=1e6, decay=1e-9, sigma=0.0, steps=4, limit=2, running=0.0, terminal=0.25, widest=1.0)
    env = MarketMakingVectorEnv(1, task)  # each quote is hit in each step
    env.reset(seed=0)
    total = []
    for _ in range(4):
        obs, reward, terminated, _, info = env.step(quoted(env, 0.5, 0.25))
        total.append(reward[0])
    assert total == pytest.approx([0.75] * 4)
    assert terminated.all()
    one_sided = MarketMakingVectorEnv(1, replace(task, decay=1e3))
    one_sided.reset(seed=0)
    seen = []
    for _ in range(4):
        obs, reward, _, _, info = one_sided.step(quoted(one_sided, 0.0, 1.0))  # e**-1000: the ask is never hit
        seen.append(float(info.get("final_obs", obs)[0, 1]))
    assert seen == [0.5, 1.0, 1.0, 1.0]
    assert reward[0] == pytest.approx(-0.25 * 4)  # two contracts are left


def test_risk_averse_rewards_sum_to_the_utility():
    task = replace(GUEANT_LEHALLE_FERNANDEZ_TAPIA, steps=30, benchmark=40.0)
    averse = MarketMakingVectorEnv(16, task)
    neutral = MarketMakingVectorEnv(16, replace(task, risk_aversion=0.0))
    averse.reset(seed=2)
    neutral.reset(seed=2)
    utility, wealth = np.zeros(16), np.zeros(16)
    for actions in random_actions(averse, 30):
        utility += averse.step(actions)[1]
        wealth += neutral.step(actions)[1]
    # sum = (1 - exp(gamma c T) exp(-gamma W)) / gamma with gamma = 0.1, c T = 40
    np.testing.assert_allclose(utility, (1 - np.exp(4.0 - 0.1 * wealth)) / 0.1, rtol=1e-9)
    assert wealth.std() > 1
