"""Responses to rules, drift, and the command. The fixtures are made here, in the shapes that the venues send."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from sim.venues import VENUES, TickRange, kalshi_fees, polymarket_fees
from sim.venues.refresh import drift, known_from, known_rules, main, market_rules, read_file
from sim.venues.responses import MarketRules, RefreshError, combined, read_rules

CENT = [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]
KALSHI_MARKET = {"market": {"ticker": "KXA-1", "price_level_structure": "linear_cent", "price_ranges": CENT, "new": 1}}
SERIES = {"series": {"ticker": "KXA", "fee_type": "quadratic_with_maker_fees", "fee_multiplier": 0.5}}
EVENT = {
    "event": {
        "event_ticker": "KXA-E",
        "collateral_return_type": "MECNET",
        "fee_type_override": "quadratic",
        "fee_multiplier_override": 1,
    }
}
GAMMA = {
    "conditionId": "0xaa", "orderPriceMinTickSize": 0.001, "orderMinSize": 5, "feesEnabled": True,
    "feeType": "crypto_fees_v2", "negRisk": False, "clearBookOnStart": True,
    "feeSchedule": {"rate": 0.07, "exponent": 1, "takerOnly": True, "rebateRate": 0.2},
}  # fmt: skip
CLOB = {"condition_id": "0xbb", "minimum_tick_size": 0.01, "minimum_order_size": 5, "neg_risk": True}
COMPACT = {"c": "0xcc", "mts": 0.01, "mos": 5, "fd": {"r": 0.04, "e": 1, "to": True}, "nr": False, "t": []}


def only(response):
    (rules,) = read_rules(response)
    return rules


def drifts(response):
    return {item.field: (item.expected, item.got) for item in drift(known_rules(only(response)), only(response))}


def changed(response, **values):
    """A copy whose only inner object, or itself, has other values; None takes a key away."""
    inner = next(iter(response.values()))
    if isinstance(inner, dict) and len(response) == 1:
        return {next(iter(response)): changed(inner, **values)}
    return {key: value for key, value in {**response, **values}.items() if value is not None}


def test_a_kalshi_market_a_series_and_an_event():
    market, series, event = only(KALSHI_MARKET), only(SERIES), only(EVENT)
    assert market.ticks == (TickRange(0, 10_000, 100),)
    assert (market.market, market.tick_label) == ("KXA-1", "linear_cent")
    assert series.fees == kalshi_fees("quadratic_with_maker_fees", "0.5")
    assert (event.market, event.exclusive, event.fees) == ("KXA-E", "MECNET", kalshi_fees())
    # the event's fees come before the series', and take the series' multiplier with them
    rules = combined(series, event, market)
    assert (rules.fees, rules.multiplier, rules.market) == (kalshi_fees(), Fraction(1), "KXA-1")
    assert combined(series, only(changed(EVENT, fee_type_override=None)), market).fees == series.fees
    assert market_rules(rules).tick_table() == market.ticks
    assert market_rules(rules).fee_schedule() == kalshi_fees()


def test_polymarket_markets():
    gamma, clob, compact = only(GAMMA), only(CLOB), only(COMPACT)
    assert (gamma.min_qty, gamma.ticks, gamma.fee_name) == (500, (TickRange(0, 10_000, 10),), "crypto")
    assert (gamma.fees, gamma.rebate_ppm) == (polymarket_fees("0.07"), 200_000)
    assert (gamma.exclusive, gamma.clear_on_start) == ("", True)
    assert (clob.exclusive, clob.fees, clob.reward_min_qty) == ("negRisk", None, None)
    rewarded = only({**CLOB, "rewards": {"rates": [], "min_size": 200, "max_spread": 3.5}})
    assert (rewarded.reward_min_qty, rewarded.reward_spread_px) == (20_000, 350)
    rewarded = only({**GAMMA, "rewardsMinSize": 50, "rewardsMaxSpread": 4.5})
    assert (rewarded.reward_min_qty, rewarded.reward_spread_px) == (5_000, 450)
    assert compact.fees == polymarket_fees("0.04")
    rules = market_rules(gamma)
    assert (rules.default_ticks, rules.default_fee, rules.min_qty) == ("0.001", "crypto", 500)
    assert rules.name == "polymarket"
    assert only(changed(GAMMA, feesEnabled=False)).fees == polymarket_fees(0)


def test_messages_of_the_sockets():
    lifecycle = {
        "type": "market_lifecycle_v2",
        "msg": {
            "market_ticker": "KXA-1",
            "price_level_structure": "deci_cent",
            "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}],
        },
    }
    assert only(lifecycle).ticks == VENUES["kalshi"].tick_table("deci_cent")
    fee = {"msg": {"event_ticker": "KXA-E", "fee_type_override": "quadratic", "fee_multiplier_override": 1}}
    assert only(fee).fees == kalshi_fees()
    cleared = {"msg": {"event_ticker": "KXA-E", "fee_type_override": None, "fee_multiplier_override": None}}
    assert only(cleared) == MarketRules("kalshi", "KXA-E")
    change = {"asset_id": "1", "market": "0xaa", "old_tick_size": "0.01", "new_tick_size": "0.001"}
    assert only(change).ticks == (TickRange(0, 10_000, 10),)
    scheduled = {"series_ticker": "KXA", "fee_type": "quadratic", "fee_multiplier": 1, "scheduled_ts": "2026-12-01"}
    assert only(scheduled).effective == "2026-12-01"


@pytest.mark.parametrize("response", [KALSHI_MARKET, SERIES, EVENT, GAMMA, CLOB, COMPACT])
def test_what_is_known_does_not_drift(response):
    assert drifts(response) == {}


@pytest.mark.parametrize(
    ("response", "field", "expected", "got"),
    [
        (
            changed(KALSHI_MARKET, price_ranges=[{"start": "0", "end": "1", "step": "0.005"}]),
            "ticks",
            "[0, 10000] step 100",
            "[0, 10000] step 50",
        ),
        (changed(KALSHI_MARKET, price_level_structure="penta_cent"), "tick_label", "'linear_cent' or", "'penta_cent'"),
        (changed(SERIES, fee_type="flat"), "fee_name", "'quadratic' or", "'flat'"),
        (changed(SERIES, fee_multiplier=0.75), "multiplier", "0 or 1/2 or 1", "3/4"),
        (changed(EVENT, collateral_return_type="NEWNET"), "exclusive", "'MECNET' or 'DIRECNET' or ''", "'NEWNET'"),
        (changed(GAMMA, orderMinSize=1), "min_qty", "500", "100"),
        (changed(GAMMA, orderPriceMinTickSize=0.02), "tick_label", "'0.1' or '0.01'", "'0.02'"),
        (changed(GAMMA, feeType="weird_fees"), "fee_name", "'crypto' or", "'weird'"),
        (
            changed(GAMMA, feeSchedule={"rate": 0.08, "exponent": 1, "takerOnly": True, "rebateRate": 0.2}),
            "fees",
            "takers 70000 ppm, makers 0 ppm",
            "takers 80000 ppm, makers 0 ppm",
        ),
        (
            changed(GAMMA, feeSchedule={"rate": 0.07, "exponent": 2, "takerOnly": True, "rebateRate": 0.2}),
            "fee_formula",
            "'exponent 1, takers only'",
            "'exponent 2, takers only'",
        ),
        (
            changed(GAMMA, feeSchedule={"rate": 0.07, "exponent": 1, "takerOnly": False, "rebateRate": 0.2}),
            "fee_formula",
            "'exponent 1, takers only'",
            "'exponent 1, makers pay'",
        ),
        (
            changed(GAMMA, feeSchedule={"rate": 0.07, "exponent": 1, "takerOnly": True, "rebateRate": 0.3}),
            "rebate_ppm",
            "200000",
            "300000",
        ),
        (changed(COMPACT, fd={"r": 0.09, "e": 1, "to": True}), "fees", "takers 0 ppm", "takers 90000 ppm"),
    ],
)
def test_each_change_is_seen_and_nothing_else(response, field, expected, got):
    found = drifts(response)
    assert list(found) == [field]
    assert found[field][0].startswith(expected)
    assert found[field][1].startswith(got)


def test_a_drift_names_the_source_and_its_date():
    rules = only(changed(GAMMA, orderMinSize=1))
    (item,) = drift(known_rules(rules), rules)
    assert (item.market, item.field, item.source.date) == ("0xaa", "min_qty", "2026-07-24")
    assert str(item) == ("0xaa: min_qty: expected 500, got 100 (as of 2026-07-24: market objects of the Gamma API)")


def test_against_an_earlier_response():
    before, after = only(SERIES), only(changed(SERIES, fee_multiplier=1))
    found = drift(known_from(before, "monday.json", "2026-11-16"), after)
    assert [(item.field, item.got) for item in found] == [
        ("multiplier", "1"),
        ("fees", "takers 70000 ppm, makers 17500 ppm"),
    ]
    assert found[0].source.where == "monday.json"
    assert drift(known_from(before, "monday.json", "2026-11-16"), before) == []


def test_rules_without_a_formula_are_not_made():
    for response in (changed(SERIES, fee_type="flat"), changed(GAMMA, feeSchedule={"rate": 0.07, "exponent": 2})):
        with pytest.raises(ValueError, match="no formula for fees"):
            market_rules(only(response))
    with pytest.raises(ValueError, match="no tick table 'penta_cent'"):
        market_rules(only({"ticker": "KXA", "price_level_structure": "penta_cent"}))
    with pytest.raises(ValueError, match="expected parts of one venue"):
        combined(only(GAMMA), only(SERIES))


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ({}, "no market, series or event in it"),
        ([1, "x", None], "no market, series or event in it"),
        (changed(KALSHI_MARKET, price_ranges="cent"), r"market\.price_ranges: 'cent'; expected a list of objects"),
        (
            changed(KALSHI_MARKET, price_ranges=[{"start": "0", "end": "1"}]),
            r"price_ranges\[0\]\.step: None; expected a decimal number",
        ),
        (
            changed(KALSHI_MARKET, price_ranges=[{"start": "0", "end": "1", "step": "0.00001"}]),
            r"price_ranges\[0\]\.step: '0.00001' is not a multiple of 1/10000",
        ),
        (
            changed(KALSHI_MARKET, price_ranges=[{"start": "0", "end": "1", "step": "0.03"}]),
            r"does not divide its length 10000",
        ),
        (changed(KALSHI_MARKET, price_ranges=[]), "no ranges"),
        (changed(SERIES, fee_multiplier="half"), r"series\.fee_multiplier: 'half'; expected a decimal number"),
        (changed(SERIES, fee_multiplier=True), r"fee_multiplier: True; expected a decimal number"),
        (changed(SERIES, fee_multiplier="1/0"), r"fee_multiplier: '1/0'; expected a decimal number"),
        (changed(SERIES, fee_type=[1]), r"fee_type: \[1\]; expected text"),
        (changed(SERIES, ticker=7), "no name; expected ticker or series_ticker"),
        (changed(GAMMA, orderPriceMinTickSize=0), r"orderPriceMinTickSize: 0 does not divide a dollar"),
        (changed(GAMMA, orderPriceMinTickSize=0.03), r"0\.03 does not divide a dollar"),
        (changed(GAMMA, orderMinSize="nan"), r"orderMinSize: 'nan'; expected a decimal number"),
        (changed(GAMMA, orderMinSize=0.001), r"orderMinSize: 0\.001 is not a multiple of 1/100"),
    ],
)
def test_values_that_cannot_be(response, message):
    with pytest.raises(RefreshError, match=message):
        read_rules(response)


def written(folder, name, *responses):
    path = folder / name
    path.write_text("\n".join(map(json.dumps, responses)))
    return str(path)


def test_the_command(tmp_path, capsys):
    good = written(tmp_path, "good.json", [KALSHI_MARKET, SERIES, GAMMA])
    assert main([good]) == 0
    assert capsys.readouterr().out == "3 read, 0 drifted\n"
    lines = written(tmp_path, "lines.jsonl", SERIES, changed(GAMMA, orderMinSize=1))
    assert main([good, lines]) == 1
    out = capsys.readouterr().out
    assert "0xaa: min_qty: expected 500, got 100" in out
    assert out.endswith("5 read, 1 drifted\n")


def test_the_command_with_an_earlier_response(tmp_path, capsys):
    before = written(tmp_path, "before.json", SERIES)
    after = written(tmp_path, "after.json", changed(SERIES, fee_multiplier=1))
    assert main([after]) == 0  # a multiplier of 1 is known
    assert main(["--known", before, after]) == 1
    assert "KXA: multiplier: expected 1/2, got 1 (as of" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"ticker": ', r"bad\.json:1:12: not JSON: Expecting value"),
        ('{"mts": 0.01}\n{"mts": ', r"bad\.json:2:9: not JSON"),
        ("hello\nworld", r"bad\.json:1:1: not JSON"),
        ("", r"bad\.json:1:1: not JSON"),
        ("{}", r"bad\.json: no market, series or event in it"),
        ("\x00", "not JSON"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, capsys, text, message):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(RefreshError, match=message):
        read_file(path)
    assert main([str(path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_files_that_are_no_text_or_not_there(tmp_path):
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    for name in ("bytes.json", "absent.json"):
        with pytest.raises(RefreshError, match=f"{name}: cannot be read"):
            read_file(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "count", "fields"),
    [
        ("kalshi/rest_series_fee_fields_20260820.json", 4, set()),
        ("kalshi/rest_price_grids_20260808.json", 1, set()),
        ("kalshi/rest_market_single_202608.json", 2, set()),
        ("kalshi/rest_events_nested_excerpt_202608.json", 6, set()),
        ("kalshi/rest_markets_btc15m_fed_202609.json", 2, set()),
        ("polymarket/gamma_markets_btc5m_20260724.jsonl", 3, set()),
        ("polymarket/ws_market_capture_btc5m_20260421.jsonl", 4, set()),
        ("polymarket/nautilus_rs_clob_market_closed_binary_accepting_true.json", 1, set()),
        # older than the rates of July 2026: 3 % and a quarter of it for makers
        ("polymarket/nautilus_rs_gamma_market_sports_market_money_line.json", 1, {"fees", "rebate_ppm"}),
        # an example of the docs, from the exponents of early 2026
        ("polymarket/docs_ws_market_examples.json", 2, {"fee_formula"}),
    ],
)
def test_recorded_responses(venue_samples, name, count, fields):
    rules = read_file(venue_samples / name)
    assert len(rules) == count
    assert {item.field for each in rules for item in drift(known_rules(each), each)} == fields
