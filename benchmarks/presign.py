"""From a signal to its order: microseconds with signatures made ahead and without, and how often one is in stock.

``ready``: from the signal to headers and body of the signed request. ``answered``: over a real socket, from the signal
to the fake venue's answer, the venue in another process. Without and with a stock take turns, order by order; filling
the stock is not counted: it happens between signals. Orders are such that nothing trades or rests.

``touch``: synthetic sessions' best prices frame by frame. The stock is filled a millisecond after each frame, if no
other frame comes before, and signals come with frames: they want the touch that the frame has just made.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import fields
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from tqdm import tqdm

from benchmarks.decide import session_frames
from benchmarks.machine import describe, print_result
from live.clock import ManualClock, SystemClock
from live.fake.guard import KalshiGuard, PolymarketGuard, new_polymarket_key, new_wallet
from live.fake.kalshi import KalshiConfig, KalshiVenue
from live.fake.market import Markets
from live.fake.polymarket import PolymarketConfig, PolymarketVenue
from live.fake.server import FakeVenue, Venue
from live.limits import Limiter, LimitRule, Rate
from live.orders.polymarket_orders import PolymarketOrders, near_touch
from live.orders.polymarket_signing import Terms
from live.orders.presign import PresignedSigner, Presigner, Request, Statistics
from live.rest import RestClient
from live.secrets import KalshiCredentials, Secret
from live.signing import KalshiSigner, PolymarketSigner
from sim.tape import FeeRates, Market
from sim.types import ASK, BID, CLEAR, END_OF_BATCH, LEVEL, MICRO_PER_LOT, PX_ONE, SECOND_NS
from sim.wire.listing import CENT_TICKS, Listing

KINDS = ("kalshi_rsa2048", "kalshi_rsa4096", "kalshi_ed25519", "polymarket")
KEY_ID = "benchmark"
PREFIX, PATH = "/trade-api/v2", "/portfolio/events/orders"
REQUEST = ("POST", PREFIX + PATH)
ORDER = {
    "ticker": "KXBENCH-M0", "side": "bid", "count": "5.00", "price": "0.0100", "time_in_force": "immediate_or_cancel",
    "self_trade_prevention_type": "taker_at_cross", "client_order_id": "",
}  # fmt: skip
TOKENS = ("1" * 77, "2" * 77)
TERMS = Terms(TOKENS[0], BID, 100, 500, kind="FAK")
AMPLE = Rate(10**6, 10**6)
SIGNALS = 0.06  # of frames
WARMED_AFTER_NS = 1_000_000
SESSION_S = 300.0
SIZES = (500, 1_000, 2_500)  # lots


def private_key(kind: str) -> rsa.RSAPrivateKey | Ed25519PrivateKey:
    """A throw-away key of a Kalshi account."""
    if kind == "kalshi_ed25519":
        return Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, int(kind.removeprefix("kalshi_rsa")))


def kalshi_signer(key: rsa.RSAPrivateKey | Ed25519PrivateKey) -> KalshiSigner:
    """A signer with that key."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return KalshiSigner(KalshiCredentials(Secret(KEY_ID), Secret(pem), key), SystemClock())


def account() -> tuple[Any, Any]:
    """Polymarket's wallet and key, the same in every process."""
    rng = random.Random(0)
    wallet = new_wallet(rng)
    return wallet, new_polymarket_key(rng, wallet)


def one_market(venue: str, now_ns: int) -> Markets:
    """An open market, 100 contracts at .48 and at .52."""
    rates = FeeRates("crypto", venue, 70_000)
    market = Market(
        "KXBENCH-M0" if venue == "kalshi" else f"0x{1:064x}", "Benchmark", now_ns, now_ns + 3_600 * SECOND_NS
    )
    listing = Listing(venue, market, CENT_TICKS, rates, event="KXBENCH", base_fees=rates, tokens=TOKENS)  # type: ignore[arg-type]
    size = 10_000 * MICRO_PER_LOT
    rows = [
        (now_ns, now_ns, 0, 0, -1, 0, 0, CLEAR, -1),
        (now_ns, now_ns, size, 4_800, -1, 0, 0, LEVEL, BID),
        (now_ns, now_ns, size, 5_200, -1, END_OF_BATCH, 0, LEVEL, ASK),
    ]
    return Markets(venue, [listing], (CENT_TICKS,), (rates,), rows)  # type: ignore[arg-type]


