"""What the venues list, before a stream begins: fees by their names, and markets that have ended."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from live import kalshi_listings, polymarket_listings
from live.kalshi_rest import KalshiEvent, KalshiMarket, KalshiSeries
from live.polymarket_rest import gamma_market
from sim.tape import FeeRates
from sim.types import FEES
from sim.venues.responses import read_rules
from sim.wire.kalshi import KalshiReader


def market(status: str = "active") -> KalshiMarket:
    rules = read_rules({"price_level_structure": "linear_cent", "ticker": "A"}, "A")[0]
    return KalshiMarket(
        ticker="A", event_ticker="E", title="A", status=status, result="", open_ns=0, close_ns=0, settled_ns=0,
        payout_px=None, series_ticker="S", rules=rules,
    )  # fmt: skip


GAMMA = {
    "conditionId": "0x" + "ab" * 32, "slug": "will-it", "clobTokenIds": ["1", "2"], "outcomes": ["Yes", "No"],
    "orderPriceMinTickSize": 0.01, "orderMinSize": 5,
}  # fmt: skip


class PolymarketSays:
    """Answers for one market."""

    def __init__(self, **said):
        self.said = GAMMA | said

    async def market_of_slug(self, slug):
        return gamma_market(self.said)


class KalshiSays:
    """Answers for one market of a series with a multiplier."""

    def __init__(self, status: str = "active", multiplier: float = 1) -> None:
        self.status, self.fees = status, {"ticker": "S", "fee_type": "quadratic", "fee_multiplier": multiplier}

    async def markets(self, tickers):
        return {"A": market(self.status)}

    async def event(self, ticker):
        alone = read_rules({"collateral_return_type": "", "event_ticker": "E"}, "E")[0]
        return KalshiEvent("E", "S", "", False, alone, ())

    async def series(self, ticker):
        return KalshiSeries("S", "", "", read_rules(self.fees, "S")[0])


def listed(**said):
    (listing,) = asyncio.run(kalshi_listings.read_listings(KalshiSays(**said), ["A"]))
    return listing


@pytest.mark.parametrize(
    ("multiplier", "name", "taker_ppm"),
    [(0, "quadratic x 0", 0), (0.5, "quadratic x 0.5", 35_000), (1, "quadratic x 1", 70_000)],
)
def test_fees_have_the_names_that_the_socket_gives_them(multiplier, name, taker_ppm):
    listing = listed(multiplier=multiplier)
    assert listing.fees == listing.base_fees == FeeRates(name, "kalshi", taker_ppm, 0)
    reader = KalshiReader([listing])
    msg = {"event_ticker": "E", "fee_type_override": "quadratic", "fee_multiplier_override": multiplier}
    taken = reader.take(msgspec.json.encode({"type": "event_fee_update", "sid": 1, "seq": 1, "msg": msg}), 0)
    assert [(row[7], row[2]) for row in taken.rows] == [(FEES, 0)]  # the schedule of the listing, not a new one


@pytest.mark.parametrize("status", ["closed", "determined", "disputed", "amended", "finalized"])
def test_a_market_of_kalshi_that_has_ended_is_refused(status):
    with pytest.raises(ValueError, match=f"A is {status}; expected a market that has not ended.* name one that is"):
        listed(status=status)


@pytest.mark.parametrize("status", ["initialized", "inactive"])
def test_a_market_of_kalshi_that_does_not_trade_now_is_taken_and_said(status, caplog):
    assert listed(status=status).market.id == "A" and f"A is {status}" in caplog.text


def test_an_active_market_is_taken_without_a_word(caplog):
    assert listed().market.id == "A" and not caplog.text


def test_a_market_of_polymarket_that_is_closed_is_refused():
    (listing,) = asyncio.run(polymarket_listings.read_listings(PolymarketSays(), ["will-it"]))
    assert listing.tokens == ("1", "2")
    with pytest.raises(ValueError, match="will-it is closed; expected a market that has not ended"):
        asyncio.run(polymarket_listings.read_listings(PolymarketSays(closed=True), ["will-it"]))
