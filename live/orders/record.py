"""Journal, ledger and orders of ours, changed together: what is held in memory is what the file says.

Nothing here decides. Facts come in, are journalled, and are counted; :meth:`Record.commit` makes them durable, and only
then are fills handed on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from live.orders.journal import BEFORE, Intent, Journal
from live.orders.ledger import Exposure, Ledger, locked_uusd, range_uusd
from live.orders.requests import FillSaid, OrderSaid
from live.orders.working import DONE, OPEN, UNKNOWN, Working
from sim.tape import FeeRates
from sim.types import BID, NO, YES
from sim.venues import VENUES
from sim.venues.fees import KALSHI, FeeSchedule, fee_table
from sim.wire.listing import Listing


class Fill(NamedTuple):
    """A fill as whoever trades is told: once, after it is durable."""

    fill: FillSaid
    client_id: str  # "" = of an order that is not ours
    position: int  # lots of YES less lots of NO, after it
    cash_uusd: int  # of the account, after it


class Record:
    """One account.

    Args:
        journal: of this account; what it holds is taken up.
        listings: the markets that are traded; their fees bound what orders may cost.
        step_uusd: precision of the account's balance, see ``sim.venues.fees``.
    """

    def __init__(self, journal: Journal, listings: Sequence[Listing], step_uusd: int) -> None:
        self.journal, self.ledger = journal, Ledger()
        self.tickers = [listing.market.id for listing in listings]
        self.orders: dict[str, Working] = {}  # by client id: those that are not done, or whose fills are owed
        self.fills: deque[Fill] = deque()  # for whoever trades; the manager owns it
        self.version = 0  # counts changes of what reconciliation compares
        self.others: dict[str, OrderSaid] = {}  # orders at the venue that are not ours, by its id
        self.opened = bool(journal.get("opened"))  # the account's first state has been adopted
        self._step_uusd = step_uusd
        self._fees = {listing.market.id: self._table(listing.fees) for listing in listings}
        self._any_fees = fee_table([VENUES["kalshi"].fee_schedule("quadratic_with_maker_fees")])
        self._filled: Counter[str] = Counter()  # lots by the venue's order id
        self._by_order: dict[str, Working] = {}
        self._waiting: list[Fill] = []  # until they are durable
        self._locked: dict[str, int] = {}
        self._take_up()

    def open(self, now_ns: int) -> None:
        """The account's first state has been adopted."""
        self.opened = True
        self.journal.put("opened", str(now_ns))

    def commit(self) -> None:
        """Make everything durable, then hand fills on."""
        self.journal.commit()
        self.fills.extend(self._waiting)
        self._waiting.clear()

    def rates(self, ticker: str, rates: FeeRates) -> None:
        """A market's fees are others from now on."""
        self._fees[ticker] = self._table(rates)
        self._locked.pop(ticker, None)

    def intend(self, intent: Intent) -> Working:
        """A new order, to be sent after the next commit."""
        order = Working.of(self.journal.intend(intent))
        self.orders[order.client_id] = order
        self._touch(order)
        return order

    def find(self, client_id: str, order_id: str) -> Working | None:
        """An order that is not forgotten."""
        return self.orders.get(client_id) or self._by_order.get(order_id)

    def name(self, order: Working, order_id: str) -> None:
        """The venue's id of an order came to be known; fills may have come before it."""
        if order_id and order.order_id != order_id:
            order.order_id = order_id
            order.seen = self._filled[order_id]
            self._by_order[order_id] = order
            self._touch(order)

    def changed(self, order: Working, now_ns: int) -> None:
        """Keep what has become of an order; one that is done and owes nothing is forgotten."""
        if order.live and order.filled >= order.total:
            order.finish("executed")
        if order.state == DONE and not order.done_ns:
            order.done_ns = now_ns
        order.owed_ns = (order.owed_ns or now_ns) if order.owed else 0
        self._touch(order)
        self.journal.update(order.kept)
        if order.state == DONE and not order.owed:
            self.orders.pop(order.client_id, None)
            self._by_order.pop(order.order_id, None)

    def revive(self, said: OrderSaid) -> Working | None:
        """An order of ours that the venue lists although it is done here; None for another's."""
        kept = self.journal.find(said.client_id, said.order_id)
        if kept is None:
            return None
        order = Working.of(kept)
        order.revive(said)
        order.seen = self._filled[said.order_id]
        self.orders[order.client_id] = self._by_order[said.order_id] = order
        self._touch(order)
        return order

    def fill(self, fill: FillSaid, now_ns: int, source: str) -> bool:
        """A fill of the account; False where it has been counted."""
        if not self.ledger.fill(fill):
            return False
        self.journal.fill(fill, now_ns, source)
        self._count(fill)
        order = self._by_order.get(fill.order_id)
        kept = None if order else self.journal.find("", fill.order_id)
        client_id = order.client_id if order else kept.client_id if kept else ""
        position = self.ledger.holding(fill.ticker).position
        self._waiting.append(Fill(fill, client_id, position, self.ledger.cash_uusd))
        self._changed_market(fill.ticker)
        if order is not None:
            order.seen = self._filled[fill.order_id]
            self.changed(order, now_ns)
        return True

    def settle(self, ticker: str, payout_px: int, now_ns: int) -> bool:
        """A market paid; False where that is known."""
        if not self.ledger.settle(ticker, payout_px):
            return False
        self.journal.payout(ticker, payout_px, now_ns)
        self._changed_market(ticker)
        return True

    def correct(self, ticker: str, lots: int, uusd: int, why: str, now_ns: int) -> None:
        """Adopt what the venue says; "" = cash."""
        key = self.journal.correction(now_ns, ticker, lots, uusd, why)
        self.ledger.correct(key, now_ns, ticker, lots, uusd)
        self._changed_market(ticker)

    def before(self, fill: FillSaid, now_ns: int) -> None:
        """A fill that is part of the opening position."""
        if not self.ledger.knows(fill.key):
            self.ledger.before(fill.key)
            self.journal.fill(fill, now_ns, BEFORE)
            self._count(fill)

    def of_market(self, ticker: str, side: int = -1) -> list[Working]:
        """Orders of a market, of one side if told, by number."""
        return [one for one in self.orders.values() if one.ticker == ticker and side in (-1, one.side)]

    def locked_uusd(self, ticker: str) -> int:
        """What the orders of a market may still cost."""
        if ticker not in self._locked:
            self._locked[ticker] = self.would_lock(ticker, [])
        return self._locked[ticker]

    def would_lock(self, ticker: str, more: Iterable[Exposure]) -> int:
        """The same with ``more`` orders."""
        orders = [one.exposure for one in self.of_market(ticker) if one.live or one.owed]
        lots = self.ledger.holding(ticker).lots
        return locked_uusd(lots, [*orders, *more], self._fees.get(ticker, self._any_fees))

    @property
    def reserved_uusd(self) -> int:
        """What all orders of ours may still cost."""
        return sum(self.locked_uusd(ticker) for ticker in {one.ticker for one in self.orders.values()})

    @property
    def others_uusd(self) -> int:
        """What orders of others on this account may still cost."""
        return sum(
            locked_uusd((0, 0), [_exposure(one)], self._fees.get(one.ticker, self._any_fees))
            for one in self.others.values()
        )  # fmt: skip

    @property
    def range_uusd(self) -> tuple[int, int]:
        """The least and the most that the venue may reserve now, for everyone's orders."""
        sure: dict[str, list[Exposure]] = {}
        perhaps: dict[str, list[Exposure]] = {}
        for one in self.orders.values():
            stays = one.state == OPEN and not one.leaving and one.amend is None and not one.owed
            (sure if stays else perhaps).setdefault(one.ticker, []).append(one.exposure)
        for other in self.others.values():
            sure.setdefault(other.ticker, []).append(_exposure(other))
        ranges = [
            range_uusd(self.ledger.holding(ticker).lots, sure.get(ticker, ()), perhaps.get(ticker, ()),
                       self._fees.get(ticker, self._any_fees))
            for ticker in {*sure, *perhaps}
        ]  # fmt: skip
        return sum(least for least, _ in ranges), sum(most for _, most in ranges)

    @property
    def free_uusd(self) -> int:
        """Cash that nothing has reserved."""
        return self.ledger.cash_uusd - self.reserved_uusd - self.others_uusd

    @property
    def risk_uusd(self) -> int:
        """What positions and orders in our markets may lose: costs, and what is reserved."""
        held = sum(sum(self.ledger.holding(ticker).cost_uusd) for ticker in self.tickers)
        return held + self.reserved_uusd

    def closing(self, ticker: str, side: int) -> int:
        """Lots of the position that an order of a side would close and no other order has promised to."""
        lots = self.ledger.holding(ticker).lots
        promised = sum(one.left + one.owed for one in self.of_market(ticker, side))
        return max(lots[NO if side == BID else YES] - promised, 0)

    def _take_up(self) -> None:
        for key, ns, ticker, lots, uusd in self.journal.corrections():
            self.ledger.correct(key, ns, ticker, lots, uusd)
        for fill, source in self.journal.fills():
            if source == BEFORE:
                self.ledger.before(fill.key)
            else:
                self.ledger.fill(fill)
            self._count(fill)
        for ticker, payout_px in self.journal.payouts():
            self.ledger.settle(ticker, payout_px)
        for kept in self.journal.unfinished():
            order = Working.of(kept)
            order.state = UNKNOWN  # whatever it was: the venue is asked
            order.seen = self._filled[order.order_id] if order.order_id else 0
            self.orders[order.client_id] = order
            if order.order_id:
                self._by_order[order.order_id] = order

    def _count(self, fill: FillSaid) -> None:
        self._filled[fill.order_id] += fill.qty

    def _touch(self, order: Working) -> None:
        self._changed_market(order.ticker)

    def _changed_market(self, ticker: str) -> None:
        self._locked.pop(ticker, None)
        self.version += 1

    def _table(self, rates: FeeRates) -> np.ndarray:
        return fee_table([FeeSchedule(KALSHI, rates.rate_ppm, rates.maker_ppm, self._step_uusd)])


def _exposure(order: OrderSaid) -> Exposure:
    return Exposure(order.side, order.px, order.left, True)
