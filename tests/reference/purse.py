"""Several markets over shared cash, and sets that their venue nets: said again, slowly."""

from __future__ import annotations

from collections import Counter

from reference.account import Account, Order
from reference.fees import fee_reserve
from reference.market import Market
from sim.types import NO, PX_ONE, SETTLED, YES


class Purse:
    """Cash of one venue, and everyone it is exchanged with there."""

    def __init__(self, cash: int, netting: bool) -> None:
        self.cash, self.netting = cash, netting
        self.counterparty = self.fees = self.escrow = 0
        self.paid_until = 0  # turns of the venue's rate limit that are used up
        self.accounts: list[MarketAccount] = []


def _of_purse(name: str) -> property:
    return property(lambda self: getattr(self.purse, name), lambda self, value: setattr(self.purse, name, value))


class MarketAccount(Account):
    """What is held and ordered in one market; the cash is the purse's."""

    cash, counterparty, fees, escrow = map(_of_purse, ("cash", "counterparty", "fees", "escrow"))
    returns = False  # collateral of its set is returned: orders that reduce lock cash

    def __init__(self, purse: Purse, seen: Counter, fills: dict) -> None:
        self.purse = purse
        super().__init__(purse.cash, purse.netting, seen, fills=fills)
        purse.accounts.append(self)

    @property
    def reserved(self) -> int:
        """Cash locked by the orders of all the purse's markets."""
        return sum(order.reserved for account in self.purse.accounts for order in account.resting)

    def trim(self, leg: int) -> None:
        """An order that shrinks unlocks what its lots had locked, beside what was kept for fees."""
        before = {order: order.qty for order in self.resting}
        super().trim(leg)
        for order in self.resting:
            if self.returns and order.reduce:
                cut = before[order] - order.qty
                order.reserved -= min(order.reserved, cut * (PX_ONE - order.price(order.px)))


class LinkedMarket(Market):
    """A market that may belong to a set whose collateral is returned."""

    def locks_cash(self, order: Order) -> bool:
        """A sale, too, where a return might have to be given back for it."""
        return self.account.returns or super().locks_cash(order)

    def risk(self, order: Order) -> int:
        """What a sale may cost, fees left out: a dollar given back for every lot, less its price."""
        return (PX_ONE - order.price(order.px)) * order.qty

    def to_lock(self, order: Order) -> int:
        """A resting sale of a set locks what it risks, and its fee."""
        if not order.reduce:
            return super().to_lock(order)
        price = order.price(order.px)
        self.seen["set: sale locks cash"] += 1
        return self.risk(order) + fee_reserve(self.schedule, price, price, order.qty, True)

    def worst_cost(self, order: Order) -> int:
        """A sale risks no more than at its limit; the dearest fee may be that of a better price."""
        if not order.reduce:
            return super().worst_cost(order)
        price = order.price(order.px)
        needed = self.risk(order)
        if order.may_rest:
            needed += fee_reserve(self.schedule, price, price, order.qty, True)
        if self.crosses(order.side, order.px):
            needed += fee_reserve(self.schedule, price, PX_ONE, order.qty, False)
        self.seen["set: sale refused for its cash"] += needed > self.account.free
        return needed

    def _fill_resting(self, order: Order, qty: int, mid2: int, now: int) -> None:
        """A filled sale unlocks what its lots might have cost, at once: it brings cash, and never makes a pair."""
        if self.account.returns and order.reduce:
            cash = self.account.cash
            super()._fill_resting(order, qty, mid2, now)
            paid = cash - self.account.cash
            order.reserved -= min(order.reserved, PX_ONE * qty + paid)
        else:
            super()._fill_resting(order, qty, mid2, now)


class NettingSet:
    """Markets of which at most one pays, on a venue that nets them."""

    def __init__(self, markets: list[LinkedMarket], seen: Counter) -> None:
        self.markets, self.seen, self.returned = markets, seen, 0
        self.purse = markets[0].account.purse
        for market in markets:
            market.account.returns = self.purse.netting

    def look(self) -> None:
        """Return what the set pays in the worst of all ways the rest of the dollar can go."""
        if not self.purse.netting:
            return
        live = [market for market in self.markets if market.status != SETTLED]
        left = max(0, PX_ONE - sum(market.payout for market in self.markets if market.status == SETTLED))
        worst = min(
            sum(
                market.account.held[YES] * (left if market is winner else 0)
                + market.account.held[NO] * (PX_ONE - (left if market is winner else 0))
                for market in live
            )
            for winner in [None, *live]
        )
        more = worst - self.returned
        self.seen["set: collateral returned"] += more > 0
        self.seen["set: collateral taken back"] += more < 0
        self.seen["set: returned while one has settled"] += worst > 0 and len(live) < len(self.markets)
        self.purse.cash += more
        self.purse.escrow -= more
        self.returned = worst

    def convert(self, asked: dict[int, int]) -> bool:
        """Turn NO of the markets in ``asked`` (place: lots) into dollars and YES of the others; whether it could."""
        lots = set(asked.values())
        chosen = [self.markets[place] for place in asked]
        qty = lots.pop()
        short = any(market.account.sellable(NO) < qty for market in chosen)
        settled = any(market.status == SETTLED for market in self.markets)
        if lots or qty <= 0 or short or settled or self.purse.netting:
            return False
        others = [market for market in self.markets if market not in chosen]
        dollars = (len(chosen) - 1) * qty * PX_ONE
        cost = sum(market.account._take_out(NO, qty) for market in chosen) - dollars
        first = min(asked)
        if cost < 0 or not others:
            self.markets[first].account.realised -= cost
            cost = 0
        for number, market in enumerate(others):
            odd = 1 if number < cost % len(others) else 0
            market.account.held[YES] += qty
            market.account.cost[YES] += cost // len(others) + odd
        self.purse.cash += dollars
        self.purse.escrow += (len(others) - len(chosen)) * qty * PX_ONE
        self.purse.counterparty -= (len(others) - 1) * qty * PX_ONE
        self.seen[f"set: converted {'all' if not others else 'some'}"] += 1
        return True


def merge(account: MarketAccount, qty: int) -> bool:
    """Turn up to ``qty`` unpromised pairs into dollars; whether there was one."""
    pairs = min(qty, account.sellable(YES), account.sellable(NO))
    if pairs <= 0:
        return False
    spent = account._take_out(YES, pairs) + account._take_out(NO, pairs)
    account.realised += pairs * PX_ONE - spent
    account.cash += pairs * PX_ONE
    account.counterparty += pairs * PX_ONE
    account.escrow -= 2 * pairs * PX_ONE
    account.seen["merged"] += 1
    return True
