"""What the venues list, before a stream begins: fees by their names, and markets that have ended."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from live import kalshi
from live.kalshi_rest import KalshiEvent, KalshiMarket, KalshiSeries
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
    (listing,) = asyncio.run(kalshi.read_listings(KalshiSays(**said), ["A"]))
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
