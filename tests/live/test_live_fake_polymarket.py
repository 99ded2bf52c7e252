"""The fake Polymarket: both sockets, Gamma and CLOB, orders with hand-computed money."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from live.fake.answers import Ask
from live.fake.polymarket import MARKET_PATH, USER_PATH, PolymarketConfig, Restart
from live.fake.server import FakeVenue
from live.polymarket_rest import gamma_market, token_book
from sim.types import ASK, BID, SECOND_NS
from sim.venues.responses import read_rules
from sim.wire.polymarket import PolymarketReader
from tests.live.fake_help import CONTRACT, T0, Polymarket, drained, on_sockets, opening, settle, status, trade, walk

YES_TOKEN, NO_TOKEN = "10000", "20000"


def subscription(*tokens: str, **more: Any) -> str:
    return json.dumps({"assets_ids": tokens, "type": "market", "custom_feature_enabled": True} | more)


def test_a_clients_book_is_the_venues_after_thousands_of_rows_and_orders() -> None:
    one = Polymarket(walk(7, 4_000, end=False))
    reader = PolymarketReader(one.venue.listings)

    async def work(fake: FakeVenue, http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(fake.socket_url + MARKET_PATH) as socket:
            await socket.send_str(subscription(*(token for item in one.venue.listings for token in item.tokens)))
            first = json.loads((await socket.receive()).data)
            assert [book["asset_id"] for book in first] == [YES_TOKEN, NO_TOKEN, "10001", "20001"]
            assert all(book["tick_size"] == "0.01" for book in first)
            reading = asyncio.create_task(drained(socket, "PONG"))
            for step in range(30):
                await fake.step_to(T0 + step * SECOND_NS)
                one.order("BUY", YES_TOKEN if step % 2 else NO_TOKEN, 5_000, 5 + step)
                if step % 5 == 4:
                    one.ask("DELETE", "/cancel-all")
            await fake.step_to(T0 + 60 * SECOND_NS)
            await socket.send_str("PING")
            frames = await reading
        for frame in frames:
            reader.take(frame, one.clock.now_ns())
        assert len(frames) > 2_000 and reader.counts["quotes_agree"] > 1_000
        assert not reader.counts["malformed"] and not reader.counts["unreadable"] and not reader.counts["distrusted"]
        for index in (0, 1):
            assert reader.books[index].sizes == one.venue.exchange.books[index].shown.sizes
        kinds = [json.loads(frame)["event_type"] for frame in frames]
        assert {"book", "price_change", "last_trade_price", "best_bid_ask"} <= set(kinds)

    on_sockets(one, work)
    assert one.venue.exchange.account.fees_uusd > 0


def test_a_print_is_followed_by_the_book_and_unsubscribing_ends_it() -> None:
    one = Polymarket([*opening(), trade(T0 + 10, BID, 5200, 5), trade(T0 + 20, BID, 5200, 5)])
    session = one.venue.connect(MARKET_PATH, {})
    session.receive(subscription(NO_TOKEN))
    one.to(T0 + 10)
    kinds = [json.loads(str(frame)) for frame in session.link.take(T0 + 10)]
    names = [one["event_type"] if isinstance(one, dict) else "books" for one in kinds]
    assert names[-2:] == ["last_trade_price", "book"] and kinds[-1]["asset_id"] == NO_TOKEN
    # NO bids mirror YES asks: 80 at .52 are 80 bid at .48, best last
    assert kinds[-1]["bids"][-1] == {"price": "0.48", "size": "80"}
    session.receive(json.dumps({"operation": "unsubscribe", "assets_ids": [NO_TOKEN]}))
    one.to(T0 + 20)
    assert not session.link.take(T0 + 20)


def test_resolution_is_told_to_those_who_asked_for_custom_features() -> None:
    one = Polymarket([*opening(), status(T0 + 5, 3), settle(T0 + 10, 10_000)])
    plain, custom = one.venue.connect(MARKET_PATH, {}), one.venue.connect(MARKET_PATH, {})
    plain.receive(subscription(YES_TOKEN, custom_feature_enabled=False))
    custom.receive(subscription(YES_TOKEN))
    one.to(T0 + 10)
    told = [[json.loads(str(frame)) for frame in one.link.take(T0 + 10)][-1] for one in (plain, custom)]
    assert told[0]["event_type"] == "book" and told[0]["bids"] == []
    assert (told[1]["event_type"], told[1]["winning_asset_id"]) == ("market_resolved", YES_TOKEN)
    gamma = one.ask("GET", "/markets", query=(("condition_ids", f"0x{0:064x}"), ("closed", "true"))).said
    assert gamma_market(gamma[0]).payout_px == 10_000


def test_an_order_by_hand() -> None:
    one = Polymarket([*opening(), trade(T0 + 50, ASK, 4800, 120)])
    user = one.venue.connect(USER_PATH, {})
    key = one.key
    auth = {"apiKey": key.api_key.reveal(), "secret": key.secret.reveal(), "passphrase": key.passphrase.reveal()}
    user.receive(json.dumps({"auth": auth, "markets": [], "type": "user"}))
    one.to(T0)
    taken = one.order("BUY", NO_TOKEN, 5_200, 10, "FAK").said  # NO asks at .52 are YES bids at .48
    # 10 at .52: 5.20, fee 10 x .07 x .2496 = .17472
    assert (taken["status"], taken["makingAmount"], taken["takingAmount"]) == ("matched", "5.2", "10")
    assert one.ask("GET", "/balance-allowance").said["balance"] == str(1_000_000_000 - 5_200_000 - 174_720)
    query = (("asset_type", "CONDITIONAL"), ("token_id", NO_TOKEN))
    assert one.ask("GET", "/balance-allowance", query=query).said["balance"] == "10000000"
    resting = one.order("BUY", YES_TOKEN, 4_800, 30).said
    assert resting["status"] == "live"
    one.to(T0 + 50)  # 90 ahead, 120 printed: all 30
    one.to(T0 + 6 * SECOND_NS)
    said = [json.loads(str(frame)) for frame in user.link.take(T0 + 6 * SECOND_NS)]
    events = [(one["event_type"], one.get("type") if one["event_type"] == "order" else one["status"]) for one in said]
    assert events.count(("trade", "MATCHED")) == events.count(("trade", "CONFIRMED")) == 2
    assert events[0] == ("order", "PLACEMENT") and ("order", "UPDATE") in events
    mine = next(one for one in said if one["event_type"] == "trade" and one["trader_side"] == "MAKER")
    assert (
        mine["maker_orders"][0]["order_id"] == resting["orderID"] and mine["maker_orders"][0]["matched_amount"] == "30"
    )


def test_refusals_say_what_the_venue_says() -> None:
    one = Polymarket(opening())
    one.to(T0)
    for answer, status_code, words in (
        (one.order("BUY", YES_TOKEN, 4_850, 10), 400, "grid"),
        (one.order("BUY", YES_TOKEN, 4_800, 4), 400, "lower than the minimum"),
        (one.order("SELL", YES_TOKEN, 4_800, 5), 400, "not enough balance"),
        (one.order("BUY", YES_TOKEN, 5_200, 500, "FOK"), 400, "FOK"),
        (one.order("BUY", YES_TOKEN, 5_200, 5, postOnly=True), 400, "crosses book"),
        (one.order("BUY", YES_TOKEN, 4_800, 5, "GTD", signed={"expiration": "5"}), 400, "expiration"),
        (one.ask("GET", "/data/orders", key=False), 401, "api key"),
    ):
        assert answer.status == status_code and words in answer.said["error"], answer
    headers = one.signer.headers("DELETE", "/order", b'{"orderID":"1"}')
    forged = one.venue.request(Ask("DELETE", "/order", (), headers, b'{"orderID":"2"}'))  # the body is signed too
    assert forged.status == 401
    said = one.ask("DELETE", "/orders", ["none"]).said
    assert said["canceled"] == [] and "none" in said["not_canceled"]


def test_without_heartbeats_all_orders_go() -> None:
    one = Polymarket(opening())
    one.to(T0)
    order = one.order("BUY", YES_TOKEN, 4_000, 10).said["orderID"]
    first = one.ask("POST", "/v1/heartbeats", {"heartbeat_id": None}).said["heartbeat_id"]
    one.to(T0 + 9 * SECOND_NS)
    wrong = one.ask("POST", "/v1/heartbeats", {"heartbeat_id": "x"})
    assert (wrong.status, wrong.said["heartbeat_id"]) == (400, first)
    assert one.ask("POST", "/v1/heartbeats", {"heartbeat_id": first}).status == 200
    one.to(T0 + 18 * SECOND_NS)
    assert order in one.venue.exchange.resting
    one.to(T0 + 19 * SECOND_NS)
    assert not one.venue.exchange.resting


def test_a_restart_answers_425_and_then_takes_only_post_only() -> None:
    one = Polymarket(opening(), config=PolymarketConfig(restarts=(Restart(T0 + 10, T0 + SECOND_NS),)))
    one.to(T0 + 10)
    assert one.ask("GET", "/book", query=(("token_id", YES_TOKEN),)).status == 425
    one.to(T0 + SECOND_NS)
    refused = one.order("BUY", YES_TOKEN, 4_000, 10)
    assert (refused.status, refused.said["code"], refused.said["retry_after_seconds"]) == (503, "post_only_mode", 120)
    assert one.order("BUY", YES_TOKEN, 4_000, 10, postOnly=True).status == 200
    one.to(T0 + 121 * SECOND_NS)
    assert one.order("BUY", YES_TOKEN, 4_000, 10).status == 200


def test_rest_is_what_the_readers_of_this_project_read() -> None:
    one = Polymarket(opening())
    one.to(T0)
    books = one.ask("POST", "/books", [{"token_id": YES_TOKEN}, {"token_id": NO_TOKEN}, {"token_id": "1"}]).said
    read = [token_book(book, book["asset_id"] == YES_TOKEN).levels for book in books]
    assert read[0] == read[1] == {
        BID: [(4800, 100 * CONTRACT), (4700, 50 * CONTRACT)], ASK: [(5200, 80 * CONTRACT), (5300, 60 * CONTRACT)],
    }  # fmt: skip
    listed = one.ask("GET", "/markets", query=(("clob_token_ids", NO_TOKEN),)).said
    market = gamma_market(listed[0])
    assert market.tokens == (YES_TOKEN, NO_TOKEN) and market.rules.fees == one.venue.exchange.schedule(0)
    compact = read_rules(one.ask("GET", f"/clob-markets/{market.condition_id}").said)[0]
    assert compact.min_qty == 500 and compact.fees == market.rules.fees


def test_a_wrong_key_closes_the_user_socket() -> None:
    one = Polymarket(opening())

    async def work(fake: FakeVenue, http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(fake.socket_url + USER_PATH) as socket:
            await socket.send_str(json.dumps({"auth": {"apiKey": "x"}, "type": "user"}))
            message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)

    on_sockets(one, work)
