"""When a resting order fills: only on a print at or through its price, and never for more than the print."""

from __future__ import annotations

import math
from fractions import Fraction

from reference.account import Order
from reference.chance import hazard
from reference.philox import FILL, uniform
from sim.types import ASK, BID, OPTIMISTIC, PESSIMISTIC, PROBABILISTIC, QUEUE

RULES = ("none", "proportional", "power", "log", "snapshot")


class PassiveFills:
    """The half of a market that serves resting orders. Mixed into :class:`reference.market.Market`."""

    def join(self, order: Order, now: int) -> None:
        """Stand behind what the level shows; the chance of the probabilistic model is fixed here."""
        order.hazard = hazard(self, order, now) if self.fill_model == PROBABILISTIC else 0.0
        order.ahead = self.book.size(order.side, order.px)
        order.filled = 0
        order.entry_ns = order.drawn_ns = now
        self.account.rest(order)

    def print_trade(self, taker_side: int, px: int, qty: int, now: int) -> None:
        """Others traded ``qty`` lots at ``px``. Its side unknown, only orders it went through fill."""
        self.memory.look(self.book, now)
        self.memory.trades.append((now, taker_side, qty))
        if (now, taker_side) != (self.trade_ns, self.last_side):
            self.sweep_mid2 = self.book.mid2
        self.seen["a sweep's second print"] += (now, taker_side) == (self.trade_ns, self.last_side)
        self.trade_ns, self.last_px, self.last_side, self.last_qty = now, px, taker_side, qty
        self.n_prints += 1
        self.happened()
        if taker_side == BID:
            self.bought += qty
        if taker_side == ASK:
            self.sold += qty
        for side in (ASK, BID):
            if taker_side != side:
                self._serve(side, px, qty, taker_side < 0, now)

    def _met_by(self, side: int, px: int) -> list[Order]:
        """Our orders that a print at ``px`` meets: the best price first, then the oldest."""
        if side == BID:
            met = [o for o in self.account.resting if o.side == BID and o.px >= px]
            return sorted(met, key=lambda o: (-o.px, o.id))
        met = [o for o in self.account.resting if o.side == ASK and o.px <= px]
        return sorted(met, key=lambda o: (o.px, o.id))

    def _serve(self, side: int, px: int, qty: int, side_unknown: bool, now: int) -> None:
        queue = self._met_by(side, px)
        late = [] if side_unknown else self._expect([order for order in queue if order.px == px], qty, now)
        left = qty
        for order in queue:
            if left == 0:
                break
            if order not in self.account.resting:
                continue  # netting took it back while an earlier order was filled
            if order.px != px:
                reached = left
                self.seen["print through"] += 1
            elif side_unknown:
                reached = 0
                self.seen["print of unknown side at our price"] += 1
            else:
                reached = self._reached(order, left, now)
            fill = min(reached, order.qty)
            self.seen["a second order of ours met the same print"] += left < qty
            if fill:
                self.seen["filled by a late print"] += order in late
                self._fill_resting(order, fill, order.debit_mid2 if order in late else self.sweep_mid2, now)
                left -= fill
        for order in late:
            order.front = order.ahead
            order.ahead = self._after_cancels(order, self.book.size(side, px))
        if not 0 <= left <= qty:
            raise AssertionError(f"a print of {qty} filled {qty - left}")

    def _reached(self, order: Order, left: int, now: int) -> int:
        """Lots of a print at our price that get to us."""
        if self.fill_model == PESSIMISTIC:
            self.seen["pessimistic: behind everyone"] += 1
            return 0
        if self.fill_model == OPTIMISTIC:
            self.seen["optimistic: ahead of everyone"] += 1
            return left
        if self.fill_model == QUEUE:
            eaten = min(order.ahead, left)
            order.ahead -= eaten
            self.seen["queue: eaten"] += bool(eaten)
            self.seen["queue: reached"] += left > eaten
            return left - eaten
        life = round(self.row["fill_life_s"] * 1e9)
        chance = 1.0 - math.exp(-order.hazard * ((now - order.drawn_ns) / life))
        word = self.draw(FILL, order.id, order.draws)[0]
        order.drawn_ns = now
        order.draws += 1
        reached = uniform(word) < chance
        self.seen["probabilistic: reached" if reached else "probabilistic: missed"] += 1
        return left if reached else 0

    def _expect(self, orders: list[Order], qty: int, now: int) -> list[Order]:
        """A print at their price explains drops that have come or will come; returns those whose debit it uses."""
        late = []
        for order in orders:
            explained = min(qty, order.debit) if self._may_be_explained(order, now) else 0
            order.credit += qty - explained
            if not explained:
                order.debit = 0
                continue
            self.seen["a late print"] += 1
            self.seen["a late print explains part of a drop"] += explained < order.debit
            order.debit -= explained
            order.ahead = order.front
            late.append(order)
        return late

    def _may_be_explained(self, order: Order, now: int) -> bool:
        return order.debit > 0 and now - order.debit_ns <= round(self.row["late_print_ms"] * 1e6)

    def _after_cancels(self, order: Order, shown: int) -> int:
        """Lots in front of an order whose level shows ``shown`` and has lost its debit by cancels."""
        back = shown + order.debit - order.front
        return min(shown, order.front - self._share(order.front, max(0, back), order.debit))

    def _share(self, front: int, back: int, cancelled: int) -> int:
        """Lots of a cancel that came from in front of us."""
        rule = RULES[round(self.row["cancel_rule"])]
        self.seen[f"cancels by rule {rule}"] += cancelled > 0
        if rule == "none" or front == 0:
            return 0
        least = min(front, max(0, cancelled - back))  # those behind us cannot cancel more than they have
        if rule == "snapshot" or back == 0:
            return least
        if rule == "proportional":
            return math.floor(Fraction(cancelled * front, front + back))
        if rule == "power":
            share = 1.0 / (1.0 + math.exp(self.row["cancel_power"] * (math.log(back) - math.log(front))))
        else:
            share = math.log(1 + front) / (math.log(1 + front) + math.log(1 + back))
        return min(front, max(least, math.floor(share * cancelled)))

    def _fill_resting(self, order: Order, qty: int, mid2: int, now: int) -> None:
        order.qty -= qty
        self.seen["partial maker fill"] += order.qty > 0
        self.seen["maker fill that reduces"] += order.reduce
        paid = self.account.fill(order, self.schedule, order.px, qty, True, self.context(order, mid2, now))
        if not order.reduce:
            order.reserved -= min(paid, order.reserved)
        if order.qty == 0:
            self.account.drop(order)
        self.count_fill(qty, now)
        self.stop_triggered()

    def change_level(self, side: int, px: int, qty: int, now: int) -> None:
        """Others change what a level shows. What was not printed was cancelled, some of it ahead of us."""
        old = self.book.size(side, px)
        if qty == old:
            return
        self.memory.look(self.book, now)
        self.book_ns = now
        self.happened()
        mid2 = self.book.mid2
        self.book.put(side, px, qty)
        if qty > old:
            self.added[side] += qty - old
            return
        self.removed[side] += old - qty
        for order in self.account.resting:
            if order.side != side or order.px != px:
                continue
            printed = min(order.credit, old - qty)
            order.credit -= printed
            self.seen["drop at our level was printed"] += bool(printed)
            if old - qty > printed:
                self._cancelled(order, old - qty - printed, qty, mid2, now)
            order.ahead = min(order.ahead, qty)

    def _cancelled(self, order: Order, lots: int, shown: int, mid2: int, now: int) -> None:
        self.seen["cancel at our level"] += 1
        prints_may_be_late = self.recorded and self.has_prints
        if prints_may_be_late and self._may_be_explained(order, now):
            self.seen["a second drop before its print"] += 1
            order.debit += lots
        else:
            order.debit, order.front, order.debit_mid2 = lots, order.ahead, mid2
        order.debit_ns = now
        order.ahead = self._after_cancels(order, shown)
        if not prints_may_be_late:
            order.debit = 0

    def _traded(self, drop: int, left: int) -> int:
        """Lots of a touch's drop that count as a trade."""
        share, way = self.row["trade_share"], round(self.row["drop_split"])
        if way == 0:
            return math.floor(share * drop)
        if way == 2:
            return drop if left == 0 else 0
        self.owed += share * drop
        traded = drop if self.owed >= drop / 2 else 0
        self.owed -= traded
        return traded

    def drop_without_prints(self, side: int, px: int, qty: int, now: int) -> None:
        """As above on a feed without trades: part of a drop at the touch counts as a print."""
        old = self.book.size(side, px)
        if qty < old and px == self.book.best(side):
            traded = self._traded(old - qty, qty)
            if traded:
                self.seen[f"drop split {round(self.row['drop_split'])}"] += 1
                self.print_trade(ASK if side == BID else BID, px, traded, now)
        self.change_level(side, px, qty, now)
