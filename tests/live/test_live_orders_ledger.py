"""The ledger is a function of the set of its facts, and agrees with the fake venue's account to the micro-dollar."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from live.fake.account import Account
from live.fake.orders import Order, Wanted
from live.orders.ledger import Exposure, Ledger, locked_uusd
from live.orders.requests import FillSaid
from sim.types import ASK, BID, PX_ONE
from sim.venues.fees import KALSHI, FeeSchedule, fee_of_fill, fee_table

CASH = 1_000_000_000
SCHEDULE = FeeSchedule(KALSHI, 70_000, 17_500, 100)
TICKERS = ("A", "B")

trades = st.lists(
    st.tuples(
        st.sampled_from(TICKERS), st.sampled_from((BID, ASK)), st.integers(1, 99), st.integers(1, 5_000),
        st.booleans(), st.integers(0, 5),
    ),
    max_size=30,
)  # fmt: skip


def told(raw) -> list[FillSaid]:
    """Fills of orders of their own, with the venue's fees; several may share a millisecond."""
    found, ns = [], 0
    for number, (ticker, side, cents, qty, maker, later) in enumerate(raw):
        ns += later * 1_000_000
        px = cents * 100
        leg_px = px if side == BID else PX_ONE - px
        fee = fee_of_fill(SCHEDULE, leg_px, qty, maker=maker)[0]
        found.append(FillSaid(f"t{number:03d}", f"o{number}", ticker, side, px, qty, fee, maker, ns))
    return found


def state(ledger: Ledger) -> dict:
    return {
        "cash": ledger.cash_uusd, "fees": ledger.fees_uusd,
        **{name: (one.lots, one.cost_uusd, one.realised_uusd) for name, one in sorted(ledger.holdings.items())},
    }  # fmt: skip


def ledger_of(fills, payouts=(), start=CASH) -> Ledger:
    ledger = Ledger()
    ledger.correct("opening", 0, "", 0, start)
    for one in fills:
        ledger.fill(one)
    for ticker, px in payouts:
        ledger.settle(ticker, px)
    return ledger


@given(trades, st.randoms(use_true_random=False), st.sampled_from((None, 0, 5_000, 10_000)))
def test_order_and_repetition_change_nothing(raw, rng, payout):
    fills = told(raw)
    payouts = [] if payout is None else [("A", payout)]
    mixed = ledger_of([], payouts)  # the payout comes first, every fill late, some twice
    for one in rng.sample(fills, len(fills)) + rng.sample(fills, len(fills) // 2):
        mixed.fill(one)
    straight = ledger_of(fills, payouts)
    for ticker in {one.ticker for one in fills} | {name for name, _ in payouts}:
        mixed.holding(ticker), straight.holding(ticker)
    assert state(mixed) == state(straight)


@given(trades, st.sampled_from((None, 0, 3_333, 10_000)))
@settings(max_examples=200)
def test_it_agrees_with_the_fake_venues_account(raw, payout):
    fills = told(raw)
    ledger = ledger_of(fills)
    account = Account(CASH, len(TICKERS), netting=True)
    for one in fills:
        wanted = Wanted(TICKERS.index(one.ticker), one.side, one.px, one.qty, 0)
        account.trade(Order("", wanted, 0, 0, one.px, one.qty, one.qty, 0), one.px, one.qty, one.fee_uusd)
    if payout is not None:
        account.settle(0, payout)
        ledger.settle("A", payout)
    assert ledger.cash_uusd == account.cash_uusd
    assert ledger.fees_uusd == account.fees_uusd
    for index, ticker in enumerate(TICKERS):
        mine, theirs = ledger.holding(ticker), account.holdings[index]
        assert mine.lots == theirs.lots and mine.cost_uusd == theirs.cost_uusd
        assert mine.realised_uusd == theirs.realized_uusd
    # conservation: the client, everyone else, the venue and the dollars behind contracts
    assert ledger.cash_uusd + account.house_uusd + account.fees_uusd + account.escrow_uusd == CASH


def test_a_pair_is_a_dollar_at_once():
    # buy 10 YES at .48 (4.80 + fee .0), then 10 NO at .48, that is sell YES at .52: 10 pairs pay 10 dollars
    ledger = ledger_of([FillSaid("1", "a", "M", BID, 4_800, 1_000, 0, True, 1),
                        FillSaid("2", "b", "M", ASK, 5_200, 1_000, 0, True, 2)])  # fmt: skip
    assert ledger.cash_uusd == CASH - 4_800_000 - 4_800_000 + 10_000_000
    assert ledger.holding("M").lots == [0, 0]
    assert ledger.holding("M").realised_uusd == 400_000


def test_a_correction_moves_lots_without_cash():
    ledger = ledger_of([FillSaid("1", "a", "M", BID, 4_000, 100, 0, True, 1)])
    cash = ledger.cash_uusd
    ledger.correct("c1", 2, "M", -40, 0)
    assert (ledger.holding("M").lots, ledger.holding("M").cost_uusd) == ([60, 0], [240_000, 0])
    ledger.correct("c2", 3, "M", -100, 24_000)  # 60 of YES vanish, 40 of NO appear, for 24,000
    assert (ledger.holding("M").lots, ledger.holding("M").cost_uusd) == ([0, 40], [0, 24_000])
    assert ledger.cash_uusd == cash


def test_equity_is_cash_and_positions_at_the_mid():
    ledger = ledger_of([FillSaid("1", "a", "M", ASK, 4_000, 100, 0, True, 1)])  # 1 NO for .60
    assert ledger.equity_uusd({"M": 9_000}) == CASH - 600_000 + 100 * (20_000 - 9_000) // 2
    assert ledger.equity_uusd({}) == CASH  # at cost


@given(
    st.lists(st.tuples(st.sampled_from((BID, ASK)), st.integers(1, 99), st.integers(1, 500)), max_size=5),
    st.integers(-600, 600), st.randoms(use_true_random=False),
)  # fmt: skip
def test_what_is_locked_covers_every_way_to_be_filled(raw, position, rng):
    fees = fee_table([SCHEDULE])
    orders = [Exposure(side, cents * 100, qty, True) for side, cents, qty in raw]
    lots = [max(position, 0), max(-position, 0)]
    ledger = Ledger()
    ledger.correct("opening", 0, "M", position, 0)
    locked = locked_uusd(lots, orders, fees)
    pieces = []
    for number, one in enumerate(orders):
        left = one.lots
        while left:
            qty = rng.randint(1, left)
            pieces.append((number, one, qty))
            left -= qty
    rng.shuffle(pieces)
    overshoot = dict.fromkeys(range(len(orders)), 0)
    for step, (number, one, qty) in enumerate(pieces):
        leg_px = one.px if one.side == BID else PX_ONE - one.px
        fee, overshoot[number] = fee_of_fill(SCHEDULE, leg_px, qty, maker=True, overshoot_uusd=overshoot[number])
        ledger.fill(FillSaid(f"{step:04d}", str(number), "M", one.side, one.px, qty, fee, True, step + 1))
        assert -ledger.cash_uusd <= locked


def test_an_order_that_closes_locks_its_fee_only():
    fees = fee_table([FeeSchedule(KALSHI, 70_000, 0, 100)])
    assert locked_uusd([100, 0], [Exposure(ASK, 5_000, 100, True)], fees) == 0  # makers pay nothing here
    assert locked_uusd([100, 0], [Exposure(ASK, 5_000, 150, True)], fees) == 50 * 5_000
    assert locked_uusd([0, 100], [Exposure(ASK, 5_000, 100, True)], fees) == 100 * 5_000
