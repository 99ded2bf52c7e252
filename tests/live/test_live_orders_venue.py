"""Kalshi's words for orders: bodies, answers, pages, the private channels; and everything together on real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal

import numpy as np
import pytest
from fake_help import KEY_ID, T0, Kalshi, kalshi_markets, opening
from loopback import Answers, client_of, served

from benchmarks.order_world import ACCOUNT, permitted
from live.clock import SystemClock
from live.fake.guard import KalshiGuard, new_kalshi_key
from live.fake.kalshi import SOCKET_PATH, KalshiVenue
from live.fake.server import FakeVenue
from live.limits import KALSHI_BASIC, KALSHI_COSTS, Limiter, LimitRule, Rate
from live.orders.journal import Journal, JournalError
from live.orders.kalshi_orders import carry_out, talk_of
from live.orders.kalshi_user import Heard, KalshiUser, KalshiUserReader, Missed
from live.orders.manager import Manager
from live.orders.requests import (
    NOT_SENT,
    Accepted,
    AccountSaid,
    Amend,
    AskAccount,
    AskFills,
    AskOrder,
    Cancel,
    Failed,
    FillSaid,
    Found,
    OrderSaid,
    Place,
    PositionSaid,
    Reduced,
)
from live.orders.shell import Orders
from live.orders.sights import Sight
from live.rest import RestClient
from live.secrets import kalshi_credentials
from live.signing import KalshiSigner
from sim.types import ASK, BID, DO_PLACE, INTENT, IOC, NO, SECOND_NS, YES

M = "KXT-E0-M0"


def asked(kalshi: Kalshi, request):
    """The answer of a fake venue, without sockets."""
    talk = talk_of(request)
    http = next(talk)
    try:
        while True:
            answer = kalshi.ask(http.method, http.path, http.body, query=http.params)
            assert answer.status < 300, answer
            http = talk.send(json.loads(answer.body))
    except StopIteration as done:
        return done.value


def test_an_orders_life_in_the_venues_words():
    kalshi = Kalshi(opening())
    kalshi.to(T0 + SECOND_NS)
    placed = asked(kalshi, Place("me-1", M, BID, 4700, 300, expiry_ns=T0 + 100 * SECOND_NS))
    assert isinstance(placed, Accepted) and (placed.filled, placed.left) == (0, 300)
    found = asked(kalshi, AskOrder("me-1", "", M, T0)).order
    assert found == OrderSaid(placed.order_id, "me-1", M, BID, 4700, "resting", 0, 300, T0 + 100 * SECOND_NS)
    amended = asked(kalshi, Amend("me-1", placed.order_id, M, BID, 4700, 200, 0))
    assert amended == Accepted(placed.order_id, 0, 200)
    assert asked(kalshi, AskOrder("", placed.order_id, M, T0)).order.expiry_ns == 0  # 0 takes it away
    taken = asked(kalshi, Place("me-2", M, ASK, 4800, 50, tif=IOC))
    assert (taken.filled, taken.left) == (50, 0)
    (fill,) = asked(kalshi, AskFills("me-2", taken.order_id)).fills
    # 0.5 contract at .52 of NO: .07 x .5 x .52 x .48 = .008736, and the balance is kept to .0001: 8,800
    assert (fill.side, fill.px, fill.qty, fill.fee_uusd, fill.maker) == (ASK, 4800, 50, 8_800, False)
    account = asked(kalshi, AskAccount(T0))
    assert isinstance(account, AccountSaid)
    assert [one.order_id for one in account.orders] == [placed.order_id]
    assert account.positions == (PositionSaid(M, -50, 260_000),) and account.fills == (fill,)
    # 1,000 dollars less 1.5 contracts at .47, for half of one closes, half a contract at .52 and its fee
    assert account.free_uusd == 1_000_000_000 - 705_000 - 260_000 - 8_800
    assert asked(kalshi, Cancel("me-1", placed.order_id)) == Reduced(200)
    assert asked(kalshi, AskOrder("me-9", "", M, T0)) == Found(None)


def test_an_order_is_posted_once_and_never_held_back():
    async def main() -> None:
        place = Place("me-1", M, BID, 4700, 300)
        answers = Answers((500, {"error": "down"}))
        async with served(answers) as url, client_of(url) as client:
            failed = await carry_out(client, place)
            assert isinstance(failed, Failed) and failed.status == 500 and failed.unsure and not failed.passing
            assert len(answers.seen) == 1
        answers = Answers((201, {"order_id": "v1"}))
        rules = (LimitRule("all", (), "/*", Rate(1, 1)),)
        async with served(answers) as url, client_of(url, SystemClock(), rules=rules) as client:
            failed = await carry_out(client, place)
            assert isinstance(failed, Failed) and failed.code == "shape" and failed.unsure  # it was taken, all the same
            failed = await carry_out(client, place)
            assert isinstance(failed, Failed) and failed.code == NOT_SENT and failed.passing and not failed.unsure
            assert len(answers.seen) == 1

    asyncio.run(main())


def test_pages_are_read_to_the_end():
    async def main() -> None:
        one = {
            "trade_id": "t", "order_id": "o", "ticker": M, "book_side": "bid", "yes_price_dollars": "0.4700",
            "count_fp": "1.00", "fee_cost": "0.0001", "is_taker": False, "created_time": "2027-01-15T08:00:00.1239Z",
        }  # fmt: skip
        pages = [{"fills": [{**one, "trade_id": str(page)}], "cursor": "more" if page < 2 else ""} for page in range(3)]
        answers = Answers(*((200, page) for page in pages))
        async with served(answers) as url, client_of(url) as client:
            said = await carry_out(client, AskFills("me", "o"))
        assert [fill.key for fill in said.fills] == ["0/o", "1/o", "2/o"]
        assert said.fills[0].venue_ns % SECOND_NS == 123_000_000 and said.fills[0].maker
        assert ["cursor=more" in seen[1] for seen in answers.seen] == [False, True, True]

    asyncio.run(main())


def frame(kind, msg) -> bytes:
    return json.dumps({"type": kind, "sid": 1, "msg": msg}).encode()


def test_the_private_channels_are_heard_when_all_are_confirmed():
    reader, user = KalshiUserReader(), KalshiUser()
    commands = [json.loads(text) for text in user.subscribe()]
    assert [one["params"]["channels"] for one in commands] == [["fill"], ["user_orders"], ["market_positions"]]
    assert all("market_tickers" not in one["params"] for one in commands)  # of all markets
    ups = []
    for channel in ("fill", "user_orders", "market_positions"):
        taken = reader.take(json.dumps({"type": "subscribed", "msg": {"channel": channel, "sid": 1}}).encode(), 0)
        ups.append(user.answer(taken).kind)
    assert ups == ["heard", "heard", "confirmed"]
    assert reader.reconnected(0).notes == (Heard(False),)
    error = reader.take(json.dumps({"type": "error", "msg": {"code": 9, "msg": "auth"}}).encode(), 0)
    assert user.answer(error).broken


def test_private_messages_are_what_rest_says():
    reader = KalshiUserReader()
    fill = {
        "trade_id": "t", "order_id": "o", "market_ticker": M, "is_taker": True, "yes_price_dollars": "0.7500",
        "count_fp": "2.78", "fee_cost": "0.010000", "outcome_side": "no", "book_side": "ask", "action": "sell",
        "side": "yes", "ts_ms": 1_700_000_000_123,
    }  # fmt: skip
    (said,) = reader.take(frame("fill", fill), 0).notes
    assert said == FillSaid("t/o", "o", M, ASK, 7500, 278, 10_000, False, 1_700_000_000_123_000_000)
    position = {"market_ticker": M, "position_fp": "-2.00", "position_cost_dollars": "0.5000"}
    assert reader.take(frame("market_position", position), 0).notes == (PositionSaid(M, -200, 500_000),)
    for bad in (frame("fill", {**fill, "count_fp": "0.001"}), frame("fill", {**fill, "book_side": "?"}),
                frame("fill", {**fill, "ts_ms": None}), frame("fill", fill)[:50], b"\xff"):  # fmt: skip
        assert isinstance(reader.take(bad, 0).notes[0], Missed)


class Running:
    """An order manager and a fake venue on real sockets."""

    def __init__(self, path, **settings) -> None:
        self.clock = SystemClock()
        now = self.clock.now_ns()
        pem, public = new_kalshi_key()
        found = kalshi_credentials({"SHADOWBOOK_KALSHI_KEY_ID": KEY_ID,
                                    "SHADOWBOOK_KALSHI_PRIVATE_KEY": pem.reveal()})  # fmt: skip
        self.signer = KalshiSigner(found, self.clock)
        rows = [(row[0] - T0 + now, row[1] - T0 + now, *row[2:]) for row in opening(T0) + opening(T0, 1)]

        self.venue = KalshiVenue(kalshi_markets(rows), self.clock, KalshiGuard({KEY_ID: public}, self.clock))
        self.journal = Journal(path, "kalshi", ACCOUNT, now)
        self.manager = Manager(self.venue.listings, self.journal, permitted(), now)
        self.settings = settings

    def orders(self, fake: FakeVenue, **addresses) -> Orders:
        at = {"rest": f"{fake.url}/trade-api/v2", "socket": f"{fake.socket_url}{SOCKET_PATH}", **addresses}
        limiter = Limiter(KALSHI_BASIC, self.clock, KALSHI_COSTS)
        self.client = RestClient(at["rest"], clock=self.clock, rng=random.Random(1), limiter=limiter,
                                 signer=self.signer)  # fmt: skip
        return Orders(
            self.manager, self.client, clock=self.clock, rng=random.Random(2), sights=self.sights,
            headers=lambda: self.signer.headers("GET", SOCKET_PATH), socket_url=at["socket"], **self.settings,
        )  # fmt: skip

    def sights(self) -> list[Sight]:
        return [Sight(self.clock.now_ns(), *book.shown.best) for book in self.venue.exchange.books]

    def run(self, script) -> None:
        async def main() -> None:
            async with FakeVenue(self.venue) as fake:
                living = asyncio.create_task(fake.run())
                async with self.orders(fake) as orders:
                    await until(lambda: self.manager.ready)
                    await script(orders)
                living.cancel()
            self.journal.close()

        asyncio.run(asyncio.wait_for(main(), 30))


async def until(done) -> None:
    while not done():
        await asyncio.sleep(0.005)


def wishes(*wanted) -> np.ndarray:
    found = np.zeros((2, 2), INTENT)
    for market, side, px, qty in wanted:
        wish = found[market, side]
        wish["do"], wish["px"], wish["qty"], wish["leg"] = DO_PLACE, px, qty, YES if side == BID else NO
    return found


def test_a_runners_view_over_real_sockets(tmp_path):
    running = Running(tmp_path / "j.sqlite")

    async def script(orders: Orders) -> None:
        orders.want(running.clock.now_ns(), wishes((0, BID, 5200, 100), (1, ASK, 5300, 200)))
        await until(lambda: orders.fills and any(one.state == "open" for one in orders.account.resting))
        fill = orders.fills.popleft()
        assert (fill.fill.px, fill.fill.qty, fill.position, fill.client_id[:3]) == (5200, 100, 100, "sb-")
        account = orders.account
        assert account.cash_uusd == running.venue.exchange.account.cash_uusd
        assert (account.reserved_uusd, account.free_uusd) == (940_000, account.cash_uusd - 940_000)  # 2 NO at .47
        assert account.positions[M] == 100 and account.costs_uusd[M] == 520_000
        assert [(one.px, one.left) for one in account.resting] == [(5300, 200)]
        assert orders.state.ready and orders.state.mode == "trading" and orders.state.channel == "subscribed"
        assert running.client.limiter.costs.default == 10  # the account's own, which were asked for

    running.run(script)
    assert not running.venue.exchange.resting  # leaving cancels
    assert len(running.venue.exchange.orders) == 2


@pytest.mark.parametrize("by", ["file", "signal", "method"])
def test_the_kill_switch(tmp_path, by):
    running = Running(tmp_path / "j.sqlite", kill_file=tmp_path / "kill")

    async def script(orders: Orders) -> None:
        orders.want(running.clock.now_ns(), wishes((0, BID, 4700, 100)))
        await until(lambda: running.venue.exchange.resting)
        if by == "file":
            (tmp_path / "kill").touch()
        elif by == "signal":
            os.kill(os.getpid(), signal.SIGUSR1)
        else:
            orders.kill("somebody")
        await until(lambda: not running.venue.exchange.resting)
        assert (orders.state.mode, orders.state.why.split()[-1]) == ("killed", {
            "file": str(tmp_path / "kill"), "signal": "signal", "method": "somebody",
        }[by])  # fmt: skip
        orders.want(running.clock.now_ns(), wishes((0, BID, 4700, 100)))
        await until(lambda: orders.state.refusals["killed"] == 1)
        if by == "file":
            with pytest.raises(ValueError, match="remove it"):
                orders.lift("me")
            (tmp_path / "kill").unlink()
        orders.lift("me")
        orders.want(running.clock.now_ns(), wishes((0, BID, 4700, 100)))
        await until(lambda: running.venue.exchange.resting)

    running.run(script)


def test_orders_go_to_the_venue_or_to_this_machine(tmp_path):
    running = Running(tmp_path / "j.sqlite")
    fake = FakeVenue(running.venue)
    for address in ({"rest": "https://example.org/trade-api/v2"}, {"socket": "wss://example.org/trade-api/ws/v2"}):
        with pytest.raises(ValueError, match=r"example.org.*orders go to external-api.kalshi.com"):
            running.orders(fake, **address)
    with pytest.raises(ValueError, match="not encrypted"):
        running.orders(fake, rest="http://external-api.kalshi.com/trade-api/v2")


def test_what_breaks_the_manager_ends_it(tmp_path):
    running = Running(tmp_path / "j.sqlite")

    async def script(orders: Orders) -> None:
        running.journal.close()
        orders.want(running.clock.now_ns(), wishes((0, BID, 4700, 100)))
        await until(lambda: orders.error is not None)
        with pytest.raises(JournalError, match="closed"):
            orders.want(running.clock.now_ns(), wishes())
        assert not running.venue.exchange.orders  # nothing goes out that was not written before

    with pytest.raises(JournalError, match="closed"):
        running.run(script)
