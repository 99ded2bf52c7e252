"""Random words computed eight arrivals at a time are the words of each arrival's own block."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.engine import Engine
from sim.rng import FLOW, philox, uniform
from sim.scenarios import Scenario
from sim.scenarios.makers import QUANTILE_ONE, quantile_table
from sim.scenarios.portfolio import single
from sim.scenarios.row import make_rows
from sim.state import BLOCKS


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**63 - 1])
def test_words_and_waits_of_every_arrival(seed):
    rows = make_rows(1, life_s=1e6)
    engine = Engine(Scenario(rows, portfolio=single() + single()), 3, seed=seed, first_env=5, window_s=np.inf)
    engine.reset()
    for _ in range(6):
        engine.advance(3.0)
        for slot, market in enumerate(engine.state.market):
            account = engine.state.account[slot // 2]
            first = (int(market["draws"]) - 1) // BLOCKS * BLOCKS
            for lane in range(BLOCKS):
                block = philox(
                    int(account["seed"]), 0, first + lane, FLOW, int(account["number"]), (slot % 2) << 16
                )  # fmt: skip
                assert market["words"][:, lane].tolist() == [block[1], block[2]]
                for part, word in ((0, block[0]), (1, block[3])):
                    expected = math.floor(-math.log(uniform(word)) * 2**26)
                    # one in 10**8 logarithms lies so near a whole number that its last bit matters
                    assert abs(int(market["expo"][part * BLOCKS + lane]) - expected) <= 1


def test_the_table_of_quantiles_has_mean_one():
    """Linear between knots: the mean is the sum of the intervals' middles over their number."""
    knots = quantile_table()
    assert (np.diff(knots) > 0).all()
    assert ((knots[:-1] + knots[1:]) / 2).mean() == pytest.approx(QUANTILE_ONE, rel=1e-6)
    assert knots[128] == round(math.log(2) * QUANTILE_ONE)  # the median of an exponential is log 2
