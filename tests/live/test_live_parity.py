"""The same policy: what a session beside a venue sees and sends is what an environment does that replays the tape."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from agents.config import PPOConfig
from agents.describe import describe
from agents.network import Network
from agents.policy import choose
from agents.trained import TrainedPolicy
from live.session import Session
from live.stream import Opening, Stream, StreamError
from sim.types import CLEAR, GAP, LEVEL, SECOND_NS, TICKS
from sim.wire.kalshi_writer import KalshiWriter, Numbers
from sim.wire.listing import CENT_TICKS
from tests.live.parity import Beside, reader_of, replaying, tell

VENUES = ("kalshi", "polymarket")


def random_policy(env, markets, backend):
    torch.manual_seed(3)
    spec = describe(env.single_observation_space, env.single_action_space, PPOConfig(hidden=[16]), markets)
    network = Network(spec, 1)
    for parameter in network.parameters():
        parameter.data.add_(0.5 * torch.randn_like(parameter))
    parameters = {f"network.{name}": value for name, value in network.state_dict().items()}
    return TrainedPolicy({"run": "random", "network": spec}, parameters, env.spec_sheet["observation"], backend=backend)


def trace_of(told, backend="torch"):
    """Every observation, mask and certified order of a session, as one digest; how many orders were placed."""
    beside = Beside(told)
    policy = random_policy(beside.env, len(told.listings), backend)
    look = beside.session.begin()
    digest, placed = hashlib.sha256(), 0
    while not beside.over:
        actions = choose(policy, look.obs, look.masks)
        certified = beside.session.certify(actions)
        for part in (look.obs, look.masks, certified.orders, certified.reason):
            digest.update(part.tobytes())
        placed += int((certified.orders["do"] > 0).sum())
        look = beside.second()
    return digest.hexdigest(), placed


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("markets", [1, 3])
def test_observations_and_certified_orders_are_those_of_the_environment(venue, markets):
    told = tell(venue, markets)
    beside = Beside(told)
    env = replaying(told, beside.reader)
    policy = random_policy(env, markets, "numpy")
    look = beside.session.begin()
    obs, info = env.reset(seed=0)
    placed = 0
    while not beside.over:
        assert look.obs.tobytes() == obs.tobytes()
        assert look.masks.tobytes() == info["action_mask"].tobytes()
        actions = choose(policy, look.obs, look.masks)
        certified = beside.session.certify(actions)
        orders, reason = certified.orders.copy(), certified.reason.copy()
        look = beside.second()
        obs, _, terminated, truncated, info = env.step(actions)
        assert orders.tobytes() == env.sent.tobytes()
        assert reason.tobytes() == info["shield_reason"].tobytes()
        assert not terminated.any()
        assert beside.env.engine.state.account["equity_uusd"] == info["equity_uusd"]
        if truncated.any():  # the tape is over, the stream is not
            break
        placed += int((orders["do"] > 0).sum())
    assert placed > 20 and info["equity_uusd"] != 10_000_000_000


@pytest.mark.parametrize("venue", VENUES)
def test_a_session_told_twice_is_the_same_session(venue):
    told = tell(venue, 2, 40.0)
    first, placed = trace_of(told)
    assert placed > 0
    assert trace_of(told) == (first, placed)


def test_another_process_sees_and_sends_the_same():
    code = (
        "from tests.live.parity import tell; from tests.live.test_live_parity import trace_of;"
        "print(*trace_of(tell('kalshi', 1, 30.0)))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    digest, placed = trace_of(tell("kalshi", 1, 30.0))
    assert there == [digest, str(placed)]


def test_another_back_end_differs_by_less_than_a_hundred_thousandth_and_flips_only_ties():
    told = tell("kalshi", 1)
    beside = Beside(told)
    slow, fast = (random_policy(beside.env, 1, backend) for backend in ("torch", "numpy"))
    look, flips, ties = beside.session.begin(), 0, 0
    while not beside.over:
        wanted, got = slow.outputs(look.obs).copy(), fast.outputs(look.obs)
        assert np.abs(wanted - got).max() < 1e-5
        rows = choose(slow, look.obs, look.masks), choose(fast, look.obs, look.masks)
        if (rows[0] != rows[1]).any():
            flips += 1
            ties += abs(wanted[0, rows[0][0]] - wanted[0, rows[1][0]]) < 2e-5
        beside.session.certify(rows[0])
        look = beside.second()
    assert flips == ties <= 1


@pytest.mark.parametrize("venue", VENUES)
def test_a_small_stream_throws_away_what_was_played(venue):
    told = tell(venue, 2, 60.0)
    most = max(len(one) for one in told.events)
    whole, small = Beside(told), Beside(told, capacity=most // 3)
    assert whole.session.begin().obs.tobytes() == small.session.begin().obs.tobytes()
    while not whole.over:
        for one in (whole, small):
            one.session.certify(np.full((1, 2), 3))
        assert whole.second().obs.tobytes() == small.second().obs.tobytes()
    assert whole.stream.events == small.stream.events > most // 3


def test_a_stream_that_nobody_plays_says_so():
    told = tell("kalshi", 1, 60.0)
    beside = Beside(told, capacity=len(told.events[0]) // 3)
    beside.session.begin()
    with pytest.raises(OverflowError, match=r"TEST-0: .* events have not been played; advance the accounts first"):
        beside.until(10**18)


def test_accounts_side_by_side_do_not_touch_each_other():
    told = tell("kalshi", 1, 40.0)
    alone, both = Beside(told), Beside(told, accounts=2)
    alone.session.begin()
    both.session.begin()
    while not alone.over:
        alone.session.certify(np.array([5]))
        both.session.certify(np.array([0, 5]))
        assert alone.second().obs[0].tobytes() == both.second().obs[1].tobytes()
    equity = both.env.engine.state.account["equity_uusd"]
    assert equity[0] == 10_000_000_000 != equity[1]


def test_what_is_lost_is_not_played_until_it_is_told_whole():
    told = tell("kalshi", 1, 30.0)
    beside, other = Beside(told), Beside(told)
    for one in (beside, other):
        one.session.begin()
        one.until(one.session.now_ns + 5 * SECOND_NS)
        one.session.proceed(one.session.now_ns + 5 * SECOND_NS)
    now = beside.session.now_ns
    beside.stream.append([(now + 1, 0, 0, 0, -1, 0, 0, GAP, -1), (now + 2, 0, 500_000_000, 100, -1, 1, 0, LEVEL, 0)])
    assert beside.stream.unknown[0] and not other.stream.unknown[0]
    assert beside.session.proceed(now + 10).obs.tobytes() == other.session.proceed(now + 10).obs.tobytes()
    beside.stream.append(beside.reader.take(_snapshot_of(beside.reader), now + 20).rows)
    assert not beside.stream.unknown[0]


def test_nothing_but_cancels_goes_out_while_a_book_is_not_known():
    beside = Beside(tell("kalshi", 2, 30.0))
    look = beside.session.begin()
    assert not look.lost.any() and not look.ended.any()
    buy = int(np.flatnonzero(look.masks[0, 0])[-1])
    sent = beside.session.certify(np.array([[buy, buy]]))
    assert (sent.orders["do"] > 0).any(axis=2).all() and not sent.held.any()
    now = beside.session.now_ns
    beside.stream.append([(now + 1, 0, 0, 0, -1, 0, 1, GAP, -1)])
    look = beside.session.proceed(now + SECOND_NS)
    assert look.lost.tolist() == [False, True]
    sent = beside.session.certify(np.array([[buy, buy]]))
    assert sent.held.any(axis=2).tolist() == [[False, True]]
    assert (sent.orders["do"] > 0).any(axis=2).tolist() == [[True, False]]


def test_an_account_that_has_ended_does_not_hold_up_the_other():
    told = tell("kalshi", 1, 40.0)
    alone, both = Beside(told), Beside(told, accounts=2)
    alone.session.begin()
    both.session.begin()
    both.env.engine.state.account["done"][0] = 1
    while not alone.over:
        alone.session.certify(np.array([5]))
        both.session.certify(np.array([5, 5]))
        one, two = alone.second(), both.second()
        assert one.obs[0].tobytes() == two.obs[1].tobytes() and two.ended.tolist() == [True, False]
    assert both.session.now_ns == both.env.engine.state.account["now_ns"][1]
    both.env.engine.state.account["done"][1] = 1
    with pytest.raises(ValueError, match="every account has ended"):
        both.second()


@pytest.mark.parametrize("actions", [np.array([21]), np.array([-1]), np.array([0.5]), np.array([1, 1])])
def test_what_is_no_row_of_the_table_is_refused(actions):
    beside = Beside(tell("kalshi", 1, 10.0))
    beside.session.begin()
    with pytest.raises(ValueError, match="actions: "):
        beside.session.certify(actions)


def test_rows_that_come_late_are_counted():
    beside = Beside(tell("kalshi", 1, 10.0))
    beside.session.begin()
    moment = beside.session.now_ns + 3 * SECOND_NS
    beside.session.proceed(moment)
    before = beside.stream.late
    beside.stream.append([(moment, 0, 10_000_000, 4500, -1, 1, 0, LEVEL, 0)])
    assert (before, beside.stream.late) == (0, 1)


def _snapshot_of(reader):
    writer = KalshiWriter([rules.listing for rules in reader.rules])
    for side in (0, 1):
        writer.books[0].sizes[side].update(reader.books[0].sizes[side])
    numbers = Numbers()
    return numbers.frame(writer.snapshot(0)).replace(b'"sid":1,"seq":1', b'"sid":9,"seq":1')


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            (1, 0, 10_000, 4567, -1, 1, 0, LEVEL, 0),
            "a level at 4567 x 1e-4 dollar, which is on none of its tick tables",
        ),
        ((1, 0, 1, 0, -1, 1, 0, TICKS, -1), "a tick table that was not known when the stream began"),
        ((1, 0, 5, 4500, -1, 1, 0, 1, 0), "a change of 5 x 1e-6 contracts, which is not whole lots"),
    ],
)
def test_what_no_engine_can_play_loses_the_market_for_good_and_no_other(row, message):
    beside = Beside(tell("kalshi", 2, 10.0))
    beside.session.begin()
    other = (1, 0, 10_000_000, 4500, -1, 1, 1, LEVEL, 0)
    with pytest.raises(StreamError, match=f"TEST-0: {message}; begin a new stream"):
        beside.stream.append([row, other])
    assert beside.stream.unknown.tolist() == [True, False] and beside.stream.events == 1
    beside.stream.append([(2, 0, 0, 0, -1, 1, 0, CLEAR, -1)])  # a new snapshot does not bring the rules back
    assert beside.stream.unknown[0]


def test_a_session_wants_whole_books_a_shield_and_a_later_moment():
    told = tell("kalshi", 1, 10.0)
    reader = reader_of(told)
    with pytest.raises(ValueError, match="a market has not told a whole book yet"):
        Stream(Opening(tuple(reader.rules), ([],)))
    beside = Beside(told)
    with pytest.raises(ValueError, match="the shield cannot be switched off here"):
        Session(replaying(told, reader, limits=None), beside.stream)
    with pytest.raises(ValueError, match="expected window_s = inf"):
        Session(replaying(told, reader, window_s=60.0), beside.stream)
    beside.session.begin()
    with pytest.raises(ValueError, match="expected a moment after"):
        beside.session.proceed(beside.session.now_ns)
    assert beside.stream.rules[0].tick_tables[0] == CENT_TICKS
