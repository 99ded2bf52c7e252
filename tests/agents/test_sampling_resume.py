"""A run whose rows a sampler chooses, killed and gone on with, ends as one that was left alone."""

import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback

from agents import ppo
from agents.config import PPOConfig
from agents.resume import load_resume, save_resume
from agents.sb3_vec import SB3VecEnv
from configs.sampling import Sampling
from curricula.samplers import make_sampler
from envs.vector import TradingVectorEnv
from sim.scenarios import synthetic
from sim.scenarios.row import make_rows

ROWS = make_rows(12, life_s=np.linspace(4.0, 9.0, 12), signal_rate=np.full(12, 1.0))
UPDATE = 8 * 8  # environments x steps


def make(sampler, window_s=np.inf):
    env = TradingVectorEnv(
        8, scenario=synthetic(ROWS), features=("book", "signal"), costs=(), seed=3, window_s=window_s, staggered=True
    )
    model = ppo.build(SB3VecEnv(env), PPOConfig(n_steps=8, hidden=[8]), gamma=0.99, seed=0)
    return model, Sampling(model, env, make_sampler(sampler, ROWS))


def parameters(model):
    return {name: value.numpy().copy() for name, value in model.policy.state_dict().items()}


@pytest.mark.parametrize("name", ["staged", "replay", "adversarial"])
def test_a_sampler_goes_on_where_it_was(name, tmp_path):
    whole, sampling = make(name)
    whole.learn(12 * UPDATE, callback=[sampling])
    first, cut = make(name)
    first.learn(12 * UPDATE, callback=[Stop(first, 7 * UPDATE, tmp_path), cut])
    again, resumed = make(name)
    load_resume(again, tmp_path / "resume.pt")
    assert resumed.sampler.played.sum() > 0
    again.learn(12 * UPDATE - again.num_timesteps, callback=[resumed], reset_num_timesteps=False)
    ours, theirs = parameters(again), parameters(whole)
    assert all((ours[key] == theirs[key]).all() for key in theirs)
    for key, value in sampling.sampler.state().items():
        assert (resumed.sampler.state()[key] == value).all(), key


def test_episodes_are_noted_on_their_own_rows():
    """Lives of 4 to 9 s: the steps of an episode say which row it was played on."""
    model, sampling = make("uniform")
    noted = []
    sampling.sampler.note = lambda rows, results: noted.extend(zip(rows.tolist(), results.tolist(), strict=True))
    lengths = []
    env = model.env
    step = env.step_wait

    def watched():
        result = step()
        lengths.extend(result[3][row]["episode"]["l"] for row in np.flatnonzero(result[2]))
        return result

    env.step_wait = watched
    model.learn(20 * UPDATE, callback=[sampling])
    assert len(noted) == len(lengths) > 100
    assert [np.ceil(ROWS["life_s"][row]) for row, _ in noted] == pytest.approx(lengths, abs=1)


class Stop(BaseCallback):
    """Saves before a rollout and ends the training in it, as a kill does."""

    def __init__(self, model, at, folder):
        super().__init__()
        self.at, self.folder, self.stopped = at, folder, False

    def _on_rollout_start(self):
        if self.model.num_timesteps == self.at:
            save_resume(self.model, self.folder / "resume.pt", {})
            self.stopped = True

    def _on_step(self):
        return not self.stopped
