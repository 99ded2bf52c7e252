"""Signatures made ahead of the signal, each handed out once: what is left to do at the signal is to send.

The core takes keys and times and says what it lacks; who signs, and when, is the caller's. `Keeper` is the thin part
that keeps it warm beside the decisions.

* Kalshi signs ``milliseconds + METHOD + path`` and not the body, so the headers of the next order are the same whatever
  the order: `PresignedSigner` is the order path's signer, and has some in stock for each request that may come.
* Polymarket signs the order: `live.orders.polymarket_orders` has the likely ones near the touch in stock.

Neither venue says how old a stamp may be, or that one may be used twice. `LIFE_NS` is ours: far below any limit that
would let in a client whose clock is a little off. Stamps of one request differ by a millisecond at least, so that keys
which sign deterministically (Ed25519) do not give the same headers twice either.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from live.clock import Clock, within
from live.secrets import Secret
from live.signing import KalshiSigner
from sim.types import SECOND_NS

LIFE_NS = 5 * SECOND_NS
_NS_PER_MS = 1_000_000
_BREATH_S = 0.001

K = TypeVar("K", bound=Hashable)
S = TypeVar("S")
Request = tuple[str, str]  # method, and path from the root of the host


@dataclass
class Statistics:
    """What became of the signatures. All that were made are handed out, wasted or still in stock."""

    warmed: int = 0
    hits: int = 0
    misses: int = 0
    stale: int = 0  # too old before anybody asked
    dropped: int = 0  # no longer wanted: another tick, price out of reach, order gone

    @property
    def hit_rate(self) -> float:
        """Part of what was asked for that was in stock; 0 where nothing was asked for."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0

    @property
    def wasted(self) -> int:
        """Signatures that nobody used."""
        return self.stale + self.dropped


class Presigner(Generic[K, S]):
    """A stock of signatures by what they are for.

    A signature is good from ``life_ns`` before its stamp to ``life_ns`` after it, on the wall clock: one that a step of
    the clock has put out of reach is as stale as an old one. It is made anew in the second half of its life.

    Args:
        make: signs for a key, with a stamp.
        clock: what stamps and ages go by.
        life_ns: how long a signature may wait.
        capacity: most signatures in stock.

    Raises ValueError for a life or a capacity that leaves nothing in stock.
    """

    def __init__(
        self, make: Callable[[K, int], S], clock: Clock, *, life_ns: int = LIFE_NS, capacity: int = 1_024
    ) -> None:
        if life_ns < 2 * _NS_PER_MS or capacity < 2:
            raise ValueError(f"life of {life_ns} ns, capacity {capacity}; expected 2 ms and 2 signatures at least")
        self.make = make
        self._clock, self._life_ns, self._capacity = clock, life_ns, capacity
        self._stock: dict[K, deque[tuple[int, S]]] = {}  # stamp and signature, oldest first
        self._wanted: Counter[K] = Counter()
        self._stamped: dict[K, int] = {}  # last stamps, as long as they could come again
        self.statistics = Statistics()
        self.asked: Callable[[], None] = lambda: None  # called by each `take`: who keeps it warm listens

    def __len__(self) -> int:
        return sum(map(len, self._stock.values()))

    def take(self, key: K) -> S | None:
        """The oldest good signature for ``key``, which is gone from the stock with that; None where there is none."""
        self.asked()
        stock = self._stock.get(key)
        while stock:
            stamp_ns, made = stock.popleft()
            if self._age_ns(stamp_ns) <= self._life_ns:
                self.statistics.hits += 1
                return made
            self.statistics.stale += 1
        self.statistics.misses += 1
        return None

    def warm(self, keys: Iterable[K]) -> int:
        """Have ``keys`` in stock, and nothing else; how many were signed. See `lacking`."""
        lacking = self.lacking(keys)
        for key in lacking:
            stamp_ns = self.stamp(key)
            self.put(key, self.make(key, stamp_ns), stamp_ns)
        return len(lacking)

    def lacking(self, keys: Iterable[K]) -> list[K]:
        """What has to be signed for ``keys`` to be in stock; a key that comes several times, as often.

        From now on no other key is wanted: its signatures are dropped. Raises ValueError for more than half of the
        capacity: the other half is for those in the second half of their lives.
        """
        wanted = Counter(keys)
        if 2 * wanted.total() > self._capacity:
            raise ValueError(f"{wanted.total()} signatures wanted; a capacity of {self._capacity} holds half as many")
        self._wanted = wanted
        self.drop(lambda key: key not in wanted)
        self._sort_out()
        return list((wanted - Counter({key: self._young(key) for key in wanted})).elements())

    def put(self, key: K, made: S, stamp_ns: int) -> None:
        """Take a signature into stock, unless its key is no longer wanted or the stock is full."""
        self.statistics.warmed += 1
        if key in self._wanted and len(self) < self._capacity:
            self._stock.setdefault(key, deque()).append((stamp_ns, made))
        else:
            self.statistics.dropped += 1

    def drop(self, gone: Callable[[K], bool]) -> int:
        """Forget the signatures of keys that are ``gone``; how many there were."""
        count = sum(len(self._stock.pop(key)) for key in list(self._stock) if gone(key))
        for key in [key for key in self._wanted if gone(key)]:
            del self._wanted[key]  # also of a signature that is just being made
        self.statistics.dropped += count
        return count

    def stamp(self, key: K) -> int:
        """A stamp for ``key`` that it has not had yet: this millisecond, or the next that is free."""
        now_ns = self._clock.now_ns() // _NS_PER_MS * _NS_PER_MS
        stamp_ns = max(now_ns, self._stamped.get(key, 0) + _NS_PER_MS)
        if stamp_ns - now_ns > self._life_ns:  # the wall clock was stepped back: what came before it cannot come again
            stamp_ns = now_ns
        if len(self._stamped) >= self._capacity:  # forget those that cannot come again
            self._stamped = {one: ns for one, ns in self._stamped.items() if ns >= now_ns}
        self._stamped[key] = stamp_ns
        return stamp_ns

    def _age_ns(self, stamp_ns: int) -> int:
        return abs(self._clock.now_ns() - stamp_ns)

    def _young(self, key: K) -> int:
        """Signatures in the first half of their lives."""
        return sum(2 * self._age_ns(stamp_ns) <= self._life_ns for stamp_ns, _ in self._stock.get(key, ()))

    def _sort_out(self) -> None:
        """Forget what is too old."""
        for key, stock in list(self._stock.items()):
            good = deque(one for one in stock if self._age_ns(one[0]) <= self._life_ns)
            self.statistics.stale += len(stock) - len(good)
            if good:
                self._stock[key] = good
            else:
                del self._stock[key]


