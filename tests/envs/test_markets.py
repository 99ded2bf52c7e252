"""Several markets an environment: every market is what it is alone, actions are legs, shapes flatten."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs.links import bounds_of
from envs.vector import TradingVectorEnv
from sim.links import Exclusive, Nested, Same, compile_links
from sim.scenarios import Place, Scenario, synthetic
from sim.scenarios.portfolio import cross_venue, exclusive
from sim.scenarios.row import make_rows
from sim.types import (
    PX_ONE,
    REJECT_CANNOT_CONVERT,
    REJECT_CASH,
    REJECT_NOTHING_TO_MERGE,
    REJECT_NOTHING_TO_REDUCE,
    SETTLED,
    UUSD,
    YES,
)
from sim.venues.fees import fee_bound

# no news: they come on the environment's clock, which other markets share
ROWS = make_rows(1, life_s=8.5, signal_rate=1.0, news_rate=0.0)
THREE = Scenario(rows=ROWS, places=(Place("kalshi"), Place("kalshi"), Place("polymarket")))


def make(num_envs=4, **settings):
    return TradingVectorEnv(num_envs, **{"scenario": THREE, "actions": "full", **settings})


def test_the_first_market_sees_what_a_market_alone_sees():
    calm = make_rows(1, life_s=8.5, signal_rate=1.0, news_rate=0.0)  # news strikes one of the markets: others' moments
    three = make(scenario=replace(THREE, rows=calm))
    one = make(scenario=synthetic(calm))
    seen, alone = three.reset(seed=0)[0], one.reset(seed=0)[0]
    names = three.spec_sheet["observation"]
    # the cash of the venue and its share of the account differ: two venues split the start
    same = [column for column, name in enumerate(names) if name != "cash_free"]
    for _ in range(7):
        np.testing.assert_array_equal(seen[:, 0, same], alone[:, same])
        seen, alone = three.step(np.zeros((4, 3), np.int64))[0], one.step(np.zeros(4, np.int64))[0]
    assert (seen[:, 0] != seen[:, 1]).any()


def test_flat_is_the_same_side_by_side():
    axis, flat = make(), make(flatten=True)
    seen, row = axis.reset(seed=0)[0], flat.reset(seed=0)[0]
    features = len(axis.spec_sheet["observation"])
    assert row.shape == (4, 3 * features)
    np.testing.assert_array_equal(seen.reshape(4, -1), row)
    assert flat.spec_sheet["observation"][features] == f"market_1.{axis.spec_sheet['observation'][0]}"
    digests = {env.spec_sheet["observation_digest"] for env in (axis, flat, make(scenario=synthetic(ROWS)))}
    assert len(digests) == 3  # a policy of one is refused by the others


def test_one_step_takes_a_leg_in_every_market():
    env = make(autoreset_mode=AutoresetMode.DISABLED, costs=("inventory",))
    env.reset(seed=0)
    buy_yes, buy_no = (env.table.listed.index(["buy", leg, 10, "cross"]) for leg in ("YES", "NO"))
    *_, info = env.step(np.tile([buy_yes, buy_no, 0], (4, 1)))
    held = env.engine.state.position.reshape(4, 3)
    assert (held["yes_qty"][:, 0] == 1000).all()
    assert (held["no_qty"][:, 1] == 1000).all()
    assert (held["yes_qty"][:, 2] == 0).all()
    assert info["costs"][:, 0] == pytest.approx(20 * 1.0 / 100)  # 10 + 10 contracts for a second: gross
    pool = env.engine.state.pool
    assert (pool["cash_uusd"][:, 0] < 5_000 * UUSD).all()  # each venue started with half
    assert (pool["cash_uusd"][:, 1] == 5_000 * UUSD).all()


def test_each_market_has_its_own_mask_and_reason():
    env = make()
    _, info = env.reset(seed=0)
    sell = env.table.listed.index(["sell", "YES", 5, "cross"])
    buy = env.table.listed.index(["buy", "YES", 10, "cross"])
    assert not info["action_mask"][:, :, sell].any()
    *_, info = env.step(np.tile([buy, sell, 0], (4, 1)))
    assert info["reject"].tolist() == [[0, REJECT_NOTHING_TO_REDUCE, 0]] * 4
    assert info["action_mask"][:, 0, sell].all()
    assert not info["action_mask"][:, 1:, sell].any()


def test_an_action_outside_the_table_names_the_market():
    env = make(2)
    env.reset()
    with pytest.raises(ValueError, match="environment 1, market 2, chose 99; the table has rows 0 to 43"):
        env.step(np.array([[0, 0, 0], [0, 0, 99]]))
    with pytest.raises(ValueError, match=r"for each of 3 markets, shape \(2, 3\), got int64 \(2,\)"):
        env.step(np.zeros(2, np.int64))


def test_an_episode_resolves_when_the_last_market_has():
    rows = make_rows(3, life_s=np.array([3.5, 5.5, 4.5])).reshape(1, 3)
    env = make(2, scenario=Scenario(rows=rows, places=THREE.places), autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    ends = [env.step(np.zeros((2, 3), np.int64))[2].all() for _ in range(7)]
    assert ends == [False] * 5 + [True, False]


def test_render_draws_every_market():
    env = make(1, render_mode="ansi")
    env.reset(seed=0)
    (text,) = env.render()
    assert [f"market {index}  step 0" in text for index in range(3)] == [True] * 3
    assert text.count("equity") == 1


def test_what_the_features_see_of_links_are_the_scenario_s():
    # the portfolio's own: an exclusive set of three that leaves no outcome out, and one event on two venues
    env = make(scenario=Scenario(ROWS, portfolio=exclusive(3) + cross_venue()))
    env.reset(seed=0)
    links = env.core.links
    assert (links.low.tolist(), links.high.tolist()) == ([1, 0], [1, 0])
    assert links.market.tolist() == [0, 1, 2, 3, 4]
    assert links.weight.tolist() == [1, 1, 1, 1, -1]
    assert links.partner.tolist() == [1, 0, 0, 4, 3]
    # said otherwise, they are those said
    env = make(scenario=Scenario(ROWS, portfolio=exclusive(3), links=(Exclusive((0, 2), exhaustive=False),)))
    assert (env.core.links.market.tolist(), env.core.links.low.tolist()) == ([0, 2], [-np.inf])


def test_a_sale_that_may_cost_its_set_a_return_needs_cash():
    rows = make_rows(1, order_delay_ms=0.0)
    env = make(1, scenario=Scenario(rows, portfolio=exclusive(2, neg_risk=True)), dt_s=1e-6)  # nothing moves meanwhile
    env.reset(seed=0)
    buy_no, sell_no, small = (
        env.table.listed.index([verb, "NO", size, "cross"]) for verb, size in (("buy", 25), ("sell", 25), ("sell", 5))
    )
    env.step(np.array([[buy_no, buy_no]]))
    state, rules = env.engine.state, env.core.rules
    assert state.position["no_qty"].tolist() == [2500, 2500]
    assert state.returned[0, 0] == 25 * UUSD  # one of the two NO pays
    market = state.market[0]
    px = int(rules.cross_bid[market["tick_grid"], market["best_ask"]])  # selling NO buys YES, at 1 - q
    fee = fee_bound(rules.fees, market["fee"], PX_ONE - px, PX_ONE, 2500, False)
    for cash, allowed in ((px * 2500 + fee, True), (px * 2500 + fee - 1, False)):
        state.pool["cash_uusd"] = state.pool["reserved_uusd"] + cash
        *_, info = env.step(np.array([[0, 0]]))
        assert info["action_mask"][0, 0, [sell_no, small]].tolist() == [allowed, True]
    *_, info = env.step(np.array([[sell_no, 0]]))
    assert info["reject"].tolist() == [[REJECT_CASH, 0]]
    state.pool["cash_uusd"] += 1
    *_, info = env.step(np.array([[sell_no, 0]]))
    assert info["reject"].tolist() == [[0, 0]] and info["venue_reject"][0] == 0
    assert state.position["no_qty"].tolist() == [0, 2500]


def test_a_link_is_a_bound():
    assert bounds_of([Exclusive((2, 0))]) == [(((2, 1), (0, 1)), 1.0, 1.0)]
    assert bounds_of([Exclusive((2, 0), exhaustive=False)]) == [(((2, 1), (0, 1)), -np.inf, 1.0)]
    assert bounds_of([Same(1, 0)]) == [(((1, 1), (0, -1)), 0.0, 0.0)]
    nested = [(((2, 1), (1, -1)), -np.inf, 0.0), (((1, 1), (0, -1)), -np.inf, 0.0)]
    assert bounds_of([Nested((2, 1, 0))]) == nested


@pytest.mark.parametrize(
    "link", [Exclusive((0, 1, 2)), Exclusive((0, 1, 2), exhaustive=False), Same(0, 2), Nested((1, 0, 2))]
)
def test_bounds_hold_where_packages_pay_their_floors_and_nowhere_else(link):
    """Over all payouts of three markets in steps of a quarter."""
    packages = compile_links([link], 3)
    for payouts in product((0.0, 0.25, 0.5, 1.0), repeat=3):
        within = all(low <= sum(w * payouts[m] for m, w in legs) <= high for legs, low, high in bounds_of([link]))
        floors = True
        for package in packages.packages:
            legs = packages.legs[package["first"] : package["first"] + package["count"]]
            paid = sum(payouts[leg["market"]] if leg["leg"] == YES else 1 - payouts[leg["market"]] for leg in legs)
            floors &= bool(paid >= package["floor_px"] / PX_ONE)
        assert within == floors


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (Same(0, 3), "no market 3; the markets are 0 to 2"),
        (Same(0, 1), r"promises that YES of market 0 and NO of market 1 pay 1 dollars .* that makes 0"),
    ],
)
def test_a_link_that_makes_no_sense(link, message):
    with pytest.raises(ValueError, match=message):
        make(scenario=Scenario(ROWS, THREE.places, links=(link,)))


def netting(count=3, **settings):
    """One environment with a set that Polymarket nets and the table of portfolios; nothing moves meanwhile."""
    scenario = Scenario(
        make_rows(1, life_s=600.0, order_delay_ms=0.0, taker_delay_ms=0.0),
        portfolio=exclusive(count, neg_risk=True, venue="polymarket"),
    )
    env = make(1, scenario=scenario, actions="portfolio", dt_s=1e-6, cash=20_000.0, **settings)
    env.reset(seed=0)
    rows = env.table.listed
    return env, rows.index(["merge", "BOTH", 0, "cross"]), rows.index(["convert", "NO", 0, "cross"])


def give(env, yes, no):
    """Hold so many contracts a market, out of nowhere; the mask is that of the state afterwards."""
    env.engine.state.position["yes_qty"], env.engine.state.position["no_qty"] = 100 * np.array([yes, no])
    *_, info = env.step(np.zeros((1, len(yes)), np.int64))
    return info["action_mask"][0]


def test_merge_takes_all_pairs_and_is_masked_without_one():
    env, merge, _ = netting()
    mask = give(env, yes=[30, 5, 0], no=[12, 0, 7])
    assert mask[:, merge].tolist() == [True, False, False]
    cash = int(env.engine.state.pool["cash_uusd"][0, 0])
    *_, info = env.step(np.array([[merge, 0, merge]]))
    assert info["reject"].tolist() == [[0, 0, REJECT_NOTHING_TO_MERGE]] and info["venue_reject"][0] == 0
    state = env.engine.state
    assert (state.position["yes_qty"][0], state.position["no_qty"][0]) == (1800, 0)  # 12 pairs
    assert int(state.pool["cash_uusd"][0, 0]) == cash + 12 * UUSD
    assert not info["action_mask"][0, :, merge].any()


def test_convert_takes_the_fewest_of_those_that_choose_it():
    env, _, convert = netting()
    mask = give(env, yes=[0, 0, 0], no=[12, 9, 0])
    assert mask[:, convert].tolist() == [True, True, False]
    cash = int(env.engine.state.pool["cash_uusd"][0, 0])
    *_, info = env.step(np.array([[convert, convert, 0]]))
    assert not info["reject"].any() and info["venue_reject"][0] == 0
    state = env.engine.state
    # 9 NO of two of three markets: 9 dollars and 9 YES of the third
    assert (state.position["yes_qty"].tolist(), state.position["no_qty"].tolist()) == ([0, 0, 900], [300, 0, 0])
    assert int(state.pool["cash_uusd"][0, 0]) == cash + 9 * UUSD


def test_convert_is_masked_where_no_set_converts():
    for portfolio in (exclusive(2, neg_risk=True), exclusive(2, venue="polymarket")):  # Kalshi's nets by itself
        rows = make_rows(1, life_s=600.0)
        env = make(1, scenario=Scenario(rows, portfolio=portfolio), actions="portfolio", dt_s=1e-6)
        env.reset(seed=0)
        convert = env.table.listed.index(["convert", "NO", 0, "cross"])
        assert not give(env, yes=[0, 0], no=[5, 5])[:, convert].any()
    env, _, convert = netting()
    env.engine.state.market["status"][2], env.engine.state.market["payout_px"][2] = SETTLED, 0
    assert not give(env, yes=[0, 0, 0], no=[5, 5, 0])[:, convert].any()
    *_, info = env.step(np.array([[convert, 0, 0]]))
    assert info["reject"].tolist() == [[REJECT_CANNOT_CONVERT, 0, 0]]


def test_what_the_mask_allows_of_requests_is_never_refused():
    rows = make_rows(4, life_s=40.0, order_delay_ms=0.0, cancel_delay_ms=0.0, taker_delay_ms=0.0)
    env = make(
        8, scenario=Scenario(rows, portfolio=exclusive(3, neg_risk=True, venue="polymarket")), actions="portfolio"
    )
    _, info = env.reset(seed=1)
    rng = np.random.default_rng(1)
    names = [row[0] for row in env.table.listed]
    done = np.zeros(len(names), int)
    weight = np.where(np.isin(names, ["merge", "convert"]), 3.0, 1.0)
    for _ in range(80):
        mask = info["action_mask"]
        chosen = np.where(mask, rng.random(mask.shape) * weight, -1).argmax(axis=-1)
        np.add.at(done, chosen.ravel(), 1)
        *_, info = env.step(chosen)
        assert not np.isin(info["reject"], [REJECT_NOTHING_TO_MERGE, REJECT_CANNOT_CONVERT]).any()
        assert not np.isin(info["venue_reject"], [REJECT_NOTHING_TO_MERGE, REJECT_CANNOT_CONVERT]).any()
    assert done[-2:].min() > 20
