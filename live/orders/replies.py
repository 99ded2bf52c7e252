"""What follows from the venue's words: an order's state, and what is to be asked when it is not clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from live.orders.reconcile import Reconciler
from live.orders.requests import (
    Accepted,
    Amend,
    Answer,
    AskAccount,
    AskFills,
    AskOrder,
    Cancel,
    Failed,
    FillsSaid,
    Found,
    OrderSaid,
    Place,
    Reduced,
    Request,
)
from live.orders.working import SENT, UNKNOWN, Working
from sim.types import GTC, SECOND_NS

if TYPE_CHECKING:
    from live.orders.manager import Manager

_DUPLICATE = "order_already_exists"
_MILD = ("post_only_cross", "fill_or_kill_insufficient_resting_volume", "insufficient_balance", "MARKET_INACTIVE")
_SLACK_NS = 120 * SECOND_NS  # how wrong this machine's clock may be against the venue's
NEVER = "never_arrived"


class Replies:
    """Changes a manager's orders by answers and messages."""

    def __init__(self, manager: Manager, reconciler: Reconciler) -> None:
        self._manager, self._record, self._reconciler = manager, manager.record, reconciler

    def take(self, request: Request, answer: Answer, now_ns: int) -> list[Request]:
        """An answer to a request."""
        if isinstance(request, AskAccount):
            return self._reconciler.take(request, answer, now_ns)
        order = self._record.find(request.client_id, "")
        if isinstance(request, AskFills):
            self._fills(order, answer, now_ns)
        elif order is None:
            return []  # it is done, and its fills are here: nothing that comes late can matter
        elif isinstance(request, Place):
            self._placed(order, answer, now_ns)
        elif isinstance(request, Cancel):
            self._cancelled(order, answer, now_ns)
        elif isinstance(request, Amend):
            self._amended(order, request, answer, now_ns)
        else:
            self._found(order, answer, now_ns)
        return []

    def ask(self, order: Working, now_ns: int) -> list[Request]:
        """What an order waits to be told: what it is, then fills that are missing."""
        if order.state == UNKNOWN:
            order.asking = True
            return [AskOrder(order.client_id, order.order_id, order.ticker, order.intent.sent_ns - _SLACK_NS)]
        if order.owed and now_ns >= self._manager.owed_due_ns(order):
            order.asking = True
            return [AskFills(order.client_id, order.order_id)]
        return []

    def order(self, said: OrderSaid, now_ns: int) -> None:
        """The venue says what an order is; one that was given up and lives is to be cancelled."""
        order = self._record.find(said.client_id, said.order_id)
        if order is None:
            kept = self._record.journal.find(said.client_id, said.order_id)
            if kept is not None and kept.why == NEVER:
                self.revive(said, now_ns)
            return
        was_unknown = order.state == UNKNOWN
        self._record.name(order, said.order_id)
        if order.say(said.status, said.filled, said.left, said.reason) or was_unknown:
            if was_unknown:
                self._manager.recovered("order", now_ns, client_id=order.client_id, found=said.status)
            self._record.changed(order, now_ns)

    def revive(self, said: OrderSaid, now_ns: int) -> None:
        """An order that is done here lives at the venue: it is taken up, and cancelled."""
        order = self._record.revive(said)
        assert order is not None  # the journal has just named it
        self._manager.recovered("lives_on", now_ns, client_id=order.client_id, found=said.status)
        if said.status != "resting":
            order.say(said.status, said.filled, said.left, said.reason)
        self._record.changed(order, now_ns)

    def _placed(self, order: Working, answer: Answer, now_ns: int) -> None:
        if isinstance(answer, Accepted):
            self._record.name(order, answer.order_id)
            ended = order.intent.tif != GTC or answer.left == 0
            order.say("done" if ended else "resting", answer.filled, answer.left)
            self._record.journal.event(now_ns, "ack", order.client_id, order_id=answer.order_id, filled=answer.filled)
            self._manager.breach(self._manager.governor.answered(False), now_ns)
        elif isinstance(answer, Failed) and order.state == SENT:
            self._not_placed(order, answer, now_ns)
        self._record.changed(order, now_ns)

    def _not_placed(self, order: Working, answer: Failed, now_ns: int) -> None:
        if answer.unsure or answer.code == _DUPLICATE:
            order.state, order.again_ns = UNKNOWN, now_ns
            self._record.journal.event(now_ns, "unknown", order.client_id, status=answer.status, code=answer.code)
            return
        order.finish(f"refused: {answer.code or answer.status}")
        self._record.journal.event(now_ns, "refused", order.client_id, status=answer.status, code=answer.code)
        if not answer.passing and answer.code not in _MILD:
            self._manager.breach(self._manager.governor.answered(True), now_ns)

    def _cancelled(self, order: Working, answer: Answer, now_ns: int) -> None:
        order.cancelling = False
        if isinstance(answer, Reduced) and order.amend is None:
            order.say("canceled", order.total - answer.lots, 0)
        elif isinstance(answer, Reduced) or (isinstance(answer, Failed) and answer.status == 404):
            order.state, order.again_ns = UNKNOWN, now_ns  # it is gone: how much of it was filled?
        else:
            order.again_ns = now_ns + self._wait(self._manager.rules.again_s)
        self._record.changed(order, now_ns)

    def _amended(self, order: Working, asked: Amend, answer: Answer, now_ns: int) -> None:
        order.asking = False
        order.amend = None  # one that was wanted meanwhile was never sent: the next decision decides
        if isinstance(answer, Accepted):
            order.say("resting" if answer.left else "executed", answer.filled, answer.left)
            order.intent = order.intent._replace(expiry_ns=asked.expiry_ns)
        elif isinstance(answer, Failed) and order.live and (answer.unsure or answer.status == 404):
            order.state, order.again_ns = UNKNOWN, now_ns
            self._record.journal.event(now_ns, "unknown", order.client_id, status=answer.status, code=answer.code)
        self._record.changed(order, now_ns)

    def _found(self, order: Working, answer: Answer, now_ns: int) -> None:
        order.asking = False
        gone = isinstance(answer, Failed) and answer.status == 404
        if isinstance(answer, Found) and answer.order is not None:
            self.order(answer.order, now_ns)
        elif order.state == UNKNOWN and (isinstance(answer, Found) or gone):
            if now_ns - order.intent.sent_ns >= self._wait(self._manager.rules.lost_s):
                self._manager.recovered("order", now_ns, client_id=order.client_id, found=NEVER)
                order.finish(NEVER)
                self._record.changed(order, now_ns)
        if order.state == UNKNOWN:
            order.again_ns = now_ns + self._wait(self._manager.rules.again_s)

    def _fills(self, order: Working | None, answer: Answer, now_ns: int) -> None:
        if order is not None:
            order.asking = False
            order.owed_ns = now_ns
        for fill in answer.fills if isinstance(answer, FillsSaid) else ():
            self._manager.take_fill(fill, now_ns, "rest")

    @staticmethod
    def _wait(seconds: float) -> int:
        return round(seconds * SECOND_NS)
