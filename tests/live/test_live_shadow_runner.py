"""Accounts side by side: each is what the environment would have made of its policy alone, byte for byte."""

import itertools
import logging

import numpy as np
import pytest

from agents.policy import load
from live.monitor.traces import trace_id
from live.shadow.opening import Gathering
from live.shadow.records import Shapes, arrays_of, decode
from live.shadow.rehearsal import rehearse
from live.shadow.runner import Runner
from live.shadow.seats import BENCHED, FAILED, OBEYED, WHYS, Health
from live.shadow.staleness import BAR, QUOTE, Freshness, TimeToLive
from sim.types import (
    CLEAR,
    DO_CANCEL,
    DO_NOTHING,
    END_OF_BATCH,
    FEES,
    GAP,
    LEVEL,
    SECOND_NS,
    SETTLE,
    STATUS,
    TRADE,
)
from sim.wire.listing import Rules
from tests.live.parity import reader_of, replaying, tell
from tests.live.shadowed import Drawn, Shadowed, Steady, make_env


def accounts_of(shadowed, place):
    return [decode(data).accounts[place] for data in shadowed.kept]


@pytest.mark.parametrize(("venue", "markets", "accounts"), [("kalshi", 1, 2), ("polymarket", 2, 3), ("kalshi", 3, 2)])
def test_each_account_is_the_environments(tmp_path, venue, markets, accounts):
    """Two as in shadow and paper, three as in an A/B."""
    told = tell(venue, markets, 40.0)
    policies = [Drawn(seed, markets) for seed in range(accounts)]
    shadowed = Shadowed(tmp_path, told, policies)
    shadowed.play()
    for place, policy in enumerate(policies):
        env = replaying(told, reader_of(told))
        obs, info = env.reset(seed=0)
        placed, shapes = 0, Shapes(markets, True)
        kept = accounts_of(shadowed, place)
        assert len(kept) > 30
        for number, account in enumerate(kept):
            assert account.obs == obs.tobytes() == policy.seen[number].tobytes()
            if number:
                assert account.reward_uusd == info["reward_uusd"][0]
                assert account.equity_uusd == info["equity_uusd"][0]
                assert account.reward_terms == info["reward_terms"].tobytes()
                assert account.costs == info["costs"].tobytes()
                assert (account.regime, account.regime_reason) == (info["regime"][0], info["regime_reason"][0])
            assert (account.why, account.ended) == (OBEYED, False)
            obs, _, _, truncated, info = env.step(policy.done[number])
            assert account.orders == env.sent.tobytes()
            assert account.reason == info["shield_reason"].tobytes() and account.cut == info["shield_cut"].tobytes()
            assert account.reject == np.atleast_2d(info["reject"])[0].astype(np.int32).tobytes()
            placed += np.count_nonzero(arrays_of(account, shapes)["orders"]["do"])
            if truncated.any():  # the tape is over, the stream is not
                break
        assert number > 30 and placed > 10


def test_what_the_other_does_changes_no_byte(tmp_path):
    told = tell("kalshi", 2, 30.0)
    runs = []
    for place, other in enumerate((Steady(0, 2), Drawn(9, 2))):
        shadowed = Shadowed(tmp_path, told, [Drawn(1, 2), other], name=f"s{place}")
        shadowed.play()
        runs.append(shadowed)
    first, second = (accounts_of(one, 0) for one in runs)
    assert first == second and len(first) > 20
    assert accounts_of(runs[0], 1) != accounts_of(runs[1], 1)


def test_a_policy_that_fails_is_the_baseline_on_paper_and_is_said_to_be(tmp_path):
    class Broken(Steady):
        def act(self, observations, masks=None):
            raise RuntimeError("broken")

    told = tell("kalshi", 1, 20.0)
    shadowed = Shadowed(tmp_path, told, [Drawn(1), Broken(5)], health=Health(faults=3, window=5, bench_s=1.0))
    quiet = Shadowed(tmp_path, told, [Drawn(1), Steady(0)], name="quiet")
    for one in (shadowed, quiet):
        one.play()
    made, wanted = accounts_of(shadowed, 1), accounts_of(quiet, 1)
    for account, other in zip(made, wanted, strict=True):  # row 0, hold: what stands behind
        assert (account.obs, account.orders, account.equity_uusd) == (other.obs, other.orders, other.equity_uusd)
    whys = [account.why for account in made]
    assert whys[:4] == [FAILED, FAILED, FAILED, BENCHED] and set(whys) == {FAILED, BENCHED}
    assert sum(shadowed.seats[1].counts.values()) == len(whys) and WHYS[FAILED] in shadowed.seats[1].counts


