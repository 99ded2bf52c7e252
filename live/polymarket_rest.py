"""Polymarket's REST, as far as a feed needs it: Gamma for what a market is, the CLOB for its book. It only reads.

Endpoints and fields: docs.polymarket.com, read 2026-08-22. Gamma writes lists as JSON in text. What a market says of
its rules is read by ``sim.venues.responses``. Books are in YES space, YES being the first outcome.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from live.books import Book, book_of, chunks
from live.errors import VenueError, shaped
from live.rest import RestClient
from live.stamps import ns_of
from sim.types import ASK, BID, PX_ONE
from sim.venues.responses import MarketRules, read_rules
from sim.wire.units import px_of

GAMMA_URL = "https://gamma-api.polymarket.com"
CLOB_URL = "https://clob.polymarket.com"
MOST_BOOKS = 100  # tokens in one request
_PAGE = 100  # markets in one answer of Gamma
_NS_PER_MS = 1_000_000
_NAMES = {
    "condition_ids": re.compile(r"0x[0-9a-fA-F]{62,64}"),
    "clob_token_ids": re.compile(r"\d{1,78}"),
    "slug": re.compile(r"[A-Za-z0-9_-]+"),
}


class GammaMarket(msgspec.Struct, frozen=True):
    """A market as it is listed."""

    condition_id: str
    title: str
    slug: str
    tokens: tuple[str, str]  # of the first outcome and of the second: YES and NO
    outcomes: tuple[str, str]
    closed: bool
    accepting_orders: bool
    open_ns: int  # 0 = not said
    close_ns: int  # scheduled end
    start_ns: int  # of the game or of the stretch it is about
    closed_ns: int
    payout_px: int | None  # of one YES, once resolved
    rules: MarketRules


class TokenBook(msgspec.Struct, frozen=True):
    """One token's book, in YES space."""

    condition_id: str
    token: str
    venue_ns: int
    hash: str
    levels: Book
    rules: MarketRules | None  # None where the answer does not tell the tick


class PolymarketRest:
    """The endpoints. Raises VenueError for refusals and for answers that lack what is required."""

    def __init__(self, gamma: RestClient, clob: RestClient) -> None:
        self._gamma = gamma
        self._clob = clob

    async def market(self, condition_id: str) -> GammaMarket:
        """The market of a condition id. Raises VenueError 404 where there is none."""
        return self._one(condition_id, await self.markets("condition_ids", [condition_id]))

    async def market_of_token(self, token: str) -> GammaMarket:
        """The market of a token id. Raises VenueError 404 where there is none."""
        return self._one(token, await self.markets("clob_token_ids", [token]))

    async def market_of_slug(self, slug: str) -> GammaMarket:
        """The market of a slug. Raises VenueError 404 where there is none."""
        return self._one(slug, await self.markets("slug", [slug]))

    async def markets(self, by: str, names: Sequence[str]) -> list[GammaMarket]:
        """Markets by "condition_ids", "clob_token_ids" or "slug", open ones first; unknown ones are missing."""
        return shaped(
            "GET /markets", await self.markets_said(by, names), lambda said: [gamma_market(item) for item in said]
        )

    async def markets_said(self, by: str, names: Sequence[str]) -> list[Any]:
        """The markets of `markets` as they came.

        Gamma tells open and closed ones apart, so that it is asked twice where some are missing.
        """
        _check(by, names)
        found: list[Any] = []
        for chunk in chunks(names, _PAGE):
            told = 0
            for closed in ("false", "true"):
                if told < len(chunk):
                    params = [*((by, name) for name in chunk), ("closed", closed), ("limit", str(_PAGE))]
                    said = await self._gamma.get("/markets", params)
                    listed = shaped("GET /markets", said, list)
                    found += listed
                    told += len(listed)
        return found

    async def book(self, token: str, is_yes: bool) -> TokenBook:
        """One token's book; ``is_yes``: whether the token is the market's first."""
        _check("clob_token_ids", [token])
        said = await self._clob.get("/book", [("token_id", token)])
        return shaped("GET /book", said, lambda said: token_book(said, is_yes))

    async def books(self, tokens: dict[str, bool]) -> dict[str, TokenBook]:
        """Books by token of up to 100 tokens, each with whether it is its market's first; who has none is missing.

        Raises ValueError for more.
        """
        _check("clob_token_ids", list(tokens))
        if not 0 < len(tokens) <= MOST_BOOKS:
            raise ValueError(f"{len(tokens)} books in one request; expected 1 to {MOST_BOOKS}")
        body = [{"token_id": token} for token in tokens]
        said = await self._clob.request("POST", "/books", body=body, asks_only=True)
        read = shaped("POST /books", said, lambda said: [token_book(item, tokens[item["asset_id"]]) for item in said])
        return {book.token: book for book in read}

    async def rules(self, condition_id: str) -> MarketRules:
        """Tick, smallest order and fees as the CLOB has them."""
        _check("condition_ids", [condition_id])
        path = f"/clob-markets/{condition_id}"
        return shaped(f"GET {path}", await self._clob.get(path), lambda said: read_rules(said, condition_id)[0])

    @staticmethod
    def _one(name: str, found: list[GammaMarket]) -> GammaMarket:
        if len(found) != 1:
            raise VenueError("GET /markets", 404, "", f"{len(found)} markets of {name}; expected one")
        return found[0]


