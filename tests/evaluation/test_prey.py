"""What a search declares a failure is one: on worlds without a failure it hardly ever does, whatever it looks at."""

import numpy as np
import pytest

from evaluation.adversary import Outcomes
from evaluation.prey import ALPHA, TESTS, Prey, level_of
from sim.scenarios.row import make_rows

ROW = make_rows(1)


class World:
    """Episodes whose loss is normal with deviation 1, killed at random; it keeps the seeds it was asked for."""

    def __init__(self, loss=0.0, kill=0.0):
        self.loss, self.kill, self.seeds = loss, kill, []

    def __call__(self, rows, episodes, seed):
        self.seeds.append(seed)
        random = np.random.default_rng(seed)
        shape = (len(rows), episodes)
        loss = random.normal(self.loss, 1.0, shape)
        return Outcomes(loss, np.abs(loss), random.random(shape) < self.kill, {})


def prey(world, score="kill", threshold=0.2, seed=0, confirm_episodes=128):
    return Prey(world, score, threshold, episodes=4, confirm_episodes=confirm_episodes, seed=seed)


def test_levels_by_hand():
    """1 + 1/4 + ... + 1/144 = 1.564977: the first test has 0.05 / 1.564977 = 0.031949, the second a quarter of it."""
    assert level_of(1) == pytest.approx(0.031949, abs=1e-6) and level_of(2) == pytest.approx(level_of(1) / 4)
    assert sum(level_of(k) for k in range(1, TESTS + 1)) == pytest.approx(ALPHA)


def test_of_searches_that_look_at_hundreds_of_rows_at_the_threshold_one_in_twenty_declares_a_failure():
    """The worst case: no row is above the threshold, all of them reach it. One look on fixed episodes at 2.5 % would
    declare one in all 100 searches that have 300 candidates: 1 - 0.975^300 = 0.9995. P[Bin(100, 0.05) > 10] = 1.1 %."""
    declared = 0
    for seed in range(100):
        hunted = prey(World(kill=0.2), seed=seed)
        declared += any(hunted.confirm(ROW) for _ in range(300))
    assert declared <= 10


def test_a_world_a_tenth_below_its_threshold_has_no_failure():
    """Mean 0.9, threshold 1, deviation 1: on one set of episodes for all, half of such searches declared one."""
    for seed in range(4):
        hunted = prey(World(loss=0.9), "loss", 1.0, seed)
        assert not any(hunted.confirm(ROW) for _ in range(60))


def test_what_fails_is_confirmed_at_once():
    """A mean of 1.5 is 5.7 standard errors above 1."""
    hunted = prey(World(loss=1.5), "loss", 1.0)
    assert hunted.confirm(ROW) and (hunted.screened, hunted.tests) == (1, 1)
    verdict = hunted.test(ROW)
    assert verdict.failed and hunted.tests == 2 and 1.2 < verdict.value < 1.8
    assert verdict.seed == hunted.play.seeds[-1]


def test_every_look_has_chance_of_its_own():
    """Scores of two generations, screenings and tests, of searches whose seeds are next to each other and far."""
    world = World(kill=0.9)
    for seed in (0, 1, 10_000, 10**9):
        hunted = prey(world, seed=seed)
        for number in range(2):
            hunted.scores(ROW, number)
            hunted.confirm(ROW)
            hunted.test(ROW)
        hunted.glimpse(ROW)
    assert len(world.seeds) == 4 * (2 * 4 + 1) == len(set(world.seeds))


def test_choosing_among_rows_goes_by_one_set_of_episodes_and_asks_for_a_margin():
    world = World(loss=1.5)
    hunted = prey(world, "loss", 1.0)
    values = {hunted.glimpse(ROW) for _ in range(3)}
    assert len(values) == 1 and hunted.holds(ROW) and len(set(world.seeds)) == 1
    (value,) = values
    # standard error about 0.088, level 3.2 %: the end lies 0.16 below, twice that is 0.33
    assert prey(world, "loss", value - 0.4).holds(ROW) and not prey(world, "loss", value - 0.25).holds(ROW)
    assert hunted.tests == 0


def test_a_search_whose_tests_are_spent_declares_nothing():
    hunted = prey(World(kill=1.0))
    assert [hunted.test(ROW).failed for _ in range(TESTS + 2)] == [True] * TESTS + [False] * 2
    assert not hunted.confirm(ROW) and hunted.screened == 0


@pytest.mark.parametrize("wrong", [{"confirm_episodes": 8}, {"seed": -1}])
def test_wrong_use_is_explained(wrong):
    with pytest.raises(ValueError, match="16 or more to confirm on, and a seed from 0 on"):
        prey(World(), **wrong)
