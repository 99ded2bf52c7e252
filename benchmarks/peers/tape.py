"""A made-up level-2 recording that both engines replay: as rows of ``sim.types.EVENT`` and as hftbacktest's.

A market on whole cents between 5 and 95. Every step is one of an order added, an order cancelled or a taker, on a
random side; a taker prints once per level and the level's change follows 2 microseconds later. Where the spread is
wider than a cent, an added order may improve the touch, which moves on about one row in fifty a side, as in the sample
recording. Every row is a message of its own, at a stamp of its own, and stamps are even: a delay with an odd number of
nanoseconds never meets a row.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sim.kernel import inner, kernel
from sim.mathematics import log
from sim.rng import FLOW, below, philox, uniform
from sim.tape import FeeRates, Header, Market, Source, Tape, seal
from sim.types import (
    ASK,
    BID,
    CLEAR,
    END_OF_BATCH,
    EVENT,
    LEVEL,
    LOTS_PER_CONTRACT,
    MICRO_PER_LOT,
    PX_ONE,
    SECOND_NS,
    TRADE,
)

TICK_PX = 100
LEVELS = 99  # the cents an order may name; index i of a book is the price (i + 1) cents
LOWEST, HIGHEST = 5, 95  # cents: the touch stays within
BEHIND = 5  # levels behind the touch that orders reach
OPENING_QTY = 15_000  # lots a level starts with
STEP_QTY = 2  # every size is a multiple: an order of an odd number of lots is never filled by a print to its last lot
START_NS = 1_700_000_000 * SECOND_NS
PRINT_TO_LEVEL_NS = 2_000
GAP_NS = 20_000_000.0  # mean time between steps

# Shares of steps, in 1/100, and mean sizes, in lots
ADDS, CANCELS = 45, 41
ADD_QTY, TAKE_QTY = 4_000.0, 2_000.0
IMPROVE = 35  # of 100 adds that find room inside the spread

# hftbacktest 2.4.4, `hftbacktest/types.py`
PEER_EVENT = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ]
)
PEER_KINDS = {LEVEL: 1, TRADE: 2, CLEAR: 3}
PEER_BOTH_CLOCKS = (1 << 31) | (1 << 30)
PEER_SIDES = {BID: 1 << 29, ASK: 1 << 28, -1: 0}


class _Tape(NamedTuple):
    """What the generator writes to."""

    events: np.ndarray  # (R,) EVENT, sizes in lots
    book: np.ndarray  # (2, LEVELS) int64 lots
    touch: np.ndarray  # (2,) int64 levels: best bid, best ask
    clock: np.ndarray  # (2,) int64: next row, its stamp


@inner
def _write(tape, kind, side, level, qty, wait_ns):
    row = tape.clock[0]
    if row >= len(tape.events):
        return
    tape.clock[0] = row + 1
    tape.clock[1] += wait_ns
    event = tape.events[row]
    event["local_ns"] = tape.clock[1]
    event["venue_ns"] = tape.clock[1]
    event["kind"] = kind
    event["side"] = side
    event["px"] = (level + 1) * TICK_PX
    event["qty"] = qty
    event["seq"] = -1
    event["flags"] = END_OF_BATCH


@inner
def _change(tape, side, level, qty, wait_ns):
    """Set a level and move the touch with it."""
    tape.book[side, level] = qty
    _write(tape, LEVEL, side, level, qty, wait_ns)
    step = -1 if side == BID else 1
    if qty > 0 and (level - tape.touch[side]) * step < 0:
        tape.touch[side] = level
    while tape.book[side, tape.touch[side]] == 0:
        tape.touch[side] += step


@inner
def _may_empty(tape, side, level):
    """Whether a level may vanish: its side keeps another one near, and the touch stays within its bounds."""
    step = -1 if side == BID else 1
    if tape.touch[side] + 1 <= LOWEST if side == BID else tape.touch[side] + 1 >= HIGHEST:
        return False
    for near in range(BEHIND):
        other = tape.touch[side] + step * near
        if other != level and 0 <= other < LEVELS and tape.book[side, other] > 0:
            return True
    return False


@inner
def _size(word, mean):
    return STEP_QTY * (1 + int(math.floor(-log(uniform(word)) * mean / STEP_QTY)))


@inner
def _add(tape, side, where, size, chance, wait_ns):
    step = -1 if side == BID else 1
    level = tape.touch[side] + step * below(where, BEHIND)
    inside = tape.touch[side] - step
    bounded = inside + 1 <= HIGHEST if side == BID else inside + 1 >= LOWEST
    if tape.touch[ASK] - tape.touch[BID] > 1 and bounded and below(chance, 100) < IMPROVE:
        level = inside
    level = min(max(level, 0), LEVELS - 1)
    _change(tape, side, level, tape.book[side, level] + _size(size, ADD_QTY), wait_ns)


@inner
def _cancel(tape, side, where, size, wait_ns):
    """Take a uniform share of a level, up to half of it, out of it."""
    step = -1 if side == BID else 1
    level = min(max(tape.touch[side] + step * below(where, BEHIND), 0), LEVELS - 1)
    shown = tape.book[side, level]
    left = STEP_QTY * int(math.ceil(shown / STEP_QTY * (1.0 - uniform(size) / 2.0)))
    if left < shown:
        _change(tape, side, level, left, wait_ns)


@inner
def _take(tape, taker_side, size, wait_ns):
    side = ASK if taker_side == BID else BID
    left = _size(size, TAKE_QTY)
    while left > 0:
        level = tape.touch[side]
        shown = tape.book[side, level]
        traded = min(left, shown)
        if traded == shown and not _may_empty(tape, side, level):
            traded = shown - STEP_QTY
            left = traded
        if traded == 0:
            return
        _write(tape, TRADE, taker_side, level, traded, wait_ns)
        _change(tape, side, level, shown - traded, PRINT_TO_LEVEL_NS)
        wait_ns = PRINT_TO_LEVEL_NS
        left -= traded


@kernel
def _generate(tape, seed):
    _write(tape, CLEAR, -1, -1, 0, 2)
    for near in range(BEHIND):
        _change(tape, BID, tape.touch[BID] - near, OPENING_QTY, 2)
        _change(tape, ASK, tape.touch[ASK] + near, OPENING_QTY, 2)
    step = 0
    while tape.clock[0] < len(tape.events):
        what, size, where, more = philox(seed, 0, step, FLOW, 0, 0)
        when, chance, _, _ = philox(seed, 0, step, FLOW, 0, 1)
        wait_ns = 2 + 2 * int(math.floor(-log(uniform(when)) * GAP_NS / 2.0))
        side = more & 1
        share = below(what, 100)
        if share < ADDS:
            _add(tape, side, where, size, chance, wait_ns)
        elif share < ADDS + CANCELS:
            _cancel(tape, side, where, size, wait_ns)
        else:
            _take(tape, side, size, wait_ns)
        step += 1


def make_tape(rows: int, seed: int = 0) -> Tape:
    """A tape of ``rows`` EVENT rows, the first 11 of them the opening book; the same for the same arguments.

    Raises ValueError for fewer than 100 rows.
    """
    if rows < 100:
        raise ValueError(f"peers: expected at least 100 rows, got {rows}")
    middle = LEVELS // 2
    tape = _Tape(
        np.zeros(rows, EVENT),
        np.zeros((2, LEVELS), np.int64),
        np.array([middle - 1, middle], np.int64),
        np.array([0, START_NS], np.int64),
    )
    tape.book[BID, middle - 1] = tape.book[ASK, middle] = OPENING_QTY  # the opening rows say so
    _generate(tape, seed)
    tape.events["qty"] *= MICRO_PER_LOT
    tape.events["flags"][: 2 * BEHIND] = 0  # the snapshot is whole with its last row
    last = int(tape.events["local_ns"][-1])
    return seal(
        tape.events,
        Header(
            venue="kalshi",
            markets=(Market("MADE-UP", "a made-up market", START_NS, last + SECOND_NS),),
            tick_tables=(((TICK_PX, PX_ONE - TICK_PX, TICK_PX),),),
            fee_schedules=(FeeRates("free", "kalshi", 0),),
            sources=(Source("benchmarks/peers/tape.py", "", "MIT", ""),),
        ),
    )


def peer_events(events: np.ndarray) -> np.ndarray:
    """``(R,)`` PEER_EVENT of ``events``, an EVENT array with sizes in 1e-6 contract: dollars and contracts, as floats.

    Every row is seen by hftbacktest's exchange and by its trader at the same stamp: no feed delay.
    """
    peer = np.zeros(len(events), PEER_EVENT)
    kinds = np.zeros(256, np.uint64)
    for ours, theirs in PEER_KINDS.items():
        kinds[ours] = theirs
    sides = np.array([PEER_SIDES[BID], PEER_SIDES[ASK], PEER_SIDES[-1]], np.uint64)
    peer["ev"] = kinds[events["kind"]] | sides[events["side"]] | np.uint64(PEER_BOTH_CLOCKS)
    peer["exch_ts"] = events["venue_ns"]
    peer["local_ts"] = events["local_ns"]
    # from whole cents and lots: the closest floats, as a reader of decimal text would get
    peer["px"] = (events["px"] // TICK_PX) / 100.0
    peer["qty"] = (events["qty"] // MICRO_PER_LOT) / LOTS_PER_CONTRACT
    return peer
