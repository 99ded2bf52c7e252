"""What tests of recordings share: a clock that is set, a small recording, and what its rows must be."""

from __future__ import annotations

import numpy as np

from benchmarks.recorder import BEGIN_NS, Traffic, header_of
from live.recording.decode import reader_for
from live.recording.recorder import Recorder
from live.recording.rotation import Rotation, SessionWriter
from sim.types import EVENT

MS = 1_000_000


class Clock:
    """Says what it was set to."""

    def __init__(self, ns=BEGIN_NS):
        self.ns = ns

    def __call__(self):
        return self.ns


def listen(recorder, frames, clock, step_ns=MS):
    """Give each of ``frames`` to the recorder, a step apart."""
    for frame in frames:
        clock.ns += step_ns
        recorder.received(1, frame, clock.ns)


def record(root, session="s", *, changes=200, markets=3, seed=0, rotation=None, ends=True):
    """A session of snapshots and changes. Returns its folder and (local_ns, frame) of all frames."""
    clock, traffic = Clock(), Traffic(markets, seed)
    writer = SessionWriter(root, session, header_of(markets), clock, rotation or Rotation())
    recorder = Recorder(writer, reader_for(header_of(markets)))
    recorder.connected(1, clock.ns)
    frames = [*traffic.snapshots(), *traffic.changes(np.full(changes, clock.ns))]
    listen(recorder, frames, clock)
    if ends:
        recorder.disconnected(1, clock.ns)
    recorder.close()
    return writer.folder, [(BEGIN_NS + (i + 1) * MS, frame) for i, frame in enumerate(frames)]


def rows_of(frames, markets=3, ended_ns=None):
    """EVENT rows of each market, read without any log."""
    reader = reader_for(header_of(markets))
    rows = [row for ns, frame in frames for row in reader.take(frame, ns).rows]
    if ended_ns is not None:
        rows += reader.reconnected(ended_ns).rows
    events = np.array(rows, EVENT)
    tapes = [events[events["market"] == market].copy() for market in range(markets)]
    for tape in tapes:
        tape["market"] = 0
    return tapes
