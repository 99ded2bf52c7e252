"""One market and our orders in it: what the venue does with an order, level by level."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from reference.account import RESTING_ORDERS, Account, Order, opposite
from reference.book import Book
from reference.chance import Memory
from reference.fees import Schedule, fee_reserve
from reference.passive import PassiveFills
from sim.types import (
    ASK,
    BID,
    FOK,
    GTC,
    HALTED,
    OPEN,
    PAUSED,
    PENDING,
    PX_ONE,
    REJECT_CASH,
    REJECT_EXPIRY,
    REJECT_FOK_UNFILLED,
    REJECT_GONE,
    REJECT_GROUP,
    REJECT_HALTED,
    REJECT_MARKET_CLOSED,
    REJECT_NO_SLOT,
    REJECT_NONE,
    REJECT_NOTHING_TO_REDUCE,
    REJECT_NOTIONAL,
    REJECT_OFF_GRID,
    REJECT_ORDER_TYPE,
    REJECT_PAUSED,
    REJECT_POST_ONLY_CROSS,
    REJECT_SELF_TRADE,
    REJECT_SIZE,
    SECOND_NS,
    SETTLED,
)


class Venue(NamedTuple):
    """A venue's rules."""

    netting: bool
    min_qty: int
    min_take: int  # micro-dollars that a buy which trades at once must be worth
    lead_ns: int  # how far ahead an expiry must lie
    early_ns: int  # how long before its expiry an order ends
    amends: bool  # orders shrink in place


