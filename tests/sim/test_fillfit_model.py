"""The terms, the regression, its scores: by hand, and on data made from a known model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fill_oracle import opening, tape_of
from hypothesis import given
from hypothesis import strategies as st

from sim.activity import ACTIVITY
from sim.fillfit import report
from sim.fillfit.__main__ import set_name
from sim.fillfit.features import join, sample
from sim.fillfit.hypothetical import make_rules, walk
from sim.fillfit.model import Fit, fit, fit_coin, predict, wrong_signs
from sim.fillfit.scores import bins, brier_skill, calibration_error, coin_probability, with_interval
from sim.fillmodel import (
    SIGNS,
    TERMS,
    Flow,
    Standing,
    chance_within,
    flow_of,
    hazard_of,
    logit_of,
    terms_of,
)
from sim.types import ASK, BID, DELTA, LEVEL, TRADE

PLACE = {name: index for index, name in enumerate(TERMS)}


def test_terms_by_hand():
    # 2 ticks of a cent behind a touch of 3 contracts, facing 1; 5 contracts ahead, 7 better; spread 2 cents, so the
    # order is 1 + 2 = 3 cents from the mid
    standing = Standing(2.0, 500.0, 700.0, 100.0, 200.0, 300.0, 300.0, 100.0)
    # a life expects 3 prints against us, 1 against the others, 8 contracts against us, and moves of 2 cents
    terms = terms_of(standing, Flow(3.0, 1.0, 800.0, 200.0), 100.0, 9.0)
    assert dict(zip(TERMS, terms, strict=True)) == pytest.approx({
        "inside": 0.0, "distance": 2.0, "queue": math.log(6), "better": math.log(8), "activity": math.log(5),
        "lean": math.log(4 / 2), "clear": math.log((1 + 12 + 1) / 9), "reach": math.log(3.5 / 2.5),
        "spread": math.log(2), "imbalance": (300 - 100) / 400, "time": math.log(10), "size": math.log(2),
    })  # fmt: skip


def test_an_order_inside_has_no_distance_and_an_unknown_close_no_time():
    standing = Standing(-1.0, 0.0, 0.0, 100.0, 200.0, 0.0, 300.0, 300.0)
    terms = dict(zip(TERMS, terms_of(standing, Flow(0.0, 0.0, 0.0, 0.0), 0.0, -1.0), strict=True))
    assert terms["inside"] == 1.0
    assert [name for name in TERMS if terms[name] != 0.0] == ["inside", "spread"]


def test_flows_of_a_memory():
    """Rate = sum x log 2 / half-life: 16 buckets are 8.590 s, 64 are 34.36 s; the mid moves half what bid + ask do."""
    activity = np.zeros(1, ACTIVITY)
    activity["sells"][0, 1], activity["buys"][0, 1] = 10.0, 4.0
    activity["sold"][0, 1], activity["bought"][0, 1] = 500.0, 300.0
    activity["squares"][0, 0] = 4 * 250.0
    a_life = 5 * math.log(2) / 8.589934592
    move = math.sqrt(250.0 * 5 * math.log(2) / 34.359738368)
    assert flow_of(activity[0], BID, 1, 2, 5.0) == pytest.approx((10 * a_life, 4 * a_life, 500 * a_life, move))
    assert flow_of(activity[0], ASK, 1, 2, 5.0) == pytest.approx((4 * a_life, 10 * a_life, 300 * a_life, move))


def test_the_hazard_is_that_of_the_logistic_of_the_sum():
    logit = logit_of(0.3, np.array([0.5, -0.75]), (1.0, 2.0))
    assert logit == pytest.approx(0.3 + 0.5 - 1.5)
    p = 1 / (1 + math.exp(0.7))  # 0.3318
    assert hazard_of(logit) == pytest.approx(-math.log(1 - p), rel=1e-14)
    assert hazard_of(500.0) == pytest.approx(500.0)
    assert 0.0 <= hazard_of(-500.0) < 1e-200


@given(logit=st.floats(-10, 10), cuts=st.lists(st.integers(1, 10**9), min_size=1, max_size=8))
def test_a_life_cut_into_pieces_has_the_same_chance(logit, cuts):
    life, hazard = sum(cuts), hazard_of(logit)
    survived = math.prod(1.0 - chance_within(hazard, cut, life) for cut in cuts)
    p = 1.0 / (1.0 + math.exp(-logit))
    assert 1.0 - survived == pytest.approx(p, rel=1e-9)
    assert chance_within(hazard, life, life) == pytest.approx(p, rel=1e-9)
    assert chance_within(hazard, 0, life) == 0.0


def made_up(rows=20_000, seed=0):
    """Terms of a normal distribution, and outcomes of a logistic whose signs a queue allows."""
    stream = np.random.default_rng(seed)
    terms = stream.normal(size=(rows, len(TERMS))) * np.linspace(0.5, 2.0, len(TERMS))
    truth = np.array([0.3 * (sign or 1) for sign in SIGNS])
    truth[PLACE["size"]] = 0.0
    chance = 1.0 / (1.0 + np.exp(-(-0.4 + terms @ truth)))
    return terms, chance, truth, stream


def test_finds_the_model_that_made_the_data():
    terms, chance, truth, stream = made_up()
    found = fit(terms, (stream.random(len(chance)) < chance) * 1.0, l2=1.0)
    assert found.coefficients == pytest.approx(truth, abs=0.06)
    assert found.base == pytest.approx(-0.4, abs=0.06)
    assert np.abs(predict(found, terms) - chance).mean() < 0.02


def test_keeps_the_signs_that_a_queue_demands():
    terms, chance, truth, stream = made_up()
    wrong = 1.0 / (1.0 + np.exp(-(-0.4 - terms @ truth)))  # a longer queue fills sooner
    found = fit(terms, (stream.random(len(chance)) < wrong) * 1.0)
    assert wrong_signs(found) == []
    assert all(found.coefficients[PLACE[name]] == 0.0 for name in ("distance", "queue", "activity"))
    assert wrong_signs(Fit(0.0, np.where(np.array(TERMS) == "queue", 1.0, 0.0), 0)) == ["queue"]


def test_leaves_out_what_it_is_told_to_and_what_never_varies():
    terms, chance, _, stream = made_up(4000)
    terms[:, PLACE["time"]] = 3.0
    found = fit(terms, (stream.random(len(chance)) < chance) * 1.0, used=("queue", "time", "reach"))
    assert [name for name, value in zip(TERMS, found.coefficients, strict=True) if value != 0.0] == ["queue", "reach"]


def test_the_coin_fit_finds_the_hazard_that_made_the_fills():
    terms, chance, truth, stream = made_up()
    exposure = stream.random(len(chance))
    reached = (stream.random(len(chance)) < coin_probability(chance, np.zeros(len(chance)), exposure)) * 1.0
    found = fit_coin(terms, reached, exposure, l2=1.0)
    assert found.coefficients == pytest.approx(truth, abs=0.08)
    assert found.base == pytest.approx(-0.4, abs=0.08)


def test_coin_by_hand():
    # p = 0.75 a life; last print at the price half-way: 1 - 0.25 ** 0.5 = 0.5; one through: 1; no print: 0
    got = coin_probability(np.full(3, 0.75), np.array([0.0, 1.0, 0.0]), np.array([0.5, 0.5, 0.0]))
    assert got.tolist() == [0.5, 1.0, 0.0]


def test_calibration_error_and_skill_by_hand():
    # ten bins of two: 0.2 and 0.4 against one fill in two, nine bins of 0.5 against one in two: |0.3 - 0.5| / 10
    p = np.array([0.2, 0.4] + [0.5] * 18)
    y = np.array([0.0, 1.0] * 10)
    assert calibration_error(p, y) == pytest.approx(0.02)
    assert [part.rows for part in bins(p, y)] == [2] * 10
    # squares: 0.04 + 0.36 + 18 x 0.25 = 4.9 against 20 x 0.25 = 5
    assert brier_skill(p, y) == pytest.approx(1 - 4.9 / 5.0)
    assert math.isnan(brier_skill(np.full(4, 0.5), np.ones(4)))
    with pytest.raises(ValueError, match="at least 10"):
        bins(p[:5], y[:5])


def test_intervals_resample_clusters():
    stream = np.random.default_rng(1)
    p = np.full(600, 0.5)
    y = np.repeat(stream.random(6) < 0.5, 100) * 1.0  # a cluster fills as a whole
    wide = with_interval(calibration_error, p, y, np.repeat(np.arange(6), 100))
    narrow = with_interval(calibration_error, p, y, np.arange(600))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert wide == with_interval(calibration_error, p, y, np.repeat(np.arange(6), 100))
    assert math.isnan(with_interval(calibration_error, p, y, np.zeros(600)).low)


def found_by_hand():
    """Bids at 51, 50 and 49 with a life of 1 s: 100 ahead at 50; 60 then 50 are printed there, later 5 at 49."""
    rows = [
        *opening(), (100, TRADE, ASK, 5000, 60), (250, TRADE, ASK, 5000, 50), (260, DELTA, BID, 5000, -100),
        (600, TRADE, ASK, 4900, 5), (1500, LEVEL, ASK, 5400, 1),
    ]  # fmt: skip
    sizes = (1, 8, 20)
    rules = make_rules(sizes, (1.0, 10.0))
    return walk(tape_of(rows), np.array([4]), rules, distances=(0, 1)), np.array(sizes)


def test_samples_by_hand():
    found, sizes = found_by_hand()
    options = {"life_s": 1.0, "life": 0, "sizes": sizes, "memory": 1, "move_memory": 2}
    first = sample(found, "m", **options)
    # bids at 50 and 49, asks at 52 and 53. 10 lots got past the 100 at 250 ms; 5 at 49 stood behind 70
    assert first.distance.tolist() == [0, 1, 0, 1]
    assert first.filled.tolist() == [1, 0, 0, 0]
    assert first.through.tolist() == [1, 0, 0, 0]
    assert first.exposure.tolist() == [0.25, 0.6, 0.0, 0.0]
    assert first.filled_at.tolist() == [1, 0, 0, 0]
    assert first.exposure_at.tolist() == [0.25, 0.6, 0.0, 0.0]
    # sizes 8 and 20: 10 lots came at the price, and 5 more through it at 600 ms: 15
    full = sample(found, "m", label="full", **options)
    assert full.filled.tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert full.terms[:, PLACE["size"]] == pytest.approx([math.log(1.08)] * 4 + [math.log(1.2)] * 4)
    # the tape ends after 1.5 s: nobody was followed for 10
    with pytest.raises(ValueError, match="too short for this life"):
        join([sample(found, "m", **(options | {"life_s": 10.0, "life": 1}))])


def test_a_fill_by_a_print_through_the_price_is_none_of_the_coins():
    # one print at 50 that eats, then one through it at 600 ms that fills
    rows = [
        *opening(), (100, TRADE, ASK, 5000, 60), (600, TRADE, ASK, 4900, 5), (1500, LEVEL, ASK, 5400, 1),
    ]  # fmt: skip
    found = walk(tape_of(rows), np.array([4]), make_rules((1,), (1.0,)), distances=(0,))
    got = sample(found, "m", life_s=1.0, life=0, sizes=np.array([1]), memory=1, move_memory=2)
    assert (got.filled[0], got.through[0], got.filled_at[0], got.exposure_at[0]) == (1, 1, 0, 0.1)


def test_refuses_what_does_not_do():
    terms, chance, _, stream = made_up(300)
    y = (stream.random(300) < chance) * 1.0
    with pytest.raises(ValueError, match="too little data: 100 orders"):
        fit(terms[:100], y[:100])
    with pytest.raises(ValueError, match="of which 0 with the rarer outcome"):
        fit(terms, np.zeros(300))
    with pytest.raises(ValueError, match="no term 'luck'"):
        fit(terms, y, used=("luck",))
    with pytest.raises(ValueError, match="expected terms of shape"):
        fit(terms[:, :3], y)
    terms[7, PLACE["queue"]] = np.nan
    with pytest.raises(ValueError, match="the term queue of row 7 is nan"):
        fit(terms, y)
    found, sizes = found_by_hand()
    options = {"life_s": 1.0, "life": 0, "sizes": sizes, "memory": 1, "move_memory": 2}
    with pytest.raises(ValueError, match="no label 'half'"):
        sample(found, "m", label="half", **options)


def test_reached_is_said_of_the_worse_end_of_every_interval():
    error, skills = {"value": 0.02, "low": 0.01, "high": 0.04}, [{"value": 0.2, "low": 0.1, "high": 0.3}]
    assert report._reached(error, skills)
    assert not report._reached({**error, "high": 0.05}, skills)  # below 0.05 is wanted
    assert not report._reached(error, [*skills, {"value": 0.2, "low": 0.09, "high": 0.3}])
    assert not report._reached(error, [{"value": 0.2, "low": None, "high": None}])  # one cluster has no interval
    assert report._reached({"value": 0.02}, [{"value": 0.1}])  # no intervals were asked for


def test_a_fit_is_called_by_how_its_prints_were_made():
    assert set_name("kalshi_btc15m", "split: volume") == "kalshi_btc15m"
    assert set_name("kalshi_btc15m", "split: share") == "kalshi_btc15m_share"
    assert set_name("kalshi_nba", "of the tape") == "kalshi_nba"
