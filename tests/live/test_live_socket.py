"""Over real sockets: what a session sees and certifies beside a fake venue is what an environment's replay gives."""

import asyncio
import random

import numpy as np
import pytest
from aiohttp import web

from envs.vector import TradingVectorEnv
from live.backoff import Backoff
from live.clock import ManualClock
from live.fake.guard import KalshiGuard, new_kalshi_key
from live.fake.kalshi import SOCKET_PATH, KalshiVenue
from live.fake.market import Markets
from live.fake.server import FakeVenue
from live.feed import Feed
from live.kalshi import Kalshi
from live.reading import Reading
from live.reconnect import LIVE, STOPPED, Link
from live.secrets import KalshiCredentials, Secret, _private_key
from live.session import Session
from live.signing import KalshiSigner
from live.socket import Socket
from live.stream import Opening, Stream
from sim.types import GAP, SECOND_NS
from sim.wire.kalshi import KalshiReader
from sim.wire.listing import CENT_TICKS
from tests.live.loopback import served
from tests.live.parity import SETTINGS, replaying, tell


async def until(wanted, what):
    """Let everybody run until ``wanted()``."""
    for _ in range(20_000):
        if wanted():
            return
        await asyncio.sleep(0.0002)
    raise AssertionError(f"waited in vain until {what}")


class Kept:
    """A client on a real socket, and how many frames it has been handed."""

    def __init__(self, told, clock, url, key, key_id="test"):
        self.reader = KalshiReader(told.listings)
        self.taken = []
        side = Kalshi(told.listings)
        link = Link("kalshi", side.link_rules, Backoff("kalshi", random.Random(0)))
        signer = KalshiSigner(KalshiCredentials(Secret(key_id), key, _private_key(key)), clock)
        self.socket = Socket(
            url + SOCKET_PATH, Feed(side, Reading(self.reader), link), clock, self.taken.append,
            lambda: signer.headers("GET", SOCKET_PATH),
        )  # fmt: skip

    @property
    def link(self):
        return self.socket.feed.link

    def rows(self):
        rows = [row for taken in self.taken for row in taken.rows]
        self.taken.clear()
        return rows


class World:
    """A fake Kalshi that tells ``told`` on a clock of its own."""

    def __init__(self, told):
        rows = np.concatenate(told.events)
        rows = rows[np.argsort(rows["local_ns"], kind="stable")].tolist()
        self.told = told
        self.clock = ManualClock(rows[0][0])  # every book is told at once, before anybody asks
        self.key, public = new_kalshi_key()
        fees = (told.listings[0].fees,)
        markets = Markets("kalshi", told.listings, (CENT_TICKS,), fees, rows)
        self.venue = KalshiVenue(markets, self.clock, KalshiGuard({"test": public}, self.clock))
        self.server = FakeVenue(self.venue)

    async def go_to(self, ns, client):
        """Everything up to ``ns``, a moment at a time, and each read before the next."""
        while (next_ns := self.venue.next_ns) <= ns:
            await self.server.step_to(next_ns)
            await self.read(client)
        await self.server.step_to(ns)
        await self.read(client)

    async def read(self, client):
        """Until what was written has been read: the venue pings, and its ping is answered behind all of it."""
        (one,) = self.server._connections
        before = client.link._heard_ns, client.socket.heard
        await one.socket.ping(b"barrier")
        await until(lambda: client.socket.heard > before[1], "the barrier is heard")


@pytest.mark.parametrize("markets", [1, 2])
def test_over_a_socket_observations_and_orders_are_the_environments(markets):
    told = tell("kalshi", markets, 45.0)

    async def main():
        world = World(told)
        async with world.server as server:
            client = Kept(told, world.clock, server.socket_url, world.key)
            running = asyncio.create_task(client.socket.run())
            world.venue.step()
            await until(lambda: client.link.state == LIVE, "the books are told")
            await world.read(client)
            rows = [[] for _ in told.listings]
            for row in client.rows():
                rows[row[6]].append(row)
            stream = Stream(Opening(tuple(client.reader.rules), tuple(rows)))
            env = TradingVectorEnv(1, scenario=stream.scenario, **SETTINGS)
            session, replay = Session(env, stream), replaying(told, client.reader)
            look, (obs, info) = session.begin(), replay.reset(seed=0)
            rng, steps = np.random.default_rng(0), 0
            while True:
                assert look.obs.tobytes() == obs.tobytes()
                assert look.masks.tobytes() == info["action_mask"].tobytes()
                actions = rng.integers(0, look.masks.shape[-1], (1, markets) if markets > 1 else (1,))
                orders = session.certify(actions).orders.copy()
                await world.go_to(session.now_ns + SECOND_NS, client)
                stream.append(client.rows())
                look = session.proceed(session.now_ns + SECOND_NS)
                obs, _, _, truncated, info = replay.step(actions)
                assert orders.tobytes() == replay.sent.tobytes()
                steps += 1
                if truncated.any():
                    break
            await client.socket.stop()
            await running
            assert client.link.state == STOPPED
            return steps, client.reader.counts

    steps, counts = asyncio.run(main())
    assert steps >= 40 and counts["gaps"] == counts["malformed"] == counts["unreadable"] == 0


