"""A market's book as a fake venue shows it: the simulated one, less what clients took, plus their orders.

* What a client took of a level stays taken until the market's next change of that level.
* A client's order rests at its price. While the market quotes through it, it is not shown: nobody ever sees a crossed
  book, and the order still trades by prints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from live.fake.orders import Order, Told
from sim.types import ASK, BID, CLEAR, DELTA, END_OF_BATCH, LEVEL, MICRO_PER_LOT
from sim.wire.ladder import Ladder
from sim.wire.units import Row

_BOOK_KINDS = (CLEAR, LEVEL, DELTA)


class ShownBook:
    """One market's. Sizes in 1e-6 contract, orders in lots."""

    def __init__(self, market: int) -> None:
        self.others = Ladder()  # what clients can take
        self.shown = Ladder()
        self.orders: list[Order] = []  # of clients, resting
        self._market = market
        self._base = Ladder()  # as if there were no clients
        self._snapshot: list[Row] | None = None

    def takes(self, row: Row) -> bool:
        """Whether a row is about the book, or belongs to a snapshot that has begun."""
        return row[7] in _BOOK_KINDS or self._snapshot is not None

    def apply(self, row: Row) -> list[Told]:
        """What everyone sees of a row of the simulated market's."""
        if row[7] == CLEAR or self._snapshot is not None:
            return self._collect(row)
        _, _, qty, px, _, _, _, kind, side = row
        before = self._base.sizes[side].get(px, 0)
        untouched = not self.orders and before == self.shown.sizes[side].get(px, 0)
        size = before + qty if kind == DELTA else qty
        if size < 0:
            raise ValueError(f"market {self._market}: a size of {size} at {px} x 1e-4; a tape's rows do not add up")
        self._base.set(side, px, size)
        self.others.set(side, px, size)
        self._cap(side, px)
        if untouched:
            self.shown.set(side, px, size)
            return [Told(row)]
        told = self._refresh(row, [(side, px), *((order.side, order.px) for order in self.orders)])
        return _ended(told, row[5])

    def take(self, side: int, limit_px: int, lots: int) -> Iterator[tuple[int, int]]:
        """(px, lots) that a taker on ``side`` gets from others, level by level, whole lots only; changes nothing."""
        sizes = self.others.sizes[1 - side]
        for px in sorted(sizes, reverse=side == ASK):
            if lots <= 0 or (px > limit_px if side == BID else px < limit_px):
                return
            found = min(lots, sizes[px] // MICRO_PER_LOT)
            if found:
                yield px, found
                lots -= found

    def taken(self, side: int, px: int, lots: int) -> None:
        """A client took ``lots`` of others' level on ``side``."""
        self.others.set(side, px, self.others.sizes[side][px] - lots * MICRO_PER_LOT)
        self._cap(side, px)

    def rest(self, order: Order) -> None:
        """Put an order behind what is at its price."""
        order.rested, order.ahead_qty = True, self.others.sizes[order.side].get(order.px, 0)
        self.orders.append(order)

    def queue(self, side: int) -> list[Order]:
        """Clients' orders of a side, best price first, then by age."""
        found = [order for order in self.orders if order.side == side]
        return sorted(found, key=lambda order: (-order.px if side == BID else order.px, order.number))

    def update(self, ns: int, levels: Iterable[tuple[int, int, Order]]) -> list[Told]:
        """Rows for levels that a client's order changed, and for orders that are hidden or shown by it."""
        touched = list(levels)
        owners = {(side, px): order for side, px, order in touched}
        frame: Row = (ns, ns, 0, 0, -1, 0, self._market, LEVEL, 0)
        told = self._refresh(frame, [*owners, *((order.side, order.px) for order in self.orders)])
        return _ended([Told(one.row, owners.get((one.row[8], one.row[3]))) for one in told], END_OF_BATCH)

    def cleared(self, ns: int) -> list[Told]:
        """The book becomes empty, as an empty snapshot tells."""
        for ladder in (self._base, self.others, self.shown):
            ladder.clear()
        self._snapshot = None
        return [Told((ns, ns, 0, 0, -1, END_OF_BATCH, self._market, CLEAR, -1))]

    def _collect(self, row: Row) -> list[Told]:
        """A row of a snapshot; all of it where it was the last."""
        rows = self._snapshot = [*(self._snapshot or []), row] if row[7] != CLEAR else [row]
        if not row[5] & END_OF_BATCH:
            return []
        self._snapshot = None
        for ladder in (self._base, self.others, self.shown):
            ladder.clear()
        for one in rows[1:]:
            if one[7] == LEVEL:
                self._base.set(one[8], one[3], one[2])
                self.others.set(one[8], one[3], one[2])
        for order in self.orders:
            self._cap(order.side, order.px)
        head: Row = (*rows[0][:5], 0, *rows[0][6:])
        levels = [(side, px) for side in (BID, ASK) for px in self.others.sizes[side]]
        told = self._refresh((*head[:7], LEVEL, 0), [*levels, *((order.side, order.px) for order in self.orders)])
        return _ended([Told(head), *told], END_OF_BATCH)

    def _cap(self, side: int, px: int) -> None:
        """No more can be ahead of an order than there is."""
        for order in self.orders:
            if order.side == side and order.px == px:
                order.ahead_qty = min(order.ahead_qty, self.others.sizes[side].get(px, 0))

    def _refresh(self, frame: Row, levels: Iterable[tuple[int, int]]) -> list[Told]:
        """Rows of those ``levels`` whose shown size is no longer right, removals first."""
        changes = []
        for side, px in dict.fromkeys(levels):
            size = self.others.sizes[side].get(px, 0) + self._own(side, px)
            if size != self.shown.sizes[side].get(px, 0):
                changes.append((size, side, px))
        changes.sort(key=lambda change: change[0] != 0)
        told = []
        for size, side, px in changes:
            self.shown.set(side, px, size)
            told.append(Told((*frame[:2], size, px, frame[4], 0, frame[6], LEVEL, side)))
        return told

    def _own(self, side: int, px: int) -> int:
        """Size of clients' orders that is shown at a level."""
        best = self.others.best
        if px >= best[ASK] if side == BID else px <= best[BID]:
            return 0
        return sum(order.left for order in self.orders if order.side == side and order.px == px) * MICRO_PER_LOT


def _ended(told: list[Told], flags: int) -> list[Told]:
    """``told`` with ``flags`` on its last row."""
    if told:
        last = told[-1]
        told[-1] = Told((*last.row[:5], last.row[5] | flags, *last.row[6:]), last.order)
    return told
