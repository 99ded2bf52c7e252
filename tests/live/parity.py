"""A synthetic session told in a venue's wire format, and an environment that replays its tape: what parity compares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.vector import TradingVectorEnv
from live.session import Session
from live.stream import Opening, Stream
from sim.scenarios import Scenario
from sim.scenarios.portfolio import Place
from sim.scenarios.record import record
from sim.scenarios.row import benchmark_rows, default_rows
from sim.tape import FeeRates, Market, seal
from sim.types import SECOND_NS
from sim.wire import kalshi_writer, polymarket_writer
from sim.wire.kalshi import KalshiReader
from sim.wire.listing import CENT_TICKS, Listing
from sim.wire.polymarket import PolymarketReader

SETTINGS = {"limits": "balanced", "window_s": float("inf"), "flatten": True, "dt_s": 1.0}
SECONDS = 90.0


class Told(NamedTuple):
    """A session: its events, market by market, and what the venue's socket says of them."""

    venue: str
    listings: list[Listing]
    events: list[np.ndarray]
    frames: list[tuple[int, bytes]]


def tell(venue: str, markets: int, seconds: float = SECONDS, rows: np.ndarray | None = None) -> Told:
    """``markets`` synthetic markets on one connection."""
    rows = benchmark_rows()[:1] if rows is None else rows
    fees = FeeRates("crypto", venue, 70_000)
    listings = [
        Listing(venue, Market(f"TEST-{m}", f"TEST-{m}"), CENT_TICKS, fees, tokens=(f"1{m}", f"2{m}"))
        for m in range(markets)
    ]
    events = [record(rows, seconds, seed=m)[0] for m in range(markets)]
    for number, one in enumerate(events):
        one["market"] = number
    together = np.concatenate(events)
    together = together[np.argsort(together["local_ns"], kind="stable")]
    writers = {"kalshi": kalshi_writer, "polymarket": polymarket_writer}[venue]
    writer = (writers.KalshiWriter if venue == "kalshi" else writers.PolymarketWriter)(listings)
    return Told(venue, listings, events, list(writers.frames_of(writer, together)))


def reader_of(told: Told):
    return (KalshiReader if told.venue == "kalshi" else PolymarketReader)(told.listings)


def replaying(told: Told, reader, **settings) -> TradingVectorEnv:
    """An environment that replays the tapes of a session."""
    tapes = []
    for number, one in enumerate(told.events):
        rows = one.copy()
        rows["market"] = 0
        tapes.append(seal(rows, reader.rules[number].header(())))
    scenario = Scenario(
        rows=default_rows(), places=(Place(told.venue),) * len(tapes), tapes=tuple(tapes),
        names=tuple(listing.market.id for listing in told.listings), replay_share=1.0, sequential=True,
    )  # fmt: skip
    return TradingVectorEnv(1, scenario=scenario, **SETTINGS | settings)


class Beside:
    """A session fed frame by frame; ``until`` feeds all that arrive up to a moment."""

    def __init__(self, told: Told, accounts: int = 1, capacity: int = 1 << 18, **settings) -> None:
        self.reader, self._frames, self._next = reader_of(told), told.frames, 0
        rows: tuple[list, ...] = tuple([] for _ in told.listings)
        opening = Opening(tuple(self.reader.rules), rows)
        while not opening.ready:
            for row in self._read().rows:
                rows[row[6]].append(row)
        self.stream = Stream(opening, capacity=capacity)
        self.env = TradingVectorEnv(accounts, scenario=self.stream.scenario, **SETTINGS | settings)
        self.session = Session(self.env, self.stream)

    def _read(self):
        local_ns, frame = self._frames[self._next]
        self._next += 1
        return self.reader.take(frame, local_ns)

    @property
    def over(self) -> bool:
        return self._next == len(self._frames)

    def until(self, ns: int) -> None:
        while not self.over and self._frames[self._next][0] <= ns:
            self.stream.append(self._read().rows)

    def second(self):
        """All that arrives within the next second, played; what is seen then."""
        moment = self.session.now_ns + SECOND_NS
        self.until(moment)
        return self.session.proceed(moment)
