"""An order manager killed (SIGKILL) at random moments of trading, again and again: nothing acknowledged is lost.

A fake Kalshi lives in this process, on real sockets and on the machine's clock; a child process trades on it, and tells
on its output every order that was acknowledged and every fill that it was handed. It is killed while it trades, and the
next one takes up its journal. After each kill the journal must hold all that was told; at the end a last life cancels
what rests and must agree with the venue: each fill once, cash to the micro-dollar, no order sent twice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import multiprocessing
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.machine import describe, print_result
from benchmarks.order_faults import START_NS, markets_of, wandering
from benchmarks.order_world import ACCOUNT, permitted
from live.books import Book
from live.clock import SystemClock
from live.fake.guard import KalshiGuard, new_kalshi_key
from live.fake.kalshi import SOCKET_PATH, KalshiConfig, KalshiVenue
from live.fake.server import FakeVenue
from live.kalshi_listings import read_listings
from live.kalshi_rest import KalshiRest
from live.limits import KALSHI_BASIC, KALSHI_COSTS, Limiter, Rate
from live.orders.journal import BEFORE, Journal
from live.orders.kalshi_orders import fill_of
from live.orders.manager import Manager, Rules
from live.orders.shell import Orders
from live.orders.sights import Sight
from live.rest import RestClient
from live.secrets import kalshi_credentials
from live.signing import KalshiSigner
from sim.types import ASK, BID, DO_CANCEL, DO_PLACE, GTC, INTENT, IOC, NO, PX_ONE, SECOND_NS, UUSD, YES

_KEY = "key-1"
_ENV = "SHADOWBOOK_KALSHI_KEY_ID", "SHADOWBOOK_KALSHI_PRIVATE_KEY"
_MARKETS = 2
_SERVER = multiprocessing.get_context("forkserver")  # children begin with everything imported
_SERVER.set_forkserver_preload(["benchmarks.order_kill"])
Say = Callable[[dict[str, Any]], None]
_FASTEST_S = 0.02  # between two decisions
_RULES = Rules(lost_s=2.0, again_s=0.3, look_again_s=0.5)  # this machine's network is short
_RATE = Rate(1_000, 1_000)


def _child(says: Connection, key: dict[str, str], *arguments: Any) -> None:
    logging.disable(logging.CRITICAL)
    asyncio.run(trade(lambda what: says.send_bytes(json.dumps(what).encode()), key, *arguments))


def _next(hears: Connection) -> dict[str, Any] | None:
    """The next word of a child; None after its end, which may have torn the last one."""
    try:
        found: dict[str, Any] = json.loads(hears.recv_bytes())
        return found
    except (EOFError, OSError):
        return None


async def trade(
    say: Say, key: dict[str, str], rest_url: str, socket_url: str, path: str, seed: int, last: bool
) -> None:
    """What the child does: trade until it is killed; the ``last`` one reconciles, cancels and ends."""
    clock, rng = SystemClock(), Random(seed)
    credentials = kalshi_credentials(key)
    assert credentials is not None
    signer = KalshiSigner(credentials, clock)
    limiter = Limiter(KALSHI_BASIC, clock, KALSHI_COSTS)
    client = RestClient(rest_url, clock=clock, rng=rng, limiter=limiter, signer=signer, attempt_s=5.0)
    looks = RestClient(rest_url, clock=clock, rng=rng, limiter=Limiter(KALSHI_BASIC, clock), signer=signer)
    async with looks:
        tickers = [f"KXT-E{one}-M{one}" for one in range(_MARKETS)]
        listings = await read_listings(KalshiRest(looks), tickers)
        sights = [Sight(0)] * _MARKETS
        journal = Journal(path, "kalshi", ACCOUNT, clock.now_ns())
        manager = Manager(listings, journal, permitted(), clock.now_ns(), rules=_RULES)
        async with Orders(
            manager, client, clock=clock, rng=rng, sights=lambda: sights, socket_url=socket_url, kill_signal=None,
            headers=lambda: signer.headers("GET", SOCKET_PATH),
        ) as orders:  # fmt: skip
            told = 0
            while not last or not manager.ready:
                await asyncio.sleep(_FASTEST_S)
                books = await KalshiRest(looks).orderbooks(tickers)
                sights = [_sight(books[ticker], clock.now_ns()) for ticker in tickers]
                if not last:
                    orders.want(clock.now_ns(), _wishes(rng, sights))
                told = _tell(say, orders, journal, told)
        say({"cash": orders.account.cash_uusd, "positions": orders.account.positions})
        journal.close()


def _tell(say: Say, orders: Orders, journal: Journal, told: int) -> int:
    """Say what has been acknowledged since the last time: it is durable."""
    acks = journal.events("ack")
    for _, client_id, _ in acks[told:]:
        say({"ack": client_id})
    while orders.fills:
        say({"fill": orders.fills.popleft().fill.key})
    return len(acks)


def _sight(book: Book, now_ns: int) -> Sight:
    bids, asks = book[BID], book[ASK]
    return Sight(now_ns, bids[0][0] if bids else 0, asks[0][0] if asks else PX_ONE)


def _wishes(rng: Random, sights: list[Sight]) -> np.ndarray:
    wishes = np.zeros((_MARKETS, 2), INTENT)
    for index, sight in enumerate(sights):
        for side in (0, 1):
            if rng.random() < 0.5:
                wish = wishes[index, side]
                wish["do"] = DO_CANCEL if rng.random() < 0.2 else DO_PLACE
                wish["px"] = (sight.bid_px if side == BID else sight.ask_px) + 100 * rng.randint(-2, 2)
                wish["qty"], wish["leg"] = rng.randint(1, 500), YES if side == BID else NO
                wish["tif"] = rng.choice((GTC, GTC, IOC))
    return wishes


class _Trader:
    """Children of one venue and journal, one after the other."""

    def __init__(self, fake: FakeVenue, pem: str, path: Path) -> None:
        self._fake, self._path = fake, path
        self._key = {_ENV[0]: _KEY, _ENV[1]: pem}
        self.acks: set[str] = set()
        self.fills: list[str] = []

    async def live(self, seed: int, seconds: float | None) -> dict[str, Any]:
        """One child, killed some ``seconds`` after its first word; None = the last one, which ends by itself."""
        hears, says = _SERVER.Pipe(duplex=False)
        rest_url, socket_url = f"{self._fake.url}/trade-api/v2", f"{self._fake.socket_url}{SOCKET_PATH}"
        child = _SERVER.Process(
            target=_child, args=(says, self._key, rest_url, socket_url, str(self._path), seed, seconds is None)
        )
        child.start()
        says.close()
        said = [await asyncio.to_thread(_next, hears)]
        if seconds is not None:
            await asyncio.sleep(seconds)
            child.kill()
        while (one := await asyncio.to_thread(_next, hears)) is not None:
            said.append(one)
        await asyncio.to_thread(child.join)
        hears.close()
        words = [one for one in said if one is not None]
        if not words or (seconds is None and child.exitcode):
            raise RuntimeError(f"a child ended with {child.exitcode}; its error is above")
        self.acks |= {one["ack"] for one in words if "ack" in one}
        self.fills += [one["fill"] for one in words if "fill" in one]
        return words[-1]

    def check(self) -> None:
        """All that was told is in the journal. Raises AssertionError."""
        journal = Journal(self._path, "kalshi", ACCOUNT, 0)
        try:
            kept = {one.client_id for one in journal.orders() if one.order_id}
            assert self.acks <= kept, f"acknowledged, and lost: {sorted(self.acks - kept)}"
            fills = {fill.key for fill, _ in journal.fills()}
            assert set(self.fills) <= fills, f"told, and lost: {sorted(set(self.fills) - fills)}"
            assert len(self.fills) == len(set(self.fills)), "a fill was handed out twice"
        finally:
            journal.close()


async def measure(kills: int, seed: int, folder: Path, longest_s: float = 1.5) -> dict[str, Any]:
    """Kill ``kills`` children, each within ``longest_s`` of its first word. Raises AssertionError for what is lost."""
    rng, clock = Random(seed), SystemClock()
    begin_ns = clock.now_ns()
    walk = wandering(rng, 4.0 * kills + 60, _MARKETS, rows_per_s=20.0, settles=False)
    rows = [(row[0] - START_NS + begin_ns, row[1] - START_NS + begin_ns, *row[2:]) for row in walk]
    pem, public = new_kalshi_key()
    config = KalshiConfig(cash_uusd=1_000 * UUSD, read=_RATE, write=_RATE)
    markets = markets_of(rows, 17_500, _MARKETS, begin_ns)
    venue = KalshiVenue(markets, clock, KalshiGuard({_KEY: public}, clock), config=config)
    async with FakeVenue(venue) as fake:
        living = asyncio.create_task(fake.run())
        trader = _Trader(fake, pem.reveal(), folder / "orders.sqlite")
        for _ in tqdm(range(kills), unit="kill"):
            await trader.live(rng.randrange(1 << 30), rng.uniform(0, longest_s))
            trader.check()
        end = await trader.live(0, None)
        trader.check()
        living.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await living
    return {
        "benchmark": "order_kill", "kills": kills, "seed": seed, "acknowledged": len(trader.acks),
        "fills_told": len(trader.fills), **_agrees(venue, folder / "orders.sqlite", end),
        "seconds": round((clock.now_ns() - begin_ns) / SECOND_NS, 1),
        "what": "orders acknowledged and fills told before SIGKILL are in the journal; at the end all is the venue's",
    }  # fmt: skip


def _agrees(venue: KalshiVenue, path: Path, end: dict[str, Any]) -> dict[str, int]:
    """The last life's account, and the journal, against the venue."""
    exchange = venue.exchange
    assert not exchange.resting, "orders rest that should have been cancelled"
    assert end["cash"] == exchange.account.cash_uusd, f"cash {end['cash']}, at the venue {exchange.account.cash_uusd}"
    for index, listing in enumerate(venue.listings):
        assert end["positions"].get(listing.market.id, 0) == exchange.account.holdings[index].position
    journal = Journal(path, "kalshi", ACCOUNT, 0)
    true = {one.key: one for one in map(fill_of, venue.fills)}
    kept = {fill.key: fill for fill, source in journal.fills() if source != BEFORE}
    assert kept == true, f"fills differ: {kept.keys() ^ true.keys()}"
    sent = [one.wanted.client_id for one in exchange.orders.values()]
    known = {one.client_id for one in journal.orders()}
    assert len(sent) == len(set(sent)) and set(sent) <= known, "an order was sent twice, or is not in the journal"
    recovered = len(journal.events("recovery"))
    journal.close()
    return {"orders": len(sent), "fills": len(true), "recoveries": recovered}


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks order_kill``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks order_kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        print_result({**asyncio.run(measure(options.kills, options.seed, Path(folder))), **describe()})
    return 0
