"""The doors of a venue: where its REST and its socket are, who may come in, and what it lists.

Addresses can be given instead of the venue's own, for a demo or a fake venue. Keys come from the environment alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from live import kalshi, kalshi_listings, kalshi_rest, polymarket, polymarket_listings, polymarket_rest
from live.backoff import Backoff
from live.clock import Clock
from live.feed import Feed, Venue
from live.inquiry import Ask, Doubts, Inquiry
from live.kalshi_poll import KalshiPoller, KalshiPollReader
from live.limits import (
    KALSHI_BASIC,
    KALSHI_COSTS,
    KALSHI_KEYLESS,
    POLYMARKET_CLOB,
    POLYMARKET_GAMMA,
    Limiter,
)
from live.reading import MarketIntake, MarketReader
from live.reconnect import Link
from live.recording.decode import POLLED
from live.rest import RestClient
from live.secrets import Secret, SecretError, kalshi_credentials
from live.signing import KalshiSigner
from live.socket import Socket
from live.source import Source, Take
from sim.wire.kalshi import KalshiReader
from sim.wire.listing import Listing
from sim.wire.polymarket import PolymarketReader
from sim.wire.units import Taken


class Addresses(NamedTuple):
    """Of a venue; "" = its own."""

    rest: str = ""  # Kalshi's REST, Polymarket's Gamma
    socket: str = ""
    clob: str = ""  # Polymarket's CLOB


class Door(NamedTuple):
    """An open venue."""

    listings: list[Listing]
    reader: MarketReader
    subscribed: tuple[str, ...]  # for a recording's header
    secrets: tuple[Secret, ...]  # what no log may show
    # of market data, not yet running; the intake's reader is this door's
    source: Callable[[MarketIntake, Take], Source]


@asynccontextmanager
async def open_door(
    name: str,
    markets: Sequence[str],
    clock: Clock,
    rng: random.Random,
    *,
    at: Addresses = Addresses(),  # noqa: B008
    keyless: bool = False,
) -> AsyncIterator[Door]:
    """The venue's listings of ``markets``, asked for now, and where their market data come from.

    ``keyless``: Kalshi's REST is polled, about once a second, instead of its socket, which asks for a key.

    Raises SecretError where the venue wants a key and the environment has none, ValueError for markets that it does not
    list, VenueError for what it refuses.
    """
    async with AsyncExitStack() as held:
        if name == "polymarket":
            yield await _polymarket(markets, clock, rng, at, held)
        elif keyless:
            yield await _kalshi_polled(markets, clock, rng, at, held)
        else:
            yield await _kalshi(markets, clock, rng, at, held)


async def _kalshi(
    markets: Sequence[str], clock: Clock, rng: random.Random, at: Addresses, held: AsyncExitStack
) -> Door:
    credentials = kalshi_credentials(os.environ)
    if credentials is None:
        raise SecretError(
            "Kalshi's socket asks for a key: set SHADOWBOOK_KALSHI_KEY_ID and SHADOWBOOK_KALSHI_PRIVATE_KEY_FILE; or "
            "poll without one, keyless=true; or try a fake venue: python -m live.fake kalshi"
        )
    signer = KalshiSigner(credentials, clock)
    rest = await _kalshi_rest(clock, rng, at, held, Limiter(KALSHI_BASIC, clock, KALSHI_COSTS), signer)
    listings = await kalshi_listings.read_listings(rest, markets)
    url = at.socket or kalshi.SOCKET_URL
    path = urlsplit(url).path

    def headers() -> dict[str, str]:
        return signer.headers("GET", path)

    return _at_socket(
        url, kalshi.Kalshi(listings), listings, KalshiReader(listings), clock, rng, _kalshi_asks(rest, listings),
        headers, signer.secrets,
    )  # fmt: skip


async def _kalshi_polled(
    markets: Sequence[str], clock: Clock, rng: random.Random, at: Addresses, held: AsyncExitStack
) -> Door:
    rest = await _kalshi_rest(clock, rng, at, held, Limiter(KALSHI_KEYLESS, clock))
    listings = await kalshi_listings.read_listings(rest, markets)
    reader = KalshiPollReader(listings)

    def source(intake: MarketIntake, take: Take) -> Source:
        doubts = Doubts(reader, clock.monotonic_ns())
        poller = KalshiPoller(rest, reader, intake, clock, take)
        return Inquiry(poller, doubts, _kalshi_asks(rest, listings), intake, clock, take)

    return Door(listings, reader, POLLED, (), source)


def _kalshi_asks(rest: kalshi_rest.KalshiRest, listings: list[Listing]) -> Ask:
    return lambda question: kalshi_listings.ask(rest, listings, question)


async def _kalshi_rest(
    clock: Clock,
    rng: random.Random,
    at: Addresses,
    held: AsyncExitStack,
    limiter: Limiter,
    signer: KalshiSigner | None = None,
) -> kalshi_rest.KalshiRest:
    client = RestClient(at.rest or kalshi_rest.BASE_URL, clock=clock, rng=rng, limiter=limiter, signer=signer)
    return kalshi_rest.KalshiRest(await held.enter_async_context(client))


async def _polymarket(
    markets: Sequence[str], clock: Clock, rng: random.Random, at: Addresses, held: AsyncExitStack
) -> Door:
    clients = [
        await held.enter_async_context(RestClient(url, clock=clock, rng=rng, limiter=Limiter(rules, clock)))
        for url, rules in (
            (at.rest or polymarket_rest.GAMMA_URL, POLYMARKET_GAMMA),
            (at.clob or polymarket_rest.CLOB_URL, POLYMARKET_CLOB),
        )
    ]
    rest = polymarket_rest.PolymarketRest(*clients)
    listings = await polymarket_listings.read_listings(rest, markets)
    url = at.socket or polymarket.SOCKET_URL
    return _at_socket(
        url, polymarket.Polymarket(listings), listings, PolymarketReader(listings), clock, rng,
        lambda question: polymarket_listings.ask(rest, listings, question),
    )  # fmt: skip


def _at_socket(
    url: str,
    venue: Venue,
    listings: list[Listing],
    reader: MarketReader,
    clock: Clock,
    rng: random.Random,
    ask: Ask,
    headers: Callable[[], dict[str, str]] = dict,
    secrets: tuple[Secret, ...] = (),
) -> Door:
    def source(intake: MarketIntake, take: Take) -> Source:
        feed = Feed(venue, intake, Link(url, venue.link_rules, Backoff(url, rng)))
        doubts = Doubts(reader, clock.monotonic_ns())

        def heard(taken: Taken) -> None:
            doubts.heard(taken, clock.monotonic_ns())
            take(taken)

        def answered(taken: Taken) -> None:
            feed.answered(taken, clock.monotonic_ns())
            take(taken)

        return Inquiry(Socket(url, feed, clock, heard, headers), doubts, ask, intake, clock, answered)

    return Door(listings, reader, tuple(venue.subscribe()), secrets, source)
