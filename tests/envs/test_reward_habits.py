"""What is told from an account's past steps: how well its actions can be foretold, and its Sharpe ratio."""

import numpy as np
import pytest
from shaped import Desk, near

from envs.habits import RATE, WARM_UP
from envs.vector import TradingVectorEnv
from sim.kernel import how_kernels_run
from sim.types import DO_CANCEL, DO_MERGE, DO_NOTHING, DO_PLACE, INTENT

NOTHING, BUY, SELL, BOTH = range(4)


def orders(kind):
    made = np.zeros((1, 1, 2), INTENT)
    made["do"][0, 0] = DO_PLACE if kind & BUY else DO_NOTHING, DO_PLACE if kind & SELL else DO_NOTHING
    return made


def charges(kinds):
    """Charge of each of the account's actions, one episode; positive = predicted too well."""
    desk = Desk("predictability")
    out = []
    for kind in kinds:
        desk.orders = orders(kind)
        out.append(-desk.step())
    return np.array(out)


def test_predictability_by_hand():
    # 30 purchases. The model's row "after a purchase" has seen n of them, the oldest fading by 0.98 a step:
    # s = (1 - 0.98^n) / 0.02, p = (s + 2) / (s + 8); the first was foretold from the row "after nothing": p = 2 / 8
    expected = [0.0]
    for n in range(29):
        s = (1 - 0.98**n) / 0.02
        skill = ((s + 2) / (s + 8) - 0.25) / 0.75
        expected.append(max(skill - 0.5, 0.0))
    found = charges([BUY] * 30)
    assert found == near(expected)
    # s = 8 / 0.6 - 8 ... skill passes 1/2 at p = 5/8: s + 2 = 5/8 s + 5, s = 8, between 8 and 9 purchases
    assert np.flatnonzero(found)[0] == 1 + 9


def test_who_alternates_is_charged_and_who_does_nothing_is_not():
    # after 150 steps a row has seen 75: s = (1 - 0.98^75) / 0.02 = 39.0, p = 41 / 47, skill 0.83
    found = charges([BUY, SELL] * 75)
    s = (1 - 0.98**74) / 0.02
    assert found[-1] == pytest.approx(((s + 2) / (s + 8) - 0.25) / 0.75 - 0.5)
    assert found[-1] > 0.3
    assert charges([NOTHING] * 150).sum() == 0.0
    assert charges([BOTH, NOTHING] * 75)[-2] > 0.3
    cycle = charges([BUY, BUY, SELL, SELL] * 40)  # a first-order model knows half of it
    assert cycle.max() < 0.1


@pytest.mark.parametrize(
    ("kinds", "rate"), [((NOTHING, BUY, SELL, BOTH), 1e-4), ((NOTHING, BUY, SELL), 1e-3), ((BUY, SELL), 0.02)]
)
def test_who_draws_at_random_is_hardly_ever_charged(kinds, rate):
    """Share of steps charged although every action is drawn anew, over the episodes of 300 steps."""
    rng = np.random.default_rng(0)
    episodes = 4 if how_kernels_run() == "interpreted" else 40
    found = np.concatenate([charges(rng.choice(kinds, 300)) for _ in range(episodes)])
    assert (found > 0).mean() <= rate
    assert found.mean() < 0.001


def test_kinds_are_sides_that_orders_were_sent_to():
    desk = Desk("predictability", markets=2)
    kinds = []
    for bids, asks in (
        ((DO_CANCEL, DO_MERGE), (DO_NOTHING, DO_CANCEL)),
        ((DO_CANCEL, DO_NOTHING), (DO_NOTHING, DO_PLACE)),
        ((DO_PLACE, DO_PLACE), (DO_NOTHING, DO_NOTHING)),
        ((DO_PLACE, DO_NOTHING), (DO_NOTHING, DO_PLACE)),  # over all markets
    ):
        desk.orders["do"][0] = np.transpose([bids, asks])
        desk.step()
        kinds.append(int(desk.memory.tally["action"][0]))
    assert kinds == [NOTHING, SELL, BUY, BOTH]
    desk.begin()
    assert desk.memory.tally["counts"].sum() == 0.0  # an episode's model starts anew


