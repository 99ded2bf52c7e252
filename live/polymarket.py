"""Polymarket's market data: what its socket is told, what follows from its answers, what REST says of a market before.

The market channel needs no key. A market whose book is lost is unsubscribed and subscribed again: the venue then tells
the whole book in the stream itself, in order with the changes after it, which an answer of REST would not be.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from live.feed import Answer
from live.polymarket_rest import GammaMarket, PolymarketRest
from live.reconnect import POLYMARKET_LINK
from sim.tape import FeeRates, Market
from sim.venues import VENUES
from sim.wire.listing import Listing
from sim.wire.units import Taken

SOCKET_URL = "wss://ws-subscriptions-clob.polymarket.com/ws/market"


class Polymarket:
    """What a connection for ``listings`` says."""

    link_rules = POLYMARKET_LINK

    def __init__(self, listings: Sequence[Listing]) -> None:
        self._tokens = [listing.tokens for listing in listings]

    def subscribe(self) -> list[str]:
        """Both tokens of every market."""
        tokens = [token for pair in self._tokens for token in pair]
        return [_text({"assets_ids": tokens, "type": "market", "custom_feature_enabled": True, "initial_dump": True})]

    def answer(self, taken: Taken) -> Answer:
        """Nothing is confirmed but by its first data."""
        return Answer("data" if taken.rows else "heard")

    def ask(self, markets: tuple[int, ...]) -> list[str]:
        """Leave and come back: the whole book comes first."""
        tokens = [token for index in markets for token in self._tokens[index]]
        leave: dict[str, object] = {"operation": "unsubscribe", "assets_ids": tokens}
        return [_text(leave), _text({"operation": "subscribe", "assets_ids": tokens, "custom_feature_enabled": True})]


async def read_listings(rest: PolymarketRest, names: Sequence[str]) -> list[Listing]:
    """What the venue says of markets now, by condition id (0x...) or slug: tokens, times, ticks, fees.

    Raises ValueError for a market that is closed and for fees whose formula is not known, VenueError for one that is
    not known.
    """
    found = []
    for name in names:
        market = await (rest.market(name) if name.startswith("0x") else rest.market_of_slug(name))
        if market.closed:
            raise ValueError(
                f"Polymarket: {name} is closed; expected a market that has not ended: leave it out, or name an open one"
            )
        found.append(_listing(market))
    return found


def _listing(market: GammaMarket) -> Listing:
    rules = market.rules
    if rules.fees is None and (rules.fee_name is not None or rules.fee_formula is not None):
        raise ValueError(f"{market.slug}: no formula is known for fees {rules.fee_formula!r}; it cannot be simulated")
    venue = VENUES["polymarket"]
    schedule = rules.fees or venue.fee_schedule()
    return Listing(
        venue="polymarket",
        market=Market(market.condition_id, market.slug or market.title, market.open_ns, market.close_ns),
        ticks=tuple((*item,) for item in rules.ticks or venue.tick_table()),
        fees=FeeRates(rules.fee_name or "its own", "polymarket", schedule.taker_ppm, schedule.maker_ppm),
        tokens=market.tokens,
    )


def _text(message: dict[str, object]) -> str:
    return msgspec.json.encode(message).decode()
