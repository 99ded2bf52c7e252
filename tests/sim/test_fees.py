from __future__ import annotations

import json
import math
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.venues import MAX_QTY, FeeSchedule, charge, fee_bound, fee_of_fill, fee_table, kalshi_fees, polymarket_fees
from sim.venues.fees import KALSHI, POLYMARKET

DIRECT = kalshi_fees()
WITH_MAKERS = kalshi_fees("quadratic_with_maker_fees")
HALF = kalshi_fees(multiplier=0.5)
CENTS = kalshi_fees(step_uusd=10_000)
EXACT = kalshi_fees(step_uusd=1)  # no balance rounding
CRYPTO = polymarket_fees("0.07")

prices = st.integers(0, 10_000)
sizes = st.integers(1, MAX_QTY)
kalshi_schedules = st.builds(
    FeeSchedule, st.just(KALSHI), st.integers(0, 150_000), st.integers(0, 40_000), st.sampled_from([1, 100, 10_000])
)
polymarket_schedules = st.builds(FeeSchedule, st.just(POLYMARKET), st.integers(0, 150_000), st.just(0))
schedules = kalshi_schedules | polymarket_schedules


def plain_fee(schedule, px, qty, buys, maker, overshoot):
    """The rules as the venues write them, with fractions of a dollar."""
    rate = Fraction(schedule.maker_ppm if maker else schedule.taker_ppm, 10**6)
    p = Fraction(px, 10_000)
    contracts = Fraction(qty, 100)
    model = contracts * rate * p * (1 - p)
    if schedule.kind == POLYMARKET:
        return math.floor(model * 10**5 + Fraction(1, 2)) * 10, overshoot
    step = Fraction(schedule.step_uusd, 10**6)
    trade_fee = Fraction(math.ceil(model * 10**6), 10**6)
    revenue = -contracts * p if buys else contracts * p
    aligned_change = math.floor((revenue - trade_fee) / step) * step
    rounding_fee = (revenue - trade_fee) - aligned_change
    accumulated = Fraction(overshoot, 10**6) + rounding_fee
    fee = trade_fee + rounding_fee
    rebate = min(math.floor(accumulated / step), math.floor(fee / step)) * step
    return int((fee - rebate) * 10**6), int((accumulated - rebate) * 10**6)


@pytest.mark.parametrize(
    ("schedule", "px", "qty", "maker", "expected_uusd"),
    [
        (DIRECT, 5000, 100, False, 17_500),  # .07 x 1 x .50 x .50 = .0175
        (DIRECT, 5000, 1000, False, 175_000),  # .07 x 10 x .25 = .1750
        (DIRECT, 500, 10_000, False, 332_500),  # .07 x 100 x .05 x .95 = .3325
        (HALF, 2700, 100, False, 6_900),  # .035 x .27 x .73 = .0068985 -> .006899; cost .27 + .006899 -> .2769
        (HALF, 1300, 2000, False, 79_200),  # .035 x 20 x .13 x .87 = .07917; 2.6 + .07917 -> 2.6792
        (WITH_MAKERS, 5000, 100, True, 4_400),  # .0175 x .25 = .004375; .5 + .004375 -> .5044
        (DIRECT, 5400, 500, False, 87_000),  # .07 x 5 x .54 x .46 = .08694; 2.7 + .08694 -> 2.7870
        (WITH_MAKERS, 6700, 200, True, 7_800),  # .0175 x 2 x .67 x .33 = .0077385 -> .007739; 1.34 + that -> 1.3478
        (DIRECT, 5000, 100, True, 0),  # makers pay nothing on most series
        (DIRECT, 5000, 13_942_900, False, 2_440_007_500),  # .07 x 139,429 x .25 = 2,440.0075
        (CRYPTO, 5000, 10_000, False, 1_750_000),  # .07 x 100 x .25 = 1.75
        (CRYPTO, 5000, 100, True, 0),  # takers only
        (CRYPTO, 1234, 1929, False, 146_070),  # .07 x 19.29 x .1234 x .8766 = .1460677 -> .14607
        (CRYPTO, 5000, 3, False, 530),  # .07 x .03 x .25 = .000525, half way: up to .00053
        (CRYPTO, 10, 5, False, 0),  # .07 x .05 x .001 x .999 = .0000035: below half of .00001
        (polymarket_fees(0), 5000, 10_000, False, 0),
    ],
)
def test_worked_numbers(schedule, px, qty, maker, expected_uusd):
    assert fee_of_fill(schedule, px, qty, maker=maker)[0] == expected_uusd


