"""A fake venue's inner side, without its words: markets, one client's orders and money, and what happens of them.

Everything comes back as a list of happenings, in the order in which they happened; the venues in front of it turn them
into frames. All arithmetic is in integers, and time comes in with each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from live.fake import matching
from live.fake.admission import Admission
from live.fake.orders import Changed, Filled, Happening, Order, Refused, Settled, Told, Wanted
from sim.types import (
    BID,
    CLOSED,
    END_OF_BATCH,
    FEES,
    GTC,
    MICRO_PER_LOT,
    OPEN,
    PAUSED,
    PENDING,
    PX_ONE,
    REJECT_DUPLICATE,
    REJECT_SIZE,
    SETTLE,
    SETTLED,
    STATUS,
    TICKS,
    TRADE,
    WIPE,
    YES,
)
from sim.venues.amend import CANCEL_RESTING, keeps_priority
from sim.venues.fees import fee_of_fill
from sim.wire.units import Row


class Exchange(Admission):
    """Markets and one client, who act on each other."""

    def advance(self, now_ns: int) -> Iterable[Happening]:
        """What happens up to ``now_ns``: the markets' rows, and orders whose time is up."""
        for row in self.markets.due(now_ns):
            yield from self._expire(row[0])
            yield from self._row(row)
        yield from self._expire(now_ns)

    def place(self, wanted: Wanted, now_ns: int) -> tuple[Order, list[Happening]]:
        """Take an order. Raises Refused where the venue would not."""
        order = self._admitted(wanted, now_ns)
        self.orders[order.id] = order
        if wanted.client_id:
            self._client_ids[wanted.client_id] = order
        return order, [Changed(order, "", now_ns), *self._arrive(order, now_ns)]

    def cancel(self, order_id: str, now_ns: int, reason: str = "Decrease") -> tuple[Order, list[Happening]]:
        """End an order. Raises Refused where it is gone, or the venue takes no cancels."""
        order = self.find(order_id)
        self._check_cancels(order.market)
        return order, self._end(order, reason, now_ns)

    def decrease(self, order_id: str, left: int, now_ns: int) -> tuple[Order, list[Happening]]:
        """Lower what is left of an order; it keeps its place. Raises Refused as ``cancel``, or for an increase."""
        order = self.find(order_id)
        self._check_cancels(order.market)
        if not 0 <= left < order.left:
            raise Refused(REJECT_SIZE, f"{left} lots left; expected 0 to {order.left - 1}")
        if left == 0:
            return order, self._end(order, "Decrease", now_ns)
        back, order.left = order.left - left, left
        order.updated_ns = now_ns
        rows = self.books[order.market].update(now_ns, [(order.side, order.px, order)])
        return order, [Changed(order, "Decrease", now_ns, back), *rows]

    def amend(self, order_id: str, px: int, left: int, expiry_ns: int, now_ns: int) -> tuple[Order, list[Happening]]:
        """Change price, size or expiry: a lower size or another expiry keeps its place, all else goes to the back.

        Raises Refused where the order is gone or the changed one would not be taken; then nothing is changed.
        """
        order, book = self.find(order_id), self.books[self.find(order_id).market]
        self._check_orders(order.market)
        self._check_px(order.market, px)
        if left <= 0:
            raise Refused(REJECT_SIZE, f"{left} lots left after the amend; expected more than 0")
        before = order.px, order.left, order.rested
        kept = bool(keeps_priority(order.px, px, order.left, left))
        order.px, order.left, order.rested = px, left, kept
        try:
            self._check_money(order)
        except Refused:
            order.px, order.left, order.rested = before
            raise
        order.qty, order.expiry_ns, order.updated_ns = order.filled + left, expiry_ns, now_ns
        told: list[Happening] = [Changed(order, "Amend", now_ns)]
        if kept:
            return order, told + book.update(now_ns, [(order.side, px, order)])
        self._leave(order)
        self._numbers += 1
        order.number = self._numbers
        told += book.update(now_ns, [(order.side, before[0], order)])
        return order, told + self._arrive(order, now_ns)

    def rename(self, order: Order, client_id: str) -> None:
        """Give an order another client id. Raises Refused where that has been used."""
        if self._client_ids.setdefault(client_id, order) is not order:
            raise Refused(REJECT_DUPLICATE, f"client order id {client_id!r} has been used")
        order.wanted = order.wanted._replace(client_id=client_id)

    def hit(self, order: Order, lots: int, now_ns: int) -> list[Happening]:
        """Somebody trades with a resting order at its price, out of turn: what fault scripts do."""
        told = self._fill(order, order.px, lots, now_ns, now_ns, maker=True)
        return told + self.books[order.market].update(now_ns, [(order.side, order.px, order)])

    def cancel_all(self, now_ns: int, reason: str, chosen: Callable[[Order], bool] = lambda _: True) -> list[Happening]:
        """End every resting order that is ``chosen``."""
        orders = [order for order in list(self.resting.values()) if chosen(order)]
        return [happening for order in orders for happening in self._end(order, reason, now_ns)]

    def _row(self, row: Row) -> Iterable[Happening]:
        """What a row of the simulated markets' means here."""
        kind, market = row[7], row[6]
        book = self.books[market]
        if book.takes(row):
            if self.status[market] == PENDING:
                self.status[market] = OPEN
            yield from book.apply(row)
            if kind != STATUS:
                return
        if kind == TRADE:
            yield from self._print(row)
        elif kind == STATUS:
            yield from self._status(row)
        elif kind == SETTLE:
            yield from self._settle(row)
        else:
            if kind == TICKS:
                self.ticks[market] = self.markets.tables[row[2]]
            elif kind == FEES:
                self.rates[market] = self.markets.schedules[row[2]]
            elif kind == WIPE:
                yield from self.cancel_all(row[0], "HaltCancel", lambda order: order.market == market)
            yield Told(row)

    def _print(self, row: Row) -> Iterable[Happening]:
        """A print of the simulated market: the client's share is told as prints of its own."""
        market, left = row[6], row[2]
        book, touched = self.books[market], []
        if self.status[market] == OPEN:
            for order, lots in list(matching.hits(book, row)):
                left -= lots * MICRO_PER_LOT
                touched.append((order.side, order.px, order))
                yield from self._fill(order, order.px, lots, row[0], row[1], maker=True)
        if left:
            yield Told((*row[:2], left, *row[3:]))
        if touched:
            yield from book.update(row[0], touched)

    def _status(self, row: Row) -> Iterable[Happening]:
        market, state = row[6], row[2]
        was, self.status[market] = self.status[market], state
        if state == CLOSED:
            yield from self.cancel_all(row[0], "CloseCancel", lambda order: order.market == market)
            yield from self.books[market].cleared(row[0])
        elif state == PAUSED:
            yield from self.cancel_all(
                row[0], "HaltCancel", lambda order: order.market == market and order.wanted.cancel_on_pause
            )
        elif was == PAUSED:
            yield from self.cancel_all(row[0], "HaltCancel", lambda order: order.market == market)
        yield Told(row)

    def _settle(self, row: Row) -> Iterable[Happening]:
        market = row[6]
        yield from self.cancel_all(row[0], "CloseCancel", lambda order: order.market == market)
        self.status[market], self.payout_px[market] = SETTLED, row[3]
        yes, no = self.account.holdings[market].lots
        yield Told(row)
        if yes or no:
            yield Settled(market, row[3], self.account.settle(market, row[3]), yes, no, row[0])

    def _expire(self, now_ns: int) -> list[Happening]:
        """Orders whose time is up, the earliest first."""
        late = [one for one in self.resting.values() if 0 < one.expiry_ns <= now_ns]
        late.sort(key=lambda one: (one.expiry_ns, one.number))
        return [happening for one in late for happening in self._end(one, "ExpiryCancel", one.expiry_ns)]

    def _arrive(self, order: Order, now_ns: int) -> list[Happening]:
        """An order meets the book; what is left rests or ends."""
        book = self.books[order.market]
        told: list[Happening] = []
        touched: list[tuple[int, int, Order]] = []
        reason = ""
        for step in list(matching.walk(book, order)):
            if step.own is None:
                touched.append((1 - order.side, step.px, order))
                book.taken(1 - order.side, step.px, step.lots)
                told += self._fill(order, step.px, step.lots, now_ns, now_ns, maker=False)
            elif order.left and order.wanted.self_trade == CANCEL_RESTING:
                told += self._end(step.own, "SelfTradeCancel", now_ns)
            elif order.left:
                reason = "SelfTradeCancel"
                break
        rests = bool(order.left) and not reason and order.wanted.tif == GTC
        if rests:
            book.rest(order)
            self.resting[order.id] = order
            touched.append((order.side, order.px, order))
        told += book.update(now_ns, touched)
        if order.left and not rests:
            told += self._end(order, reason or "Decrease", now_ns)
        return told

    def _fill(self, order: Order, px: int, lots: int, now_ns: int, venue_ns: int, *, maker: bool) -> list[Happening]:
        """Book one fill: print, fill, state."""
        leg_px = px if order.wanted.leg == YES else PX_ONE - px
        if self.account.netting:
            leg_px = px if order.side == BID else PX_ONE - px
        fee, order.overshoot_uusd = fee_of_fill(
            self.schedule(order.market), leg_px, lots, buys=order.buys or self.account.netting, maker=maker,
            overshoot_uusd=order.overshoot_uusd,
        )  # fmt: skip
        self.account.trade(order, px, lots, fee)
        order.left -= lots
        order.filled += lots
        order.updated_ns = now_ns
        if maker:
            order.maker_cost_uusd += leg_px * lots
            order.maker_fees_uusd += fee
        else:
            order.taker_cost_uusd += leg_px * lots
            order.taker_fees_uusd += fee
        if not order.left:
            order.status = "executed"
            self._leave(order)
        taker = 1 - order.side if maker else order.side
        row: Row = (now_ns, venue_ns, lots * MICRO_PER_LOT, px, -1, END_OF_BATCH, order.market, TRADE, taker)
        position = self.account.holdings[order.market].position
        return [
            Told(row, order),
            Filled(order, px, lots, maker, fee, position, now_ns),
            Changed(order, "Trade", now_ns),
        ]

    def _end(self, order: Order, reason: str, now_ns: int) -> list[Happening]:
        """An order ends with what is left of it."""
        book, back = self.books[order.market], order.left
        order.status, order.left, order.updated_ns = "canceled", 0, now_ns
        self._leave(order)
        return [Changed(order, reason, now_ns, back), *book.update(now_ns, [(order.side, order.px, order)])]

    def _leave(self, order: Order) -> None:
        """Take an order out of the book, if it is there."""
        if self.resting.pop(order.id, None) is not None:
            self.books[order.market].orders.remove(order)
