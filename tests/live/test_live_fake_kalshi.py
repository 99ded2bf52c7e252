"""The fake Kalshi: signatures, limits, orders by REST, and the socket's numbers on a real socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from live.fake.answers import Ask
from live.fake.kalshi import SOCKET_PATH, KalshiConfig, Window
from live.fake.server import FakeVenue
from live.kalshi_rest import books_of, rest_book
from live.limits import Rate
from sim.types import ASK, BID, SECOND_NS
from sim.venues.responses import read_rules
from sim.wire.kalshi import KalshiReader
from tests.live.fake_help import CONTRACT, T0, Kalshi, drained, on_sockets, opening, trade, walk

ORDERS = "/portfolio/events/orders"


def error(answer: Any) -> tuple[int, str]:
    return answer.status, answer.said["error"]["code"]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_only_a_signature_that_holds_lets_in(kind: Any) -> None:
    one = Kalshi(opening(), kind=kind)
    assert one.ask("GET", "/portfolio/balance").said["balance_dollars"] == "1000.000000"
    refused = (401, "token_authentication_failure")
    assert error(one.ask("GET", "/portfolio/balance", key=False)) == refused
    path = "/trade-api/v2/portfolio/balance"
    headers = one.signer.headers("GET", path)
    for name, value in (("KEY", "other"), ("TIMESTAMP", "1"), ("TIMESTAMP", "x"), ("SIGNATURE", "AAAA")):
        spoilt = headers | {f"KALSHI-ACCESS-{name}": value}
        assert error(one.venue.request(one_ask("GET", path, spoilt))) == refused
    assert error(one.venue.request(one_ask("GET", "/trade-api/v2/portfolio/fills", headers))) == refused
    one.clock.advance(31)  # the stamp is too old now
    assert error(one.venue.request(one_ask("GET", path, headers))) == refused


def one_ask(method: str, path: str, headers: dict[str, str]) -> Ask:
    return Ask(method, path, (), headers)


def test_write_and_read_have_a_bucket_each_and_both_shapes_of_429() -> None:
    for nested in (True, False):
        one = Kalshi(opening(), config=KalshiConfig(write=Rate(30, 10), nested_429=nested))
        one.to(T0)
        assert [one.order("bid", "0.1000", "1.00").status for _ in range(4)] == [201, 201, 201, 429]
        said = one.order("bid", "0.1000", "1.00").said
        assert said == {"error": "too many requests"} if not nested else said["error"]["code"] == "too_many_requests"
        assert one.ask("GET", "/portfolio/balance").status == 200
        one.clock.advance(0.2)  # two tokens: a cancel costs 2, an order 10
        assert one.ask("DELETE", f"{ORDERS}/00000000-0000-4000-9000-000000000001").status == 200
        assert one.order("bid", "0.1000", "1.00").status == 429


def test_an_order_from_placement_to_settlement() -> None:
    one = Kalshi([*opening(), trade(T0 + 2 * SECOND_NS, ASK, 4800, 104)])
    one.to(T0)
    placed = one.order("bid", "0.4800", "10.00", client_order_id="mine").said
    assert (placed["fill_count"], placed["remaining_count"]) == ("0.00", "10.00")
    assert error(one.order("bid", "0.4800", "1.00", client_order_id="mine")) == (409, "order_already_exists")
    path = f"/portfolio/orders/{placed['order_id']}"
    assert one.ask("GET", f"{path}/queue_position").said == {"queue_position_fp": "100.00"}
    # 10 at .48 as a maker pays no fee: 4.80 of the 1000 are reserved
    assert one.ask("GET", "/portfolio/balance").said["balance_dollars"] == "995.200000"
    one.to(T0 + 2 * SECOND_NS)  # 104 contracts: 100 ahead, 4 of ours
    assert one.ask("GET", path).said["order"]["fill_count_fp"] == "4.00"
    decreased = one.ask("POST", f"{ORDERS}/{placed['order_id']}/decrease", {"reduce_by": "1.00"}).said
    assert decreased["remaining_count"] == "5.00"
    body = {"ticker": "KXT-E0-M0", "side": "bid", "price": "0.4900", "count": "6.00"}
    amended = one.ask("POST", f"{ORDERS}/{placed['order_id']}/amend", body).said
    assert (amended["fill_count"], amended["remaining_count"]) == ("4.00", "2.00")
    assert one.ask("DELETE", f"{ORDERS}/{placed['order_id']}").said["reduced_by"] == "2.00"
    assert error(one.ask("DELETE", f"{ORDERS}/{placed['order_id']}")) == (404, "not_found")
    fill, trades = one.ask("GET", "/portfolio/fills").said["fills"][0], one.ask("GET", "/markets/trades").said["trades"]
    assert (fill["count_fp"], fill["fee_cost"], fill["is_taker"]) == ("4.00", "0.000000", False)
    assert fill["trade_id"] in [one["trade_id"] for one in trades]
    position = one.ask("GET", "/portfolio/positions").said["market_positions"][0]
    assert (position["position_fp"], position["market_exposure_dollars"]) == ("4.00", "1.920000")


def test_batches_have_a_result_for_each_item() -> None:
    one = Kalshi(opening())
    one.to(T0)
    body = {"ticker": "KXT-E0-M0", "side": "bid", "count": "1.00", "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "maker"}  # fmt: skip
    said = one.ask(
        "POST", f"{ORDERS}/batched", {"orders": [body | {"price": "0.4000"}, body | {"price": "0.4050"}]}
    ).said
    first, second = said["orders"]
    assert first["remaining_count"] == "1.00" and second["error"]["code"] == "invalid_price"
    ids = {"orders": [{"order_id": first["order_id"]}, {"order_id": "none"}]}
    cancelled = one.ask("DELETE", f"{ORDERS}/batched", ids).said["orders"]
    assert cancelled[0]["reduced_by"] == "1.00" and cancelled[1]["error"]["code"] == "not_found"


def test_a_batch_costs_the_sum_of_its_items() -> None:
    one = Kalshi(opening(), config=KalshiConfig(write=Rate(30, 10)))
    one.to(T0)
    body = {"ticker": "KXT-E0-M0", "side": "bid", "count": "1.00", "price": "0.4000",
            "time_in_force": "good_till_canceled", "self_trade_prevention_type": "maker"}  # fmt: skip
    assert one.ask("POST", f"{ORDERS}/batched", {"orders": [body] * 4}).status == 429
    assert one.ask("POST", f"{ORDERS}/batched", {"orders": [body] * 3}).status == 201
    assert one.order("bid", "0.4000", "1.00").status == 429


def test_maintenance_takes_no_orders_and_a_halt_no_cancels() -> None:
    windows = (Window(T0 + 10, T0 + 20), Window(T0 + 20, T0 + 30, halted=True))
    one = Kalshi(opening(), config=KalshiConfig(maintenance=windows))
    one.to(T0)
    ids = [one.order("bid", "0.4000", "1.00").said["order_id"] for _ in range(2)]
    one.to(T0 + 15)
    assert error(one.order("bid", "0.4000", "1.00")) == (409, "trading_is_paused")
    assert one.ask("GET", "/exchange/status").said["trading_active"] is False
    assert one.ask("DELETE", f"{ORDERS}/{ids[0]}").status == 200
    one.to(T0 + 25)
    assert error(one.ask("DELETE", f"{ORDERS}/{ids[1]}")) == (409, "exchange_is_paused")
    one.to(T0 + 30)
    assert one.ask("DELETE", ORDERS).status == 204
    assert not one.venue.exchange.resting


def test_public_answers_are_what_the_readers_of_this_project_read() -> None:
    one = Kalshi(walk(3, 300, end=False))
    one.to(T0 + 60 * SECOND_NS)
    whole = one.ask("GET", "/markets/KXT-E0-M0/orderbook", key=False).said["orderbook_fp"]
    shown = one.venue.exchange.books[0].shown.sizes
    assert {side: dict(levels) for side, levels in rest_book(whole).items()} == dict(enumerate(shown))
    query = (("tickers", "KXT-E0-M0"), ("tickers", "KXT-E1-M1"))
    assert len(books_of(one.ask("GET", "/markets/orderbooks", query=query).said)) == 2
    joined = (("tickers", "KXT-E0-M0,KXT-E1-M1"),)  # as the venue: only one comes
    assert len(books_of(one.ask("GET", "/markets/orderbooks", query=joined).said)) == 1
    assert read_rules(one.ask("GET", "/markets/KXT-E0-M0").said)[0].ticks == ((0, 10_000, 100),)
    assert read_rules(one.ask("GET", "/series/KXT").said)[0].fees == one.venue.exchange.schedule(0)
    seen, cursor = [], ""
    while True:
        said = one.ask("GET", "/markets/trades", query=(("limit", "7"), ("cursor", cursor))).said
        seen += [trade["trade_id"] for trade in said["trades"]]
        cursor = said["cursor"]
        if not cursor:
            break
    assert seen == sorted(seen, reverse=True) and len(seen) == len(one.venue.trades) > 14
    assert error(one.ask("GET", "/markets/NOPE"))[0] == 404
    assert error(one.ask("POST", "/portfolio/orders")) == (410, "deprecated_v1_order_endpoint")


def subscribe(number: int, channels: list[str], *tickers: str) -> str:
    return json.dumps({"id": number, "cmd": "subscribe", "params": {"channels": channels, "market_tickers": tickers}})


def socket_of(one: Kalshi, fake: FakeVenue, http: aiohttp.ClientSession, key: bool = True) -> Any:
    headers = one.signer.headers("GET", SOCKET_PATH) if key else {}
    return http.ws_connect(fake.socket_url + SOCKET_PATH, headers=headers, autoping=False)


def test_twelve_subscribes_give_one_sid_and_numbers_without_a_gap() -> None:
    one = Kalshi(walk(5, 400))

    async def work(fake: FakeVenue, http: aiohttp.ClientSession) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with socket_of(one, fake, http, key=False):
                pass
        assert refused.value.status == 401
        async with socket_of(one, fake, http) as socket:
            for number in range(12):
                await socket.send_str(subscribe(number, ["orderbook_delta"], f"KXT-E{number % 2}-M{number % 2}"))
                await fake.step_to(T0 + number * SECOND_NS // 2)
            await socket.send_str('{"id":50,"cmd":"update_subscription","params":{"sids":[1],"action":"fly"}}')
            await socket.send_str('{"id":51,"cmd":"unsubscribe","params":{"sids":[9]}}')
            await socket.send_str('{"id":99,"cmd":"list_subscriptions"}')
            said = [json.loads(frame) for frame in await drained(socket, '"id":99')]
        kinds = [frame["type"] for frame in said]
        assert kinds.count("subscribed") == 1 and kinds.count("ok") == 11 and kinds.count("orderbook_snapshot") == 12
        assert kinds.count("orderbook_delta") > 50
        numbers = [frame["seq"] for frame in said if "seq" in frame]
        assert numbers == list(range(1, len(numbers) + 1))
        assert all("seq" in frame for frame in said if frame["type"] == "ok")
        codes = [(frame["msg"]["code"], "seq" in frame) for frame in said if frame["type"] == "error"]
        assert codes == [(13, True), (7, False)]
        assert next(frame for frame in said if frame["type"] == "ok")["msg"] == {
            "market_tickers": ["KXT-E0-M0", "KXT-E1-M1"]
        }

    on_sockets(one, work)


def test_a_clients_book_is_the_venues_after_thousands_of_rows_and_orders() -> None:
    one = Kalshi(walk(7, 4_000), config=KalshiConfig(read=Rate(10**6, 1), write=Rate(10**6, 1)))
    reader = KalshiReader(one.venue.listings)

    async def work(fake: FakeVenue, http: aiohttp.ClientSession) -> None:
        async with socket_of(one, fake, http) as socket:
            channels = [
                "orderbook_delta",
                "trade",
                "ticker",
                "market_lifecycle_v2",
                "fill",
                "user_orders",
                "market_positions",
            ]
            await socket.send_str(subscribe(1, channels, "KXT-E0-M0", "KXT-E1-M1"))
            reading = asyncio.create_task(drained(socket, '"id":99'))
            for step in range(40):
                await fake.step_to(T0 + step * SECOND_NS)
                side, price = ("bid", "0.5000") if step % 2 else ("ask", "0.4900")
                one.order(side, price, f"{step + 1}.00", client_order_id=f"c{step}")
                if step % 5 == 4:
                    one.ask("DELETE", ORDERS)
            await fake.step_to(T0 + 60 * SECOND_NS)
            await socket.send_str('{"id":99,"cmd":"list_subscriptions"}')
            frames = await reading
        for frame in frames:
            reader.take(frame, one.clock.now_ns())
        assert len(frames) > 3_000 and not reader.counts["gaps"] and not reader.counts["unreadable"]
        for index in (0, 1):
            assert reader.books[index].known
            assert reader.books[index].sizes == one.venue.exchange.books[index].shown.sizes
        said = [json.loads(frame) for frame in frames]
        trades = {frame["msg"]["trade_id"] for frame in said if frame["type"] == "trade"}
        fills = [frame["msg"] for frame in said if frame["type"] == "fill"]
        assert fills and {fill["trade_id"] for fill in fills} <= trades
        assert len(fills) == len(one.venue.fills)
        assert any("client_order_id" in frame["msg"] for frame in said if frame["type"] == "orderbook_delta")
        assert not any(
            "seq" in frame for frame in said if frame["type"] in ("ticker", "fill", "user_order", "market_position")
        )

    on_sockets(one, work)


def test_after_the_close_an_empty_book_comes_and_then_the_settlement() -> None:
    one = Kalshi(walk(1, 5))

    async def work(fake: FakeVenue, http: aiohttp.ClientSession) -> None:
        async with socket_of(one, fake, http) as socket:
            await socket.send_str(subscribe(1, ["orderbook_delta", "market_lifecycle_v2"], "KXT-E1-M1"))
            await socket.receive()
            await fake.step_to(T0 + 5 * SECOND_NS)
            await socket.send_str('{"id":99,"cmd":"list_subscriptions"}')
            said = [json.loads(frame) for frame in await drained(socket, '"id":99')]
        last = [frame for frame in said if frame["type"] == "orderbook_snapshot"][-1]["msg"]
        assert "yes_dollars_fp" not in last and "no_dollars_fp" not in last
        events = [frame["msg"]["event_type"] for frame in said if frame["type"] == "market_lifecycle_v2"]
        assert events == ["determined", "settled"]

    on_sockets(one, work)
    assert one.ask("GET", "/markets/KXT-E1-M1").said["market"]["result"] == "yes"


def test_a_ping_comes_every_ten_seconds_and_pings_are_answered() -> None:
    one = Kalshi(opening())

    async def work(fake: FakeVenue, http: aiohttp.ClientSession) -> None:
        async with socket_of(one, fake, http) as socket:
            await socket.ping(b"hello")
            pong = await socket.receive()
            assert (pong.type, bytes(pong.data)) == (aiohttp.WSMsgType.PONG, b"hello")
            await fake.step_to(T0 + 20 * SECOND_NS)
            for _ in range(2):
                ping = await socket.receive()
                assert (ping.type, bytes(ping.data)) == (aiohttp.WSMsgType.PING, b"heartbeat")

    on_sockets(one, work)


def test_no_prices_are_of_the_no_leg_unless_asked_otherwise() -> None:
    for flag, price in ((False, "0.4700"), (True, "0.5300")):
        one = Kalshi(opening())
        one.to(T0)
        session = one.venue.connect(SOCKET_PATH, one.signer.headers("GET", SOCKET_PATH))
        params = {"channels": ["orderbook_delta"], "market_ticker": "KXT-E0-M0", "use_yes_price": flag}
        session.receive(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
        frames = [json.loads(str(frame)) for frame in session.link.take(T0)]
        assert [price, "60.00"] in frames[1]["msg"]["no_dollars_fp"]
        assert one.venue.exchange.books[0].shown.sizes[BID][4800] == 100 * CONTRACT