def serve(kind: str, public: bytes, pipe: Connection) -> None:
    """A process: the fake venue; says its address, and ends with the pipe."""
    clock = SystemClock()
    venue: Venue
    if kind == "polymarket":
        guard = PolymarketGuard(account()[1], clock)
        markets = one_market("polymarket", clock.now_ns())
        venue = PolymarketVenue(markets, clock, guard, config=PolymarketConfig(requests=AMPLE))
    else:
        kalshi_guard = KalshiGuard({KEY_ID: load_der_public_key(public)}, clock)  # type: ignore[dict-item]
        markets = one_market("kalshi", clock.now_ns())
        venue = KalshiVenue(markets, clock, kalshi_guard, config=KalshiConfig(write=AMPLE))

    async def main() -> None:
        async with FakeVenue(venue) as fake:
            pipe.send(fake.url)
            running = asyncio.create_task(fake.run())
            await asyncio.to_thread(pipe.poll, None)  # until the other end is closed
            running.cancel()

    asyncio.run(main())


def ready_us(signer: KalshiSigner | None, count: int) -> tuple[list[float], list[float]]:
    """Microseconds to a signed request, without a stock and with one."""
    clock = SystemClock()
    presigned = PresignedSigner(signer, clock) if signer is not None else None
    wallet, key = account()
    hmac = PolymarketSigner(key, clock)
    client = PolymarketOrders("http://127.0.0.1:1", wallet, key, clock=clock, rng=random.Random(1))

    def kalshi() -> object:
        assert presigned is not None
        return msgspec.json.encode(ORDER), presigned.headers(*REQUEST)

    def polymarket() -> object:
        body = msgspec.json.encode(client.ready(TERMS).body)
        return body, hmac.headers("POST", "/order", body)

    at_signal = kalshi if presigned is not None else polymarket
    warm: Callable[[], int] = (
        (lambda: presigned.presigner.warm([REQUEST]))
        if presigned is not None
        else (lambda: client.presigner.warm([TERMS]))
    )
    spent: tuple[list[float], list[float]] = ([], [])
    for turn in range(2 * count):
        if turn % 2:
            warm()
        begin = time.perf_counter_ns()
        at_signal()
        spent[turn % 2].append((time.perf_counter_ns() - begin) / 1e3)
    return spent


async def answered_us(url: str, signer: KalshiSigner | None, count: int) -> tuple[list[float], list[float]]:
    """Microseconds to the venue's answer, without a stock and with one."""
    clock = SystemClock()
    spent: tuple[list[float], list[float]] = ([], [])
    limiter = Limiter((LimitRule("all", (), "/*", AMPLE),), clock)

    async def orders(place: Callable[[int], Any], warm: Callable[[], int]) -> None:
        for turn in range(2 * count):
            if turn % 2:
                warm()
            await asyncio.sleep(0)
            begin = time.perf_counter_ns()
            await place(turn)
            if turn >= 20:  # the connection has been made
                spent[turn % 2].append((time.perf_counter_ns() - begin) / 1e3)

    if signer is None:
        wallet, key = account()
        async with PolymarketOrders(url, wallet, key, clock=clock, rng=random.Random(2), limiter=limiter) as client:
            await orders(lambda _: client.place(TERMS), lambda: client.presigner.warm([TERMS]))
        return spent
    presigned = PresignedSigner(signer, clock)
    async with RestClient(url + PREFIX, clock=clock, rng=random.Random(2), limiter=limiter, signer=presigned) as rest:
        await orders(
            lambda turn: rest.request("POST", PATH, body=ORDER | {"client_order_id": f"{turn}"}),
            lambda: presigned.presigner.warm([REQUEST]),
        )
    return spent


def percentiles(name: str, spent: tuple[list[float], list[float]]) -> dict[str, float]:
    """Medians and 99 % of both."""
    return {
        f"{name}_{how}_{place}_us": round(float(np.percentile(values, share)), 1)
        for how, values in zip(("without", "with"), spent, strict=True)
        for place, share in (("p50", 50), ("p99", 99))
    }


