"""What REST is asked of markets beside the socket, and its answers as they are kept: as they came."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from sim.wire.told import Told

_LOG = logging.getLogger(__name__)


class Question(NamedTuple):
    """What is to be asked for."""

    markets: tuple[int, ...]
    fees: bool  # Kalshi: those of events and series too, a request each


class Answered(msgspec.Struct, forbid_unknown_fields=True):
    """The content of an ANSWERED record."""

    asked_ns: int  # wall clock when the first request went out
    said: dict[str, Any]  # as the venue's ``ask`` puts it together


def each(items: Iterable[Any], read: Callable[[Any], Told]) -> list[Told]:
    """``items`` as they are read; a bad one does not take the others with it."""
    found = []
    for item in items:
        try:
            found.append(read(item))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            _LOG.warning("an answer about a market cannot be read: %r", error)
    return found
