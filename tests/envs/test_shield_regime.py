"""Triggers, regimes, latch and overshoot, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from shielded import WIDE, desk, own, resting, under_way

from envs import memory as memories
from envs.buffers import make_buffers
from envs.shield import REGIME_REASONS, REGIMES
from envs.shield.stage import begin_watch, lift_latches, make_guard, watch_markets
from envs.transition import CHANGE
from sim.types import BID, SECOND_NS, UUSD

EVERYONE = np.ones(1, np.bool_)
TRIGGERS = replace(
    WIDE, drawdown_warning=0.03, drawdown_critical=0.05, marked_loss_warning=0.04, marked_loss_critical=0.06,
    stale_warning=10.0, stale_critical=60.0, gap_critical=True, fee_change_seconds=20.0, calm_seconds=5.0,
)  # fmt: skip


class Account:
    """Environment 0, looked at second by second."""

    def __init__(self, limits=TRIGGERS, markets=1):
        self.state = desk(1, markets)
        self.state.market["book_ns"] = self.state.account["now_ns"][0]
        self.guard = make_guard(limits, (), 1, markets)
        self.memory = memories.allocate(1, markets, guarded=True)
        self.changes, self.now = np.zeros(1, CHANGE), make_buffers(1, markets, 1, 1, 1, 1, guarded=True)
        begin_watch(self.guard, self.memory, self.state, EVERYONE)

    def look(self, equity=None, seconds=1.0, *, quiet=False):
        """Regime and reason after ``seconds``; the book moves, unless ``quiet``."""
        account = self.state.account[0]
        account["now_ns"] += round(seconds * SECOND_NS)
        if equity is not None:
            account["equity_uusd"] = round(equity * UUSD)
        if not quiet:
            self.state.market["book_ns"] = account["now_ns"]
        watch_markets(self.guard, self.memory, self.state, EVERYONE, 0, 1, self.changes, self.now)
        return REGIMES[self.now.regime[0]], REGIME_REASONS[self.now.regime_reason[0]]

    @property
    def kill(self):
        return int(self.changes["kill"][0])

    @property
    def overshoot(self):
        return int(self.now.overshoot_uusd[0])


def test_an_episode_begins_normal():
    assert Account().look() == ("normal", "begun")


def test_drawdown_warns_then_trips_the_kill_switch_once():
    account = Account()
    assert account.look(10_400) == ("normal", "begun")
    assert account.look(10_100) == ("normal", "begun")  # 300 below the peak: not more than 3 % of the 10,000 begun with
    assert account.look(10_099) == ("warning", "drawdown")
    assert account.kill == 0
    assert account.look(9_893.5) == ("critical", "drawdown")  # 506.5 below, 6.5 past the trigger
    assert (account.kill, account.overshoot) == (1, 6_500_000)
    assert account.look(9_000) == ("critical", "drawdown")
    assert (account.kill, account.overshoot) == (0, 6_500_000)
    assert account.look(10_400) == ("critical", "drawdown")  # a latch


def test_a_warning_ends_after_calm():
    account = Account()
    account.look(9_690)
    assert account.look(9_800, 4.9) == ("warning", "drawdown")
    assert account.look(9_800, 0.2) == ("normal", "calm")  # 5.1 s after the last cause


def test_an_operator_lifts_the_latch_and_counting_begins_anew():
    account = Account()
    account.look(9_000)
    assert lift_latches(account.memory, account.state, EVERYONE) == 1
    assert account.look(9_000) == ("normal", "operator")
    assert account.look(8_710) == ("normal", "operator")  # 290 below where it was lifted
    assert account.look(8_490) == ("critical", "drawdown")
    assert account.kill == 0  # the first of an episode counts
    assert lift_latches(account.memory, account.state, ~EVERYONE) == 0


def test_the_next_episode_lifts_it_too():
    account = Account()
    account.look(9_000)
    account.state.account["equity_uusd"] = 10_000 * UUSD
    begin_watch(account.guard, account.memory, account.state, EVERYONE)
    assert account.look() == ("normal", "begun")
    account.look(9_000)
    assert account.kill == 1


def test_marked_loss_counts_from_the_days_first_look():
    limits = replace(TRIGGERS, drawdown_warning=1.0, drawdown_critical=1.0)
    account = Account(limits)
    account.look(10_300)
    assert account.look(9_599) == ("warning", "marked_loss")  # 401 below the 10,000 of the beginning
    assert account.look(9_399) == ("critical", "marked_loss")
    assert account.overshoot == 1 * UUSD
    account = Account(limits)
    account.look(9_650)
    account.look(9_650, 86_400)  # the next day begins at 9,650
    assert account.look(9_251) == ("normal", "begun")
    assert account.look(9_249) == ("warning", "marked_loss")


def test_the_realised_loss_of_a_day_is_forgotten_with_it():
    account = Account()
    account.state.position["realised_uusd"] = -50 * UUSD
    account.look()
    assert account.memory.watch["day_realised_uusd"][0] == 0
    account.look(seconds=86_400)
    assert account.memory.watch["day_realised_uusd"][0] == -50 * UUSD


@pytest.mark.parametrize(
    "use",
    [
        lambda state: own(state, 0, no=1),
        lambda state: resting(state, 0, BID, 40, 1),
        lambda state: under_way(state, 0, BID, 40, 1),
    ],
)
def test_stale_data_counts_where_something_is_held_or_wanted(use):
    account = Account()
    assert account.look(seconds=30, quiet=True) == ("normal", "begun")
    use(account.state)
    assert account.look(quiet=True) == ("warning", "stale_data")
    assert account.look() == ("warning", "stale_data")
    assert account.look(seconds=5) == ("normal", "calm")
    assert account.look(seconds=61, quiet=True) == ("critical", "stale_data")
    assert account.kill == 1


def test_a_gap_trips_the_kill_switch_or_warns():
    account = Account()
    account.state.account["gap"] = 1
    assert account.look() == ("critical", "feed_gap")
    account = Account(replace(TRIGGERS, gap_critical=False))
    account.state.account["gap"] = 1
    assert account.look() == ("warning", "feed_gap")


def test_a_change_of_fees_warns_for_a_while():
    account = Account(markets=2)
    account.state.market["fee"][1] = 1
    assert account.look() == ("warning", "fee_change")
    assert account.look(seconds=19) == ("warning", "fee_change")
    assert account.look(seconds=1) == ("normal", "calm")
    account = Account(replace(TRIGGERS, fee_change_seconds=0.0))
    account.state.market["fee"] = 1
    assert account.look() == ("normal", "begun")


def test_another_warning_does_not_cut_the_calm_period_short():
    # fees change: 20 s. A drawdown 2 s later ends at once and asks for 5 s more: less than what is left
    account = Account()
    account.state.market["fee"] = 1
    account.look()
    assert account.look(9_690, 2) == ("warning", "fee_change")
    assert account.look(9_800, 17) == ("warning", "fee_change")  # 19 s after the change
    assert account.look(9_800, 1) == ("normal", "calm")


def test_a_change_of_fees_counts_beside_another_trigger():
    account = Account()
    account.state.market["fee"] = 1
    assert account.look(9_690) == ("warning", "drawdown")
    assert account.look(9_800, 19) == ("warning", "drawdown")
    assert account.look(9_800, 1) == ("normal", "calm")


def test_who_rests_is_not_looked_at():
    account = Account()
    account.state.account["equity_uusd"] = 9_000 * UUSD
    watch_markets(account.guard, account.memory, account.state, ~EVERYONE, 0, 1, account.changes, account.now)
    assert account.now.regime[0] == 0
