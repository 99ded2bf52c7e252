"""Rows in turn: environment i plays row i, then the next; without the flag a random one."""

import numpy as np

from sim.engine import Engine
from sim.scenarios import Scenario
from sim.scenarios.portfolio import cross_venue
from sim.scenarios.row import make_rows

ROWS = make_rows(5, life_s=np.arange(1.0, 6.0))


def rows_played(engine, episodes):
    played = []
    for _ in range(episodes):
        engine.reset()
        played.append(engine.state.account["row"].copy())
    return np.array(played)


def test_every_environment_plays_its_own_row_and_then_the_next():
    engine = Engine(Scenario(ROWS, sequential=True), 4, seed=3)
    assert rows_played(engine, 3).tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 0]]
    lives = engine.state.market["close_ns"] - engine.state.account["start_ns"]
    assert (lives // 10**9).tolist() == [3, 4, 5, 1]  # rows 2, 3, 4, 0


def test_the_row_goes_by_the_global_number():
    engine = Engine(Scenario(ROWS, sequential=True), 2, seed=3, first_env=3)
    assert rows_played(engine, 1).tolist() == [[3, 4]]


def test_markets_of_one_environment_share_its_row():
    engine = Engine(Scenario(ROWS, portfolio=cross_venue(), sequential=True), 3, seed=0)
    engine.reset()
    assert engine.state.market["row"].tolist() == [0, 0, 1, 1, 2, 2]


def test_without_the_flag_rows_are_random():
    played = rows_played(Engine(Scenario(ROWS), 4, seed=3), 40)
    assert set(np.ravel(played)) == set(range(5)) and (played[0] != np.arange(4)).any()