def test_who_has_ended_stands_still_and_the_other_goes_on(tmp_path):
    told = tell("kalshi", 1, 30.0)
    shadowed, alone = (
        Shadowed(tmp_path, told, policies, name=name)
        for name, policies in (("both", [Steady(5), Drawn(3)]), ("alone", [Drawn(3)]))
    )
    watch = shadowed.watch()
    for one in (shadowed, alone):
        one.begin()
    state = shadowed.session.env.engine.state
    while not shadowed.over:
        watch.add(shadowed.second())
        alone.second()
        if shadowed.runner.number == 10:
            state.account["done"][0] = 1
            fills = watch.tally.fills.copy()
    first = accounts_of(shadowed, 0)
    assert all(account.ended for account in first[10:]) and not first[9].ended
    assert all(account.reward_uusd == 0 for account in first[10:])
    assert len({account.equity_uusd for account in first[10:]}) == 1
    assert not any(arrays_of(account, Shapes(1, True))["orders"]["do"].any() for account in first[10:])
    assert watch.tally.fills[0] == fills[0] and watch.tally.fills[1] > fills[1]
    # what is judged and shown is read where the market goes on
    assert shadowed.runner.shown == 1 and not shadowed.runner.ended
    best = state.market[1]["best_bid"]
    view = watch.view(
        0, state="", why="", feed="", heard_ns=0, counts={}, killed=False, trading=None
    )  # fmt: skip
    assert view.markets[0].bids[0][0] == shadowed.session.env.engine.world.px_of[best]
    assert state.market[0]["best_bid"] != best or state.market[0]["cursor"] != state.market[1]["cursor"]
    for account, other in zip(accounts_of(shadowed, 1), accounts_of(alone, 0), strict=True):
        assert account.obs == other.obs and account.orders == other.orders
    state.account["done"][1] = 1
    assert shadowed.runner.ended
    with pytest.raises(ValueError, match="every account has ended"):
        shadowed.second()


def test_what_is_killed_only_cancels(tmp_path):
    shadowed = Shadowed(tmp_path, tell("kalshi", 2, 20.0), [Drawn(1, 2), Drawn(2, 2)])
    shadowed.begin()
    for _ in range(5):
        shadowed.second()
    shadowed.runner.killed = "enough"
    for _ in range(5):
        step = shadowed.second()
        assert (step.certified.orders["do"] == DO_CANCEL).all() and step.decision.cancel
    state = shadowed.session.env.engine.state
    assert not (state.orders["id"] > 0).any()
    assert not state.account["n_messages"].any()  # nothing rests, so nothing is sent


def test_a_trace_and_a_number_name_each_decision(tmp_path):
    shadowed = Shadowed(tmp_path, tell("kalshi", 1, 10.0), [Steady(0)], name="abc")
    shadowed.play()
    made = [decode(data) for data in shadowed.kept]
    assert [one.number for one in made] == list(range(len(made)))
    assert [one.trace for one in made] == [trace_id("abc", one.number) for one in made]
    assert all(later.ns - one.ns == SECOND_NS for one, later in itertools.pairwise(made))


def test_as_many_seats_as_accounts(tmp_path):
    shadowed = Shadowed(tmp_path, tell("kalshi", 1, 5.0), [Steady(0)])
    with pytest.raises(ValueError, match="runner: 2 seats for 1 accounts"):
        Runner(
            shadowed.session, shadowed.seats * 2, Freshness(TimeToLive(), 1), None, None, "", signals=False,
            step_ns=None,
        )  # fmt: skip


# How old


def test_the_opening_is_no_old_book(tmp_path):
    """A market that was told long before the others, and is quiet, is as old as what it was told, not for ever."""
    told, later = tell("kalshi", 2, 10.0), 1_800_000_000 * SECOND_NS
    told = told._replace(frames=[(ns + later, frame) for ns, frame in told.frames])
    shadowed = Shadowed(tmp_path, told, [Steady(0, 2)])
    step = shadowed.begin()
    assert not step.verdict.stale.any() and not step.verdict.parts[:, QUOTE].any()
    moment = shadowed.session.now_ns + 2 * SECOND_NS  # nothing more is told
    later = shadowed.runner.decide(moment, moment)
    assert not later.verdict.stale.any()


def test_who_was_long_in_coming_back_holds_its_orders(tmp_path):
    shadowed = Shadowed(tmp_path, tell("kalshi", 1, 30.0), [Steady(5)])
    shadowed.begin()
    assert not shadowed.second().verdict.stale.any()
    held = shadowed.second(6)  # five seconds longer than a step of one
    assert held.verdict.parts[0, BAR] and held.certified.held.any()
    assert (held.certified.orders["do"] == DO_NOTHING).all()
    assert not shadowed.second(5).verdict.parts[0, BAR]


def test_a_connection_that_is_silent_holds_every_order(tmp_path):
    shadowed = Shadowed(tmp_path, tell("kalshi", 2, 10.0), [Steady(5, 2)], freshness=TimeToLive(silence_s=3.0))
    shadowed.begin()
    moment = shadowed.session.now_ns + SECOND_NS
    shadowed.hear(moment)
    step = shadowed.runner.decide(moment, moment - 3 * SECOND_NS)
    assert step.verdict.stale.all() and (step.certified.orders["do"] == DO_NOTHING).all() and step.certified.held.any()


