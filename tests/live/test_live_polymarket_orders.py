"""Polymarket's order client against the fake venue on real sockets, whose guard checks every signature."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from live.clock import ManualClock
from live.errors import VenueError
from live.fake.guard import new_polymarket_key, new_wallet
from live.fake.server import FakeVenue
from live.orders.polymarket_orders import PolymarketOrders, near_touch
from live.orders.polymarket_signing import NEG_RISK_EXCHANGE, PROXY, Terms, Wallet
from live.orders.presign import LIFE_NS
from live.secrets import Secret
from sim.types import ASK, BID, SECOND_NS
from tests.live.fake_help import T0, Polymarket, on_sockets, opening, trade
from tests.live.loopback import Answers, served

YES_TOKEN, NO_TOKEN = "10000", "20000"
TERMS = Terms(YES_TOKEN, BID, 4_000, 500)


def with_client(one: Polymarket, work: Callable[[FakeVenue, PolymarketOrders], Awaitable[None]], **settings) -> None:
    """Run ``work`` with a client of the venue on a socket; ``settings`` replace the client's."""

    async def main(fake: FakeVenue, _) -> None:
        await fake.step_to(T0)
        chosen = {"wallet": one.wallet, "credentials": one.key} | settings
        async with PolymarketOrders(fake.url, clock=one.clock, rng=Random(3), **chosen) as client:
            await work(fake, client)

    on_sockets(one, main)


@pytest.mark.parametrize(
    "url", ["https://clob.polymarket.com", "http://192.0.2.1:8090", "https://localhost.example", ""]
)
def test_only_this_machine_is_traded_with_and_the_reason_is_told(url):
    wallet = new_wallet(Random(0))
    key = new_polymarket_key(Random(0), wallet)
    with pytest.raises(ValueError, match="not this machine: orders for the real Polymarket are not supported"):
        PolymarketOrders(url, wallet, key, clock=ManualClock(T0), rng=Random(0))


def test_a_key_of_somebody_elses_is_refused():
    wallet, other = new_wallet(Random(0)), new_wallet(Random(1))
    with pytest.raises(ValueError, match="expected one of its own"):
        PolymarketOrders(
            "http://127.0.0.1:1", wallet, new_polymarket_key(Random(0), other), clock=ManualClock(T0), rng=Random(0)
        )


def test_an_order_by_hand_from_signature_to_trade():
    one = Polymarket([*opening(), trade(T0 + SECOND_NS, ASK, 4800, 120)])

    async def work(fake: FakeVenue, client: PolymarketOrders) -> None:
        taken = await client.place(Terms(NO_TOKEN, BID, 5_200, 1_000, kind="FAK"))
        # NO asks at .52 are YES bids at .48: 10 shares for 5.20, fee 10 x .07 x .2496 = .17472
        assert (taken.status, taken.making, taken.taking) == ("matched", 5_200_000, 10_000_000)
        assert await client.balance() == 1_000_000_000 - 5_200_000 - 174_720
        assert await client.balance(NO_TOKEN) == 10_000_000
        ready = client.ready(Terms(YES_TOKEN, BID, 4_800, 3_000, post_only=True))
        resting = await client.post(ready)
        assert (resting.id, resting.status) == (ready.order.id, "live")  # the id was known before it was sent
        (open_order,) = await client.open_orders()
        assert open_order == await client.order(resting.id)
        assert (open_order.token, open_order.side, open_order.px) == (YES_TOKEN, BID, 4_800)
        assert (open_order.qty, open_order.filled, open_order.status) == (30_000_000, 0, "LIVE")
        await fake.step_to(T0 + SECOND_NS)  # 90 are ahead of it, 120 are printed: all 30
        assert await client.open_orders() == []
        trades = await client.trades()
        told = [(one.order_id, one.token, one.side, one.px, one.qty, one.maker) for one in trades]
        assert told == [
            (resting.id, YES_TOKEN, BID, 4_800, 30_000_000, True),
            (taken.id, NO_TOKEN, BID, 5_200, 10_000_000, False),
        ]

    with_client(one, work)


