"""Wishes in, requests out: the order manager without a socket, on times that it is given.

It is told what is wanted of each side of each book, what the account's own channel says, how requests were answered and
that time passes; each call returns requests, after all that led to them is durable. An order is journalled before it is
sent and sent once. One whose answer never comes is *unknown* until the venue says by its client order id what it is.

Times are the wall clock's, nanoseconds.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from live.orders.caps import BASELINE, KILLED, Governor, Permit
from live.orders.journal import Intent, Journal
from live.orders.ledger import Exposure
from live.orders.reconcile import Reconciler
from live.orders.record import Record
from live.orders.replies import Replies
from live.orders.requests import Amend, Answer, Cancel, FillSaid, OrderSaid, Place, PositionSaid, Request
from live.orders.sights import Refusal, Sight, unseen
from live.orders.working import OPEN, SENT, UNKNOWN, Working, fits
from sim.types import (
    ASK,
    BID,
    DO_CANCEL,
    DO_NOTHING,
    DO_PLACE,
    GTC,
    IOC,
    NO,
    PX_ONE,
    SECOND_NS,
    YES,
)
from sim.venues.kalshi import DIRECT_MEMBER_UUSD
from sim.wire.listing import Listing

_LOG = logging.getLogger(__name__)
_KEEP_MIDS_NS = 10 * SECOND_NS  # so that a restart does not take the lack of a mid for a loss


class Rules(NamedTuple):
    """How long things may take. Seconds."""

    stale_s: float = 5.0  # a feed may be silent
    late_s: float = 2.0  # a decision may be old
    reconcile_s: float = 30.0  # between two comparisons with the venue
    lost_s: float = 15.0  # after which an order that the venue does not list has never arrived
    owed_s: float = 2.0  # a fill may be missing before it is asked for
    again_s: float = 1.0  # between two tries
    look_again_s: float = 3.0  # before a difference is believed: the venue's positions lag by a second


class Manager:
    """One account at one venue, over all of its markets.

    Args:
        listings: the markets, as the wishes count them.
        journal: of this account.
        permit: leave to send orders, with its caps and budgets.
        now_ns: the moment.
        rules: how long things may take.
        step_uusd: precision of the account's balance.

    Raises ValueError for a journal of another account than the permit's.
    """

    def __init__(
        self, listings: Sequence[Listing], journal: Journal, permit: Permit, now_ns: int, *,
        rules: Rules = Rules(), step_uusd: int = DIRECT_MEMBER_UUSD,  # noqa: B008
    ) -> None:  # fmt: skip
        if journal.get("account") != permit.account:
            raise ValueError(f"{journal.path} is of {journal.get('account')!r}; the permit is for {permit.account!r}")
        self.rules = rules
        self.governor = Governor(permit, journal, now_ns)
        self.record = Record(journal, listings, step_uusd)
        self.refusals: Counter[str] = Counter()  # by reason, since the start
        self.hearing = False  # the account's own channel is up
        self._journal = journal
        self._mid2: dict[str, int] = json.loads(journal.get("mids", "{}"))  # by ticker: what equity is marked at
        self._mids_ns = now_ns  # when they were last kept
        self._reconciler = Reconciler(self)
        self._replies = Replies(self, self._reconciler)
        self.cancel_all()  # whoever wished for the orders of an earlier life is gone

    @property
    def mode(self) -> str:
        """trading, baseline or killed."""
        return self.governor.mode

    @property
    def ready(self) -> bool:
        """Whether the venue's account is known, so that orders may go out."""
        return self._reconciler.ready and self.hearing

    @property
    def wake_ns(self) -> int | None:
        """When :meth:`tick` is to be called at the latest; None where only answers are awaited."""
        times = [self._reconciler.wake_ns, *(self._due_ns(one) for one in self.record.orders.values())]
        return min((one for one in times if one is not None), default=None)

    def want(self, ns: int, wishes: np.ndarray, sights: Sequence[Sight], now_ns: int) -> list[Request]:
        """Bring our side of every book to what was decided at ``ns``; refused orders are counted and logged.

        Args:
            wishes: ``(M, 2)`` INTENT, columns BID and ASK. Nothing: the side stays. Place: this order rests there and
                no other. Cancel: none does.
            sights: of the same M markets, now.

        Raises ValueError for wishes of another shape.
        """
        tickers = self.record.tickers
        if wishes.shape != (len(tickers), 2) or len(sights) != len(tickers):
            raise ValueError(
                f"wishes {wishes.shape} with {len(sights)} sights; expected ({len(tickers)}, 2), {len(tickers)}"
            )
        for ticker, sight in zip(tickers, sights, strict=True):
            if sight.mid2_px is not None and not unseen(sight, now_ns, self._stale_ns):
                self._mid2[ticker] = sight.mid2_px
        self._watch(now_ns)
        requests: list[Request] = []
        late = now_ns - ns > round(self.rules.late_s * SECOND_NS)
        for index, side in np.argwhere(wishes["do"] != DO_NOTHING):
            why = "late" if late else unseen(sights[index], now_ns, self._stale_ns)
            requests += self._side(tickers[index], int(side), wishes[index, side], why, now_ns)
        return self._end(requests, now_ns)

    def told(self, said: OrderSaid | FillSaid | PositionSaid, now_ns: int) -> list[Request]:
        """The account's own channel said something."""
        if isinstance(said, FillSaid):
            self.take_fill(said, now_ns, "channel")
        elif isinstance(said, OrderSaid):
            self._replies.order(said, now_ns)
        elif said.lots != self.record.ledger.holding(said.ticker).position:
            self._reconciler.soon(now_ns + round(self.rules.owed_s * SECOND_NS))
        return self._end([], now_ns)

    def answered(self, request: Request, answer: Answer, now_ns: int) -> list[Request]:
        """A request was answered, or was not."""
        return self._end(self._replies.take(request, answer, now_ns), now_ns)

    def heard(self, up: bool, now_ns: int) -> list[Request]:
        """The account's own channel came up or went down: what it may have said meanwhile is asked for."""
        if up != self.hearing:
            self.hearing = up
            self._journal.event(now_ns, "channel", "up" if up else "down")
            self._reconciler.distrust(now_ns)
        return self._end([], now_ns)

    def missed(self, what: str, now_ns: int) -> list[Request]:
        """The account's own channel said something that cannot be read."""
        self._journal.event(now_ns, "channel", "unreadable", said=what)
        self._reconciler.distrust(now_ns)
        return self._end([], now_ns)

    def tick(self, now_ns: int) -> list[Request]:
        """Time has passed."""
        self._watch(now_ns)
        return self._end([], now_ns)

    def kill(self, why: str, now_ns: int) -> list[Request]:
        """Cancel everything and refuse everything, until :meth:`lift`; a restart changes nothing of it."""
        self._stop(KILLED, why, now_ns)
        return self._end([], now_ns)

    def lift(self, who: str, now_ns: int) -> None:
        """A person lets it trade again; nothing where it does. A loss of today above its budget stops it again."""
        if self.governor.lift(who, now_ns):
            self.record.commit()
            _LOG.warning("orders: lifted by %s; what was lost since 0:00 UTC goes on counting", who)

    def cancel_all(self) -> None:
        """No order is to stay."""
        for order in self.record.orders.values():
            order.leaving = order.leaving or order.live
            order.again_ns = 0

    def breach(self, why: str, now_ns: int) -> None:
        """A budget is broken, unless ``why`` is "": to the baseline."""
        if why:
            self._stop(BASELINE, why, now_ns)

    def recovered(self, what: str, now_ns: int, **detail: object) -> None:
        """Something that had gone wrong was put right: into journal and log."""
        self._journal.event(now_ns, "recovery", what, **detail)
        _LOG.warning("orders: recovered: %s %s", what, detail)

    def take_fill(self, fill: FillSaid, now_ns: int, source: str) -> bool:
        """Count a fill, once; False where it has been, or where the first look at the account is yet to come."""
        if not self.record.opened or not self.record.fill(fill, now_ns, source):
            return False
        if source != "channel":
            self.recovered("fill", now_ns, key=fill.key, source=source)
        self._trim(fill.ticker)
        return True

    def _stop(self, mode: str, why: str, now_ns: int) -> None:
        """A breach that goes on cancels once only: what reduces may rest."""
        changed = self.governor.stop(mode, why, now_ns)
        if changed:
            _LOG.error("orders: %s: %s", mode, why)
        if changed or mode == KILLED:
            self.cancel_all()

    def _watch(self, now_ns: int) -> None:
        """Budgets of equity; nothing is known of it before the account is."""
        if now_ns - self._mids_ns >= _KEEP_MIDS_NS:
            self._journal.put("mids", json.dumps(self._mid2))
            self._mids_ns = now_ns
        if self._reconciler.ready:
            self.breach(self.governor.watch(self.record.ledger.equity_uusd(self._mid2), now_ns), now_ns)

    def _side(self, ticker: str, side: int, wish: np.ndarray, why: str, now_ns: int) -> list[Request]:
        """One side of one book."""
        do, tif = int(wish["do"]), int(wish["tif"])
        if do not in (DO_PLACE, DO_CANCEL):
            return self._refuse(ticker, side, "not_offered")
        intent = self._intent(ticker, side, wish, now_ns)
        kept, blocked = False, False
        for order in self.record.of_market(ticker, side):
            if not order.live or order.leaving:
                blocked |= order.live and order.state == UNKNOWN
                continue
            fate = "go" if do == DO_CANCEL or tif != GTC or kept else fits(
                order, intent.px, intent.leg, intent.qty, intent.expiry_ns, intent.post_only
            )  # fmt: skip
            kept |= fate != "go"
            if fate == "shrink":
                self._shrink(order, intent, why)
            elif fate == "go":
                order.leaving = True
            blocked |= order.state == UNKNOWN and fate == "go"
        if do == DO_CANCEL or kept:
            return []
        why = self._gate(intent.reduces) or why or ("unknown_order" if blocked else "") or self._no(intent, now_ns)
        return self._refuse(ticker, side, why) if why else [self._place(intent, now_ns)]

    def _shrink(self, order: Working, intent: Intent, why: str) -> None:
        """Amend an order. Where none may go out, none may be made to stay longer either."""
        why = self._gate(intent.reduces) or why
        if why and order.outlives(intent.expiry_ns):
            self._refuse(intent.ticker, intent.side, why)
        else:
            order.amend = order.filled + intent.qty, intent.expiry_ns

    def _intent(self, ticker: str, side: int, wish: np.ndarray, now_ns: int) -> Intent:
        """What is to be sent for a wish. A budget bounds price x size, at the limit price."""
        px, qty, leg, budget = (int(wish[name]) for name in ("px", "qty", "leg", "budget_uusd"))
        tif = int(wish["tif"])
        if budget:
            leg_px = px if leg == YES else PX_ONE - px
            qty = min(qty, budget // max(leg_px, 1))
            tif = IOC if tif == GTC else tif  # it is for taking
        expiry_ns = int(wish["expiry_ns"]) // SECOND_NS * SECOND_NS
        reduces = (side == ASK) == (leg == YES)
        return Intent(ticker, side, leg, px, qty, tif, expiry_ns, bool(wish["post_only"]), reduces, now_ns)

    def _gate(self, reduces: bool) -> str:
        """Why nothing may go out at all; "" = it may."""
        if self.mode == KILLED:
            return "killed"
        if self.mode == BASELINE and not reduces:
            return "baseline"
        if not self._reconciler.ready:
            return "starting"
        return "" if self.hearing else "deaf"

    def _no(self, intent: Intent, now_ns: int) -> str:
        """Why this order may not go out; "" = it may."""
        record, governor = self.record, self.governor
        if intent.qty <= 0 or not 0 < intent.px < PX_ONE:
            return "size"
        if intent.expiry_ns and (intent.expiry_ns <= now_ns or intent.tif != GTC):
            return "expiry"
        if intent.reduces and intent.qty > record.closing(intent.ticker, intent.side):
            return "nothing_to_reduce"
        if governor.too_fast(now_ns):
            return "rate"
        exposure = Exposure(intent.side, intent.px, intent.qty, intent.post_only)
        need = record.would_lock(intent.ticker, [exposure]) - record.locked_uusd(intent.ticker)
        if need > governor.order_uusd:
            return "cap_order"
        if record.risk_uusd + need > governor.risk_uusd and not intent.reduces:
            return "cap_risk"
        return "cash" if need > record.free_uusd else ""

    def _place(self, intent: Intent, now_ns: int) -> Request:
        self.governor.placed(now_ns)
        order = self.record.intend(intent)
        return Place(
            order.client_id, intent.ticker, intent.side, intent.px, intent.qty, intent.tif, intent.expiry_ns,
            intent.post_only, reduce_only=intent.reduces and intent.tif == IOC,
        )  # fmt: skip

    def _refuse(self, ticker: str, side: int, why: str) -> list[Request]:
        self.refusals[why] += 1
        _LOG.info("orders: not sent: %s", Refusal(ticker, side, why))
        return []

    def _trim(self, ticker: str) -> None:
        """Orders that only reduce promise no more than is held; the youngest give way, as in the simulator."""
        lots = self.record.ledger.holding(ticker).lots
        for leg, side in ((YES, ASK), (NO, BID)):
            here = [one for one in self.record.of_market(ticker, side) if one.live and one.intent.reduces]
            excess = sum(one.left + one.owed for one in here) - lots[leg]
            for order in reversed(here):
                if excess > 0:
                    excess -= order.left
                    order.leaving = True

    def _due_ns(self, order: Working) -> int | None:
        """When something about an order is to be asked; None where it waits for an answer or for nothing."""
        if order.asking or order.cancelling:
            return None
        if order.state == UNKNOWN or (order.state == OPEN and order.leaving):
            return order.again_ns
        return self.owed_due_ns(order) if order.owed else None

    def owed_due_ns(self, order: Working) -> int:
        """When missing fills of an order are to be asked for."""
        return max(order.again_ns, order.owed_ns + round(self.rules.owed_s * SECOND_NS))

    def order_said(self, said: OrderSaid, now_ns: int) -> None:
        """The venue says what an order is."""
        self._replies.order(said, now_ns)

    def order_lives(self, said: OrderSaid, now_ns: int) -> None:
        """The venue goes on to list an order that is done here."""
        self._replies.revive(said, now_ns)

    def _end(self, requests: list[Request], now_ns: int) -> list[Request]:
        """What every call ends with: what is due is asked for, cancels go first, and all is durable before it goes."""
        chased = [one for order in list(self.record.orders.values()) for one in self._chase(order, now_ns)]
        requests = [*chased, *requests, *self._reconciler.tick(now_ns)]
        self.record.commit()
        return requests

    def _chase(self, order: Working, now_ns: int) -> list[Request]:
        """Requests that an order waits for."""
        if order.state == OPEN and order.leaving:
            if order.cancelling or now_ns < order.again_ns:
                return []
            order.cancelling = True
            order.amend = order.amend if order.asking else None
            self._journal.event(now_ns, "cancel", order.client_id)
            return [Cancel(order.client_id, order.order_id)]
        if order.asking or order.state == SENT:
            return []
        if order.state == OPEN and order.amend is not None:
            order.asking = True
            total, expiry_ns = order.amend
            self._journal.event(now_ns, "amend", order.client_id, total=total)
            return [Amend(order.client_id, order.order_id, order.ticker, order.side, order.intent.px, total, expiry_ns)]
        return self._replies.ask(order, now_ns) if now_ns >= order.again_ns else []

    @property
    def _stale_ns(self) -> int:
        return round(self.rules.stale_s * SECOND_NS)
