"""Learning within budgets: an optimum and a dual known by hand, truncated episodes, and what cannot be reached."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from fake_envs import ClockEnv
from learner_envs import ArmsEnv, MarketsEnv, PullEnv, learner
from stable_baselines3.common.logger import Logger
from test_checkpoint import make_run

from agents.budgets import Budget
from agents.config import PPOConfig
from agents.multipliers import PATIENCE, MultiplierConfig
from agents.ppo import build
from agents.run import train
from agents.sb3_vec import SB3VecEnv


def quiet(model):
    model.set_logger(Logger(None, []))
    return model


def rollout(model):
    model._setup_learn(1, None)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, model.n_steps)
    return model.rollout_buffer


def probabilities(model):
    with torch.no_grad():
        outputs = model.network.act(model.network.body(torch.zeros(1, 1)))
        return model.network.head.log_probs(outputs, None).exp().flatten().numpy()


def arms(unit=1.0, num_envs=256, limit=0.5, **settings):
    budgets = {"cost": Budget(limit * unit)}
    settings = {"n_steps": 2, "learning_rate": 0.02, "ent_coef": 0.02, "ent_coef_end": 0.02, "margin": 0.0, **settings}
    return quiet(learner(ArmsEnv(num_envs, unit), budgets=budgets, **settings))


@pytest.mark.parametrize("mixed", [False, True])
def test_the_optimum_of_three_arms_within_a_budget(mixed):
    """Arms pay 0, 0.6, 1 and cost 0, 0.2, 1; the budget is 0.5.

    Of the last two arms p x 1 + (1 - p) x 0.2 = 0.5 at p = 0.375, which pays 0.75; the dual is the price at which they
    are worth the same: 0.6 - 0.2 x = 1 - x at x = 0.5. Without a budget the third would pay 1, at a cost of 1.
    """
    model = arms(multipliers=MultiplierConfig(gain=0.1, kp=2.0), mixed_precision=mixed)
    assert model.network.mixed == mixed
    seen = []
    model._record = lambda *_: seen.append((model.multipliers.values[0], *probabilities(model)))
    model.learn(256 * 2 * 120)
    late = np.array(seen[60:])
    price, probs = late[:, 0].mean(), late[:, 1:].mean(0)
    assert price == pytest.approx(0.5, rel=0.1)
    assert probs @ ArmsEnv.COSTS == pytest.approx(0.5, rel=0.1)
    assert probs @ ArmsEnv.PAYS == pytest.approx(0.75, rel=0.05)


@pytest.mark.parametrize("rule", ["ascent", "pid"])
def test_the_unit_of_a_cost_changes_its_price_and_nothing_else(rule):
    """A power of two, so that rounding is the same."""
    first, second = [
        arms(unit, 64, 0.1, multipliers=MultiplierConfig(rule)).learn(64 * 2 * 8) for unit in (1.0, 1024.0)
    ]
    assert first.multipliers.values[0] > 0.0
    assert second.multipliers.values[0] * 1024.0 == pytest.approx(first.multipliers.values[0], rel=1e-4)
    assert probabilities(second) == pytest.approx(probabilities(first), rel=1e-3)


def test_a_budget_that_does_not_bind_has_no_price_and_without_one_the_cost_is_only_reported():
    settings = {"learning_rate": 0.02, "n_steps": 2}
    free = quiet(learner(ArmsEnv(256), **settings)).learn(256 * 2 * 25)
    wide = quiet(learner(ArmsEnv(256), budgets={"cost": Budget(2.0)}, **settings)).learn(256 * 2 * 25)
    assert wide.multipliers.values[0] == 0.0 and free.constraints == []
    assert probabilities(free)[2] > 0.65 and probabilities(wide)[2] > 0.65


def test_the_learner_is_trained_to_the_budget_less_its_margin():
    model = quiet(learner(ArmsEnv(), budgets={"cost": Budget(0.5)}, margin=0.2))
    model._setup_learn(64 * 8, None)
    seen = []
    model.multipliers.update = lambda errors, units: seen.append(errors.copy())
    rollout(model)
    model.train()
    spent = model._spent[0]
    # the budget is 0.5 - 0.2 x 0.5 = 0.4, larger than two standard errors of 512 episodes
    assert seen[0][0] == pytest.approx((spent - 0.4) / 0.4) and spent > 0.3


def test_a_budget_that_cannot_be_kept_is_reported(tmp_path, capsys):
    """Every arm costs at least 1, the budget is 0.5: the multiplier goes to its cap and stays."""
    budgets = {"cost": Budget(0.5)}
    multipliers = MultiplierConfig("ascent", gain=1.0, cap=2.0)
    env = ArmsEnv(8, least=1.0)
    model = learner(env, n_steps=4, budgets=budgets, multipliers=multipliers, learning_rate=1e-5)
    run = make_run(tmp_path)
    train(model, 8 * 4 * (PATIENCE + 5), run, save_every=100)
    assert json.loads((run.path / "manifest.json").read_text())["unreachable_budgets"] == ["cost"]
    assert capsys.readouterr().err.count("budget may be unreachable: cost, whose multiplier has stood at its cap") == 1


def test_a_truncated_episode_costs_on_where_its_budget_is_discounted():
    """ClockEnv charges 10 a step; the critic is made to say that the last observation x costs x more."""
    names, values = ["time", "ten"], {"time": Budget(1e6), "ten": Budget(1e6, "discounted")}
    env = SB3VecEnv(ClockEnv(lives=(2, 2), truncates=[True, False]))
    config = PPOConfig(n_steps=2, minibatches=1, hidden=[4], normalise_observations=False, budgets=values)
    model = quiet(build(env, config, gamma=0.5, seed=0, cost_names=names))
    model.network.scaled_values = lambda seen: seen[:, :1].repeat(1, 3)
    roll = rollout(model)
    # row 0 is truncated at observation 2, row 1 ends there; rewards are 1, costs [t, 10]
    assert roll.rewards[:, 0].tolist() == [[1.0, 1.0, 10.0], [1.0 + 0.5 * 2, 2.0, 10.0 + 0.5 * 2]]
    assert roll.rewards[:, 1].tolist() == [[1.0, 1.0, 10.0], [1.0, 2.0, 10.0]]
    # undiscounted 1 + 2 = 3; discounted 10 + 0.5 x 10 = 15, and 15 + 0.25 x 2 where it was truncated
    spent, _ = model.ledger.spent()
    assert spent.tolist() == [3.0, 15.25]


def test_each_column_has_its_own_discount_and_the_mix_is_normalised_once():
    budgets = {"time": Budget(1.0), "ten": Budget(1.0, "discounted")}
    config = PPOConfig(n_steps=4, minibatches=1, hidden=[4], gae_lambda=1.0, budgets=budgets)
    env = SB3VecEnv(ClockEnv(lives=(9, 9)))
    model = quiet(build(env, config, gamma=0.5, seed=0, cost_names=["time", "ten"]))
    roll = rollout(model)  # the critics say 0, so an advantage is the sum of what comes
    assert roll.column_advantages[0, 0].tolist() == [1.875, 1 + 2 + 3 + 4, 18.75]  # 1.875 = 1 + 1/2 + 1/4 + 1/8
    roll.column_advantages = torch.randn(4, 2, 3)
    roll.combine(torch.tensor([2.0, 0.5]))
    reward, time, ten = roll.column_advantages.unbind(-1)
    mixed = reward - 2.0 * time - 0.5 * ten
    assert torch.allclose(roll.advantages, (mixed - mixed.mean()) / mixed.std(), atol=1e-5)


def test_an_episode_cut_off_by_a_reset_or_a_stopped_rollout_is_not_counted():
    model = quiet(learner(PullEnv(4, life=5), n_steps=3, budgets={"cost": Budget(1.0)}))
    model.learn(4 * 3)  # 3 of 5 steps
    assert (model.ledger.sums != 0.0).all()
    rollout(model)  # begins with a reset
    by_hand = model.rollout_buffer.rewards[..., 1].sum(0)
    assert model.ledger.sums[:, 0] == pytest.approx(by_hand.double().numpy(), rel=1e-6)


def test_rewards_that_do_not_vary_leave_a_price_to_the_costs():
    class Free(ArmsEnv):
        PAYS = np.zeros(3)

    settings = {"learning_rate": 0.02, "n_steps": 2, "ent_coef": 0.0, "ent_coef_end": 0.0}
    model = quiet(learner(Free(256), budgets={"cost": Budget(0.1)}, **settings)).learn(256 * 2 * 40)
    assert probabilities(model) @ ArmsEnv.COSTS < 0.12


def test_the_last_rollout_may_end_past_the_last_step():
    model = quiet(learner(ArmsEnv(8), n_steps=8, ent_coef=0.01, ent_coef_end=0.0))
    seen = []
    model._record = lambda losses, entropy: seen.append((entropy, model.policy.optimizer.param_groups[0]["lr"]))
    model.learn(100)  # two rollouts of 64, begun at 0 and at 64 % of the steps
    assert seen == [(pytest.approx(0.01), pytest.approx(0.001)), (pytest.approx(0.0036), pytest.approx(0.00036))]


def test_an_infinite_observation_is_refused_before_it_spoils_the_mean():
    class Broken(PullEnv):
        def move(self, actions):
            super().move(actions)
            self.state[2, 0] = np.inf

    model = quiet(learner(Broken()))
    with pytest.raises(FloatingPointError, match=r"in row 2 the policy gives .*; features \[0\] .* not finite"):
        model.learn(1000)
    assert torch.isfinite(model.network.normaliser.mean).all()


def test_an_environment_need_not_have_masks():
    model = quiet(learner(MarketsEnv(), markets=4, learning_rate=0.02, n_steps=16, epochs=4))
    assert model.config.masks
    model.learn(8 * 16 * 60)
    roll = rollout(model)
    assert roll.masks is None and roll.rewards[..., 0].mean() > 3.4  # of 4


@pytest.mark.parametrize(
    "change, message",
    [
        ({"n_steps": 0}, r"agent\.n_steps = 0: expected at least 1"),
        ({"epochs": 0}, r"agent\.epochs = 0: expected at least 1"),
        ({"learning_rate": -1.0}, r"agent\.learning_rate = -1.0: expected a positive number"),
        ({"learning_rate": float("nan")}, r"agent\.learning_rate = nan: expected a positive number"),
        ({"clip_range": 0.0}, r"agent\.clip_range = 0.0: expected a positive number"),
        ({"ent_coef": -0.1}, r"agent\.ent_coef = -0.1: expected a number that is not negative"),
        ({"gae_lambda": 1.5}, r"agent\.gae_lambda = 1.5: expected a number in \[0, 1\]"),
        ({"hidden": [8, 0]}, r"agent\.hidden = \[8, 0\]: expected at least one layer"),
        ({"target_kl": 0.0}, r"agent\.target_kl = 0.0: expected a positive number, or null"),
        ({"margin": 1.0}, r"agent\.margin = 1.0: expected a share of the budgets in \[0, 1\)"),
        ({"memory": "gru", "minibatches": 3}, "minibatches = 3 does not divide a rollout of 64 rows"),
        ({"memory": "elman"}, r"agent\.memory = 'elman'"),
        ({"budgets": {"time": Budget(1.0)}}, "the environment charges no such cost; it charges cost"),
        ({"budgets": {}}, "no budget for cost"),
        ({"markets": 2, "shared": True}, "1 features are not those of 2 markets"),
    ],
)
def test_settings_that_cannot_work_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        learner(ArmsEnv(), **change)


def test_a_shared_network_needs_choices_for_each_market():
    env = MarketsEnv(markets=4)
    env.single_action_space = gym.spaces.Discrete(5)
    with pytest.raises(ValueError, match=r"Discrete\(5\) does not give each of 4 markets .* agent.shared=false"):
        learner(env, markets=4)
    learner(env, markets=4, shared=False)


def test_actions_that_do_not_count_from_0_are_refused():
    env = ArmsEnv()
    env.single_action_space = gym.spaces.Discrete(3, start=1)
    with pytest.raises(ValueError, match="expected actions that count from 0"):
        learner(env)
