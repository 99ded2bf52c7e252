"""An order manager, a fake Kalshi and everything between them that can go wrong, on one clock and without sockets.

Requests and answers travel: they come late, or never; the venue's own faults (``live/fake/faults.py``) spoil what its
sockets say; the manager's process may die at any moment and come back with its journal. What is true is the venue's to
say, and :func:`check` asks it.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np

from live.backoff import Backoff
from live.clock import ManualClock
from live.errors import VenueError, refusal
from live.fake.answers import Ask
from live.fake.faults import Close as Cut
from live.fake.faults import Fault, Plan
from live.fake.guard import KalshiGuard, new_kalshi_key
from live.fake.kalshi import SOCKET_PATH, KalshiConfig, KalshiVenue
from live.fake.kalshi_socket import KalshiSession
from live.fake.link import Ping as VenuePing
from live.fake.market import Markets
from live.feed import Feed
from live.kalshi import Kalshi
from live.orders.caps import Budgets, Caps, Confirmation, permit
from live.orders.journal import Journal
from live.orders.kalshi_orders import Http, Talk, talk_of
from live.orders.kalshi_user import Heard, KalshiUser, KalshiUserReader, Missed
from live.orders.manager import Manager
from live.orders.requests import Answer, Failed, FillSaid, OrderSaid, Place, PositionSaid, Request
from live.orders.sights import Sight
from live.reading import Reading
from live.reconnect import KALSHI_LINK, Action, Close, Connect, Distrust, Link, Ping, Send, Stopped
from live.secrets import kalshi_credentials
from live.signing import KalshiSigner
from sim.types import CLEAR, CLOSED, GAP, OPEN, SECOND_NS, SETTLE, STATUS, UUSD
from sim.wire.kalshi import KalshiReader
from sim.wire.units import Taken

BASE = "/trade-api/v2"
ACCOUNT = "primary"
_KEY = "key-1"
_TIMEOUT_NS = 5 * SECOND_NS  # of an attempt
_ATTEMPTS = 3  # of what may be sent twice

LOOSE = Caps(order_uusd=200 * UUSD, risk_uusd=900 * UUSD, orders_per_s=20, doublings=0)
BUDGETS = Budgets(daily_loss_uusd=400 * UUSD, drawdown_uusd=400 * UUSD, reject_share=0.6)


def permitted(caps: Caps = LOOSE, budgets: Budgets = BUDGETS) -> Any:
    """Leave to trade on the fake, limits repeated."""
    largest = 1 << caps.doublings
    said = Confirmation(
        ACCOUNT, caps.order_uusd, caps.risk_uusd, caps.order_uusd * largest, caps.risk_uusd * largest,
        budgets.daily_loss_uusd, budgets.drawdown_uusd,
    )  # fmt: skip
    return permit(ACCOUNT, caps, budgets, enabled=True, confirmation=said)


class Wire:
    """A feed on a connection of the fake venue's, without a socket."""

    def __init__(self, world: World, feed: Feed, take: Callable[[Taken], None]) -> None:
        self.world, self.feed, self.take = world, feed, take
        self.session: KalshiSession | None = None
        self.heard_ns = 0
        self.do(feed.start(world.clock.monotonic_ns()))

    def do(self, actions: Sequence[Action]) -> None:
        """Carry out what the feed asks for."""
        for action in actions:
            match action:
                case Connect():
                    self.world.later(self.world.transit_ns(), self._open)
                case Send(text):
                    if self.session is not None and not self.session.link.layer.deaf:
                        self.session.receive(text)
                case Close():
                    self.drop()
                case Distrust(why):
                    self.take(self.feed.over(why, self.world.clock.now_ns()))
                case Ping():
                    if self.session is not None and not self.session.link.layer.deaf:
                        self.world.later(self.world.transit_ns(), self._pong)
                case Stopped(why):
                    raise AssertionError(f"a feed has given up: {why}")

    def read(self) -> None:
        """Take what the venue has sent."""
        session = self.session
        for one in session.link.take(self.world.clock.now_ns()) if session else ():
            if session is not self.session:
                return  # what was read made it reconnect
            mono_ns, now_ns = self.world.clock.monotonic_ns(), self.world.clock.now_ns()
            if isinstance(one, Cut):
                self.drop()
                self.do(self.feed.closed(mono_ns, 1006))
                return
            self.heard_ns = now_ns
            if isinstance(one, VenuePing):
                self.do(self.feed.heard(mono_ns))
                continue
            self.world.messages += 1
            taken, actions = self.feed.frame(one.encode(), mono_ns, now_ns)
            self.take(taken)
            self.do(actions)

    def drop(self) -> None:
        """The connection is over."""
        if self.session is not None:
            self.world.venue.disconnect(self.session)
            self.session = None

    def _open(self) -> None:
        clock = self.world.clock
        if self.session is None and self.world.wired(self):
            self.session = self.world.venue.connect(SOCKET_PATH, self.world.signer.headers("GET", SOCKET_PATH))
            self.heard_ns = clock.now_ns()
            taken, actions = self.feed.connected(clock.monotonic_ns(), clock.now_ns())
            self.take(taken)
            self.do(actions)

    def _pong(self) -> None:
        if self.session is not None:
            self.heard_ns = self.world.clock.now_ns()
            self.do(self.feed.heard(self.world.clock.monotonic_ns()))


