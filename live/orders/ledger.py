"""The account as its facts say: fills, payouts and corrections become cash, positions, costs and fees, in integers.

YES and NO of a market net at once, as at Kalshi: a pair becomes a dollar at the fill that completes it. State is a
function of the *set* of facts: a fact that comes twice counts once, and facts that come in another order leave the same
state, for each market's are folded in the order of the venue's stamps (of equal ones: of their keys).

Written apart from ``live/fake/account.py`` on purpose: that one is the judge of this one.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from live.orders.requests import FillSaid
from sim.types import BID, NO, PX_ONE, YES
from sim.venues.fees import fee_bound

_FILL, _CORRECTION = 0, 1


class Fact(NamedTuple):
    """A change of one market: sorts by time. ``lots`` are of YES, signed; ``fee_uusd`` of a correction: its cost."""

    ns: int
    kind: int
    key: str
    lots: int
    px: int
    fee_uusd: int


class Exposure(NamedTuple):
    """What an order of ours may still trade."""

    side: int
    px: int
    lots: int
    maker: bool  # it rests: whatever fills it, it pays as a maker


class Holding:
    """One market: ``lots`` of YES and NO, of which one is 0, and what came of them."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.payout_px: int | None = None
        self._begin()

    def _begin(self) -> None:
        self.lots = [0, 0]
        self.cost_uusd = [0, 0]
        self.fees_uusd = self.realised_uusd = 0
        self.cash_uusd = 0  # that the market has brought

    @property
    def position(self) -> int:
        """Lots of YES less lots of NO."""
        return self.lots[YES] - self.lots[NO]

    def add(self, fact: Fact) -> None:
        """Take a fact, wherever it belongs."""
        if self.payout_px is None and (not self.facts or fact > self.facts[-1]):
            self.facts.append(fact)
            self._fold(fact)
            return
        insort(self.facts, fact)
        self._fold_again()

    def settle(self, payout_px: int) -> None:
        """Pay what is held, and whatever turns out to have been held."""
        self.payout_px = payout_px
        self._fold_again()

    def _fold_again(self) -> None:
        self._begin()
        for fact in self.facts:
            self._fold(fact)
        if self.payout_px is not None:
            for leg, value in ((YES, self.payout_px), (NO, PX_ONE - self.payout_px)):
                self._give(leg, self.lots[leg], value)

    def _fold(self, fact: Fact) -> None:
        leg, qty = (YES, fact.lots) if fact.lots > 0 else (NO, -fact.lots)
        if fact.kind == _CORRECTION:
            self._correct(leg, qty, fact.fee_uusd)
            return
        px = fact.px if leg == YES else PX_ONE - fact.px
        self.fees_uusd += fact.fee_uusd
        self.cash_uusd -= px * qty + fact.fee_uusd
        self.lots[leg] += qty
        self.cost_uusd[leg] += px * qty
        pairs = min(self.lots)
        self._give(leg, pairs, px)
        self._give(1 - leg, pairs, PX_ONE - px)

    def _give(self, leg: int, qty: int, px: int) -> None:
        """Take lots out at a price; their share of the cost is rounded down."""
        if qty:
            cost = self.cost_uusd[leg] * qty // self.lots[leg]
            self.lots[leg] -= qty
            self.cost_uusd[leg] -= cost
            self.realised_uusd += px * qty - cost
            self.cash_uusd += px * qty

    def _correct(self, leg: int, qty: int, cost_uusd: int) -> None:
        """Lots that appear or vanish without a fill: no cash moves, and what vanishes takes its cost with it."""
        closing = min(qty, self.lots[1 - leg])
        if closing:
            self.cost_uusd[1 - leg] -= self.cost_uusd[1 - leg] * closing // self.lots[1 - leg]
            self.lots[1 - leg] -= closing
        if qty > closing:
            self.lots[leg] += qty - closing
            self.cost_uusd[leg] += cost_uusd


