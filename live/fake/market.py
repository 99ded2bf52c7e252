"""The simulated side: EVENT rows of many markets in the order of their time, on the clock of whoever asks.

Two sources: synthetic markets, one after the other in each series, and tapes. Both are generated lazily: a venue may
run for days.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Literal

from live.stamps import text_of
from sim import tape
from sim.scenarios.portfolio import Place, single
from sim.scenarios.record import record
from sim.scenarios.row import make_rows
from sim.tape import FeeRates, Market, Tape
from sim.types import CLOSED, FEES, SECOND_NS, SETTLE, STATUS, TICKS
from sim.venues import VENUES
from sim.venues.kalshi import MAKER_SHARES, TAKER_PPM
from sim.wire.listing import Listing, Ticks
from sim.wire.units import Row

VenueName = Literal["kalshi", "polymarket"]

SETTLES_AFTER_NS = 5 * SECOND_NS  # crypto markets of 15 minutes settle 4.5 to 6 s after their close

# What the series of a synthetic venue have, in turn: fee type or category, label of the tick table.
_VARIETY: dict[str, tuple[tuple[str, str], ...]] = {
    "kalshi": (
        ("quadratic", "linear_cent"),
        ("quadratic_with_maker_fees", "tapered_deci_cent"),
        ("quadratic", "deci_cent"),
    ),
    "polymarket": (("crypto", "0.01"), ("sports", "0.001"), ("geopolitics", "0.01")),
}


def _scaled(ns: int, speed: float) -> int:
    return ns if speed == 1.0 else int(Fraction(ns) / Fraction(str(speed)))


def _check_speed(speed: float) -> None:
    if not 0.001 <= speed <= 1e6:
        raise ValueError(f"speed {speed}; expected 0.001 to 1e6 market seconds per second")


@dataclass
class Markets:
    """Markets and what will become of them.

    Attributes:
        venue: whose.
        listings: the markets; a row's ``market`` counts them.
        tables: tick tables that TICKS rows number.
        schedules: fee rates that FEES rows number.
        rows: what happens, by rising ``local_ns``.
    """

    venue: VenueName
    listings: list[Listing]
    tables: tuple[Ticks, ...]
    schedules: tuple[FeeRates, ...]
    rows: Iterable[Row]
    _iterator: Iterator[Row] = field(init=False, repr=False)
    _ahead: Row | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._iterator = iter(self.rows)
        self._ahead = next(self._iterator, None)

    @property
    def next_ns(self) -> int | None:
        """When the next row is due; None after the last."""
        return None if self._ahead is None else self._ahead[0]

    def due(self, now_ns: int) -> Iterator[Row]:
        """Rows up to ``now_ns`` that were not told yet, one at a time."""
        while self._ahead is not None and self._ahead[0] <= now_ns:
            row, self._ahead = self._ahead, next(self._iterator, None)
            yield row


@dataclass(frozen=True)
class Synthetic:
    """Series of generated markets: in each, one market follows the other. Raises ValueError for what cannot be.

    Attributes:
        series: how many run side by side.
        rounds: markets of one series.
        life_s: from a market's opening to its close, market time.
        pause_s: from a close to the next market's opening, market time; settlement comes in between.
        speed: market seconds per second.
    """

    series: int = 4
    rounds: int = 96
    life_s: float = 900.0
    pause_s: float = 10.0
    speed: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.series * self.rounds <= 60_000 or self.series < 1:
            raise ValueError(f"{self.series} series of {self.rounds} markets; expected 1 to 60,000 markets in all")
        if not 1 <= self.life_s <= 1e6 or not SETTLES_AFTER_NS / SECOND_NS < self.pause_s <= 1e6:
            raise ValueError(f"life of {self.life_s} s, pause of {self.pause_s} s; expected 1 to 1e6 and 5 to 1e6")
        _check_speed(self.speed)


def synthetic(venue: VenueName, start_ns: int, seed: int = 0, spec: Synthetic = Synthetic()) -> Markets:
    """Generated markets of a venue from ``start_ns`` on; the same for the same arguments."""
    variety = _VARIETY[venue]
    period_ns = round((spec.life_s + spec.pause_s) * SECOND_NS / spec.speed)
    life_ns = round(spec.life_s * SECOND_NS / spec.speed)
    listings: list[Listing] = []
    streams = []
    for number in range(spec.series):
        fees, label = variety[number % len(variety)]
        first = len(listings)
        opens = [start_ns + period_ns * turn for turn in range(spec.rounds)]
        listings += [_listing(venue, number, open_ns, open_ns + life_ns, fees, label) for open_ns in opens]
        place = Place(venue, fees=fees, ticks=label)
        streams.append(_series(spec, place, opens, first, (seed * 1_000_003 + number) % 2**31))
    tables = tuple(dict.fromkeys(one.ticks for one in listings))
    schedules = tuple(dict.fromkeys(one.fees for one in listings))
    return Markets(venue, listings, tables, schedules, heapq.merge(*streams, key=lambda row: row[0]))


def _series(spec: Synthetic, place: Place, opens: Sequence[int], first: int, seed: int) -> Iterator[Row]:
    """Rows of one series, generated market by market."""
    row = make_rows(1, life_s=spec.life_s)
    for turn, open_ns in enumerate(opens):
        events = record(row, spec.life_s + 2.0, (seed + turn * 7919) % 2**31, portfolio=single(place))[0]
        zero_ns = int(events["local_ns"][0])
        for told in events.tolist():
            at_ns = open_ns + _scaled(told[0] - zero_ns, spec.speed)
            if told[7] == SETTLE:  # generated markets settle at their close
                yield (at_ns, at_ns, CLOSED, 0, -1, 1, first + turn, STATUS, -1)
                at_ns += _scaled(SETTLES_AFTER_NS, spec.speed)
            yield (at_ns, at_ns, *told[2:6], first + turn, *told[7:])


def _listing(venue: VenueName, number: int, open_ns: int, close_ns: int, fees: str, label: str) -> Listing:
    rules = VENUES[venue]
    schedule = rules.fee_schedule(fees)
    rates = FeeRates(fees if venue == "polymarket" else f"{fees} x 1", venue, schedule.taker_ppm, schedule.maker_ppm)
    ticks = tuple((int(a), int(b), int(step)) for a, b, step in rules.tick_table(label))
    suffix = "".join(c for c in text_of(open_ns)[2:19] if c.isdigit())
    event = f"KXFAKE{number}-{suffix}"
    title = f"Synthetic market {number}, opened {text_of(open_ns)}"
    if venue == "kalshi":
        market = Market(f"{event}-YES", title, open_ns, close_ns)
        return Listing(venue, market, ticks, rates, event=event, base_fees=rates)
    return Listing(venue, Market(_condition(event), title, open_ns, close_ns), ticks, rates, tokens=_tokens(event))


def _condition(name: str) -> str:
    return f"0x{sha256(name.encode()).hexdigest()}"


def _tokens(name: str) -> tuple[str, str]:
    """Two token ids: 77 digits, as the venue's."""
    yes, no = (int.from_bytes(sha256(f"{name}/{leg}".encode()).digest()) % 10**76 + 10**76 for leg in ("yes", "no"))
    return str(yes), str(no)


