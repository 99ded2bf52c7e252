"""When the next decision is due: after so much market time, or after so many events, as in training.

Events end with the markets: once all have settled a last decision is due, however many have come.
"""

from __future__ import annotations

import math

from live.stream import Stream
from sim.types import SECOND_NS


class Pace:
    """The moments of a session that began at ``begin_ns``: every ``dt_s``, or every ``events`` rows of ``stream``."""

    def __init__(self, begin_ns: int, dt_s: float, events: int | None, stream: Stream) -> None:
        self.skipped = 0  # moments that passed while something else kept the program busy
        self._next_ns = begin_ns + round(dt_s * SECOND_NS)
        self._step_ns = round(dt_s * SECOND_NS)
        self._events, self._stream = events, stream
        self._next_event = stream.events + (events or 0)

    @property
    def counts(self) -> bool:
        """Whether events are counted: then whatever comes may bring a decision on."""
        return self._events is not None

    def due(self, now_ns: int) -> int | None:
        """Up to when to play, if a decision is due at ``now_ns``; None = it is not."""
        if self._events is not None:
            if self._stream.events < self._next_event and not self._stream.over:
                return None
            self._next_event = self._stream.events + self._events
            return now_ns
        if now_ns < self._next_ns:
            return None
        passed = (now_ns - self._next_ns) // self._step_ns
        moment = self._next_ns + passed * self._step_ns
        self.skipped += passed
        self._next_ns = moment + self._step_ns
        return moment

    def wait_s(self, now_ns: int) -> float:
        """Seconds until one may be due."""
        return math.inf if self._events is not None else (self._next_ns - now_ns) / SECOND_NS
