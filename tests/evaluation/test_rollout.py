"""Rollouts: the planned episodes, all of them, as they were."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from worlds import SHORT, make_env, tape_scenario

from agents.policy import load
from evaluation.attribution import attribute
from evaluation.episodes import PATHS, PER_EPISODE, clusters
from evaluation.estimates import ratio_parts
from evaluation.recorder import action_names
from evaluation.rollout import rollout
from sim.scenarios import synthetic
from sim.scenarios.row import make_rows
from sim.types import SETTLED


def play(env, baseline, episodes):
    return rollout(env, load(f"baseline:{baseline}", env.spec_sheet), episodes)


@pytest.mark.parametrize("baseline", ["signal", "quoter", "random"])
def test_books_balance(baseline):
    episodes = play(make_env(), baseline, 20)
    last = episodes.steps
    assert len(episodes.fill) > 0
    assert (episodes.reward_uusd == episodes.result_uusd).all()
    assert (attribute(episodes).total_uusd() == episodes.result_uusd).all()
    assert (episodes.equity_uusd[np.arange(20), last] == episodes.final_uusd).all()
    assert (np.bincount(episodes.fill_episode, episodes.fill["fee_uusd"], 20) == episodes.fees_uusd).all()
    assert (episodes.filled_qty <= episodes.sent_qty).all()
    assert episodes.settled.all() and set(episodes.payout_px) <= {0, 10_000}
    # 20 seconds of life in steps of one second
    assert set(last) == {20} and episodes.env_steps == 400


def test_results_are_plain_money_whatever_the_rewards():
    plain, shaped = (
        play(make_env(reward=reward), "quoter", 8)
        for reward in (None, {"pnl": 0.1, "anchor": 3.0, "expansion": 2.0, "predictability": 5.0, "sharpe": 9.0})
    )
    assert (plain.result_uusd == shaped.result_uusd).all() and plain.result_uusd.any()
    assert (shaped.reward_uusd == shaped.result_uusd).all()
    assert (plain.equity_uusd == shaped.equity_uusd).all()


def test_every_environment_plays_its_share_in_a_fixed_order():
    episodes = play(make_env(6), "noop", 20)
    assert episodes.slot.tolist() == [*range(6), *range(6), *range(6), 0, 1]
    assert episodes.episode.tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3, 3]
    assert len(set(zip(episodes.number, episodes.episode, strict=True))) == 20


def slow_rollout(env, policy, rounds):
    """One environment, one step at a time, into lists."""
    found = []
    obs, _ = env.reset()
    state = env.engine.state
    for _ in range(rounds):
        equity, mids, actions, fills, done = (
            [state.account[0]["equity_uusd"]],
            [state.market[0]["mid2_px"]],
            [],
            [],
            False,
        )
        while not done:
            action = policy.act(obs)
            obs, _, terminated, truncated, _ = env.step(action)
            actions.append(action[0])
            equity.append(state.account[0]["equity_uusd"])
            mids.append(state.market[0]["mid2_px"])
            fills += [(len(actions) - 1, row.tobytes()) for row in state.fills[0, : state.account[0]["n_fills"]]]
            done = terminated[0] or truncated[0]
        found.append((equity, mids, actions, fills, state.market[0]["status"] == SETTLED))
        obs, _ = env.reset(options={"reset_mask": np.ones(1, bool)})
    return found


@pytest.mark.parametrize("baseline", ["signal", "quoter"])
def test_agrees_with_a_slow_rollout_and_does_not_depend_on_the_batch(baseline):
    scenario = synthetic(make_rows(1, life_s=90.0, signal_rate=1.0))  # longer than the first room for paths
    together = play(make_env(3, scenario=scenario, window_s=80.0), baseline, 6)
    for slot in range(3):
        alone = make_env(1, scenario=scenario, first_env=slot, window_s=80.0)
        slow = slow_rollout(alone, load(f"baseline:{baseline}", alone.spec_sheet), 2)
        for place, (equity, mids, actions, fills, settled) in zip((slot, slot + 3), slow, strict=True):
            steps = together.steps[place]
            assert together.equity_uusd[place, : steps + 1].tolist() == equity
            assert together.mid2_px[place, : steps + 1].tolist() == mids
            assert together.action[place, :steps].tolist() == actions
            chosen = together.fill_episode == place
            ours = zip(together.fill_step[chosen], together.fill[chosen], strict=True)
            assert [(step, row.tobytes()) for step, row in ours] == fills
            assert together.settled[place] == settled
    assert not together.settled.any() and (together.steps == 80).all()


def test_realised_and_unrealised_agree_with_the_account():
    scenario = synthetic(make_rows(1, life_s=90.0))
    env = make_env(8, scenario=scenario, window_s=30.0)
    episodes = play(env, "random", 8)
    position = env.engine.state.position
    assert (episodes.net_qty[np.arange(8), episodes.steps] != 0).any() and (episodes.payout_px == -1).all()
    assert (episodes.unrealised_uusd != 0).any()
    realised = episodes.result_uusd - episodes.unrealised_uusd
    assert (realised == position["realised_uusd"] - episodes.fees_uusd).all()


def test_last_values_are_repeated_behind_the_end():
    scenario = synthetic(make_rows(2, life_s=np.array([20.0, 35.0])))
    episodes = play(make_env(6, scenario=scenario), "random", 30)
    assert set(episodes.steps) == {20, 35}
    short = np.flatnonzero(episodes.steps == 20)
    assert (episodes.equity_uusd[short, 20:] == episodes.final_uusd[short, None]).all()
    assert (episodes.action[short, 20:] == -1).all() and (episodes.action[short, :20] >= 0).all()
    assert (np.diff(episodes.fill_episode) >= 0).all()


@pytest.mark.parametrize("num_envs", [1, 2, 5])
def test_sequential_tapes_are_played_once_each(num_envs):
    lengths = [4, 9, 6, 3, 12]
    episodes = play(make_env(num_envs, scenario=tape_scenario(lengths)), "random", 5)
    assert sorted(episodes.tape) == [0, 1, 2, 3, 4]
    assert episodes.steps[np.argsort(episodes.tape)].tolist() == lengths
    assert episodes.payout_px[np.argsort(episodes.tape)].tolist() == [0, 10_000, 0, 10_000, 0]
    assert (attribute(episodes).total_uusd() == episodes.result_uusd).all()


def test_tapes_of_one_market_are_one_cluster():
    episodes = play(make_env(4, scenario=tape_scenario([4, 5, 6, 7], ["A", "B", "A", "C"])), "random", 4)
    assert episodes.market_names == ("A", "B", "C")
    assert episodes.market.tolist() == [0, 1, 0, 2] and clusters(episodes).tolist() == [0, 1, 0, 2]
    assert (play(make_env(2), "noop", 2).market == -1).all()


def test_sequential_tapes_that_would_not_be_played_once_are_refused():
    scenario = tape_scenario([4, 5, 6])
    with pytest.raises(ValueError, match="ask for 3 episodes, not 4"):
        play(make_env(2, scenario=scenario), "noop", 4)
    with pytest.raises(ValueError, match="4 environments for 3 tapes"):
        play(make_env(4, scenario=scenario), "noop", 3)


def test_wrong_use_is_explained():
    with pytest.raises(ValueError, match=r"AutoresetMode\.DISABLED, got AutoresetMode\.SAME_STEP"):
        play(make_env(mode=AutoresetMode.SAME_STEP), "noop", 3)
    with pytest.raises(ValueError, match="at least one episode, got 0"):
        play(make_env(), "noop", 0)


def test_an_idle_account_leaves_empty_tracks():
    episodes = play(make_env(4), "noop", 4)
    assert len(episodes.fill) == 0 and (episodes.result_uusd == 0).all() and (episodes.net_qty == 0).all()
    assert all(getattr(episodes, name).dtype.kind in "ib" for name in (*PER_EPISODE, *PATHS))


def test_action_names():
    rows = [["hold", "YES", 0, "cross"], ["buy", "YES", 25, "cross"], ["sell", "NO", 0.5, "passive"]]
    assert action_names([*rows, ["cancel", "BOTH", 0, "passive"]]) == (
        "hold", "buy YES 25", "passive sell NO 0.5", "cancel BOTH",
    )  # fmt: skip


def test_the_bar_counts_episodes(capsys):
    env = make_env(3)
    rollout(env, load("baseline:noop", env.spec_sheet), 6, label="noop")
    assert "noop" in capsys.readouterr().err
    rollout(make_env(3, scenario=SHORT), load("baseline:noop", env.spec_sheet), 3)
    assert capsys.readouterr().err == ""


def test_interventions_and_trips_of_a_shield_are_counted():
    env = make_env(
        limits={"preset": "small", "drawdown_warning": 0.0005, "drawdown_critical": 0.001},
        cash=500.0,
        costs=("intervention", "kill"),
    )
    episodes = play(env, "random", 20)
    assert episodes.interventions.tolist() == episodes.costs[:, 0].tolist() and episodes.interventions.sum() > 0
    assert episodes.tripped.tolist() == (episodes.costs[:, 1] > 0).tolist() and 0 < episodes.tripped.sum() < 20
    parts = ratio_parts(episodes)
    assert parts["intervention_rate"][0].sum() == episodes.interventions.sum()
    assert parts["intervention_rate"][1].sum() == 400 and parts["trip_rate"][1].sum() == 20
    assert "trip_rate" not in ratio_parts(play(make_env(), "random", 6))
