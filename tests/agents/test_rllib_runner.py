"""The env runner: what it samples in bulk is what RLlib's own samples one by one, at every boundary of an episode."""

import pickle

import numpy as np
import pytest
import torch
from fake_envs import ClockEnv
from gymnasium.vector import AutoresetMode
from learner_envs import PullEnv, RecallEnv
from ray.rllib.core.columns import Columns
from rllib_settings import configured, make_learner, small

from agents.budgets import Budget
from agents.rllib.episodes import COSTS, Episodes
from agents.rllib.module import MASKS
from agents.rllib.runner import BulkEnvRunner

COST_NAMES = ("elapsed", "ten")
LIVES = (3, 5, 8)


def clocks(count):
    """Row i: observation [100 x episode + t, i]; rows end after 3, 5 and 8 steps, the second by truncation."""
    return ClockEnv(LIVES[:count], truncates=[False, True, False][:count])


def runner(make=clocks, num_envs=3, cost_names=COST_NAMES, **config):
    settings = small(**{"n_steps": 16, "minibatches": 1, **config})
    return BulkEnvRunner(config=configured(make, settings, num_envs=num_envs, cost_names=cost_names), worker_index=0)


def test_no_observation_of_an_episode_belongs_to_another():
    """Each is 100 x episode + t with t one more than before: a boundary that is crossed would show 100."""
    played = runner().sample()
    assert isinstance(played, Episodes) and len(played) == 6 + 4 + 2  # 16 steps in lives of 3, 5 and 8
    for episode in played:
        seen = episode.get_observations()
        assert (np.diff(seen[:, 0]) == 1.0).all() and len(set(seen[:, 1])) == 1
        assert (seen[:, 0] // 100 == seen[0, 0] // 100).all()


def test_an_episode_ends_as_the_environment_says():
    """Rows of 3 and 8 steps terminate, that of 5 is truncated; the last of each row lies across the rollout's end."""
    found = [(len(x), x.is_terminated, x.is_truncated) for x in runner().sample()]
    row0 = [(3, True, False)] * 5 + [(1, False, False)]
    row1 = [(5, False, True)] * 3 + [(1, False, False)]
    row2 = [(8, True, False)] * 2
    assert found == row0 + row1 + row2


def test_the_next_rollout_goes_on_where_the_last_one_ended():
    one = runner()
    first, second = one.sample()[5], one.sample()[0]  # of row 0: its sixth episode, from step 15 on
    assert first.get_observations()[:, 0].tolist() == [500.0, 501.0]
    assert second.get_observations()[:, 0].tolist() == [501.0, 502.0, 503.0]


def test_a_rollout_is_sent_as_arrays_and_comes_out_as_it_was():
    """Ray hands arrays over as they lie in memory, and read-only; of a tensor it makes a file first."""
    sent = runner(budgets={"elapsed": Budget(9.0), "ten": Budget(1.0)}).sample().rollout
    buffers = []
    content = pickle.dumps(sent, protocol=5, buffer_callback=buffers.append)
    assert b"rebuild_tensor" not in content
    came = pickle.loads(content, buffers=[bytes(buffer) for buffer in buffers])
    assert vars(came).keys() == vars(sent).keys() and len(came.cuts) == len(sent.cuts) == 3  # row 1, lives of 5 of 16
    for name, value in vars(sent).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(getattr(came, name), value) and getattr(came, name).dtype == value.dtype, name
    assert all(torch.equal(one.worth, other.worth) for one, other in zip(came.cuts, sent.cuts, strict=True))
    came.rewards += 1.0  # as what truncated episodes are worth is added


def test_costs_masks_values_and_probabilities_ride_along():
    played = runner().sample()
    for episode in played:
        extra = episode.extra_model_outputs
        steps = extra[COSTS].get()
        assert (np.diff(steps[:, 0]) == 1.0).all() and (steps[:, 1] == 10.0).all()
        assert extra[MASKS].get().shape == (len(episode), 1, 2)
        assert extra[Columns.VF_PREDS].get().shape == (len(episode), 1)
        assert extra[Columns.ACTION_LOGP].get() == pytest.approx(np.log(0.5), abs=0.05)
        assert (episode.get_rewards() == 1.0).all()
    masks = played.rollout.masks
    assert masks is not None and runner(masks=False).sample().rollout.masks is None


def test_a_truncated_episode_is_worth_the_value_of_its_own_last_observation():
    """The value is made the first feature: row 1 ends at 5, 105 and 205, and the next episode begins 95 above."""
    one = runner(normalise_observations=False)
    network = one.module.network
    network.values = lambda seen: seen[:, :1].clone()
    cuts = one.sample().rollout.cuts
    assert [(cut.step, cut.rows.tolist(), cut.worth.flatten().tolist()) for cut in cuts] == [
        (4, [1], [5.0]), (9, [1], [105.0]), (14, [1], [205.0]),
    ]  # fmt: skip


def test_advantages_do_not_look_across_a_boundary():
    """Values 0: the return of a step is what its own episode still pays, 1 a step; undiscounted, lambda 1."""
    config = configured(clocks, small(n_steps=16, minibatches=1, gae_lambda=1.0), num_envs=3, cost_names=COST_NAMES)
    played, learner = BulkEnvRunner(config=config, worker_index=0).sample(), make_learner(config)
    times = {"num_env_steps_sampled_lifetime": 0, "total_steps": 48}
    learner.update(episodes=[played], timesteps=times)
    returns = learner.outcome.rollout.returns[..., 0]
    assert returns[:, 0].tolist() == [3, 2, 1] * 5 + [1]
    assert returns[:, 1].tolist() == [5, 4, 3, 2, 1] * 3 + [1]
    assert returns[:, 2].tolist() == [8, 7, 6, 5, 4, 3, 2, 1] * 2


def test_first_episodes_that_are_cut_short_are_marked():
    """Also those of a runner that takes the place of one that died, and of one that had not begun when it was saved."""

    class Staggered(PullEnv):
        staggered = True

    one = runner(Staggered, 8, ["cost"], n_steps=4)
    saved = one.save_place()
    assert [one.sample().cut_short for _ in range(2)] == [True, False]
    one.restore_place(saved, "test")
    assert one.sample().cut_short
    assert not runner(PullEnv, 8, ["cost"], n_steps=4).sample().cut_short


def test_an_environment_that_resets_in_the_next_step_is_refused():
    """RLlib's own runner would assume the mode, and never look."""

    class Later(ClockEnv):
        metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    with pytest.raises(ValueError, match="NEXT_STEP"):
        runner(lambda count: Later(LIVES[:count]))


@pytest.mark.parametrize(
    "make, config", [(PullEnv, {"budgets": {"cost": Budget(1.0)}}), (RecallEnv, {"memory": "gru"})]
)
def test_a_runner_goes_on_from_what_it_saved(make, config):
    one, other = (runner(make, 8, ["cost"], n_steps=4, **config) for _ in range(2))
    other.module.set_state(one.module.get_state())
    one.sample()
    saved = one.save_place()
    torch.manual_seed(5)
    wanted = one.sample()
    other.restore_place(saved, "test")
    torch.manual_seed(5)
    found = other.sample()
    for name in ("obs", "actions", "rewards", "values", "starts", "state"):
        assert (getattr(found.rollout, name) == getattr(wanted.rollout, name)).all(), name
    with pytest.raises(ValueError, match=r"elsewhere, environment: .* other settings"):
        runner(make, 9, ["cost"], n_steps=4, **config).restore_place(saved, "elsewhere")


def test_the_module_acts_as_the_policy_that_is_deployed():
    """Its inference takes the likeliest action that the masks allow; RLlib's tools ask it with observations alone."""
    module = runner().module
    obs = torch.randn(5, 2)
    outputs = module.network.act(module.network.body(obs))
    likeliest = module.forward_inference({Columns.OBS: obs})[Columns.ACTIONS]
    assert (likeliest[:, 0] == outputs.argmax(-1)).all()
    other = torch.nn.functional.one_hot(1 - likeliest, 2).bool()
    assert (module.forward_inference({Columns.OBS: obs, MASKS: other})[Columns.ACTIONS] == 1 - likeliest).all()