class World:
    """Args: what happens in the markets, the venue's faults, chances of what the network does, and a seed."""

    def __init__(
        self, markets: Markets, start_ns: int, *, faults: Sequence[Fault] = (), seed: int = 0, lost: float = 0.0,
        config: KalshiConfig | None = None, journal: Journal | None = None, limits: Any = None,
    ) -> None:  # fmt: skip
        self.rng = Random(seed)
        self.clock = ManualClock(start_ns)
        pem, public = _keys()
        found = kalshi_credentials({"SHADOWBOOK_KALSHI_KEY_ID": _KEY, "SHADOWBOOK_KALSHI_PRIVATE_KEY": pem.reveal()})
        assert found is not None
        self.signer = KalshiSigner(found, self.clock)
        guard = KalshiGuard({_KEY: public}, self.clock)
        self.venue = KalshiVenue(markets, self.clock, guard, config=config, plan=Plan(faults, start_ns))
        self.listings = list(markets.listings)
        self.journal = journal or Journal(":memory:", "kalshi", ACCOUNT, start_ns)
        self.limits = limits or permitted()
        self.lost = lost  # share of requests, and of answers, that do not arrive in time
        self.messages = 0  # frames and answers taken
        self.counts: Counter[str] = Counter()  # what went wrong, by what
        self.deposited = False  # money came or went that no trade explains
        self.refused: list[str] = []  # the venue's codes
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._life = 0  # of the manager's process
        reader = KalshiReader(self.listings)
        self.known = [False] * len(self.listings)
        self.open = [True] * len(self.listings)
        self.books = reader.books
        self.public = Wire(self, Feed(Kalshi(self.listings), Reading(reader), self._link("public")), self._rows)
        self.start()

    def start(self) -> None:
        """A new process takes up the journal."""
        self.manager = Manager(self.listings, self.journal, self.limits, self.clock.now_ns())
        feed = Feed(KalshiUser(), Reading(KalshiUserReader()), self._link("user"))
        self.user = Wire(self, feed, self._notes)
        self.send(self.manager.tick(self.clock.now_ns()))

    def crash(self) -> None:
        """The process dies: what was not committed is gone, and nobody hears the answers under way."""
        self.counts["crashes"] += 1
        self._life += 1
        self.user.drop()
        self.journal.rollback()
        self.start()

    def wired(self, wire: Wire) -> bool:
        """Whether a connection belongs to this life."""
        return wire is self.public or wire is self.user

    def transit_ns(self) -> int:
        """From here to there."""
        return self.rng.randrange(1_000_000, 60_000_000)

    def later(self, delay_ns: int, what: Callable[[], None]) -> None:
        """Do something after a while."""
        self._count += 1
        heapq.heappush(self._heap, (self.clock.now_ns() + delay_ns, self._count, what))

    def sights(self) -> list[Sight]:
        """Markets as the public feed shows them."""
        found = []
        for index, book in enumerate(self.books):
            bid, ask = book.best
            heard_ns = self.public.heard_ns if self.public.session else 0
            found.append(Sight(heard_ns, bid, ask, self.known[index], self.open[index]))
        return found

    def want(self, wishes: np.ndarray, sights: Sequence[Sight]) -> list[Request]:
        """A decision."""
        now_ns = self.clock.now_ns()
        requests = self.manager.want(now_ns, wishes, sights, now_ns)
        self.send(requests)
        return requests

    def to(self, ns: int) -> None:
        """Let everything happen up to a moment."""
        while True:
            at_ns = min(self._wakes())
            if at_ns > ns:
                break
            self.clock.set_ns(max(at_ns, self.clock.now_ns()))
            self._happen()
        self.clock.set_ns(ns)
        self._happen()

    def _wakes(self) -> list[int]:
        offset_ns = self.clock.now_ns() - self.clock.monotonic_ns()
        wake_ns = self.manager.wake_ns
        times = [self.venue.next_ns] + ([] if wake_ns is None else [max(wake_ns, self.clock.now_ns() + 1_000_000)])
        times += [one.feed.wake_ns + offset_ns for one in (self.public, self.user) if one.feed.wake_ns is not None]
        return times + ([self._heap[0][0]] if self._heap else [])

    def _happen(self) -> None:
        now_ns = self.clock.now_ns()
        self.venue.step()
        while self._heap and self._heap[0][0] <= now_ns:
            heapq.heappop(self._heap)[2]()
        for wire in (self.public, self.user):
            wire.read()
            if wire.feed.wake_ns is not None and wire.feed.wake_ns <= self.clock.monotonic_ns():
                wire.do(wire.feed.tick(self.clock.monotonic_ns()))
        wake_ns = self.manager.wake_ns
        if wake_ns is not None and wake_ns <= now_ns:
            self.send(self.manager.tick(now_ns))

    def _link(self, name: str) -> Link:
        return Link(name, KALSHI_LINK, Backoff(name, self.rng))

    def _rows(self, taken: Taken) -> None:
        for row in taken.rows:
            index, kind = row[6], row[7]
            if kind in (CLEAR, GAP):
                self.known[index] = kind == CLEAR
            elif kind == SETTLE or (kind == STATUS and row[2] == CLOSED):
                self.open[index] = False
            elif kind == STATUS:
                self.open[index] = row[2] == OPEN

    def _notes(self, taken: Taken) -> None:
        now_ns = self.clock.now_ns()
        for note in taken.notes:
            if isinstance(note, OrderSaid | FillSaid | PositionSaid):
                self.send(self.manager.told(note, now_ns))
            elif isinstance(note, Heard):
                self.counts["reconnects"] += not note.up
                self.send(self.manager.heard(note.up, now_ns))
            elif isinstance(note, Missed):
                self.counts["unreadable"] += 1
                self.send(self.manager.missed(note.what, now_ns))

    def send(self, requests: Sequence[Request]) -> None:
        """Put requests on the wire."""
        for request in requests:
            _Call(self, request, self._life)

    def answered(self, life: int, request: Request, answer: Answer) -> None:
        """An answer arrives, if anybody waits for it."""
        self.messages += 1
        if life == self._life:
            self.send(self.manager.answered(request, answer, self.clock.now_ns()))

    def ask(self, http: Http) -> tuple[int, bytes]:
        """The venue answers at once: status and body."""
        path = BASE + http.path
        body = b"" if http.body is None else json.dumps(http.body).encode()
        answer = self.venue.request(Ask(http.method, path, http.params, self.signer.headers(http.method, path), body))
        return answer.status, answer.body


