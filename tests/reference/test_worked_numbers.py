"""The reference itself, by hand: an oracle that is wrong in the same way as the engine proves nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from reference.account import Account, Order
from reference.fees import Schedule, fee_of_fill
from reference.market import Market, Venue
from reference.philox import philox
from sim.scenarios.row import FIELDS
from sim.types import ASK, BID, FILL_MODELS, GTC, IOC, NO, OPEN, YES

FREE = Schedule("kalshi", 0, 0, 100)
KALSHI = Schedule("kalshi", 70_000, 17_500, 100)
VENUE = Venue(netting=True, min_qty=1, min_take=0, lead_ns=1, early_ns=0, amends=True)
ROW = {name: field.default for name, field in FIELDS.items()}


def draw(purpose, step, stream):
    return philox((0, 0), (step, purpose, 0, stream))


def market(*, fill_model="queue", schedule=FREE, netting=True, recorded=True, row=()):
    made = Market(
        Account(10**10, netting, Counter()), {**ROW, **dict(row)}, FILL_MODELS.index(fill_model),
        VENUE._replace(netting=netting), schedule, set(range(100, 10_000, 100)), draw, Counter(), recorded=recorded,
    )  # fmt: skip
    made.status = OPEN
    return made


def buy(px, qty, *, order_id=1, tif=GTC, leg=YES):
    return Order(order_id, BID if leg == YES else ASK, leg, False, px, qty, tif)


def test_the_250_contract_walk():
    venue = market()
    for px, contracts in ((5000, 80), (5100, 120), (5200, 200)):
        venue.book.put(ASK, px, contracts * 100)
    assert venue.accept(buy(5200, 25_000, tif=IOC), 0) == 0
    fills = [(fill["px"], fill["qty"]) for fill in venue.account.fills.values()]
    assert fills == [(5000, 8000), (5100, 12_000), (5200, 5000)]
    paid = 10**10 - venue.account.cash
    assert paid == 127_200_000  # 40.00 + 61.20 + 26.00 dollars
    assert paid / 25_000 == 5088  # 50.88 cents


def test_two_orders_in_a_row_cannot_take_the_same_contracts():
    venue = market()
    venue.book.put(ASK, 5000, 100)
    venue.accept(buy(5000, 60, tif=IOC), 0)
    venue.accept(buy(5000, 100, order_id=2, tif=IOC), 0)
    assert venue.account.held[YES] == 100
    # 2.5 s of 5 s later half is back: 100 - floor(100 x 1/2)
    venue.accept(buy(5000, 100, order_id=3, tif=IOC), 2_500_000_000)
    assert venue.account.held[YES] == 150


@pytest.mark.parametrize(
    ("model", "cumulative"), [("queue", (0, 50, 200)), ("pessimistic", (0, 0, 200)), ("optimistic", (100, 200, 200))]
)
def test_two_ahead_of_our_two_contracts(model, cumulative):
    venue = market(fill_model=model)
    venue.book.put(BID, 5000, 200)
    venue.accept(buy(5000, 200), 0)
    filled = []
    for px, qty in ((5000, 100), (5000, 150), (4900, 200)):  # 1.0 and 1.5 at the price, 2.0 through it
        venue.print_trade(ASK, px, qty, 1)
        filled.append(venue.account.held[YES])
    assert tuple(filled) == cumulative


def test_a_hundred_ahead_of_our_fifty():
    venue = market()
    venue.book.put(BID, 5000, 10_000)
    venue.accept(buy(5000, 5000), 0)
    filled = []
    for contracts in (80, 30, 50):
        venue.print_trade(ASK, 5000, contracts * 100, 1)
        filled.append(venue.account.held[YES])
    assert filled == [0, 1000, 5000]


@pytest.mark.parametrize(("rule", "ahead"), [(1.0, 40), (0.0, 80)])
def test_a_cancel_takes_from_ahead_of_us_in_proportion_or_never(rule, ahead):
    # 80 ahead, 20 more behind us; 50 of these 100 are cancelled: 80 - floor(50 x 80 / 100) = 40
    venue = market(row={"cancel_rule": rule})
    venue.book.put(BID, 5000, 80)
    venue.accept(buy(5000, 10), 0)
    venue.change_level(BID, 5000, 100, 1)
    venue.change_level(BID, 5000, 50, 2)
    assert venue.account.resting[0].ahead == min(ahead, 50)  # nobody ahead can be more than what is shown


def test_a_printed_drop_is_not_a_cancel():
    # 80 ahead and 20 behind us; 30 print: 50 ahead; the level's drop of 30 tells of the same trade
    venue = market()
    venue.book.put(BID, 5000, 80)
    venue.accept(buy(5000, 10), 0)
    venue.change_level(BID, 5000, 100, 1)
    venue.print_trade(ASK, 5000, 30, 2)
    venue.change_level(BID, 5000, 70, 2)
    assert venue.account.resting[0].ahead == 50


def test_the_drop_split_of_a_feed_without_trades():
    # the touch drops by 100, 0.455 of which is a trade: 45 eat the 40 ahead and fill us with 5
    venue = market()
    venue.book.put(BID, 5000, 40)
    venue.accept(buy(5000, 10), 0)
    venue.change_level(BID, 5000, 140, 1)
    venue.drop_without_prints(BID, 5000, 40, 2)
    assert (venue.last_qty, venue.account.held[YES]) == (45, 5)


@pytest.mark.parametrize(
    ("px", "qty", "taker_ppm", "maker_ppm", "buys", "maker", "fee"),
    [
        (5000, 100, 70_000, 0, True, False, 17_500),
        (5000, 1000, 70_000, 0, True, False, 175_000),
        (500, 10_000, 70_000, 0, True, False, 332_500),
        (2700, 100, 35_000, 0, True, False, 6900),
        (1300, 2000, 35_000, 0, True, False, 79_200),
        (5000, 100, 70_000, 17_500, True, True, 4400),
        (130, 27, 70_000, 0, True, False, 290),
        (130, 27, 70_000, 0, False, False, 310),
    ],
)
def test_kalshi_fees_of_a_direct_member(px, qty, taker_ppm, maker_ppm, buys, maker, fee):
    assert fee_of_fill(Schedule("kalshi", taker_ppm, maker_ppm, 100), px, qty, buys, maker, 0)[0] == fee


def test_the_accumulator_gives_back_what_a_hundred_roundings_took():
    total, carried = 0, 0
    for _ in range(100):
        fee, carried = fee_of_fill(KALSHI, 5000, 1, True, False, carried)
        total += fee
    assert total == 17_500
    assert 100 * fee_of_fill(KALSHI, 5000, 1, True, False, 0)[0] == 20_000


def test_ten_lots_filled_four_then_six():
    venue = market(schedule=KALSHI)
    venue.accept(buy(5000, 10), 0)
    for qty in (4, 6):
        venue.print_trade(ASK, 5000, qty, 1)
    account = venue.account
    assert account.held[YES] == 10
    assert account.cash == 10**10 - 10 * 5000 - account.fees
    assert (account.reserved, account.resting) == (0, [])


@pytest.mark.parametrize("payout", [0, 3700, 10_000])
@pytest.mark.parametrize("netting", [True, False])
def test_yes_and_no_net_or_are_both_held_until_the_payout(payout, netting):
    venue = market(netting=netting)
    venue.book.put(ASK, 5000, 100)
    venue.book.put(BID, 4800, 100)
    venue.accept(buy(5000, 100, tif=IOC), 0)
    venue.accept(buy(4800, 100, order_id=2, tif=IOC, leg=NO), 0)  # NO at 52 cents
    assert venue.account.held == ({YES: 0, NO: 0} if netting else {YES: 100, NO: 100})
    venue.settle(payout)
    account = venue.account
    assert account.cash == 10**10 - 100 * 200  # 50 + 52 - 100 cents a pair, whatever the payout
    assert account.cash + account.counterparty + account.fees + account.escrow == 10**10
    assert account.escrow == 0


def test_philox_gives_its_published_answers():
    # Random123, kat_vectors: philox4x32-10
    assert philox((0, 0), (0, 0, 0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    ones = 0xFFFFFFFF
    assert philox((ones, ones), (ones, ones, ones, ones)) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)
