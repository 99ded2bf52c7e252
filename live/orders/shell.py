"""Real orders, running: joins the manager with REST, the account's own socket, the clock and the kill switch.

    async with Orders(manager, client, clock=clock, rng=rng, sights=sights, socket_url=..., headers=...) as orders:
        orders.want(ns, wishes)          # the queue of actions is the runner's: it puts, nobody waits
        while orders.fills: ...          # the queue of fills is the manager's: each fill once, after it is durable
        orders.account, orders.state     # cash, positions, orders, costs; what the manager is doing
        orders.kill("why")               # also by a file, and by a signal

Whoever makes it has a :class:`live.orders.caps.Permit` in the manager; addresses are the venue's own, or this machine.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from live.backoff import Backoff
from live.clock import Clock
from live.feed import Feed
from live.kalshi import SOCKET_URL
from live.kalshi_rest import BASE_URL, KalshiRest
from live.orders.journal import JournalError, place_of
from live.orders.kalshi_orders import carry_out
from live.orders.kalshi_user import Heard, KalshiUser, KalshiUserReader, Missed
from live.orders.manager import Manager
from live.orders.record import Fill
from live.orders.requests import Cancel, Failed, FillSaid, OrderSaid, PositionSaid, Request
from live.orders.sights import Sight
from live.orders.working import Working
from live.reading import Reading
from live.reconnect import KALSHI_LINK, STALE, Link
from live.rest import RestClient
from live.socket import Socket
from live.urls import is_loopback
from sim.tape import FeeRates
from sim.types import SECOND_NS
from sim.wire.units import Taken

_LOG = logging.getLogger(__name__)
_LOOK_S = 0.25  # between two looks at the clock, the kill file and the socket's health
_SHORTEST_S = 0.001
_FAREWELL_S = 15.0  # for cancels at the end
_RESCUE_S = 10.0  # for those after an error
_HOSTS = tuple(
    str(urlsplit(url).hostname)
    for url in (BASE_URL, SOCKET_URL, "https://external-api.demo.kalshi.co", "wss://external-api-ws.demo.kalshi.co")
)


class ChannelEndedError(RuntimeError):
    """The account's own channel has ended for good: says why."""


class Resting(NamedTuple):
    """An order of ours that may still trade. Its place in the queue is not known here."""

    client_id: str
    ticker: str
    side: int
    px: int
    left: int  # lots
    state: str  # sent, open, unknown
    leaving: bool  # it is being cancelled


class Account(NamedTuple):
    """The account as its journal has it."""

    cash_uusd: int  # reserved included
    reserved_uusd: int
    free_uusd: int
    fees_uusd: int
    equity_uusd: int | None  # None until it has been compared with the venue
    positions: dict[str, int]  # lots of YES less lots of NO
    costs_uusd: dict[str, int]  # what they were bought for
    realised_uusd: dict[str, int]
    reserved_by: dict[str, int]  # by market
    resting: tuple[Resting, ...]


class State(NamedTuple):
    """What the manager is doing."""

    mode: str  # trading, baseline, killed
    why: str  # it is not trading
    ready: bool  # reconciled, and hearing the account's channel
    channel: str  # of the socket, in a word
    level: int  # doublings of the caps so far
    order_uusd: int
    risk_uusd: int
    at_risk_uusd: int
    refusals: Counter[str]
    others: int  # orders on this account that are not ours


