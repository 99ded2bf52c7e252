"""Traces of several markets pooled, and the numbers that the facts are made of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from sim.scenarios.trace import Feed, Trace
from sim.types import MICRO_PER_LOT, PX_ONE, SECOND_NS

LAGS_S = (1, 2, 5, 10, 30, 60)
LAGS_ORDERS = (1, 2, 5, 10, 20)
MOST_STARTS = 20_000  # of moves in one stream: a longer one is looked at less often
_MICRO = 100 * MICRO_PER_LOT  # tape size units in a contract
_PX_A_CENT = 100
_LEAST_VIEWS = 30
_LEAST_SAMPLED_S = 60.0


def weighted_quantiles(values: np.ndarray, weights: np.ndarray | None, probs: Sequence[float]) -> np.ndarray:
    """Smallest value at which the summed weight reaches each share of ``probs``; NaN where there is no weight."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(np.ones(len(values)) if weights is None else weights[order].astype(np.float64))
    if not len(total) or total[-1] <= 0.0:
        return np.full(len(probs), np.nan)
    # A hair below: 0.1 x 10 must find the first of ten, whatever the rounding
    places = np.searchsorted(total, np.asarray(probs) * total[-1] * (1.0 - 1e-12), side="left")
    return values[order][np.minimum(places, len(values) - 1)].astype(np.float64)