class Market(PassiveFills):
    """A book, its statistics, its rules, and our resting orders."""

    def __init__(
        self, account: Account, row: dict, fill_model: int, venue: Venue, schedule: Schedule, prices: set[int],
        draw: object, seen: Counter, *, recorded: bool, has_prints: bool = True,
    ) -> None:  # fmt: skip
        self.account, self.row, self.fill_model, self.venue = account, row, fill_model, venue
        self.has_prints = has_prints
        self.memory = Memory()
        self.owed, self.sweep_mid2, self.triggered = 0.0, PX_ONE, False
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
        unwelcome = self.shut() or self.unwelcome(order, now)
        if unwelcome:
            return unwelcome
        if order.px not in self.prices:
            return REJECT_OFF_GRID
        if order.reduce and order.qty == 0:
            return REJECT_NOTHING_TO_REDUCE
        if not self.venue.min_qty <= order.qty <= 10**11:
            return REJECT_SIZE
        worth = min(order.price(order.px) * order.qty, order.budget or 10**18)
        if not order.reduce and self.crosses(order.side, order.px) and worth < self.venue.min_take:
            return REJECT_NOTIONAL
        if order.post_only and self.crosses(order.side, order.px):
            return REJECT_POST_ONLY_CROSS
        if self.locks_cash(order) and self.worst_cost(order) > self.account.free:
            return REJECT_CASH
        return REJECT_NONE

    def unwelcome(self, order: Order, now: int) -> int:
        """Why the venue refuses an order whatever its price and size."""
        if order.tif != GTC and (order.post_only or order.expiry):
            return REJECT_ORDER_TYPE
        if self.triggered:
            return REJECT_GROUP
        return REJECT_EXPIRY if self.too_soon(order.expiry, now) else REJECT_NONE

    def shut(self) -> int:
        """Why the market takes no orders now."""
        return {OPEN: REJECT_NONE, PAUSED: REJECT_PAUSED, HALTED: REJECT_HALTED}.get(self.status, REJECT_MARKET_CLOSED)

    def ends(self, expiry: int) -> int:
        """When an order with this expiry ends: the wire carries whole seconds."""
        return expiry - expiry % SECOND_NS - self.venue.early_ns if expiry else 0

    def too_soon(self, expiry: int, now: int) -> bool:
        """Whether an expiry is past, or nearer than the venue allows."""
        return bool(expiry) and (expiry < now + self.venue.lead_ns or self.ends(expiry) <= now)

    def locks_cash(self, order: Order) -> bool:
        """Whether an order may cost cash."""
        return not order.reduce

    def to_lock(self, order: Order) -> int:
        """Cash that a resting order locks: its price and the maker's fee at most."""
        price = order.price(order.px)
        return price * order.qty + fee_reserve(self.schedule, price, price, order.qty, True)

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

    def accept(self, order: Order, now: int, *, may_wait: bool = False) -> int | None:
        """An order of ours arrives. Returns why it was refused, 0 if it was not, None if the venue holds it back."""
        asked = order.qty
        if order.reduce:
            order.qty = min(order.qty, self.account.sellable(order.leg))
        reason = self.refusal(order, now)
        if not reason and may_wait and self.row["taker_delay_ms"] and self.crosses(order.side, order.px):
            order.qty = asked
            return None
        own = self._own_that_cross(order)
        whole = sum(lots for _, lots in self.walk(order, now)) >= order.qty
        self.seen["fill or kill that meets our own"] += order.tif == FOK and bool(own) and not reason and not whole
        if not reason and order.tif == FOK and not own and not whole:
            reason = REJECT_FOK_UNFILLED
        if reason:
            return reason
        reason = self._match(order, own, now)
        if reason or self.triggered:
            self.stop_triggered()
            return reason
        self.seen["fill or kill filled"] += order.tif == FOK and order.qty == 0
        if order.qty == 0 or not order.may_rest:
            self.seen["immediate order left something"] += order.qty > 0
            return REJECT_NONE
        if len(self.account.resting) == RESTING_ORDERS:
            self.seen["no slot to rest in"] += 1
            return REJECT_NO_SLOT
        self.seen["rests after taking"] += order.filled > 0
        self.seen["post-only rests"] += order.post_only
        if self.locks_cash(order):
            order.reserved = self.to_lock(order)
        order.ends_ns = self.ends(order.expiry)
        self.join(order, now)
        return REJECT_NONE

    def _match(self, order: Order, own: list[Order], now: int) -> int:
        """Take what the venue lets us; ours that meet give way as the row says. Returns why the rest is refused."""
        plan = self.walk(order, now)
        if own and round(self.row["self_trade"]) == 1:
            plan = self._until(plan, own)
            self._take(order, plan, now)
            return REJECT_SELF_TRADE if order.qty and not self._budget_spent(order, own, plan) else REJECT_NONE
        for other in own:
            self.seen["self-cross"] += 1
            self.account.drop(other)
        self._take(order, plan, now)
        return REJECT_NONE

    def _own_that_cross(self, order: Order) -> list[Order]:
        """Our resting orders that ``order`` would meet, the one it meets first in front."""
        met = [o for o in self.account.resting if o.side != order.side]
        if order.side == BID:
            return sorted((o for o in met if o.px <= order.px), key=lambda o: (o.px, o.id))
        return sorted((o for o in met if o.px >= order.px), key=lambda o: (-o.px, o.id))

    def _until(self, plan: list[tuple[int, int]], own: list[Order]) -> list[tuple[int, int]]:
        """The part of a walk before it comes to our own order: worse prices, and who stands behind it, are cut off."""
        first = own[0]
        better = [(px, lots) for px, lots in plan if (px < first.px if first.side == ASK else px > first.px)]
        level = [(px, min(lots, first.ahead)) for px, lots in plan if px == first.px and first.ahead]
        return better + level

    def _budget_spent(self, order: Order, own: list[Order], plan: list[tuple[int, int]]) -> bool:
        """Whether the budget does not pay for one lot at our own order's price."""
        left = order.budget - sum(order.price(px) * lots for px, lots in plan)
        return bool(order.budget) and left < order.price(own[0].px)

    def _take(self, order: Order, plan: list[tuple[int, int]], now: int) -> None:
        resting, mid2 = opposite(order.side), self.book.mid2
        self.seen["walk over several levels"] += len(plan) > 1
        for px, lots in plan:
            if lots > self.book.size(resting, px):
                raise AssertionError(f"took {lots} of {self.book.size(resting, px)} shown at {px}")
            if self.recorded:
                self.book.use(resting, px, lots, now, self.used_life)
            else:
                self.memory.look(self.book, now)
                self.book.put(resting, px, self.book.size(resting, px) - lots)
            order.qty -= lots
            self.account.fill(order, self.schedule, px, lots, False, self.context(order, mid2, now))
            self.count_fill(lots, now)
            self.seen["taker fill that reduces"] += order.reduce

    def cancel(self, order_id: int) -> None:
        """A cancel of ours arrives; an order that is not there needs none."""
        there = [order for order in self.account.resting if order.id == order_id]
        self.seen["cancel met its order" if there else "cancel came too late"] += 1
        for order in there:
            self.account.drop(order)

    def amend(self, order_id: int, count: int, expiry: int, now: int) -> int:
        """Make a resting order smaller, or let it end at another time; it keeps its place."""
        reason = self.shut() or (REJECT_EXPIRY if self.too_soon(expiry, now) else REJECT_NONE)
        there = [order for order in self.account.resting if order.id == order_id]
        if reason or not there:
            return reason or REJECT_GONE
        order = there[0]
        order.expiry, order.ends_ns = expiry, self.ends(expiry)
        left = count - order.filled
        if left <= 0:
            self.seen["amend to nothing"] += 1
            self.account.drop(order)
        elif left < order.qty:
            self.seen["amend of a reducing order" if order.reduce else "amend"] += 1
            order.qty = left
            if self.locks_cash(order):
                self._reserve_anew(order)
        else:
            self.seen["amend of the expiry"] += 1
        return REJECT_NONE

    def expire(self, now: int) -> None:
        """The order that ends first ends."""
        order = min((o for o in self.account.slots if o and o.ends_ns), key=lambda o: o.ends_ns)
        self.seen["expired"] += 1
        self.account.drop(order)

    def count_fill(self, qty: int, now: int) -> None:
        """Fills of the last 15 s count towards the group's limit."""
        limit = round(self.row["group_limit"] * 100)
        if limit:
            self.account.filled = [(then, lots) for then, lots in self.account.filled if now - then < 15 * SECOND_NS]
            if self.account.filled and self.account.filled[-1][0] == now:
                qty += self.account.filled.pop()[1]
            elif len(self.account.filled) == 8:  # no more places: the youngest takes it in
                self.seen["fills share a place"] += 1
                qty += self.account.filled.pop()[1]
            self.account.filled.append((now, qty))
            self.triggered = self.triggered or sum(lots for _, lots in self.account.filled) > limit

    def stop_triggered(self) -> None:
        """A group past its limit loses its orders."""
        if self.triggered:
            self.seen["group triggered with orders"] += bool(self.account.resting)
            self.drop_all()

    def reset_group(self) -> None:
        """The group takes orders again."""
        self.seen["group reset"] += self.triggered
        self.triggered, self.account.filled = False, []

    def drop_all(self) -> None:
        """The venue cancels everything of ours."""
        for order in self.account.resting:
            self.account.drop(order)

    def change_status(self, status: int) -> None:
        """Whether orders outlive a pause is the row's to say; a market that closes cancels them."""
        keeps, before, self.status = round(self.row["pause_keeps"]), self.status, status
        orders = bool(self.account.resting)
        if status == OPEN:
            if keeps == 2 and before != OPEN:
                self.seen["orders dropped when the market came back"] += orders
                self.drop_all()
        elif keeps == 0 or status not in (PAUSED, HALTED):
            self.seen["orders dropped by a halt"] += orders
            self.drop_all()
        else:
            self.seen["orders kept in a pause"] += orders

    def change_fees(self, schedule: Schedule) -> None:
        """New rates hold at once, for resting orders too: where makers pay another rate, fees are set aside anew.

        The oldest order goes first; one that the cash no longer covers is cancelled.
        """
        old, self.schedule = self.schedule, schedule
        if old.maker_ppm == schedule.maker_ppm:
            return
        for order in sorted(self.account.resting, key=lambda order: order.id):
            if self.locks_cash(order):
                self._reserve_anew(order)

    def _reserve_anew(self, order: Order) -> None:
        needed = self.to_lock(order)
        if needed - order.reserved > self.account.free:
            self.seen["order dropped by new fees"] += 1
            self.account.drop(order)
        else:
            self.seen["reserved anew for new fees"] += needed > order.reserved
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
            order.credit = order.debit = 0

    def quotes(self) -> tuple[int | None, int | None]:
        """Best bid and ask."""
        return self.book.best(BID), self.book.best(ASK)
