"""Reward terms that remember: potentials by hand, what they sum to, and that no policy's rank depends on them."""

from itertools import product

import numpy as np
import pytest
from shaped import Desk, near

from envs.links import Bound
from envs.rewards import POTENTIALS, TERMS
from envs.vector import TradingVectorEnv
from sim.activity import BUCKET_BITS
from sim.scenarios import Scenario, synthetic
from sim.scenarios.portfolio import cross_venue
from sim.scenarios.row import make_rows
from sim.types import SETTLED

SLOW, LONG = 2.0 ** (-1 / 64), 2.0 ** (-1 / 512)  # what a sum of squares keeps in a bucket


def test_anchor_by_hand():
    desk = Desk("anchor")
    desk.mid(50)
    desk.fill(100, 49)  # 1 cent from the anchor at 50: near
    assert desk.step() == 0.0  # nothing has broken yet
    desk.mid(55)
    # 100 contracts x (5 - 2 cents)
    assert desk.step() == near(3.0)
    desk.fill(60, 55)  # chased
    assert desk.step() == near(0.0)
    desk.mid(58)
    assert desk.step() == near(100 * 0.06 - 3.0)
    desk.mid(65)
    # at most ten cents from the anchor count: 100 x (10 - 2 cents)
    assert desk.step() == near(8.0 - 6.0)
    desk.fill(-40, 65)  # 160 become 120: of the 100 three quarters stay
    assert desk.step() == near(75 * 0.08 - 8.0)
    desk.mid(49)  # the break failed: what was lent is given back
    assert desk.step() == near(-6.0)
    desk.mid(40)  # and a fall is nothing for whoever is long
    assert desk.step() == 0.0


def test_anchors_of_a_short_position_that_turns():
    desk = Desk("anchor")
    desk.mid(25)
    desk.fill(-50, 26.5)
    desk.mid(20)
    # 50 NO contracts taken at the anchor at 25: 50 x (5 - 2 cents)
    assert desk.step() == near(1.5)
    desk.fill(80, 24)  # 50 are closed, 30 opened near the same anchor the other way
    desk.mid(31)
    assert desk.step() == near(30 * 0.04 - 1.5)
    desk.fill(10, 27.5)  # 2.5 cents away is not near
    assert desk.step() == near(0.0)
    desk.hold(0)  # settled
    assert desk.step() == near(-1.2)


def test_positions_at_two_anchors_and_in_two_markets_add_up():
    desk = Desk("anchor", markets=2)
    desk.fill(10, 50)
    desk.fill(20, 75)
    desk.fill(-5, 25, market=1)
    desk.mid(79)
    desk.mid(22, market=1)
    # 10 x 8 cents from 50, 20 x 2 cents from 75; 5 x 1 cent from 25
    assert desk.step() == near(0.8 + 0.4 + 0.05)


def test_a_position_from_the_start_was_taken_at_no_anchor():
    desk = Desk("anchor")
    desk.hold(100)
    desk.begin()
    desk.fill(-40, 50)
    desk.fill(10, 50)
    desk.mid(55)
    assert desk.step() == near(10 * 0.03)  # of the 70 only what was bought back


def test_expansion_by_hand():
    desk = Desk("expansion")
    activity, account = desk.state.market[0]["activity"], desk.state.account[0]
    desk.hold(-200)
    account["now_ns"] += 64 << BUCKET_BITS  # 64 buckets: one slow half-life, an eighth of a long one
    activity["bucket"] = account["now_ns"] >> BUCKET_BITS
    activity["mid2_px"] = desk.state.market[0]["mid2_px"]
    activity["squares"] = 40_000.0, 40_000.0  # the mid moved by 1 cent in the last bucket
    # means over 64 buckets: weights add up to (1 - 1/2) / (1 - f), and to (1 - 2^(-1/8)) / (1 - g)
    slow, long = 40_000 * (1 - SLOW) / 0.5, 40_000 * (1 - LONG) / (1 - 2**-0.125)
    growth = ((slow + 1) / (long + 1)) ** 0.5 - 1
    assert 0.14 < growth < 0.16
    assert desk.step() == near(2 * growth)  # 200 contracts, in hundreds
    activity["squares"] = 40_000.0 * 8, 40_000.0
    assert desk.step() == near(2 * 1.0 - 2 * growth)  # never more than 1
    activity["squares"] = 0.0, 40_000.0  # it shrinks: nothing
    assert desk.step() == near(-2.0)


