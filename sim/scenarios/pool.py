"""A pool of tapes made ready for the kernels: one event array, one ladder, keyframes to start episodes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.book import Grid, fresh_market
from sim.desk import Desk
from sim.scenarios.replay import find_keyframes
from sim.state import MARKET, allocate
from sim.tape import Tape
from sim.types import (
    CLOSED,
    DELTA,
    EVENT,
    FEES,
    HALTED,
    LEVEL,
    MICRO_PER_LOT,
    OPEN,
    PENDING,
    SECOND_NS,
    STATUS,
    TICKS,
    TRADE,
)
from sim.world import World

KEYFRAME_S = 15.0  # an episode that starts inside a tape starts at one of these


@dataclass(frozen=True)
class TapePool:
    """T tapes, E events, Q keyframes, L ladder levels; field by field what :class:`sim.world.World` holds."""

    names: tuple[str, ...]
    digests: tuple[str, ...]
    events: np.ndarray
    tape_first: np.ndarray
    tape_last: np.ndarray
    tape_prints: np.ndarray
    key_first: np.ndarray
    key_last: np.ndarray
    key_cursor: np.ndarray
    key_ns: np.ndarray
    key_market: np.ndarray
    key_book: np.ndarray


def empty_pool(num_levels: int) -> TapePool:
    """The pool of a scenario without recordings."""
    none = np.zeros(0, np.int64)
    return TapePool(
        (), (), np.zeros(0, EVENT), none, none, np.zeros(0, np.bool_), none, none, none, none,
        np.zeros(0, MARKET), np.zeros((0, 2, num_levels), np.int64),
    )  # fmt: skip


def events_in_lots(tape: Tape, name: str, grid: Grid, tick_offset: int, fee_offset: int) -> np.ndarray:
    """The tape's rows with sizes in lots and table indices made global.

    A size finer than a lot is floored, as an engine that trades lots must; a signed change that is not a whole number
    of lots cannot be floored without drift and is refused, as is a price off the ladder. Raises ValueError naming
    tape and row.
    """
    events = tape.events.copy()
    kind = events["kind"]
    sized = (kind == DELTA) | (kind == LEVEL) | (kind == TRADE)
    broken = (kind == DELTA) & (events["qty"] % MICRO_PER_LOT != 0)
    if broken.any():
        row = int(np.argmax(broken))
        raise ValueError(
            f"tape {name}, row {row}: a change of {events['qty'][row]} x 1e-6 contracts is not a whole number of lots"
        )
    priced = (kind == DELTA) | (kind == LEVEL)
    unknown = (kind == STATUS) & ((events["qty"] < PENDING) | (events["qty"] > CLOSED)) & (events["qty"] != HALTED)
    if unknown.any():
        row = int(np.argmax(unknown))
        raise ValueError(
            f"tape {name}, row {row}: STATUS {events['qty'][row]}; expected {PENDING} (pending) to {CLOSED} (closed) "
            f"or {HALTED} (halted): "
            "what a market pays is said by SETTLE"
        )
    off = priced & (grid.level_of[np.where(priced, events["px"], 0)] < 0)
    if off.any():
        row = int(np.argmax(off))
        raise ValueError(f"tape {name}, row {row}: price {events['px'][row]} x 1e-4 lies on none of its tick tables")
    events["qty"][sized] //= MICRO_PER_LOT
    events["qty"][kind == TICKS] += tick_offset
    events["qty"][kind == FEES] += fee_offset
    return events


def build_pool(
    tapes: Sequence[Tape],
    names: Sequence[str],
    world: World,
    grid: Grid,
    tick_offsets: Sequence[int],
    fee_offsets: Sequence[int],
) -> TapePool:
    """Concatenate ``tapes`` and find their keyframes. ``world`` brings grid, fees and rows; its tapes are ignored."""
    parts = [
        events_in_lots(tape, name, grid, ticks, fees)
        for tape, name, ticks, fees in zip(tapes, names, tick_offsets, fee_offsets, strict=True)
    ]
    last = np.cumsum([len(part) for part in parts], dtype=np.int64)
    first = last - np.array([len(part) for part in parts], np.int64)
    events = np.concatenate(parts)
    prints = np.array([(part["kind"] == TRADE).any() for part in parts])
    world = world._replace(events=events, tape_first=first, tape_last=last, tape_prints=prints)
    keys = [
        _keyframes(world, index, tape, names[index], len(grid.px_of), tick_offsets[index], fee_offsets[index])
        for index, tape in enumerate(tapes)
    ]
    key_last = np.cumsum([len(ns) for ns, *_ in keys], dtype=np.int64)
    return TapePool(
        names=tuple(names),
        digests=tuple(tape.header.digest for tape in tapes),
        events=events,
        tape_first=first,
        tape_last=last,
        tape_prints=prints,
        key_first=key_last - np.array([len(ns) for ns, *_ in keys], np.int64),
        key_last=key_last,
        key_cursor=np.concatenate([cursors for _, cursors, _, _ in keys]),
        key_ns=np.concatenate([ns for ns, *_ in keys]),
        key_market=np.concatenate([markets for _, _, markets, _ in keys]),
        key_book=np.concatenate([books for *_, books in keys]),
    )


def _keyframes(
    world: World, index: int, tape: Tape, name: str, num_levels: int, tick_offset: int, fee_offset: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Stamps, cursors, MARKET records and books of one tape's keyframes."""
    market = tape.header.markets[0]
    first = int(world.tape_first[index])
    events = world.events[first : int(world.tape_last[index])]
    every = int(KEYFRAME_S * SECOND_NS)
    count = 0
    while True:
        desk = _fresh_desk(world, num_levels, bool(world.tape_prints[index]))
        desk.market["open_ns"], desk.market["close_ns"] = market.open_ns, market.close_ns
        desk.market["tick_grid"], desk.market["fee"] = tick_offset, fee_offset
        ns, cursors = np.zeros(count, np.int64), np.zeros(count, np.int64)
        markets, books = np.zeros(count, MARKET), np.zeros((count, 2, num_levels), np.int64)
        found = find_keyframes(desk, events, first, every, ns, cursors, markets, books)
        if found < 0:
            raise ValueError(
                f"tape {name}, row {-1 - found}: the change leaves a negative size; run `python -m sim.tape validate`"
            )
        if found == 0:
            raise ValueError(f"tape {name}: no whole message batch while its market was open: nothing to start from")
        if found == count:
            return ns, cursors, markets, books
        count = found


def _fresh_desk(world: World, num_levels: int, has_prints: bool) -> Desk:
    """A desk with an empty book and an open market, on memory of its own."""
    state = allocate(1, num_levels, replay=True)
    fresh_market(state.market[0], state.book[0])
    state.market["has_prints"] = has_prints
    state.market["status"] = OPEN
    return Desk(
        state.account[0], state.pool[0, 0], state.market[0], state.book[0], world.rows[0], world.px_of, world.level_of,
        world.fees, world.ticks,
    )  # fmt: skip
