"""The three autoreset modes, with a core that only counts: observation = 100 x episode + t."""

from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs.autoreset import Autoreset

LIVES = np.array([2, 3, 99])


class Counter:
    """Row i ends after LIVES[i] steps. Driven as the trading environment drives its simulator."""

    def __init__(self, mode):
        self.episode = np.full(3, -1)
        self.t = np.zeros(3, int)
        self.autoreset = Autoreset(self, 3, mode)

    def begin(self, mask):
        self.episode[mask] += 1
        self.t[mask] = 0

    def observe(self, mask, now):
        now.obs[mask, 0] = (100 * self.episode + self.t)[mask]
        now.action_mask[mask, 0] = self.episode[mask] % 2 == 0

    def now(self):
        blank = np.full((3, 1), np.nan)
        return SimpleNamespace(obs=blank, action_mask=np.zeros((3, 1), np.bool_))

    def reset(self, mask=None):
        now = self.now()
        self.autoreset.reset(mask, now)
        return now.obs[:, 0].tolist()

    def step(self):
        """Observations, final observations (nan = none), ended."""
        resting = self.autoreset.resting.copy()
        self.t[~resting] += 1  # who rests stands still
        ended = (self.t >= LIVES) & ~resting
        now = self.now()
        self.observe(~resting, now)  # a step observes whoever does not rest
        final = self.autoreset.finish(ended, now)
        final = np.full((3, 1), np.nan) if final is None else np.where(ended[:, None], final, np.nan)
        np.testing.assert_array_equal(now.action_mask[:, 0], self.episode % 2 == 0)  # masks go with observations
        return now.obs[:, 0].tolist(), final[:, 0].tolist(), ended.tolist()


NAN = pytest.approx(float("nan"), nan_ok=True)


def test_same_step_returns_the_new_first_observation_and_keeps_the_last():
    core = Counter(AutoresetMode.SAME_STEP)
    assert core.reset() == [0, 0, 0]
    assert core.step() == ([1, 1, 1], [NAN, NAN, NAN], [False, False, False])
    assert core.step() == ([100, 2, 2], [2, NAN, NAN], [True, False, False])
    assert core.step() == ([101, 100, 3], [NAN, 3, NAN], [False, True, False])
    assert core.step() == ([200, 101, 4], [102, NAN, NAN], [True, False, False])


def test_next_step_returns_the_last_observation_then_the_new_first():
    core = Counter(AutoresetMode.NEXT_STEP)
    assert core.reset() == [0, 0, 0]
    seen = [core.step() for _ in range(6)]
    assert [obs for obs, _, _ in seen] == [
        [1, 1, 1],
        [2, 2, 2],
        [100, 3, 3],
        [101, 100, 4],
        [102, 101, 5],
        [200, 102, 6],
    ]
    assert [ended for _, _, ended in seen] == [
        [False, False, False], [True, False, False], [False, True, False], [False, False, False], [True, False, False],
        [False, False, False],
    ]  # fmt: skip
    assert all(final == [NAN, NAN, NAN] for _, final, _ in seen)


def test_disabled_rests_until_the_caller_resets_that_row():
    core = Counter(AutoresetMode.DISABLED)
    core.reset()
    seen = [core.step() for _ in range(4)]
    assert [obs for obs, _, _ in seen] == [[1, 1, 1], [2, 2, 2], [2, 3, 3], [2, 3, 4]]
    assert [ended for _, _, ended in seen] == [[False] * 3, [True, False, False], [False, True, False], [False] * 3]
    assert core.reset(np.array([True, False, False])) == [100, 3, 4]  # others keep their observation
    assert core.step()[0] == [101, 3, 5]


def test_a_reset_of_all_begins_every_row():
    core = Counter(AutoresetMode.NEXT_STEP)
    core.reset()
    core.step()
    core.step()
    assert core.autoreset.resting.tolist() == [True, False, False]
    assert core.reset() == [100, 100, 100]
    assert not core.autoreset.resting.any()


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_mode_may_be_given_by_its_value(mode):
    assert Autoreset(Counter(mode), 3, AutoresetMode(mode.value)).mode is mode
