"""A client's money at a fake venue, in exact integers, with everyone who trades against it: nothing comes or goes.

``cash + house + fees + escrow`` is constant: ``house`` is what all counterparties gained, ``escrow`` the dollar that
stands behind each contract held on either side. Cash that orders reserve is part of ``cash``; ``free`` is without it.
"""

from __future__ import annotations

from collections.abc import Sequence

from live.fake.orders import Order
from sim.types import BID, NO, PAIR_UUSD, PX_ONE, YES
from sim.venues.fees import FeeSchedule, fee_bound, fee_table


class Holding:
    """Lots of both legs of one market, and what they cost."""

    def __init__(self) -> None:
        self.lots = [0, 0]  # YES, NO
        self.cost_uusd = [0, 0]  # what is held was bought for
        self.traded_uusd = 0
        self.realized_uusd = 0
        self.fees_uusd = 0

    @property
    def position(self) -> int:
        """Lots of YES less lots of NO."""
        return self.lots[YES] - self.lots[NO]

    def buy(self, leg: int, px: int, qty: int) -> None:
        """Add ``qty`` lots of a leg at its price."""
        self.lots[leg] += qty
        self.cost_uusd[leg] += px * qty
        self.traded_uusd += px * qty

    def give(self, leg: int, px: int, qty: int) -> None:
        """Take ``qty`` lots of a leg away at its price; their share of the cost is rounded down."""
        cost = self.cost_uusd[leg] * qty // self.lots[leg]
        self.lots[leg] -= qty
        self.cost_uusd[leg] -= cost
        self.realized_uusd += px * qty - cost


class Account:
    """One client. ``netting``: YES and NO of a market become a dollar at once, as at Kalshi."""

    def __init__(self, cash_uusd: int, markets: int, *, netting: bool) -> None:
        self.cash_uusd = cash_uusd
        self.house_uusd = 0
        self.fees_uusd = 0
        self.netting = netting
        self.holdings = [Holding() for _ in range(markets)]

    @property
    def escrow_uusd(self) -> int:
        """What stands behind the contracts held."""
        return sum(sum(holding.lots) for holding in self.holdings) * PAIR_UUSD

    def trade(self, order: Order, px: int, qty: int, fee_uusd: int) -> None:
        """``qty`` lots of an order at ``px`` of YES."""
        holding, leg = self.holdings[order.market], order.wanted.leg
        if self.netting:
            leg, buys = (YES, True) if order.side == BID else (NO, True)
        else:
            buys = order.buys
        leg_px = px if leg == YES else PX_ONE - px
        if buys:
            holding.buy(leg, leg_px, qty)
            self._pay(leg_px * qty, (PX_ONE - leg_px) * qty)
        else:
            holding.traded_uusd += leg_px * qty
            holding.give(leg, leg_px, qty)
            self._pay(-leg_px * qty, -(PX_ONE - leg_px) * qty)
        self.cash_uusd -= fee_uusd
        self.fees_uusd += fee_uusd
        holding.fees_uusd += fee_uusd
        if self.netting:
            self._net(holding, leg_px, leg)

    def settle(self, market: int, payout_px: int) -> int:
        """Pay what is held of a market; micro-dollars that the client gets."""
        holding = self.holdings[market]
        received = 0
        for leg, value in ((YES, payout_px), (NO, PX_ONE - payout_px)):
            qty = holding.lots[leg]
            if qty:
                holding.give(leg, value, qty)
                self._pay(-value * qty, -(PX_ONE - value) * qty)
                received += value * qty
        return received

    def _pay(self, client_uusd: int, house_uusd: int) -> None:
        self.cash_uusd -= client_uusd
        self.house_uusd -= house_uusd

    def _net(self, holding: Holding, leg_px: int, leg: int) -> None:
        """Pairs of YES and NO become a dollar each, for the client and for who is on the other side."""
        pairs = min(holding.lots)
        if not pairs:
            return
        holding.give(leg, leg_px, pairs)
        holding.give(1 - leg, PX_ONE - leg_px, pairs)
        self._pay(-pairs * PAIR_UUSD, -pairs * PAIR_UUSD)

    def reserved_uusd(self, market: int, orders: Sequence[Order], schedule: FeeSchedule) -> int:
        """What ``orders`` of one market may still cost, fees included: the most, whatever fills come."""
        fees = fee_table([schedule])
        holding = self.holdings[market]
        cover = list(holding.lots)  # what an order closes needs no money of its own
        total = 0
        for order in orders:
            leg = (YES if order.side == BID else NO) if self.netting else order.wanted.leg
            px = order.px if leg == YES else PX_ONE - order.px
            low_px = px if order.rested else 0  # a taker may get a better price, nearer to 1/2
            total += int(fee_bound(fees, 0, low_px, px, order.left, order.rested))
            if self.netting:
                closing = min(cover[1 - leg], order.left)
                cover[1 - leg] -= closing
                total += px * (order.left - closing)
            elif order.buys:
                total += px * order.left
        return total

    def sellable(self, market: int, leg: int, orders: Sequence[Order]) -> int:
        """Lots of a leg that no resting order has promised."""
        promised = sum(order.left for order in orders if order.wanted.leg == leg and not order.buys)
        return self.holdings[market].lots[leg] - promised