def sharpe_of(results):
    """The formula, for all steps at once: exponentially weighted moments, plain means as long as those are more."""
    mean = square = 0.0
    ratios = []
    for n, result in enumerate(results, 1):
        rate = max(0.01, 1 / n)
        mean, square = (1 - rate) * mean + rate * result, (1 - rate) * square + rate * result**2
        ratios.append(mean / max(max(square - mean**2, 0.0) ** 0.5, 0.1))  # the floor: 1e-5 of $10,000
    return np.array(ratios)


def test_sharpe_by_hand():
    desk = Desk("sharpe")
    results = [1.0, 3.0] * 15  # mean 2, deviation 1: a ratio of 2
    assert [desk.step(pnl=result) for result in results] == [0.0] * 30  # warm-up
    # the 31st step weighs 1/31: mean 2 + 2 / 31 = 64/31, mean of squares 5 + (16 - 5) / 31 = 166/31
    mean, square = 64 / 31, 166 / 31
    assert desk.step(pnl=4.0) == near(mean / (square - mean**2) ** 0.5 - 2.0)


def test_the_sum_of_the_growth_of_sharpe_is_sharpe():
    rng = np.random.default_rng(1)
    for drift in (-0.3, 0.0, 0.3):
        results = np.round(rng.standard_t(2, 400) * (rng.random(400) < 0.3) + drift, 6)  # fat tails, quiet in between
        desk = Desk("sharpe")
        growth = np.array([desk.step(pnl=result) for result in results])
        ratios = sharpe_of(results)
        assert growth[:WARM_UP].tolist() == [0.0] * WARM_UP
        assert np.cumsum(growth)[WARM_UP:] == pytest.approx(ratios[WARM_UP:] - ratios[WARM_UP - 1], abs=1e-9)
        assert np.abs(growth).max() < 1.0


def test_small_steps_grow_by_what_moody_and_saffell_have():
    """D = (B (R - A) - A (R^2 - B) / 2) / (B - A^2)^1.5, the derivative of S by the weight of a step."""
    desk = Desk("sharpe")
    rng = np.random.default_rng(2)
    for result in rng.normal(0.5, 1.0, 2000):
        mean, square = desk.memory.tally["mean"][0], desk.memory.tally["square"][0]
        growth, result = desk.step(pnl=result), round(result, 6)
    first_order = (square * (result - mean) - mean * (result**2 - square) / 2) / (square - mean**2) ** 1.5
    assert growth == pytest.approx(RATE * first_order, rel=0.05)


def test_an_account_that_does_nothing_has_no_ratio():
    desk = Desk("sharpe", "predictability")
    assert [desk.step() for _ in range(40)] == [[0.0, 0.0]] * 40


def test_downside_is_a_loss():
    desk = Desk("downside", "pnl")
    assert [desk.step(pnl=pnl) for pnl in (2.5, -1.25, 0.0)] == [[0.0, 2.5], [-1.25, -1.25], [0.0, 0.0]]


def test_in_a_market_the_terms_say_what_the_account_did():
    """The same purchase every step is foretold; the sum of the ratio's growth is the ratio of the episode's results."""
    env = TradingVectorEnv(2, reward={"predictability": 1.0, "sharpe": 1.0, "downside": 1.0, "pnl": 1.0}, window_s=60.0)
    env.reset(seed=3)
    terms, pnl = np.zeros((59, 2, 4)), np.zeros((59, 2))
    for step in range(59):
        *_, info = env.step(np.array([1, 0]))
        terms[step], pnl[step] = info["reward_terms"], info["reward_uusd"] / 1e6
    assert (terms[20:, 0, 0] < 0.0).any()
    assert (terms[:, 1, 0] == 0.0).all()
    for index in range(2):
        ratios = sharpe_of(pnl[:, index])
        assert terms[:, index, 1].sum() == pytest.approx(ratios[-1] - ratios[WARM_UP - 1], abs=1e-9)
        assert terms[:, index, 2].tolist() == np.minimum(pnl[:, index], 0.0).tolist()
