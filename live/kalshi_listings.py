"""What Kalshi's REST says of markets: before their first message, and again where messages were lost.

The answers to later questions are kept as they came, and read by `told_of`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from live.answers import Question, each
from live.kalshi_rest import KalshiMarket, KalshiRest, event_of, market_of, series_of
from sim.tape import FeeRates, Market
from sim.types import CLOSED, OPEN, PAUSED, PENDING, PX_ONE
from sim.venues import VENUES
from sim.venues.responses import MarketRules, combined
from sim.wire.kalshi_words import fee_rates
from sim.wire.listing import Listing, Ticks
from sim.wire.told import Told

_LOG = logging.getLogger(__name__)
_ENDED = ("closed", "determined", "disputed", "amended", "finalized")
_STATES = {"initialized": PENDING, "active": OPEN, "inactive": PAUSED} | dict.fromkeys(_ENDED, CLOSED)
_PAYOUTS = {"yes": PX_ONE, "no": 0}


async def read_listings(rest: KalshiRest, tickers: Sequence[str]) -> list[Listing]:
    """What the venue says of markets now: scheduled times, ticks, fees of series and event.

    Raises ValueError for a market that the venue does not know or that has ended, and for fees whose formula is not
    known.
    """
    known = await rest.markets(tickers)
    missing = [ticker for ticker in tickers if ticker not in known]
    if missing:
        raise ValueError(f"Kalshi does not list {', '.join(missing)}; expected tickers such as KXBTC15M-26SEP171600-00")
    for ticker in tickers:
        _check_open(known[ticker])
    events = {name: await rest.event(name) for name in {market.event_ticker for market in known.values()}}
    series = {name: await rest.series(name) for name in {event.series_ticker for event in events.values()}}
    found = []
    for ticker in tickers:
        event = events[known[ticker].event_ticker]
        found.append(_listing(known[ticker], series[event.series_ticker].rules, event.rules))
    return found


def _check_open(market: KalshiMarket) -> None:
    if market.status in _ENDED:
        raise ValueError(
            f"Kalshi: {market.ticker} is {market.status}; expected a market that has not ended: leave it out, or name "
            "one that is active"
        )
    if market.status != "active":
        _LOG.warning("kalshi: %s is %s: it does not trade yet, or not now", market.ticker, market.status)


def _listing(market: KalshiMarket, series: MarketRules, event: MarketRules) -> Listing:
    rules = combined(series, event, market.rules)
    return Listing(
        venue="kalshi",
        market=Market(market.ticker, market.title, market.open_ns, market.close_ns),
        ticks=_ticks(rules),
        fees=_rates(market.ticker, rules),
        event=market.event_ticker,
        base_fees=_rates(market.ticker, series),
    )


def _ticks(rules: MarketRules) -> Ticks:
    return tuple((*item,) for item in rules.ticks or VENUES["kalshi"].tick_table(rules.tick_label or ""))


def _rates(ticker: str, rules: MarketRules) -> FeeRates:
    if rules.fees is None or rules.fee_name is None:
        raise ValueError(f"{ticker}: no formula is known for fees {rules.fee_name!r}; it cannot be simulated")
    return fee_rates(rules.fee_name, rules.multiplier)


async def ask(rest: KalshiRest, listings: Sequence[Listing], question: Question) -> dict[str, Any]:
    """What the venue says of markets now, as it came. Raises VenueError where it does not."""
    asked = [listings[index] for index in question.markets]
    said: dict[str, Any] = {"markets": await rest.markets_said([one.market.id for one in asked])}
    if question.fees:
        events = {name: await rest.event_said(name) for name in dict.fromkeys(one.event for one in asked)}
        names = dict.fromkeys(str(one["event"]["series_ticker"]) for one in events.values())
        said |= {"events": events, "series": {name: await rest.series_said(name) for name in names}}
    return said


def told_of(said: dict[str, Any]) -> list[Told]:
    """What the answer of `ask` says of each market. One that cannot be read is missing, and logged."""
    events = {str(name): event_of(one) for name, one in said.get("events", {}).items()}
    series = {str(name): series_of(one) for name, one in said.get("series", {}).items()}

    def one_of(item: dict[str, Any]) -> Told:
        market = market_of(item)
        event = events.get(market.event_ticker)
        fees, base = (None, None) if event is None else _fees(market, series[event.series_ticker].rules, event.rules)
        paid = _PAYOUTS.get(market.result) if market.payout_px is None else market.payout_px
        return Told(
            market=market.ticker,
            status=_STATES.get(market.status),
            ticks=_ticks(market.rules),
            fees=fees,
            base_fees=base,
            payout_px=paid if market.status == "finalized" else None,
            close_ns=market.close_ns,
        )

    return each(said["markets"], one_of)


def _fees(market: KalshiMarket, series: MarketRules, event: MarketRules) -> tuple[FeeRates | None, FeeRates | None]:
    """Those in force and the series' own; None where the formula is not known: then they stay what they were."""
    try:
        return _rates(market.ticker, combined(series, event, market.rules)), _rates(market.ticker, series)
    except ValueError as error:
        _LOG.warning("kalshi: %s", error)
        return None, None
