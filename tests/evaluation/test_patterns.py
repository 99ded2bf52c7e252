"""Entries on patterns: which they are, and which of them gained, against a slow loop over fills."""

import numpy as np
import pytest
from made_up import made_up
from worlds import make_env

from evaluation.patterns import HORIZON_S, PATTERNS, Watcher, success
from evaluation.rollout import rollout
from sim.types import SECOND_NS


def gained_by_hand(episodes, shown):
    """(entries, of which gained): walk through the fills with a running position."""
    held, entries, gained = {}, 0, 0
    for k, fill in enumerate(episodes.fill):
        e = int(episodes.fill_episode[k])
        before = held.get(e, 0)
        held[e] = before + int(fill["qty"])
        if (abs(held[e]) <= abs(before) and before * held[e] >= 0) or not shown[k]:
            continue
        entries += 1
        until = int(fill["ns"]) - int(episodes.start_ns[e]) + HORIZON_S * SECOND_NS
        last = int(episodes.steps[e])
        column = next((t for t in range(last + 1) if episodes.elapsed_ns[e, t] >= until), last)
        value2 = int(episodes.mid2_px[e, column])
        if episodes.settled[e] and column == last:
            value2 = 2 * int(episodes.payout_px[e])
        gained += int(fill["qty"]) * (value2 - 2 * int(fill["px"])) > 2 * int(fill["fee_uusd"])
    return entries, gained


@pytest.mark.parametrize("maker", [False, True])
@pytest.mark.parametrize("every", [1, 3])
def test_success_counts_as_a_slow_loop_does(maker, every):
    episodes = made_up(40, 80, seed=3, skill=0.4, maker=maker)
    shown = np.arange(len(episodes.fill)) % every == 0
    entries, gained = gained_by_hand(episodes, shown)
    found = success(episodes, shown)
    assert entries > 50
    assert found.entries == entries and found.share.value == pytest.approx(gained / entries)
    assert found.share.low < found.share.value < found.share.high


def test_who_knows_more_succeeds_more():
    plain, skilled = (made_up(60, 80, seed=5, skill=skill, maker=True) for skill in (0.0, 0.9))
    shares = [success(one, np.ones(len(one.fill), np.bool_)).share.value for one in (plain, skilled)]
    assert shares[1] > shares[0] + 0.1


def test_without_entries_nothing_is_defined():
    episodes = made_up(5, 20, rate=0.0)
    found = success(episodes, np.zeros(0, np.bool_))
    assert found.entries == 0 and np.isnan(found.share.value)


class Noting:
    """Buys or sells at random, and keeps what it has seen."""

    def __init__(self, rows):
        self.seen, self.rows, self.rng = [], rows, np.random.default_rng(0)

    def act(self, obs):
        self.seen.append(obs.copy())
        return self.rng.choice(self.rows, len(obs))


def test_a_fill_is_on_a_pattern_where_the_observation_before_it_shows_one():
    """Seven episodes in three environments, so that rounds are told apart; a forecast 2 cents off is the pattern."""
    env = make_env(3, features=("book", "signal"), window_s=15.0)
    rows = [env.table.listed.index([verb, "YES", 5.0, "cross"]) for verb in ("buy", "sell")]
    noting = Noting(rows)
    watcher = Watcher(noting, ["signal"], env.spec_sheet["observation"], 1)
    calls, begin = [], watcher.begin
    watcher.begin = lambda mask: (calls.append((len(noting.seen), mask.copy())), begin(mask))
    episodes = rollout(env, watcher, 7)
    shown = watcher.shown(episodes)[:, 0]
    column = env.spec_sheet["observation"].index("signal_edge")
    expected, turn = [], {}
    starts = {}
    for number, slot in enumerate(episodes.slot.tolist()):
        begun = [at for at, mask in calls if mask[slot]]
        starts[number] = begun[turn.get(slot, 0)]
        turn[slot] = turn.get(slot, 0) + 1
    for k in range(len(episodes.fill)):
        e = int(episodes.fill_episode[k])
        seen = noting.seen[starts[e] + int(episodes.fill_step[k])][episodes.slot[e], column]
        expected.append(abs(seen) >= PATTERNS["signal"].least)
    assert shown.tolist() == expected
    assert 0 < sum(expected) < len(expected)
    looks = [
        abs(noting.seen[starts[e] + t][slot, column]) >= PATTERNS["signal"].least
        for e, slot in enumerate(episodes.slot.tolist())
        for t in range(episodes.steps[e])
    ]
    assert watcher.looks(episodes) == pytest.approx([np.mean(looks)])


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("moon", "pattern 'moon': expected one of signal, flow"),
        ("link", "link_violation is not observed; add its group"),
    ],
)
def test_what_cannot_be_watched_is_refused(pattern, words):
    env = make_env(1, features=("book", "signal"))
    with pytest.raises(ValueError, match=words):
        Watcher(Noting([0]), [pattern], env.spec_sheet["observation"], 1)
