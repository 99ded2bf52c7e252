"""Planned pauses of a venue, as data, and when they fall.

Kalshi (docs.kalshi.com, maintenance and pauses, read 2026-10-15): every Thursday from 03:00 to 05:00 in New York no new
orders are taken; cancels work, and resting orders stay unless they asked to go. That is the window the venue keeps for
maintenance: it need not use all of it. Unplanned pauses come as market status and exchange status only.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sim.types import SECOND_NS


class WeeklyPause(NamedTuple):
    """A window that comes back every week, by the clock of its place: summer time moves it in UTC."""

    weekday: int  # Monday = 0
    start: time
    end: time
    zone: str
    mode: int  # what the exchange still takes: see sim.venues.orders


def next_pause(pause: WeeklyPause, now_ns: int) -> tuple[int, int]:
    """Start and end, ns since the epoch, of the window that lasts at ``now_ns`` or else comes next. End excluded.

    Raises ValueError for a window that does not end after its start, on the same day.
    """
    if pause.end <= pause.start:
        raise ValueError(
            f"weekly pause: {pause.start} to {pause.end}; expected an end after the start, on the same day"
        )
    zone = ZoneInfo(pause.zone)
    today = datetime.fromtimestamp(now_ns // SECOND_NS, UTC).astimezone(zone).date()
    first = today + timedelta(days=(pause.weekday - today.weekday()) % 7)
    if _ns(datetime.combine(first, pause.end, zone)) <= now_ns:
        first += timedelta(days=7)
    return _ns(datetime.combine(first, pause.start, zone)), _ns(datetime.combine(first, pause.end, zone))


def mode_at(pauses: tuple[WeeklyPause, ...], now_ns: int, otherwise: int) -> int:
    """The mode of the pause that lasts at ``now_ns``, the most restrictive one; ``otherwise`` where none does."""
    modes = [pause.mode for pause in pauses if next_pause(pause, now_ns)[0] <= now_ns]
    return max([otherwise, *modes])


def _ns(moment: datetime) -> int:
    return round(moment.timestamp()) * SECOND_NS
