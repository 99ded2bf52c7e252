"""One connection's outgoing side: frames through the fault layer, each at its moment. No sockets."""

from __future__ import annotations

import heapq
from typing import NamedTuple

from live.fake.faults import Close, FaultLayer


class Ping(NamedTuple):
    """A ping of the socket's own, with a body."""

    body: bytes


Out = str | Close | Ping


class Link:
    """Frames that wait for their moment, and those whose moment has come."""

    def __init__(self, layer: FaultLayer) -> None:
        self.layer = layer
        self.closed = False
        self.sent = 0
        self._waiting: list[tuple[int, int, Out]] = []
        self._count = 0

    @property
    def next_ns(self) -> int | None:
        """When the next frame is due; None where none waits."""
        return self._waiting[0][0] if self._waiting and not self.closed else None

    def push(self, frame: str, now_ns: int, kind: str, late_ns: int = 0) -> None:
        """Hand over a frame of a message ``kind``, to be sent ``late_ns`` after its time."""
        for delay_ns, one in self.layer.send(frame, now_ns, kind):
            self._put(now_ns + delay_ns + late_ns, one)

    def ping(self, body: bytes, now_ns: int) -> None:
        """Hand over a ping; a connection that is half open says nothing."""
        if not self.layer.deaf:
            self._put(now_ns, Ping(body))

    def cut(self, now_ns: int) -> None:
        """End the connection after what is due."""
        self._put(now_ns, Close())

    def take(self, now_ns: int) -> list[Out]:
        """What is due. After a Close there is nothing more."""
        found: list[Out] = []
        while self._waiting and self._waiting[0][0] <= now_ns and not self.closed:
            one = heapq.heappop(self._waiting)[2]
            found.append(one)
            self.closed = isinstance(one, Close)
        self.sent += len(found)
        return found

    def _put(self, at_ns: int, one: Out) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (at_ns, self._count, one))
