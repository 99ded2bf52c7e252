"""Time stamps as the venues write them, to nanoseconds since epoch, exactly."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from sim.types import SECOND_NS

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d(?::?\d\d)?)")


def ns_of(text: str) -> int:
    """``2026-09-26T22:52:42.728645Z`` as nanoseconds since epoch; finer digits than that are cut.

    Raises ValueError for anything else, a stamp without a zone included.
    """
    match = _STAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no time stamp with a zone, such as 2026-09-26T22:52:42Z")
    day, second, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{day}T{second}{'+00:00' if zone == 'Z' else zone}")
    since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017
    return (since.days * 86_400 + since.seconds) * SECOND_NS + int((fraction or "").ljust(9, "0"))


def text_of(ns: int, digits: int = 0) -> str:
    """UTC of nanoseconds since epoch as the venues write it, with so many digits of a second (0 to 9)."""
    seconds, part = divmod(ns, SECOND_NS)
    whole = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")  # noqa: UP017
    return f"{whole}.{part:09d}"[: 20 + digits].rstrip(".") + "Z"
