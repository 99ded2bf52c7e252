"""A market's book while its frames are read: sizes by price, best prices at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sim.types import ASK, BID, PX_ONE
from sim.wire.units import MOST

Levels = Mapping[int, int]  # px -> size in 1e-6 contract

EMPTY = (0, PX_ONE)  # best bid and ask of an empty side


class Ladder:
    """Sizes of both sides in YES space. ``known``: a whole book was told, and no message lost since."""

    def __init__(self) -> None:
        self.sizes: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.best = list(EMPTY)  # px of the best bid and ask
        self.known = False

    def set(self, side: int, px: int, qty: int) -> None:
        """A level's new size; 0 removes it."""
        sizes = self.sizes[side]
        if qty:
            sizes[px] = qty
            if px > self.best[BID] if side == BID else px < self.best[ASK]:
                self.best[side] = px
            return
        sizes.pop(px, None)
        if px == self.best[side]:
            self.best[side] = EMPTY[side] if not sizes else max(sizes) if side == BID else min(sizes)

    def clear(self) -> None:
        """Both sides become empty."""
        for side in (BID, ASK):
            self.sizes[side].clear()
            self.best[side] = EMPTY[side]

    def changes_to(self, bids: Levels, asks: Levels) -> list[tuple[int, int, int]]:
        """(side, px, new size) from here to a whole book.

        What leaves goes first, best first, so that no crossing appears that neither has.
        """
        wanted = ((BID, bids), (ASK, asks))
        gone = [
            (side, px, 0)
            for side, levels in wanted
            for px in sorted(self.sizes[side].keys() - levels.keys(), reverse=side == BID)
        ]
        return gone + [
            (side, px, qty)
            for side, levels in wanted
            for px, qty in levels.items()
            if self.sizes[side].get(px, 0) != qty
        ]

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        return self.best[BID] >= self.best[ASK]


def check_levels(levels: Iterable[tuple[int, int, int]]) -> None:
    """Raises ValueError where a level of (side, px, size) cannot be."""
    for _, px, qty in levels:
        if not 0 <= qty <= MOST or not 0 < px < PX_ONE:
            raise ValueError("a level that cannot be")


def check_whole(bids: Iterable[int], asks: Iterable[int]) -> None:
    """Raises ValueError where a book of these prices is crossed or locked: no venue keeps one."""
    if max(bids, default=EMPTY[BID]) >= min(asks, default=EMPTY[ASK]):
        raise ValueError("a whole book that is crossed")


def yes_space(is_yes: bool, side: int, px: int) -> tuple[int, int]:
    """Side and price in YES space of an order for one of a market's two legs."""
    return (side, px) if is_yes else (1 - side, PX_ONE - px)
