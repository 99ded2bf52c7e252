"""Which row an episode plays: by weight, and with equal weights as `below` chooses."""

import numpy as np
import pytest

from sim.engine import Engine
from sim.rng import below, chosen, share_ends
from sim.scenarios import Scenario, synthetic
from sim.scenarios.row import make_rows

ROWS = make_rows(3, life_s=np.array([4.0, 6.0, 5.0]))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 256, 1000])
def test_equal_weights_choose_as_below_does(count):
    """Also at the words where one choice ends and the next begins."""
    ends = share_ends(np.ones(count))
    edges = np.concatenate([ends - 1, ends[:-1], [0, 2**32 - 1]])
    for word in edges.tolist():
        assert chosen(word, ends) == below(word, count)


def test_shares_are_as_the_weights():
    """Of 2**32 words 1/4, none, 3/4: the first ends at 2**30, the second there too."""
    ends = share_ends(np.array([2.0, 0.0, 6.0]))
    assert ends.tolist() == [2**30, 2**30, 2**32]
    assert [chosen(word, ends) for word in (0, 2**30 - 1, 2**30, 2**32 - 1)] == [0, 0, 2, 2]


def test_episodes_play_rows_by_weight():
    """1,000 episodes of weights 1 : 0 : 3. Mean of the last row's count 750, deviation sqrt(1000 x 3/16) = 13.7; five
    of them are 69: a false alarm in 1.7 million seeds."""
    engine = Engine(synthetic(ROWS), 1000, seed=5)
    engine.weigh(np.array([1.0, 0.0, 3.0]))
    engine.reset()
    count = np.bincount(engine.state.account["row"], minlength=3)
    assert count[1] == 0 and abs(count[2] - 750) < 69


def test_pinned_environments_keep_their_rows():
    engine = Engine(synthetic(ROWS), 2)
    engine.pin(np.array([0, 1]))
    engine.weigh(np.array([0.0, 0.0, 1.0]))
    engine.reset()
    assert engine.state.account["row"].tolist() == [0, 1]


@pytest.mark.parametrize("weights", [[1.0, 1.0], [0.0, 0.0, 0.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0]])
def test_wrong_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        Engine(synthetic(ROWS), 2).weigh(np.array(weights))


def test_rows_in_turn_have_no_weights():
    with pytest.raises(ValueError, match="not played in turn"):
        Engine(Scenario(ROWS, sequential=True), 2).weigh(np.ones(3))
