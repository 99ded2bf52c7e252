"""Event streams made by hand or at random, for the tests of what facts are made of."""

from __future__ import annotations

import numpy as np

from sim.importers.common import from_tuples
from sim.types import ASK, BID, CLEAR, CLOSED, DELTA, END_OF_BATCH, GAP, INFERRED, LEVEL, STATUS, TRADE

S = 10**9
ONE = 10**6  # a contract


def row(seconds, kind, side=-1, px=0, contracts=0.0, end=True, flags=0, venue=None):
    stamp = round(seconds * S)
    flags |= END_OF_BATCH * end
    return (stamp, 0 if venue is None else round(venue * S), round(contracts * ONE), px, -1, flags, 0, kind, side)


def stream(*rows):
    return from_tuples(list(rows))


def by_hand():
    """100 seconds: bid 40 c x 10, ask 42 c x 20; a bid of 5 at 41 c from 10 to 60 s; 8 bought at 42 c at 30 s."""
    return stream(
        row(0, CLEAR, end=False),
        row(0, LEVEL, BID, 4000, 10, end=False),
        row(0, LEVEL, ASK, 4200, 20),
        row(10, DELTA, BID, 4100, 5),
        row(30, TRADE, BID, 4200, 8, end=False),
        row(30, DELTA, ASK, 4200, -8),
        row(60, LEVEL, BID, 4100, 0),
        row(100, STATUS, contracts=CLOSED / ONE),
    )


def random_stream(seed, count=400, with_gaps=True):
    """Deltas, levels, prints, snapshots, gaps and quiet stretches around a wandering middle; sizes stay positive."""
    rng = np.random.default_rng(seed)
    book = ({}, {})
    rows, now, middle = [], 100.0, 50
    rows += _snapshot(rng, now, book, middle)
    for _ in range(count):
        now += float(rng.exponential(0.3)) if rng.random() > 0.01 else 400.0
        choice = rng.random()
        if with_gaps and choice < 0.02:
            rows.append(row(now, GAP))
            rows += _snapshot(rng, now + 1, book, middle)
            now += 1
            continue
        if choice < 0.15:
            rows.append(row(now, TRADE, int(rng.integers(0, 2)), 100 * middle, float(rng.integers(1, 20))))
            continue
        middle = int(np.clip(middle + rng.integers(-1, 2), 20, 80))
        rows.append(_change(rng, now, book, middle))
        if rng.random() < 0.97:  # else the book stays crossed for a while, where it is
            rows += _uncrossed(now, book, middle)
    return stream(*rows)


def _uncrossed(now, book, middle):
    """Levels on the wrong side of the middle leave."""
    rows = []
    for side in (BID, ASK):
        for px in [px for px in book[side] if (px >= 100 * middle if side == BID else px <= 100 * middle)]:
            del book[side][px]
            rows.append(row(now, LEVEL, side, px, 0))
    return rows


def _snapshot(rng, now, book, middle):
    rows = [row(now, CLEAR, end=False)]
    for side in (BID, ASK):
        book[side].clear()
        for step in range(1, 4):
            px = 100 * (middle - step if side == BID else middle + step)
            book[side][px] = int(rng.integers(1, 50))
            rows.append(row(now, LEVEL, side, px, book[side][px], end=side == ASK and step == 3))
    return rows


def _change(rng, now, book, middle):
    side = int(rng.integers(0, 2))
    px = 100 * int(middle + (rng.integers(-4, 2) if side == BID else rng.integers(-1, 5)))
    end = bool(rng.random() < 0.8)
    held = book[side].get(px, 0)
    if rng.random() < 0.5:
        size = int(rng.integers(-held, 40))
        book[side][px] = held + size
        return row(now, DELTA, side, px, size, end)
    book[side][px] = int(rng.integers(0, 40))
    return row(now, LEVEL, side, px, book[side][px], end, flags=INFERRED * bool(rng.random() < 0.2))
