"""Venue rules as data, and what fills cost. ``VENUES`` maps a venue's name to its rules."""

from __future__ import annotations

from sim.venues import kalshi, polymarket
from sim.venues.fees import FEE, MAX_QTY, FeeSchedule, charge, fee_bound, fee_of_fill, fee_table
from sim.venues.kalshi import kalshi_fees
from sim.venues.polymarket import polymarket_fees
from sim.venues.rules import Source, TickRange, TickTable, VenueRules, tick_prices

__all__ = [
    "FEE",
    "MAX_QTY",
    "VENUES",
    "FeeSchedule",
    "Source",
    "TickRange",
    "TickTable",
    "VenueRules",
    "charge",
    "fee_bound",
    "fee_of_fill",
    "fee_table",
    "kalshi_fees",
    "polymarket_fees",
    "tick_prices",
    "venue_rules",
]

VENUES: dict[str, VenueRules] = {rules.name: rules for rules in (kalshi.RULES, polymarket.RULES)}


def venue_rules(name: str) -> VenueRules:
    """The rules of a venue. Raises ValueError for a name that is not one of ``VENUES``."""
    if name not in VENUES:
        raise ValueError(f"no venue {name!r}; known are {', '.join(VENUES)}")
    return VENUES[name]
