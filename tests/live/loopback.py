"""Servers on loopback, and clients of them whose waits take no time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from live.clock import ManualClock
from live.limits import Limiter, LimitRule, Rate
from live.rest import RestClient

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
FAST = (LimitRule("all", (), "/*", Rate(1_000, 1_000)),)


class Instant(ManualClock):
    """Nobody waits: a sleep of the client passes at once; deadlines pass when the test says so."""

    def __init__(self, deadlines: tuple[float, ...] = (30.0, 10.0)) -> None:
        super().__init__(10**18)
        self.deadlines, self.slept = deadlines, []

    async def sleep(self, seconds: float) -> None:
        if seconds in self.deadlines:
            await super().sleep(seconds)
            return
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


class Answers:
    """A server that gives its answers in turn and repeats the last one; keeps what it was sent."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.answers, self.seen = list(answers), []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.raw_path, await request.text(), dict(request.headers)))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(body, str):
            return web.Response(status=status, text=body)
        return web.json_response(body, status=status)


@contextlib.asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server on a free port of this machine: its base URL."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/api"
    finally:
        await runner.cleanup()


def client_of(url: str, clock=None, **settings) -> RestClient:
    """A client of it, hardly limited unless told otherwise."""
    clock = clock or Instant()
    rules = settings.pop("rules", FAST)
    return RestClient(url, clock=clock, rng=random.Random(1), limiter=Limiter(rules, clock), **settings)
