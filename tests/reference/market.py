"""One market and our orders in it: what the venue does with an order, level by level."""

from __future__ import annotations

from collections import Counter

from reference.account import RESTING_ORDERS, Account, Order, opposite
from reference.book import Book
from reference.fees import Schedule, fee_reserve
from reference.passive import PassiveFills
from sim.types import (
    ASK,
    BID,
    FOK,
    OPEN,
    PENDING,
    PX_ONE,
    REJECT_CASH,
    REJECT_FOK_UNFILLED,
    REJECT_MARKET_CLOSED,
    REJECT_NO_SLOT,
    REJECT_NONE,
    REJECT_NOTHING_TO_REDUCE,
    REJECT_OFF_GRID,
    REJECT_POST_ONLY_CROSS,
    REJECT_SIZE,
    SETTLED,
)


class Market(PassiveFills):
    """A book, its statistics, its rules, and our resting orders."""

    def __init__(
        self, account: Account, row: dict, fill_model: int, min_qty: int, schedule: Schedule, prices: set[int],
        draw: object, seen: Counter, *, recorded: bool,
    ) -> None:  # fmt: skip
        self.account, self.row, self.fill_model, self.min_qty = account, row, fill_model, min_qty
        self.schedule, self.prices, self.draw, self.seen, self.recorded = schedule, prices, draw, seen, recorded
        self.book = Book()
        self.status, self.payout, self.open_ns, self.close_ns = PENDING, -1, 0, 0
        self.latent, self.fair, self.signal, self.signal_err, self.signal_ns = -1, -1, -1, 0, 0
        self.book_ns, self.trade_ns, self.last_px, self.last_side, self.last_qty = 0, 0, -1, -1, 0
        self.in_snapshot = False
        self.gap = False
        self.events = 0
        self.observed()

    def observed(self) -> None:
        """Begin counting anew, as after an observation."""
        self.n_events = self.n_prints = self.bought = self.sold = 0
        self.added, self.removed = [0, 0], [0, 0]

    def happened(self) -> None:
        """Count one market event."""
        self.events += 1
        self.n_events += 1

    def context(self, order: Order, mid2: int, now: int) -> dict:
        """What a fill is journalled with."""
        return {"ns": now, "latent": self.latent, "mid2": mid2, "sent_mid2": order.sent_mid2}

    @property
    def used_life(self) -> int:
        """Nanoseconds until taken liquidity is back."""
        return round(self.row["used_life_s"] * 1e9)

    def takeable(self, side: int, px: int, now: int) -> int:
        """Lots we can take from a level."""
        used = self.book.still_used(side, px, now, self.used_life) if self.recorded else 0
        self.seen["consumed liquidity missing"] += used > 0
        return self.book.size(side, px) - used

    def walk(self, order: Order, now: int) -> list[tuple[int, int]]:
        """(price, lots) that ``order`` would take, best price first, within its limit and its budget."""
        resting = opposite(order.side)
        left, budget, plan = order.qty, order.budget, []
        for px in self.book.prices_from_best(resting):
            if left == 0 or (px > order.px if order.side == BID else px < order.px):
                break
            lots = min(left, self.takeable(resting, px, now))
            if order.budget:
                affordable = budget // order.price(px)
                if affordable == 0:
                    self.seen["budget end"] += 1
                    break
                self.seen["budget cut"] += affordable < lots
                lots = min(lots, affordable)
                budget -= lots * order.price(px)
            if lots:
                plan.append((px, lots))
                left -= lots
        return plan

    def crosses(self, side: int, px: int) -> bool:
        """Whether an order would trade at once with others."""
        best = self.book.best(opposite(side))
        return best is not None and (best <= px if side == BID else best >= px)

    def refusal(self, order: Order, now: int) -> int:
        """Why the venue refuses an order."""
        if self.status != OPEN:
            return REJECT_MARKET_CLOSED
        if order.px not in self.prices:
            return REJECT_OFF_GRID
        if order.reduce and order.qty == 0:
            return REJECT_NOTHING_TO_REDUCE
        if order.qty < self.min_qty:
            return REJECT_SIZE
        if order.post_only and self.crosses(order.side, order.px):
            return REJECT_POST_ONLY_CROSS
        if not order.reduce and self.worst_cost(order) > self.account.free:
            return REJECT_CASH
        if order.tif == FOK and sum(lots for _, lots in self.walk(order, now)) < order.qty:
            return REJECT_FOK_UNFILLED
        return REJECT_NONE

    def worst_cost(self, order: Order) -> int:
        """The most an opening order can cost: its limit for every lot, and the dearest fees on the way."""
        price = order.price(order.px)
        cost = price * order.qty
        if order.budget:
            cost = min(cost, order.budget)
        if order.may_rest:
            cost += fee_reserve(self.schedule, price, price, order.qty, True)
        if self.crosses(order.side, order.px):
            cost += fee_reserve(self.schedule, 0, price, order.qty, False)
        return cost

    def accept(self, order: Order, now: int) -> int:
        """An order of ours arrives. Returns why it was refused, or 0."""
        if order.reduce:
            order.qty = min(order.qty, self.account.sellable(order.leg))
        reason = self.refusal(order, now)
        if reason:
            return reason
        self._cancel_own_that_cross(order)
        plan = self.walk(order, now)
        self._take(order, plan, now)
        self.seen["fill or kill filled"] += order.tif == FOK and order.qty == 0
        if order.qty == 0 or not order.may_rest:
            self.seen["immediate order left something"] += order.qty > 0
            return REJECT_NONE
        if len(self.account.resting) == RESTING_ORDERS:
            self.seen["no slot to rest in"] += 1
            return REJECT_NO_SLOT
        self.seen["rests after taking"] += order.filled > 0
        self.seen["post-only rests"] += order.post_only
        if not order.reduce:
            price = order.price(order.px)
            order.reserved = price * order.qty + fee_reserve(self.schedule, price, price, order.qty, True)
        self.join(order, now)
        return REJECT_NONE

    def _cancel_own_that_cross(self, order: Order) -> None:
        for other in self.account.resting:
            if other.side != order.side and (other.px <= order.px if order.side == BID else other.px >= order.px):
                self.seen["self-cross"] += 1
                self.account.drop(other)

    def _take(self, order: Order, plan: list[tuple[int, int]], now: int) -> None:
        resting, mid2 = opposite(order.side), self.book.mid2
        self.seen["walk over several levels"] += len(plan) > 1
        for px, lots in plan:
            if lots > self.book.size(resting, px):
                raise AssertionError(f"took {lots} of {self.book.size(resting, px)} shown at {px}")
            if self.recorded:
                self.book.use(resting, px, lots, now, self.used_life)
            else:
                self.book.put(resting, px, self.book.size(resting, px) - lots)
            order.qty -= lots
            self.account.fill(order, self.schedule, px, lots, False, self.context(order, mid2, now))
            self.seen["taker fill that reduces"] += order.reduce

    def cancel(self, order_id: int) -> None:
        """A cancel of ours arrives; an order that is not there needs none."""
        there = [order for order in self.account.resting if order.id == order_id]
        self.seen["cancel met its order" if there else "cancel came too late"] += 1
        for order in there:
            self.account.drop(order)

    def change_fees(self, schedule: Schedule) -> None:
        """New rates hold at once, for resting orders too: where makers pay another rate, fees are set aside anew.

        The oldest order goes first; one that the cash no longer covers is cancelled.
        """
        old, self.schedule = self.schedule, schedule
        if old.maker_ppm == schedule.maker_ppm:
            return
        for order in sorted(self.account.resting, key=lambda order: order.id):
            if order.reduce:
                continue
            price = order.price(order.px)
            needed = price * order.qty + fee_reserve(schedule, price, price, order.qty, True)
            if needed - order.reserved > self.account.free:
                self.seen["order dropped by new fees"] += 1
                self.account.drop(order)
            else:
                self.seen["reserved anew for new fees"] += needed != order.reserved
                order.reserved = needed

    def settle(self, payout_px: int) -> None:
        """Pay out and close."""
        self.account.settle(payout_px)
        self.payout, self.status = payout_px, SETTLED
        self.seen["partial payout"] += 0 < payout_px < PX_ONE

    def end_snapshot(self) -> None:
        """A snapshot is whole: nobody ahead of us can be more than what it shows."""
        self.in_snapshot = False
        self.book.forget_vanished()
        for order in self.account.resting:
            self.seen["snapshot cut the queue ahead"] += order.ahead > self.book.size(order.side, order.px)
            order.ahead = min(order.ahead, self.book.size(order.side, order.px))

    def quotes(self) -> tuple[int | None, int | None]:
        """Best bid and ask."""
        return self.book.best(BID), self.book.best(ASK)
