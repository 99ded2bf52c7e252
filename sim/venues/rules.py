"""The shape of a venue's rules, and what a tick table allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sim.types import PX_ONE
from sim.venues.fees import FeeSchedule
from sim.venues.orders import OrderSpec
from sim.venues.pauses import WeeklyPause


class TickRange(NamedTuple):
    """Every ``step_px`` from ``start_px`` to ``end_px``, both ends included, in 1e-4 dollar."""

    start_px: int
    end_px: int
    step_px: int


class Source(NamedTuple):
    """Where a rule was read, and as of when."""

    what: str
    where: str
    date: str  # ISO 8601


TickTable = tuple[TickRange, ...]


@dataclass(frozen=True)
class VenueRules:
    """One venue's rules as data. What a market says of itself (ticks, fees, minimum) goes before these defaults."""

    name: str
    netting: bool  # True: YES and NO of one market net at once and free $1 a pair; False: merged on request
    min_qty: int  # smallest order, lots
    ticks: Mapping[str, TickTable]  # by the venue's label
    default_ticks: str
    fees: Mapping[str, FeeSchedule]  # by fee type or category
    default_fee: str
    orders: OrderSpec  # kinds, limits and refusals
    self_trade: Mapping[str, int]  # the venue's word -> who gives way, see sim.venues.amend; the first is the default
    pauses: tuple[WeeklyPause, ...]  # planned ones
    amends: bool  # True: an order shrinks in place and keeps its priority; False: it is cancelled and placed anew
    settlement: tuple[str, ...]  # what the simulator must not take for granted
    sources: tuple[Source, ...]

    def tick_table(self, label: str = "") -> TickTable:
        """The ranges of a label, "" = the default one.

        Raises ValueError where the label is unknown: then use the market's own ranges.
        """
        label = label or self.default_ticks
        if label not in self.ticks:
            raise ValueError(
                f"{self.name}: no tick table {label!r}; known are {', '.join(self.ticks)}. "
                "A market's own price ranges come before its label: pass those"
            )
        return self.ticks[label]

    def fee_schedule(self, name: str = "") -> FeeSchedule:
        """The schedule of a fee type or category, "" = the default one. Raises ValueError where it is unknown."""
        name = name or self.default_fee
        if name not in self.fees:
            raise ValueError(f"{self.name}: no fee schedule {name!r}; known are {', '.join(self.fees)}")
        return self.fees[name]

    def self_trade_mode(self, name: str = "") -> int:
        """Who gives way when two of our orders meet, "" = the default. Raises ValueError where it is unknown."""
        name = name or next(iter(self.self_trade))
        if name not in self.self_trade:
            raise ValueError(f"{self.name}: no self-trade prevention {name!r}; known are {', '.join(self.self_trade)}")
        return self.self_trade[name]

    def source(self, topic: str) -> Source:
        """Where a topic was read: the first source that names it. Raises ValueError where none does."""
        for item in self.sources:
            if topic in item.what:
                return item
        raise ValueError(f"{self.name}: no source about {topic!r}; known are {', '.join(s.what for s in self.sources)}")


def whole(step_px: int) -> TickTable:
    """One step over the whole of [0, 1]."""
    return (TickRange(0, PX_ONE, step_px),)


def edged(edge_px: int, edge_step_px: int, centre_step_px: int) -> TickTable:
    """One step within ``edge_px`` of 0 and of 1, another between."""
    return (
        TickRange(0, edge_px, edge_step_px),
        TickRange(edge_px, PX_ONE - edge_px, centre_step_px),
        TickRange(PX_ONE - edge_px, PX_ONE, edge_step_px),
    )


def tick_prices(ranges: Iterable[tuple[int, int, int]]) -> np.ndarray:
    """Sorted int32 array of the prices that ``ranges`` of (start_px, end_px, step_px) allow.

    0 and 10000 are never among them: an order's price lies between the first tick and 1 less that tick. Ranges may
    touch, and may leave a gap. Raises ValueError where there is none, where one leaves [0, 10000] or is empty, where a
    step is not positive or does not divide its range, or where two overlap.
    """
    table = sorted(TickRange(*(int(x) for x in item)) for item in ranges)
    if not table:
        raise ValueError("tick table: no ranges; expected at least one (start_px, end_px, step_px)")
    for index, item in enumerate(table):
        _check_range(item)
        if index and item.start_px < table[index - 1].end_px:
            raise ValueError(f"tick table: {_text(table[index - 1])} and {_text(item)} overlap")
    prices = np.unique(np.concatenate([np.arange(r.start_px, r.end_px + 1, r.step_px, dtype=np.int32) for r in table]))
    return prices[(prices > 0) & (prices < PX_ONE)]


def _check_range(item: TickRange) -> None:
    start, end, step = item
    if not 0 <= start < end <= PX_ONE:
        raise ValueError(f"tick table: {_text(item)} is not an interval within [0, {PX_ONE}]")
    if step <= 0 or (end - start) % step:
        raise ValueError(f"tick table: the step of {_text(item)} does not divide its length {end - start}")


def _text(item: TickRange) -> str:
    return f"range [{item.start_px}, {item.end_px}] step {item.step_px} (1e-4 dollar)"