def test_a_connection_that_is_cut_comes_back_with_whole_books():
    told = tell("kalshi", 1, 45.0)

    async def main():
        world = World(told)
        async with world.server as server:
            client = Kept(told, world.clock, server.socket_url, world.key)
            running = asyncio.create_task(client.socket.run())
            world.venue.step()
            await until(lambda: client.link.state == LIVE, "the books are told")
            await world.go_to(world.clock.now_ns() + 5 * SECOND_NS, client)
            client.rows()
            server._connections[0]._transport.abort()
            await until(lambda: client.link.state == "backoff", "the cut is noticed")
            assert [row[7] for row in client.rows()] == [GAP] and not client.reader.books[0].known
            for _ in range(10):  # a sleep that begins after the clock was moved ends only when it is moved again
                world.clock.advance(0.5)
                await asyncio.sleep(0.05)
                if client.link.state != "backoff":
                    break
            await until(lambda: client.link.state == LIVE, "it is back")
            await world.go_to(world.clock.now_ns() + 5 * SECOND_NS, client)
            assert client.reader.books[0].sizes == world.venue.writer.books[0].sizes
            await client.socket.stop()
            await running

    asyncio.run(main())


def test_a_key_that_is_not_known_is_not_tried_again():
    told = tell("kalshi", 1, 10.0)

    async def main():
        world = World(told)
        async with world.server as server:
            client = Kept(told, world.clock, server.socket_url, world.key, key_id="nobody's")
            await asyncio.wait_for(client.socket.run(), 5.0)
            assert client.link.state == STOPPED and "the handshake was refused with 401" in client.socket.why

    asyncio.run(main())


def test_a_redirect_is_not_followed_and_no_key_goes_with_it():
    told = tell("kalshi", 1, 10.0)
    stolen = []

    async def main():
        async def elsewhere(request):
            stolen.append(dict(request.headers))
            return web.Response(status=200)

        async with served(elsewhere) as other:

            async def moved(_):
                raise web.HTTPFound(f"{other}/stolen")

            async with served(moved) as url:
                key, _ = new_kalshi_key()
                client = Kept(told, ManualClock(10**18), url.replace("http", "ws"), key)
                running = asyncio.create_task(client.socket.run())
                await until(lambda: client.link.counts["backoff"] == 1, "the redirect is refused")
                await client.socket.stop()
                await running

    asyncio.run(main())
    assert stolen == []


@pytest.mark.parametrize("where", ["take", "headers"])
def test_what_a_callback_raises_ends_the_socket_and_is_raised(where):
    told = tell("kalshi", 1, 10.0)

    def broken(*_):
        raise OSError("the disk is full")

    async def main():
        world = World(told)
        async with world.server as server:
            client = Kept(told, world.clock, server.socket_url, world.key)
            setattr(client.socket, f"_{where}", broken)
            world.venue.step()
            with pytest.raises(OSError, match="the disk is full"):
                await asyncio.wait_for(client.socket.run(), 5.0)

    asyncio.run(main())


def test_a_socket_that_is_stopped_before_it_runs_does_not_run():
    told = tell("kalshi", 1, 10.0)

    async def main():
        key, _ = new_kalshi_key()
        client = Kept(told, ManualClock(10**18), "ws://127.0.0.1:1", key)
        await client.socket.stop("never mind")
        await asyncio.wait_for(client.socket.run(), 5.0)
        assert client.socket.why == "never mind"

    asyncio.run(main())