def test_a_slow_policy_makes_its_observation_old(tmp_path):
    shadowed = Shadowed(tmp_path, tell("kalshi", 1, 10.0), [Steady(5)], freshness=TimeToLive(feature_s=1e-6))
    assert shadowed.begin().verdict.stale.all()  # the clock takes a microsecond between two looks


# Waiting for books


def row(kind, market=0, flags=END_OF_BATCH, qty=0):
    return (1, 0, qty, 5000, -1, flags, market, kind, 0)


def gathering(markets=2):
    return Gathering([Rules(listing) for listing in tell("kalshi", markets, 1.0).listings])


def test_it_waits_until_every_book_is_known_at_once():
    found = gathering()
    assert found.waiting == ["TEST-0", "TEST-1"]
    assert not found.take([row(CLEAR, 0, 0), row(LEVEL, 0)]) and found.waiting == ["TEST-1"]
    assert not found.take([row(TRADE, 1)]) and not found.take([row(CLEAR, 1, 0)])  # its batch is not over
    assert found.take([row(LEVEL, 1)]) and found.waiting == []


def test_a_book_that_is_lost_meanwhile_is_waited_for_again_and_rules_are_kept():
    found = gathering()
    found.take([row(FEES, 0, qty=1), row(CLEAR, 0, 0), row(LEVEL, 0), row(STATUS, 0, qty=2)])
    found.take([row(GAP, 0, 0)])
    assert not found.take([row(TRADE, 0)]) and found.waiting == ["TEST-0", "TEST-1"]
    assert not found.take([row(CLEAR, 1, 0), row(LEVEL, 1)]) and found.waiting == ["TEST-0"]
    assert found.take([row(CLEAR, 0, 0), row(LEVEL, 0)])
    assert [one[7] for one in found.opening.rows[0]] == [FEES, STATUS, TRADE, CLEAR, LEVEL]


def test_what_was_lost_and_told_again_before_the_beginning_plays_like_what_was_told_once(tmp_path):
    told = tell("kalshi", 1, 20.0)
    begun = told.frames[0][0]
    lost = Shadowed(tmp_path, told, [Drawn(1)], name="lost")
    found = Gathering(lost.rules)
    reader = reader_of(told)
    assert found.take(reader.take(told.frames[0][1], begun).rows)
    found.take(reader.reconnected(begun).rows)
    assert found.waiting == ["TEST-0"]
    assert found.take(reader.take(told.frames[0][1], begun).rows)
    opened = [np.array(one, object).tolist() for one in found.opening.rows]
    again = Gathering(reader_of(told).rules)
    again.take(reader_of(told).take(told.frames[0][1], begun).rows)
    assert opened == [np.array(one, object).tolist() for one in again.opening.rows]


# Before anything is connected


def seats_of(*specs):
    def seats(sheet):
        policies = [load(spec, sheet) for spec in specs]
        return [(policies[0], policies[-1])]

    return seats


def rehearsed(seats, **settings):
    listings = tell("kalshi", 1, 1.0).listings
    rehearse(
        lambda scenario, count, cash: make_env(scenario, count, cash, **settings), seats, listings, 1,
        1_800_000_000 * SECOND_NS, lambda: 0,
    )  # fmt: skip


def test_a_rehearsal_finds_out_whether_they_fit():
    rehearsed(seats_of("baseline:imbalance", "baseline:quoter"))
    rehearsed(seats_of("baseline:fixed"), actions="surface")


def test_a_rehearsal_refuses_what_does_not_decide(caplog):
    caplog.set_level(logging.ERROR)

    class Broken(Steady):
        def act(self, observations, masks=None):
            raise RuntimeError("no network")

    with pytest.raises(ValueError, match="steady does not decide on a quiet book: failed: no network"):
        rehearsed(lambda sheet: [(Broken(0), Steady(0))])
    with pytest.raises(ValueError, match="fixed: its points are of a control surface"):
        rehearsed(seats_of("baseline:fixed"))


def test_settled_markets_end_every_account(tmp_path):
    shadowed = Shadowed(tmp_path, tell("kalshi", 1, 20.0), [Steady(5), Steady(0)])
    shadowed.begin()
    for _ in range(5):
        shadowed.second()
    now = shadowed.session.now_ns
    shadowed.runner.take([(now + 1, 0, 0, 10_000, -1, 1, 0, SETTLE, -1)])
    step = shadowed.runner.decide(now + SECOND_NS, now + SECOND_NS)
    assert shadowed.runner.ended and step.look.ended.all()
    bought = step.decision.accounts[0]
    assert bought.equity_uusd != 10_000_000_000 and bought.ended
