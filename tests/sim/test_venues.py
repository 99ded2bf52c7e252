from __future__ import annotations

import dataclasses
import json
from datetime import date
from fractions import Fraction

import numpy as np
import pytest

from sim.types import FOK, GTC, IOC
from sim.venues import VENUES, TickRange, kalshi_fees, polymarket_fees, tick_prices, venue_rules
from sim.venues.amend import CANCEL_INCOMING, CANCEL_RESTING

ALL_TABLES = [(rules, label) for rules in VENUES.values() for label in rules.ticks]
TABLE_IDS = [f"{rules.name}-{label}" for rules, label in ALL_TABLES]


@pytest.mark.parametrize(
    ("venue", "label", "count", "first", "around"),
    [
        ("kalshi", "linear_cent", 99, 100, [4900, 5000, 5100]),
        ("kalshi", "deci_cent", 999, 10, [4990, 5000, 5010]),
        # .001 to .100 is 100 prices, .11 to .89 is 79, .900 to .999 is 100
        ("kalshi", "tapered_deci_cent", 279, 10, [980, 990, 1000, 1100, 1200]),
        # .005 to .100 is 20, 79 between, .900 to .995 is 20
        ("kalshi", "center_whole_edge_half_cent", 119, 50, [950, 1000, 1100]),
        ("kalshi", "center_whole_edge_quint_cent", 179, 20, [980, 1000, 1100]),  # 50 + 79 + 50
        ("kalshi", "center_half_edge_half_cent", 199, 50, [4950, 5000, 5050]),
        ("kalshi", "center_half_edge_quint_cent", 259, 20, [980, 1000, 1050]),  # 50 + 159 + 50
        ("kalshi", "center_half_edge_deci_cent", 359, 10, [990, 1000, 1050]),  # 100 + 159 + 100
        ("kalshi", "center_quint_edge_quint_cent", 499, 20, [4980, 5000, 5020]),
        ("kalshi", "center_quint_edge_deci_cent", 599, 10, [990, 1000, 1020]),  # 100 + 399 + 100
        ("kalshi", "center_centi_edge_centi_cent", 9999, 1, [4999, 5000, 5001]),
        # .0001 to .0100 is 100, .011 to .989 is 979, .9900 to .9999 is 100
        ("kalshi", "center_deci_edge_centi_cent", 1179, 1, [99, 100, 110, 120]),
        ("polymarket", "0.1", 9, 1000, [4000, 5000, 6000]),
        ("polymarket", "0.01", 99, 100, [4900, 5000, 5100]),
        ("polymarket", "0.005", 199, 50, [4950, 5000, 5050]),
        ("polymarket", "0.0025", 399, 25, [4975, 5000, 5025]),
        ("polymarket", "0.001", 999, 10, [4990, 5000, 5010]),
        ("polymarket", "0.0001", 9999, 1, [4999, 5000, 5001]),
    ],
)
def test_prices_of_every_table(venue, label, count, first, around):
    prices = tick_prices(VENUES[venue].tick_table(label))
    assert len(prices) == count
    assert prices[0] == first
    place = int(np.searchsorted(prices, around[0]))
    assert prices[place : place + len(around)].tolist() == around


def test_every_table_is_listed_above():
    assert len(ALL_TABLES) == 12 + 6


@pytest.mark.parametrize(("rules", "label"), ALL_TABLES, ids=TABLE_IDS)
def test_a_price_is_legal_where_its_complement_is(rules, label):
    prices = tick_prices(rules.tick_table(label))
    assert prices.dtype == np.int32
    assert (np.diff(prices) > 0).all()
    assert np.array_equal(np.sort(10_000 - prices), prices)  # a NO order at q is a YES order at 1 - q


@pytest.mark.parametrize("label", VENUES["kalshi"].ticks)
def test_whole_cents_are_legal_on_every_kalshi_table(label):
    assert np.isin(np.arange(100, 10_000, 100), tick_prices(VENUES["kalshi"].tick_table(label))).all()


def test_ranges_may_come_in_any_order_and_leave_gaps():
    assert tick_prices([(9000, 9500, 250), (0, 200, 100)]).tolist() == [100, 200, 9000, 9250, 9500]


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ([], "no ranges"),
        ([(0, 10_001, 1)], r"range \[0, 10001\] step 1 .* is not an interval within \[0, 10000\]"),
        ([(-100, 100, 100)], "is not an interval within"),
        ([(5000, 5000, 100)], "is not an interval within"),
        ([(0, 10_000, 0)], "does not divide"),
        ([(0, 10_000, -100)], "does not divide"),
        ([(0, 10_000, 300)], r"the step of range \[0, 10000\] step 300 .* does not divide its length 10000"),
        ([(0, 1000, 10), (900, 10_000, 100)], r"\[0, 1000\] step 10 .* and range \[900, 10000\] step 100 .* overlap"),
        ([(0, 10_000, 100), (0, 10_000, 100)], "overlap"),
    ],
)
def test_bad_tick_tables(ranges, message):
    with pytest.raises(ValueError, match=message):
        tick_prices(ranges)


