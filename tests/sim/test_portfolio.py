"""Groups of markets: what they pay, what they believe, and that news is fair."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from by_hand import INTERPRETED

from sim.engine import Engine
from sim.links import Exclusive, Nested, Same
from sim.scenarios import Scenario
from sim.scenarios.portfolio import (
    Group,
    Place,
    Portfolio,
    complement,
    cross_venue,
    exclusive,
    independent,
    nested,
    raw,
    single,
)
from sim.scenarios.row import make_rows
from sim.types import PAUSED, SETTLED

PPM = 1_000_000
SIX = exclusive(3) + cross_venue() + single()
NEWS = make_rows(1, news_rate=20.0, news_size=0.2, news_large_share=0.2, life_s=10.0)


def engine_of(portfolio, count, rows=NEWS, seed=0):
    engine = Engine(Scenario(rows, portfolio=portfolio), count, seed=seed, window_s=np.inf)
    engine.reset()
    return engine


def worth(engine):
    """(N, M) expected payouts in ppm, from the beliefs."""
    portfolio = engine.scenario.portfolio
    first, group_of = portfolio.first_state, portfolio.group_of
    result = []
    for market, group in enumerate(group_of):
        belief = engine.state.belief[:, first[group] : first[group + 1]]
        result.append(belief @ portfolio.pays[market, : belief.shape[1]] // 10_000)
    return np.stack(result, axis=1)


def test_payouts_of_the_constructors():
    assert exclusive(3).pays.tolist() == [[10_000, 0, 0], [0, 10_000, 0], [0, 0, 10_000]]
    assert exclusive(2, exhaustive=False).pays.tolist() == [[10_000, 0, 0], [0, 10_000, 0]]
    assert nested(2).pays.tolist() == [[0, 10_000, 10_000], [0, 0, 10_000]]
    assert complement().pays.tolist() == [[10_000, 0], [0, 10_000]]
    assert cross_venue().pays.tolist() == [[10_000, 0], [10_000, 0]]
    assert [place.venue for place in cross_venue().places] == ["kalshi", "polymarket"]
    assert SIX.first_market.tolist() == [0, 3, 5, 6]
    assert SIX.first_state.tolist() == [0, 3, 5, 7]
    assert SIX.group_of.tolist() == [0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: exclusive(1), "at least 2 markets, got 1"),
        (lambda: nested(1), "at least 2 markets, got 1"),
        (lambda: cross_venue("kalshi"), "at least 2 venues, got kalshi"),
        (lambda: single("nyse"), "no venue 'nyse'; the venues are kalshi, polymarket"),
        (lambda: single(Place("kalshi", ticks="half")), "no tick table 'half'"),
        (lambda: raw(((10_000, 0), (10_000, 0, 0))), "each of the same 2 to 64 states"),
        (lambda: raw(((10_001, 0),)), r"leaves \[0, 10000\]"),
        (lambda: raw(((5000, 5000),)), "market 0 pays 5000 in every state"),
        (lambda: Portfolio((Place(),), (Group(((10_000, 0),) * 2),)), "groups of 2 markets in all do not fit 1 places"),
        (lambda: Portfolio((Place(),) * 2, (Group(((10_000, 0),) * 2, "exclusive"),)), "in state 0 20000"),
        (lambda: Portfolio((Place(),), (Group(((10_000, 0),), neg_risk=True),)), "neg_risk needs an exclusive set"),
        (lambda: Scenario(NEWS, (Place("polymarket"),), portfolio=single()), "give one or the other"),
        (lambda: independent((Place(),) * 65), "expected 1 to 64 markets, got 65"),
    ],
)
def test_a_contradictory_portfolio_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_portfolio_brings_its_links():
    assert SIX.links == (Exclusive((0, 1, 2)), Same(3, 4))
    assert (single() + nested(3)).links == (Nested((3, 2, 1)),)  # the hardest first
    assert complement().links == (Exclusive((0, 1)),)
    assert exclusive(2, exhaustive=False, neg_risk=True).links == (Exclusive((0, 1), exhaustive=False, nets=True),)
    assert cross_venue("kalshi", "polymarket", "kalshi").links == (Same(0, 1), Same(0, 2), Same(1, 2))
    assert raw(((0, 2500, 10_000), (9000, 100, 5000))).links == ()
    assert Scenario(NEWS, portfolio=SIX).links == SIX.links
    assert Scenario(NEWS, portfolio=SIX, links=()).links == ()


@pytest.mark.parametrize(
    ("portfolio", "link", "message"),
    [
        (SIX, Same(0, 6), r"link 0, Same\(first=0, second=6\): no market 6; the markets are 0 to 5"),
        # groups are independent: of a set and an event beside it everything may come together
        (
            SIX,
            Same(2, 5),
            "YES of market 2 and NO of market 5 pay 1 dollars together, but market 2 may pay 0, market 5",
        ),
        (exclusive(3, exhaustive=False), Exclusive((0, 1, 2)), "market 2 may pay 0: that makes 0"),
        (nested(3), Nested((0, 1, 2)), "NO of market 0 and YES of market 1 pay 1 dollars together"),
        # two states in one group and three in the other: what is beyond a group's states counts for nothing
        (cross_venue() + exclusive(3), Exclusive((0, 1)), "but market 0 may pay 1, market 1 may pay 1: that makes 0"),
    ],
)
def test_a_link_that_the_payouts_contradict_is_refused(portfolio, link, message):
    with pytest.raises(ValueError, match=message):
        Scenario(NEWS, portfolio=portfolio, links=(link,))


def test_beliefs_sum_to_one_exactly_and_stay_inside():
    engine = engine_of(SIX, 20)
    first = SIX.first_state
    for _ in range(12):
        belief = engine.state.belief
        assert (belief >= 0).all()
        for low, high in pairwise(first):
            assert (belief[:, low:high].sum(axis=1) == PPM).all()
        open_now = engine.state.market["status"].reshape(20, 6) != SETTLED
        latent = engine.state.market["latent_ppm"].reshape(20, 6)
        assert (latent == worth(engine))[open_now].all()
        engine.advance(1.0)
    payout = engine.state.market["payout_px"].reshape(20, 6)
    assert (payout[:, :3].sum(axis=1) == 10_000).all()  # exactly one of the set
    assert (payout[:, 3] == payout[:, 4]).all()  # the same event
    assert set(payout.ravel().tolist()) == {0, 10_000}


def test_nested_strikes_stay_nested():
    engine = engine_of(nested(4), 20)
    for _ in range(12):
        latent = engine.state.market["latent_ppm"].reshape(20, 4)
        if not (engine.state.market["status"] == SETTLED).any():
            assert (np.diff(latent, axis=1) <= 0).all()
        engine.advance(1.0)
    assert (np.diff(engine.state.market["payout_px"].reshape(20, 4), axis=1) <= 0).all()


@pytest.mark.parametrize("portfolio", [single(), exclusive(3), raw(((0, 2500, 10_000), (9000, 100, 5000)))])
def test_beliefs_are_martingales_and_payouts_what_they_expect(portfolio):
    """z of the mean change from start to payout, for every market; |z| < 4.5 at most once in 100,000 seeds."""
    count = 150 if INTERPRETED else 6000
    rows = make_rows(1, news_rate=2.0, news_size=0.1, news_large_share=0.2, life_s=4.0, maker_rate=0.01, add_rate=0.0,
                     cancel_rate=0.0, noise_rate=0.0, informed_rate=0.0)  # fmt: skip
    engine = engine_of(portfolio, count, rows)
    markets = len(portfolio.places)
    before = engine.state.market["latent_ppm"].reshape(count, markets).copy()
    engine.advance(3.9)
    middle = engine.state.market["latent_ppm"].reshape(count, markets).copy()
    engine.advance(1.0)
    after = engine.state.market["payout_px"].reshape(count, markets) * 100
    for move in (middle - before, after - middle):
        z = move.mean(axis=0) / (move.std(axis=0) / np.sqrt(count))
        assert (abs(z) < 4.5).all(), z
        assert (move.std(axis=0) > 1000).all()  # something did move


def test_void_and_scalar_markets_pay_as_stated():
    rows = make_rows(1, void_share=1.0, void_payout=0.37, life_s=2.0)
    engine = engine_of(cross_venue() + single(), 3, rows)
    assert (engine.state.market["latent_ppm"] == 370_000).all()
    engine.advance(3.0)
    assert (engine.state.market["payout_px"] == 3700).all()
    engine = engine_of(single(), 5, make_rows(1, scalar=1.0, life_s=2.0))
    engine.advance(3.0)
    # the belief in ppm, rounded to 1e-4 dollar
    assert (engine.state.market["payout_px"] == (engine.state.belief[:, 0] + 50) // 100).all()


def test_a_halt_stops_the_whole_group_and_ends():
    rows = make_rows(1, outage_rate=0.5, outage_s=2.0, life_s=60.0)
    engine = engine_of(cross_venue() + single(), 10, rows)
    seen = 0
    for _ in range(30):
        before = engine.state.market["n_events"].copy()
        paused = (engine.state.market["status"] == PAUSED).reshape(10, 3)
        until = engine.state.market["resume_ns"].copy()
        engine.advance(0.25)
        assert (paused[:, 0] == paused[:, 1]).all()
        still = paused.ravel() & (until > engine.state.account["now_ns"].repeat(3))
        assert (engine.state.market["n_events"] == before)[still].all()
        seen += still.sum()
    assert seen > 20


def test_independent_markets_do_not_depend_on_their_neighbours():
    """The second market's own arrivals are the same beside any first one, as long as no news comes."""
    quiet = make_rows(1, news_rate=0.0, belief_low=0.5, belief_high=0.5)
    one = engine_of(single() + single(), 4, quiet)
    other = engine_of(exclusive(2) + single(), 4, quiet)
    for engine in (one, other):
        engine.advance(5.0)
    assert (one.state.market["draws"].reshape(4, 2)[:, 1] == other.state.market["draws"].reshape(4, 3)[:, 1]).all()


def test_the_same_bytes_in_a_small_batch_with_many_markets():
    many, few = engine_of(SIX, 6), Engine(Scenario(NEWS, portfolio=SIX), 2, first_env=3, window_s=np.inf)
    few.reset()
    for engine in (many, few):
        for _ in range(6):
            engine.advance(1.0)
    assert few.digest(0, 2) == many.digest(3, 2)