class Orders:
    """An order manager with its sockets. Use it in ``async with``; leaving cancels what rests, after an error as well.

    What has ended it is in :attr:`error`, and sets :attr:`ended` at once: whoever waits may wait for that beside.
    Orders that may still be at the venue after leaving are in :attr:`left`, by their client order ids.

    Args:
        manager: with its permit and journal; the journal stays the caller's to close.
        client: REST, with a signer; not yet entered.
        clock: what everything goes by.
        rng: jitter of reconnecting.
        sights: the markets as they are seen at the moment of the call, in the manager's order.
        headers: of the socket's next handshake.
        socket_url: of the venue's socket.
        kill_file: while there is a file of this name, everything is killed.
        kill_signal: a signal that kills; None = none.

    Raises ValueError for an address that is neither the venue's nor this machine's, JournalError for a journal of
    another place than the client's.
    """

    def __init__(
        self, manager: Manager, client: RestClient, *, clock: Clock, rng: random.Random,
        sights: Callable[[], Sequence[Sight]], headers: Callable[[], dict[str, str]], socket_url: str = SOCKET_URL,
        kill_file: Path | None = None, kill_signal: signal.Signals | None = signal.SIGUSR1,
    ) -> None:  # fmt: skip
        for url in (client.base_url, socket_url):
            host = urlsplit(url).hostname or ""
            if host not in _HOSTS and not is_loopback(host):
                raise ValueError(f"{url}: orders go to {', '.join(_HOSTS)}, or to this machine")
        if place_of(client.base_url) != manager.record.journal.place:
            raise JournalError(
                f"{manager.record.journal.path}: is of {manager.record.journal.place}; {client.base_url} is"
                f" {place_of(client.base_url)}: name another file for this account there (another live.journal)"
            )
        self.manager, self.actions = manager, asyncio.Queue[tuple[int, np.ndarray]]()
        self._client, self._clock, self._sights = client, clock, sights
        self._kill_file, self._kill_signal = kill_file, kill_signal
        feed = Feed(KalshiUser(), Reading(KalshiUserReader()), Link(socket_url, KALSHI_LINK, Backoff(socket_url, rng)))
        self._socket = Socket(socket_url, feed, clock, self._take, headers)
        self._subscribed = False
        self._tasks: list[asyncio.Task[None]] = []
        self._calls: set[asyncio.Task[None]] = set()
        self.error: BaseException | None = None  # what has ended it
        self.ended = asyncio.Event()  # by an error
        self.left: tuple[str, ...] = ()  # client ids that the venue may still have, once this is left
        self._gone: set[str] = set()  # cancelled without the journal

    async def __aenter__(self) -> Orders:
        await self._client.__aenter__()
        try:
            await self._adopt_limits()
        except BaseException:
            await self._client.__aexit__(None, None, None)
            raise
        if self._kill_signal is not None:
            asyncio.get_running_loop().add_signal_handler(self._kill_signal, self.kill, "a signal")
        self._tasks = [asyncio.create_task(self._guarded(one)) for one in (self._act, self._tick, self._listen)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await asyncio.gather(self._guarded(self._farewell), return_exceptions=True)
            if self.error is not None:
                await self._rescue()
        finally:
            self.left = tuple(one for one in self._live() if one not in self._gone)
            if self.left:
                _LOG.error("orders: may still be at the venue: %s", ", ".join(self.left))
            for task in (*self._tasks, *self._calls):
                task.cancel()
            await asyncio.gather(*self._tasks, *self._calls, return_exceptions=True)
            if self._kill_signal is not None:
                asyncio.get_running_loop().remove_signal_handler(self._kill_signal)
            await self._client.__aexit__(kind, error, trace)
        if self.error is not None and error is None:
            raise self.error

    @property
    def fills(self) -> deque[Fill]:
        """Fills that nobody has taken yet, the oldest first."""
        return self.manager.record.fills

    @property
    def account(self) -> Account:
        """The account now."""
        record = self.manager.record
        holdings = record.ledger.holdings
        return Account(
            cash_uusd=record.ledger.cash_uusd, reserved_uusd=record.reserved_uusd, free_uusd=record.free_uusd,
            fees_uusd=record.ledger.fees_uusd, equity_uusd=self.manager.governor.equity_uusd,
            positions={ticker: one.position for ticker, one in holdings.items()},
            costs_uusd={ticker: sum(one.cost_uusd) for ticker, one in holdings.items()},
            realised_uusd={ticker: one.realised_uusd for ticker, one in holdings.items()},
            reserved_by={ticker: record.locked_uusd(ticker) for ticker in record.tickers},
            resting=tuple(
                Resting(one.client_id, one.ticker, one.side, one.intent.px, one.left, one.state, one.leaving)
                for one in record.orders.values() if one.live
            ),
        )  # fmt: skip

    @property
    def state(self) -> State:
        """What the manager is doing now."""
        manager, governor = self.manager, self.manager.governor
        return State(
            manager.mode, governor.why, manager.ready, self._socket.state, governor.level, governor.order_uusd,
            governor.risk_uusd, manager.record.risk_uusd, Counter(manager.refusals), len(manager.record.others),
        )  # fmt: skip

    def want(self, ns: int, wishes: np.ndarray) -> None:
        """Put a decision of ``ns`` into the queue: ``(M, 2)`` INTENT, copied. Raises what has ended the manager."""
        if self.error is not None:
            raise self.error
        self.actions.put_nowait((ns, wishes.copy()))

    def rates(self, ticker: str, rates: FeeRates) -> None:
        """A market's fees are others from now on: what its orders reserve changes."""
        self.manager.record.rates(ticker, rates)

    def kill(self, why: str) -> None:
        """Cancel everything, refuse everything, until :meth:`lift`. For a runner, a signal or an HTTP handler."""
        self._send(self.manager.kill(why, self._clock.now_ns()))

    def lift(self, who: str) -> None:
        """A person lets it trade again. Raises ValueError while the kill file is there."""
        if self._kill_file is not None and self._kill_file.exists():
            raise ValueError(f"{self._kill_file} is there; remove it before lifting the kill")
        self.manager.lift(who, self._clock.now_ns())

    async def _adopt_limits(self) -> None:
        """The account's own rate limits, for orders and everything else that this client asks."""
        rest = KalshiRest(self._client)
        limits, costs = await rest.account_limits(), await rest.endpoint_costs()
        self._client.limiter.adopt(limits.rates, costs)
        _LOG.info("orders: the account is %s: %s", limits.tier or "of no named tier", limits.rates)

    async def _act(self) -> None:
        while True:
            ns, wishes = await self.actions.get()
            self._send(self.manager.want(ns, wishes, self._sights(), self._clock.now_ns()))

    async def _tick(self) -> None:
        while True:
            now_ns = self._clock.now_ns()
            if self._kill_file is not None and self._kill_file.exists() and self.manager.mode != "killed":
                self._send(self.manager.kill(f"the file {self._kill_file}", now_ns))
            self._send(self.manager.heard(self._subscribed and self._socket.state != STALE, now_ns))
            self._send(self.manager.tick(now_ns))
            wake_ns = self.manager.wake_ns
            wait_s = _LOOK_S if wake_ns is None else (wake_ns - now_ns) / SECOND_NS
            await self._clock.sleep(min(max(wait_s, _SHORTEST_S), _LOOK_S))

    async def _listen(self) -> None:
        await self._socket.run()
        raise ChannelEndedError(f"the account's own channel has ended: {self._socket.why}")

    def _take(self, taken: Taken) -> None:
        """What the account's own channel says."""
        now_ns = self._clock.now_ns()
        for note in taken.notes:
            if isinstance(note, FillSaid | OrderSaid | PositionSaid):
                self._send(self.manager.told(note, now_ns))
            elif isinstance(note, Heard):
                self._subscribed = note.up
                self._send(self.manager.heard(note.up, now_ns))
            elif isinstance(note, Missed):
                self._send(self.manager.missed(note.what, now_ns))

    def _send(self, requests: Sequence[Request]) -> None:
        """Put requests on their way, each for itself, in their order."""
        for request in requests:
            task = asyncio.get_running_loop().create_task(self._guarded(self._call, request))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _call(self, request: Request) -> None:
        answer = await carry_out(self._client, request)
        self._send(self.manager.answered(request, answer, self._clock.now_ns()))

    async def _guarded(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Request) -> None:
        """What ends one part ends all: without journal, channel or clock no order may go out."""
        try:
            await work(*args)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if self.error is None:
                self.error = error
                self.ended.set()
                _LOG.exception("orders: ended by an error; what rests is cancelled on leaving")
                for task in self._tasks:
                    task.cancel()
            raise

    async def _farewell(self) -> None:
        """Take no more wishes, cancel what rests, and wait for it."""
        self._tasks[0].cancel()
        self.manager.cancel_all()
        until_ns = self._clock.monotonic_ns() + round(_FAREWELL_S * SECOND_NS)
        while self.error is None and self._live() and self._clock.monotonic_ns() <= until_ns:
            self._send(self.manager.tick(self._clock.now_ns()))
            await self._clock.sleep(_LOOK_S / 5)

    async def _rescue(self) -> None:
        """After an error: cancel what the venue has named, past manager and journal, which may be what failed."""
        tried, timer = set[str](), asyncio.create_task(self._clock.sleep(_RESCUE_S))
        tries = set[asyncio.Task[None]]()
        try:
            while not timer.done():
                named = {one: order.order_id for one, order in self._live().items() if order.order_id}
                tries |= {asyncio.create_task(self._end(one, named[one])) for one in named.keys() - tried}
                tried |= named.keys()
                waits = {one for one in (*tries, *self._calls) if not one.done()}
                if not waits:  # an order that was under way may be named yet
                    return
                await asyncio.wait({*waits, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (timer, *tries):
                task.cancel()
            await asyncio.gather(timer, *tries, return_exceptions=True)

    async def _end(self, client_id: str, order_id: str) -> None:
        answer = await carry_out(self._client, Cancel(client_id, order_id))
        if isinstance(answer, Failed) and answer.status != 404:  # that is: it is there no more
            _LOG.error("orders: %s is not cancelled: %s", client_id, answer.message)
        else:
            self._gone.add(client_id)

    def _live(self) -> dict[str, Working]:
        """Orders that may still trade, by their client ids."""
        return {one.client_id: one for one in self.manager.record.orders.values() if one.live}