def test_kalshi_rounds_the_balance_of_the_leg():
    # .27 @ .013: .07 x .27 x .013 x .987 = .00024251 -> .000243
    # buy: .00351 + .000243 = .003753 -> .0038, fee .00029; sell: .00351 - .000243 = .003267 -> .0032, fee .00031
    assert fee_of_fill(DIRECT, 130, 27, buys=True) == (290, 47)
    assert fee_of_fill(DIRECT, 130, 27, buys=False) == (310, 67)


def test_kalshi_example_of_the_docs():
    # revenue -.055, model fee .00363825 = .07 x C p (1 - p): p = .055, C = 1: .07 x .055 x .945 = .00363825
    # trade fee .003639, balance change -.06, rounding fee .001361, together .005
    fee, overshoot = fee_of_fill(CENTS, 550, 100)
    assert (fee, overshoot) == (5_000, 1_361)


def test_kalshi_accumulator_of_one_hundred_fills():
    # .01 @ .50: fee .000175, cost .005 -> balance .0052, charged .0002, of which .000025 is rounding.
    # Every fourth fill has .0001 of it to give back: 100 x .0002 - 25 x .0001 = .0175, as one fill of 1 pays
    paid = overshoot = before_rebate = 0
    for _ in range(100):
        fee, overshoot = fee_of_fill(DIRECT, 5000, 1, overshoot_uusd=overshoot)
        paid += fee
        before_rebate += fee_of_fill(DIRECT, 5000, 1)[0]
    assert (before_rebate, paid, overshoot) == (20_000, 17_500, 0)


def test_kalshi_accumulator_goes_from_taker_to_maker():
    # taker 1.01 @ .51: .07 x 1.01 x .2499 = .01766793 -> .017668; .5151 + .017668 = .532768 -> .5328, rounding 32
    # maker 1 @ .50: .004375, .5 + .004375 -> .5044, rounding 25: 57 in all, nothing to give back
    # maker 1 @ .50 twice more: 82, then 107: one step of 100 back
    fee, overshoot = fee_of_fill(WITH_MAKERS, 5100, 101)
    assert (fee, overshoot) == (17_700, 32)
    for expected in [(4_400, 57), (4_400, 82), (4_300, 7)]:
        fee, overshoot = fee_of_fill(WITH_MAKERS, 5000, 100, maker=True, overshoot_uusd=overshoot)
        assert (fee, overshoot) == expected


def test_kalshi_rebate_never_turns_a_fee_negative():
    # a cent account filled lot by lot at .50: .005 + .000175 -> .01, charged .005. Less than a cent: nothing comes back
    fee, overshoot = fee_of_fill(CENTS, 5000, 1, overshoot_uusd=25_000)
    assert (fee, overshoot) == (5_000, 29_825)
    # a fill of 10 pays .175 -> .18; 3 whole cents of the 34,825 come back
    assert fee_of_fill(CENTS, 5000, 1000, overshoot_uusd=overshoot) == (150_000, 4_825)


@given(schedules, prices, sizes, st.booleans(), st.booleans(), st.integers(0, 50_000))
@settings(max_examples=300)
def test_same_as_the_rules_in_fractions(schedule, px, qty, buys, maker, overshoot):
    got = fee_of_fill(schedule, px, qty, buys=buys, maker=maker, overshoot_uusd=overshoot)
    assert got == plain_fee(schedule, px, qty, buys, maker, overshoot)


@given(kalshi_schedules, prices, sizes, st.booleans(), st.booleans(), st.integers(0, 50_000))
@settings(max_examples=200)
def test_kalshi_balances_stay_on_their_precision(schedule, px, qty, buys, maker, overshoot):
    fee, left = fee_of_fill(schedule, px, qty, buys=buys, maker=maker, overshoot_uusd=overshoot)
    change = (-px * qty if buys else px * qty) - fee
    assert change % schedule.step_uusd == 0
    assert fee >= 0
    assert left >= 0