class _Call:
    """A request's way to the venue and back, attempt by attempt."""

    def __init__(self, world: World, request: Request, life: int) -> None:
        self._world, self._request, self._life = world, request, life
        self._talk: Talk = talk_of(request)
        self._http = next(self._talk)
        self._number = self._tries = 0
        self._try()

    def _try(self) -> None:
        world = self._world
        self._number += 1
        self._tries += 1
        number, out_ns = self._number, world.transit_ns()
        fate = world.rng.random()
        if fate < world.lost:  # the request: never, or after we have stopped to wait
            kind = "order" if isinstance(self._request, Place) else "other"
            late = world.rng.random() < 0.5
            world.counts[f"{'late' if late else 'lost'} {kind}"] += 1
            if late:
                world.later(_TIMEOUT_NS + world.rng.randrange(4 * SECOND_NS), self._arrive(self._http, 0, lost=True))
        else:
            lost = fate < 2 * world.lost
            world.counts["unanswered"] += lost
            world.later(out_ns, self._arrive(self._http, number, lost=lost))
        world.later(_TIMEOUT_NS, lambda: self._fail(number, Failed(0, "connection", "no answer")))

    def _arrive(self, http: Http, number: int, *, lost: bool) -> Callable[[], None]:
        def arrive() -> None:
            status, body = self._world.ask(http)
            if status >= 400:
                self._world.refused.append(f"{status} {body.decode()[:80]}")
            if not lost:
                self._world.later(self._world.transit_ns(), lambda: self._back(number, status, body))

        return arrive

    def _back(self, number: int, status: int, body: bytes) -> None:
        if number != self._number:
            return
        self._number += 1  # the timer of this attempt is of no interest any more
        if status >= 400:
            error = refusal("", status, body, ())
            self._fail(self._number, Failed(error.status, error.code, error.message))
            return
        try:
            self._http = self._talk.send(json.loads(body) if body else None)
        except StopIteration as done:
            self._world.answered(self._life, self._request, done.value)
        except VenueError as error:
            self._world.answered(self._life, self._request, Failed(error.status, error.code, error.message))
        else:
            self._tries = 0
            self._try()

    def _fail(self, number: int, failed: Failed) -> None:
        if number != self._number:
            return
        self._number += 1
        if self._http.method != "POST" and self._tries < _ATTEMPTS and (failed.unsure or failed.passing):
            self._world.later(SECOND_NS // 2, self._try)
            return
        self._world.answered(self._life, self._request, failed)


_KEYS: list[Any] = []


def _keys() -> Any:
    """One key for all worlds of a process."""
    if not _KEYS:
        _KEYS.extend(new_kalshi_key())
    return tuple(_KEYS)
