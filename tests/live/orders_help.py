"""What tests of the order manager share: a manager with an account that was told by hand, and wishes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.order_faults import START_NS, markets_of
from benchmarks.order_world import ACCOUNT, LOOSE, permitted
from live.orders.caps import Budgets, Caps
from live.orders.journal import Journal
from live.orders.manager import Manager, Rules
from live.orders.requests import (
    Accepted,
    AccountSaid,
    AskAccount,
    FillSaid,
    OrderSaid,
    Place,
    PositionSaid,
    Request,
)
from live.orders.sights import Sight
from sim.types import ASK, BID, DO_PLACE, INTENT, NO, SECOND_NS, UUSD, YES

T0 = START_NS
S = SECOND_NS
A, B = "KXT-E0-M0", "KXT-E1-M1"
CASH = 100 * UUSD
HUGE = Budgets(daily_loss_uusd=10**9, drawdown_uusd=10**9)


def account(free=CASH, orders=(), positions=(), fills=(), payouts=()) -> AccountSaid:
    return AccountSaid(tuple(orders), tuple(positions), tuple(fills), free, tuple(payouts))


class Bench:
    """A manager of two markets, each .48 to .52, and what it has asked for."""

    def __init__(
        self, path: Path | str = ":memory:", *, caps: Caps = LOOSE, budgets: Budgets = HUGE, maker_ppm: int = 0,
        journal: Journal | None = None, start=True, rules=Rules(),  # noqa: B008
    ) -> None:  # fmt: skip
        self.now = T0
        self.journal = journal or Journal(path, "kalshi", ACCOUNT, T0)
        listings = markets_of([], maker_ppm, 2).listings
        self.manager = Manager(listings, self.journal, permitted(caps, budgets), T0, rules=rules)
        self.sights = [Sight(T0, 4800, 5200), Sight(T0, 4800, 5200)]
        self.asked: list[Request] = []
        if start:
            self.open(account())

    @property
    def record(self):
        return self.manager.record

    def take(self, requests) -> list[Request]:
        self.asked += requests
        return list(requests)

    def popped(self, kind) -> list:
        """Requests of a kind that have been asked, which are then forgotten."""
        found = [one for one in self.asked if isinstance(one, kind)]
        self.asked = [one for one in self.asked if not isinstance(one, kind)]
        return found

    def later(self, seconds: float) -> list[Request]:
        """Time passes; the feed is heard."""
        self.now += round(seconds * S)
        self.sights = [one._replace(heard_ns=self.now) for one in self.sights]
        return self.take(self.manager.tick(self.now))

    def open(self, first: AccountSaid) -> None:
        """The first looks at the account: two, which must be alike."""
        self.take(self.manager.heard(True, self.now))
        self.reconcile(first)
        self.later(3)
        self.reconcile(first)

    def reconcile(self, said: AccountSaid) -> None:
        """Answer the question for the account, which must have been asked."""
        (asked,) = self.popped(AskAccount)
        self.answer(asked, said)

    def answer(self, request, answer) -> list[Request]:
        return self.take(self.manager.answered(request, answer, self.now))

    def tell(self, said) -> list[Request]:
        return self.take(self.manager.told(said, self.now))

    def want(self, *wanted, ns=None) -> list[Request]:
        """Wishes as (market, side, fields); returns what is sent."""
        wishes = np.zeros((2, 2), INTENT)
        for market, side, fields in wanted:
            wish = wishes[market, side]
            wish["do"], wish["leg"] = DO_PLACE, YES if side == BID else NO
            for name, value in fields.items():
                wish[name] = value
        return self.take(self.manager.want(self.now if ns is None else ns, wishes, self.sights, self.now))

    def place(self, side=BID, px=4700, qty=100, *, order_id="v1", filled=0, market=0, **fields) -> Place:
        """A wish that is sent and acknowledged."""
        (sent,) = [one for one in self.want((market, side, {"px": px, "qty": qty, **fields})) if isinstance(one, Place)]
        self.popped(Place)
        self.answer(sent, Accepted(order_id, filled, qty - filled))
        return sent


def fill(key="t1", order_id="v1", side=BID, px=4700, qty=100, fee=0, ticker=A, ns=T0 + 1) -> FillSaid:
    return FillSaid(key, order_id, ticker, side, px, qty, fee, True, ns)


def said(order_id="v1", client_id="", status="resting", filled=0, left=100, side=BID, px=4700, ticker=A, reason=""):
    return OrderSaid(order_id, client_id, ticker, side, px, status, filled, left, 0, reason)


def held(lots, cost=0, ticker=A) -> PositionSaid:
    return PositionSaid(ticker, lots, cost)


SIDES = (BID, ASK)
