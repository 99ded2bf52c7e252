"""What Polymarket's Gamma says of markets: before their first message, and again where messages were lost.

The answers to later questions are kept as they came, and read by `told_of`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from live.answers import Question, each
from live.polymarket_rest import GammaMarket, PolymarketRest, gamma_market
from sim.tape import FeeRates, Market
from sim.types import CLOSED, OPEN, PAUSED
from sim.venues import VENUES
from sim.venues.responses import MarketRules
from sim.wire.listing import Listing, Ticks
from sim.wire.told import Told

_LOG = logging.getLogger(__name__)


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
    return Listing(
        venue="polymarket",
        market=Market(market.condition_id, market.slug or market.title, market.open_ns, market.close_ns),
        ticks=_ticks(market.rules),
        fees=_rates(market),
        tokens=market.tokens,
    )


def _ticks(rules: MarketRules) -> Ticks:
    return tuple((*item,) for item in rules.ticks or VENUES["polymarket"].tick_table())


def _rates(market: GammaMarket) -> FeeRates:
    rules = market.rules
    if rules.fees is None and (rules.fee_name is not None or rules.fee_formula is not None):
        raise ValueError(f"{market.slug}: no formula is known for fees {rules.fee_formula!r}; it cannot be simulated")
    schedule = rules.fees or VENUES["polymarket"].fee_schedule()
    return FeeRates(rules.fee_name or "its own", "polymarket", schedule.taker_ppm, schedule.maker_ppm)


async def ask(rest: PolymarketRest, listings: Sequence[Listing], question: Question) -> dict[str, Any]:
    """What the venue says of markets now, as it came. Raises VenueError where it does not."""
    names = [listings[index].market.id for index in question.markets]
    return {"markets": await rest.markets_said("condition_ids", names)}


def told_of(said: dict[str, Any]) -> list[Told]:
    """What the answer of `ask` says of each market. One that cannot be read is missing, and logged."""
    return each(said["markets"], _told)


def _told(item: dict[str, Any]) -> Told:
    market = gamma_market(item)
    state = CLOSED if market.closed else OPEN if market.accepting_orders else PAUSED
    return Told(
        market.condition_id, state, _ticks(market.rules), _fees(market), None, market.payout_px, market.close_ns
    )


def _fees(market: GammaMarket) -> FeeRates | None:
    try:
        return _rates(market)
    except ValueError as error:
        _LOG.warning("polymarket: %s", error)
        return None
