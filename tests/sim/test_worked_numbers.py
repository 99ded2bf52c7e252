"""Numbers worked by hand, through the whole engine."""

from __future__ import annotations

import pytest
from by_hand import (
    DOLLAR,
    FREE,
    KALSHI,
    KALSHI_WITH_MAKERS,
    POLYMARKET,
    START,
    TENTH_MILLS,
    account,
    buy,
    check_books_balance,
    engine_on,
    level,
    lots,
    opening,
    paid,
    position,
    sell,
    send,
    settlement,
    tape,
    trade,
    wait,
)

from sim.tape import FeeRates
from sim.types import ASK, BID, IOC, NO, YES

HALF_RATE = FeeRates("quadratic x 0.5", "kalshi", 35_000)
TAKER_RATE_FOR_MAKERS = FeeRates("makers pay as takers", "kalshi", 70_000, 70_000)


def test_250_contracts_walk_the_depth():
    asks = {5000: 80, 5100: 120, 5200: 200}
    engine = engine_on(tape(*opening({4900: 100}, asks)))
    assert send(engine, bid=buy(5200, 250, tif=IOC)) == (lots(250), 0)
    # 80 x .50 + 120 x .51 + 50 x .52 = 40 + 61.20 + 26 = 127.20
    fees = account(engine, "fees_uusd")
    assert paid(engine) - fees == 127_200_000
    assert (paid(engine) - fees) / 250 == 508_800  # 50.88 cents
    # .07 x 80 x .50 x .50 = 1.4; .07 x 120 x .51 x .49 = 2.09916, 61.20 + that = 63.29916 -> 63.2992: 2.0992;
    # .07 x 50 x .52 x .48 = .8736. Together 4.3728
    assert fees == 4_372_800
    assert position(engine, "yes_qty") == lots(250)
    fills = engine.state.fills[0, : account(engine, "n_fills")]
    assert fills[["px", "qty"]].tolist() == [(5000, 8000), (5100, 12_000), (5200, 5000)]
    assert set(fills["mid2_px"]) == {4900 + 5000}  # the mid before the order came, for all its levels
    check_books_balance(engine)


def test_the_limit_stops_the_walk():
    engine = engine_on(tape(*opening({4900: 100}, {5000: 80, 5100: 120, 5200: 200})))
    assert send(engine, bid=buy(5100, 250, tif=IOC))[0] == lots(200)  # 80 + 120; what is left is cancelled
    assert not engine.state.orders["id"].any()


@pytest.mark.parametrize("levels_follow", [False, True])
@pytest.mark.parametrize(
    ("model", "expected"), [("pessimistic", [0, 0, 2]), ("queue", [0, 0.5, 2]), ("optimistic", [1, 2, 2])]
)
def test_two_ahead_of_our_two(model, expected, levels_follow):
    """Prints of 1.0 and 1.5 at our price, then 2.0 through it. Telling the level's changes too changes nothing."""
    rows = [trade(2, ASK, 5000, 1.0), trade(3, ASK, 5000, 1.5), trade(4, ASK, 4900, 2.0)]
    if levels_follow:
        rows[1:1] = [level(2, BID, 5000, 1.0)]
        rows[3:3] = [level(3, BID, 5000, 0)]
    engine = engine_on(tape(*opening({5000: 2, 4900: 10}, {5200: 10}), *rows), fill_model=model)
    assert send(engine, bid=buy(5000, 2)) == (0, 0)
    cumulative, total = [], 0
    for second in (2.5, 3.5, 4.5):
        total += wait(engine, until=second)
        cumulative.append(total / 100)
    # queue: 2 ahead. 1.0 leaves 1 ahead; 1.5 eats it and .5 is ours; through: the other 1.5
    assert cumulative == expected


def test_a_hundred_ahead_of_fifty():
    rows = [trade(second, ASK, 5000, contracts) for second, contracts in ((2, 80), (3, 30), (4, 50))]
    engine = engine_on(tape(*opening({5000: 100}, {5200: 10}), *rows))
    send(engine, bid=buy(5000, 50))
    got = [wait(engine, until=second + 0.5) / 100 for second in (2, 3, 4)]
    assert got == [0, 10, 40]  # 80 of 100 ahead; 20 ahead and 10 ours; the last 40: cumulatively 0, 10, 50
    assert not engine.state.orders["id"].any()


