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

from live import kalshi, kalshi_rest, polymarket, polymarket_rest
from live.backoff import Backoff
from live.clock import Clock
from live.feed import Feed, Intake, Venue
from live.limits import (
    KALSHI_BASIC,
    KALSHI_COSTS,
    POLYMARKET_CLOB,
    POLYMARKET_GAMMA,
    Limiter,
)
from live.reconnect import Link
from live.recording.decode import Reader
from live.rest import RestClient
from live.secrets import Secret, SecretError, kalshi_credentials
from live.signing import KalshiSigner
from live.socket import Socket
from sim.wire.kalshi import KalshiReader
from sim.wire.listing import Listing
from sim.wire.polymarket import PolymarketReader
from sim.wire.units import Taken

VENUES = ("kalshi", "polymarket")


class Addresses(NamedTuple):
    """Of a venue; "" = its own."""

    rest: str = ""  # Kalshi's REST, Polymarket's Gamma
    socket: str = ""
    clob: str = ""  # Polymarket's CLOB


class Door(NamedTuple):
    """An open venue."""

    listings: list[Listing]
    reader: Reader
    venue: Venue
    url: str  # of the socket
    headers: Callable[[], dict[str, str]]  # of a handshake
    secrets: tuple[Secret, ...]  # what no log may show

    def socket(self, intake: Intake, clock: Clock, rng: random.Random, take: Callable[[Taken], None]) -> Socket:
        """A socket for the listed markets, not yet running."""
        link = Link(self.url, self.venue.link_rules, Backoff(self.url, rng))
        return Socket(self.url, Feed(self.venue, intake, link), clock, take, self.headers)


@asynccontextmanager
async def open_door(
    name: str,
    markets: Sequence[str],
    clock: Clock,
    rng: random.Random,
    at: Addresses = Addresses(),  # noqa: B008
) -> AsyncIterator[Door]:
    """The venue's listings of ``markets``, asked for now, and what a socket for them takes.

    Raises SecretError where the venue wants a key and the environment has none, ValueError for markets that it does not
    list, VenueError for what it refuses.
    """
    async with AsyncExitStack() as held:
        yield await (_kalshi if name == "kalshi" else _polymarket)(markets, clock, rng, at, held)


async def _kalshi(
    markets: Sequence[str], clock: Clock, rng: random.Random, at: Addresses, held: AsyncExitStack
) -> Door:
    credentials = kalshi_credentials(os.environ)
    if credentials is None:
        raise SecretError(
            "Kalshi's socket asks for a key: set SHADOWBOOK_KALSHI_KEY_ID and SHADOWBOOK_KALSHI_PRIVATE_KEY_FILE, or "
            "try a fake venue: python -m live.fake kalshi"
        )
    signer = KalshiSigner(credentials, clock)
    url = at.socket or kalshi.SOCKET_URL
    limiter = Limiter(KALSHI_BASIC, clock, KALSHI_COSTS)
    client = RestClient(at.rest or kalshi_rest.BASE_URL, clock=clock, rng=rng, limiter=limiter, signer=signer)
    rest = kalshi_rest.KalshiRest(await held.enter_async_context(client))
    listings = await kalshi.read_listings(rest, markets)
    path = urlsplit(url).path

    def headers() -> dict[str, str]:
        return signer.headers("GET", path)

    return Door(listings, KalshiReader(listings), kalshi.Kalshi(listings), url, headers, signer.secrets)


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
    listings = await polymarket.read_listings(polymarket_rest.PolymarketRest(*clients), markets)
    url = at.socket or polymarket.SOCKET_URL
    return Door(listings, PolymarketReader(listings), polymarket.Polymarket(listings), url, dict, ())