def test_expansion_leaves_out_what_was_before_the_episode():
    desk = Desk("expansion")
    activity, account = desk.state.market[0]["activity"], desk.state.account[0]
    activity["squares"] = 90_000.0, 500_000.0
    desk.begin()
    desk.hold(100)
    account["now_ns"] += 128 << BUCKET_BITS
    activity["bucket"] = account["now_ns"] >> BUCKET_BITS
    activity["squares"] = 90_000 / 4, 500_000 * 2**-0.25  # faded, and nothing new
    assert desk.step() == near(0.0)
    activity["squares"][0] += 10_000.0
    activity["squares"][1] += 10_000.0
    slow, long = 10_000 * (1 - SLOW) / 0.75, 10_000 * (1 - LONG) / (1 - 2**-0.25)
    assert desk.step() == pytest.approx(((slow + 1) / (long + 1)) ** 0.5 - 1, rel=1e-9)


@pytest.mark.parametrize(
    ("bound", "held", "mids", "worth"),
    [
        # one event on two venues at 60 and 55 cents: 30 sold dear, 50 bought cheap = 30 pairs x 5 cents
        (Bound(((0, 1), (1, -1)), 0.0, 0.0), (-30, 50), (60, 55), 1.5),
        (Bound(((0, 1), (1, -1)), 0.0, 0.0), (30, -50), (60, 55), 0.0),  # the wrong way round
        (Bound(((0, 1), (1, -1)), 0.0, 0.0), (30, -50), (52, 55), 0.9),
        (Bound(((0, 1), (1, -1)), 0.0, 0.0), (-30, 0), (60, 55), 0.0),  # one leg is no package
        # at most one pays, mids add up to 1.08: NO of both
        (Bound(((0, 1), (1, 1)), -np.inf, 1.0), (-10, -20), (60, 48), 0.8),
        (Bound(((0, 1), (1, 1)), -np.inf, 1.0), (10, 20), (40, 48), 0.0),  # neither need pay
        (Bound(((0, 1), (1, 1)), 1.0, 1.0), (10, 20), (40, 48), 1.2),  # one of them does: 10 x 12 cents
        # a narrow strike above the wide one
        (Bound(((0, 1), (1, -1)), -np.inf, 0.0), (-40, 40), (31, 30), 0.4),
        (Bound(((0, 1), (1, -1)), -np.inf, 0.0), (-40, 40), (29, 30), 0.0),
    ],
)
def test_violation_by_hand(bound, held, mids, worth):
    desk = Desk("violation", markets=2, bounds=[bound])
    for market in range(2):
        desk.mid(mids[market], market)
        desk.hold(held[market], market)
    assert desk.step() == near(worth)
    desk.state.market[0]["status"], desk.state.market[0]["payout_px"] = SETTLED, 10_000
    desk.hold(0, 0)
    assert desk.step() == near(-worth)


def test_a_potential_grows_by_the_discount_ends_at_0_and_rests():
    desk = Desk("anchor", gamma=0.9)
    desk.fill(100, 50)
    desk.mid(55)
    assert desk.step() == near(0.9 * 3.0)
    desk.mid(56)
    assert desk.step() == near(0.9 * 4.0 - 3.0)
    assert desk.step() == near(-0.4)
    assert desk.step(over=True) == near(-4.0)  # terminated: the potential of where it leads is 0
    assert desk.step(awake=False) == 0.0
    desk.mid(60)
    assert desk.step(awake=False) == 0.0
    desk.begin()
    assert desk.memory.tally["potential"][0].tolist() == [0.0, 0.0, 0.0]


def test_a_position_that_an_episode_begins_with_is_no_growth():
    desk = Desk("violation", markets=2, bounds=[Bound(((0, 1), (1, 1)), 1.0, 1.0)])
    for market in range(2):
        desk.mid(45, market)
        desk.hold(100, market)
    desk.begin()
    assert desk.step() == near(0.0)  # 100 x 10 cents were there when it began
    desk.hold(0, 1)
    assert desk.step() == near(-10.0)


ALL = {"pnl": 1.0, "anchor": 0.5, "expansion": 2.0, "violation": 0.7}
# the same event on two venues that drift apart, from near 50 cents on; resolves in the 15th step
LIVELY = Scenario(
    make_rows(
        1, life_s=14.5, news_rate=0.7, news_size=0.1, maker_rate=2.0, order_delay_ms=0.0, belief_low=0.48,
        belief_high=0.52,
    ),
    portfolio=cross_venue(),
)  # fmt: skip


