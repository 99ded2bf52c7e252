"""When a resting order fills: only on a print at or through its price, and never for more than the print."""

from __future__ import annotations

import math

from reference.account import Order
from reference.philox import FILL, uniform
from sim.types import ASK, BID, OPTIMISTIC, PESSIMISTIC, QUEUE


class PassiveFills:
    """The half of a market that serves resting orders. Mixed into :class:`reference.market.Market`."""

    def join(self, order: Order, now: int) -> None:
        """Stand behind what the level shows; the chance of the probabilistic model is fixed here."""
        row = self.row
        bid, ask = self.book.best(BID), self.book.best(ASK)
        spread = 1.0 if bid is None or ask is None else (ask - bid) / 100
        logit = (
            row["fill_base"]
            + row["fill_queue"] * math.log(1.0 + self.book.size(order.side, order.px) / order.qty)
            + row["fill_spread"] * max(0.0, spread - 1.0)
            + row["fill_activity"] * math.log(1.0 + self.n_prints)
            + row["fill_time"] * math.log(1.0 + max(0.0, (self.close_ns - now) / 1e9))
            + row["fill_size"] * math.log(1.0 + order.qty / 100)
        )
        order.probability = min(0.99, max(0.01, 1.0 / (1.0 + math.exp(-logit))))
        order.ahead = self.book.size(order.side, order.px)
        order.filled = 0
        order.entry_ns = order.drawn_ns = now
        self.account.rest(order)

    def print_trade(self, taker_side: int, px: int, qty: int, now: int) -> None:
        """Others traded ``qty`` lots at ``px``. Its side unknown, only orders it went through fill."""
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
        for order in queue:
            if order.px == px and not side_unknown:
                order.credit += qty
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
                self._fill_resting(order, fill, now)
                left -= fill
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
        chance = 1.0 - math.exp(math.log(1.0 - order.probability) * ((now - order.drawn_ns) / life))
        word = self.draw(FILL, order.id, order.draws)[0]
        order.drawn_ns = now
        order.draws += 1
        reached = uniform(word) < chance
        self.seen["probabilistic: reached" if reached else "probabilistic: missed"] += 1
        return left if reached else 0

    def _fill_resting(self, order: Order, qty: int, now: int) -> None:
        order.qty -= qty
        self.seen["partial maker fill"] += order.qty > 0
        self.seen["maker fill that reduces"] += order.reduce
        paid = self.account.fill(order, self.schedule, order.px, qty, True, self.context(order, self.book.mid2, now))
        if not order.reduce:
            order.reserved -= min(paid, order.reserved)
        if order.qty == 0:
            self.account.drop(order)

    def change_level(self, side: int, px: int, qty: int, now: int) -> None:
        """Others change what a level shows. What was not printed was cancelled, some of it ahead of us."""
        old = self.book.size(side, px)
        if qty == old:
            return
        self.book_ns = now
        self.happened()
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
            cancelled = old - qty - printed
            if cancelled:
                self.seen["cancel at our level"] += 1
                order.ahead -= math.floor(self.row["cancel_ahead"] * (cancelled * order.ahead / (old - printed)))
            self.seen["drop at our level was printed"] += bool(printed)
            order.ahead = min(order.ahead, qty)

    def drop_without_prints(self, side: int, px: int, qty: int, now: int) -> None:
        """As above on a feed without trades: part of a drop at the touch counts as a print."""
        old = self.book.size(side, px)
        if qty < old and px == self.book.best(side):
            traded = math.floor(self.row["trade_share"] * (old - qty))
            if traded:
                self.seen["drop split"] += 1
                self.print_trade(ASK if side == BID else BID, px, traded, now)
        self.change_level(side, px, qty, now)
