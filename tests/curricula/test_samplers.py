"""Samplers see rows and results. What they make of them, by hand."""

import numpy as np
import pytest

from curricula.samplers import SAMPLERS, hardness, make_sampler
from sim.scenarios.row import make_rows

LIVES = np.array([100.0, 200.0, 300.0, 400.0, 500.0])
ROWS = make_rows(5, life_s=LIVES)


def test_hardness_is_the_distance_from_the_middle():
    """Lives of 100 to 500 s lie at 0, 1/4, 1/2, 3/4 and 1 of their range: |2 x - 1| = 1, 1/2, 0, 1/2, 1."""
    assert hardness(ROWS).tolist() == [1.0, 0.5, 0.0, 0.5, 1.0]
    assert hardness(make_rows(2)).tolist() == [0.0, 0.0]


def test_uniform_does_not_care():
    sampler = make_sampler("uniform", ROWS)
    sampler.note(np.array([0, 1]), np.array([-100.0, 5.0]))
    assert sampler.weights().tolist() == [1.0] * 5


def test_a_rows_mean_is_plain_at_first_and_then_forgets():
    """1, 3: mean 2. After five episodes of 2 each new one counts a fifth: 2 + (12 - 2) / 5 = 4."""
    sampler = make_sampler("replay", ROWS)
    sampler.note(np.array([2, 2]), np.array([1.0, 3.0]))
    assert sampler.mean[2] == 2.0 and sampler.best[2] == 3.0 and sampler.played[2] == 2
    sampler.note(np.array([2, 2, 2]), np.array([2.0, 2.0, 2.0]))
    sampler.note(np.array([2]), np.array([12.0]))
    assert sampler.mean[2] == pytest.approx(4.0) and sampler.best[2] == 12.0


def test_staged_begins_in_the_middle_and_opens_where_the_edge_earns():
    rows = make_rows(16, life_s=np.linspace(100.0, 500.0, 16))
    sampler = make_sampler("staged", rows)
    first = np.flatnonzero(sampler.weights())
    assert first.tolist() == [7, 8]  # the two nearest the middle of 16 rows, an eighth
    sampler.note(np.repeat(first, 4), np.full(8, -1.0))
    assert np.flatnonzero(sampler.weights()).tolist() == [7, 8]  # they lose
    sampler.note(np.repeat(first, 20), np.full(40, 5.0))
    assert np.flatnonzero(sampler.weights()).tolist() == [6, 7, 8, 9]
    assert np.flatnonzero(sampler.weights()).tolist() == [6, 7, 8, 9]  # the new edge has not been played


def test_staged_does_not_wait_for_ever():
    sampler = make_sampler("staged", ROWS)
    for _ in range(8 * sampler.patience):
        weights = sampler.weights()
    assert (weights == 1.0).all()


def test_replay_plays_what_is_new_and_what_has_most_to_learn():
    sampler = make_sampler("replay", ROWS)
    sampler.weights()
    sampler.note(np.array([0, 1, 2, 3]), np.zeros(4))
    weights = sampler.weights()
    assert weights.sum() == pytest.approx(1.0)
    assert weights[4] == pytest.approx(0.2)  # never played: its share if all were alike, and no flood of it
    sampler.note(np.array([4]), np.zeros(1))
    sampler.note(np.array([1, 1, 3, 3]), np.array([10.0, -10.0, 2.0, -2.0]))
    weights = sampler.weights()
    assert weights.sum() == pytest.approx(1.0)
    assert weights.argmax() == 1 and weights[3] > weights[[0, 2, 4]].max()


def test_replay_comes_back_to_what_it_has_not_played_for_long():
    """All alike but for the time: row 0 was played in rollout 1, the others in 3; in 4 they have waited 3 and 1."""
    sampler = make_sampler("replay", ROWS)
    sampler.weights()
    sampler.note(np.arange(5), np.zeros(5))
    for _ in range(2):
        sampler.weights()
    sampler.note(np.arange(1, 5), np.zeros(4))
    sampler.weights()
    ranks = (1.0 / np.arange(1, 6)) ** (1 / 0.3)
    expected = 0.7 * ranks / ranks.sum() + 0.3 * np.array([3, 1, 1, 1, 1]) / 7
    assert sampler._weights() == pytest.approx(expected)


def test_adversarial_plays_what_goes_badly():
    """Means -1, 0, 0, 0, 1: deviation sqrt(2/5), so the worst has exp(1.58) = 4.86 against 1 and 0.206."""
    sampler = make_sampler("adversarial", ROWS)
    assert sampler.weights().tolist() == [1.0] * 5  # nothing is known
    sampler.note(np.arange(5), np.array([-1.0, 0.0, 0.0, 0.0, 1.0]))
    bad = np.exp(-np.array([-1.0, 0, 0, 0, 1.0]) / np.sqrt(0.4))
    assert sampler.weights() == pytest.approx(0.7 * bad / bad.sum() + 0.3 / 5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_goes_on_from_its_state(name):
    """What is saved is all there is: a second one with the same arrays gives the same weights for ever."""
    rng = np.random.default_rng(0)
    one, other = make_sampler(name, ROWS), make_sampler(name, ROWS)
    for turn in range(12):
        if turn == 6:
            for key, array in one.state().items():
                other.state()[key][:] = array
        rows, results = rng.integers(0, 5, 7), rng.normal(size=7)
        one.note(rows, results)
        weights = one.weights()
        assert weights.shape == (5,) and (weights >= 0).all() and weights.sum() > 0
        if turn >= 6:
            other.note(rows, results)
            assert (other.weights() == weights).all()


def test_an_unknown_sampler_is_refused():
    with pytest.raises(ValueError, match="sampler = best: expected one of uniform, staged, replay, adversarial"):
        make_sampler("best", ROWS)
