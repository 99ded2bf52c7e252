"""Void events and scalar payouts: one fate for a group, known to everyone once its first market has settled."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import INTERPRETED

from sim.engine import Engine
from sim.links import Exclusive, Nested, Same
from sim.scenarios import Scenario
from sim.scenarios.portfolio import Group, Place, Portfolio, complement, cross_venue, exclusive, nested, raw, single
from sim.scenarios.row import make_rows
from sim.types import SETTLED

CALM = {"news_rate": 0.0, "add_rate": 0.1, "cancel_rate": 0.0, "noise_rate": 0.0, "informed_rate": 0.0}


def staggered(portfolio, lives, count, **fields):
    """An engine whose markets close one after the other."""
    rows = np.stack([make_rows(1, life_s=life, **fields) for life in lives], axis=1)
    engine = Engine(Scenario(rows, portfolio=portfolio), count, window_s=np.inf)
    engine.reset()
    return engine


def by_market(engine, name):
    return engine.state.market[name].reshape(engine.num_envs, -1)


def test_once_a_market_has_settled_everyone_knows_whether_its_event_is_void():
    """Before: 0.5 x belief + 0.5 x 0.37. After: 0.37 where it was void, else 0 or 1, whatever the share was."""
    engine = staggered(cross_venue(), (2.0, 9.0), 40, void_share=0.5, void_payout=0.37, **CALM)
    before = by_market(engine, "latent_ppm")
    assert (before == (500_000 * engine.state.belief[:, :1] + 500_000 * 370_000) // 1_000_000).all()
    engine.advance(3.0)
    assert (by_market(engine, "status") == SETTLED).tolist() == [[True, False]] * 40
    paid, latent = by_market(engine, "payout_px")[:, 0], by_market(engine, "latent_ppm")[:, 1]
    assert set(paid.tolist()) == {0, 3700, 10_000}
    assert (latent == 100 * paid).all()
    engine.advance(10.0)
    assert (by_market(engine, "payout_px") == paid[:, None]).all()


def test_makers_leave_nothing_to_who_has_seen_the_first_market_settle():
    """Paid 1: nobody sells YES below a dollar any more; paid 0: nobody buys one. Without a reprice in between."""
    rare = {**CALM, "maker_rate": 0.01}
    engine = staggered(cross_venue("kalshi", "kalshi"), (5.0, 30.0), 40, **rare)
    engine.advance(4.9)
    shown = by_market(engine, "ask_total_qty")[:, 1] * by_market(engine, "bid_total_qty")[:, 1]
    assert (shown > 0).all()
    engine.advance(0.2)
    won = by_market(engine, "payout_px")[:, 0] == 10_000
    assert 0 < won.sum() < 40
    assert (by_market(engine, "ask_total_qty")[won, 1] == 0).all()
    assert (by_market(engine, "bid_total_qty")[~won, 1] == 0).all()


def test_who_comes_with_news_is_each_markets_own():
    """The second market's rows say 1, the first's 0: only there news brings prints, for nobody else takes."""
    fields = {**CALM, "news_rate": 5.0, "news_size": 0.2, "life_s": 60.0, "informed_edge": 0.0}
    rows = np.stack([make_rows(1, news_take=share, **fields) for share in (0.0, 1.0)], axis=1)
    engine = Engine(Scenario(rows, portfolio=cross_venue("kalshi", "kalshi")), 8, window_s=np.inf)
    engine.reset()
    engine.advance(20.0)
    prints = by_market(engine, "n_prints")
    assert (prints[:, 0] == 0).all()
    assert (prints[:, 1] > 0).all()


def test_a_group_is_void_together_and_groups_are_void_apart():
    """Each void with chance 1/2: both are in a quarter of the environments, within 4.5 standard errors."""
    count = 200 if INTERPRETED else 2000
    engine = staggered(cross_venue() + nested(2), (1.0, 2.0, 1.0, 2.0), count, void_share=0.5, void_payout=0.25, **CALM)
    engine.advance(4.0)
    void = by_market(engine, "payout_px") == 2500
    assert (void[:, 0] == void[:, 1]).all()
    assert (void[:, 2] == void[:, 3]).all()
    assert abs((void[:, 0] & void[:, 2]).sum() - count / 4) < 4.5 * np.sqrt(count * 3 / 16)
    assert abs(void[:, 0].sum() - count / 2) < 4.5 * np.sqrt(count / 4)


def test_a_single_market_mixes_until_its_close():
    engine = staggered(single(), (2.0,), 200, void_share=0.5, void_payout=0.37, **CALM)
    mixed = by_market(engine, "latent_ppm")[:, 0]
    engine.advance(1.9)
    assert (by_market(engine, "latent_ppm")[:, 0] == mixed).all()
    engine.advance(1.0)
    assert set(by_market(engine, "payout_px")[:, 0].tolist()) == {0, 3700, 10_000}


def test_a_void_set_shares_a_dollar_and_its_links_hold():
    """Three markets get 0.3334, 0.3333 and 0.3333: a NO of each is worth 2 dollars, as in every other state."""
    engine = staggered(exclusive(3, neg_risk=True, venue="polymarket"), (1.0, 2.0, 3.0), 3, void_share=1.0, **CALM)
    assert by_market(engine, "latent_ppm").tolist() == [[333_400, 333_300, 333_300]] * 3
    engine.advance(5.0)
    assert by_market(engine, "payout_px").tolist() == [[3334, 3333, 3333]] * 3
    assert complement().groups[0].void == (5000, 5000)


def test_scalar_payouts_of_a_group_add_up_however_its_markets_close():
    """News comes twenty times a second and markets close seconds apart: what one paid binds the others."""
    news = {**CALM, "news_rate": 20.0, "news_size": 0.1}
    engine = staggered(exclusive(3) + nested(3), (1.0, 2.0, 3.0) * 2, 50, scalar=1.0, **news)
    engine.advance(5.0)
    paid = by_market(engine, "payout_px")
    assert (paid[:, :3].sum(axis=1) == 10_000).all()
    assert (np.diff(paid[:, 3:], axis=1) <= 0).all()  # the easiest strike pays most
    assert len(np.unique(paid)) > 20


ROW_0 = r"scenario row 0: void_payout = 0.5 dollar with void_share = 0.1 breaks link 0, "


@pytest.mark.parametrize(
    ("portfolio", "links", "fields", "message"),
    [
        # at most one pays: three NO promise 2 dollars, so void ones may pay a third of a dollar each
        (exclusive(3, exhaustive=False), None, {"void_share": 0.1}, ROW_0 + r"Exclusive.*void_payout in \[0, 0.3333\]"),
        (
            raw(((10_000, 0, 0), (0, 10_000, 0), (0, 0, 10_000))),
            (Exclusive((0, 1, 2), exhaustive=False),),
            {"void_share": 0.1},
            ROW_0 + r".*void_payout in \[0, 0.3333\], void_share = 0, or a group that says",
        ),
        # exactly one of three pays: no payout in whole px makes a dollar
        (
            raw(((10_000, 0, 0), (0, 10_000, 0), (0, 0, 10_000))),
            (Exclusive((0, 1, 2)),),
            {"void_share": 0.1},
            ROW_0 + r".*expected void_share = 0, or a group that says",
        ),
        (
            Portfolio((Place(),) * 2, (Group(((10_000, 0), (0, 10_000)), void=(6000, 6000)),)),
            (Exclusive((0, 1)),),
            {"void_share": 0.1},
            "NO of market 0 and NO of market 1 pay 1 dollars together, but market 0 may pay 0.6",
        ),
        (
            raw(((10_000, 2500, 0), (0, 7500, 10_000))),
            None,
            {"scalar": 1.0},
            "",
        ),
        (
            raw(((10_000, 2500, 0), (0, 7500, 10_000))),
            (Exclusive((0, 1)),),
            {"scalar": 1.0},
            "scalar = 1 breaks link 0, .*market 0 pays 0.25 in a state",
        ),
    ],
)
def test_a_link_that_some_state_breaks_is_refused(portfolio, links, fields, message):
    rows = make_rows(1, **fields)
    if message:
        with pytest.raises(ValueError, match=message):
            Scenario(rows, portfolio=portfolio, links=links)
    else:
        Scenario(rows, portfolio=portfolio, links=links)


def test_a_link_that_every_state_keeps_is_taken():
    for void_payout in (0.0, 0.37, 1.0):
        rows = make_rows(2, void_share=np.array([0.0, 0.2]), void_payout=np.array([0.9, void_payout]))
        Scenario(rows, portfolio=cross_venue() + nested(3) + exclusive(3) + complement() + single())
    Scenario(make_rows(1, void_share=0.2, void_payout=1 / 3), portfolio=exclusive(3, exhaustive=False, neg_risk=True))
    assert exclusive(2).links == (Exclusive((0, 1)),)
    # two events that have nothing to do with each other may be void one by one: nothing binds them
    with pytest.raises(ValueError, match="pay 1 dollars together"):
        Scenario(rows, portfolio=single() + single(), links=(Same(0, 1),))
    with pytest.raises(ValueError, match="pay 1 dollars together"):
        Scenario(rows, portfolio=single() + single(), links=(Nested((0, 1)),))


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (Group(((10_000, 0), (0, 10_000)), void=(5000,)), "expected void payouts of all 2 markets or of none, got 1"),
        (Group(((10_000, 0), (0, 10_000)), void=(5000, 10_001)), r"market 1: a payout of .* leaves \[0, 10000\]"),
        (Group(((10_000, 0), (0, 10_000)), "exclusive", void=(5000, 4999)), "pays 10000 in all, in the void state 999"),
    ],
)
def test_void_payouts_of_a_group_are_checked(group, message):
    with pytest.raises(ValueError, match=message):
        Portfolio((Place(),) * 2, (group,))
