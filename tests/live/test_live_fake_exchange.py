"""The fakes' inner side: fills, money and orders in exact integers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.fake.exchange import Exchange
from live.fake.orders import Filled, Refused, Told, Wanted
from sim.types import ASK, BID, FOK, GTC, IOC, MICRO_PER_LOT, NO, SECOND_NS, YES
from sim.venues.amend import CANCEL_INCOMING, CANCEL_RESTING
from tests.live.fake_help import (
    T0,
    kalshi_markets,
    level,
    opening,
    polymarket_markets,
    settle,
    total,
    trade,
    walk,
)

CASH = 1_000_000_000
SMALL = 20_000_000  # orders of up to 30 contracts: cash does run out


def kalshi(rows: list, cash_uusd: int = CASH, maker_ppm: int = 0) -> Exchange:
    markets = kalshi_markets(rows, maker_ppm=maker_ppm)
    return Exchange(markets, cash_uusd=cash_uusd, netting=True, step_uusd=100, id_of=str)


def kalshi_with_maker_fees(rows: list, cash_uusd: int) -> Exchange:
    return kalshi(rows, cash_uusd, 17_500)


def polymarket(rows: list, cash_uusd: int = CASH) -> Exchange:
    return Exchange(polymarket_markets(rows), cash_uusd=cash_uusd, netting=False, step_uusd=0, id_of=str)


def fills(happened: list) -> list[tuple[int, int, bool, int]]:
    return [(one.px, one.qty, one.maker, one.fee_uusd) for one in happened if isinstance(one, Filled)]


def test_a_taker_walks_the_levels_and_what_it_took_stays_taken() -> None:
    exchange = kalshi([*opening(), level(T0 + 5, ASK, 5200, 90)])
    list(exchange.advance(T0))
    order, happened = exchange.place(Wanted(0, BID, 5300, 10_000, IOC), T0)  # 100 contracts
    # 80 at .52: .07 x 80 x .52 x .48 = 1.397760; cost 41.6 + that = 42.997760, up to .0001 42.9978: fee 1.397800
    # 20 at .53: .07 x 20 x .53 x .47 = 0.348740; 10.6 + that = 10.948740, up: 10.948800, fee .348800; overshoot 40 + 60
    # = 100 micro-dollars is a whole step: rebated, .348700
    assert fills(happened) == [(5200, 8_000, False, 1_397_800), (5300, 2_000, False, 348_700)]
    assert order.status == "executed"
    assert exchange.account.cash_uusd == CASH - 41_600_000 - 10_600_000 - 1_397_800 - 348_700
    assert exchange.books[0].shown.sizes[ASK] == {5300: 40 * 100 * MICRO_PER_LOT}
    _, again = exchange.place(Wanted(0, BID, 5200, 100, IOC), T0 + 1)
    assert not fills(again)
    list(exchange.advance(T0 + 5))  # the market's next change of the level brings it back
    assert exchange.books[0].shown.sizes[ASK][5200] == 90 * 100 * MICRO_PER_LOT


def test_yes_and_no_net_at_once_and_free_a_dollar() -> None:
    exchange = kalshi(opening())
    list(exchange.advance(T0))
    exchange.place(Wanted(0, BID, 5200, 100, IOC), T0)
    after = exchange.account.cash_uusd  # 1 at .52: .07 x .52 x .48 = .017472, .537472 up: .5375
    assert after == CASH - 537_500
    exchange.place(Wanted(0, ASK, 4800, 100, IOC), T0)
    # NO at .52 costs .52 + .017472, up: .5375, and the pair is a dollar
    assert exchange.account.cash_uusd == after - 537_500 + 1_000_000
    holding = exchange.account.holdings[0]
    assert holding.lots == [0, 0] and holding.realized_uusd == -40_000
    assert total(exchange) == CASH


def test_a_resting_order_waits_for_the_size_ahead_and_never_gets_more_than_the_print() -> None:
    rows = [
        *opening(), trade(T0 + 10, ASK, 4800, 60), trade(T0 + 20, ASK, 4800, 60), trade(T0 + 30, ASK, 4800, 3),
        trade(T0 + 40, ASK, 4700, 50),
    ]  # fmt: skip
    exchange = kalshi(rows)
    list(exchange.advance(T0))
    order, _ = exchange.place(Wanted(0, BID, 4800, 3_000, GTC), T0 + 1)
    assert order.ahead_qty == 100 * 100 * MICRO_PER_LOT
    assert not fills(list(exchange.advance(T0 + 10)))  # 60 of the 100 ahead
    told = list(exchange.advance(T0 + 20))  # 40 ahead, then 20 of ours
    assert fills(told) == [(4800, 2_000, True, 0)]
    prints = [(one.row[2] // MICRO_PER_LOT, one.order) for one in told if isinstance(one, Told) and one.row[7] == 4]
    assert prints == [(2_000, order), (4_000, None)]
    assert fills(list(exchange.advance(T0 + 30))) == [(4800, 300, True, 0)]
    assert fills(list(exchange.advance(T0 + 40))) == [(4800, 700, True, 0)]  # through: the rest, at our price
    assert order.status == "executed" and exchange.reserved_uusd == 0


def test_an_order_that_the_market_quotes_through_is_not_shown() -> None:
    exchange = kalshi([*opening(), level(T0 + 5, ASK, 5000, 10), level(T0 + 6, ASK, 5000, 0)])
    list(exchange.advance(T0))
    exchange.place(Wanted(0, BID, 5100, 500, GTC), T0 + 1)
    shown = exchange.books[0].shown
    assert shown.best == [5100, 5200]
    list(exchange.advance(T0 + 5))
    assert shown.best == [4800, 5000]
    list(exchange.advance(T0 + 6))
    assert shown.best == [5100, 5200]


@pytest.mark.parametrize(
    ("mode", "statuses", "qty"),
    [(CANCEL_INCOMING, ("resting", "canceled"), 0), (CANCEL_RESTING, ("canceled", "executed"), 1_000)],
)
def test_self_trades_are_prevented(mode: int, statuses: tuple[str, str], qty: int) -> None:
    exchange = kalshi(opening())
    list(exchange.advance(T0))
    mine, _ = exchange.place(Wanted(0, ASK, 5100, 500, GTC), T0)
    taker, happened = exchange.place(Wanted(0, BID, 5200, 1_000, IOC, self_trade=mode), T0)
    assert (mine.status, taker.status) == statuses
    assert sum(fill[1] for fill in fills(happened)) == qty


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (Wanted(0, BID, 4850, 100, GTC), "off_grid"),
        (Wanted(0, BID, 5200, 100, GTC, post_only=True), "post_only_cross"),
        (Wanted(0, BID, 5200, 8_001, FOK), "fok_unfilled"),
        (Wanted(0, BID, 4800, 10_000_000, GTC), "cash"),
        (Wanted(0, BID, 4800, 100, IOC, reduce_only=True), "nothing_to_reduce"),
        (Wanted(0, BID, 4800, 100, GTC, expiry_ns=T0), "expiry"),
        (Wanted(1, BID, 4800, 100, GTC), "market_closed"),
    ],
)
def test_refusals(wanted: Wanted, name: str) -> None:
    exchange = kalshi(opening())
    list(exchange.advance(T0))
    with pytest.raises(Refused) as refused:
        exchange.place(wanted, T0)
    assert refused.value.name == name
    assert not exchange.orders and exchange.account.cash_uusd == CASH


def test_amend_keeps_its_place_only_when_it_shrinks() -> None:
    exchange = kalshi([*opening(), level(T0 + 5, BID, 4800, 150)])
    list(exchange.advance(T0))
    order, _ = exchange.place(Wanted(0, BID, 4800, 1_000, GTC), T0)
    list(exchange.advance(T0 + 5))  # 50 more, behind us
    exchange.amend(order.id, 4800, 400, 0, T0 + 6)
    assert (order.left, order.ahead_qty) == (400, 100 * 100 * MICRO_PER_LOT)
    exchange.amend(order.id, 4800, 500, 0, T0 + 7)
    assert (order.left, order.ahead_qty) == (500, 150 * 100 * MICRO_PER_LOT)
    with pytest.raises(Refused):
        exchange.amend(order.id, 4800, 100_000_000, 0, T0 + 8)
    assert (order.left, order.rested) == (500, True)
    assert exchange.books[0].shown.sizes[BID][4800] == 155 * 100 * MICRO_PER_LOT


def test_expiry_and_settlement() -> None:
    exchange = kalshi([*opening(), settle(T0 + 9 * SECOND_NS, 3_000)])
    list(exchange.advance(T0))
    resting, _ = exchange.place(Wanted(0, BID, 4800, 100, GTC, expiry_ns=T0 + SECOND_NS), T0)
    exchange.place(Wanted(0, ASK, 4800, 100, IOC), T0)  # 1 NO at .52
    assert exchange.next_ns == T0 + SECOND_NS
    list(exchange.advance(T0 + SECOND_NS))
    assert resting.status == "canceled"
    cash = exchange.account.cash_uusd
    list(exchange.advance(T0 + 9 * SECOND_NS))
    assert exchange.account.cash_uusd == cash + 700_000  # NO pays 1 - .30
    assert total(exchange) == CASH and exchange.account.escrow_uusd == 0


def test_polymarket_sells_only_what_is_there_and_does_not_net() -> None:
    exchange = polymarket(opening())
    list(exchange.advance(T0))
    with pytest.raises(Refused):
        exchange.place(Wanted(0, ASK, 4800, 500, IOC, leg=YES), T0)
    exchange.place(Wanted(0, BID, 5200, 500, IOC, leg=YES), T0)
    exchange.place(Wanted(0, ASK, 4800, 500, IOC, leg=NO), T0)  # buys NO at .52
    assert exchange.account.holdings[0].lots == [500, 500]
    # 5 at .52, twice: 2.6 + .07 x 5 x .2496 = .08736 each
    assert exchange.account.cash_uusd == CASH - 2 * (2_600_000 + 87_360)
    assert total(exchange) == CASH


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["place", "cancel", "amend", "decrease", "wait"]), st.integers(0, 1), st.integers(0, 1),
        st.integers(30, 70), st.integers(1, 3_000), st.sampled_from([GTC, IOC, FOK]), st.booleans(),
    ),
    max_size=40,
)  # fmt: skip


@pytest.mark.parametrize("make", [kalshi, kalshi_with_maker_fees, polymarket])
@settings(max_examples=40, deadline=None)
@given(actions=ACTIONS, seed=st.integers(0, 50))
def test_money_is_conserved_and_never_owed(make, actions: list, seed: int) -> None:
    exchange = make(walk(seed, 150), SMALL)
    now_ns, ids = T0, []
    list(exchange.advance(now_ns))
    for what, market, side, cents, qty, tif, flag in actions:
        now_ns += 100_000_000
        list(exchange.advance(now_ns))
        try:
            if what == "place":
                mode = CANCEL_RESTING if flag else CANCEL_INCOMING
                leg = NO if flag else YES
                ids.append(
                    exchange.place(Wanted(market, side, cents * 100, qty, tif, leg=leg, self_trade=mode), now_ns)[0].id
                )
            elif what == "wait" or not ids:
                continue
            elif what == "cancel":
                exchange.cancel(ids[qty % len(ids)], now_ns)
            elif what == "amend":
                exchange.amend(ids[qty % len(ids)], cents * 100, qty, 0, now_ns)
            else:
                exchange.decrease(ids[qty % len(ids)], qty // 2, now_ns)
        except Refused:
            pass
        assert total(exchange) == SMALL
        assert exchange.account.cash_uusd >= exchange.reserved_uusd >= 0
        for book in exchange.books:
            assert not book.shown.sizes[BID] or not book.shown.sizes[ASK] or not book.shown.crossed
        for holding in exchange.account.holdings:
            assert min(holding.lots) >= 0
    list(exchange.advance(now_ns + 10**12))
    assert total(exchange) == SMALL and exchange.account.escrow_uusd == 0
    assert exchange.account.cash_uusd + exchange.account.house_uusd + exchange.account.fees_uusd == SMALL
    assert not exchange.resting