def from_tapes(
    paths: Sequence[str | Path], start_ns: int | None = None, speed: float = 1.0, venue: VenueName | None = None
) -> Markets:
    """Recorded markets, read from tapes of one venue.

    Args:
        paths: tapes; each keeps its own markets.
        start_ns: when their first event happens again, the distances between the tapes kept; None = at their stamps.
        speed: market seconds per second; only with ``start_ns``.
        venue: who is to tell them; None = who they were recorded of.

    Raises TapeError for what is no tape, ValueError for none, for two venues or a speed without a start.
    """
    tapes = [tape.read(path) for path in paths]
    venues = {one.header.venue for one in tapes}
    if len(venues) != 1 or (venue is not None and venue not in venues):
        raise ValueError(f"tapes of {sorted(venues) or 'no venue'}; expected one or more of {venue or 'one venue'}")
    _check_speed(speed)
    if start_ns is None and speed != 1.0:
        raise ValueError(f"speed {speed} at the tapes' own stamps; expected 1, or a start to count from")
    zero_ns = min((int(one.events["local_ns"].min()) for one in tapes if len(one.events)), default=0)
    tables = tuple(dict.fromkeys(table for one in tapes for table in one.header.tick_tables))
    schedules = tuple(dict.fromkeys(rates for one in tapes for rates in one.header.fee_schedules))
    listings: list[Listing] = []
    streams = []
    for one in tapes:
        when = _When(zero_ns, start_ns, speed)
        streams.append(_replay(one, len(listings), when, tables, schedules))
        listings += [_recorded(one, index, when) for index in range(len(one.header.markets))]
    return Markets(
        tapes[0].header.venue, listings, tables, schedules, heapq.merge(*streams, key=lambda row: row[0])
    )  # fmt: skip


@dataclass(frozen=True)
class _When:
    """A tape's time to the clock's."""

    zero_ns: int
    start_ns: int | None
    speed: float

    def of(self, ns: int) -> int:
        return ns if self.start_ns is None or not ns else self.start_ns + _scaled(ns - self.zero_ns, self.speed)


def _replay(
    one: Tape, first: int, when: _When, tables: tuple[Ticks, ...], schedules: tuple[FeeRates, ...]
) -> Iterator[Row]:
    """A tape's rows at their new times and numbers. Time never runs backwards: a row that does waits for its turn."""
    latest_ns = 0
    for at in range(0, len(one.events), 1 << 15):
        for told in one.events[at : at + (1 << 15)].tolist():
            local_ns, venue_ns, qty, px, seq, flags, market, kind, side = told
            latest_ns = max(latest_ns, when.of(local_ns))
            if kind == TICKS:
                qty = tables.index(one.header.tick_tables[qty])
            elif kind == FEES:
                qty = schedules.index(one.header.fee_schedules[qty])
            yield (latest_ns, when.of(venue_ns), qty, px, seq, flags, first + market, kind, side)


def _recorded(one: Tape, index: int, when: _When) -> Listing:
    header = one.header
    market = header.markets[index]
    moved = Market(market.id, market.title, when.of(market.open_ns), when.of(market.close_ns))
    ticks, rates = header.tick_tables[0], header.fee_schedules[0]
    if header.venue == "kalshi":
        event = market.id.rpartition("-")[0] or market.id
        return Listing("kalshi", moved, ticks, rates, event=event, base_fees=rates)
    return Listing("polymarket", moved, ticks, rates, tokens=_tokens(market.id))


def kalshi_fee(rates: FeeRates) -> tuple[str, float]:
    """Kalshi's words for rates: fee type and multiplier. Raises ValueError for rates that no type has."""
    multiplier = Fraction(rates.rate_ppm, TAKER_PPM)
    for name, share in MAKER_SHARES.items():
        if rates.maker_ppm == rates.rate_ppm * share:
            return name, float(multiplier)
    raise ValueError(f"fee rates {rates}: no fee type of Kalshi's has makers pay that share")
