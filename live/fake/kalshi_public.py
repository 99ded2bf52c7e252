"""What a fake Kalshi's REST answers to everybody: exchange, markets, books, prints, series, events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from live.fake import kalshi_words as words
from live.fake.answers import Answer, Ask, Problem, Route, paged
from live.stamps import ns_of, text_of
from sim.types import SECOND_NS

if TYPE_CHECKING:
    from live.fake.kalshi import KalshiVenue

_MOST_BOOKS = 100
_MOST_DEPTH = 100


def _status(venue: KalshiVenue, _: Ask) -> Answer:
    resumes = venue.resumes_ns
    more = {"exchange_estimated_resume_time": text_of(resumes)} if resumes else {}
    exchange = venue.exchange
    return Answer(200, {"exchange_active": exchange.cancelling, "trading_active": exchange.accepting} | more)


def _markets(venue: KalshiVenue, ask: Ask) -> Answer:
    """Filters: tickers, event_ticker, series_ticker, status, min_close_ts, max_close_ts."""
    chosen = [index for index in range(len(venue.listings)) if _fits(venue, ask, index)]
    page, cursor = paged(chosen, ask.get("cursor"), ask.number("limit", 100), 1000)
    return Answer(200, {"markets": [_market_of(venue, index) for index in page], "cursor": cursor})


def _fits(venue: KalshiVenue, ask: Ask, index: int) -> bool:
    listing = venue.listings[index]
    tickers, status = ask.get("tickers"), ask.get("status")
    if status and status not in words.FILTERS:
        raise Problem(400, "invalid_parameters", f"status {status[:40]}; expected {', '.join(words.FILTERS)}")
    close_s = listing.market.close_ns // SECOND_NS
    return (
        (not tickers or listing.market.id in tickers.split(","))
        and ask.get("event_ticker") in ("", listing.event)
        and ask.get("series_ticker") in ("", listing.event.partition("-")[0])
        and (not status or venue.exchange.status[index] == words.FILTERS[status])
        and ask.number("min_close_ts", 0) <= close_s <= ask.number("max_close_ts", 10**12)
    )


def _market_of(venue: KalshiVenue, index: int) -> dict[str, Any]:
    return words.market_of(venue.exchange, index, venue.stats[index])


def _market(venue: KalshiVenue, _: Ask, ticker: str) -> Answer:
    return Answer(200, {"market": _market_of(venue, venue.known(ticker))})


def _book(venue: KalshiVenue, ask: Ask, ticker: str) -> Answer:
    depth = ask.number("depth", 0)
    if depth > _MOST_DEPTH:
        raise Problem(400, "invalid_parameters", f"depth {depth}; expected 0 to {_MOST_DEPTH}")
    return Answer(200, {"orderbook_fp": _levels(venue, venue.known(ticker), depth)})


def _books(venue: KalshiVenue, ask: Ask) -> Answer:
    """The parameter is repeated; joined by commas only the first book comes."""
    tickers = [ticker.split(",")[0] for ticker in ask.all("tickers")]
    if not 0 < len(tickers) <= _MOST_BOOKS:
        raise Problem(400, "invalid_parameters", f"{len(tickers)} tickers; expected 1 to {_MOST_BOOKS}")
    found = [(ticker, venue.index_of(ticker)) for ticker in tickers]
    books = [
        {"ticker": ticker, "orderbook_fp": _levels(venue, index, 0)} for ticker, index in found if index is not None
    ]
    return Answer(200, {"orderbooks": books})


def _levels(venue: KalshiVenue, index: int, depth: int) -> dict[str, Any]:
    """Bids of both legs, best last; ``depth`` 0 = all."""
    msg = venue.writer.snapshot(index).msg
    return {f"{leg}_dollars": [list(level) for level in msg.get(f"{leg}_dollars_fp", [])[-depth:]]
            for leg in ("yes", "no")}  # fmt: skip


def _trades(venue: KalshiVenue, ask: Ask) -> Answer:
    """Newest first."""
    ticker = ask.get("ticker")
    since, until = ask.number("min_ts", 0), ask.number("max_ts", 10**12)
    chosen = [
        trade
        for trade in reversed(venue.trades)
        if ticker in ("", trade["ticker"]) and since <= ns_of(trade["created_time"]) // SECOND_NS <= until
    ]
    page, cursor = paged(chosen, ask.get("cursor"), ask.number("limit", 100), 1000)
    return Answer(200, {"trades": page, "cursor": cursor})


def _series(venue: KalshiVenue, _: Ask, ticker: str) -> Answer:
    listing = next((one for one in venue.listings if one.event.partition("-")[0] == ticker), None)
    if listing is None:
        raise Problem(404, "not_found", f"no series {ticker}")
    return Answer(200, {"series": words.series_of(listing)})


def _event(venue: KalshiVenue, ask: Ask, ticker: str) -> Answer:
    inside = [index for index, one in enumerate(venue.listings) if one.event == ticker]
    if not inside:
        raise Problem(404, "not_found", f"no event {ticker}")
    event, markets = words.event_of(venue.exchange, inside[0]), [_market_of(venue, index) for index in inside]
    nested = ask.get("with_nested_markets") == "true"
    return Answer(200, {"event": event | {"markets": markets}} if nested else {"event": event, "markets": markets})


def _fee_changes(key: str) -> Callable[..., Answer]:
    """Changes to come: what a tape holds is not announced beforehand."""
    return lambda venue, ask: Answer(200, {key: []})


_V2 = "/trade-api/v2"
ROUTES = (
    Route("GET", f"{_V2}/exchange/status", _status),
    Route("GET", f"{_V2}/markets", _markets),
    Route("GET", f"{_V2}/markets/orderbooks", _books),
    Route("GET", f"{_V2}/markets/trades", _trades),
    Route("GET", f"{_V2}/markets/:ticker", _market),
    Route("GET", f"{_V2}/markets/:ticker/orderbook", _book),
    Route("GET", f"{_V2}/series/fee_changes", _fee_changes("series_fee_change_arr")),
    Route("GET", f"{_V2}/events/fee_changes", _fee_changes("event_fee_changes")),
    Route("GET", f"{_V2}/series/:ticker", _series),
    Route("GET", f"{_V2}/events/:ticker", _event),
)
