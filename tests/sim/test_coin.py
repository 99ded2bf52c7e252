"""The engine's coin: its probability by hand, and the same number as the fit's for the same order on the same tape."""

from __future__ import annotations

import math

import numpy as np
import pytest
from by_hand import FREE, MILLS, buy, engine_on, level, opening, sell, send, tape, trade, wait

from sim.fillfit.features import sample
from sim.fillfit.hypothetical import make_rules, walk
from sim.fillfit.model import Fit, predict
from sim.fillfit.playing import PX
from sim.fillfit.table import row_fields
from sim.fillmodel import COIN_TERMS
from sim.types import ASK, BID, FILL_MODELS, SECOND_NS

ZERO = {f"fill_{term}": 0.0 for term in COIN_TERMS} | {"fill_base": 0.0}
FAR = trade(800, BID, 6000, 1)


def hazard_of_order(recording, order, *, at, model="probabilistic", **row):
    """The hazard that an order sent at second ``at`` rests with."""
    engine = engine_on(recording, fill_model=model, **row)
    wait(engine, until=at)
    send(engine, **{"bid" if order["leg"] == 0 else "ask": order})
    assert engine.state.orders["entry_ns"][0, 0] == round(at * SECOND_NS)
    return float(engine.state.orders["hazard"][0, 0])


def chance(recording, order, **more):
    """The probability p of its life."""
    return 1.0 - math.exp(-hazard_of_order(recording, order, **more))


def logistic(logit):
    return 1.0 / (1.0 + math.exp(-logit))


def test_the_probability_by_hand():
    """A bid a tick behind the touch at 2.1 s, in the fourth bucket of 0.537 s; the close is at 1000 s.

    Bids of 100 at 50 and 50 at 49 cents; the ask came from 53 to 52 cents in the third bucket and shows 300. Since
    1.61 s sellers printed 30 and 10, a buyer 20.
    """
    recording = tape(
        *opening({5000: 100, 4900: 50}, {5300: 100}), level(1.2, ASK, 5200, 300), trade(1.7, ASK, 5000, 30),
        trade(1.8, ASK, 5000, 10), trade(1.9, BID, 5200, 20), FAR, fees=(FREE,),
    )  # fmt: skip
    life = 5 * math.log(2) / (16 * 2**29 * 1e-9)  # of a sum with a half-life of 16 buckets, what 5 s bring: 0.40347
    assert life == pytest.approx(0.40347, abs=1e-5)
    # bid + ask fell by 100, the mid by 50: 2500 x 5 s x log 2 / 34.36 s = 252.2 = 15.88^2, 0.1588 cents in a life
    move = math.sqrt(2500 * 5 * math.log(2) / (64 * 2**29 * 1e-9)) / 100
    assert move == pytest.approx(0.1588, abs=1e-4)
    terms = {
        "inside": 0.0,
        "distance": 1.0,
        "queue": math.log(1 + 50),
        "better": math.log(1 + 100),
        "activity": math.log(1 + 3 * life),
        "lean": math.log(1 + 2 * life) - math.log(1 + life),
        "clear": math.log(1 + 50 + 100) - math.log(1 + 40 * life),
        "reach": math.log(2 + 0.5) - math.log(move + 0.5),  # 49 lies 2 cents from the mid of 51
        "spread": math.log(2),
        "imbalance": (100 - 300) / 400,
        "time": math.log(1 + 997.9),
    }
    weights = {
        "inside": 0.7, "distance": -0.2, "queue": -0.3, "better": -0.1, "activity": 0.8, "lean": 0.4, "clear": -0.25,
        "reach": -0.35, "spread": 0.15, "imbalance": -0.45, "time": 0.3,
    }  # fmt: skip
    row = {f"fill_{term}": weight for term, weight in weights.items()} | {"fill_base": 0.6}
    found = chance(recording, buy(4900, 10), at=2.1, fill_memory=1.0, fill_move_memory=2.0, **row)
    # 0.6 - 0.2 - 1.1795 - 0.4615 + 0.6341 + 0.1010 - 0.5437 - 0.4667 + 0.1040 + 0.225 + 2.0720 = 0.8846
    logit = 0.6 + sum(weights[term] * value for term, value in terms.items())
    assert logit == pytest.approx(0.8846, abs=2e-4)
    assert found == pytest.approx(logistic(logit), rel=1e-12)


