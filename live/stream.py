"""Markets whose tapes are still being written, as the engine plays them.

The engine reads recordings. Here the recordings begin with each market's first whole book, and what a venue says after
that is put behind: everyone who plays them, a policy's paper account or a baseline's, sees the same events, by the
code that replays tapes. What lies ahead of the last event is a row that never comes, so that no recording is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.engine import Engine
from sim.latency import NEVER_NS
from sim.scenarios import Scenario
from sim.scenarios.portfolio import Place
from sim.scenarios.row import default_rows
from sim.tape import seal
from sim.types import CLEAR, DELTA, END_OF_BATCH, EVENT, FEES, GAP, LEVEL, MICRO_PER_LOT, SETTLE, TICKS, TRADE
from sim.wire.listing import Rules
from sim.wire.units import Row

_SIZED = (DELTA, LEVEL, TRADE)


class StreamError(ValueError):
    """A row that no engine can play: names market and row, and what would do."""


@dataclass(frozen=True)
class Opening:
    """What a stream begins with."""

    rules: tuple[Rules, ...]  # of each market: listing, tick tables and fee schedules as known now
    rows: tuple[list[Row], ...]  # of each market, up to and with its first whole book

    @property
    def ready(self) -> bool:
        """Whether every market has told a whole book."""
        return all(any(row[7] == CLEAR for row in rows) and rows[-1][5] & END_OF_BATCH for rows in self.rows)


class Stream:
    """M markets' events, growing.

    Args:
        opening: the first whole books; ``ready``.
        row: delays and fill parameters of the accounts that trade on it, as in a replay; default the default row.
        capacity: events a market keeps before what everyone has played is thrown away.

    Raises ValueError where a market has no whole book yet, or told more than fits before the others had theirs.
    """

    def __init__(self, opening: Opening, row: np.ndarray | None = None, capacity: int = 1 << 18) -> None:
        if not opening.ready:
            raise ValueError("stream: a market has not told a whole book yet; wait for its snapshot")
        for rules, rows in zip(opening.rules, opening.rows, strict=True):
            if len(rows) >= capacity - 1:
                raise ValueError(
                    f"stream: {rules.listing.market.id} told {len(rows):,} rows before every market had told its book; "
                    f"{capacity - 2:,} fit: begin with markets that trade now"
                )
        self.rules = opening.rules
        tapes = tuple(
            seal(_events(rows), rules.header(())) for rules, rows in zip(opening.rules, opening.rows, strict=True)
        )
        self.scenario = Scenario(
            rows=default_rows() if row is None else row,
            places=tuple(Place(rules.listing.venue) for rules in opening.rules),
            tapes=tapes,
            names=tuple(rules.listing.market.id for rules in opening.rules),
            replay_share=1.0,
            sequential=True,
        )
        self._capacity = capacity
        self._events = np.zeros(capacity * len(tapes), EVENT)
        self._stamps = self._events["local_ns"]
        self._end = [0] * len(tapes)  # of each market, where its next event goes
        self._legal = self.scenario.grid.level_of >= 0
        self._ticks, self._fees = self.scenario.tape_offsets
        self._unknown = np.zeros(len(tapes), np.bool_)
        self._broken = [""] * len(tapes)  # why a market cannot go on
        self.events = 0  # put behind so far
        self._settled = [False] * len(tapes)
        self.late = 0  # of these, rows whose stamp had been played already
        self.played_ns = 0  # up to when the accounts have played
        self._engine: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Let ``engine``, made on this stream's scenario and before its first reset, play what will come."""
        if engine.scenario is not self.scenario:
            raise ValueError("stream: expected an engine on the stream's own scenario")
        world = engine.world
        first = np.arange(len(world.tape_first)) * self._capacity
        last = first + (world.tape_last - world.tape_first)
        cursor, keyframes = world.key_cursor.copy(), world.key_market.copy()
        for tape, begin in enumerate(first):
            self._events[begin : last[tape]] = world.events[world.tape_first[tape] : world.tape_last[tape]]
            self._end[tape] = int(last[tape])
            self._close(tape)
            keys = slice(world.key_first[tape], world.key_last[tape])
            cursor[keys] += begin - world.tape_first[tape]
        keyframes["has_prints"] = True  # they may come
        engine.world = world._replace(
            events=self._events, tape_first=first, tape_last=last + 1, key_cursor=cursor, key_market=keyframes,
            tape_prints=np.ones(len(first), np.bool_),
        )  # fmt: skip
        self._engine = engine
        self._cursors = engine.state.market["cursor"].reshape(engine.num_envs, -1)
        self._ends = engine.state.market["cursor_end"].reshape(engine.num_envs, -1)
        self._clock = engine.state.clock

    @property
    def unknown(self) -> np.ndarray:
        """``(M,)`` bool, no copy: a market's book is not known.

        Messages were lost and no snapshot came since, or it cannot go on.
        """
        return self._unknown

    @property
    def over(self) -> bool:
        """Whether every market has been told to settle: nothing more will come."""
        return all(self._settled)

    def append(self, rows: Sequence[Row]) -> None:
        """Put rows behind, in the order in which they hold. Those of a market that is lost wait for its CLEAR.

        A row that comes after its moment was played is played at once, as a replay does, and counted in ``late``: the
        decisions of a replay of these rows would have seen it earlier.

        Raises StreamError for a level's price off the ladder, a change that is not whole lots, or rules that were not
        known at the beginning, once the other rows are behind; that market is lost for good.
        """
        grown: set[int] = set()
        try:
            broken = [error for row in rows if (error := self._take(row, grown)) is not None]
        finally:
            for index in grown:
                self._close(index)
        if broken:
            raise broken[0]

    def _take(self, row: Row, grown: set[int]) -> StreamError | None:
        """Put a row behind, if its market can go on; ``grown``: markets that have had one in this call."""
        index, kind = row[6], row[7]
        if kind in (GAP, CLEAR):
            self._unknown[index] = kind == GAP or bool(self._broken[index])
        if kind == GAP or self._broken[index] or (kind in _SIZED and self._unknown[index]):
            return None
        if row[0] <= self.played_ns:
            self.late += 1
        try:
            self._put(index, row)
        except StreamError as error:
            self._broken[index] = str(error)
            self._unknown[index] = True
            return error
        if index not in grown:
            grown.add(index)
            self._wake(index, row[0])
        return None

    def _put(self, index: int, row: Row) -> None:
        local_ns, venue_ns, qty, px, seq, flags, _, kind, side = row
        if kind in _SIZED:
            qty = self._lots(index, row)
        elif kind in (TICKS, FEES):
            qty = self._number(index, kind, qty)
        end = self._end[index]
        if end + 1 >= (index + 1) * self._capacity:
            end = self._compact(index)
        self._events[end] = (local_ns, venue_ns, qty, px, seq, flags, index, kind, side)
        self._end[index] = end + 1
        self.events += 1
        self._settled[index] |= kind == SETTLE

    def _wake(self, index: int, local_ns: int) -> None:
        """An event came, the last one put: accounts that have played what came before it wait for it."""
        if self._engine is None:
            return
        last = self._end[index] - 1
        for account in range(len(self._cursors)):
            if self._cursors[account, index] == last:
                self._clock[account, index] = min(self._clock[account, index], local_ns)

    def _lots(self, index: int, row: Row) -> int:
        """A size in lots: prints and levels are floored, a change must be whole."""
        qty, px, kind = row[2], row[3], row[7]
        if kind == DELTA and qty % MICRO_PER_LOT:
            raise self._unplayable(index, f"a change of {qty} x 1e-6 contracts, which is not whole lots")
        if kind != TRADE and not self._legal[px]:
            raise self._unplayable(index, f"a level at {px} x 1e-4 dollar, which is on none of its tick tables")
        return qty // MICRO_PER_LOT

    def _number(self, index: int, kind: int, number: int) -> int:
        """A tick table's or fee schedule's place in the world's tables."""
        header = self.scenario.tapes[index].header
        what, known, first = (
            ("tick table", header.tick_tables, self._ticks)
            if kind == TICKS
            else ("fee schedule", header.fee_schedules, self._fees)
        )
        if number >= len(known):
            raise self._unplayable(index, f"a {what} that was not known when the stream began")
        return number + first[index]

    def _unplayable(self, index: int, what: str) -> StreamError:
        market = self.rules[index].listing.market.id
        return StreamError(f"{market}: {what}; begin a new stream with the market's rules as they are now")

    def _close(self, index: int) -> None:
        """The row that never comes, as the last one of which the accounts know."""
        end = self._end[index]
        self._stamps[end] = NEVER_NS
        if self._engine is not None:
            self._ends[:, index] = end + 1

    def _compact(self, index: int) -> int:
        """Throw away what every account has played; where the next event goes."""
        begin, end = index * self._capacity, self._end[index]
        playing = self._engine is not None and self._engine.state.account["done"] == 0
        played = int(self._cursors[playing, index].min()) if np.any(playing) else end
        if played == begin:
            market = self.rules[index].listing.market.id
            raise OverflowError(f"{market}: {self._capacity} events have not been played; advance the accounts first")
        left = end - played
        self._events[begin : begin + left] = self._events[played:end].copy()
        self._end[index] = begin + left
        if self._engine is not None:
            self._cursors[:, index] -= played - begin
        self._close(index)
        return begin + left


def _events(rows: Sequence[Row]) -> np.ndarray:
    """Rows of one market as a tape has them."""
    events = np.array(list(rows), EVENT)
    events["market"] = 0
    return events
