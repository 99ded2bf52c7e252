"""Cash, holdings, escrow and settlement of one account in one market."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from reference.fees import Schedule, fee_of_fill
from sim.types import ASK, BID, GTC, NO, PX_ONE, YES

RESTING_ORDERS = 4  # the most that may rest at once


@dataclass(eq=False)
class Order:
    """One of ours, from the moment it is sent."""

    id: int
    side: int
    leg: int
    reduce: bool
    px: int
    qty: int  # what is left of it
    tif: int = 0
    post_only: bool = False
    budget: int = 0
    sent_mid2: int = 0
    filled: int = 0
    carried: int = 0  # rounding paid and not yet rebated
    reserved: int = 0
    ahead: int = 0  # lots of others in front of us
    credit: int = 0  # lots printed at our price whose level change is still to come
    debit: int = 0  # lots the level lost that a late print may explain
    debit_ns: int = 0  # when the last of them went
    debit_mid2: int = 0  # bid + ask before the first of them went
    front: int = 0  # lots in front of us before they went
    expiry: int = 0  # as wished; 0 = none
    ends_ns: int = 0  # when it ends by itself; 0 = never
    entry_ns: int = 0
    drawn_ns: int = 0
    draws: int = 0
    hazard: float = 0.0  # of a life, under the probabilistic model

    @property
    def may_rest(self) -> bool:
        """Whether what is not taken at once stays in the book."""
        return self.tif == GTC

    def price(self, px: int) -> int:
        """What a fill at ``px`` in YES space costs or brings in the leg we trade."""
        return px if self.leg == YES else PX_ONE - px


@dataclass
class Account:
    """Everything is paid from and to somebody: cash + counterparty + fees + escrow never changes."""

    cash: int
    netting: bool
    seen: Counter
    counterparty: int = 0
    fees: int = 0
    escrow: int = 0
    realised: int = 0
    held: dict[int, int] = field(default_factory=lambda: {YES: 0, NO: 0})
    cost: dict[int, int] = field(default_factory=lambda: {YES: 0, NO: 0})
    slots: list[Order | None] = field(default_factory=lambda: [None] * RESTING_ORDERS)
    fills: dict[tuple, dict] = field(default_factory=dict)  # the step's journal
    filled: list[tuple[int, int]] = field(default_factory=list)  # (when, lots) of every fill that the group counts

    @property
    def resting(self) -> list[Order]:
        """Our orders in the book, by slot."""
        return [order for order in self.slots if order]

    def rest(self, order: Order) -> None:
        """Put an order into the first free slot."""
        self.slots[self.slots.index(None)] = order

    def drop(self, order: Order) -> None:
        """Take an order out of the book."""
        self.slots[self.slots.index(order)] = None

    @property
    def reserved(self) -> int:
        """Cash locked by resting orders."""
        return sum(order.reserved for order in self.resting)

    @property
    def free(self) -> int:
        """Cash that is not."""
        return self.cash - self.reserved

    def promised(self, leg: int) -> int:
        """Lots of a leg that resting orders have undertaken to sell."""
        return sum(order.qty for order in self.resting if order.reduce and order.leg == leg)

    def sellable(self, leg: int) -> int:
        """Lots of a leg that are held and not promised."""
        return self.held[leg] - self.promised(leg)

    def worth(self, mid2: int) -> int:
        """Cash and holdings at half of bid + ask, rounded down."""
        return self.cash + (self.held[YES] * mid2 + self.held[NO] * (2 * PX_ONE - mid2)) // 2

    def _take_out(self, leg: int, qty: int) -> int:
        """Remove lots; returns what they had cost, their share of the whole rounded down."""
        share = self.cost[leg] * qty // self.held[leg]
        self.held[leg] -= qty
        self.cost[leg] -= share
        return share

    def fill(self, order: Order, schedule: Schedule, px: int, qty: int, maker: bool, context: dict) -> int:
        """Book a fill of ``order``. Returns the cash it took, fee included; negative when it brought cash in."""
        price = order.price(px)
        fee, order.carried = fee_of_fill(schedule, price, qty, not order.reduce, maker, order.carried)
        if order.reduce:
            self.cash += price * qty
            self.counterparty += (PX_ONE - price) * qty
            self.escrow -= PX_ONE * qty
            self.realised += price * qty - self._take_out(order.leg, qty)
        else:
            self.cash -= price * qty
            self.counterparty -= (PX_ONE - price) * qty
            self.escrow += PX_ONE * qty
            self.held[order.leg] += qty
            self.cost[order.leg] += price * qty
        self.cash -= fee
        self.fees += fee
        order.filled += qty
        signed = qty if order.side == BID else -qty
        row = self.fills.setdefault(
            (order.id, px, maker),
            {"qty": 0, "fee": 0, "id": order.id, "px": px, "maker": maker, "leg": order.leg, **context},
        )
        row["qty"] += signed
        row["fee"] += fee
        self.seen["maker fill" if maker else "taker fill"] += 1
        if self.netting:
            self.net()
        return fee - price * qty if order.reduce else fee + price * qty

    def net(self) -> None:
        """A YES and a NO are worth a dollar together, for us and for whoever holds the other two."""
        pairs = min(self.held.values())
        if not pairs:
            return
        self.seen["netted"] += 1
        spent = self._take_out(YES, pairs) + self._take_out(NO, pairs)
        self.realised += pairs * PX_ONE - spent
        self.cash += pairs * PX_ONE
        self.counterparty += pairs * PX_ONE
        self.escrow -= 2 * pairs * PX_ONE
        for leg in (YES, NO):
            self.trim(leg)

    def trim(self, leg: int) -> None:
        """What is no longer held cannot be promised: the youngest reducing orders shrink first."""
        for order in sorted(self.resting, key=lambda order: -order.id):
            excess = self.promised(leg) - self.held[leg]
            if excess > 0 and order.reduce and order.leg == leg:
                self.seen["netting trim"] += 1
                self.seen["netting trim of the younger of two"] += self.promised(leg) > order.qty
                order.qty -= min(excess, order.qty)
                if not order.qty:
                    self.seen["netting trim to nothing"] += 1
                    self.drop(order)

    def settle(self, payout_px: int) -> None:
        """YES pays ``payout_px``, NO the rest of the dollar; escrow is empty afterwards."""
        for order in self.resting:
            self.drop(order)
        yes, no = self.held[YES], self.held[NO]
        value = yes * payout_px + no * (PX_ONE - payout_px)
        self.seen["settled holding"] += bool(yes or no)
        self.cash += value
        self.counterparty += (yes + no) * PX_ONE - value
        self.escrow -= (yes + no) * PX_ONE
        self.realised += value - sum(self.cost.values())
        self.held = {YES: 0, NO: 0}
        self.cost = {YES: 0, NO: 0}


def opposite(side: int) -> int:
    """The other side."""
    return ASK if side == BID else BID
