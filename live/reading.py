"""Who reads a venue's frames, and who is handed them."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from sim.wire.listing import Rules
from sim.wire.units import Taken


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


class Intake(Protocol):
    """Who reads the frames: a :class:`Reading`, or `live.recording.recorder.Recorder`, which keeps them too."""

    reader: Reader

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