def pair(num_envs, *, window_s=300.0, gamma=1.0, reward=ALL, scenario=LIVELY, autoreset_mode="Disabled"):
    return TradingVectorEnv(
        num_envs, scenario=scenario, actions="full", reward=reward, shaping_gamma=gamma, window_s=window_s,
        autoreset_mode=autoreset_mode,
    )  # fmt: skip


def some_rows(env, rng):
    """Mostly crossing orders of some size, so that positions come and go."""
    return rng.integers(0, len(env.table.listed), (env.num_envs, env.engine.num_markets))


class Parcels:
    """The slow way: what is held, as lots by the anchor they were taken at, 0 = at none; one environment's markets."""

    def __init__(self, markets):
        self.held = [{0: 0.0} for _ in range(markets)]

    def follow(self, account, positions):
        for fill in account["fills"][: account["n_fills"]]:
            mid = fill["mid2_px"] / 2
            at = next((anchor for anchor in (2500, 5000, 7500) if abs(mid - anchor) <= 200), 0)
            self._become(fill["market"], sum(self.held[fill["market"]].values()) + fill["qty"], at)
        for market, position in enumerate(positions):
            self._become(market, int(position["yes_qty"]) - int(position["no_qty"]), 0)

    def _become(self, market, after, at):
        held = self.held[market]
        before = sum(held.values())
        if before * after <= 0:
            held.clear()
            held[at] = after
        elif abs(after) < abs(before):
            self.held[market] = {anchor: qty * after / before for anchor, qty in held.items()}
        else:
            held[at] = held.get(at, 0.0) + after - before

    def potential(self, mids):
        return sum(
            abs(qty) / 100 * min(max((mid - anchor) * np.sign(qty) - 200, 0), 800) / 10_000
            for held, mid in zip(self.held, mids, strict=True)
            for anchor, qty in held.items()
            if anchor > 0
        )


def pairs_against(positions, mids):
    """Dollars by which two markets of one event differ, x the pairs sold dear and bought cheap."""
    first, second = (int(position["yes_qty"]) - int(position["no_qty"]) for position in positions)
    dear, cheap = (first, second) if mids[0] > mids[1] else (second, first)
    return max(min(-dear, cheap), 0) / 100 * abs(mids[0] - mids[1]) / 10_000


@pytest.mark.parametrize(
    ("window_s", "gamma", "mode"),
    [(300.0, 1.0, "Disabled"), (300.0, 0.9, "SameStep"), (300.0, 0.9, "NextStep"), (11.0, 0.9, "Disabled")],
)
def test_an_episode_s_growth_is_its_last_potential(window_s, gamma, mode):
    env = pair(16, window_s=window_s, gamma=gamma, autoreset_mode=mode)
    state, names = env.engine.state, env.spec_sheet["rewards"]
    env.reset(seed=4)
    parcels = [Parcels(2) for _ in range(16)]
    rng, total, seen, weight = np.random.default_rng(0), np.zeros((16, 4)), np.zeros(4), 1.0
    for _ in range(15):
        _, reward, terminated, truncated, info = env.step(some_rows(env, rng))
        assert reward == pytest.approx(info["reward_terms"] @ [ALL[name] for name in names], abs=1e-9)
        total += weight * info["reward_terms"]
        seen += np.abs(info["reward_terms"]).sum(axis=0)
        weight *= gamma
        mids, held = state.market["mid2_px"].reshape(16, 2) / 2, state.position.reshape(16, 2)
        for env_index, parcel in enumerate(parcels):
            parcel.follow(state.account[env_index], held[env_index])
        if terminated.all():
            break
        expected = [
            (parcel.potential(mid), pairs_against(there, mid))
            for parcel, mid, there in zip(parcels, mids, held, strict=True)
        ]
        # gamma^t Phi(s_t) - Phi(s_0), and Phi(s_0) = 0
        assert total[:, [1, 3]] == pytest.approx(weight * np.array(expected), abs=1e-9)
        assert total[:, 2] == pytest.approx(weight * env.core._memory.tally["potential"][:, 1], abs=1e-9)
        if truncated.all():
            break
    assert (seen > 0).all()  # each term has said something
    if window_s == 300.0:
        assert terminated.all()
        assert total[:, 1:] == pytest.approx(0.0, abs=1e-9)
    else:
        assert truncated.all()
        assert (np.abs(total[:, 1:]).sum(axis=0) > 0.0).all()


