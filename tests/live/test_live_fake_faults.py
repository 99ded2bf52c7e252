"""Scripted faults: each does what it says, without sockets; and a cut connection is cut on a real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from live.fake.faults import Close, Fault, FaultLayer, Plan, drawn, load
from live.fake.kalshi import SOCKET_PATH
from live.fake.link import Link
from live.fake.server import FakeVenue
from sim.types import SECOND_NS
from sim.wire.kalshi import KalshiReader
from tests.live.fake_help import T0, Kalshi, Polymarket, on_sockets, opening, walk

FRAMES = [json.dumps({"n": number, "ts_ms": 1_800_000_000_000, "ts": 1_800_000_000}) for number in range(4)]


def sent(fault: Fault, kind: str = "orderbook_delta", until_ns: int = 10 * SECOND_NS) -> list[Any]:
    """What arrives of four frames, in the order of its arrival."""
    link = Link(FaultLayer(Plan([fault])))
    for frame in FRAMES:
        link.push(frame, 0, kind)
    return link.take(until_ns)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("gap", [0, 2, 3]), ("duplicate", [0, 1, 1, 2, 3]), ("reorder", [0, 2, 1, 3]), ("stall", [0, 1, 2, 3]),
        ("half_open", [0]),
    ],
)  # fmt: skip
def test_what_arrives(kind: Any, expected: list[int]) -> None:
    assert [json.loads(frame)["n"] for frame in sent(Fault(kind, after=1))] == expected


def test_a_stall_holds_back_what_follows_too() -> None:
    link = Link(FaultLayer(Plan([Fault("stall", after=1, for_s=2)])))
    for frame in FRAMES:
        link.push(frame, 0, "trade")
    assert len(link.take(0)) == 1 and link.next_ns == 2 * SECOND_NS
    assert not link.take(2 * SECOND_NS - 1) and len(link.take(2 * SECOND_NS)) == 3


def test_torn_garbage_skew_and_reset() -> None:
    assert sent(Fault("torn"))[0] == FRAMES[0][: len(FRAMES[0]) // 2]
    garbage = sent(Fault("garbage"))
    assert len(garbage) == 5
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(garbage[0])
    skewed = json.loads(sent(Fault("skew", for_s=-3))[0])
    assert (skewed["ts_ms"], skewed["ts"]) == (1_799_999_997_000, 1_799_999_997)
    assert sent(Fault("reset", after=2)) == [*FRAMES[:2], Close()]


def test_late_and_doubled_fills_and_snapshots_touch_nothing_else() -> None:
    for kind, message in (("late_fill", "fill"), ("snapshot_delay", "orderbook_snapshot")):
        assert [json.loads(x)["n"] for x in sent(Fault(kind), message)] == [1, 2, 3, 0]  # type: ignore[arg-type]
        assert sent(Fault(kind), "trade") == FRAMES  # type: ignore[arg-type]
    assert len(sent(Fault("duplicate_fill"), "fill")) == 5
    assert sent(Fault("gap", times=9), "ok") == FRAMES  # answers to commands are never lost


def test_a_moment_is_waited_for_and_a_fault_happens_once_in_the_venues_life() -> None:
    plan = Plan([Fault("gap", at_s=1)], T0)
    first, second = FaultLayer(plan), FaultLayer(plan)
    assert first.send("{}", T0, "trade") and not first.send("{}", T0 + SECOND_NS, "trade")
    assert second.send("{}", T0 + 2 * SECOND_NS, "trade")


def test_a_gap_makes_the_reader_lose_its_books_and_a_snapshot_heals_them() -> None:
    one = Kalshi(walk(2, 300, end=False), faults=(Fault("gap", after=60),))
    session = one.venue.connect(SOCKET_PATH, one.signer.headers("GET", SOCKET_PATH))
    reader = KalshiReader(one.venue.listings)
    params = {"channels": ["orderbook_delta"], "market_tickers": ["KXT-E0-M0", "KXT-E1-M1"]}
    session.receive(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
    one.to(T0 + 60 * SECOND_NS)
    for frame in session.link.take(one.clock.now_ns()):
        reader.take(str(frame), one.clock.now_ns())
    assert reader.counts["gaps"] == 1 and not reader.books[0].known
    update = {"sids": [1], "market_tickers": params["market_tickers"], "action": "get_snapshot"}
    session.receive(json.dumps({"id": 2, "cmd": "update_subscription", "params": update}))
    for frame in session.link.take(one.clock.now_ns()):
        reader.take(str(frame), one.clock.now_ns())
    assert [book.sizes for book in reader.books] == [book.shown.sizes for book in one.venue.exchange.books]


@pytest.mark.parametrize("make", [Kalshi, Polymarket])
def test_bursts_of_429_and_500_end(make: Any) -> None:
    one = make(opening(), faults=(Fault("too_many", after=1, times=2), Fault("server_error", after=3)))
    path = "/portfolio/balance" if make is Kalshi else "/balance-allowance"
    assert [one.ask("GET", path).status for _ in range(6)] == [200, 429, 429, 500, 200, 200]


def test_an_order_is_refused_and_a_cancel_races_a_fill() -> None:
    one = Kalshi(opening(), faults=(Fault("order_reject"), Fault("cancel_race", for_s=2)))
    one.to(T0)
    session = one.venue.connect(SOCKET_PATH, one.signer.headers("GET", SOCKET_PATH))
    session.receive('{"id":1,"cmd":"subscribe","params":{"channels":["fill","user_orders"]}}')
    assert one.order("bid", "0.4000", "10.00").status == 400
    placed = one.order("bid", "0.4000", "10.00").said
    cancelled = one.ask("DELETE", f"/portfolio/events/orders/{placed['order_id']}").said
    assert cancelled["reduced_by"] == "5.00"  # half of it had traded
    kinds = [json.loads(str(frame)) for frame in session.link.take(T0)]
    assert kinds[-1]["msg"]["status"] == "canceled" and "fill" not in [frame["type"] for frame in kinds]
    late = [json.loads(str(frame)) for frame in session.link.take(T0 + 2 * SECOND_NS)]
    assert late[0]["type"] == "fill" and late[0]["msg"]["count_fp"] == "5.00"
    assert one.ask("GET", "/portfolio/positions").said["market_positions"][0]["position_fp"] == "5.00"


def test_a_reset_cuts_a_real_connection_and_the_next_one_works() -> None:
    one = Kalshi(opening(), faults=(Fault("reset", after=1),))

    async def work(fake: FakeVenue, http: aiohttp.ClientSession) -> None:
        for turn in range(2):
            headers = one.signer.headers("GET", SOCKET_PATH)
            async with http.ws_connect(fake.socket_url + SOCKET_PATH, headers=headers) as socket:
                await socket.send_str('{"id":1,"cmd":"subscribe","params":{"channels":["trade"]}}')
                assert json.loads((await socket.receive()).data)["type"] == "subscribed"
                await socket.send_str('{"id":2,"cmd":"list_subscriptions"}')
                message = await socket.receive()
                assert (message.type is aiohttp.WSMsgType.TEXT) == (turn == 1)

    on_sockets(one, work)


def test_scripts_are_data(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('[{"kind": "gap", "at_s": 3, "times": 2}]')
    assert load(str(path)) == (Fault("gap", at_s=3, times=2),)
    assert load("seed:7") == drawn(7) != drawn(8)
    path.write_text('[{"kind": "gap", "at": 3}]')
    for wrong in (str(path), "seed:x", str(tmp_path / "none")):
        with pytest.raises(ValueError, match="expected"):
            load(wrong)
    with pytest.raises(ValueError, match="expected"):
        Fault("gap", at_s=-1)