@pytest.mark.parametrize(
    ("rates", "px", "contracts", "fee_uusd"),
    [
        (KALSHI, 5000, 1, 17_500),  # .07 x 1 x .50 x .50 = .0175
        (KALSHI, 5000, 10, 175_000),  # .1750
        (KALSHI, 500, 100, 332_500),  # .07 x 100 x .05 x .95 = .3325
        (HALF_RATE, 2700, 1, 6_900),  # .035 x .27 x .73 = .0068985; .27 + .006899 -> .2769
        (HALF_RATE, 1300, 20, 79_200),  # .035 x 20 x .13 x .87 = .07917; 2.60 + that -> 2.6792
        (KALSHI, 130, 0.27, 290),  # .07 x .27 x .013 x .987 = .000243; .00351 + that -> .0038: .00029
    ],
)
def test_kalshi_fee_of_a_whole_taker_order(rates, px, contracts, fee_uusd):
    engine = engine_on(tape(*opening({}, {px: 1000}), fees=(rates,), ticks=(TENTH_MILLS,)))
    assert send(engine, bid=buy(px, contracts, tif=IOC)) == (lots(contracts), 0)
    assert account(engine, "fees_uusd") == fee_uusd
    assert paid(engine) == px * lots(contracts) + fee_uusd


def test_kalshi_fee_of_a_sale():
    # .27 @ .013 sold: .00351 - .000243 = .003267 -> .0032 come in, so the fee is .00031
    engine = engine_on(tape(*opening({130: 10}, {140: 10}), ticks=(TENTH_MILLS,)))
    send(engine, bid=buy(140, 0.27, tif=IOC))
    before, fees = account(engine, "cash_uusd"), account(engine, "fees_uusd")
    assert send(engine, ask=sell(130, 0.27, leg=YES, tif=IOC)) == (-27, 0)
    assert account(engine, "cash_uusd") - before == 3_200
    assert account(engine, "fees_uusd") - fees == 310


def test_kalshi_fee_of_a_maker():
    # .07 x 1/4 x 1 x .25 = .004375; .50 + that -> .5044
    engine = engine_on(tape(*opening({}, {5200: 9}), trade(2, ASK, 5000, 1), fees=(KALSHI_WITH_MAKERS,)))
    send(engine, bid=buy(5000, 1))
    assert wait(engine, until=3) == 100
    assert account(engine, "fees_uusd") == 4_400


def test_the_accumulator_of_an_order_filled_in_a_hundred_parts():
    """.01 @ .50 a hundred times: .000175 rounds to .0002 each, .0200 in all; the rebates bring it to .0175."""
    prints = [trade(2 + second, ASK, 5000, 0.01) for second in range(100)]
    engine = engine_on(tape(*opening({}, {5200: 9}), *prints, fees=(TAKER_RATE_FOR_MAKERS,)))
    send(engine, bid=buy(5000, 1))
    fees, single = [0], []
    for second in range(100):
        assert wait(engine, until=2.5 + second) == 1
        fees.append(account(engine, "fees_uusd"))
        single.append(fees[-1] - fees[-2])
    # .005 + .000175 -> .0052: fee .0002, .000025 over; four such make a rebate of .0001
    assert single[:8] == [200, 200, 200, 100, 200, 200, 200, 100]
    assert sum(200 for _ in single) == 20_000  # before the rebates
    assert fees[-1] == 17_500


def test_139_429_contracts_do_not_overflow():
    engine = engine_on(tape(*opening({}, {5000: 139_429})), cash=100_000 * DOLLAR)
    assert send(engine, bid=buy(5000, 139_429, tif=IOC)) == (13_942_900, 0)
    assert account(engine, "fees_uusd") == 2_440_007_500  # .07 x 139,429 x .25 = 2,440.0075
    assert paid(engine) == 69_714_500_000 + 2_440_007_500
    check_books_balance(engine)