def measure(kind: str, readies: int, answers: int) -> dict[str, float]:
    """One kind of key: both times, with a venue of its own."""
    key = None if kind == "polymarket" else private_key(kind)
    signer = None if key is None else kalshi_signer(key)
    public = b""
    if key is not None:
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    venue = spawn.Process(target=serve, args=(kind, public, there), daemon=True)
    venue.start()
    there.close()  # so that a venue that dies is heard of
    try:
        found = percentiles("answered", asyncio.run(answered_us(here.recv(), signer, answers)))
    finally:
        here.close()
        venue.join(10)
    return percentiles("ready", ready_us(signer, readies)) | found


def touch(reach: int, sessions: int) -> dict[str, float]:
    """What a stock of orders within ``reach`` ticks of the touch, and one of two headers, hold of what signals want."""
    polymarket, kalshi, passed_ns = Statistics(), Statistics(), 0
    for seed in range(sessions):
        found, headers, ns = one_session(reach, seed)
        polymarket, kalshi, passed_ns = added(polymarket, found), added(kalshi, headers), passed_ns + ns
    return {
        "reach": reach, "signals": polymarket.hits + polymarket.misses, "hit_rate": round(polymarket.hit_rate, 4),
        "warmed": polymarket.warmed, "stale": polymarket.stale, "dropped": polymarket.dropped,
        "signatures_per_s": round(polymarket.warmed * SECOND_NS / passed_ns, 1),
        "kalshi_hit_rate": round(kalshi.hit_rate, 4),
        "kalshi_signatures_per_s": round(kalshi.warmed * SECOND_NS / passed_ns, 1),
    }  # fmt: skip


def one_session(reach: int, seed: int) -> tuple[Statistics, Statistics, int]:
    """Statistics of both stocks over a synthetic market's first minutes, and nanoseconds of them."""
    reader, frames = session_frames("polymarket", SESSION_S, seed)
    clock, rng = ManualClock(0), random.Random(seed)
    orders: Presigner[Terms, Terms] = Presigner(lambda key, _: key, clock)
    headers: Presigner[Request, Request] = Presigner(lambda key, _: key, clock)
    due_ns, likely, begin_ns = 0, list[Terms](), 0
    for local_ns, frame in frames:
        begin_ns = begin_ns or local_ns
        if likely and due_ns <= local_ns:
            clock.set_ns(max(due_ns, clock.now_ns()))
            orders.warm(likely)
            headers.warm([REQUEST] * 2)
        clock.set_ns(max(local_ns, clock.now_ns()))
        reader.take(frame, local_ns)
        bid_px, ask_px = reader.books[0].best
        likely, due_ns = near_touch(TOKENS[0], bid_px, ask_px, 100, SIZES, reach=reach), local_ns + WARMED_AFTER_NS
        if rng.random() < SIGNALS and bid_px > 0 and ask_px < PX_ONE:
            orders.take(rng.choice(near_touch(TOKENS[0], bid_px, ask_px, 100, SIZES, reach=0)))
            headers.take(REQUEST)
    return orders.statistics, headers.statistics, clock.now_ns() - begin_ns


def added(one: Statistics, other: Statistics) -> Statistics:
    """Their sum."""
    return Statistics(*(getattr(one, field.name) + getattr(other, field.name) for field in fields(Statistics)))


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks presign``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks presign", description=__doc__)
    parser.add_argument("--readies", type=int, default=2_000, help="signed requests of a kind, each way")
    parser.add_argument("--answers", type=int, default=1_000, help="orders of a kind over the socket, each way")
    parser.add_argument("--sessions", type=int, default=12, help="synthetic markets whose touch is followed")
    options = parser.parse_args(arguments)
    result: dict[str, Any] = {"benchmark": "presign"}
    for kind in tqdm(KINDS, unit="key"):
        result[kind] = measure(kind, options.readies, options.answers)
    result["touch"] = [touch(reach, options.sessions) for reach in (0, 1, 2)]
    print_result({**result, **describe()})
    return 0
