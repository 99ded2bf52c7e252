"""The price ladder: sizes by level, on the finest grid a market has over its life.

Level ``i`` of a ladder is the price ``px_of[i]``. The ladder is the union of every tick table the market may have, so
a tick change while the market is open never moves a resting quote: it only changes which prices new orders may use
(``tick_ok``). Own orders are never in the ladder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from sim.activity import forget
from sim.kernel import hot, inner, kernel
from sim.types import ASK, BID, PENDING, PX_ONE, UNKNOWN
from sim.venues.rules import tick_prices


class Grid(NamedTuple):
    """Prices of a ladder of L levels, and G tick tables."""

    px_of: np.ndarray  # (L,) int64: price of a level, ascending
    level_of: np.ndarray  # (10001,) int64: level of a price, -1 off the ladder
    tick_ok: np.ndarray  # (G, 10001) bool: prices an order may use under each tick table
    ticks: np.ndarray  # (G, 2, 10001) int16: [0, px] = n: so many prices of the table lie at or below px; [1, n] = the
    # level of the n-th of them, -1 for n = 0 and L for one more than there are


def make_grid(tick_tables: Sequence[Iterable[tuple[int, int, int]]]) -> Grid:
    """Grid of the union of ``tick_tables``; each is a list of (start_px, end_px, step_px) ranges.

    Raises ValueError where a table is empty, leaves [0, 10000], overlaps, or has a step that does not fit its range.
    """
    if not tick_tables:
        raise ValueError("make_grid: expected at least one tick table, got none")
    tick_ok = np.zeros((len(tick_tables), PX_ONE + 1), np.bool_)
    for index, ranges in enumerate(tick_tables):
        tick_ok[index, tick_prices(ranges)] = True
    px_of = np.flatnonzero(tick_ok.any(axis=0))
    level_of = np.full(PX_ONE + 1, -1, np.int64)
    level_of[px_of] = np.arange(len(px_of))
    ticks = np.full((len(tick_tables), 2, PX_ONE + 1), len(px_of), np.int16)
    ticks[:, 0] = tick_ok.cumsum(axis=1)
    ticks[:, 1, 0] = -1
    for index, allowed in enumerate(tick_ok):
        levels = level_of[allowed]
        ticks[index, 1, 1 : 1 + len(levels)] = levels
    return Grid(px_of, level_of, tick_ok, ticks)


@hot
def next_bid(book, level, low):
    """Highest bid level at or below ``level`` that shows size; -1 when there is none down to ``low``."""
    while level >= low:
        if book[BID, level] > 0:
            return level
        level -= 1
    return -1


@hot
def next_ask(book, level, high):
    """Lowest ask level at or above ``level`` that shows size; the ladder's length when there is none up to ``high``."""
    while level <= high:
        if book[ASK, level] > 0:
            return level
        level += 1
    return book.shape[1]


@hot
def refresh_mid(market, book, px_of):
    """Keep bid + ask of the last book that was two-sided and not crossed, as far as the side that is left allows it.

    Nobody marks a position above an offer that nobody takes, nor below a bid that stands alone.
    """
    bid = market["best_bid"]
    ask = market["best_ask"]
    if ask == book.shape[1]:
        if bid >= 0:
            market["mid2_px"] = max(market["mid2_px"], 2 * px_of[bid])
    elif bid < 0:
        market["mid2_px"] = min(market["mid2_px"], 2 * px_of[ask])
    elif bid < ask:
        market["mid2_px"] = px_of[bid] + px_of[ask]


@hot
def set_level(market, book, px_of, side, level, qty):
    """Put ``qty`` lots on a level; best quotes, totals, scan bounds and the mid follow."""
    old = book[side, level]
    book[side, level] = qty
    if qty > 0:
        if level < market["low"]:
            market["low"] = level
        if level > market["high"]:
            market["high"] = level
    if side == BID:
        market["bid_total_qty"] += qty - old
        best = market["best_bid"]
        if qty > 0 and level > best:
            market["best_bid"] = level
        elif qty == 0 and level == best:
            market["best_bid"] = next_bid(book, level - 1, market["low"])
        else:
            return
    else:
        market["ask_total_qty"] += qty - old
        best = market["best_ask"]
        if qty > 0 and level < best:
            market["best_ask"] = level
        elif qty == 0 and level == best:
            market["best_ask"] = next_ask(book, level + 1, market["high"])
        else:
            return
    refresh_mid(market, book, px_of)


@inner
def clear_book(market, book):
    """Empty both sides; the last mid stays."""
    for level in range(market["low"], market["high"] + 1):
        book[BID, level] = 0
        book[ASK, level] = 0
    market["bid_total_qty"] = 0
    market["ask_total_qty"] = 0
    market["best_bid"] = -1
    market["best_ask"] = book.shape[1]
    market["low"] = book.shape[1]
    market["high"] = -1


@inner
def reset_counters(market):
    """Zero what is counted since the last observation."""
    market["bought_qty"] = 0
    market["sold_qty"] = 0
    market["bid_added_qty"] = 0
    market["ask_added_qty"] = 0
    market["bid_removed_qty"] = 0
    market["ask_removed_qty"] = 0
    market["n_events"] = 0
    market["n_prints"] = 0


@kernel
def fresh_market(market, book):
    """A market nothing is known of yet: empty book, mid of one half, no print, no forecast."""
    clear_book(market, book)
    reset_counters(market)
    forget(market["activity"])
    market["open_ns"] = 0
    market["close_ns"] = 0
    market["book_ns"] = 0
    market["trade_ns"] = 0
    market["signal_ns"] = 0
    market["signal_ppm"] = -1
    market["signal_err_ppm"] = 0
    market["latent_ppm"] = -1
    market["anchor_px"] = -1
    market["fair_ppm"] = -1
    market["last_qty"] = 0
    market["mid2_px"] = PX_ONE
    market["last_px"] = -1
    market["last_side"] = -1
    market["status"] = PENDING
    market["payout_px"] = -1
    market["fate"] = UNKNOWN
    market["tick_grid"] = 0
    market["fee"] = 0
    market["in_snapshot"] = 0
    market["sweep_mid2_px"] = PX_ONE
    market["owed_qty"] = 0.0
