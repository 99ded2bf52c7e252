"""The recorder's core, without sockets: a frame goes to the raw log first, and is read second.

There is no second file with decoded rows. A tape is made by the seal from the raw log, by the same reader, once the
session has ended: one truth on disk, nothing to keep in step through a crash, and a reader that is repaired later makes
better tapes of old frames. What a frame said is handed to the caller (a shadow account, an order book) and not kept.
"""

from __future__ import annotations

from typing import NamedTuple

from live.reading import MarketReader
from live.recording.decode import failures, take
from live.recording.layout import ANSWERED, CONNECTED, DECISION, DISCONNECTED, LOST, NOTE, RECEIVED, SENT, Record
from live.recording.rotation import SessionWriter
from sim.wire.units import Taken


class Statistics(NamedTuple):
    """What a recorder has done so far."""

    frames: int  # of the venue
    frame_bytes: int
    rows: int
    failures: int  # messages that the reader did not understand; they are in the raw log all the same
    durable: int  # records of the session that survive a crash
    pending: int  # records that do not yet
    batches: int
    file_bytes: int
    lag_ns: int  # from the oldest record of the last batch until it was durable
    worst_lag_ns: int


class Recorder:
    """Records what a connection's owner tells it of. Times are nanoseconds since epoch, given by the caller.

    Call :meth:`idle` a few times a second: a batch is written when it is full or old, and somebody has to look.
    """

    def __init__(self, writer: SessionWriter, reader: MarketReader) -> None:
        self.reader = reader
        self._writer = writer
        self._frames = 0
        self._frame_bytes = 0
        self._rows = 0
        self._worst_lag_ns = 0

    @property
    def frames(self) -> int:
        """Of the venue, so far."""
        return self._frames

    def received(self, channel: int, data: bytes, local_ns: int) -> Taken:
        """A frame of the venue. Returns what it said. Raises LogError where it cannot be kept: then stop."""
        self._frames += 1
        self._frame_bytes += len(data)
        return self._keep(Record(local_ns, channel, RECEIVED, data))

    def answered(self, channel: int, data: bytes, local_ns: int) -> Taken:
        """An answer of REST. Returns the rows in which it differs from what is believed. Raises LogError as above."""
        return self._keep(Record(local_ns, channel, ANSWERED, data))

    def sent(self, channel: int, data: bytes, local_ns: int) -> None:
        """A frame of ours: subscriptions, commands. Never one that holds a secret."""
        self._keep(Record(local_ns, channel, SENT, data))

    def decided(self, data: bytes, local_ns: int) -> None:
        """A decision, behind all frames that it has seen."""
        self._keep(Record(local_ns, 0, DECISION, data))

    def connected(self, channel: int, local_ns: int, detail: str = "") -> Taken:
        """A connection begins; ``channel`` is its number. No book is known until the venue tells it."""
        return self._note(channel, local_ns, CONNECTED, detail)

    def disconnected(self, channel: int, local_ns: int, detail: str = "") -> Taken:
        """A connection ended. Returns the GAP rows of the books that were known."""
        return self._note(channel, local_ns, DISCONNECTED, detail)

    def lost(self, channel: int, local_ns: int, detail: str = "") -> Taken:
        """Frames were lost between socket and recorder. Returns the GAP rows of the books that were known."""
        return self._note(channel, local_ns, LOST, detail)

    def idle(self, now_ns: int) -> int:
        """Write the batch if it is old; returns the number of durable records."""
        durable = self._writer.flush_due(now_ns)
        self._worst_lag_ns = max(self._worst_lag_ns, self._writer.lag_ns)
        return durable

    def close(self) -> int:
        """Write what is pending and close; returns the number of durable records."""
        return self._writer.close()

    def statistics(self) -> Statistics:
        """Counts so far."""
        writer, failed = self._writer, sum(failures(self.reader.counts).values())
        return Statistics(
            self._frames, self._frame_bytes, self._rows, failed, writer.durable,
            writer.pending, writer.batches, writer.file_bytes, writer.lag_ns, max(self._worst_lag_ns, writer.lag_ns),
        )  # fmt: skip

    def _note(self, channel: int, local_ns: int, word: str, detail: str) -> Taken:
        text = f"{word} {detail}".rstrip()
        return self._keep(Record(local_ns, channel, NOTE, text.encode()))

    def _keep(self, record: Record) -> Taken:
        """Raw first: a frame that breaks the reader is on disk for whoever repairs it."""
        self._writer.append(*record)
        self._worst_lag_ns = max(self._worst_lag_ns, self._writer.lag_ns)
        taken = take(self.reader, record)
        self._rows += len(taken.rows)
        return taken
