"""Venue and ledger, compared at the start, after every silence of the account's channel, and on a timer.

The venue is believed. What it lists and the journal does not know is added by its own kind: a fill as a fill, a payout
as a payout. What then still differs, twice in a row and by the same amount, has no fact behind it: it is adopted as a
correction, journalled, and counts against the budget of differences. Orders that are not ours are left alone; the cash
that they may take is not free.

While orders rest the venue's free cash says only a range, as wide as the fees that they may cost: how it reserves for
those is not documented. Where none rests, cash must agree to the micro-dollar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from live.orders.requests import AccountSaid, Answer, AskAccount, OrderSaid, PositionSaid, Request
from live.orders.working import DONE, OPEN, UNKNOWN
from sim.types import PAIR_UUSD, SECOND_NS

if TYPE_CHECKING:
    from live.orders.manager import Manager

_SLACK_NS = 120 * SECOND_NS  # how wrong this machine's clock may be against the venue's
_ROUNDING_UUSD = 10_000  # what the venue may reserve beyond our bound, an order
_MOST_PUT_OFF = 10  # then no order goes out until the account has held still


class Difference(NamedTuple):
    """What the venue has and the ledger lacks."""

    lots: tuple[tuple[str, int], ...]  # by ticker, of YES
    cash_uusd: int

    @property
    def uusd(self) -> int:
        """Cash, and contracts at a dollar each."""
        return abs(self.cash_uusd) + sum(abs(lots) for _, lots in self.lots) * PAIR_UUSD


_SAME = Difference((), 0)


class Reconciler:
    """Compares a manager's record with what the venue says."""

    def __init__(self, manager: Manager) -> None:
        self._manager, self._record = manager, manager.record
        self.ready = False  # the account is known, and nothing has been missed since
        self.due_ns = 0
        self.put_off = 0  # comparisons in a row for which the account did not hold still
        self._asked: tuple[int, int, frozenset[str]] | None = None  # moment, version and open orders then
        self._again = False  # what is under way was asked before something was missed
        self._seen: Difference = _SAME
        self._first: AccountSaid | None = None  # the account before it was adopted
        self._ghosts: frozenset[str] = frozenset()  # orders that are done here and listed there

    @property
    def wake_ns(self) -> int | None:
        """When to ask; None while an answer is awaited."""
        return None if self._asked is not None else self.due_ns

    def tick(self, now_ns: int) -> list[Request]:
        """Ask, if it is time."""
        if self._asked is not None or now_ns < self.due_ns:
            return []
        here = frozenset(one.order_id for one in self._record.orders.values() if one.state == OPEN)
        self._asked, self._again = (now_ns, self._record.version, here), False
        since_ns = int(self._record.journal.get("agreed_ns", str(now_ns)))
        settled = tuple(ticker for ticker, _ in self._record.journal.payouts())
        return [AskAccount(max(since_ns - _SLACK_NS, 0), settled)]

    def soon(self, ns: int) -> None:
        """Compare at a moment, if not before."""
        self.due_ns = min(self.due_ns, ns)

    def distrust(self, now_ns: int) -> None:
        """Messages may have been missed: nothing is known until the next comparison."""
        self.ready, self.due_ns, self._again = False, now_ns, True

    def take(self, request: AskAccount, answer: Answer, now_ns: int) -> list[Request]:
        """What the venue says of the account."""
        assert self._asked is not None  # only this class asks
        asked_ns, version, here = self._asked
        self._asked = None
        if not isinstance(answer, AccountSaid) or self._again:
            self._later(now_ns, self._manager.rules.again_s if not self._again else 0.0)
            return []
        moved = version != self._record.version  # since it was asked for
        if not self._record.opened:
            self._first, before = answer, self._first
            if answer != before:  # it is read by several requests: only what is the same twice is one moment
                self._later(now_ns, self._manager.rules.look_again_s)
                return []
            self._open(answer, now_ns)
        else:
            self._facts(answer, here, now_ns)
        if moved or any(one.state == UNKNOWN or one.owed for one in self._record.orders.values()):
            self.put_off += 1
            self.ready &= self.put_off < _MOST_PUT_OFF
            self._later(now_ns, self._manager.rules.again_s)
            return []
        self._compare(answer, asked_ns, now_ns)
        return []

    def _later(self, now_ns: int, seconds: float) -> None:
        self.due_ns = now_ns + round(seconds * SECOND_NS)

    def _open(self, said: AccountSaid, now_ns: int) -> None:
        """The first look at an account: what is there is where the ledger begins."""
        record = self._record
        for fill in said.fills:
            record.before(fill, now_ns)
        for one in said.positions:
            if one.lots:
                record.correct(one.ticker, one.lots, one.cost_uusd, "opening", now_ns)
        for ticker, payout_px in said.payouts:
            record.settle(ticker, payout_px, now_ns)
        self._others(said.orders, now_ns)
        least, most = record.range_uusd
        record.correct("", 0, said.free_uusd + least, "opening", now_ns)
        record.journal.put("doubt_uusd", str(most - least))  # nobody says what orders of others reserve
        record.open(now_ns)
        record.journal.event(now_ns, "opening", "adopted", free_uusd=said.free_uusd, positions=len(said.positions))

    def _facts(self, said: AccountSaid, here: frozenset[str], now_ns: int) -> None:
        """Fills, payouts and orders that are not known."""
        for fill in said.fills:
            self._manager.take_fill(fill, now_ns, "rest")
        for ticker, payout_px in said.payouts:
            if self._record.settle(ticker, payout_px, now_ns):
                self._record.journal.event(now_ns, "settled", ticker, payout_px=payout_px)
        self._others(said.orders, now_ns)
        self._ours(said.orders, here, now_ns)

    def _others(self, orders: tuple[OrderSaid, ...], now_ns: int) -> None:
        """Orders of other programs."""
        record = self._record
        found = {one.order_id: one for one in orders if record.journal.find(one.client_id, one.order_id) is None}
        for order_id in found.keys() - record.others.keys():
            one = found[order_id]
            record.journal.event(now_ns, "other_order", order_id, ticker=one.ticker, px=one.px, left=one.left)
        record.others = found

    def _ours(self, orders: tuple[OrderSaid, ...], here: frozenset[str], now_ns: int) -> None:
        """Orders of ours that rest, and those that do not rest any more."""
        record, ghosts = self._record, set()
        for one in orders:
            if one.order_id in record.others:
                continue
            order = record.find(one.client_id, one.order_id)
            if order is not None and order.state != DONE:
                self._manager.order_said(one, now_ns)
            elif one.order_id in self._ghosts:
                self._manager.order_lives(one, now_ns)
            else:
                ghosts.add(one.order_id)
        self._ghosts = frozenset(ghosts)
        listed = {one.order_id for one in orders}
        for order in record.orders.values():
            if order.state == OPEN and order.order_id in here - listed:
                order.state, order.again_ns = UNKNOWN, now_ns
                record.journal.event(now_ns, "unknown", order.client_id, code="not_listed")

    def _compare(self, said: AccountSaid, asked_ns: int, now_ns: int) -> None:
        """Positions and cash, after all facts."""
        record = self._record
        record.journal.balance(now_ns, said.free_uusd, record.ledger.cash_uusd)
        difference = self._difference(said)
        if difference != _SAME and difference != self._seen:
            self._seen = difference
            self._later(now_ns, self._manager.rules.look_again_s)
            return
        doubt_uusd = int(record.journal.get("doubt_uusd", "0"))
        if difference != _SAME and not difference.lots and 0 < difference.cash_uusd <= doubt_uusd:
            record.correct("", 0, difference.cash_uusd, "opening", now_ns)
            record.journal.put("doubt_uusd", str(doubt_uusd - difference.cash_uusd))
        elif difference != _SAME:
            self._adopt(difference, said, now_ns)
        self._seen, self.put_off = _SAME, 0
        self.ready = not self._ghosts
        record.journal.put("agreed_ns", str(asked_ns))
        self._later(now_ns, self._manager.rules.reconcile_s if self.ready else self._manager.rules.again_s)

    def _difference(self, said: AccountSaid) -> Difference:
        record = self._record
        there = {one.ticker: one.lots for one in said.positions}
        tickers = sorted({*there, *record.ledger.holdings})
        lots = ((name, there.get(name, 0) - record.ledger.holding(name).position) for name in tickers)
        cash, (least, most) = record.ledger.cash_uusd, record.range_uusd
        lowest = cash - most - (len(record.orders) + len(record.others)) * _ROUNDING_UUSD
        highest = cash - least
        return Difference(
            tuple((name, more) for name, more in lots if more),
            min(said.free_uusd - lowest, 0) + max(said.free_uusd - highest, 0),
        )

    def _adopt(self, difference: Difference, said: AccountSaid, now_ns: int) -> None:
        """Believe the venue, and say so."""
        record, manager = self._record, self._manager
        there = {one.ticker: one for one in said.positions}
        for ticker, lots in difference.lots:
            told = there.get(ticker, PositionSaid(ticker, 0, 0))
            record.correct(ticker, lots, self._cost(told, lots), "difference", now_ns)
        if difference.cash_uusd:
            record.correct("", 0, difference.cash_uusd, "difference", now_ns)
            manager.governor.shift(difference.cash_uusd)
        manager.recovered("difference", now_ns, lots=dict(difference.lots), cash_uusd=difference.cash_uusd)
        manager.breach(manager.governor.differs(difference.uusd), now_ns)

    def _cost(self, told: PositionSaid, lots: int) -> int:
        """What lots that appear have cost: the venue's cost of the position less what is known of it."""
        holding = self._record.ledger.holding(told.ticker)
        known = sum(holding.cost_uusd) if holding.position * told.lots > 0 else 0
        return max(told.cost_uusd - known, 0) if lots * told.lots > 0 else 0
