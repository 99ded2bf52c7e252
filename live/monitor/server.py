"""The monitor's HTTP side, bound to this machine: page, view, metrics, health, and the kill switch.

=========  ====  =======================================================================
path       verb  answer
=========  ====  =======================================================================
/          GET   the page; what it needs lies beside it
/view.json GET   the `View`
/events    GET   the `View`, about once a second, as server-sent events
/metrics   GET   for Prometheus
/healthz   GET   200, or 503 where the runner has not filled a view for some time
/readyz    GET   200, or 503 with the reasons
/kill      POST  throws the kill switch; asks for the run's token
=========  ====  =======================================================================
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Annotated

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from live.clock import Clock
from live.monitor.gate import PAGE, authorised, refusal
from live.monitor.metrics import CONTENT_TYPE, Metrics
from live.monitor.view import View
from live.monitor.words import duration
from live.secrets import Secret
from sim.types import SECOND_NS

_LOG = logging.getLogger(__name__)
HOST = "127.0.0.1"
PERIOD_S = 1.0  # between two events of a stream
OLDEST_NS = 10 * SECOND_NS  # of a view: an older one means that the runner hangs
_END_S = 5.0  # for a command under way when the server ends
_MOST_STREAMS = 16
_MOST_BODY = 1 << 10
_FOLDER = Path(__file__).parent / "page"
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "shadowbook",
}


class KillOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of /kill."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class MonitorServer:
    """Serves what is to be seen of a session. Use it in ``async with``.

    Args:
        view: the session as it is now; asked once a second for each open page, and at each request.
        kill: throws the kill switch for the reason that it is given; may be called again. What it raises is logged,
            and told to the page as a failure.
        metrics: of the same view.
        token: see `live.monitor.gate.new_token`.
        port: 0 = any that is free.
    """

    def __init__(
        self,
        view: Callable[[], View],
        kill: Callable[[str], Awaitable[None]],
        metrics: Metrics,
        token: Secret,
        clock: Clock,
        port: int = 0,
    ) -> None:
        self._view, self._kill, self._metrics = view, kill, metrics
        self._token, self._clock, self._port = token, clock, port
        self._files = _read_files()
        self._encoded: tuple[View, bytes] | None = None
        self._streams: set[asyncio.Task[object]] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> MonitorServer:
        app = web.Application(client_max_size=_MOST_BODY, middlewares=[_check_source])
        app.on_response_prepare.append(_add_headers)
        for path in self._files:
            app.router.add_get(path, self._file, allow_head=False)
        for path, handler in (
            ("/view.json", self._view_json), ("/events", self._events), ("/metrics", self._scrape),
            ("/healthz", self._health), ("/readyz", self._ready),
        ):  # fmt: skip
            app.router.add_get(path, handler, allow_head=False)
        app.router.add_post("/kill", self._throw)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_END_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._streams:
            stream.cancel()
        assert self._runner is not None  # made by __aenter__
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Of the page, without the token."""
        return f"http://{HOST}:{self._port}/"

    @property
    def link(self) -> str:
        """Of the page with the token behind ``#``, which browsers keep to themselves. For the terminal, never a log."""
        return f"{self.url}#token={self._token.reveal()}"

    async def _file(self, request: web.Request) -> web.Response:
        text, kind = self._files[request.path]
        return web.Response(text=text, content_type=kind, charset="utf-8")

    async def _view_json(self, _: web.Request) -> web.Response:
        return web.Response(body=self._json(self._view()), content_type="application/json")

    async def _scrape(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    async def _health(self, _: web.Request) -> web.Response:
        late = self._late()
        return _told({"alive": not late, "reasons": late}, bad=bool(late))

    async def _ready(self, _: web.Request) -> web.Response:
        reasons = [*self._late(), *self._view().ready]
        return _told({"ready": not reasons, "reasons": reasons}, bad=bool(reasons))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send the view now and whenever there is a new one, until the page goes or the server ends."""
        if len(self._streams) >= _MOST_STREAMS:
            return _told({"error": f"{_MOST_STREAMS} pages are open already; close one"}, bad=True)
        task = asyncio.current_task()
        assert task is not None  # a handler runs in one
        self._streams.add(task)
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8"})
        sent: View | None = None
        try:
            await response.prepare(request)
            while True:
                view = self._view()
                news = b"data: " + self._json(view) if view is not sent else b": nothing new"
                await response.write(news + b"\n\n")
                sent = view
                await self._clock.sleep(PERIOD_S)
        except ConnectionError:
            return response  # the page was closed
        finally:
            self._streams.discard(task)

    async def _throw(self, request: web.Request) -> web.Response:
        if not authorised(request.headers, self._token):
            _LOG.warning("kill asked for without the token of this run; refused")
            return web.json_response(
                {"error": "expected the token of this run: Authorization: Bearer TOKEN; open the link that it printed"},
                status=401, headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
            )  # fmt: skip
        if request.content_type != "application/json":
            return web.json_response({"error": "expected Content-Type: application/json"}, status=415)
        try:
            order = msgspec.json.decode(await request.read(), type=KillOrder)
        except msgspec.DecodeError as error:
            return web.json_response({"error": f'{error}; expected {{"reason": "why"}}'}, status=400)
        _LOG.warning("kill asked for: %r", order.reason)
        await self._kill(order.reason)
        return web.json_response({"killed": True})

    def _late(self) -> list[str]:
        age_ns = self._clock.now_ns() - self._view().ns
        return [f"the runner has shown nothing new for {duration(age_ns)}"] if age_ns > OLDEST_NS else []

    def _json(self, view: View) -> bytes:
        """Encoded once, however many look."""
        if self._encoded is None or self._encoded[0] is not view:
            self._encoded = view, msgspec.json.encode(view)
        return self._encoded[1]


def _read_files() -> dict[str, tuple[str, str]]:
    """Text and type of what the page consists of, by path."""
    files = {f"/{path.name}": (path.read_text("utf-8"), _KINDS[path.suffix]) for path in _FOLDER.iterdir()}
    return {PAGE: files.pop("/index.html"), **files}


@web.middleware
async def _check_source(request: web.Request, handler: Handler) -> web.StreamResponse:
    why = refusal(request.path, request.headers)
    if why:
        _LOG.warning("monitor: %s %s refused: %s", request.method, request.path, ascii(why))
        return web.json_response({"error": why}, status=403)
    return await handler(request)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _told(answer: dict[str, object], *, bad: bool) -> web.Response:
    return web.json_response(answer, status=503 if bad else 200)
