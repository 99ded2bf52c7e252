"""What both fakes promise alike."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from live.clock import SystemClock
from live.fake.faults import drawn
from live.fake.kalshi import SOCKET_PATH
from live.fake.polymarket import MARKET_PATH
from live.fake.server import FakeVenue
from sim.types import SECOND_NS
from tests.live.fake_help import T0, Kalshi, Polymarket, on_sockets, opening, walk

BOTH = pytest.mark.parametrize("make", [Kalshi, Polymarket])
SUBSCRIBE = {
    Kalshi: json.dumps({"id": 1, "cmd": "subscribe", "params": {
        "channels": ["orderbook_delta", "trade"], "market_tickers": ["KXT-E0-M0"]}}),
    Polymarket: json.dumps({"assets_ids": ["10000"], "type": "market"}),
}  # fmt: skip


def session_of(one: Any) -> Any:
    path = SOCKET_PATH if isinstance(one, Kalshi) else MARKET_PATH
    session = one.venue.connect(path, one.signer.headers("GET", path))
    session.receive(SUBSCRIBE[type(one)])
    return session


@BOTH
def test_the_same_run_gives_the_same_frames_faults_included(make: Any) -> None:
    runs = []
    for _ in range(2):
        one = make(walk(3, 800), faults=drawn(4, count=30, span_s=10))
        session = session_of(one)
        one.to(T0 + 60 * SECOND_NS)
        runs.append(session.link.take(T0 + 100 * SECOND_NS))
    assert runs[0] == runs[1] and len(runs[0]) > 1


@BOTH
def test_every_event_is_with_the_client_when_the_step_returns(make: Any) -> None:
    """Events 1 s apart, one step each: what a step brings is stamped by it, and the next step's is not there yet."""
    one = make([*opening(), *(row for row in walk(9, 200, 1, end=False) if row[0] > T0)])

    async def work(fake: FakeVenue, http: aiohttp.ClientSession) -> None:
        path = SOCKET_PATH if make is Kalshi else MARKET_PATH
        headers = one.signer.headers("GET", path)
        async with http.ws_connect(fake.socket_url + path, headers=headers) as socket:
            await socket.send_str(SUBSCRIBE[make])
            await socket.receive()
            while (at_ns := one.venue.exchange.next_ns) is not None and at_ns <= T0 + 2 * SECOND_NS:
                await fake.step_to(at_ns)
                message = await asyncio.wait_for(socket.receive(), 5)
                assert message.type is aiohttp.WSMsgType.TEXT
                sent = one.venue.sessions[0].link.sent
            assert sent > 20

    on_sockets(one, work)


@BOTH
def test_it_listens_to_this_machine_alone_and_moves_only_a_manual_clock(make: Any) -> None:
    one = make(opening())
    one.venue.clock = SystemClock()

    async def work(fake: FakeVenue, http: aiohttp.ClientSession) -> None:
        assert fake.url.startswith("http://127.0.0.1:")
        with pytest.raises(TypeError, match="ManualClock"):
            await fake.step_to(T0)
        async with http.get(f"{fake.url}/nowhere") as answer:
            assert answer.status == 404

    on_sockets(one, work)


@BOTH
def test_requests_that_cannot_be_are_refused(make: Any) -> None:
    one = make(opening())
    one.to(T0)
    order = "/portfolio/events/orders" if make is Kalshi else "/order"
    assert one.ask("GET", "/nowhere").status == 404
    assert one.ask("PATCH", order).status == 405
    for body in (None, [], {}, {"ticker": 1}, {"order": {}, "orderType": "GTC"}):
        assert one.ask("POST", order, body).status == 400
    assert not one.venue.exchange.orders


@BOTH
def test_nonsense_on_the_socket_breaks_nothing(make: Any) -> None:
    one = make(opening())
    session = session_of(one)
    before = len(session.link.take(T0))
    for text in ("", "x", "[]", "5", '{"cmd":3}', '{"cmd":"subscribe"}', '{"assets_ids":7}', '{"params":[]}', "\x00"):
        session.receive(text)
    one.to(T0)
    assert before and session.link.take(T0)
