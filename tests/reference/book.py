"""What others show: two dicts from price to lots, and what we have taken from a recording."""

from __future__ import annotations

from fractions import Fraction

from sim.types import ASK, BID, PX_ONE


class Book:
    """Sizes by side and price. Our own orders are never in it."""

    def __init__(self) -> None:
        self.shown: list[dict[int, int]] = [{}, {}]
        self.used: list[dict[int, tuple[int, int]]] = [{}, {}]  # price -> (lots taken, when)
        self.mid2 = PX_ONE

    def best(self, side: int) -> int | None:
        """Best price of a side; None when it is empty."""
        prices = self.shown[side]
        if not prices:
            return None
        return max(prices) if side == BID else min(prices)

    def size(self, side: int, px: int) -> int:
        """Lots shown at a price."""
        return self.shown[side].get(px, 0)

    def put(self, side: int, px: int, qty: int) -> None:
        """Show ``qty`` lots at a price. A book with both sides and no crossing gives a new mid;
        one side alone holds it on its own side."""
        if qty < 0:
            raise ValueError(f"negative size {qty} at {px}")
        self.shown[side].pop(px, None)
        if qty:
            self.shown[side][px] = qty
        bid, ask = self.best(BID), self.best(ASK)
        if bid is not None and ask is not None:
            self.mid2 = bid + ask if bid < ask else self.mid2
        elif bid is not None:
            self.mid2 = max(self.mid2, 2 * bid)
        elif ask is not None:
            self.mid2 = min(self.mid2, 2 * ask)

    def clear(self) -> None:
        """Empty both sides; the mid stays."""
        self.shown = [{}, {}]

    def prices_from_best(self, side: int) -> list[int]:
        """Prices of a side, best first."""
        return sorted(self.shown[side], reverse=side == BID)

    def still_used(self, side: int, px: int, now: int, life_ns: int) -> int:
        """Lots at a price that we took and that have not come back: they come back evenly over a life."""
        qty, since = self.used[side].get(px, (0, 0))
        age = now - since
        if age >= life_ns:
            return 0
        return min(self.size(side, px), int(qty * Fraction(life_ns - age, life_ns)))

    def use(self, side: int, px: int, qty: int, now: int, life_ns: int) -> None:
        """Take lots from a recorded level, which goes on showing them."""
        self.used[side][px] = (self.still_used(side, px, now, life_ns) + qty, now)

    def forget_vanished(self) -> None:
        """A level that is no longer shown forgets what was taken from it."""
        for side in (BID, ASK):
            self.used[side] = {px: used for px, used in self.used[side].items() if px in self.shown[side]}
