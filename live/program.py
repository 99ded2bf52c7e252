"""What the programs of `live` share: how they are asked to end, and how a session that nobody named is called."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Literal

from live.clock import Clock
from live.doors import Door
from live.recording.layout import Header
from sim.types import SECOND_NS

ASKED = "asked to"  # why a source stops that did not give up


class GivenUpError(RuntimeError):
    """The venue can no longer be reached, or wants nothing to do with us."""


def asked_to_end() -> asyncio.Event:
    """Set by Ctrl-C, or a polite kill."""
    loop, ends = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # a system or thread without them
            loop.add_signal_handler(name, ends.set)
    return ends


def session_name(name: str, venue: str, clock: Clock) -> str:
    """``name``; where it is empty venue and seconds since 1970."""
    return name or f"{venue}-{clock.now_ns() // SECOND_NS}"


def recording_header(venue: Literal["kalshi", "polymarket"], door: Door) -> Header:
    """What a recording of a venue says of itself."""
    return Header(
        venue=venue,
        markets=tuple(door.listings),
        subscribed=door.subscribed,
        program="shadowbook",
        time_source="the wall clock when the frame was handed over by the socket",
        created_ns=0,
    )
