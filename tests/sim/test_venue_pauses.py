"""When planned pauses fall, through the change to winter time."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from sim.venues import VENUES
from sim.venues.orders import CANCEL_ONLY, HALTED, TRADING
from sim.venues.pauses import WeeklyPause, mode_at, next_pause

(PAUSE,) = VENUES["kalshi"].pauses
SECOND = 1_000_000_000


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2026-07-07T12:00", "2026-07-09T07:00", "2026-07-09T09:00"),  # summer: New York is 4 h behind
        ("2026-07-09T07:00", "2026-07-09T07:00", "2026-07-09T09:00"),  # the first moment is in it
        ("2026-07-09T08:59:59", "2026-07-09T07:00", "2026-07-09T09:00"),
        ("2026-07-09T09:00", "2026-07-16T07:00", "2026-07-16T09:00"),  # the last is not
        ("2026-10-29T09:00", "2026-11-05T08:00", "2026-11-05T10:00"),  # winter began on 1 November: 5 h
        ("2026-07-10T02:00", "2026-07-16T07:00", "2026-07-16T09:00"),  # still Thursday in New York, but past it
    ],
)
def test_the_window(now, start, end):
    assert next_pause(PAUSE, at(now)) == (at(start), at(end))


def test_the_mode():
    assert mode_at((PAUSE,), at("2026-07-09T08:00"), TRADING) == CANCEL_ONLY
    assert mode_at((PAUSE,), at("2026-07-09T07:00"), TRADING) == CANCEL_ONLY
    assert mode_at((PAUSE,), at("2026-07-09T07:00") - 1, TRADING) == TRADING
    assert mode_at((PAUSE,), at("2026-07-09T08:00"), HALTED) == HALTED
    assert mode_at((PAUSE,), at("2026-07-09T09:00"), TRADING) == TRADING
    assert mode_at(VENUES["polymarket"].pauses, at("2026-07-09T08:00"), TRADING) == TRADING


def test_a_window_that_ends_before_it_starts():
    pause = WeeklyPause(0, time(5), time(5), "UTC", CANCEL_ONLY)
    with pytest.raises(ValueError, match="05:00:00 to 05:00:00; expected an end after the start"):
        next_pause(pause, at("2026-07-07T12:00"))
