"""Kalshi's REST, as far as a feed needs it: it reads, and changes nothing. Prices in YES space, integers.

Endpoints and fields: docs.kalshi.com, OpenAPI 3.34.0, read 2026-10-26. Unknown fields are ignored, and fields that are
not required may be missing. What a market, series or event says of its rules is read by ``sim.venues.responses``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from live.books import Book, book_of, chunks
from live.errors import VenueError, shaped
from live.limits import Costs, Rate
from live.rest import RestClient
from live.stamps import ns_of
from sim.types import ASK, BID
from sim.venues.responses import MarketRules, read_rules
from sim.wire.units import px_of, qty_of

BASE_URL = "https://external-api.kalshi.com/trade-api/v2"
MOST_BOOKS = 100  # in one request
PAGE = 1_000  # most trades or markets in one answer

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_TICKER = re.compile(r"[A-Za-z0-9._-]+")
_LEGS = {"yes": BID, "no": ASK}
_SIDES = {"bid": BID, "ask": ASK}


class ExchangeStatus(msgspec.Struct, frozen=True):
    """Whether the exchange takes anything, and orders."""

    exchange_active: bool
    trading_active: bool
    exchange_estimated_resume_time: str | None = None


class KalshiMarket(msgspec.Struct, frozen=True):
    """A market as it is listed."""

    ticker: str
    event_ticker: str
    title: str
    status: str  # initialized, active, inactive, closed, determined, disputed, amended, finalized
    result: str  # yes, no, scalar, "" = not known yet
    open_ns: int  # 0 = not said
    close_ns: int
    settled_ns: int
    payout_px: int | None  # of one YES contract, once settled
    series_ticker: str
    rules: MarketRules


class KalshiSeries(msgspec.Struct, frozen=True):
    """A series, and the fees that its events have unless they say otherwise."""

    ticker: str
    title: str
    category: str
    rules: MarketRules


class KalshiEvent(msgspec.Struct, frozen=True):
    """An event; ``rules`` hold its fees only where it overrides its series'."""

    event_ticker: str
    series_ticker: str
    title: str
    mutually_exclusive: bool
    rules: MarketRules
    markets: tuple[KalshiMarket, ...]


class KalshiTrade(msgspec.Struct, frozen=True):
    """A print; ``side`` is the taker's in YES space, -1 where the venue does not say."""

    trade_id: str
    ticker: str
    venue_ns: int
    px: int
    qty: int
    side: int
    block: bool


class AccountLimits(msgspec.Struct, frozen=True):
    """An account's own buckets, by the names of the rules in ``live/limits.py``."""

    tier: str
    rates: dict[str, Rate]


