"""Who reads a venue's frames, and who is handed them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import msgspec

from live import kalshi_listings, polymarket_listings
from live.answers import Answered
from sim.wire.listing import Rules
from sim.wire.told import Standing, Told
from sim.wire.units import NOTHING, Taken


class Reader(Protocol):
    """What turns a venue's frames into rows; those of sim.wire do."""

    rules: list[Rules]  # one a market, as its tape's header will list them
    counts: Counter[str]  # frames by type, and by what went wrong

    def take(self, frame: bytes, local_ns: int) -> Taken:
        """Rows of a frame that arrived at ``local_ns``."""
        ...

    def reconnected(self, local_ns: int) -> Taken:
        """Frames were lost, or a new connection begins: no book is known. GAP rows of the books that were."""
        ...


class MarketReader(Reader, Protocol):
    """A reader of public data, which is told what REST says beside it too."""

    standings: list[Standing]  # one a market

    def told(self, said: Sequence[Told], asked_ns: int, local_ns: int) -> Taken:
        """Rows in which an answer that was asked for at ``asked_ns`` differs from what is believed."""
        ...


class Intake(Protocol):
    """Who reads the frames: a :class:`Reading`, or `live.recording.recorder.Recorder`, which keeps them too."""

    @property
    def reader(self) -> Reader:
        """Who reads them."""
        ...

    def received(self, channel: int, data: bytes, local_ns: int) -> Taken:
        """A frame of the venue; what it said."""
        ...

    def sent(self, channel: int, data: bytes, local_ns: int) -> None:
        """A frame of ours."""
        ...

    def connected(self, channel: int, local_ns: int, detail: str = "") -> Taken:
        """A connection begins."""
        ...

    def disconnected(self, channel: int, local_ns: int, detail: str = "") -> Taken:
        """A connection ended; GAP rows of the books that were known."""
        ...


class MarketIntake(Intake, Protocol):
    """An intake of public data."""

    def answered(self, channel: int, data: bytes, local_ns: int) -> Taken:
        """What REST said, as `live.answers` writes it; the rows in which it differs from what is believed."""
        ...


_TOLD = {"kalshi": kalshi_listings.told_of, "polymarket": polymarket_listings.told_of}


def read_answer(reader: MarketReader, data: bytes, local_ns: int) -> Taken:
    """What an ANSWERED record says. Never raises: what cannot be read is counted."""
    try:
        answered = msgspec.json.decode(data, type=Answered)
        told = _TOLD[reader.rules[0].listing.venue](answered.said)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError):
        reader.counts["answers_unread"] += 1
        return NOTHING
    reader.counts["answers"] += 1
    return reader.told(told, answered.asked_ns, local_ns)


class Reading:
    """An intake that keeps nothing."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def received(self, channel: int, data: bytes, local_ns: int) -> Taken:
        """What a frame said."""
        return self.reader.take(data, local_ns)

    def sent(self, channel: int, data: bytes, local_ns: int) -> None:
        """Nothing is kept."""

    def connected(self, channel: int, local_ns: int, detail: str = "") -> Taken:
        """No book is known until it is told."""
        return self.reader.reconnected(local_ns)

    def disconnected(self, channel: int, local_ns: int, detail: str = "") -> Taken:
        """GAP rows of the books that were known."""
        return self.reader.reconnected(local_ns)
