"""Whole books as the venues' REST tells them, in YES space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from sim.types import ASK, BID, PX_ONE
from sim.wire.ladder import yes_space
from sim.wire.units import px_of, qty_of

Book = dict[int, list[tuple[int, int]]]  # side -> (px, size in 1e-6 contract), best first

_T = TypeVar("_T")


def book_of(levels: Iterable[tuple[bool, int, str, str]]) -> Book:
    """A book of (whether of the YES leg, side on that leg, price, size) in any order.

    Raises ValueError for a price outside (0, 1) dollar, a size that is not above 0, or a level that is told twice.
    """
    book: Book = {BID: [], ASK: []}
    for is_yes, told, price, size in levels:
        side, px = yes_space(is_yes, told, px_of(price))
        qty = qty_of(size)
        if not 0 < px < PX_ONE or qty <= 0:
            raise ValueError(f"a level of {size!r} at {price!r}; expected a size above 0 at a price between 0 and 1")
        book[side].append((px, qty))
    book[BID].sort(reverse=True)
    book[ASK].sort()
    for levels_of_side in book.values():
        if len({px for px, _ in levels_of_side}) < len(levels_of_side):
            raise ValueError("a price with two sizes on one side; expected one level a price")
    return book


def chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """``items`` in parts of at most ``size``."""
    return (items[first : first + size] for first in range(0, len(items), size))