@given(schedules, prices, sizes, st.booleans(), st.integers(0, 50_000))
@settings(max_examples=200)
def test_selling_a_leg_costs_what_buying_the_other_does(schedule, px, qty, maker, overshoot):
    sells = fee_of_fill(schedule, px, qty, buys=False, maker=maker, overshoot_uusd=overshoot)
    assert sells == fee_of_fill(schedule, 10_000 - px, qty, buys=True, maker=maker, overshoot_uusd=overshoot)


@given(st.sampled_from([EXACT, CRYPTO]), prices, sizes)
@settings(max_examples=200)
def test_same_at_p_and_one_minus_p_before_balances_are_rounded(schedule, px, qty):
    assert fee_of_fill(schedule, px, qty) == fee_of_fill(schedule, 10_000 - px, qty)


@given(schedules, prices, sizes, sizes, st.booleans())
@settings(max_examples=200)
def test_larger_fills_cost_no_less_but_for_rounding(schedule, px, qty, other, buys):
    small, large = sorted((qty, other))
    slack = max(schedule.step_uusd - 1, 0)
    assert fee_of_fill(schedule, px, large, buys=buys)[0] >= fee_of_fill(schedule, px, small, buys=buys)[0] - slack


def pay(schedule, fills, maker=False, overshoot=0):
    """Sum of the fees of (px, qty, buys) fills of one order."""
    fees = fee_table([schedule])
    total = 0
    for px, qty, buys in fills:
        fee, overshoot = charge(fees, 0, px, qty, buys, maker, overshoot)
        total += int(fee)
    return total


@given(
    st.integers(1, 150_000), st.integers(1, 99), st.lists(st.integers(1, 5000), min_size=1, max_size=60), st.booleans()
)  # fmt: skip
@settings(max_examples=200)
def test_split_orders_converge_to_one_fill(rate, cents, split, buys):
    # a direct member at a whole cent: the parts differ from the whole by the accumulator (below a step) and by each
    # trade fee's rounding to a micro-dollar
    schedule = FeeSchedule(KALSHI, rate, 0, 100)
    whole = pay(schedule, [(cents * 100, sum(split), buys)])
    parts = pay(schedule, [(cents * 100, qty, buys) for qty in split])
    assert abs(parts - whole) < 100 + len(split)


any_fills = st.lists(st.tuples(prices, st.integers(1, 300), st.booleans()), min_size=1, max_size=40)
lot_fills = st.lists(st.tuples(prices, st.integers(1, 3), st.booleans()), min_size=1, max_size=80)


@given(schedules, any_fills | lot_fills, st.booleans(), st.integers(0, 30_000))
@settings(max_examples=400)
def test_no_split_exceeds_the_bound(schedule, fills, maker, overshoot):
    low, high = min(px for px, _, _ in fills), max(px for px, _, _ in fills)
    bound = fee_bound(fee_table([schedule]), 0, low, high, sum(qty for _, qty, _ in fills), maker)
    assert pay(schedule, fills, maker, overshoot) <= bound


@given(schedules, prices, st.lists(st.integers(1, 200), min_size=1, max_size=60), st.booleans(), st.booleans())
@settings(max_examples=300)
def test_no_split_at_one_price_exceeds_the_bound(schedule, px, split, buys, maker):
    bound = fee_bound(fee_table([schedule]), 0, px, px, sum(split), maker)
    assert pay(schedule, [(px, qty, buys) for qty in split], maker) <= bound


def dearest_split(schedule, px, qty, buys):
    """The largest fee of all splits, by trying them all."""

    @cache
    def dearest(left, overshoot):
        best = 0
        for lots in range(1, left + 1):
            fee, rest = plain_fee(schedule, px, lots, buys, False, overshoot)
            best = max(best, fee + dearest(left - lots, rest))
        return best

    return dearest(qty, 0)


@pytest.mark.parametrize("px", [100, 130, 500, 1310, 5000, 5010, 9990])
@pytest.mark.parametrize("schedule", [DIRECT, CENTS, EXACT, CRYPTO], ids=["direct", "cents", "exact", "crypto"])
def test_bound_holds_over_all_splits_and_is_not_idle(schedule, px):
    worst = max(dearest_split(schedule, px, 8, buys) for buys in (True, False))
    bound = fee_bound(fee_table([schedule]), 0, px, px, 8, False)
    assert worst <= bound
    if schedule.kind == KALSHI and px % schedule.step_uusd == 0:
        assert bound < worst + schedule.step_uusd + 8 + 1


