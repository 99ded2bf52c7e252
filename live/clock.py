"""Time is injected: everything in ``live`` takes a clock, and only this file reads the machine's.

Two readings: ``now_ns`` is the wall clock, for stamps, and may be stepped; ``monotonic_ns`` is for durations.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from sim.types import SECOND_NS

_T = TypeVar("_T")
_SLEWED_NS = SECOND_NS  # what time servers take away without setting a clock back
_TURNS = 50  # of the event loop, for tasks that a sleeper's end sets off


class Clock(Protocol):
    """What reads the time and waits."""

    def now_ns(self) -> int:
        """Wall time, nanoseconds since epoch."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment; never runs backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; 0 or less only lets others run."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Wall time, nanoseconds since epoch."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment."""
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds``."""
        await asyncio.sleep(seconds)


class Steady:
    """The wall clock, but never backwards: where it is set back the monotonic one goes on, until it has caught up.

    Set forward, or slewed, it is the wall clock's.
    """

    def __init__(self, clock: Clock) -> None:
        self.behind_ns = 0  # how far the wall clock was set back, while it has not caught up
        self._clock = clock
        self._last_ns, self._last_mono_ns = clock.now_ns(), clock.monotonic_ns()

    def now_ns(self) -> int:
        """Nanoseconds since epoch; never less than before."""
        wall_ns, mono_ns = self._clock.now_ns(), self._clock.monotonic_ns()
        expected_ns = self._last_ns + mono_ns - self._last_mono_ns
        behind_ns = expected_ns - wall_ns
        self.behind_ns = behind_ns if behind_ns > _SLEWED_NS else 0
        now_ns = max(expected_ns if self.behind_ns else wall_ns, self._last_ns)
        self._last_ns, self._last_mono_ns = now_ns, mono_ns
        return now_ns


class ManualClock:
    """Time that passes when it is told to: for fault scripts, fake venues and tests.

    ``set_ns`` and ``advance`` move it at once and end the sleeps whose time has come, in the order of their deadlines
    (then of their beginnings). ``run`` also lets each sleeper go on at its own moment before the next one wakes.
    """

    def __init__(self, now_ns: int = 0) -> None:
        self._wall_offset_ns = now_ns
        self._passed_ns = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ns(self) -> int:
        """Wall time, nanoseconds since epoch."""
        return self._wall_offset_ns + self._passed_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds that have passed since the clock was made."""
        return self._passed_ns

    async def sleep(self, seconds: float) -> None:
        """Wait until ``seconds`` have been made to pass."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._passed_ns + nanoseconds(seconds), self._count, done))
        await done

    @property
    def sleepers(self) -> int:
        """How many wait."""
        return sum(not done.done() for _, _, done in self._sleepers)

    def set_ns(self, now_ns: int) -> None:
        """Make time pass until ``now_ns``. Raises ValueError for an earlier moment: see :meth:`step_wall`."""
        if now_ns < self.now_ns():
            raise ValueError(f"{now_ns} lies {self.now_ns() - now_ns} ns back; time only passes (step_wall steps it)")
        self._passed_ns = now_ns - self._wall_offset_ns
        while self._sleepers and self._sleepers[0][0] <= self._passed_ns:
            self._end_first()

    def advance(self, seconds: float) -> None:
        """Make ``seconds`` pass."""
        self.set_ns(self.now_ns() + nanoseconds(seconds))

    def step_wall(self, by_ns: int) -> None:
        """Step the wall clock alone, as a time server does: no time passes, nobody wakes."""
        self._wall_offset_ns += by_ns

    async def run(self, seconds: float) -> None:
        """Make ``seconds`` pass, sleeper by sleeper: each goes on, and may sleep again, at its own moment."""
        until_ns = self._passed_ns + nanoseconds(seconds)
        await _let_others_run()
        while self._sleepers and self._sleepers[0][0] <= until_ns:
            self._passed_ns = max(self._passed_ns, self._sleepers[0][0])
            self._end_first()
            await _let_others_run()
        self._passed_ns = until_ns

    def _end_first(self) -> None:
        done = heapq.heappop(self._sleepers)[2]
        if not done.done():  # its task may have been cancelled
            done.set_result(None)


def nanoseconds(seconds: float) -> int:
    """``seconds`` in whole nanoseconds, rounded up: who waits for a moment does not wake before it."""
    return math.ceil(seconds * SECOND_NS)


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Result of ``work``, cancelled after ``seconds`` on ``clock``. Raises TimeoutError then."""
    task = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError(f"not done within {seconds:g} s")
    finally:
        for unfinished in (task, timer):
            unfinished.cancel()
        await asyncio.gather(task, timer, return_exceptions=True)


async def _let_others_run() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