def test_venues_by_name():
    assert venue_rules("kalshi").netting
    assert venue_rules("kalshi").min_qty == 1
    assert not venue_rules("polymarket").netting
    assert venue_rules("polymarket").min_qty == 500
    with pytest.raises(ValueError, match="no venue 'nyse'; known are kalshi, polymarket"):
        venue_rules("nyse")


@pytest.mark.parametrize("rules", VENUES.values(), ids=VENUES.keys())
def test_rules_are_complete_and_dated(rules):
    assert rules.tick_table() == rules.tick_table(rules.default_ticks)
    assert rules.fee_schedule() == rules.fee_schedule(rules.default_fee)
    assert {kind.tif for kind in rules.orders.kinds} == {GTC, IOC, FOK}
    assert rules.self_trade_mode() == CANCEL_RESTING  # what the engine does
    with pytest.raises(ValueError, match=f"{rules.name}: no self-trade prevention 'both'; known are"):
        rules.self_trade_mode("both")
    with pytest.raises(ValueError, match=f"{rules.name}: no source about 'weather'; known are"):
        rules.source("weather")
    for source in rules.sources:
        assert date(2026, 1, 1) <= date.fromisoformat(source.date) <= date(2026, 12, 31)
    with pytest.raises(ValueError, match=f"{rules.name}: no tick table 'banded_centi_cent'; known are"):
        rules.tick_table("banded_centi_cent")
    with pytest.raises(ValueError, match=f"{rules.name}: no fee schedule 'flat'; known are"):
        rules.fee_schedule("flat")
    with pytest.raises(dataclasses.FrozenInstanceError):
        rules.netting = True


def test_self_trade_prevention_by_the_venues_word():
    assert venue_rules("kalshi").self_trade_mode("taker_at_cross") == CANCEL_INCOMING
    assert venue_rules("kalshi").self_trade_mode("maker") == CANCEL_RESTING


def test_kalshi_rates():
    # .07 M for takers, k of it for makers
    assert (kalshi_fees().taker_ppm, kalshi_fees().maker_ppm) == (70_000, 0)
    half = kalshi_fees("quadratic_with_maker_fees", multiplier=0.5)
    assert (half.taker_ppm, half.maker_ppm) == (35_000, 8_750)
    combo = kalshi_fees("quadratic_with_combo_maker_fees", "1")
    assert (combo.taker_ppm, combo.maker_ppm) == (70_000, 35_000)
    assert kalshi_fees(multiplier=0).taker_ppm == 0
    with pytest.raises(ValueError, match="no formula for fee type 'flat'; known are quadratic"):
        kalshi_fees("flat")
    with pytest.raises(ValueError, match="multiplier 1/3 of quadratic gives rates that are not multiples of 1e-6"):
        kalshi_fees(multiplier=Fraction(1, 3))


def test_polymarket_rates():
    assert {name: fees.taker_ppm for name, fees in VENUES["polymarket"].fees.items()} == {
        "crypto": 70_000, "sports": 50_000, "economics": 50_000, "culture": 50_000, "weather": 50_000, "other": 50_000,
        "finance": 40_000, "politics": 40_000, "mentions": 40_000, "tech": 40_000, "geopolitics": 0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="no formula for exponent 2"):
        polymarket_fees(0.02, exponent=2)
    with pytest.raises(ValueError, match="no formula for exponent 1 with taker_only False"):
        polymarket_fees(0.02, taker_only=False)
    with pytest.raises(ValueError, match="rate 1e-07 is not a multiple of 1e-6"):
        polymarket_fees(1e-7)


def test_recorded_price_ranges_of_kalshi(venue_samples):
    grids = json.loads((venue_samples / "kalshi" / "rest_price_grids_20260808.json").read_text())["grids"]
    for grid in grids:
        ranges = [
            TickRange(*(int(Fraction(item[key]) * 10_000) for key in ("start", "end", "step")))
            for item in grid["price_ranges"]
        ]
        known = VENUES["kalshi"].tick_table(grid["price_level_structure"])
        assert tick_prices(ranges).tolist() == tick_prices(known).tolist()
    assert grids


def test_recorded_fee_fields_of_kalshi_series(venue_samples):
    payloads = json.loads((venue_samples / "kalshi" / "rest_series_fee_fields_20260820.json").read_text())["payloads"]
    rates = {}
    for ticker, payload in payloads.items():
        series = payload["series"]
        fees = kalshi_fees(series["fee_type"], series["fee_multiplier"])
        rates[ticker] = (fees.taker_ppm, fees.maker_ppm)
    assert rates["KXMLBGAME"] == (35_000, 8_750)


def test_recorded_fee_schedule_of_a_polymarket_market(venue_samples):
    lines = (venue_samples / "polymarket" / "gamma_markets_btc5m_20260724.jsonl").read_text().splitlines()
    for line in lines:
        schedule = json.loads(line)["raw"]["feeSchedule"]
        fees = polymarket_fees(schedule["rate"], schedule["exponent"], schedule["takerOnly"])
        assert fees == VENUES["polymarket"].fee_schedule("crypto")
    assert lines
