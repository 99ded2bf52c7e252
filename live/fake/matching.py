"""How a client's orders trade at a fake venue: an arriving one takes what is shown, a resting one waits for prints.

A resting order fills only by prints at its price or through it, after the size that was ahead of it has traded or gone,
and never for more than the print.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from live.fake.book import ShownBook
from live.fake.orders import Order
from sim.types import ASK, BID, FOK, MICRO_PER_LOT
from sim.venues.amend import CANCEL_RESTING
from sim.wire.units import Row


class Take(NamedTuple):
    """A step of a taker's walk: lots of others' at a price, or an own order in the way."""

    px: int
    lots: int
    own: Order | None = None


def walk(book: ShownBook, order: Order) -> Iterator[Take]:
    """What an arriving order meets, best price first: at a price first others, then own orders. Changes nothing."""
    met = dict(book.take(order.side, order.px, order.left))
    own = [one for one in book.queue(1 - order.side) if crosses(order.side, order.px, one.px)]
    for px in sorted({*met, *(one.px for one in own)}, reverse=order.side == ASK):
        if px in met:
            yield Take(px, met[px])
        for one in own:
            if one.px == px:
                yield Take(px, 0, one)


def crosses(side: int, px: int, against_px: int) -> bool:
    """Whether an order of ``side`` at ``px`` trades with one of the other side at ``against_px``."""
    return px >= against_px if side == BID else px <= against_px


def would_cross(book: ShownBook, order: Order) -> bool:
    """Whether an arriving order would trade at once, with anybody."""
    best = book.others.best[1 - order.side]
    empty = not book.others.sizes[1 - order.side]
    if not empty and crosses(order.side, order.px, best):
        return True
    return any(crosses(order.side, order.px, one.px) for one in book.queue(1 - order.side))


def fills_whole(book: ShownBook, order: Order) -> bool:
    """Whether a fill-or-kill order gets all; one that meets an own order behaves as immediate-or-cancel."""
    if order.wanted.tif != FOK:
        return True
    found = 0
    for step in walk(book, order):
        if step.own is not None and found < order.left:
            return order.wanted.self_trade != CANCEL_RESTING or _rest_fills(book, order)
        found += step.lots
    return found >= order.left


def _rest_fills(book: ShownBook, order: Order) -> bool:
    """Whether others alone fill it, own orders being cancelled on the way."""
    return sum(lots for _, lots in book.take(order.side, order.px, order.left)) >= order.left


def hits(book: ShownBook, row: Row) -> Iterator[tuple[Order, int]]:
    """Resting orders that a print trades with, and for how many lots. Updates what is ahead of them.

    A print whose taker is not known hits nobody. Orders through whose price it went were in front of everyone at its
    price; at the price itself the size ahead is eaten first, once for all orders.
    """
    taker, px, left = row[8], row[3], row[2]
    if taker not in (BID, ASK):
        return
    eaten = 0  # of others at the print's own price
    for order in book.queue(1 - taker):
        if not crosses(taker, px, order.px):
            return
        if order.px != px:
            order.ahead_qty = 0
        else:
            more = min(max(order.ahead_qty - eaten, 0), left)
            eaten, left = eaten + more, left - more
            order.ahead_qty = max(order.ahead_qty - eaten, 0)
        lots = min(order.left, left // MICRO_PER_LOT)
        if lots and not order.ahead_qty:
            left -= lots * MICRO_PER_LOT
            yield order, lots