class KalshiRest:
    """The endpoints. Raises VenueError for refusals and for answers that lack what is required."""

    def __init__(self, client: RestClient) -> None:
        self._client = client

    async def exchange_status(self) -> ExchangeStatus:
        """Whether the exchange is open."""
        path = "/exchange/status"
        return shaped(f"GET {path}", await self._client.get(path), lambda said: msgspec.convert(said, ExchangeStatus))

    async def market(self, ticker: str) -> KalshiMarket:
        """One market."""
        path = f"/markets/{_named(ticker)}"
        return shaped(f"GET {path}", await self._client.get(path), lambda said: market_of(said["market"]))

    async def markets(self, tickers: Sequence[str]) -> dict[str, KalshiMarket]:
        """Several markets by ticker; who is not known to the venue is missing."""
        listed = shaped("GET /markets", await self.markets_said(tickers), lambda said: [market_of(one) for one in said])
        return {market.ticker: market for market in listed}

    async def markets_said(self, tickers: Sequence[str]) -> list[Any]:
        """The markets of `markets` as they came."""
        found: list[Any] = []
        for chunk in chunks([_named(ticker) for ticker in tickers], MOST_BOOKS):
            params = [("tickers", ",".join(chunk)), ("limit", str(PAGE))]
            said = await self._client.get("/markets", params)
            found += shaped("GET /markets", said, lambda said: list(said["markets"]))
        return found

    async def series(self, ticker: str) -> KalshiSeries:
        """One series."""
        return shaped("GET /series", await self.series_said(ticker), series_of)

    async def series_said(self, ticker: str) -> Any:
        """The answer of `series` as it came."""
        return await self._client.get(f"/series/{_named(ticker)}")

    async def event(self, ticker: str) -> KalshiEvent:
        """One event with its markets."""
        return shaped("GET /events", await self.event_said(ticker, nested=True), event_of)

    async def event_said(self, ticker: str, *, nested: bool = False) -> Any:
        """The answer of `event` as it came; ``nested``: its markets in it."""
        return await self._client.get(f"/events/{_named(ticker)}", [("with_nested_markets", str(nested).lower())])

    async def orderbook(self, ticker: str) -> Book:
        """One whole book."""
        path = f"/markets/{_named(ticker)}/orderbook"
        return shaped(f"GET {path}", await self._client.get(path), lambda said: rest_book(said["orderbook_fp"]))

    async def orderbooks(self, tickers: Sequence[str]) -> dict[str, Book]:
        """Whole books of up to 100 markets; one that does not come or cannot be read is missing. More: ValueError."""
        return shaped("GET /markets/orderbooks", await self.orderbooks_said(tickers), books_of)

    async def orderbooks_said(self, tickers: Sequence[str]) -> Any:
        """The answer of `orderbooks` as it came."""
        if not 0 < len(tickers) <= MOST_BOOKS:
            raise ValueError(f"{len(tickers)} books in one request; expected 1 to {MOST_BOOKS}")
        params = [("tickers", _named(ticker)) for ticker in tickers]  # repeated: joined by commas only one would come
        return await self._client.get("/markets/orderbooks", params)

    async def trades(self, ticker: str, since_ns: int = 0) -> list[KalshiTrade]:
        """The newest prints since a moment (whole seconds), at most ``PAGE``, oldest first."""
        return shaped("GET /markets/trades", await self.trades_said(ticker, since_ns), trades_of)

    async def trades_said(self, ticker: str, since_ns: int = 0) -> Any:
        """The answer of `trades` as it came."""
        params = [("ticker", _named(ticker)), ("limit", str(PAGE)), ("min_ts", str(since_ns // 10**9))]
        return await self._client.get("/markets/trades", params)

    async def series_fee_changes(self, series_ticker: str = "") -> list[MarketRules]:
        """Changes to come, of one series or of all; ``effective`` says when."""
        params = [("series_ticker", _named(series_ticker))] if series_ticker else []
        return _changes("/series/fee_changes", await self._client.get("/series/fee_changes", params))

    async def event_fee_changes(self, event_ticker: str = "") -> list[MarketRules]:
        """Overrides to come, of one event or of all; one without fees takes an override back."""
        params = [("event_ticker", _named(event_ticker))] if event_ticker else []
        return _changes("/events/fee_changes", await self._client.get("/events/fee_changes", params))

    async def account_limits(self) -> AccountLimits:
        """The account's own buckets. Needs a key."""
        return shaped("GET /account/limits", await self._client.get("/account/limits"), _limits)

    async def endpoint_costs(self) -> Costs:
        """What requests cost. Needs a key."""
        return shaped("GET /account/endpoint_costs", await self._client.get("/account/endpoint_costs"), _costs)


def rest_book(said: dict[str, Any]) -> Book:
    """A book of ``{"yes_dollars": [[price, size], ...], "no_dollars": [...]}``: both hold bids, of one leg each."""
    legs = ((True, said.get("yes_dollars")), (False, said.get("no_dollars")))
    return book_of((is_yes, BID, price, size) for is_yes, levels in legs for price, size in levels or ())


def books_of(said: dict[str, Any]) -> dict[str, Book]:
    """Books by ticker of the answer of ``/markets/orderbooks``; one that cannot be read is missing, and logged."""
    found = ((str(item["ticker"]), _readable(item["ticker"], item, _nested_book)) for item in said["orderbooks"])
    return {ticker: book for ticker, book in found if book is not None}


def trades_of(said: dict[str, Any]) -> list[KalshiTrade]:
    """Prints of the answer of ``/markets/trades``, oldest first; one that cannot be read is missing, and logged."""
    found = (_readable(f"print of {item['ticker']}", item, trade_of) for item in reversed(said["trades"]))
    return [trade for trade in found if trade is not None]


def trade_of(said: dict[str, Any]) -> KalshiTrade:
    """One print. Raises ValueError for a price, size or stamp that cannot be."""
    px, qty = px_of(said["yes_price_dollars"]), qty_of(said["count_fp"])
    if qty <= 0:
        raise ValueError(f"trade {said['trade_id']}: a size of {said['count_fp']!r}; expected more than 0")
    side = _SIDES.get(said.get("taker_book_side", ""), _LEGS.get(said.get("taker_outcome_side", ""), -1))
    return KalshiTrade(
        trade_id=str(said["trade_id"]),
        ticker=str(said["ticker"]),
        venue_ns=ns_of(said["created_time"]),
        px=px,
        qty=qty,
        side=side,
        block=said.get("is_block_trade") is True,
    )


def _nested_book(said: dict[str, Any]) -> Book:
    return rest_book(said["orderbook_fp"])


def _readable(name: str, said: dict[str, Any], reader: Callable[[dict[str, Any]], _T]) -> _T | None:
    """One of many in an answer: a bad one does not take the others with it."""
    try:
        return reader(said)
    except (KeyError, TypeError, ValueError) as error:
        _LOG.warning("%s: cannot be read: %r", name, error)
        return None


def market_of(said: dict[str, Any]) -> KalshiMarket:
    """A market as it is listed."""
    value = said.get("settlement_value_dollars")
    titles = (said.get("yes_sub_title"), said.get("title"), said["ticker"])
    return KalshiMarket(
        ticker=str(said["ticker"]),
        event_ticker=str(said["event_ticker"]),
        title=str(next(title for title in titles if title)),
        status=str(said["status"]),
        result=str(said.get("result") or ""),
        open_ns=_moment(said.get("open_time")),
        close_ns=_moment(said.get("close_time")),
        settled_ns=_moment(said.get("settlement_ts")),
        payout_px=px_of(value) if value else None,
        series_ticker=str(said.get("series_ticker") or str(said["ticker"]).partition("-")[0]),
        rules=_rules_of(said, str(said["ticker"])),
    )


def series_of(answer: dict[str, Any]) -> KalshiSeries:
    """A series, of the answer of ``/series``."""
    said = answer["series"]
    ticker = str(said["ticker"])
    return KalshiSeries(ticker, str(said.get("title", "")), str(said.get("category", "")), _rules_of(said, ticker))


def event_of(answer: dict[str, Any]) -> KalshiEvent:
    """An event, of the answer of ``/events``; its markets may come next to it and not in it."""
    said, beside = answer["event"], answer.get("markets")
    ticker = str(said["event_ticker"])
    alone = {key: value for key, value in said.items() if key != "markets"}
    return KalshiEvent(
        event_ticker=ticker,
        series_ticker=str(said["series_ticker"]),
        title=str(said.get("title", "")),
        mutually_exclusive=said.get("mutually_exclusive") is True,
        rules=_rules_of({"collateral_return_type": "", **alone}, ticker),
        markets=tuple(market_of(item) for item in said.get("markets") or beside or ()),
    )


def _rules_of(said: dict[str, Any], name: str) -> MarketRules:
    return read_rules(said, name)[0]


def _changes(path: str, said: Any) -> list[MarketRules]:
    lists = [value for value in said.values() if isinstance(value, list)] if isinstance(said, dict) else None
    if not lists:
        raise VenueError(f"GET {path}", 200, "shape", "no list in the answer", "the venue's answer has changed")
    return shaped(
        f"GET {path}", lists, lambda lists: [rules for items in lists if items for rules in read_rules(items, path)]
    )


def _limits(said: dict[str, Any]) -> AccountLimits:
    read, write = (
        Rate(int(said[name]["bucket_capacity"]), int(said[name]["refill_rate"])) for name in ("read", "write")
    )
    return AccountLimits(str(said.get("usage_tier", "")), {"read": read, "write": write})


def _costs(said: dict[str, Any]) -> Costs:
    table = tuple((str(item["method"]), str(item["path"]), int(item["cost"])) for item in said["endpoint_costs"])
    return Costs(int(said["default_cost"]), table)


def _moment(text: object) -> int:
    return ns_of(text) if isinstance(text, str) and text else 0


def _named(ticker: str) -> str:
    if not _TICKER.fullmatch(ticker):
        raise ValueError(f"{ticker!r} is no ticker; expected letters, digits, dots and dashes")
    return ticker