def test_cancels_one_and_all():
    one = Polymarket(opening())

    async def work(fake: FakeVenue, client: PolymarketOrders) -> None:
        orders = [await client.place(Terms(YES_TOKEN, BID, px, 500)) for px in (4_000, 4_100, 4_200)]
        assert (await client.cancel(orders[0].id)).done == (orders[0].id,)
        again = await client.cancel(orders[0].id)
        assert again.done == () and "already" in again.refused[orders[0].id]
        assert set((await client.cancel_all()).done) == {orders[1].id, orders[2].id}
        assert (await client.order(orders[1].id)).status == "CANCELED"
        assert await client.order("0x" + "00" * 32) is None

    with_client(one, work)


def test_an_order_cannot_be_sent_twice():
    one = Polymarket(opening())

    async def work(fake: FakeVenue, client: PolymarketOrders) -> None:
        ready = client.ready(Terms(YES_TOKEN, BID, 4_000, 500))
        await client.post(ready)
        with pytest.raises(VenueError, match="Duplicated"):
            await client.post(ready)
        assert len(await client.open_orders()) == 1

    with_client(one, work)


def test_what_the_venue_refuses_is_told_in_its_words():
    one = Polymarket(opening())

    async def work(fake: FakeVenue, client: PolymarketOrders) -> None:
        for terms, words in (
            (Terms(YES_TOKEN, ASK, 5_000, 500), "not enough balance"),
            (Terms(YES_TOKEN, BID, 5_200, 50_000, kind="FOK"), "FOK"),
            (Terms(YES_TOKEN, BID, 4_000, 400), "lower than the minimum"),
            (Terms(YES_TOKEN, BID, 5_200, 500, post_only=True), "crosses book"),
            (Terms(YES_TOKEN, BID, 4_000, 500, kind="GTD", expiry_s=5), "expiration"),
            (Terms(YES_TOKEN, BID, 4_000, 500, neg_risk=True), "invalid signature"),  # of another contract
        ):
            with pytest.raises(VenueError, match=words):
                await client.place(terms)
        await client.place(Terms(YES_TOKEN, BID, 4_000, 500, kind="GTD", expiry_s=T0 // SECOND_NS + 200))

    with_client(one, work)


def test_the_guard_refuses_another_wallets_signature_and_a_changed_order():
    one = Polymarket(opening())
    stranger = new_wallet(Random(9))
    proxy = Wallet(one.wallet.secret, "0x" + "22" * 20, PROXY)
    cases = [{"signature": "0x" + stranger.sign(bytes(32)).hex()}, {"signature": "0x00"}, {"signature": None}]
    cases += [{"salt": 99}, {"maker": stranger.address}, {"signer": stranger.address}, {"timestamp": "1"}]
    cases += [{"signatureType": 1, "maker": proxy.maker}, {"salt": -1}, {"salt": "x"}, {"maker": NEG_RISK_EXCHANGE}]
    one.to(T0)
    for changed in cases:
        answer = one.order("BUY", YES_TOKEN, 4_000, 5, signed=changed)
        assert (answer.status, answer.said["error"]) == (400, "invalid signature"), changed
    assert one.order("BUY", YES_TOKEN, 4_000, 5).status == 200


def test_orders_signed_ahead_are_used_and_each_only_once():
    one = Polymarket(opening())

    async def work(fake: FakeVenue, client: PolymarketOrders) -> None:
        likely = near_touch(YES_TOKEN, 4_800, 5_200, 100, [500], reach=1)
        assert client.presigner.warm(likely) == len(likely)
        first, second = (client.ready(likely[0]) for _ in range(2))
        assert first.order.salt != second.order.salt and first.order.id != second.order.id
        assert (await client.post(first)).status in ("live", "matched")
        told = client.presigner.statistics
        assert (told.hits, told.misses) == (1, 1)
        one.clock.set_ns(T0 + LIFE_NS + 1)
        assert client.ready(likely[1]).order.timestamp_ms == one.clock.now_ns() // 1_000_000
        assert told.stale == 1
        client.presigner.warm(near_touch(YES_TOKEN, 4_800, 5_200, 10, [500]))  # the tick has changed
        assert client.presigner.take(likely[2]) is None and client.presigner.take(likely[2]._replace(tick=10))

    with_client(one, work)


def test_what_is_near_the_touch_by_hand():
    # at .48 to .52, nobody a tick away: buy at the ask, join the bid, sell at the bid, join the ask
    assert near_touch("1", 4_800, 5_200, 100, [500], reach=0) == [
        Terms("1", BID, 4_800, 500),
        Terms("1", ASK, 4_800, 500, kind="FAK"),
        Terms("1", BID, 5_200, 500, kind="FAK"),
        Terms("1", ASK, 5_200, 500),
    ]
    around = near_touch("1", 4_800, 5_200, 100, [500, 1_000], reach=2, neg_risk=True)
    assert len(around) == 2 * 2 * 5 * 2 and all(one.neg_risk for one in around)
    assert {one.px for one in around[:8]} == {4_800, 5_200}  # the likeliest first
    assert {one.px for one in near_touch("1", 0, 100, 100, [500], reach=1)} == {100, 200}  # no bid; 0 is no price
    assert {one.px for one in near_touch("1", 9_900, 10_000, 100, [500], reach=1)} == {9_800, 9_900}
    # 1.5 shares at .07 cost 10.5 cents: not for an order that trades at once
    assert [one.kind for one in near_touch("1", 0, 700, 100, [150], reach=0)] == ["GTC"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"success": False, "errorMsg": "no"}, "refused no"),
        ({"success": True, "errorMsg": "no"}, "refused no"),
        ({"success": True, "orderID": "1", "status": "live", "makingAmount": "x"}, "shape"),
        ({}, "shape"),
    ],
)
def test_an_answer_that_is_none_is_told(said, words):
    async def work(client: PolymarketOrders) -> None:
        with pytest.raises(VenueError, match=words):
            await client.place(TERMS)

    against(Answers((200, said)), work)


