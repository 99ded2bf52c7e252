"""Kalshi's rules: ticks, fees, orders, settlement, as of October 2026."""

from __future__ import annotations

from datetime import time
from fractions import Fraction

from sim.venues.amend import KALSHI_SELF_TRADE
from sim.venues.fees import KALSHI, FeeSchedule
from sim.venues.kalshi_orders import ORDERS
from sim.venues.orders import CANCEL_ONLY
from sim.venues.pauses import WeeklyPause
from sim.venues.rules import Source, TickTable, VenueRules, edged, whole

TAKER_PPM = 70_000  # 0.07 C P (1 - P) at multiplier 1
DIRECT_MEMBER_UUSD = 100  # balances of direct members are kept to $0.0001 (since 2026-05-28)
CENT_ACCOUNT_UUSD = 10_000  # balances of accounts cleared by a broker are kept to $0.01

# What makers pay, as a share of the taker's rate.
MAKER_SHARES = {
    "quadratic": Fraction(0),
    "quadratic_with_maker_fees": Fraction(1, 4),
    "quadratic_with_combo_maker_fees": Fraction(1, 2),
}

# Multipliers that were in force on a series of 2026-09-26; another one is news.
MULTIPLIERS = (Fraction(0), Fraction(1, 2), Fraction(1))

# A label only: a market's own price_ranges come first. Edges are [0, 0.10] and [0.90, 1], but for the last one.
# "banded_centi_cent" exists too; what it means is not published.
TICKS: dict[str, TickTable] = {
    "linear_cent": whole(100),
    "deci_cent": whole(10),
    "tapered_deci_cent": edged(1000, 10, 100),
    "center_whole_edge_half_cent": edged(1000, 50, 100),
    "center_whole_edge_quint_cent": edged(1000, 20, 100),
    "center_half_edge_half_cent": whole(50),
    "center_half_edge_quint_cent": edged(1000, 20, 50),
    "center_half_edge_deci_cent": edged(1000, 10, 50),
    "center_quint_edge_quint_cent": whole(20),
    "center_quint_edge_deci_cent": edged(1000, 10, 20),
    "center_centi_edge_centi_cent": whole(1),
    "center_deci_edge_centi_cent": edged(100, 1, 10),
}


def kalshi_fees(
    fee_type: str = "quadratic", multiplier: float | str | Fraction = 1, step_uusd: int = DIRECT_MEMBER_UUSD
) -> FeeSchedule:
    """Schedule of a series' or an event's ``fee_type`` and ``fee_multiplier``: an event's override goes first.

    taker = 0.07 M C P (1 - P), maker = k of that. Raises ValueError for a type without a published formula ("flat") and
    for a multiplier whose rates are not multiples of 1e-6.
    """
    if fee_type not in MAKER_SHARES:
        raise ValueError(f"Kalshi: no formula for fee type {fee_type!r}; known are {', '.join(MAKER_SHARES)}")
    taker = TAKER_PPM * Fraction(str(multiplier))
    maker = taker * MAKER_SHARES[fee_type]
    if taker.denominator != 1 or maker.denominator != 1:
        raise ValueError(f"Kalshi: multiplier {multiplier} of {fee_type} gives rates that are not multiples of 1e-6")
    return FeeSchedule(KALSHI, int(taker), int(maker), step_uusd)


RULES = VenueRules(
    name="kalshi",
    netting=True,
    min_qty=1,  # 0.01 contract on every market
    ticks=TICKS,
    default_ticks="linear_cent",
    fees={fee_type: kalshi_fees(fee_type) for fee_type in MAKER_SHARES},
    default_fee="quadratic",
    orders=ORDERS,
    self_trade=KALSHI_SELF_TRADE,
    amends=True,
    pauses=(WeeklyPause(3, time(3), time(5), "America/New_York", CANCEL_ONLY),),
    settlement=(
        "YES pays the settlement value, any number in [0, 1], and NO the rest: scalar results and ties exist",
        "only net positions settle; there is no settlement fee",
        "a market may close early; settlement follows after seconds to hours",
        "resting orders are cancelled at the close; prices stay on the grid of the moment they were placed",
    ),
    sources=(
        Source("fee formula and rates", "Kalshi fee schedule, last updated and effective July 7, 2026", "2026-07-07"),
        Source("fee rounding, accumulator", "docs.kalshi.com/getting_started/fee_rounding", "2026-10-15"),
        Source("fee types, price ranges, sizes, orders", "docs.kalshi.com/openapi.yaml, version 3.34.0", "2026-10-26"),
        Source("fee multipliers", "survey of 14,393 series by a third party", "2026-09-26"),
        Source("collateral return", "docs.kalshi.com/openapi.yaml, version 3.34.0", "2026-10-26"),
        Source("order groups, pauses", "docs.kalshi.com, order groups; maintenance and pauses", "2026-10-15"),
        Source("meaning of the tick labels", "docs.kalshi.com, sub-penny pricing; API changelog", "2026-10-15"),
        Source("netting of YES and NO", "round trips on a demo account: $1 a pair is freed at the fill", "2026-07-06"),
        Source("scalar results, time to settlement", "survey of 25,000 settled markets by a third party", "2026-09-26"),
    ),
)