def worths(gamma, weights, plans, worlds=4):
    """``(P,)`` each: mean discounted money and reward of every plan: rows in the 2nd step, and in the 6th."""
    count = len(plans) * worlds
    env = pair(count, gamma=gamma, reward=weights)
    env.engine.pin(np.zeros(count, np.int64), np.arange(count) % worlds)  # every plan meets the same worlds
    env.reset(seed=7)
    chosen = np.repeat(np.array(plans), worlds, axis=0)
    money, reward = np.zeros(count), np.zeros(count)
    for step in range(15):
        rows = {1: chosen[:, :2], 5: chosen[:, 2:]}.get(step, np.zeros((count, 2), np.int64))
        _, now, _, _, info = env.step(rows)
        money += 0.95**step * info["reward_terms"][:, 0]
        reward += 0.95**step * now
    assert (env.engine.state.account["done"] == 1).all()
    return money.reshape(-1, worlds).mean(axis=1), reward.reshape(-1, worlds).mean(axis=1)


def test_no_plan_s_rank_depends_on_potentials_of_the_right_discount():
    table = pair(1).table.listed
    buy, sell = (table.index(["buy", leg, 50, "cross"]) for leg in ("YES", "NO"))
    early = list(product((0, buy, sell), repeat=2))  # on both venues
    plans = [(*first, *later) for first, later in product(early, ((0, 0), (buy, 0), (0, sell)))]
    weights = {"pnl": 1.0, "anchor": 50.0, "expansion": 50.0, "violation": 50.0}
    money, reward = worths(0.95, weights, plans)
    assert len(np.unique(money.round(6))) == len(plans) == 27  # they differ
    assert reward == pytest.approx(money, abs=1e-9)
    assert np.argsort(reward).tolist() == np.argsort(money).tolist()
    _, reward = worths(1.0, weights, plans)  # not the discount that returns are judged by
    assert np.argsort(reward).tolist() != np.argsort(money).tolist()


def test_money_and_the_market_know_nothing_of_weights():
    rows = make_rows(1, stale_rate=0.3, stale_s=3.0, news_rate=1.0, life_s=30.0)
    every = dict.fromkeys(TERMS, 0.3)
    seen = []
    for reward in ({"pnl": 1.0}, every):
        env = pair(5, reward=reward, scenario=Scenario(rows, portfolio=cross_venue()), gamma=0.9)
        env.reset(seed=2)
        rng = np.random.default_rng(1)
        steps = [env.step(some_rows(env, rng)) for _ in range(12)]
        seen.append((env.engine.digest(), [(s[0].tobytes(), s[4]["reward_uusd"].tolist()) for s in steps[-2:]]))
        assert (len(env.core._memory.tally) > 0) == (reward is every)
    assert seen[0] == seen[1]


def test_snapshots_hold_what_the_terms_remember_and_digests_tell():
    reward = dict.fromkeys((*POTENTIALS, "predictability", "sharpe"), 1.0)
    env = pair(3, reward=reward, gamma=0.9)
    env.reset(seed=5)
    rng = np.random.default_rng(3)
    for _ in range(4):
        env.step(some_rows(env, rng))
    saved, before, rows = env.snapshot(), env.digest(), [some_rows(env, rng) for _ in range(4)]
    first = [env.step(row)[1].copy() for row in rows]
    env.restore(saved)
    assert env.digest() == before
    np.testing.assert_array_equal(first, [env.step(row)[1].copy() for row in rows])
    env.restore(saved)
    env.core._memory.tally["mean"][1] += 1.0
    assert env.digest() != before
    assert env.digest(0, 1) == env.digest(0, 1)


def test_without_such_terms_nothing_is_kept():
    env = TradingVectorEnv(2, reward={"pnl": 1.0, "downside": 0.5}, shaping_gamma=0.9)
    assert env.core._memory.tally.shape == (0,)
    assert env.core._memory.lots.shape == (0, 1)


@pytest.mark.parametrize("gamma", [0.0, -1.0, 1.01, float("nan")])
def test_a_discount_that_is_none_is_refused(gamma):
    with pytest.raises(ValueError, match=r"shaping_gamma = .*expected the learner's discount of a step, in \(0, 1\]"):
        TradingVectorEnv(1, reward={"anchor": 1.0}, shaping_gamma=gamma)


def test_violations_need_links():
    with pytest.raises(ValueError, match="the scenario has none: leave the term out, or play a scenario with links"):
        TradingVectorEnv(1, reward={"violation": 1.0}, scenario=synthetic(make_rows(1)))
