"""What Kalshi's messages say, field by field, as a tape's numbers."""

from __future__ import annotations

from fractions import Fraction

from sim.tape import FeeRates
from sim.types import ASK, BID, PX_ONE
from sim.venues.kalshi import kalshi_fees
from sim.venues.rules import tick_prices
from sim.wire import kalshi_frames as frames
from sim.wire.listing import Ticks
from sim.wire.units import ns_of_ms, px_of, written

_LEGS = {"yes": True, "no": False}
_TAKERS = {"bid": BID, "ask": ASK}


def is_yes(side: str) -> bool:
    """Whether a side is the YES leg. Raises ValueError for what is neither."""
    if side not in _LEGS:
        raise ValueError(f"side {side!r} is neither yes nor no")
    return _LEGS[side]


def taker_side(told: frames.Trade) -> int:
    """The taker's side in YES space: who buys NO sells YES; -1 = not said."""
    if told.taker_book_side in _TAKERS:
        return _TAKERS[told.taker_book_side]
    if told.taker_outcome_side in _LEGS:
        return BID if _LEGS[told.taker_outcome_side] else ASK
    return -1


def venue_ns(told: frames.Delta) -> int:
    """The stamp in milliseconds, refined by the microseconds of the text where the two agree."""
    ms = told.ts_ms or 0
    whole_ns = ns_of_ms(ms)
    micro = _micro(told.ts) if isinstance(told.ts, str) else -1
    return whole_ns + (micro % 1000 * 1000 if micro // 1000 == ms % 1000 else 0)


def _micro(text: str) -> int:
    digits = text.rpartition(".")[2].removesuffix("Z")
    return int(digits.ljust(6, "0")[:6]) if digits.isascii() and digits.isdigit() else -1


def tick_table(ranges: list[frames.PriceRange] | None) -> Ticks:
    """Raises ValueError where the ranges are missing or cannot be."""
    table = tuple((px_of(item.start), px_of(item.end), px_of(item.step)) for item in ranges or ())
    tick_prices(table)
    return table


def payout(told: frames.Lifecycle) -> int | None:
    """What a YES contract pays; None where the message does not say."""
    value = written(told.settlement_value)
    if value is not None:
        return px_of(value)
    return {"yes": PX_ONE, "no": 0}.get(told.result or "")


def fee_rates(fee_type: str, multiplier: float | Fraction | None) -> FeeRates:
    """Fees by the venue's own words, named by them; no multiplier = 1.

    Raises ValueError for a fee type whose formula is not known.
    """
    factor = Fraction(1 if multiplier is None else str(multiplier))
    schedule = kalshi_fees(fee_type, factor)
    return FeeRates(f"{fee_type} x {float(factor):g}", "kalshi", schedule.taker_ppm, schedule.maker_ppm)