def test_distance_and_spread_count_the_ticks_in_force():
    """From 8 to 12 cents: tenths of a cent up to 10 cents, whole ones above; the bid at 7.9 is a tick behind."""
    tapered = ((0, 1000, 10), (1000, 9000, 100), (9000, 10_000, 10))
    book = opening({800: 10, 700: 5}, {1200: 10})
    coarse, fine, mixed = (tape(*book, FAR, fees=(FREE,), ticks=(t,)) for t in (((0, 10_000, 100),), MILLS, tapered))
    for recording, order, ticks in (
        (coarse, buy(700, 10), 1), (fine, buy(700, 10), 10), (mixed, buy(790, 10), 1), (coarse, buy(800, 10), 0),
        (coarse, buy(900, 10), 0), (mixed, sell(1300, 10), 1), (coarse, sell(1500, 10), 3),
    ):  # fmt: skip
        found = chance(recording, order, at=2.0, **ZERO | {"fill_distance": -0.5, "fill_base": 1.0})
        assert found == pytest.approx(logistic(1.0 - 0.5 * ticks)), (order["px"], ticks)
    # 400 of 10 and of 100: the tick is that behind the order
    for recording, ticks in ((coarse, 4), (fine, 40), (mixed, 40)):
        found = chance(recording, buy(800, 10), at=2.0, **ZERO | {"fill_spread": -0.5})
        assert found == pytest.approx(logistic(-0.5 * math.log(ticks)))


def test_an_order_on_an_empty_side_stands_inside():
    recording = tape(*opening({}, {5300: 100}), FAR, fees=(FREE,))
    for order, inside in ((buy(4000, 10), 1), (sell(5300, 10), 0), (sell(5200, 10), 1)):
        row = ZERO | {"fill_inside": 1.5, "fill_distance": -1.0, "fill_spread": 2.0, "fill_imbalance": -3.0}
        assert chance(recording, order, at=2.0, **row) == pytest.approx(logistic(1.5 * inside))


@pytest.mark.parametrize("model", FILL_MODELS)
def test_only_the_probabilistic_model_has_a_hazard(model):
    recording = tape(*opening({5000: 100}, {5200: 100}), FAR, fees=(FREE,))
    assert (hazard_of_order(recording, buy(5000, 10), at=2.0, model=model) > 0.0) == (model == "probabilistic")


def made_up_tape(seed):
    """Levels, cancels, trades of both sides and of none on four prices a side, for 60 s; never crossed."""
    stream = np.random.default_rng(seed)
    rows, second = [], 1.0
    while second < 60.0:
        second += float(stream.exponential(0.15))
        stamp = round(second, 3)
        side = int(stream.integers(2))
        touch = 5000 if side == BID else 5100
        px = touch + (-100 if side == BID else 100) * int(stream.integers(4))
        if stream.random() < 0.3:
            rows.append(trade(stamp, (1 - side) if stream.random() < 0.9 else -1, px, int(stream.integers(1, 40))))
        else:
            shown = 0 if px == touch and stream.random() < 0.4 else int(stream.integers(1, 90))
            rows.append(level(stamp, side, px, shown))
    book = opening({5000: 40, 4900: 70, 4800: 5}, {5100: 30, 5200: 60, 5400: 9})
    return tape(*book, *rows, fees=(FREE,), close_s=300.0)


@pytest.mark.parametrize("fill_set", ["kalshi_btc15m", "kalshi_btc15m_share", "polymarket_mlb", "kalshi_nba"])
def test_engine_and_fit_say_the_same_of_the_same_order(fill_set):
    """What the fit predicts of an order that it places on a tape is what the engine gives it there."""
    row = row_fields(fill_set) | {"fill_life_s": 5.0, "fill_better": -0.1, "fill_reach": -0.4, "fill_distance": -0.2}
    model = Fit(row["fill_base"], np.array([row[f"fill_{term}"] for term in COIN_TERMS] + [0.0]), 0)
    memories = {"memory": int(row["fill_memory"]), "move_memory": int(row["fill_move_memory"])}
    seen = set()
    for seed, placed in enumerate((60, 120, 200)):
        recording = made_up_tape(seed)
        found = walk(recording, np.array([placed]), make_rules((1,), (5.0,)), distances=(-1, 0, 1, 2))
        rows = sample(found, "m", life_s=5.0, life=0, sizes=np.array([1]), close_ns=300 * SECOND_NS, **memories)
        predicted = predict(model, rows.terms)
        assert len(predicted) == len(found.side) > 0
        for index, wanted in enumerate(predicted):
            px, side = int(found.noted[index, PX]), int(found.side[index])
            order = buy(px, 10) if side == BID else sell(px, 10)
            at = int(found.entry_ns[index]) / SECOND_NS
            assert chance(recording, order, at=at, **row) == pytest.approx(wanted, abs=1e-9), (seed, side, px)
            seen.add((side, int(rows.distance[index])))
    assert {distance for _, distance in seen} >= {0, 1, 2}
    assert len(seen) >= 6