def test_pages_come_to_an_end():
    async def work(client: PolymarketOrders) -> None:
        with pytest.raises(VenueError, match="the cursor does not end"):
            await client.open_orders()

    against(Answers((200, {"data": [], "next_cursor": "more"})), work)


def against(
    answers: Answers, work: Callable[[PolymarketOrders], Awaitable[None]], wallet: Wallet | None = None
) -> None:
    """Run ``work`` with a client of a server that gives ``answers``."""
    wallet = wallet or new_wallet(Random(0))
    key = new_polymarket_key(Random(0), wallet)

    async def main() -> None:
        async with served(answers) as url:
            root = url.removesuffix("/api")
            async with PolymarketOrders(root, wallet, key, clock=Hasty(T0), rng=Random(0)) as client:
                await work(client)

    asyncio.run(main())


class Hasty(ManualClock):
    """A sleep for a limit passes at once."""

    async def sleep(self, seconds: float) -> None:
        if seconds < 1.0:
            self.advance(seconds)
            await asyncio.sleep(0)
        else:
            await super().sleep(seconds)


def test_a_lost_answer_is_not_sent_again():
    """A POST without an answer is told as lost; the id says what to ask for."""
    wallet = new_wallet(Random(0))
    answers = Answers((500, "trouble"))

    async def work(client: PolymarketOrders) -> None:
        with pytest.raises(VenueError):
            await client.place(TERMS)

    against(answers, work, wallet)
    assert len(answers.seen) == 1
    assert wallet.secret.reveal() not in str(answers.seen)


def test_errors_do_not_repeat_keys():
    wallet = Wallet(Secret("12" * 32))
    api_key = new_polymarket_key(Random(0), wallet).api_key.reveal()

    async def work(client: PolymarketOrders) -> None:
        with pytest.raises(VenueError, match="bad key") as caught:
            await client.balance()
        assert api_key not in str(caught.value)

    against(Answers((400, {"error": f"bad key {api_key}"})), work, wallet)
