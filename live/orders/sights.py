"""What is known of a market at a decision, and why an order is not sent. No order goes out on what is not seen."""

from __future__ import annotations

from typing import NamedTuple

from sim.types import PX_ONE


class Sight(NamedTuple):
    """One market as its feed shows it."""

    heard_ns: int  # wall clock of the last frame or ping of its connection; the book is as good as that
    bid_px: int = 0  # best prices; 0 and 10000 = empty
    ask_px: int = PX_ONE
    known: bool = True  # the book is whole: no message was lost since its snapshot
    open: bool = True  # the market trades

    @property
    def crossed(self) -> bool:
        """Whether its sides meet: that is no state of a book, but of a broken feed or half a message."""
        return self.bid_px >= self.ask_px

    @property
    def mid2_px(self) -> int | None:
        """Twice the mid; None where a side is empty."""
        return self.bid_px + self.ask_px if self.bid_px > 0 and self.ask_px < PX_ONE else None


class Refusal(NamedTuple):
    """An order that was wanted and not sent."""

    ticker: str
    side: int
    why: str  # one of REASONS


REASONS = {
    "killed": "the kill switch is thrown",
    "baseline": "a budget was breached: only what reduces is sent",
    "starting": "the account has not been reconciled with the venue yet",
    "deaf": "the account's own channel is down",
    "late": "the decision is too old",
    "stale": "the market's feed has been silent for too long",
    "unknown_book": "messages of the market were lost",
    "crossed": "the market's book is crossed",
    "closed": "the market does not trade",
    "unknown_order": "an order on this side has not been answered",
    "not_offered": "the venue has no such operation",
    "size": "nothing is left of its size",
    "expiry": "its expiry has come",
    "nothing_to_reduce": "it would reduce more than is held and not promised",
    "rate": "too many orders in this second",
    "cap_order": "it may lose more than one order may",
    "cap_risk": "all together may lose more than they may",
    "cash": "the cash is not free",
}


def unseen(sight: Sight, now_ns: int, stale_ns: int) -> str:
    """Why no order may go out on what is seen of a market; "" = it may."""
    if not sight.open:
        return "closed"
    if not sight.known:
        return "unknown_book"
    if now_ns - sight.heard_ns > stale_ns:
        return "stale"
    return "crossed" if sight.crossed else ""
