"""One order of ours: what is known of it, and what it may still do.

    sent ──> open ──> done            left: what may still trade; owed: what has traded, though its fills are not here
      └─> unknown ─┘                  a done order whose fills are all here is forgotten

No message takes an order back to an earlier state: *filled* only grows, *total* only falls, done stays done. So
messages may come late, twice or in any order. What the venue lists although it is done is reconciliation's to believe.
"""

from __future__ import annotations

from dataclasses import dataclass

from live.orders.journal import Intent, Kept
from live.orders.ledger import Exposure
from live.orders.requests import RESTING, OrderSaid
from sim.types import GTC

SENT, OPEN, UNKNOWN, DONE = "sent", "open", "unknown", "done"


@dataclass(eq=False)
class Working:
    """An order from its intent on. Lots, prices of YES."""

    number: int
    client_id: str
    intent: Intent
    order_id: str = ""
    state: str = SENT
    total: int = 0  # lots that may ever trade: falls by amends
    told: int = 0  # lots filled, as the venue says
    seen: int = 0  # lots of the fills that are here
    why: str = ""  # it is done
    leaving: bool = False  # it is to be cancelled
    amend: tuple[int, int] | None = None  # total and expiry that were asked for
    asking: bool = False  # a request about it is under way
    cancelling: bool = False  # a cancel is under way
    again_ns: int = 0  # not to be asked about or cancelled before
    owed_ns: int = 0  # since when fills are missing
    done_ns: int = 0

    @classmethod
    def of(cls, kept: Kept) -> Working:
        """An order as it was intended, or as the journal has it."""
        return cls(kept.number, kept.client_id, kept.intent, kept.order_id, kept.state, kept.total, kept.told, 0,
                   kept.why)  # fmt: skip

    @property
    def kept(self) -> Kept:
        """For the journal."""
        state = DONE if self.state == DONE and not self.owed else OPEN if self.state == DONE else self.state
        return Kept(self.number, self.client_id, self.order_id, self.intent, state, self.total, self.told, self.why)

    @property
    def ticker(self) -> str:
        """Its market."""
        return self.intent.ticker

    @property
    def side(self) -> int:
        """BID or ASK."""
        return self.intent.side

    @property
    def live(self) -> bool:
        """Whether it may still trade."""
        return self.state != DONE

    @property
    def filled(self) -> int:
        """Lots filled, as far as anybody has said."""
        return max(self.told, self.seen)

    @property
    def left(self) -> int:
        """Lots that may still trade."""
        return max(self.total - self.filled, 0) if self.live else 0

    @property
    def owed(self) -> int:
        """Lots that have traded, though their fills are not here."""
        return max(self.told - self.seen, 0)

    @property
    def exposure(self) -> Exposure:
        """What the account must be able to pay for."""
        maker = self.state == OPEN and self.intent.tif == GTC and not self.owed
        return Exposure(self.side, self.intent.px, self.left + self.owed, maker)

    def outlives(self, expiry_ns: int) -> bool:
        """Whether an expiry (0 = none) would end it later than the one that it has, or that is being asked for."""
        until_ns = self.amend[1] if self.amend is not None else self.intent.expiry_ns
        return until_ns != 0 and (expiry_ns == 0 or expiry_ns > until_ns)

    def say(self, status: str, filled: int, left: int, why: str = "") -> bool:
        """What the venue said of it at some moment; whether that changed anything."""
        before = self.state, self.told, self.total
        self.told = max(self.told, filled)
        if self.live and status == RESTING:
            self.state = OPEN
            self.total = min(self.total, max(filled + left, self.filled))
        elif self.live:
            self.finish(why or status)
        if self.live and self.filled >= self.total:
            self.finish("executed")
        return before != (self.state, self.told, self.total)

    def finish(self, why: str) -> None:
        """It cannot trade any more."""
        self.state, self.why = DONE, why
        self.leaving = False
        self.amend = None

    def revive(self, said: OrderSaid) -> None:
        """The venue lists it although it was given up: it is to be cancelled."""
        self.state, self.why, self.order_id = OPEN, "", said.order_id
        self.told, self.total = max(self.told, said.filled), said.filled + said.left
        self.leaving = True


def fits(order: Working, px: int, leg: int, qty: int, expiry_ns: int, post_only: bool) -> str:
    """What a wish makes of an order: "stay", "shrink" or "go"; one rule with ``sim.wishes``.

    Where an amend is under way it counts as done. Sizes are of what is left; an order under way is not amended.
    """
    intent = order.intent
    if intent.tif != GTC or intent.px != px or intent.leg != leg:
        return "go"
    if order.state != OPEN:
        same = intent.qty == qty and intent.expiry_ns == expiry_ns and intent.post_only == post_only
        return "stay" if same else "go"
    left, expiry = order.left, intent.expiry_ns
    if order.amend is not None:
        left, expiry = min(left, order.amend[0] - order.filled), order.amend[1]
    if left == qty and expiry == expiry_ns:
        return "stay"
    return "shrink" if 0 < qty <= left else "go"