class Pool:
    """Numbers of several traces by bucket of the mid price. Sizes in contracts, prices in 1e-4 dollar."""

    def __init__(self, traces: Sequence[Trace], feed: Feed, edges: Sequence[float]) -> None:
        """``edges`` in cents, ascending from 0 to 100, or to 50: then by the mid of the cheaper leg."""
        self.feed = feed
        self.names = tuple(f"{low:g}-{high:g}" for low, high in pairwise(edges))
        self._traces = traces
        self._edges = np.asarray(edges, np.float64) * 2 * _PX_A_CENT
        self._folded = edges[-1] == 50
        self._states()
        self._changes()
        self._depths()
        self._prints()

    def moves(self, horizon_s: int) -> tuple[np.ndarray, np.ndarray]:
        """|mid move| over ``horizon_s`` in cents, and the bucket of the mid it began at, from starts a second apart."""
        moves, where = [], []
        for one in self._traces:
            starts = _starts(one)
            before, after = mid2_at(one, starts), mid2_at(one, starts + horizon_s * SECOND_NS)
            known = (before > 0) & (after > 0)
            moves.append(np.abs(after - before)[known] / (2 * _PX_A_CENT))
            where.append(self._bucket(before[known]))
        return np.concatenate(moves), np.concatenate(where)

    def clustering(self) -> tuple[int, list[float]]:
        """Pairs at the longest lag, and the autocorrelation of the |1 s move| at each of LAGS_S."""
        pairs, values = 0, []
        size = [_sizes_of_moves(one, 0) for one in self._traces]
        for lag in LAGS_S:
            left, right = [], []
            for one, first in zip(self._traces, size, strict=True):
                second = _sizes_of_moves(one, lag)
                known = np.isfinite(first) & np.isfinite(second)
                left.append(first[known])
                right.append(second[known])
            values.append(_correlation(np.concatenate(left), np.concatenate(right)))
            pairs = sum(map(len, left))
        return pairs, values

    def flow(self) -> tuple[int, list[float]]:
        """Pairs at the longest lag, and the autocorrelation of successive takers' sides at each of LAGS_ORDERS."""
        pairs, values = 0, []
        for lag in LAGS_ORDERS:
            long = [signs for signs in self._signs if len(signs) > lag]
            left = np.concatenate([signs[:-lag] for signs in long]) if long else np.zeros(0)
            right = np.concatenate([signs[lag:] for signs in long]) if long else np.zeros(0)
            values.append(_correlation(left, right))
            pairs = len(left)
        return pairs, values

    def depth_amount(self, own: np.ndarray) -> float:
        """How much the samples ``own`` weigh: seconds, or whole books where the feed has only those."""
        return float(own.sum() if self.feed.views else self.depth_s[own].sum())

    @property
    def least_depth(self) -> float:
        """Least :meth:`depth_amount` for a fact."""
        return _LEAST_VIEWS if self.feed.views else _LEAST_SAMPLED_S

    @property
    def depth_basis(self) -> str:
        """Unit of :meth:`depth_amount`."""
        return "books" if self.feed.views else "seconds"

    def _bucket(self, mid2_px: np.ndarray) -> np.ndarray:
        """Bucket of a sum of bid and ask; -1 where nothing is known."""
        place = np.minimum(mid2_px, 2 * PX_ONE - mid2_px) if self._folded else mid2_px
        inside = np.minimum(np.searchsorted(self._edges, place, side="right") - 1, len(self.names) - 1)
        return np.where(mid2_px > 0, inside, -1)

    def _states(self) -> None:
        buckets, spreads, seconds = [], [], []
        self.jumps: list[np.ndarray] = []
        jumps, where = [], []
        for one in self._traces:
            mid2 = one.bid_px + one.ask_px
            seconds.append(np.diff(one.state_ns, append=one.end_ns) / SECOND_NS)
            buckets.append(self._bucket(mid2))
            spreads.append(one.ask_px - one.bid_px)
            jump = (mid2[1:] != mid2[:-1]) & (mid2[1:] > 0) & (mid2[:-1] > 0)
            jumps.append(np.abs(np.diff(mid2))[jump] / (2 * _PX_A_CENT))
            where.append(buckets[-1][:-1][jump])
        self.state_bucket, self.spread_px, self.state_s = map(np.concatenate, (buckets, spreads, seconds))
        self.seconds = self._sums(self.state_bucket, self.state_s)
        sizes, places = np.concatenate(jumps), np.concatenate(where)
        self.jumps = [sizes[places == bucket] for bucket in range(len(self.names))]

    def _changes(self) -> None:
        bucket = self._bucket(np.concatenate([one.message_mid2_px for one in self._traces]))
        touch = np.concatenate([one.touch_qty for one in self._traces]) / _MICRO
        self.messages = self._sums(bucket, np.ones(len(bucket)))
        self.added = self._sums(bucket, np.maximum(touch, 0.0))
        self.removed = self._sums(bucket, np.maximum(-touch, 0.0))
        gaps = np.concatenate([np.diff(_clock(one)) for one in self._traces])
        # Changes told with one stamp are one arrival: a stamp's resolution must not count as a rate
        self.gap_ms = gaps[(gaps > 0) & (gaps <= self.feed.quiet_ns)] / 1e6

    def _depths(self) -> None:
        mid2 = np.concatenate([one.depth_mid2_px for one in self._traces])
        self.depth_bucket = self._bucket(mid2)
        self.depth = np.concatenate([one.depth_qty for one in self._traces]) / _MICRO
        if self._folded:
            dear = mid2 > PX_ONE  # the cheaper leg is NO: its bids are the YES asks
            self.depth[dear] = self.depth[dear][:, ::-1]
        weight = np.concatenate([one.depth_weight for one in self._traces])
        self.depth_s = weight * (1.0 if self.feed.views else self.feed.sample_ns / SECOND_NS)

    def _prints(self) -> None:
        orders = [taker_orders(one) for one in self._traces]
        self.order_sizes = np.concatenate([sizes for sizes, _ in orders])
        self._signs = [signs for _, signs in orders]
        spans = [_recorded_s(one, self.feed.quiet_ns) for one in self._traces]
        self.recorded_s = max(sum(spans), 1e-9)
        told = [_traded(one) for one in self._traces if len(one.message_ns)]
        known = [counts for counts in told if counts is not None]
        self.says_traded = bool(known)
        self.touch_trades, self.touch_traded, self.touch_removed = (
            float(sum(counts[place] for counts in known)) for place in range(3)
        )

    def _sums(self, bucket: np.ndarray, amounts: np.ndarray) -> np.ndarray:
        inside = bucket >= 0
        return np.bincount(bucket[inside], amounts[inside], minlength=len(self.names))[: len(self.names)]


