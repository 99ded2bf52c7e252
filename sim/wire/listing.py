"""What is known of a market before its first message: what a reader and the header of its tape begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from sim.tape import FeeRates, Header, Market, Source
from sim.types import PX_ONE

Ticks = tuple[tuple[int, int, int], ...]  # ranges (start_px, end_px, step_px)
CENT_TICKS: Ticks = ((0, PX_ONE, 100),)
MILL_TICKS: Ticks = ((0, PX_ONE, 10),)


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A market as its venue lists it."""

    venue: Literal["kalshi", "polymarket"]
    market: Market  # Kalshi's ticker, Polymarket's condition id
    ticks: Ticks  # in force now
    fees: FeeRates  # in force now
    event: str = ""  # Kalshi's event ticker: fees change by event
    base_fees: FeeRates | None = None  # Kalshi: the series' own, in force again where an event's are taken back
    tokens: tuple[str, str] = ("", "")  # Polymarket: of YES and of NO


class Rules:
    """Tick tables and fee schedules of one market as they come to be known; a tape's header lists them."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.tick_tables: tuple[Ticks, ...] = (listing.ticks,)
        known = (listing.fees, listing.base_fees or listing.fees)
        self.fee_schedules: tuple[FeeRates, ...] = tuple(dict.fromkeys(known))

    def ticks_index(self, table: Ticks) -> int:
        """Number of a table, a new one where it has not been seen."""
        if table not in self.tick_tables:
            self.tick_tables = (*self.tick_tables, table)
        return self.tick_tables.index(table)

    def fees_index(self, rates: FeeRates) -> int:
        """Number of a schedule, a new one where it has not been seen."""
        if rates not in self.fee_schedules:
            self.fee_schedules = (*self.fee_schedules, rates)
        return self.fee_schedules.index(rates)

    def header(self, sources: Sequence[Source], notes: Sequence[str] = ()) -> Header:
        """Header of the market's tape, to be sealed with its events."""
        return Header(
            venue=self.listing.venue,
            markets=(self.listing.market,),
            tick_tables=self.tick_tables,
            fee_schedules=self.fee_schedules,
            sources=tuple(sources),
            quotes="stamp" if self.listing.venue == "kalshi" else "order",
            notes=tuple(notes),
        )