class PresignedSigner:
    """Kalshi's signer with a stock of headers for the requests of the order path; a `live.signing.Signer`.

    What is read (GET) is signed when it is asked for, and not counted.
    """

    def __init__(self, signer: KalshiSigner, clock: Clock, *, life_ns: int = LIFE_NS, capacity: int = 1_024) -> None:
        self._signer = signer
        self.presigner: Presigner[Request, dict[str, str]] = Presigner(
            self._make, clock, life_ns=life_ns, capacity=capacity
        )

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What an answer or an error must not repeat."""
        return self._signer.secrets

    def headers(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """Headers from the stock, or signed now."""
        if method == "GET":
            return self._signer.headers(method, path, body)
        request = method, path
        found = self.presigner.take(request)
        return self._make(request, self.presigner.stamp(request)) if found is None else found

    def _make(self, request: Request, stamp_ns: int) -> dict[str, str]:
        return self._signer.stamped(*request, stamp_ns)


class Keeper(Generic[K, S]):
    """Keeps a presigner warm, beside the decisions: after each `take`, whenever it is woken, and every so often.

    It begins a millisecond later: what has just been decided goes out first.

    Args:
        presigner: what is kept warm.
        keys: what is wanted now.
        clock: what pauses go by.
        every_s: longest pause; below a quarter of the signatures' life nothing grows old unnoticed.
        in_thread: sign in a thread: for RSA, which takes milliseconds without holding the interpreter. Else between
            two turns of the event loop, one signature at a time.
    """

    def __init__(
        self,
        presigner: Presigner[K, S],
        keys: Callable[[], Iterable[K]],
        clock: Clock,
        *,
        every_s: float = 1.0,
        in_thread: bool = False,
    ) -> None:
        self._presigner, self._keys, self._clock = presigner, keys, clock
        self._every_s, self._in_thread = every_s, in_thread
        self._woken = asyncio.Event()
        presigner.asked = self.wake

    def wake(self) -> None:
        """Other keys are wanted."""
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._clock.sleep(_BREATH_S)
            await self.warm()
            with contextlib.suppress(TimeoutError):
                await within(self._clock, self._every_s, self._until_woken())

    async def warm(self) -> None:
        """Sign what is lacking now; stops short where other keys are wanted meanwhile."""
        self._woken.clear()
        for key in self._presigner.lacking(self._keys()):
            stamp_ns = self._presigner.stamp(key)
            if self._in_thread:
                made = await asyncio.to_thread(self._presigner.make, key, stamp_ns)
            else:
                made = self._presigner.make(key, stamp_ns)
                await asyncio.sleep(0)
            self._presigner.put(key, made, stamp_ns)
            if self._woken.is_set():
                return

    async def _until_woken(self) -> None:
        await self._woken.wait()
