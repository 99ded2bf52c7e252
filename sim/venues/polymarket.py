"""Polymarket's rules (the international exchange): ticks, fees, orders, settlement, as of October 2026."""

from __future__ import annotations

from fractions import Fraction

from sim.venues.amend import POLYMARKET_SELF_TRADE
from sim.venues.fees import MAX_PPM, POLYMARKET, FeeSchedule
from sim.venues.polymarket_orders import ORDERS
from sim.venues.rules import Source, TickTable, VenueRules, whole

# By the market's minimum tick size. It may change while the market is open.
TICKS: dict[str, TickTable] = {
    "0.1": whole(1000),
    "0.01": whole(100),
    "0.005": whole(50),
    "0.0025": whole(25),
    "0.001": whole(10),
    "0.0001": whole(1),
}

# Taker rates by category. Sports paid 0.03 before 2026-07-10. A market's own feeSchedule comes first.
RATES = {
    "crypto": "0.07",
    "sports": "0.05",
    "economics": "0.05",
    "culture": "0.05",
    "weather": "0.05",
    "other": "0.05",
    "finance": "0.04",
    "politics": "0.04",
    "mentions": "0.04",
    "tech": "0.04",
    "geopolitics": "0",
}


def polymarket_fees(rate: float | str | Fraction, exponent: float = 1, taker_only: bool = True) -> FeeSchedule:
    """Schedule of a market's ``feeSchedule``: C x rate x (p (1 - p))**exponent.

    Raises ValueError for an exponent other than 1, for makers who pay, and for a rate that is not a multiple of 1e-6.
    """
    if exponent != 1 or not taker_only:
        raise ValueError(
            f"Polymarket: no formula for exponent {exponent} with taker_only {taker_only}; expected 1 and True"
        )
    ppm = MAX_PPM * Fraction(str(rate))
    if ppm.denominator != 1:
        raise ValueError(f"Polymarket: rate {rate} is not a multiple of 1e-6")
    return FeeSchedule(POLYMARKET, int(ppm), 0)


RULES = VenueRules(
    name="polymarket",
    netting=False,
    min_qty=500,  # 5 shares on every market seen; a market states its own
    ticks=TICKS,
    default_ticks="0.01",
    fees={category: polymarket_fees(rate) for category, rate in RATES.items()},
    default_fee="other",
    orders=ORDERS,
    self_trade=POLYMARKET_SELF_TRADE,
    amends=False,
    pauses=(),
    settlement=(
        "a winning share redeems at 1, a losing one at 0; an unknown outcome pays 0.5 each",
        "YES and NO do not net: a pair is merged into $1 on request",
        "selling needs shares: the only short is to buy the other outcome",
        "resolution may be disputed for days; a market may stop trading early",
    ),
    sources=(
        Source("fee formula, rates, rounding", "docs.polymarket.com/trading/fees", "2026-08-22"),
        Source("tick sizes, decimals of sizes", "Polymarket's Python client 0.14.0 and its changelog", "2026-10-07"),
        Source("minimum order, fee schedule of a market", "market objects of the Gamma API", "2026-07-24"),
        Source("maker rebates, liquidity rewards", "docs.polymarket.com/trading/fees, liquidity rewards", "2026-08-22"),
        Source("orders, merging, resolution", "docs.polymarket.com", "2026-08-22"),
    ),
)