def mid2_at(one: Trace, stamps: np.ndarray) -> np.ndarray:
    """Bid + ask at each stamp; 0 where no two-sided book is known, before the first state or after the end."""
    place = np.searchsorted(one.state_ns, stamps, side="right") - 1
    mid2 = np.append(one.bid_px + one.ask_px, 0)
    known = (place >= 0) & (stamps <= one.end_ns)
    return np.where(known, mid2[place], 0)


def taker_orders(one: Trace) -> tuple[np.ndarray, np.ndarray]:
    """Sizes in contracts of the takers' orders, and their signs (+1 bought) where all sides are said, else none.

    Prints that follow each other with one stamp and one side are one order that met several makers.
    """
    if not len(one.trade_ns):
        return np.zeros(0), np.zeros(0)
    first = np.ones(len(one.trade_ns), np.bool_)
    first[1:] = (np.diff(one.trade_ns) != 0) | (np.diff(one.trade_side) != 0)
    places = np.flatnonzero(first)
    side = one.trade_side[places]
    signs = np.where(side == 0, 1.0, -1.0) if (side >= 0).all() else np.zeros(0)
    return np.add.reduceat(one.trade_qty, places) / _MICRO, signs


def _traded(one: Trace) -> tuple[int, float, float] | None:
    """Prints, contracts traded, contracts removed at the touch, while the book was known; None where no trade is told.

    Where the feed says a cumulative volume in place of prints, both are counted between its first and last word, and
    its words that differ count as prints.
    """
    removed = np.where(one.message_mid2_px > 0, np.maximum(-one.touch_qty, 0), 0) / _MICRO
    if len(one.volume_ns) > 1:
        inside = (one.message_ns >= one.volume_ns[0]) & (one.message_ns <= one.volume_ns[-1])
        volume = one.volume_qty / _MICRO
        return int((np.diff(volume) > 0).sum()), float(volume[-1] - volume[0]), float(removed[inside].sum())
    if not len(one.trade_ns):
        return None
    known = mid2_at(one, one.trade_ns) > 0
    return int(known.sum()), float(one.trade_qty[known].sum()) / _MICRO, float(removed.sum())


def _clock(one: Trace) -> np.ndarray:
    """The venue's stamps of the changes where it says them all, else the recorder's: those carry its own delays."""
    return one.venue_ns if len(one.venue_ns) and one.venue_ns[0] > 0 else one.message_ns


def _recorded_s(one: Trace, quiet_ns: int) -> float:
    """Seconds of the stream in which something was recorded: of its book, else between its first and last print."""
    if len(one.state_ns):
        seconds = np.diff(one.state_ns, append=one.end_ns)
        return float(seconds[(one.bid_px > 0)].sum()) / SECOND_NS
    gaps = np.diff(one.trade_ns)
    return float(gaps[gaps <= quiet_ns].sum()) / SECOND_NS


def _starts(one: Trace) -> np.ndarray:
    """Stamps a second apart, or as far that there are at most MOST_STARTS, over the stream."""
    if not len(one.state_ns):
        return np.zeros(0, np.int64)
    span = one.end_ns - int(one.state_ns[0])
    step = SECOND_NS * max(1, -(-span // (SECOND_NS * MOST_STARTS)))
    return np.arange(int(one.state_ns[0]), one.end_ns, step, dtype=np.int64)


def _sizes_of_moves(one: Trace, lag_s: int) -> np.ndarray:
    """|1 s move| of the mid, ``lag_s`` after each start; NaN where it is not known."""
    starts = _starts(one) + lag_s * SECOND_NS
    before, after = mid2_at(one, starts), mid2_at(one, starts + SECOND_NS)
    return np.where((before > 0) & (after > 0), np.abs(after - before), np.nan)


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Pearson's; NaN where one side does not vary or there are fewer than three pairs."""
    if len(left) < 3 or left.std() == 0.0 or right.std() == 0.0:
        return float("nan")
    return float(np.corrcoef(left, right)[0, 1])