def test_ten_lots_filled_four_then_six():
    prints = [trade(2, ASK, 5000, 0.04), trade(3, ASK, 5000, 0.06)]
    engine = engine_on(tape(*opening({}, {5200: 9}), *prints, fees=(KALSHI_WITH_MAKERS,)))
    send(engine, bid=buy(5000, 0.10))
    assert wait(engine, until=2.5) == 4
    assert engine.state.orders["qty"][0, 0] == 6
    assert wait(engine, until=3.5) == 6
    assert position(engine, "yes_qty") == 10
    assert paid(engine) == 10 * 5000 + account(engine, "fees_uusd")
    # .0175 x .04 x .25 = .000175; .02 + that -> .0202: .0002, .000025 over. .0175 x .06 x .25 = .0002625 -> .000263;
    # .03 + that -> .0303: .0003, .000037 over: .000062, no whole step
    assert account(engine, "fees_uusd") == 500
    assert account(engine, "reserved_uusd") == 0
    check_books_balance(engine)


@pytest.mark.parametrize(("leg", "worth"), [(YES, 3_700_000), (NO, 6_300_000)])
def test_settlement_at_37_cents(leg, worth):
    """Ten contracts: YES pays 3.70, NO 6.30."""
    engine = engine_on(tape(*opening({5000: 50}, {5000 + 100: 50}), settlement(5, 3700), fees=(FREE,), end_s=None))
    order = {"bid": buy(5100, 10, tif=IOC)} if leg == YES else {"ask": sell(5000, 10, tif=IOC)}
    send(engine, **order)
    before = account(engine, "cash_uusd")
    wait(engine, until=6)
    assert engine.terminated[0]
    assert not engine.truncated[0]
    assert account(engine, "cash_uusd") - before == worth
    assert account(engine, "equity_uusd") == account(engine, "cash_uusd")
    assert position(engine, "realised_uusd") == account(engine, "cash_uusd") - START
    assert account(engine, "escrow_uusd") == 0
    check_books_balance(engine)


@pytest.mark.parametrize(("rates", "nets"), [(KALSHI, True), (POLYMARKET, False)])
def test_netting_frees_a_dollar_a_pair(rates, nets):
    engine = engine_on(tape(*opening({5000: 50}, {5200: 50}), fees=(rates,)))
    send(engine, bid=buy(5200, 10, tif=IOC))
    before, fees = account(engine, "cash_uusd"), account(engine, "fees_uusd")
    send(engine, ask=sell(5000, 6, tif=IOC))  # six NO at 1 - .50 = .50 cost 3.00
    change = account(engine, "cash_uusd") - before + account(engine, "fees_uusd") - fees
    if nets:
        assert change == -3_000_000 + 6_000_000  # six pairs at $1
        assert (position(engine, "yes_qty"), position(engine, "no_qty")) == (lots(4), 0)
        # ten YES cost 5.20, six of them 3.12; six pairs bring 6.00 for 3.12 + 3.00: a loss of .12
        assert position(engine, "realised_uusd") == -120_000
        assert position(engine, "yes_cost_uusd") == 2_080_000
    else:
        assert change == -3_000_000
        assert (position(engine, "yes_qty"), position(engine, "no_qty")) == (lots(10), lots(6))
        assert position(engine, "realised_uusd") == 0
    check_books_balance(engine)


def test_taken_liquidity_stays_taken_for_five_seconds():
    """available = max(0, shown - floor(used x max(0, 1 - age / 5 s))): 100 shown, 60 taken."""
    engine = engine_on(tape(*opening({}, {5000: 100})))
    assert send(engine, bid=buy(5000, 60, tif=IOC))[0] == lots(60)
    # a nanosecond later floor(6000 x (1 - 2e-10)) = 5999 lots are used: 100 - 59.99 are left
    assert send(engine, bid=buy(5000, 100, tif=IOC), seconds=2.0)[0] == lots(40.01)
    # 2 s after the last: 100 x (1 - 2/5) = 60 are still used, 40 are back
    assert send(engine, bid=buy(5000, 100, tif=IOC), seconds=5.0)[0] == lots(40)
    assert send(engine, bid=buy(5000, 100, tif=IOC))[0] == lots(100)


def test_a_level_that_vanishes_forgets_what_was_taken():
    engine = engine_on(tape(*opening({}, {5000: 100}), level(2, ASK, 5000, 0), level(2.1, ASK, 5000, 100)))
    assert send(engine, bid=buy(5000, 100, tif=IOC), until=2.2)[0] == lots(100)
    assert send(engine, bid=buy(5000, 100, tif=IOC))[0] == lots(100)
