"""Waiting for every market's first whole book."""

from __future__ import annotations

from collections.abc import Sequence

from live.stream import Opening
from sim.wire.listing import Rules
from sim.wire.units import Row


class Gathering:
    """Rows of M markets, until each has told a whole book."""

    def __init__(self, rules: Sequence[Rules]) -> None:
        self.opening = Opening(tuple(rules), tuple([] for _ in rules))

    def take(self, rows: Sequence[Row]) -> bool:
        """Keep ``rows``; whether every market is there."""
        for row in rows:
            self.opening.rows[row[6]].append(row)
        return self.opening.ready

    @property
    def waiting(self) -> list[str]:
        """Ids of the markets that have not told a whole book."""
        return [
            rules.listing.market.id
            for rules, rows in zip(self.opening.rules, self.opening.rows, strict=True)
            if not Opening((rules,), (rows,)).ready
        ]
