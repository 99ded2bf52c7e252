"""Laws of the generated market's makers, takers and opponents (docs/market.md). Fixed seeds; false alarms stated."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import INTERPRETED, intents

from benchmarks.batch import Batch
from sim.engine import Engine
from sim.scenarios import Scenario, synthetic
from sim.scenarios.portfolio import Place, single
from sim.scenarios.record import record
from sim.scenarios.row import make_rows
from sim.types import ASK, BID, DO_PLACE, IOC, LEVEL, NO, SECOND_NS, TRADE, YES

BUSY = {
    "widen": 0.02, "pull": 0.3, "large_share": 0.1, "excite": 0.5, "excite_same": 0.8, "momentum_rate": 0.5,
    "momentum_edge": 0.002, "cascade_rate": 0.01, "cascade_size": 200.0, "front_rate": 2.0, "front_min": 5.0,
    "copy_rate": 2.0, "fade_spread": 0.02, "fade_depth": 0.5, "watch_delay_ms": 50.0, "news_large_share": 0.1,
    "news_take": 0.5, "clump": 1.8,
}  # fmt: skip


def started(rows, count, seed=0, **more):
    engine = Engine(synthetic(rows), count, seed=seed, window_s=np.inf, cash_uusd=10**13, **more)
    engine.reset()
    return engine


def test_the_makers_estimate_is_unbiased_whatever_takers_do():
    """Mean of belief less estimate: |z| < 4.5 at most once in 100,000 seeds. Our own random takes are in it."""
    count, steps = (60, 10) if INTERPRETED else (4000, 30)
    batch = Batch(make_rows(1, maker_rate=0.5, news_rate=2.0, **BUSY), count, 1)
    batch.engine.reset()
    for _ in range(steps):
        batch.take(batch.two_sided(), batch.random.integers(0, 2, count), 5000)
        batch.step(1.0)
    gap = (batch.market["latent_ppm"] - batch.market["fair_ppm"]).astype(float)
    assert gap.std() > 1000  # they do lag
    assert abs(gap.mean() / (gap.std() / np.sqrt(count))) < 4.5


def takes_of_news(chance, **more):
    """What a market with nothing but news and makers writes down: (stamp, taker's side, price) of every print."""
    quiet = dict.fromkeys(("noise_rate", "informed_rate", "add_rate", "cancel_rate"), 0.0)
    rows = make_rows(
        1, news_rate=1.0, news_size=0.03, news_take=chance, informed_size=1e4, depth=5.0, maker_rate=50.0, life_s=60.0,
        belief_low=0.5, belief_high=0.5, **quiet, **more,
    )  # fmt: skip
    events = record(rows, 62.0, 7)[0]
    return events, events[events["kind"] == TRADE]


def test_who_comes_with_news_takes_the_side_it_moves_to():
    """A jump of 2 to 3 cents is larger than the distance of the quotes: each comes with prints up to the new belief."""
    events, prints = takes_of_news(1.0)
    stamps = np.unique(prints["local_ns"])
    assert 30 < len(stamps) < 90  # 60 news, 7.7 of deviation; some come before the makers have quoted anew
    for stamp in stamps[:20]:
        own = prints[prints["local_ns"] == stamp]
        later = events[(events["local_ns"] > stamp) & (events["local_ns"] <= stamp + 10 * SECOND_NS)]
        assert len(np.unique(own["side"])) == 1 and len(later)
        rising = own["side"][0] == BID
        assert (np.diff(own["px"]) > 0).all() if rising else (np.diff(own["px"]) < 0).all()
    assert not len(takes_of_news(0.0)[1])
    assert 0.35 < len(np.unique(takes_of_news(0.5)[1]["local_ns"])) / len(stamps) < 0.65


def test_arrivals_in_clumps_come_as_often_but_unevenly():
    """Gaps E^2 / 2: of 20,000 the mean is 1 within 5 x sqrt(5 / 20,000), the median log(2)^2 / 2 and not log(2)."""
    gaps = {}
    for power in (1.0, 2.0):
        rates = dict.fromkeys(("noise_rate", "informed_rate", "maker_rate", "cancel_rate"), 0.0) | {"maker_rate": 0.001}
        rows = make_rows(1, add_rate=100.0, clump=power, news_rate=0.0, life_s=220.0, belief_low=0.5, belief_high=0.5,
                         levels=1.0, **rates)  # fmt: skip
        events = record(rows, 201.0, 3)[0]
        gaps[power] = np.diff(events["local_ns"][events["kind"] == LEVEL]) / 1e7  # of the mean gap, 10 ms
    for power, middle in ((1.0, np.log(2.0)), (2.0, 0.5 * np.log(2.0) ** 2)):
        own = gaps[power][gaps[power] > 0]
        assert own.mean() == pytest.approx(1.0, abs=0.08)
        assert np.median(own) == pytest.approx(middle, rel=0.1)


@pytest.mark.parametrize("strength", [0.0, 0.8])
@pytest.mark.parametrize("ticks", ["linear_cent", "tapered_deci_cent"])
@pytest.mark.parametrize("belief", [0.03, 0.0712, 0.231, 0.25, 0.262, 0.4995, 0.5])
def test_quotes_are_the_same_for_yes_and_no(belief, ticks, strength):
    """A market that believes p quotes bids where one that believes 1 - p quotes asks, to the tick."""
    mirrored = []
    for p in (belief, 1.0 - belief):
        rows = make_rows(1, belief_low=p, belief_high=p, anchor_strength=strength)
        engine = Engine(Scenario(rows, portfolio=single(Place(ticks=ticks))), 1)
        engine.reset()
        market, px_of = engine.state.market[0], engine.grid.px_of
        mirrored.append((market["fair_ppm"], px_of[market["best_bid"]], px_of[market["best_ask"]], market["anchor_px"]))
    yes, no = mirrored
    assert yes[0] + no[0] == 1_000_000
    assert (yes[1] + no[2], yes[2] + no[1]) == (10_000, 10_000)
    assert yes[3] + no[3] in (10_000, -2)  # the mirrored anchor, or none


def test_an_anchor_pulls_by_its_formula():
    """At 26 cents, 1 cent from an anchor that reaches 3: 0.5 x 1 x (1 - 1/3) = 1/3 cent, rounded down to the ppm."""
    engine = started(make_rows(1, belief_low=0.26, belief_high=0.26, anchor_strength=0.5, anchor_width=0.03), 1)
    assert engine.state.market["fair_ppm"][0] == 260_000 - 3_333
    assert engine.state.market["anchor_px"][0] == 2500


def test_a_tapered_table_quotes_tenths_of_a_cent_at_the_edges():
    """Belief 5 cents less and plus 0.6: bid 4.4, ask 5.6 cents, both on the table; the next levels are a tenth away."""
    rows = make_rows(1, belief_low=0.05, belief_high=0.05)
    engine = Engine(Scenario(rows, portfolio=single(Place(ticks="tapered_deci_cent"))), 1)
    engine.reset()
    shown = engine.grid.px_of[np.flatnonzero(engine.state.book[0, BID])]
    assert shown.tolist() == [390, 400, 410, 420, 430, 440]
    assert engine.grid.px_of[np.flatnonzero(engine.state.book[0, ASK])].tolist() == [560, 570, 580, 590, 600, 610]


def test_followers_multiply_takers_as_the_branching_ratio_says():
    """2 takers a second, each bringing 0.5 more: 4 a second in the long run, on a book too deep to be walked.

    The count's variance is mean / (1 - n)**3 = 8 x mean for an exponential kernel's long run; six standard errors.
    """
    count, seconds = (5, 40.0) if INTERPRETED else (100, 200.0)
    rows = make_rows(1, noise_rate=2.0, informed_rate=0.0, news_rate=0.0, excite=0.5, excite_life_s=0.5, depth=1e5,
                     belief_low=0.5, belief_high=0.5, cancel_rate=0.0, add_rate=0.0, life_s=1e4)  # fmt: skip
    engine = started(rows, count)
    engine.advance(10.0)
    before = engine.state.market["n_prints"].sum()
    engine.advance(seconds)
    takers = engine.state.market["n_prints"].sum() - before
    mean = 4.0 * seconds * count
    assert abs(takers - mean) < 6 * np.sqrt(4 * mean)  # (1 - n)**-2 = 4 times a Poisson count's variance


def took(engine, side, contracts):
    engine.submit(
        intents(
            engine,
            **{"bid" if side == BID else "ask": {
                "do": DO_PLACE, "px": 9900 if side == BID else 100, "qty": contracts * 100,
                "leg": YES if side == BID else NO, "tif": IOC,
            }},
        )
    )  # fmt: skip


QUIET = {
    "news_rate": 0.0, "informed_rate": 0.0, "noise_rate": 0.0, "add_rate": 0.0, "cancel_rate": 0.0, "depth": 5000.0,
    "belief_low": 0.5, "belief_high": 0.5, "order_delay_ms": 0.0, "maker_rate": 20.0,
}  # fmt: skip


def test_a_take_of_ours_widens_the_quotes_and_they_come_back():
    """100 contracts at 0.04 a hundred: 0.6 + 4 cents from 50, so 45 and 55; one life later about 0.6 + 1.5."""
    engine = started(make_rows(1, widen=0.04, resilience_s=2.0, **QUIET), 1)
    took(engine, BID, 100)
    engine.advance(0.2)
    wide = spread(engine)
    assert wide == 1000
    engine.advance(1.8)
    assert 400 <= spread(engine) <= 600
    engine.advance(20.0)
    assert spread(engine) == 200


def spread(engine):
    market, px_of = engine.state.market[0], engine.grid.px_of
    return px_of[market["best_ask"]] - px_of[market["best_bid"]]


@pytest.mark.parametrize("who", ["front", "copy"])
def test_opponents_take_our_side_after_their_delay_and_less_than_we_did(who):
    share = {f"{who}_rate": 20.0, f"{who}_share": 0.4}
    engine = started(make_rows(1, watch_delay_ms=500.0, **share, **QUIET), 4)
    took(engine, ASK, 100)
    engine.advance(0.4)
    assert (engine.state.market["n_prints"] == 0).all()
    engine.advance(3.0)
    sold = engine.state.market["sold_qty"]
    assert ((sold >= 3750) & (sold <= 4000)).all()  # 0.4 of 100 contracts, in lots, less what is forgotten until a look
    assert (engine.state.market["bought_qty"] == 0).all()


def traded(**fields):
    """Four quiet markets that watch us, with what a second without our takes has told."""
    return started(
        make_rows(1, **{"watch_delay_ms": 500.0, "fade_spread": 0.02, "widen_max": 0.3, **QUIET, **fields}), 4
    )


def test_who_takes_without_a_pause_is_seen_after_the_first_delay():
    """A contract every 0.2 s for 2 s, heard of after 0.5 s: each learning takes in what has come until then."""
    engine = traded(copy_rate=50.0, copy_share=0.5, watch_s=3600.0)
    for _ in range(10):
        took(engine, BID, 10)
        engine.advance(0.2)
    # 10 takes of 10 contracts; those of the last half second at most are unseen, and half of the rest is copied
    bought = engine.state.market["bought_qty"]
    assert ((bought >= 3000) & (bought <= 5000)).all(), bought


def test_buying_and_selling_at_once_hides_nothing_from_the_fader():
    """100 bought and 100 sold: net 0 for the copier, 200 for the fader: 2 x 2 cents on either side of 0.6."""
    engine = traded(copy_rate=50.0, front_rate=50.0, front_min=1.0, watch_s=3600.0)
    took(engine, BID, 100)
    engine.advance(0.1)
    took(engine, ASK, 100)
    engine.advance(1.4)
    assert spread(engine) == 1000  # 50 less and plus 4.6, rounded out to cents
    assert (engine.state.market["n_prints"] == 0).all()


def test_opponents_forget_what_they_wanted_of_an_old_take():
    """Seen after half a second, looked at every 20 s only: of 40 contracts e^-(t / 2) are left, t some seconds."""
    engine = traded(copy_rate=0.05, copy_share=0.4, watch_s=2.0, life_s=1000.0)
    took(engine, BID, 100)
    engine.advance(300.0)
    market = engine.state.market
    assert (market["draws"] > 1000).all()
    assert (abs(market["copy_qty"]) < 1.0).all()
    assert (market["bought_qty"] < 4000).all()
    assert market["bought_qty"].sum() < 8000


def test_nobody_follows_an_opponent():
    followed = {"excite": 0.9, "excite_same": 1.0, "cascade_size": 1.0}
    engine = started(make_rows(1, watch_delay_ms=0.0, copy_rate=20.0, copy_share=0.4, **{**QUIET, **followed}), 4)
    took(engine, ASK, 100)
    engine.advance(10.0)
    sold = engine.state.market["sold_qty"]  # the copier's own 0.4 of 100 contracts, and no more
    assert ((sold >= 3750) & (sold <= 4000)).all()
    assert (engine.state.market["bursts"] == 0).all()
    assert (engine.state.market["cascade_until_ns"] == 0).all()


def test_a_cascade_thins_the_book_and_says_so():
    rows = make_rows(1, **{**QUIET, "maker_rate": 0.001}, cascade_rate=2.0, cascade_pull=0.9, cascade_follow=0.0)
    engine = started(rows, 1)
    before = engine.state.market["bid_total_qty"][0]
    engine.advance(2.0)
    market = engine.state.market[0]
    assert market["cascade_until_ns"] > market["book_ns"]
    assert market["bid_total_qty"] == pytest.approx(0.1 * before, rel=0.01)


POLICIES = ("random", "pump and dump", "momentum", "lure")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.compiled
def test_no_taker_earns_from_followers_cascades_and_opponents(policy):
    """Mean result a contract below minus a tenth of a cent, with 4.5 standard errors to spare.

    Each contract is worth the belief at its fill: the payout's mean, given all until then.
    """
    count, steps = 2000, 60
    rows = make_rows(1, informed_rate=0.0, **{**BUSY, "momentum_rate": 0.0, "cascade_rate": 0.0, "cascade_size": 0.0})
    batch = Batch(rows, count, 3, fill_model="optimistic")
    batch.engine.reset()
    worth, taken = np.zeros(count), np.zeros(count)
    past = batch.market["mid2_px"].copy()
    for step in range(steps):
        everyone = batch.two_sided()
        if policy == "pump and dump":
            side = np.full(count, BID if step % 8 < 5 else ASK)
        elif policy == "momentum":
            side = np.where(batch.market["mid2_px"] > past, BID, ASK)
        else:
            side = batch.random.integers(0, 2, count)
        past = batch.market["mid2_px"].copy()
        if policy == "lure" and step % 2:
            batch.post(everyone, np.full(count, ASK), 2500, batch.touch_px())
        else:
            batch.take(everyone, np.full(count, BID) if policy == "lure" else side, 2500)
        fills = batch.step(1.0)
        gain = fills.latent - fills.value
        worth += gain[:, BID] - gain[:, ASK] - fills.fee_uusd.sum(axis=1)
        taken += fills.qty.sum(axis=1)
    result = worth / 100 / (taken.mean() / 100) / 100  # cents a contract, per environment
    error = result.std() / np.sqrt(count)
    assert result.mean() + 4.5 * error < -0.1, (result.mean(), error)
