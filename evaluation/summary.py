"""The last line of a run, for machines: one writer, one parser.

    summary realised=-1.250000 unrealised=0.000000 total=-1.250000 kill=0 reason=none

Amounts are dollars to the micro-dollar, kill is 0 or 1, reason one lower-case word.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sim.types import UUSD

_AMOUNT = r"(-?\d+\.\d{6})"
_LINE = re.compile(rf"summary realised={_AMOUNT} unrealised={_AMOUNT} total={_AMOUNT} kill=([01]) reason=([a-z0-9_]+)")


class Summary(NamedTuple):
    """What a run came to. ``total_uusd`` is the sum of the other two amounts."""

    realised_uusd: int
    unrealised_uusd: int
    kill: bool
    reason: str  # why it was killed, "none" where it was not

    @property
    def total_uusd(self) -> int:
        """Realised plus unrealised."""
        return self.realised_uusd + self.unrealised_uusd


def format_summary(summary: Summary) -> str:
    """The summary line. Raises ValueError for a reason that the parser would not read."""
    line = (
        f"summary realised={_dollars(summary.realised_uusd)} unrealised={_dollars(summary.unrealised_uusd)} "
        f"total={_dollars(summary.total_uusd)} kill={int(summary.kill)} reason={summary.reason}"
    )
    if not _LINE.fullmatch(line):
        raise ValueError(f"summary: reason must be one word of a-z, 0-9 and _, got {summary.reason!r}")
    return line


def parse_summary(line: str) -> Summary:
    """The inverse of `format_summary`; blanks around the line are ignored.

    Raises ValueError for any other line, and for amounts that do not add up.
    """
    found = _LINE.fullmatch(line.strip())
    if not found:
        raise ValueError(
            "summary line: expected 'summary realised=D.dddddd unrealised=D.dddddd total=D.dddddd kill=0|1 "
            f"reason=word', got {line.strip()!r}"
        )
    realised, unrealised, total = (_micro(found[group]) for group in (1, 2, 3))
    if realised + unrealised != total:
        raise ValueError(f"summary line: realised and unrealised do not add up to total in {line.strip()!r}")
    return Summary(realised, unrealised, found[4] == "1", found[5])


def _dollars(uusd: int) -> str:
    whole, part = divmod(abs(int(uusd)), UUSD)
    return f"{'-' if uusd < 0 else ''}{whole}.{part:06d}"


def _micro(text: str) -> int:
    whole, part = text.lstrip("-").split(".")
    value = int(whole) * UUSD + int(part)
    return -value if text.startswith("-") else value
