"""What the order manager asks of a venue, and what it is told: plain records without a venue's words.

Prices are of YES, sizes lots of 1e-2 contract, money micro-dollars. A record that answers says what was true when the
venue wrote it: it may come late, twice, or in another order.
"""

from __future__ import annotations

from typing import NamedTuple

from sim.types import GTC

RESTING, CANCELED, EXECUTED = "resting", "canceled", "executed"  # states of an order, as Kalshi names them


class Place(NamedTuple):
    """A new order. It is sent once: without an answer it is looked for by its ``client_id``."""

    client_id: str
    ticker: str
    side: int  # BID or ASK
    px: int
    qty: int
    tif: int = GTC
    expiry_ns: int = 0  # 0 = none
    post_only: bool = False
    reduce_only: bool = False


class Cancel(NamedTuple):
    """End an order."""

    client_id: str
    order_id: str


class Amend(NamedTuple):
    """Lower an order, or move its expiry, in place."""

    client_id: str
    order_id: str
    ticker: str
    side: int
    px: int
    total: int  # lots, what has been filled included
    expiry_ns: int


class AskOrder(NamedTuple):
    """Look for an order, by its id or where that is "" by the client's."""

    client_id: str
    order_id: str
    ticker: str
    since_ns: int  # it cannot be older


class AskFills(NamedTuple):
    """All fills of an order."""

    client_id: str
    order_id: str


class AskAccount(NamedTuple):
    """Everything that reconciliation compares."""

    since_ns: int  # of fills and payouts
    settled: tuple[str, ...] = ()  # markets whose payout is known


Request = Place | Cancel | Amend | AskOrder | AskFills | AskAccount


class Accepted(NamedTuple):
    """An order was taken, or amended."""

    order_id: str
    filled: int
    left: int


class Reduced(NamedTuple):
    """An order was cancelled with so many lots left."""

    lots: int


class OrderSaid(NamedTuple):
    """An order as the venue sees it."""

    order_id: str
    client_id: str
    ticker: str
    side: int
    px: int
    status: str
    filled: int
    left: int
    expiry_ns: int = 0
    reason: str = ""  # of its last change, in the venue's words


class FillSaid(NamedTuple):
    """One of the account's orders traded."""

    key: str  # the same on every channel
    order_id: str
    ticker: str
    side: int
    px: int
    qty: int
    fee_uusd: int
    maker: bool
    venue_ns: int  # to the millisecond: not every channel says more


class PositionSaid(NamedTuple):
    """What is held of a market: lots of YES less lots of NO, and what they cost."""

    ticker: str
    lots: int
    cost_uusd: int


class Found(NamedTuple):
    """An order that was looked for."""

    order: OrderSaid | None


class FillsSaid(NamedTuple):
    """Fills of an order."""

    fills: tuple[FillSaid, ...]


class AccountSaid(NamedTuple):
    """An account at one moment, or nearly so: it is read by several requests."""

    orders: tuple[OrderSaid, ...]  # that rest
    positions: tuple[PositionSaid, ...]
    fills: tuple[FillSaid, ...]
    free_uusd: int  # cash that no order has reserved
    payouts: tuple[tuple[str, int], ...] = ()  # ticker, px of one YES contract


class Failed(NamedTuple):
    """A request without a usable answer. ``status`` is HTTP's; 0 = no whole answer came."""

    status: int
    code: str
    message: str

    @property
    def unsure(self) -> bool:
        """Whether it may have been carried out all the same."""
        return (self.status == 0 and self.code != NOT_SENT) or self.status in (200, 201) or self.status >= 500

    @property
    def passing(self) -> bool:
        """Whether the venue did not look at it: too many requests, a restart, or it was never sent."""
        return self.status in (425, 429) or self.code == NOT_SENT


NOT_SENT = "not_sent"  # code of a request that did not leave this machine, see live.rest

Answer = Accepted | Reduced | Found | FillsSaid | AccountSaid | Failed
