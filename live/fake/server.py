"""A fake venue on real sockets: a thin shell of aiohttp, bound to this machine alone.

Live, :meth:`FakeVenue.run` lets the market go on by the clock. In tests, :meth:`FakeVenue.step_to` moves a ManualClock
from event to event and returns when all that was due has been handed to the sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from live.clock import Clock, ManualClock
from live.fake.answers import Answer, Ask, Problem
from live.fake.faults import Close
from live.fake.link import Link, Out, Ping
from sim.types import SECOND_NS
from sim.wire.listing import Listing

HOST = "127.0.0.1"
_MOST_WAITING = 100_000  # frames that a client has not read
_FLUSH = 5_000
_LONGEST_S = 0.05  # between two looks at the clock: requests may bring events forward
_MOST_BODY = 1 << 20


class Session(Protocol):
    """A connection, as a venue sees it."""

    @property
    def link(self) -> Link:
        """Its outgoing side."""
        ...

    def receive(self, text: str) -> None:
        """Take a frame of the client's."""
        ...

    def overflow(self) -> None:
        """The client does not read what it is sent."""
        ...


class Venue(Protocol):
    """A fake venue without sockets."""

    @property
    def clock(self) -> Clock:
        """What it goes by."""
        ...

    @property
    def listings(self) -> Sequence[Listing]:
        """Its markets."""
        ...

    @property
    def socket_paths(self) -> Sequence[str]:
        """Paths of its sockets."""
        ...

    @property
    def sessions(self) -> Sequence[Session]:
        """Connections that are open."""
        ...

    @property
    def next_ns(self) -> int:
        """When something happens by itself again."""
        ...

    def step(self) -> None:
        """Let happen what is due."""
        ...

    def connect(self, path: str, headers: Any) -> Session:
        """A new connection. Raises Problem where it is refused."""
        ...

    def disconnect(self, session: Any) -> None:
        """A connection has ended."""
        ...

    def request(self, ask: Ask) -> Answer:
        """Answer a request."""
        ...


class _Connection:
    """A session and its socket."""

    def __init__(self, session: Session, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self.session, self.socket, self._transport = session, socket, transport
        self._outbox: deque[Out] = deque()
        self._wake = asyncio.Event()
        self.written = asyncio.Event()
        self.written.set()

    def post(self, now_ns: int) -> int:
        """Hand over what is due; how many frames wait to be written."""
        self._outbox.extend(self.session.link.take(now_ns))
        if len(self._outbox) > _MOST_WAITING:
            self._outbox.clear()
            self.session.overflow()
            self._outbox.extend(self.session.link.take(now_ns))
        if self._outbox:
            self.written.clear()
            self._wake.set()
        return len(self._outbox)

    async def write(self) -> None:
        """Write what is handed over, until the connection ends."""
        try:
            while not self.session.link.closed or self._outbox:
                await self._wake.wait()
                self._wake.clear()
                while self._outbox:
                    await self._send(self._outbox.popleft())
                self.written.set()
        except ConnectionError:
            self.session.link.closed = True
        finally:
            self._outbox.clear()
            self.written.set()

    async def _send(self, one: Out) -> None:
        if isinstance(one, Close):
            self._transport.abort()
        elif isinstance(one, Ping):
            await self.socket.ping(one.body)
        else:
            await self.socket.send_str(one)


class FakeVenue:
    """A venue that listens on a port of this machine; 0 = any that is free. Use it in ``async with``."""

    def __init__(self, venue: Venue, port: int = 0) -> None:
        self.venue = venue
        self._port = port
        self._connections: list[_Connection] = []
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> FakeVenue:
        app = web.Application(client_max_size=_MOST_BODY)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in list(self._connections):
            await one.socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Root of REST."""
        return f"http://{HOST}:{self._port}"

    @property
    def socket_url(self) -> str:
        """Root of the sockets."""
        return f"ws://{HOST}:{self._port}"

    async def run(self) -> None:
        """Let the venue live by its clock, until cancelled."""
        clock = self.venue.clock
        while True:
            self.venue.step()
            self._post()
            wait_s = (self.venue.next_ns - clock.now_ns()) / SECOND_NS
            await clock.sleep(min(max(wait_s, 0.0), _LONGEST_S))

    async def step_to(self, ns: int) -> None:
        """Let everything happen up to ``ns``, each at its own moment, and wait until it is written.

        Raises TypeError where the venue's clock is no ManualClock.
        """
        clock = self.venue.clock
        if not isinstance(clock, ManualClock):
            raise TypeError(f"step_to with a {type(clock).__name__}; expected a ManualClock, which it moves")
        while (at_ns := self.venue.next_ns) <= ns:
            clock.set_ns(max(at_ns, clock.now_ns()))
            self.venue.step()
            if self._post() > _FLUSH:
                await self.written()
        clock.set_ns(max(ns, clock.now_ns()))
        self.venue.step()
        self._post()
        await self.written()

    async def written(self) -> None:
        """Wait until all that was due has been handed to the sockets."""
        await asyncio.gather(*(one.written.wait() for one in self._connections))

    def _post(self) -> int:
        now_ns = self.venue.clock.now_ns()
        return max((one.post(now_ns) for one in self._connections), default=0)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path in self.venue.socket_paths:
            return await self._socket(request, path)
        ask = Ask(request.method, path, list(request.rel_url.query.items()), request.headers, await request.read())
        answer = self.venue.request(ask)
        self._post()
        return _response(answer)

    async def _socket(self, request: web.Request, path: str) -> web.StreamResponse:
        try:
            session = self.venue.connect(path, request.headers)
        except Problem as problem:
            return _response(Answer(problem.status, {"error": {"code": problem.code, "message": problem.message}}))
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=_MOST_BODY)
        writing: asyncio.Task[None] | None = None
        one: _Connection | None = None
        try:
            await socket.prepare(request)
            assert isinstance(request.transport, asyncio.Transport)  # it was just written to
            one = _Connection(session, socket, request.transport)
            self._connections.append(one)
            writing = asyncio.create_task(one.write())
            await self._read(one)
        finally:
            if one is not None:
                self._connections.remove(one)
            self.venue.disconnect(session)
            if writing is not None:
                writing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await writing
        return socket

    async def _read(self, one: _Connection) -> None:
        """Take what the client says; a connection that is half open does not hear it."""
        async for message in one.socket:
            if one.session.link.layer.deaf:
                continue
            if message.type is WSMsgType.PING:
                await one.socket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                one.session.receive(message.data)
                one.post(self.venue.clock.now_ns())


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, content_type="application/json")
