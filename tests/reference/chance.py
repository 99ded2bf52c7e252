"""The fitted chance of the probabilistic model, from lists of everything that ever happened."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim.types import ASK, BID, PX_ONE

if TYPE_CHECKING:
    from reference.account import Order
    from reference.book import Book
    from reference.market import Market

BUCKET_NS = 2**29
HALF_BUCKETS = (4, 16, 64, 512)


class Memory:
    """What takers did, and how the mid moved from the end of one bucket of time to the next."""

    def __init__(self) -> None:
        self.trades: list[tuple[int, int, int]] = []  # when, the taker's side, lots
        self.moves: list[tuple[int, int]] = []  # at the end of which bucket, bid + ask
        self.bucket: int | None = None  # of the last news
        self.mid2: int | None = None  # at its beginning

    def look(self, book: Book, now: int) -> None:
        """Before news: in a new bucket, the move over the last one with news is known."""
        bucket = now // BUCKET_NS
        if self.bucket is not None and bucket <= self.bucket:
            return
        if self.mid2 is not None:
            self.moves.append((self.bucket, book.mid2 - self.mid2))
        quoted = bool(book.shown[BID]) and bool(book.shown[ASK])
        if quoted or self.mid2 is not None or book.mid2 != PX_ONE:
            self.mid2 = book.mid2
        self.bucket = bucket

    def takers(self, now: int, half: int) -> tuple[list[float], list[float]]:
        """Prints and lots against bids and against asks, each half as much ``half`` buckets later."""
        prints, lots = [0.0, 0.0], [0.0, 0.0]
        for then, taker, qty in self.trades:
            weight = 0.5 ** ((now // BUCKET_NS - then // BUCKET_NS) / half)
            for hit in (BID, ASK):
                if taker < 0:
                    prints[hit] += 0.5 * weight
                elif taker != hit:
                    prints[hit] += weight
                    lots[hit] += qty * weight
        return prints, lots

    def deviation(self, now: int, half: int, life_s: float) -> float:
        """Standard deviation of the mid over a life."""
        weights = ((0.5 ** ((now // BUCKET_NS - bucket - 1) / half), move) for bucket, move in self.moves)
        return math.sqrt(rate(sum(weight * (move / 2) ** 2 for weight, move in weights), half) * life_s)

    def print_rate(self, now: int) -> float:
        """Prints a second."""
        prints, _ = self.takers(now, HALF_BUCKETS[1])
        return rate(sum(prints), HALF_BUCKETS[1])


def rate(total: float, half: int) -> float:
    """What a sum that halves every ``half`` buckets says of the rate, in 1/s."""
    return total * math.log(2.0) / (half * BUCKET_NS * 1e-9)


def hazard(market: Market, order: Order, now: int) -> float:
    """-log(1 - p), p being the logistic of the terms."""
    market.memory.look(market.book, now)
    terms = {**_place(market, order), **_lately(market, order, now)}
    row = market.row
    logit = row["fill_base"] + sum(row[f"fill_{name}"] * value for name, value in terms.items())
    return math.log1p(math.exp(logit))


def _place(market: Market, order: Order) -> dict[str, float]:
    """Terms of where the order stands."""
    book, side, px = market.book, order.side, order.px
    bid, ask = book.best(BID), book.best(ASK)
    touch = bid if side == BID else ask
    quoted = bid is not None and ask is not None and bid < ask
    behind = [p for p in market.prices if (p < px if side == BID else p > px)]
    nearest = (max(behind, default=0)) if side == BID else min(behind, default=PX_ONE)
    spread = ask - bid if quoted else abs(px - nearest)
    inside = touch is None or (px > touch if side == BID else px < touch)
    low, high = (px, touch) if side == BID else (touch, px)
    own, other = (book.size(side, touch), book.size(1 - side, ask if side == BID else bid)) if quoted else (0, 0)
    return {
        "inside": float(inside),
        "distance": 0.0 if inside else sum(low < p <= high for p in market.prices),
        "queue": math.log(1 + book.size(side, px) / 100),
        "better": math.log(1 + _better(market, order) / 100),
        "spread": math.log(spread / abs(px - nearest)),
        "imbalance": (own - other) / (own + other) if own + other else 0.0,
    }


def _better(market: Market, order: Order) -> int:
    shown = market.book.shown[order.side].items()
    return sum(qty for px, qty in shown if (px > order.px if order.side == BID else px < order.px))


def _lately(market: Market, order: Order, now: int) -> dict[str, float]:
    """Terms of what happened before it."""
    row, side, life = market.row, order.side, market.row["fill_life_s"]
    half, move_half = (HALF_BUCKETS[round(row[name])] for name in ("fill_memory", "fill_move_memory"))
    prints, lots = market.memory.takers(now, half)
    hits, others, hit_lots = (rate(x, half) * life for x in (prints[side], prints[1 - side], lots[side]))
    standing = market.book.size(side, order.px) + _better(market, order)
    gap = (market.book.mid2 / 2 - order.px) * (1 if side == BID else -1)
    move = market.memory.deviation(now, move_half, life)
    left = (market.close_ns - now) / 1e9
    return {
        "activity": math.log(1 + hits + others),
        "lean": math.log((1 + hits) / (1 + others)),
        "clear": math.log((1 + standing / 100) / (1 + hit_lots / 100)),
        "reach": math.log((max(0.0, gap / 100) + 0.5) / (move / 100 + 0.5)),
        "time": math.log(1 + left) if market.close_ns > 0 and left >= 0 else 0.0,
    }
