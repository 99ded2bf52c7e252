"""What tests of the fake venues share: markets by hand and at random, keys, requests. No compiled scenarios."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import count
from random import Random
from typing import Any, Literal

import aiohttp

from live.clock import ManualClock
from live.fake.answers import Answer, Ask
from live.fake.faults import Fault, Plan
from live.fake.guard import KalshiGuard, PolymarketGuard, new_kalshi_key, new_polymarket_key, new_wallet
from live.fake.kalshi import KalshiConfig, KalshiVenue
from live.fake.market import Markets
from live.fake.polymarket import PolymarketConfig, PolymarketVenue
from live.fake.server import FakeVenue
from live.orders.polymarket_signing import Terms, order_digest, struct_hash
from live.secrets import KalshiCredentials, kalshi_credentials
from live.signing import KalshiSigner, PolymarketSigner
from sim.tape import FeeRates, Market
from sim.types import (
    ASK,
    BID,
    CLEAR,
    CLOSED,
    END_OF_BATCH,
    LEVEL,
    MICRO_PER_LOT,
    PX_ONE,
    SECOND_NS,
    SETTLE,
    STATUS,
    TRADE,
)
from sim.wire.listing import CENT_TICKS, Listing
from sim.wire.units import Row

T0 = 1_800_000_000 * SECOND_NS
CONTRACT = 100 * MICRO_PER_LOT
KEY_ID = "key-1"


def level(ns: int, side: int, px: int, contracts: int, *, market: int = 0, flags: int = END_OF_BATCH) -> Row:
    return (ns, ns, contracts * CONTRACT, px, -1, flags, market, LEVEL, side)


def trade(ns: int, taker: int, px: int, contracts: int, *, market: int = 0) -> Row:
    return (ns, ns, contracts * CONTRACT, px, -1, END_OF_BATCH, market, TRADE, taker)


def clear(ns: int, market: int = 0) -> Row:
    return (ns, ns, 0, 0, -1, 0, market, CLEAR, -1)


def status(ns: int, state: int, market: int = 0) -> Row:
    return (ns, ns, state, 0, -1, END_OF_BATCH, market, STATUS, -1)


def settle(ns: int, payout_px: int, market: int = 0) -> Row:
    return (ns, ns, 0, payout_px, -1, END_OF_BATCH, market, SETTLE, -1)


def opening(ns: int = T0, market: int = 0) -> list[Row]:
    """Bids 100 at .48 and 50 at .47, asks 80 at .52 and 60 at .53."""
    return [
        clear(ns, market), level(ns, BID, 4800, 100, market=market, flags=0),
        level(ns, BID, 4700, 50, market=market, flags=0), level(ns, ASK, 5200, 80, market=market, flags=0),
        level(ns, ASK, 5300, 60, market=market),
    ]  # fmt: skip


def walk(seed: int, count: int, markets: int = 2, *, end: bool = True) -> list[Row]:
    """A market that wanders: levels never cross, prints eat the touch; closes and settles at the end."""
    rng, rows, ns = Random(seed), [], T0
    mids = [5000] * markets
    books: list[tuple[dict[int, int], dict[int, int]]] = [({}, {}) for _ in range(markets)]
    for market in range(markets):
        rows += opening(ns, market)
        books[market][BID].update({4800: 100, 4700: 50})
        books[market][ASK].update({5200: 80, 5300: 60})
    for _ in range(count):
        ns += rng.randrange(1, 40_000_000)
        market, side = rng.randrange(markets), rng.randrange(2)
        sizes, other = books[market][side], books[market][1 - side]
        if rng.random() < 0.2 and other:
            px = min(other) if side == BID else max(other)
            size = rng.randint(1, other[px])
            rows.append(trade(ns, side, px, size, market=market))
            other[px] -= size
            rows.append(level(ns, 1 - side, px, other[px], market=market))
            if not other[px]:
                del other[px]
            continue
        mids[market] = min(max(mids[market] + rng.choice((-100, 0, 100)), 1000), 9000)
        offset = 100 * rng.randint(1, 6)
        px = mids[market] - offset if side == BID else mids[market] + offset
        if other:
            px = min(px, min(other) - 100) if side == BID else max(px, max(other) + 100)
        size = rng.choice((0, rng.randint(1, 300)))
        rows.append(level(ns, side, px, size, market=market))
        if size:
            sizes[px] = size
        else:
            sizes.pop(px, None)
    if end:
        for market in range(markets):
            rows += [status(ns + SECOND_NS, CLOSED, market), settle(ns + 2 * SECOND_NS, PX_ONE * (market % 2), market)]
        rows.sort(key=lambda row: row[0])
    return rows


def kalshi_markets(rows: list[Row], markets: int = 2, maker_ppm: int = 0) -> Markets:
    rates = FeeRates("quadratic x 1", "kalshi", 70_000, maker_ppm)
    listings = [
        Listing("kalshi", Market(f"KXT-E{one}-M{one}", f"Market {one}", T0, T0 + 3600 * SECOND_NS), CENT_TICKS, rates,
                event=f"KXT-E{one}", base_fees=rates)
        for one in range(markets)
    ]  # fmt: skip
    return Markets("kalshi", listings, (CENT_TICKS,), (rates,), rows)


def polymarket_markets(rows: list[Row], markets: int = 2) -> Markets:
    rates = FeeRates("crypto", "polymarket", 70_000)
    listings = [
        Listing("polymarket", Market(f"0x{one:064x}", f"Market {one}", T0, T0 + 3600 * SECOND_NS), CENT_TICKS, rates,
                tokens=(f"1000{one}", f"2000{one}"))
        for one in range(markets)
    ]  # fmt: skip
    return Markets("polymarket", listings, (CENT_TICKS,), (rates,), rows)


class Kalshi:
    """A fake Kalshi on a manual clock, and a client with its key."""

    def __init__(
        self,
        rows: list[Row],
        *,
        config: KalshiConfig | None = None,
        faults: tuple[Fault, ...] = (),
        kind: Literal["ed25519", "rsa"] = "ed25519",
    ) -> None:
        self.clock = ManualClock(T0)
        pem, public = new_kalshi_key(kind)
        environ = {"SHADOWBOOK_KALSHI_KEY_ID": KEY_ID, "SHADOWBOOK_KALSHI_PRIVATE_KEY": pem.reveal()}
        found = kalshi_credentials(environ)
        assert isinstance(found, KalshiCredentials)
        self.signer = KalshiSigner(found, self.clock)
        guard = KalshiGuard({KEY_ID: public}, self.clock)
        self.venue = KalshiVenue(
            kalshi_markets(rows), self.clock, guard, config=config, plan=Plan(faults, T0)
        )  # fmt: skip

    def ask(self, method: str, path: str, body: Any = None, *, query: tuple = (), key: bool = True) -> Answer:
        path = f"/trade-api/v2{path}"
        headers = self.signer.headers(method, path) if key else {}
        return self.venue.request(Ask(method, path, query, headers, b"" if body is None else json.dumps(body).encode()))

    def order(self, side: str, price: str, count: str, tif: str = "good_till_canceled", **more: Any) -> Answer:
        body = {
            "ticker": "KXT-E0-M0", "side": side, "count": count, "price": price, "time_in_force": tif,
            "self_trade_prevention_type": "taker_at_cross",
        }  # fmt: skip
        return self.ask("POST", "/portfolio/events/orders", body | more)

    def to(self, ns: int) -> None:
        """Let everything happen up to ``ns``, without sockets."""
        while (at_ns := self.venue.next_ns) <= ns:
            self.clock.set_ns(max(at_ns, self.clock.now_ns()))
            self.venue.step()
        self.clock.set_ns(ns)
        self.venue.step()


class Polymarket:
    """A fake Polymarket on a manual clock, and a client with its key."""

    def __init__(
        self, rows: list[Row], *, config: PolymarketConfig | None = None, faults: tuple[Fault, ...] = ()
    ) -> None:
        self.clock = ManualClock(T0)
        self.wallet = new_wallet(Random(1))
        self.key = new_polymarket_key(Random(1), self.wallet)
        self.salts = count(1)
        self.signer = PolymarketSigner(self.key, self.clock)
        guard = PolymarketGuard(self.key, self.clock)
        self.venue = PolymarketVenue(
            polymarket_markets(rows), self.clock, guard, config=config, plan=Plan(faults, T0)
        )  # fmt: skip

    def ask(self, method: str, path: str, body: Any = None, *, query: tuple = (), key: bool = True) -> Answer:
        raw = b"" if body is None else json.dumps(body).encode()
        headers = self.signer.headers(method, path, raw) if key else {}
        return self.venue.request(Ask(method, path, query, headers, raw))

    def order(self, side: str, token: str, px: int, contracts: int, kind: str = "GTC", **more: Any) -> Answer:
        """``px`` in 1e-4 dollar: 5 shares at .48 are 2,400,000 of pUSD for 5,000,000 shares."""
        shares, paid = contracts * 1_000_000, contracts * px * 100
        making, taking = (paid, shares) if side == "BUY" else (shares, paid)
        address, salt = self.wallet.address, next(self.salts)
        terms = Terms(token, BID if side == "BUY" else ASK, px, contracts * 100)
        contents = struct_hash(terms, salt, address, address, making, taking, 0, 0)
        signature = self.wallet.sign(order_digest(contents, neg_risk=False)).hex()
        order = {
            "tokenId": token, "side": side, "makerAmount": str(making), "takerAmount": str(taking), "salt": salt,
            "maker": address, "signer": address, "signatureType": 0, "timestamp": "0", "signature": f"0x{signature}",
        }  # fmt: skip
        return self.ask("POST", "/order", {"order": order | more.pop("signed", {}), "orderType": kind} | more)

    to = Kalshi.to


def total(exchange: Any) -> int:
    """What never changes."""
    account = exchange.account
    return account.cash_uusd + account.house_uusd + account.fees_uusd + account.escrow_uusd


def on_sockets(side: Kalshi | Polymarket, work: Callable[[FakeVenue, aiohttp.ClientSession], Awaitable[None]]) -> None:
    """Run ``work`` against the venue on real sockets, for 20 seconds at most."""

    async def main() -> None:
        async with FakeVenue(side.venue) as fake, aiohttp.ClientSession() as http:
            await asyncio.wait_for(work(fake, http), 20)

    asyncio.run(main())


async def drained(socket: aiohttp.ClientWebSocketResponse, last: str) -> list[str]:
    """Text frames up to the answer to a last question, which is not among them. ``last``: what its answer contains."""
    frames: list[str] = []
    while True:
        message = await socket.receive()
        if message.type is aiohttp.WSMsgType.PING:
            continue
        assert message.type is aiohttp.WSMsgType.TEXT, message
        if last in message.data:
            return frames
        frames.append(message.data)
