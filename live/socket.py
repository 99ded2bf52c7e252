"""A feed on a real socket (aiohttp): opens it, hands over what comes, does what the feed says."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

import aiohttp

from live.clock import Clock
from live.feed import Feed
from live.reconnect import STOPPED, Action, Close, Connect, Distrust, Ping, Send, Stopped
from live.urls import checked_url
from sim.types import SECOND_NS
from sim.wire.units import Taken

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 16 << 20  # of a frame: a whole book of every level is far smaller
_TIMEOUT = aiohttp.ClientWSTimeout(ws_close=1.0)  # for the other side's half of the closing handshake
_PINGS = (aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG)
_ENDS = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


class Socket:
    """Keeps a feed connected until it is stopped.

    Args:
        url: of the venue's socket, encrypted, plain only to this machine.
        feed: what is said and done.
        clock: stamps frames, and says when the feed is to be woken.
        take: is called with what every frame said, in the order of arrival.
        headers: of the next handshake; a signature is good for a moment only.

    Raises ValueError for a URL that may not be connected to.
    """

    def __init__(
        self,
        url: str,
        feed: Feed,
        clock: Clock,
        take: Callable[[Taken], None],
        headers: Callable[[], dict[str, str]] = dict,
    ) -> None:
        self.feed = feed
        self.why = ""  # it was stopped
        self.heard = 0  # pings and pongs so far
        self._url = checked_url(url, "wss")
        self._clock, self._take, self._headers = clock, take, headers
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._opening: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[bool]] = set()
        self._woken = asyncio.Event()

    @property
    def state(self) -> str:
        """Of the link, in a word."""
        return self.feed.link.state

    async def run(self) -> None:
        """Stay connected until :meth:`stop`, or until the link gives up; ``why`` then says so.

        What ``take``, the intake or ``headers`` raise ends it and is raised here.
        """
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context())
        async with aiohttp.ClientSession(connector=connector, trace_configs=[_no_redirects()]) as session:
            self._session = session
            try:
                if self.feed.link.state != STOPPED:
                    await self._do(self.feed.start(self._clock.monotonic_ns()))
                while self.feed.link.state != STOPPED:
                    await self._sleep()
                    await self._do(self.feed.tick(self._clock.monotonic_ns()))
            finally:
                await self._abort()
                await asyncio.gather(*self._closing, return_exceptions=True)

    async def stop(self, why: str = "asked to") -> None:
        """End; ``run`` then returns."""
        await self._do(self.feed.stop(why))
        self._woken.set()

    async def _sleep(self) -> None:
        """Until the feed is to be woken, or something happened that may have moved that moment."""
        wake_ns = self.feed.wake_ns
        self._woken.clear()
        waiting: list[asyncio.Future] = [asyncio.ensure_future(self._woken.wait())]
        if wake_ns is not None:
            seconds = max(wake_ns - self._clock.monotonic_ns(), 0) / SECOND_NS
            waiting.append(asyncio.ensure_future(self._clock.sleep(seconds)))
        connection = self._opening
        try:
            await asyncio.wait([*waiting, connection] if connection else waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        if connection is not None and connection.done() and connection is self._opening:
            self._opening = None
            connection.result()  # raises what ended it

    async def _do(self, actions: list[Action]) -> None:
        """Carry out ``actions`` in order."""
        for action in actions:
            match action:
                case Connect():
                    self._opening = asyncio.create_task(self._connection())
                case Send(text):
                    await self._send(text)
                case Ping():
                    await self._ping()
                case Close():
                    await self._abort()
                case Distrust(why):
                    self._take(self.feed.over(why, self._clock.now_ns()))
                case Stopped(why):
                    self.why = why
                    self._woken.set()

    async def _connection(self) -> None:
        """One connection from its handshake to its end."""
        headers = self._headers()
        try:
            self._socket = await self._session.ws_connect(
                self._url, headers=headers, autoping=False, max_msg_size=_MOST_BYTES, timeout=_TIMEOUT
            )
        except aiohttp.WSServerHandshakeError as error:
            await self._told(self.feed.refused(self._clock.monotonic_ns(), error.status))
            return
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _LOG.info("%s: %s", self._url, error)
            await self._told(self.feed.closed(self._clock.monotonic_ns(), None))
            return
        taken, actions = self.feed.connected(self._clock.monotonic_ns(), self._clock.now_ns())
        self._take(taken)
        await self._told(actions)
        await self._listen(self._socket)

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while socket is self._socket:
            message = await socket.receive()
            if message.type in _ENDS:
                break
            mono_ns = self._clock.monotonic_ns()
            if message.type in _PINGS:
                self.heard += 1
                if message.type == aiohttp.WSMsgType.PING:
                    await self._quietly(socket.pong(message.data))
                await self._told(self.feed.heard(mono_ns))
            else:
                data = message.data.encode() if isinstance(message.data, str) else message.data
                taken, actions = self.feed.frame(data, mono_ns, self._clock.now_ns())
                self._take(taken)
                if actions:
                    await self._told(actions)
        if socket is self._socket:
            await self._told(self.feed.closed(self._clock.monotonic_ns(), socket.close_code))

    async def _told(self, actions: list[Action]) -> None:
        """Do what the feed answers to the socket, and let its next moment be looked at again."""
        await self._do(actions)
        self._woken.set()

    async def _send(self, text: str) -> None:
        if self._socket is not None:
            self.feed.intake.sent(self.feed.channel, text.encode(), self._clock.now_ns())
            await self._quietly(self._socket.send_str(text))

    async def _ping(self) -> None:
        if self._socket is not None:
            await self._quietly(self._socket.ping())

    async def _quietly(self, sending) -> None:  # type: ignore[no-untyped-def]
        """A socket that dies while it is written to is told by its reading side."""
        try:
            await sending
        except (aiohttp.ClientError, ConnectionError, RuntimeError) as error:
            _LOG.info("%s: not sent: %s", self._url, error)

    async def _abort(self) -> None:
        """Give the socket up; its closing handshake may go on beside what follows."""
        socket, self._socket = self._socket, None
        opening, self._opening = self._opening, None
        if socket is not None:
            closing = asyncio.create_task(socket.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        if opening is not None and opening is not asyncio.current_task() and not opening.done():
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)


def _no_redirects() -> aiohttp.TraceConfig:
    """A signed handshake goes to the address that was checked, and nowhere else."""
    config = aiohttp.TraceConfig()

    async def refuse(_session: object, _context: object, params: aiohttp.TraceRequestRedirectParams) -> None:
        raise aiohttp.ClientConnectionError(f"{params.url}: the venue wants to redirect; redirects are not followed")

    config.on_request_redirect.append(refuse)
    return config