def test_bound_of_a_free_schedule_is_nothing():
    # so a maker's order on most Kalshi series reserves its cost and not a micro-dollar more
    assert fee_bound(fee_table([DIRECT]), 0, 4200, 4200, 10_000, True) == 0
    assert fee_bound(fee_table([CRYPTO]), 0, 4215, 9000, 10_000, True) == 0


def test_bound_takes_the_price_nearest_to_one_half():
    fees = fee_table([EXACT])
    # 1,000 lots = 10 contracts: .07 x 10 x p (1 - p), and a micro-dollar a lot for rounding up
    assert fee_bound(fees, 0, 1000, 9000, 1000, False) == 175_000 + 1000
    assert fee_bound(fees, 0, 1000, 2000, 1000, False) == 112_000 + 1000  # p = .2
    assert fee_bound(fees, 0, 8000, 9000, 1000, False) == 112_000 + 1000  # p = .8


def test_largest_size_does_not_overflow():
    fees = fee_table([FeeSchedule(KALSHI, 1_000_000, 0, 10_000)])
    # 1e9 contracts at .50 and a rate of 1: 2.5e8 dollars
    assert charge(fees, 0, 5000, MAX_QTY, True, False, 0) == (250_000_000_000_000, 0)
    assert fee_bound(fees, 0, 5000, 5000, MAX_QTY, False) > 250_000_000_000_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"px": -1}, r"px = -1 lies outside \[0, 10000\]"),
        ({"px": 10_001}, "px = 10001"),
        ({"qty": 0}, r"qty = 0 lies outside \[1, 100000000000\] lots"),
        ({"qty": MAX_QTY + 1}, "qty = 100000000001"),
        ({"overshoot_uusd": -1}, "overshoot_uusd = -1 is negative"),
    ],
)
def test_bad_fills(arguments, message):
    with pytest.raises(ValueError, match=message):
        fee_of_fill(DIRECT, **{"px": 5000, "qty": 100, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 0, 0), "kind = 2; expected KALSHI = 0 or POLYMARKET = 1"),
        ((KALSHI, -1, 0, 100), "taker_ppm = -1 lies outside"),
        ((KALSHI, 0, 1_000_001, 100), "maker_ppm = 1000001 lies outside"),
        ((KALSHI, 70_000, 0, 0), "step_uusd = 0; expected the balance's precision"),
        ((KALSHI, 70_000, 0, 300), "step_uusd = 300"),
        ((POLYMARKET, 70_000, 10), "Polymarket charges takers only"),
        ((POLYMARKET, 70_000, 0, 100), "does not round balances"),
    ],
)
def test_bad_schedules(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeeSchedule(*arguments)


def to_units(text, scale):
    return int(Fraction(text) * scale)


def test_fees_of_real_settlements(venue_samples):
    """Fees an account paid in August 2026 on 22 positions, each bought at one price; MLB series had half rate then."""
    path = venue_samples / "kalshi" / "rest_portfolio_settlements_redacted_202608.json"
    settlements = json.loads(path.read_text())["payload"]["settlements"]
    for item in settlements:
        leg = "yes" if Fraction(item["yes_count_fp"]) else "no"
        qty = to_units(item[f"{leg}_count_fp"], 100)
        px = to_units(item[f"{leg}_total_cost_dollars"], 10**6) // qty
        schedule = HALF if item["ticker"].startswith("KXMLB") else DIRECT
        assert fee_of_fill(schedule, px, qty)[0] == to_units(item["fee_cost"], 10**6), item["ticker"]
    assert len(settlements) == 22


def test_fees_of_fills_on_a_demo_account(venue_samples):
    seen = set()
    for path in sorted((venue_samples / "kalshi").glob("demo_account_roundtrip_*.jsonl")):
        for line in path.read_text().splitlines():
            data = json.loads(line)["data"]
            page = data.get("fills", [])
            for fill in page["fills"] if isinstance(page, dict) else page:
                px = to_units(fill[f"{fill['outcome_side']}_price_dollars"], 10_000)
                qty = to_units(fill["count_fp"], 100)
                fee = fee_of_fill(DIRECT, px, qty, maker=not fill["is_taker"])[0]
                assert fee == to_units(fill["fee_cost"], 10**6), fill
                seen.add((fill["trade_id"], fill["is_taker"]))
    assert len(seen) == 4
