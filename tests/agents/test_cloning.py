"""Cloning: the teacher is learnt, what cannot be done never is, the seed decides, and what follows is valued."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from fake_envs import ClockEnv, PairEnv, small_ppo
from gymnasium.vector.utils import batch_space
from lessons_by_hand import echoes, sides, trajectories
from stable_baselines3.common.logger import Logger

from agents.budgets import Constraint
from agents.checkpoint import parameters_digest
from agents.cloning import _Best, clone
from agents.lessons import padded, value_targets
from agents.resume import load_resume, save_resume


@pytest.fixture(autouse=True)
def small_minibatches(monkeypatch):
    """Few rows are as many steps as many rows in minibatches of the usual size."""
    monkeypatch.setattr("agents.lessons.BATCH", 50)


def test_a_deterministic_teacher_is_learnt_almost_without_error():
    cloned = clone(small_ppo(hidden=[16]), sides(), epochs=30, seed=0)
    assert cloned.rows == 900 and cloned.held_out_rows == 100  # 36 and 4 episodes of 25 steps
    assert cloned.action_error <= 0.03 and cloned.acting_error <= 0.06 and cloned.cross_entropy < 0.1


def test_a_fresh_learner_is_no_clone():
    cloned = clone(small_ppo(hidden=[16]), sides(), epochs=0, seed=0)
    assert cloned.epochs == 0 and cloned.best_epoch == 0 and cloned.action_error > 0.2
    assert cloned.cross_entropy == pytest.approx(np.log(2), abs=0.01)  # both rows are as likely


def test_errors_are_those_of_held_out_episodes_by_hand():
    """A teacher that always buys, and a network that always holds: every decision is wrong, -log p = log 2."""
    obs = np.zeros((4, 2))
    model = small_ppo(hidden=[4])
    with torch.no_grad():
        model.network.actor.head.weight.zero_()
    cloned = clone(model, trajectories([2, 2], obs, np.ones(4, np.int64)), epochs=0, seed=0)
    assert cloned.action_error == 1.0  # the first of two equally likely rows is hold
    assert cloned.acting_error is None  # the teacher never does other than what it does most
    assert cloned.cross_entropy == pytest.approx(np.log(2))


def test_masked_rows_are_never_chosen_and_cost_nothing():
    """Of two choices of three rows the second never has row 0. The teacher picks row 1 of one, row 2 of the other."""
    masks = np.ones((200, 2, 3), bool)
    masks[:, 1, 0] = False
    data = trajectories(
        [10] * 20, np.random.default_rng(0).normal(size=(200, 2)), np.full((200, 2), [1, 2]), masks=masks
    )
    model = small_ppo(PairEnv())
    cloned = clone(model, data, epochs=60, seed=0)
    assert cloned.action_error == 0.0 and cloned.cross_entropy < 0.1
    outputs = model.network.act(model.network.body(torch.zeros(5000, 2)))
    head = model.network.head
    drawn, _ = head.sample(outputs, torch.from_numpy(masks[:1]).expand(5000, 2, 3))
    assert (drawn[:, 1] != 0).all()
    # nothing was learnt of the row that never could be done: its logit is where the weights began, about 0
    assert outputs[:, 3].abs().max() < 0.5 < outputs[:, 5].max()


def weights(**options):
    model = small_ppo(hidden=[8])
    clone(model, sides(), epochs=3, **options)
    return parameters_digest(model)


def test_the_seed_decides_the_order_of_minibatches_and_no_global_generator_moves():
    fresh = small_ppo(hidden=[8])
    state = torch.get_rng_state()
    clone(fresh, sides(), epochs=2, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert weights(seed=0) == weights(seed=0) != weights(seed=1)


def test_the_normaliser_sees_what_is_learnt_from_and_the_optimiser_nothing():
    model, data = small_ppo(hidden=[8]), sides()
    clone(model, data, epochs=1, seed=0)
    count, mean, _ = model.network.normaliser.moments
    assert count.tolist() == [900.0, 900.0]
    assert mean.numpy() == pytest.approx(data.obs.mean(0), abs=0.05)
    assert not model.policy.optimizer.state and all(entry.grad is None for entry in model.network.parameters())


def test_a_policy_with_a_memory_learns_what_only_it_can_know():
    data = echoes()
    without = clone(small_ppo(hidden=[16]), data, epochs=10, seed=0)
    model = small_ppo(ClockEnv(lives=(3, 5)), hidden=[16], memory="gru", memory_size=8)
    remembering = clone(model, data, epochs=60, seed=0)
    assert without.action_error > 0.25  # 5 of 6 steps are coin tosses to it
    assert remembering.action_error < 0.05


def test_padding_behind_short_episodes_is_not_learnt_from():
    """Episodes of 2 and 5 steps: whatever stands behind the shorter ones, the clone is the same."""
    table, real = padded(np.array([1, 2, 3, 4, 5, 6, 7]), np.array([2, 5]))
    assert table.T.tolist() == [[1, 2, 0, 0, 0], [3, 4, 5, 6, 7]]
    assert real.T.tolist() == [[True, True, False, False, False], [True] * 5]
    random = np.random.default_rng(0)
    obs = random.normal(size=(70, 2))
    data = trajectories([2, 5] * 10, obs, (obs[:, 1] > 0).astype(np.int64))
    cloned = clone(small_ppo(hidden=[8], memory="gru", memory_size=4), data, epochs=2, seed=0)
    assert cloned.rows + cloned.held_out_rows == 70


class BoxEnv(ClockEnv):
    def __init__(self):
        super().__init__(lives=(3, 5))
        self.single_action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def _mask(self):
        return np.ones((self.num_envs, 0), bool)


def test_the_mean_of_a_box_is_learnt_and_its_spread_stays():
    obs = np.random.default_rng(0).normal(size=(1000, 2))
    wanted = np.stack([0.5 * np.tanh(obs[:, 0]), np.full(1000, -0.25)], 1).astype(np.float32)
    model = small_ppo(BoxEnv(), hidden=[16], initial_std=0.5)
    cloned = clone(model, trajectories([25] * 40, obs, wanted), epochs=60, seed=0)
    assert cloned.action_error < 0.03 and cloned.acting_error is None
    assert model.network.head.log_std.tolist() == pytest.approx([np.log(0.5)] * 2)


def limit(kind, name="time", column=0, alpha=0.5):
    return Constraint(name, column, kind, 1.0, alpha)


def test_what_followed_each_step_by_hand():
    data = trajectories(
        [3, 1], np.zeros((4, 2)), np.zeros(4, np.int64), rewards=[1, 2, 4, 8], costs=[[1, 0], [0, 0], [1, 0], [5, 0]]
    )
    targets, trusted = value_targets(data, [limit("episode"), limit("discounted"), limit("cvar")], 0.5)
    assert targets[:, 0].tolist() == [3.0, 4.0, 4.0, 8.0]  # 1 + 2/2 + 4/4, 2 + 4/2, 4; 8
    assert targets[:, 1].tolist() == [2.0, 1.0, 1.0, 5.0]  # undiscounted
    assert targets[:, 2].tolist() == [1.25, 0.5, 1.0, 5.0]  # 1 + 1/4, 1/2, 1; 5
    # the losses are 2 and 5, their median (of the lower half) 2: (5 - 2) / (1 - 0.5) at the end of the second episode
    assert targets[:, 3].tolist() == [0.0, 0.0, 0.0, 6.0]
    assert trusted.all()


def test_a_truncated_return_is_trusted_only_where_little_of_it_is_missing():
    data = trajectories([5, 2], np.zeros((7, 2)), np.zeros(7, np.int64), rewards=np.ones(7), terminated=[False, True])
    _, trusted = value_targets(data, [limit("episode"), limit("discounted")], 0.5)
    # steps left: 5 4 3 2 1; 0.5 ** 4 = 0.0625 <= 0.1 < 0.5 ** 3
    assert trusted[:, 0].tolist() == trusted[:, 2].tolist() == [True, True, False, False, False, True, True]
    assert trusted[:, 1].all()  # a sum to the end of the episode is whole wherever the episode ends


def test_critics_learn_what_can_be_known_and_stay_where_nothing_can():
    obs = np.zeros((200, 2))
    obs[:, 0] = np.tile([0, 1], 100)  # first and second step
    data = trajectories([2] * 100, obs, np.zeros(200, np.int64), rewards=np.tile([3.0, 5.0], 100))
    model = small_ppo(hidden=[16], gamma=0.5)
    cloned = clone(model, data, epochs=100, seed=0)
    values = model.network.values(model.network.body(torch.tensor([[0.0, 0.0], [1.0, 0.0]])))
    assert values.flatten().tolist() == pytest.approx([5.5, 5.0], abs=0.1)  # 3 + 5/2, 5
    assert cloned.value_error[0] < 0.3
    luck = trajectories([1] * 200, np.random.default_rng(0).normal(size=(200, 2)), np.zeros(200, np.int64),
                        rewards=np.random.default_rng(1).normal(size=200))  # fmt: skip
    fresh, kept = [clone(small_ppo(hidden=[64, 64]), luck, epochs=epochs, seed=0) for epochs in (0, 20)]
    assert kept.value_error[0] <= fresh.value_error[0]


@pytest.mark.parametrize("memory, critic", [(None, 2.0), ("gru", 1.0)])
def test_actor_and_critics_are_kept_each_at_its_best_unless_they_share_a_memory(memory, critic):
    network = small_ppo(hidden=[4], memory=memory, memory_size=2).network
    best = _Best(network, {"cross_entropy": 9.0, "value_error": [9.0, None]})
    for epoch, (cross_entropy, value_error) in enumerate([(1.0, 5.0), (3.0, 4.0), (2.0, 6.0)], 1):
        for parameter in network.parameters():
            torch.nn.init.constant_(parameter, float(epoch))
        best.see(epoch, network, {"cross_entropy": cross_entropy, "value_error": [value_error, None]})
    assert best.epoch == 1 and (best.kept["actor.head.weight"] == 1.0).all()
    assert (best.kept["critic.head.weight"] == critic).all()


@pytest.mark.parametrize(
    "data, message",
    [
        (trajectories([4], np.zeros((4, 2)), np.zeros(4, np.int64)), "at least 2 episodes"),
        (trajectories([2, 2], np.zeros((4, 2)), np.zeros((4, 2), np.int64)), "int64 with 2 numbers .* with 1"),
        (trajectories([2, 2], np.zeros((4, 2)), np.zeros((4, 1), np.float32)), "float32 with 1 .* choices of rows"),
        (trajectories([2, 2], np.zeros((4, 2)), np.full(4, 2)), "actions from 2 to 2, there are 2 rows"),
        (
            trajectories([2, 2], np.zeros((4, 3)), np.zeros(4, np.int64), observation=["a", "b", "c"]),
            "the data have 3 features, the network 2",
        ),
        (
            trajectories([2, 2], np.zeros((4, 2)), np.zeros(4, np.int64), masks=np.ones((4, 3), bool)),
            "masks of 3 rows, the network has 2",
        ),
    ],
)  # fmt: skip
def test_data_of_another_space_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        clone(small_ppo(), data, epochs=1, seed=0)


def test_a_cost_that_the_data_lack_is_named():
    with pytest.raises(ValueError, match="the data have no cost kill; they have time, ten"):
        value_targets(sides(), [limit("episode", "kill")], 1.0)


def quiet(**options):
    model = small_ppo(hidden=[8], **options)
    model.set_logger(Logger(None, []))
    return model


def test_a_resumed_run_goes_on_from_its_clone_and_does_not_clone_again(tmp_path):
    whole = quiet()
    clone(whole, sides(), epochs=2, seed=0)
    whole._setup_learn(64, None)
    save_resume(whole, tmp_path / "resume.pt", {})
    whole.learn(64, reset_num_timesteps=True)
    again = quiet()  # not cloned
    load_resume(again, tmp_path / "resume.pt")
    again.learn(64, reset_num_timesteps=False)
    assert parameters_digest(again) == parameters_digest(whole)
