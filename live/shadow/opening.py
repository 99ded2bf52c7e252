"""Waiting until every market's book is known at once."""

from __future__ import annotations

from collections.abc import Sequence

from live.stream import Opening
from sim.types import FEES, GAP, STATUS, TICKS
from sim.wire.listing import Rules
from sim.wire.units import Row

_RULES = (STATUS, TICKS, FEES)  # rows that hold whatever becomes of the book


class Gathering:
    """Rows of M markets, until each has told a whole book.

    A book that is lost meanwhile is waited for again: what was told of it before goes, but for the market's rules.
    """

    def __init__(self, rules: Sequence[Rules]) -> None:
        self.opening = Opening(tuple(rules), tuple([] for _ in rules))

    def take(self, rows: Sequence[Row]) -> bool:
        """Keep ``rows``; whether every market is there."""
        for row in rows:
            known = self.opening.rows[row[6]]
            if row[7] == GAP:
                known[:] = [old for old in known if old[7] in _RULES]
            else:
                known.append(row)
        return self.opening.ready

    @property
    def waiting(self) -> list[str]:
        """Ids of the markets that have not told a whole book."""
        return [
            rules.listing.market.id
            for rules, rows in zip(self.opening.rules, self.opening.rows, strict=True)
            if not Opening((rules,), (rows,)).ready
        ]
