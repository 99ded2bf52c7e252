"""A client's orders at a fake venue: what they are, and why one is refused. Lots of 1e-2 contract, prices of YES."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sim.types import BID, PX_ONE, REJECT_NAMES, YES
from sim.wire.units import Row


class Refused(Exception):
    """An order, cancel or amend that the venue does not take. ``code`` is one of sim.types' REJECT codes."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    @property
    def name(self) -> str:
        """The code's word."""
        return REJECT_NAMES[self.code]


class Wanted(NamedTuple):
    """An order as it was sent, in YES space: buying NO at q is selling YES at 1 - q."""

    market: int
    side: int  # BID or ASK
    px: int  # limit
    qty: int  # lots
    tif: int  # GTC, IOC, FOK
    client_id: str = ""
    leg: int = YES  # whose holding it changes; where both legs net it makes no difference
    expiry_ns: int = 0  # 0 = never
    post_only: bool = False
    reduce_only: bool = False
    self_trade: int = 0  # who gives way, see sim.venues.amend
    cancel_on_pause: bool = False


@dataclass(eq=False)
class Order:
    """An order from its acceptance on."""

    id: str
    wanted: Wanted
    number: int  # in the order of acceptance, and of a new place in the queue
    created_ns: int
    px: int
    qty: int  # lots, all that was ever wanted: filled + left + taken back
    left: int
    expiry_ns: int
    updated_ns: int = 0
    filled: int = 0
    rested: bool = False  # it has a place in the book
    ahead_qty: int = 0  # of others at its price, 1e-6 contract
    status: str = "resting"  # resting, canceled, executed
    overshoot_uusd: int = 0  # Kalshi's rounding accumulator
    taker_cost_uusd: int = 0
    maker_cost_uusd: int = 0
    taker_fees_uusd: int = 0
    maker_fees_uusd: int = 0

    @property
    def side(self) -> int:
        """BID or ASK, in YES space."""
        return self.wanted.side

    @property
    def market(self) -> int:
        """Number of its market."""
        return self.wanted.market

    @property
    def live(self) -> bool:
        """Whether it can still trade."""
        return self.status == "resting"

    @property
    def buys(self) -> bool:
        """Whether it pays for its leg: BID for YES, ASK for NO."""
        return (self.side == BID) == (self.wanted.leg == YES)

    @property
    def leg_px(self) -> int:
        """Limit in the price of its leg."""
        return self.px if self.wanted.leg == YES else PX_ONE - self.px


class Told(NamedTuple):
    """A row of the public book or tape; ``order``: whose it is, None = somebody else's."""

    row: Row
    order: Order | None = None


class Filled(NamedTuple):
    """A client's order traded; the public print is the row told just before."""

    order: Order
    px: int  # of YES
    qty: int  # lots
    maker: bool
    fee_uusd: int
    position: int  # lots of YES less lots of NO, after it
    ns: int


class Changed(NamedTuple):
    """A client's order was placed, changed, filled or ended; ``reason`` in Kalshi's words, "" = placed."""

    order: Order
    reason: str
    ns: int
    taken_back: int = 0  # lots that are no longer wanted


class Settled(NamedTuple):
    """A market paid; ``received_uusd`` is the client's part."""

    market: int
    payout_px: int
    received_uusd: int
    yes: int  # lots held until then
    no: int
    ns: int


Happening = Told | Filled | Changed | Settled
