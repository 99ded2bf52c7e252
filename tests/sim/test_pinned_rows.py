"""An environment that is pinned to a row plays it as an engine with that row alone does, bit for bit."""

import numpy as np
import pytest

from sim.engine import Engine
from sim.scenarios import synthetic
from sim.scenarios.row import make_rows
from sim.types import INTENT

LIFE_S = np.array([4.0, 6.0, 5.0])
ROWS = make_rows(3, life_s=LIFE_S, half_spread=np.array([0.002, 0.01, 0.03]), news_rate=np.array([0.5, 2.0, 1.0]))


def engine(rows, count, **settings):
    return Engine(synthetic(rows), count, seed=11, window_s=np.inf, **settings)


def play(one, seconds=3):
    nothing = np.zeros((one.num_envs, one.num_markets, 2), INTENT)
    for _ in range(seconds):
        one.submit(nothing)
        one.advance(1.0)


def test_a_pinned_environment_plays_its_row_on_the_chance_of_its_number():
    """Rows 2, 0, 1, 2 on numbers 0, 0, 0, 5: each as an engine that has nothing but that row."""
    rows, numbers = np.array([2, 0, 1, 2]), np.array([0, 0, 0, 5])
    batch = engine(ROWS, 4)
    batch.pin(rows, numbers)
    for episode in range(2):
        batch.reset()
        assert batch.state.account["row"].tolist() == rows.tolist()
        play(batch)
        for env, (row, number) in enumerate(zip(rows, numbers, strict=True)):
            alone = engine(ROWS[row : row + 1], 1, first_env=int(number))
            for _ in range(episode + 1):
                alone.reset()
            play(alone)
            assert (batch.state.book[env] == alone.state.book[0]).all()
            for name in ("mid2_px", "latent_ppm", "close_ns", "best_bid", "best_ask", "event_ns"):
                assert batch.state.market[name][env] == alone.state.market[name][0], name
    assert batch.state.market["row"].tolist() == rows.tolist()


def test_only_the_masked_begin_anew_and_keep_their_rows():
    batch = engine(ROWS, 4)
    batch.pin(np.array([0, 1, 2, 1]))
    batch.reset()
    assert batch.state.account["number"].tolist() == [0, 1, 2, 3]  # no numbers given: those they had
    batch.reset(np.array([False, True, False, True]))
    assert batch.state.account["episode"].tolist() == [0, 1, 0, 1]
    assert batch.state.account["row"].tolist() == [0, 1, 2, 1]
    assert (batch.state.market["close_ns"] - batch.state.account["start_ns"]).tolist() == [4e9, 6e9, 5e9, 6e9]


def test_forks_stay_pinned():
    batch = engine(ROWS, 2)
    batch.pin(np.array([2, 1]))
    batch.reset()
    twins = batch.fork(2)
    twins.reset()
    assert twins.state.account["row"].tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize("rows", [np.array([0]), np.array([0.0, 1.0]), np.array([0, -1]), np.array([0, 3])])
def test_wrong_rows_are_refused(rows):
    with pytest.raises(ValueError, match=r"engine: expected rows \(2,\)|cannot be pinned to row 3: the scenario has 3"):
        engine(ROWS, 2).pin(rows)