class Ledger:
    """One account at one venue: a cash pool over all of its markets."""

    def __init__(self) -> None:
        self.holdings: dict[str, Holding] = {}
        self.outside_uusd = 0  # cash that no market brought: the opening, deposits, corrections
        self._keys: set[str] = set()

    @property
    def cash_uusd(self) -> int:
        """All cash, what orders reserve included."""
        return self.outside_uusd + sum(holding.cash_uusd for holding in self.holdings.values())

    @property
    def fees_uusd(self) -> int:
        """Paid so far."""
        return sum(holding.fees_uusd for holding in self.holdings.values())

    def holding(self, ticker: str) -> Holding:
        """A market's part."""
        return self.holdings.setdefault(ticker, Holding())

    def knows(self, key: str) -> bool:
        """Whether a fill has been counted."""
        return key in self._keys

    def before(self, key: str) -> None:
        """A fill that the opening position holds already."""
        self._keys.add(key)

    def fill(self, fill: FillSaid) -> bool:
        """Count a fill; False where it has been."""
        if fill.key in self._keys:
            return False
        self._keys.add(fill.key)
        lots = fill.qty if fill.side == BID else -fill.qty
        self.holding(fill.ticker).add(Fact(fill.venue_ns, _FILL, fill.key, lots, fill.px, fill.fee_uusd))
        return True

    def settle(self, ticker: str, payout_px: int) -> bool:
        """A market pays; False where it has."""
        holding = self.holding(ticker)
        if holding.payout_px is not None:
            return False
        holding.settle(payout_px)
        return True

    def correct(self, key: str, ns: int, ticker: str, lots: int, uusd: int) -> None:
        """What the venue says without a fact: lots of a market that cost ``uusd``; without a ticker, cash."""
        if not ticker:
            self.outside_uusd += uusd
        else:
            self.holding(ticker).add(Fact(ns, _CORRECTION, key, lots, 0, uusd))

    def equity_uusd(self, mid2_px: dict[str, int]) -> int:
        """Cash and positions at twice-the-mid prices, rounded down; at cost where there is none."""
        total = self.cash_uusd
        for ticker, holding in self.holdings.items():
            if any(holding.lots):
                mid2 = mid2_px.get(ticker)
                worth = sum(holding.cost_uusd)
                if mid2 is not None:
                    worth = (holding.lots[YES] * mid2 + holding.lots[NO] * (2 * PX_ONE - mid2)) // 2
                total += worth
        return total


def locked_uusd(lots: Sequence[int], orders: Iterable[Exposure], fees: np.ndarray) -> int:
    """The most that ``orders`` of one market may still cost, whatever fills come: prices and fees.

    Args:
        lots: of YES and NO that are held; an order that closes what is held needs no price, and each lot covers one.
        orders: in the order in which they were sent; the first are covered first.
        fees: FEE table whose first row is in force.
    """
    orders = list(orders)
    return _prices(lots, orders) + sum(_fee(one, fees) for one in orders)


def range_uusd(
    lots: Sequence[int], sure: Iterable[Exposure], perhaps: Iterable[Exposure], fees: np.ndarray
) -> tuple[int, int]:
    """The least and the most that a venue may reserve for the orders of one market.

    Least: it reserves no fees, covers the dearest first, and has only those that are ``sure``. Most: it reserves fees,
    covers the cheapest first, and has ``perhaps`` too.
    """
    sure, everything = list(sure), [*sure, *perhaps]
    least = _prices(lots, sorted(sure, key=_leg_px, reverse=True))
    most = _prices(lots, sorted(everything, key=_leg_px))
    return least, most + sum(_fee(one, fees) for one in everything)


def _prices(lots: Sequence[int], orders: Iterable[Exposure]) -> int:
    cover = list(lots)
    total = 0
    for order in orders:
        held = NO if order.side == BID else YES
        closing = min(cover[held], order.lots)
        cover[held] -= closing
        total += _leg_px(order) * (order.lots - closing)
    return total


def _leg_px(order: Exposure) -> int:
    return order.px if order.side == BID else PX_ONE - order.px


def _fee(order: Exposure, fees: np.ndarray) -> int:
    """Bound of an order's fees: a taker may get a better price, nearer to one half."""
    px = _leg_px(order)
    return int(fee_bound(fees, 0, px if order.maker else 0, px, order.lots, order.maker))
