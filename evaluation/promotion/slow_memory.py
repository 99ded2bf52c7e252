"""What a market's events add up to, a second time: sums that fade, and means over time, for `slow_features`.

Written from docs/features.md and the description at the top of `sim/activity.py`, for an account that never trades.
Time is cut into buckets; before the first news of a later bucket, and before a look, everything fades and what stood
until then is taken into the means.
"""

from __future__ import annotations

import math

from sim import scales as s
from sim.types import ASK, BID, LOTS_PER_CONTRACT, PX_ONE

BUCKET_BITS = 29
FAST, MIDDLE, SLOW = 4, 16, 64  # half-lives in buckets
TAKERS = {"fast": FAST, "middle": MIDDLE, "slow": SLOW}
NEAR_PX, REACH_PX = 200, 1000  # from 25, 50 or 75 cents
FAIR_STALE_NS, FAIR_FLOOR = 30 * 10**9, 0.001

Book = list[dict[int, int]]  # lots by price, of each side


class SlowMemory:
    """The memory of one market."""

    def __init__(self) -> None:
        self.bucket: int | None = None
        self.mid2 = 0  # at the end of the last bucket; 0 = never quoted
        self.taken = {half: [0.0, 0.0] for half in TAKERS.values()}  # lots bought and sold by takers
        self.prints = {FAST: 0.0, SLOW: 0.0}
        self.volume = self.near_volume = self.added = self.removed = self.fall = self.squares = 0.0
        self.mid2_mean = self.spread = self.depth = self.near_time = 0.0
        self.wall, self.wall_bucket = 0.0, -math.inf

    def fade(self, now: int, book: Book, mid2: int) -> None:
        """Up to ``now``; ``book`` and ``mid2`` have stood since the last news."""
        bucket = now >> BUCKET_BITS
        if self.bucket is not None and bucket <= self.bucket:
            return
        gap = math.inf if self.bucket is None else bucket - self.bucket
        self.bucket = bucket
        self._fade_sums(gap)
        bid, ask = max(book[BID], default=None), min(book[ASK], default=None)
        quoted = bid is not None and ask is not None
        known = mid2 if quoted or self.mid2 > 0 or mid2 != PX_ONE else 0
        if self.mid2 > 0:
            move, ago = known - self.mid2, gap - 1
            self.fall += max(-move, 0) * _left(ago, MIDDLE)
            self.squares += move**2 * _left(ago, SLOW)
        self.mid2 = known
        self.mid2_mean = _mean(self.mid2_mean, mid2, gap, MIDDLE)
        self.depth = _mean(self.depth, sum(book[BID].values()) + sum(book[ASK].values()), gap, SLOW)
        self.near_time = _mean(self.near_time, _near(mid2 >> 1), gap, SLOW)
        if bid is not None and ask is not None:
            self.spread = _mean(self.spread, max(0, ask - bid), gap, SLOW)

    def _fade_sums(self, gap: float) -> None:
        for half, lots in self.taken.items():
            self.taken[half] = [_left(gap, half) * total for total in lots]
        self.prints = {half: _left(gap, half) * count for half, count in self.prints.items()}
        self.added, self.removed = _left(gap, FAST) * self.added, _left(gap, FAST) * self.removed
        self.fall *= _left(gap, MIDDLE)
        self.volume, self.near_volume = _left(gap, SLOW) * self.volume, _left(gap, SLOW) * self.near_volume
        self.squares *= _left(gap, SLOW)

    def trade(self, side: int, px: int, qty: int) -> None:
        """Others traded, after what was before has faded; ``side`` of the taker, -1 = not said."""
        if side in (BID, ASK):
            for lots in self.taken.values():
                lots[side] += qty
        self.prints = {half: count + 1 for half, count in self.prints.items()}
        self.volume += qty
        self.near_volume += qty * _near(px)

    def change(self, lots: int) -> None:
        """Others added to a level, or took away."""
        self.added += max(lots, 0)
        self.removed += max(-lots, 0)

    def look(self, book: Book, mid2: int) -> dict[str, float]:
        """Features of the groups flow, anchors, liquidity and opponents, and the volatility of group fair."""
        return {**self._flow(), **self._anchors(book, mid2), **self._liquidity(book, mid2), **self._nothing_of_ours()}

    def _flow(self) -> dict[str, float]:
        floor = s.FLOW_FLOOR * LOTS_PER_CONTRACT
        return {
            f"taker_imbalance_{name}": (self.taken[half][BID] - self.taken[half][ASK]) / (sum(self.taken[half]) + floor)
            for name, half in TAKERS.items()
        }

    def _anchors(self, book: Book, mid2: int) -> dict[str, float]:
        mid, anchor = mid2 / 2 / PX_ONE, _anchor(mid2 >> 1)
        away = mid - anchor / PX_ONE
        spread, drift = _spread(book), (mid2 - self.mid2_mean) / 2 / PX_ONE
        wide = max(0, spread or 0)
        near = s.ANCHOR_HALF / (s.ANCHOR_HALF + abs(away))
        share = _share_at(book, anchor) if abs(mid2 - 2 * anchor) <= 2 * REACH_PX else 0.0
        assert self.bucket is not None  # a look comes after a fade
        self.wall = _mean(self.wall, share, self.bucket - self.wall_bucket, SLOW)
        self.wall_bucket = self.bucket
        return {
            **{f"anchor_{cents}": _soft(mid - cents / 100, s.ANCHOR_HALF) for cents in (25, 50, 75)},
            "anchor_spread": 0.0 if spread is None else near * _ratio(self.spread - wide, self.spread + wide),
            "anchor_volume": _ratio(self.near_volume, self.volume), "anchor_time": self.near_time,
            "anchor_size": share, "anchor_wall": self.wall,
            "anchor_break": _soft(drift if away >= 0 else -drift, s.MOVE_HALF),
        }  # fmt: skip

    def _liquidity(self, book: Book, mid2: int) -> dict[str, float]:
        spread, depth = _spread(book), sum(book[BID].values()) + sum(book[ASK].values())
        drop = _ratio(self.depth - depth, self.depth + depth)
        burst = 16 * self.prints[FAST] / (16 * self.prints[FAST] + self.prints[SLOW] + s.PRINTS_HALF)
        fall, size = self.fall / 2 / PX_ONE, s.SIZE_HALF * LOTS_PER_CONTRACT
        return {
            "velocity": _soft((mid2 - self.mid2_mean) / 2 / PX_ONE, s.MOVE_HALF),
            "drop_rate": fall / (fall + s.MOVE_HALF),
            "spread_expansion": 0.0 if spread is None else _soft((spread - self.spread) / PX_ONE, s.SPREAD_HALF),
            "depth_drop": drop, "removal_rate": self.removed / (self.removed + self.added + size),
            "taker_burst": burst,
            "cascade": (max(0.0, drop) + burst * abs(self._flow()["taker_imbalance_fast"])) / 2,
        }  # fmt: skip

    def _nothing_of_ours(self) -> dict[str, float]:
        """The market has never answered us; and how much the mid moves in a second."""
        rate = self.squares * math.log(2.0) / (SLOW * 2**BUCKET_BITS * 1e-9)
        deviation = max(math.sqrt(rate) / 2 / PX_ONE, FAIR_FLOOR)
        return {
            "risk_aversion": 0.0, "response_time": 1.0, "maker_presence": 0.5,
            "fair_volatility": deviation / (deviation + s.MOVE_HALF),
        }  # fmt: skip


def _soft(x: float, half: float) -> float:
    return x / (abs(x) + half)


def _left(gap: float, half: int) -> float:
    return 0.5 ** (gap / half)


def _mean(mean: float, value: float, gap: float, half: int) -> float:
    """A mean over time, ``value`` having stood for ``gap`` buckets."""
    return mean + (1.0 - _left(gap, half)) * (value - mean)


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else 0.0


def _anchor(px: int) -> int:
    return 2500 if px < 3750 else 5000 if px < 6250 else 7500


def _near(px: int) -> float:
    return float(abs(px - _anchor(px)) <= NEAR_PX)


def _spread(book: Book) -> int | None:
    """None = a side is empty."""
    return min(book[ASK]) - max(book[BID]) if book[BID] and book[ASK] else None


def _share_at(book: Book, anchor: int) -> float:
    """Of what rests within three cents of an anchor the share at it."""
    sizes = {cents: sum(side.get(anchor + 100 * cents, 0) for side in book) for cents in range(-3, 4)}
    return _ratio(sizes[0], sum(sizes.values()))
