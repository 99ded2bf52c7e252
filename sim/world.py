"""What does not change while a batch runs: grid, rules, fees, scenario rows and recordings, as kernels see them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.links import Links
from sim.sets import Sets


class World(NamedTuple):
    """Read-only companion of :class:`sim.state.State`.

    M markets, R rows, C recordings, T tapes of one market each, E events, Q keyframes, L levels.
    """

    px_of: np.ndarray  # (L,) int64
    level_of: np.ndarray  # (10001,) int64
    tick_ok: np.ndarray  # (G, 10001) bool
    ticks: np.ndarray  # (G, 2, 10001) int16, see sim.book.Grid
    fees: np.ndarray  # (F,) FEE
    venue_of: np.ndarray  # (M,) int64: the venue of a market
    fee_of: np.ndarray  # (M,) int64: the fee schedule a synthetic market starts with
    later_fee: np.ndarray  # (M,) int64: the one it changes to, and back
    tick_of: np.ndarray  # (M,) int64: the tick table a synthetic market starts with
    later_tick: np.ndarray  # (M,) int64: the one it changes to, and back
    group_of: np.ndarray  # (M,) int64: the group of a market; see sim.scenarios.portfolio
    pays: np.ndarray  # (M, S) int64: what YES pays in each state of its group, in px
    void_px: np.ndarray  # (M,) int64: what YES pays where its group is void; -1 = the row's `void_payout`
    first_market: np.ndarray  # (G + 1,) int64: the first market of a group, and one past the last
    first_state: np.ndarray  # (G + 1,) int64: the first belief of a group, and one past the last
    rows: np.ndarray  # (R x W,) COMPILED_ROW: a row for all markets, W = 1, or one for each, W = M
    row_width: int  # W
    row_ends: np.ndarray  # (R,) int64: where each row's share of the words ends, see sim.rng.share_ends
    recordings: np.ndarray  # (C, M) int64: the tape of each market of a recording
    events: np.ndarray  # (E,) EVENT, sizes in lots
    tape_first: np.ndarray  # (T,) int64: first event
    tape_last: np.ndarray  # (T,) int64: one past the last event
    tape_prints: np.ndarray  # (T,) bool: the feed shows trades
    key_first: np.ndarray  # (T,) int64: first keyframe
    key_last: np.ndarray  # (T,) int64: one past the last keyframe
    key_cursor: np.ndarray  # (Q,) int64: the event a keyframe goes on with
    key_ns: np.ndarray  # (Q,) int64
    key_market: np.ndarray  # (Q,) MARKET
    key_book: np.ndarray  # (Q, 2, L) int64
    replay_share_ppm: int  # probability that an episode is a replay
    links: Links  # relations between the markets
    sets: Sets  # which of them net
    # 1: environment i plays recording i from its start, or without recordings row i; 0: a random one from a random
    # keyframe, and a random row
    sequential: int
