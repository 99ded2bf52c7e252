"""A thin client for the venues' REST: limits, signature, deadline, retries, bounded answers, errors in one shape.

* TLS is always verified and redirects are not followed; plain HTTP is for loopback hosts only (``live/urls.py``).
* Tried again is only what may be sent twice: GET, PUT, DELETE, a POST that only asks, or one with an idempotency key
  that the venue sees. Every retry is logged and counted, and ends with the attempts or the deadline.
"""

from __future__ import annotations

import random
import ssl
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from live.backoff import Backoff
from live.clock import Clock, within
from live.errors import VenueError, refusal
from live.limits import Limiter
from live.secrets import Secret, redacted
from live.signing import Signer
from live.urls import checked_url
from sim.types import SECOND_NS

Params = Sequence[tuple[str, str]]

_REPEATABLE = ("GET", "PUT", "DELETE")
_BLOCK = 1 << 16


class RestClient:
    """Talks to one host of a venue. Use it in ``async with``.

    Args:
        base_url: scheme, host and the path in front of every endpoint.
        clock: what deadlines and waits go by.
        rng: jitter of the waits.
        limiter: how often may be asked.
        signer: makes the headers of requests; None = without a key.
        deadline_s: of a call, its waits and retries included.
        attempt_s: of one attempt.
        attempts: how often a call is tried.
        max_bytes: of an answer, unpacked.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        rng: random.Random,
        limiter: Limiter,
        signer: Signer | None = None,
        deadline_s: float = 30.0,
        attempt_s: float = 10.0,
        attempts: int = 4,
        max_bytes: int = 32 << 20,
    ) -> None:
        self._base = checked_url(base_url, "https")
        self._prefix = urlsplit(self._base).path
        self._clock, self._rng, self._limiter, self._signer = clock, rng, limiter, signer
        self._deadline_s, self._attempt_s, self._attempts = deadline_s, attempt_s, attempts
        self._max_bytes = max_bytes
        self._session: aiohttp.ClientSession | None = None
        self.counts: Counter[str] = Counter()  # requests, retries, failures; refusals by status

    @property
    def base_url(self) -> str:
        """Scheme, host and the path in front of every endpoint."""
        return self._base

    @property
    def limiter(self) -> Limiter:
        """How often may be asked; an account's own rates go in here."""
        return self._limiter

    async def __aenter__(self) -> RestClient:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
            timeout=aiohttp.ClientTimeout(total=None),  # deadlines are kept on the injected clock
            headers={"Accept": "application/json", "User-Agent": "shadowbook"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str, params: Params = ()) -> Any:
        """Parsed JSON of an endpoint below the base URL. Raises VenueError."""
        return await self.request("GET", path, params=params)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        body: Any = None,
        asks_only: bool = False,
        idempotency_key: str = "",
        at_once: bool = False,
    ) -> Any:
        """Parsed JSON of the answer; None for one without a body.

        Args:
            method: in capitals.
            path: below the base URL, from a slash on.
            params: of the query; a name may come several times.
            body: becomes JSON.
            asks_only: a POST that changes nothing.
            idempotency_key: makes a POST safe to send twice; it must be in the body.
            at_once: rather fail ("not_sent") than wait for the limiter: an order that waits is another order.

        Raises VenueError; ValueError for a key that the body does not hold.
        """
        raw = b"" if body is None else msgspec.json.encode(body)
        if idempotency_key and idempotency_key.encode() not in raw:
            raise ValueError(f"{method} {path}: the body lacks the idempotency key; a venue goes by what it is sent")
        again = method in _REPEATABLE or asks_only or bool(idempotency_key)
        if at_once and not self._limiter.admit(method, self._prefix + path):
            self.counts["not_sent"] += 1
            raise VenueError(f"{method} {path}", 0, "not_sent", "the limiter would hold it back", "lower the rate")
        work = self._attempt(method, path, params, raw, again, admitted=at_once)
        try:
            return await within(self._clock, self._deadline_s, work)
        except TimeoutError:
            self.counts["failures"] += 1
            raise VenueError(
                f"{method} {path}",
                0,
                "deadline",
                f"no answer in {self._deadline_s:g} s",
                "try later, or allow more time",
            ) from None

    async def _attempt(self, method: str, path: str, params: Params, raw: bytes, again: bool, *, admitted: bool) -> Any:
        """Try until there is an answer or no further attempt. ``admitted``: the limiter has let the first one pass."""
        backoff = Backoff(f"{method} {path}", self._rng, attempts=self._attempts if again else 1)
        while True:
            if not admitted:
                await self._limiter.acquire(method, self._prefix + path)
            admitted = False
            self.counts["requests"] += 1
            try:
                return await self._once(method, path, params, raw)
            except VenueError as error:
                self.counts[error.code if error.status == 0 else str(error.status)] += 1
                if error.status == 429:
                    self._limiter.refused(method, self._prefix + path)
                wait_ns = self._wait_ns(backoff, error)
                if wait_ns is None:
                    self.counts["failures"] += 1
                    raise
            self.counts["retries"] += 1
            await self._clock.sleep(wait_ns / SECOND_NS)

    def _wait_ns(self, backoff: Backoff, error: VenueError) -> int | None:
        """How long before the next attempt; None where another would not help, or would come too late."""
        if not error.passing or error.retry_after_s >= self._deadline_s:
            return None
        return backoff.failed(self._clock.monotonic_ns(), f"{error.status} {error.code}", error.retry_after_s)

    async def _once(self, method: str, path: str, params: Params, raw: bytes) -> Any:
        request = f"{method} {path}"
        try:
            status, body = await within(self._clock, self._attempt_s, self._exchange(method, path, params, raw))
        except TimeoutError:
            raise VenueError(request, 0, "connection", f"no answer in {self._attempt_s:g} s") from None
        except aiohttp.ClientSSLError as error:
            text = redacted(str(error), self._secrets)
            raise VenueError(
                request, 0, "tls", text, "this is not the venue, or its certificate is not valid"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            text = redacted(f"{type(error).__name__}: {error}"[:300], self._secrets)
            raise VenueError(request, 0, "connection", text, "check the network and the host") from None
        if status >= 300:
            raise refusal(request, status, body, self._secrets)
        return self._parsed(request, status, body)

    async def _exchange(self, method: str, path: str, params: Params, raw: bytes) -> tuple[int, bytes]:
        """Status and body of one request, signed for this moment."""
        if self._session is None:
            raise RuntimeError("the client is not open; use it in `async with`")
        headers = {"Content-Type": "application/json"} if raw else {}
        if self._signer is not None:
            headers |= self._signer.headers(method, self._prefix + path, raw)
        async with self._session.request(
            method, self._base + path, params=list(params), data=raw or None, headers=headers, allow_redirects=False
        ) as answer:
            body = bytearray()
            async for block in answer.content.iter_chunked(_BLOCK):
                body += block
                if len(body) > self._max_bytes:
                    raise VenueError(
                        f"{method} {path}", 0, "too_large", f"more than {self._max_bytes} bytes", "ask for less at once"
                    )
            return answer.status, bytes(body)

    def _parsed(self, request: str, status: int, body: bytes) -> Any:
        if not body:
            return None
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            text = f"{len(body)} bytes that are no JSON ({error})"
            raise VenueError(
                request, status, "not_json", text, "something between here and the venue answers"
            ) from None

    @property
    def _secrets(self) -> tuple[Secret, ...]:
        return () if self._signer is None else self._signer.secrets
