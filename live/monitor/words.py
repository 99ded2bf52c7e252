"""Integers of the project as people read them: exact, never through a float."""

from __future__ import annotations

from sim.types import LOTS_PER_CONTRACT, SECOND_NS, UUSD

_CENT_UUSD = UUSD // 100
_MINUTE_S = 60


def money(uusd: int, *, signed: bool = False) -> str:
    """Micro-dollars as dollars and cents, rounded to the nearest cent, halves away from zero."""
    cents = (abs(uusd) + _CENT_UUSD // 2) // _CENT_UUSD
    sign = "−" if uusd < 0 and cents else "+" if signed and cents else ""
    return f"{sign}${cents // 100:,}.{cents % 100:02d}"


def price(px: int | None) -> str:
    """A price in cents, as the venues quote it: 52, 52.5, 52.25."""
    if px is None:
        return "–"
    whole, rest = divmod(abs(px), 100)
    return f"{'−' if px < 0 else ''}{whole}{f'.{rest:02d}'.rstrip('0') if rest else ''}¢"


def contracts(lots: int) -> str:
    """Lots as contracts."""
    whole, rest = divmod(abs(lots), LOTS_PER_CONTRACT)
    return f"{'−' if lots < 0 else ''}{whole:,}{f'.{rest:02d}'.rstrip('0') if rest else ''}"


def duration(ns: int | None) -> str:
    """A length of time with the unit that suits it: three digits below a minute."""
    if ns is None:
        return "–"
    if ns < 0:  # a clock that was stepped
        return f"−{duration(-ns)}"
    if ns >= _MINUTE_S * SECOND_NS:
        minutes, seconds = divmod(ns // SECOND_NS, _MINUTE_S)
        return f"{minutes} min {seconds:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
    for unit, size in (("s", SECOND_NS), ("ms", 1_000_000), ("µs", 1_000)):
        if ns >= 0.9995 * size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns} ns"
