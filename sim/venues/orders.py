"""What orders a venue takes: kinds, limits and refusals as data, and the kernels that decide by them.

A venue's :class:`OrderSpec` (``sim/venues/kalshi_orders.py``, ``sim/venues/polymarket_orders.py``) is the only place
that names its order types. :func:`order_table` turns specs into the array that the kernels read, so the two cannot
disagree. The kernels answer with a reject code, 0 where the venue agrees. They judge one order by itself; whether the
cash covers it and whether the book fills it (FOK) is the engine's to say, after them.

An order "until a date" is GTC with an expiry on both venues: there is no time in force of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sim.kernel import kernel
from sim.types import (
    CLOSED,
    FOK,
    GTC,
    OPEN,
    PAUSED,
    REJECT_MARKET_CLOSED,
    REJECT_NONE,
    REJECT_NOTHING_TO_REDUCE,
    REJECT_OFF_GRID,
    REJECT_POST_ONLY_CROSS,
    REJECT_SIZE,
    SECOND_NS,
    SETTLED,
)
from sim.venues.rejects import (
    REJECT_BOOK_CLEARED,
    REJECT_EXPIRY,
    REJECT_GROUP,
    REJECT_HALTED,
    REJECT_IN_DELAY,
    REJECT_NOTIONAL,
    REJECT_ORDER_TYPE,
    REJECT_PAUSED,
    REJECT_POST_ONLY_MODE,
    REJECT_VENUE,
)

# What the whole exchange is doing, beside the market's own status.
TRADING = 0
POST_ONLY_ONLY = 1  # Polymarket for two minutes after a restart
CANCEL_ONLY = 2  # Kalshi's trading pause, Polymarket's cancel-only mode
HALTED = 3  # Kalshi's exchange pause; Polymarket disabled or restarting

# What happens to a market with orders in it.
EVENT_PAUSE = 0
EVENT_RESUME = 1
EVENT_CLOSE = 2
EVENT_START = 3  # the game that a market is about begins
EVENT_SILENCE = 4  # our heartbeat stopped

ORDER_RULES = np.dtype(
    [
        ("kinds", "<i8"),  # bit set per kind, see _kind_bit
        ("post_only", "<i8"),  # the kinds that may be post-only ...
        ("reduce_only", "<i8"),  # ... carry the venue's own reduce-only flag
        ("by_amount", "<i8"),  # ... and say what to spend instead of how much to buy
        ("lead_ns", "<i8"),  # an expiry must lie at least this far ahead
        ("early_ns", "<i8"),  # the order ends this long before its expiry
        ("qty_step", "<i8"),  # sizes are multiples of it, lots
        ("min_take_uusd", "<i8"),  # least price x size of a buy that trades at once
        ("pause_flag", "<i8"),  # 1: an order may ask to be cancelled at a pause
        ("resume_cancels", "<i8"),  # 1: resting orders go when a paused market comes back
        ("heartbeat", "<i8"),  # 1: resting orders go when the client falls silent, where it has asked for that
    ]
)


class OrderKind(NamedTuple):
    """One way to say how long an order lasts."""

    name: str  # on the wire
    meaning: str
    tif: int  # GTC, IOC or FOK
    expiry: bool = False  # True: with an expiry, which it then must have
    post_only: bool = False  # may be post-only
    reduce_only: bool = False  # may carry the venue's reduce-only flag
    by_amount: bool = False  # a buy may say what to spend


class Refusal(NamedTuple):
    """What the venue says when it refuses a message or ends an order, and which reason that is."""

    code: int
    wording: str  # part of the venue's text, lower case; "" where no wording is known
    http: int  # status of the reply; 0 = not a reply, or not known
    when: str
    evidence: str  # "docs", "seen" (in recorded replies) or "third party" (said by others)
    date: str  # ISO 8601, as of


@dataclass(frozen=True)
class OrderSpec:
    """A venue's order rules. Raises ValueError for a number below 0 and for a venue without kinds."""

    kinds: tuple[OrderKind, ...]
    refusals: tuple[Refusal, ...]  # what a reply to a message says
    updates: tuple[Refusal, ...] = ()  # the words by which the venue says why an order changed or ended
    lead_ns: int = 1  # an expiry is never in the past
    early_ns: int = 0
    qty_step: int = 1
    min_take_uusd: int = 0
    pause_flag: bool = False
    resume_cancels: bool = False
    heartbeat: bool = False

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("order rules: no kinds; expected at least one OrderKind")
        for name, least in (("lead_ns", 1), ("early_ns", 0), ("qty_step", 1), ("min_take_uusd", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"order rules: {name} = {getattr(self, name)}; expected at least {least}")

    def kind(self, name: str) -> OrderKind:
        """The kind of a wire name. Raises ValueError where the venue has none of that name."""
        for item in self.kinds:
            if item.name == name:
                return item
        raise ValueError(f"no order kind {name!r}; known are {', '.join(item.name for item in self.kinds)}")

    def update(self, word: str) -> int:
        """Why an order changed: the code of the venue's word for it. Raises ValueError for an unknown word."""
        for item in self.updates:
            if item.wording == word.lower():
                return item.code
        raise ValueError(f"no update reason {word!r}; known are {', '.join(item.wording for item in self.updates)}")

    def reason(self, text: str, http: int = 0) -> int:
        """Reject code of a venue's refusal: by wording, else by status, else ``REJECT_VENUE``. ``text``: any case.

        Ask it only of what was refused: an unknown text is never taken for consent.
        """
        low = text.lower()
        for item in self.refusals:
            if item.wording and item.wording in low:
                return item.code
        for item in self.refusals:
            if http and not item.wording and item.http == http:
                return item.code
        return REJECT_VENUE


def order_table(specs: Iterable[OrderSpec]) -> np.ndarray:
    """``(len(specs),)`` ORDER_RULES array, for the kernels."""
    return np.array([_row(spec) for spec in specs], ORDER_RULES)


def _row(spec: OrderSpec) -> tuple[int, ...]:
    def mask(allowed: Iterable[bool]) -> int:
        return sum({1 << (kind.tif + 3 * kind.expiry) for kind, yes in zip(spec.kinds, allowed, strict=True) if yes})

    kinds = spec.kinds
    return (
        mask(True for _ in kinds),
        mask(kind.post_only for kind in kinds),
        mask(kind.reduce_only for kind in kinds),
        mask(kind.by_amount for kind in kinds),
        spec.lead_ns,
        spec.early_ns,
        spec.qty_step,
        spec.min_take_uusd,
        int(spec.pause_flag),
        int(spec.resume_cancels),
        int(spec.heartbeat),
    )


@kernel
def _kind_bit(tif, expiry_ns):
    """The kind's bit: three without expiry, three with. 0 for a time in force that does not exist."""
    if tif < GTC or tif > FOK:
        return 0
    return 1 << (tif + (3 if expiry_ns != 0 else 0))


@kernel
def open_for(status, mode, post_only):
    """Why market and exchange take no such order now; 0 if they do. ``mode``: TRADING to HALTED."""
    if mode == HALTED:
        return REJECT_HALTED
    if status != OPEN and status != PAUSED:
        return REJECT_MARKET_CLOSED
    if mode == CANCEL_ONLY or status == PAUSED:
        return REJECT_PAUSED
    if mode == POST_ONLY_ONLY and post_only == 0:
        return REJECT_POST_ONLY_MODE
    return REJECT_NONE


@kernel
def offered(rules, v, tif, expiry_ns, post_only, reduce_only, budget_uusd, buys):
    """Why venue ``v`` does not offer this combination; 0 if it does. ``expiry_ns`` 0 = none, ``budget_uusd`` 0 = none.

    ``reduce_only`` is the venue's own flag, not the engine's choice of the holding that an order changes. A budget is
    an order by amount; pass 0 where whoever sends it turns a budget into a size beforehand.
    """
    bit = _kind_bit(tif, expiry_ns)
    if rules[v]["kinds"] & bit == 0:
        return REJECT_ORDER_TYPE
    if post_only != 0 and rules[v]["post_only"] & bit == 0:
        return REJECT_ORDER_TYPE
    if reduce_only != 0 and rules[v]["reduce_only"] & bit == 0:
        return REJECT_ORDER_TYPE
    if budget_uusd != 0 and (buys == 0 or rules[v]["by_amount"] & bit == 0):
        return REJECT_ORDER_TYPE
    return REJECT_NONE


@kernel
def large_enough(rules, v, leg_px, qty, min_qty, buys, crosses):
    """Why a size is refused; 0 if it is not. ``leg_px``: the limit, as a price of the leg; ``min_qty``: the market's.

    ``crosses``: the order would trade at once. Trusts that leg_px x qty fits 63 bits.
    """
    if qty < min_qty or qty <= 0 or qty % rules[v]["qty_step"] != 0:
        return REJECT_SIZE
    if buys != 0 and crosses != 0 and leg_px * qty < rules[v]["min_take_uusd"]:
        return REJECT_NOTIONAL
    return REJECT_NONE


@kernel
def admissible(
    rules, v, tif, post_only, reduce_only, expiry_ns, now_ns, leg_px, qty,
    budget_uusd, buys, status, mode, on_grid, crosses, held_qty, min_qty, group_open,
):  # fmt: skip
    """Why venue ``v`` refuses a new order, or 0. ``rules``: (V,) ORDER_RULES; see the kernels it asks.

    In this order: exchange and market, combination, order group, expiry, price, what there is to reduce, size,
    post-only. ``on_grid``: the price is on the tick table in force; ``held_qty``: lots that a reduce-only order could
    still reduce (it is cut to them); ``group_open``: 0 where the order's group has been triggered. Flags are 0 or 1.
    """
    reason = open_for(status, mode, post_only)
    if reason == REJECT_NONE:
        reason = offered(rules, v, tif, expiry_ns, post_only, reduce_only, budget_uusd, buys)
    if reason != REJECT_NONE:
        return reason
    if group_open == 0:
        return REJECT_GROUP
    if expiry_ns != 0 and expiry_ns - now_ns < rules[v]["lead_ns"]:
        return REJECT_EXPIRY
    if on_grid == 0:
        return REJECT_OFF_GRID
    if reduce_only != 0:
        qty = min(qty, held_qty)
        if qty <= 0:
            return REJECT_NOTHING_TO_REDUCE
    reason = large_enough(rules, v, leg_px, qty, min_qty, buys, crosses)
    if reason == REJECT_NONE and post_only != 0 and crosses != 0:
        return REJECT_POST_ONLY_CROSS
    return reason


@kernel
def cancellable(status, mode, in_delay):
    """Why a cancel is refused, or 0. ``in_delay``: the venue holds the order back before it may trade."""
    if mode == HALTED:
        return REJECT_HALTED
    if status in (CLOSED, SETTLED):
        return REJECT_MARKET_CLOSED
    return REJECT_IN_DELAY if in_delay != 0 else REJECT_NONE


@kernel
def ends_at(rules, v, expiry_ns):
    """When an order with this expiry leaves the book: the wire carries whole seconds, and the venue may end it early.

    0 for an order without expiry.
    """
    return whole_expiry(rules[v]["early_ns"], expiry_ns)


@kernel
def whole_expiry(early_ns, expiry_ns):
    """:func:`ends_at` for a venue that ends orders ``early_ns`` before their expiry."""
    if expiry_ns == 0:
        return 0
    return expiry_ns // SECOND_NS * SECOND_NS - early_ns


@kernel
def ended_by(rules, v, event, cancel_on_pause, clear_on_start):
    """Why ``event`` ends a resting order, or 0 where it stays.

    ``cancel_on_pause``: the order asked for it; ``clear_on_start``: the market clears its book when its game begins.
    """
    if event == EVENT_CLOSE:
        return REJECT_MARKET_CLOSED
    if event == EVENT_PAUSE and cancel_on_pause != 0 and rules[v]["pause_flag"] != 0:
        return REJECT_PAUSED
    if event == EVENT_RESUME and rules[v]["resume_cancels"] != 0:
        return REJECT_PAUSED
    if event == EVENT_START and clear_on_start != 0:
        return REJECT_BOOK_CLEARED
    if event == EVENT_SILENCE and rules[v]["heartbeat"] != 0:
        return REJECT_VENUE
    return REJECT_NONE