def gamma_market(said: dict[str, Any]) -> GammaMarket:
    """A market of Gamma. Raises ValueError or KeyError where it has not two outcomes with a token each."""
    tokens, outcomes = _pair(said, "clobTokenIds"), _pair(said, "outcomes")
    return GammaMarket(
        condition_id=str(said["conditionId"]),
        title=str(said.get("question") or said.get("slug") or said["conditionId"]),
        slug=str(said.get("slug") or ""),
        tokens=tokens,
        outcomes=outcomes,
        closed=said.get("closed") is True,
        accepting_orders=said.get("acceptingOrders") is True,
        open_ns=_moment(said.get("startDate")),
        close_ns=_moment(said.get("endDate")),
        start_ns=_moment(said.get("eventStartTime") or said.get("gameStartTime")),
        closed_ns=_moment(said.get("closedTime")),
        payout_px=_payout(said),
        rules=read_rules(said, str(said["conditionId"]))[0],
    )


def token_book(said: dict[str, Any], is_yes: bool) -> TokenBook:
    """A book of the CLOB; it is sorted here: the venue's own order has changed."""
    sides = ((BID, said.get("bids")), (ASK, said.get("asks")))
    levels = book_of((is_yes, side, level["price"], level["size"]) for side, told in sides for level in told or ())
    return TokenBook(
        condition_id=str(said["market"]),
        token=str(said["asset_id"]),
        venue_ns=int(said.get("timestamp") or 0) * _NS_PER_MS,
        hash=str(said.get("hash") or ""),
        levels=levels,
        rules=read_rules(said, str(said["market"]))[0] if said.get("tick_size") is not None else None,
    )


def _payout(said: dict[str, Any]) -> int | None:
    """What one YES pays, where the market is resolved; prices of an open or merely closed market are no result."""
    if said.get("closed") is not True or said.get("umaResolutionStatus") != "resolved":
        return None
    yes, no = (px_of(price) for price in _pair(said, "outcomePrices"))
    if yes + no != PX_ONE:
        raise ValueError(f"outcomePrices {said['outcomePrices']!r} of a resolved market; expected a sum of 1")
    return yes


def _pair(said: dict[str, Any], key: str) -> tuple[str, str]:
    """Two texts, in a list or in a list written as text."""
    value = said[key]
    items = msgspec.json.decode(value) if isinstance(value, str) else value
    if not isinstance(items, list) or len(items) != 2 or not all(isinstance(item, str) for item in items):
        raise ValueError(f"{key}: {value!r}; expected two texts")
    return items[0], items[1]


def _moment(text: object) -> int:
    return ns_of(text) if isinstance(text, str) and text else 0


def _check(by: str, names: Sequence[str]) -> None:
    if by not in _NAMES:
        raise ValueError(f"markets by {by!r}; expected {', '.join(_NAMES)}")
    wrong = [name for name in names if not _NAMES[by].fullmatch(name)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is none of {by}; expected {_NAMES[by].pattern}")
