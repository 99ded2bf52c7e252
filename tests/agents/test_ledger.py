"""The ledger: whole episodes over many rollouts, discounts, events, tails, against sums made the slow way."""

import numpy as np
import pytest

from agents.budgets import Constraint, cvar
from agents.ledger import TAIL_EPISODES, Ledger


def one(kind, limit=1.0, alpha=0.95, column=0):
    return Constraint("cost", column, kind, limit, alpha)


def play(ledger, costs, dones):
    """One rollout of ``costs`` (T, N, K) and ``dones`` (T, N); what was learnt and what was spent."""
    ledger.clear()
    learned = np.stack([ledger.add(step, costs[step], dones[step]) for step in range(len(costs))])
    ledger.charge_tails(learned)
    return learned, ledger.spent()


def test_a_long_episode_counts_once_and_whole():
    ledger = Ledger([one("episode")], 0.9, 1)
    going, over = np.zeros((4, 1), bool), np.array([[False], [True], [False], [False]])
    costs = np.ones((4, 1, 1))
    for _ in range(2):
        _, (spent, noise) = play(ledger, costs, going)
        assert np.isnan(spent[0]) and np.isnan(noise[0])
    _, (spent, noise) = play(ledger, costs, over)
    assert (spent[0], noise[0]) == (4 + 4 + 2, 0.0)
    _, (spent, _) = play(ledger, costs, over)
    assert spent[0] == 2 + 2  # the two steps after the end, and two more


@pytest.mark.parametrize("kind, gamma", [("episode", 1.0), ("discounted", 0.8)])
def test_sums_against_the_slow_way(kind, gamma):
    rng = np.random.default_rng(0)
    costs, dones = rng.normal(size=(60, 3, 2)), rng.random((60, 3)) < 0.15
    ledger = Ledger([one(kind, column=1)], 0.8, 3)
    parts = [play(ledger, costs[first : first + 12], dones[first : first + 12])[1] for first in range(0, 60, 12)]
    wanted = [[] for _ in range(5)]
    for row in range(3):
        begin = 0
        for step in np.flatnonzero(dones[:, row]):
            episode = costs[begin : step + 1, row, 1]
            wanted[step // 12].append(sum(gamma**t * cost for t, cost in enumerate(episode)))
            begin = step + 1
    for (spent, noise), sums in zip(parts, wanted, strict=True):
        assert spent[0] == pytest.approx(np.mean(sums))
        assert noise[0] == pytest.approx(np.std(sums) / len(sums) ** 0.5)


def test_a_truncated_episode_goes_on_in_value_where_it_is_discounted():
    ledger = Ledger([one("discounted"), Constraint("sum", 0, "episode", 1.0, 0.95)], 0.5, 3)
    for step, dones in enumerate(([False, False, False], [False, True, True])):
        ledger.add(step, np.full((3, 1), 4.0), np.array(dones))
    ledger.go_on(np.array([2]), np.array([[8.0, 100.0]]))
    # row 1 ended: 4 + 0.5 x 4 = 6; row 2 was truncated: 6 + 0.25 x 8 = 8. Undiscounted sums are 8 each.
    spent, noise = ledger.spent()
    assert spent.tolist() == [7.0, 8.0] and noise == pytest.approx([1.0 / 2**0.5, 0.0])


def test_staggered_first_episodes_do_not_count():
    tail = Constraint("tail", 0, "cvar", 1.0, 0.5)
    ledger = Ledger([one("episode"), tail], 0.9, 2, staggered=True)
    costs, dones = np.ones((5, 2, 1)), np.zeros((5, 2), bool)
    dones[1, 0] = dones[4, 0] = dones[3, 1] = True
    learned, (spent, _) = play(ledger, costs, dones)
    # row 0 ends its partial episode after 2 steps and a whole one of 3; row 1 only a partial one of 4
    assert spent.tolist() == [3.0, 3.0] and learned[..., 1].sum() == 0.0
    _, (spent, _) = play(ledger, costs, dones)
    assert spent[0] == (2 + 3 + 5) / 3  # row 1 goes on from one step; from here all count


def test_rows_that_begin_anew_forget_what_was_not_finished():
    ledger = Ledger([one("discounted")], 0.5, 2)
    ledger.add(0, np.ones((2, 1)), np.zeros(2, bool))
    ledger.begin(np.array([True, False]))
    ledger.add(1, np.ones((2, 1)), np.ones(2, bool))
    assert ledger.spent()[0][0] == (1.0 + 1.5) / 2


@pytest.mark.parametrize("charges", [(1.0, 1.0), (2.0, 0.0), (0.5, 0.0)])
def test_a_probability_is_charged_once_and_by_1(charges):
    ledger = Ledger([one("probability", 0.1)], 0.9, 4)
    costs = np.zeros((2, 4, 1))
    costs[:, 2, 0] = charges
    ledger.add(0, costs[0], np.zeros(4, bool))
    with pytest.raises(ValueError, match=r"budget cost is of a probability.* row 2 was charged .* kind=episode"):
        ledger.add(1, costs[1], np.ones(4, bool))


def test_a_probability_is_the_share_of_the_episodes_undiscounted():
    ledger = Ledger([one("probability", 0.1)], 0.5, 4)
    costs = np.zeros((3, 4, 1))
    costs[2, 1] = 1.0
    learned, (spent, _) = play(ledger, costs, np.array([[False] * 4, [False] * 4, [True] * 4]))
    assert spent[0] == 0.25 and learned.sum() == 1.0


def test_a_tail_is_charged_where_its_episode_ends():
    rng = np.random.default_rng(1)
    costs, dones = rng.normal(size=(40, 5, 1)), rng.random((40, 5)) < 0.2
    alpha = 0.75
    ledger = Ledger([one("cvar", alpha=alpha)], 0.9, 5)
    learned, (spent, noise) = play(ledger, costs, dones)
    losses = np.zeros((40, 5))
    running = np.zeros(5)
    for step in range(40):
        running += costs[step, :, 0]
        losses[step] = running
        running[dones[step]] = 0.0
    ended = losses[dones]
    worst, nu = cvar(ended, alpha)
    assert spent[0] == pytest.approx(worst)
    excess = np.maximum(ended - nu, 0.0) / (1 - alpha)
    assert noise[0] == pytest.approx(excess.std() / len(ended) ** 0.5)
    assert learned[..., 0] == pytest.approx(np.where(dones, np.maximum(losses - nu, 0.0) / (1 - alpha), 0.0))
    # nu + the mean charge of an episode is the CVaR: what the learner is charged is what its budget limits
    assert nu + learned.sum() / len(ended) == pytest.approx(worst, rel=1e-6)


def test_a_quantile_is_taken_of_older_episodes_too_while_there_are_few():
    ledger = Ledger([one("cvar", alpha=0.5)], 0.9, 10)
    wanted = round(TAIL_EPISODES / 0.5)
    for loss in range(30):
        _, (spent, _) = play(ledger, np.full((1, 10, 1), float(loss)), np.ones((1, 10), bool))
    # the last 100 losses: ten each of 20 to 29; the worse half has the mean 27
    assert len(ledger.recent[0]) == wanted == 100 and spent[0] == pytest.approx(27.0)
