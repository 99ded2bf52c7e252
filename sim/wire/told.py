"""What a venue says of a market when it is asked, beside what its socket tells: the rows in which the two differ.

Messages are lost with a connection, or cannot be read; states, ticks, fees and payouts that they told are asked for by
REST. An answer is made beside the socket and may be older than its last word, so a market's state is only taken from
an answer that was asked for some time after a message last said something of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sim.tape import FeeRates
from sim.types import CLOSED, FEES, INFERRED, OPEN, SECOND_NS, SETTLE, SETTLED, STATUS, TICKS
from sim.wire.ladder import Ladder
from sim.wire.listing import Listing, Rules, Ticks
from sim.wire.units import Row, end_batch

LAG_NS = 5 * SECOND_NS  # so long REST may still say what a message has changed
CROSSED_NS = 5 * SECOND_NS  # so long a book may stay crossed; the parts of a match come within milliseconds


class Told(NamedTuple):
    """What an answer says of one market; None = it does not say."""

    market: str  # its id
    status: int | None = None  # OPEN, PAUSED or CLOSED
    ticks: Ticks | None = None
    fees: FeeRates | None = None  # in force now
    base_fees: FeeRates | None = None  # Kalshi: the series' own
    payout_px: int | None = None  # of YES, once it is paid
    close_ns: int = 0  # 0 = it does not say


class Standing:
    """What a reader believes of a market beside its book."""

    def __init__(self, listing: Listing) -> None:
        self.status = OPEN
        self.ticks, self.fees = listing.ticks, listing.fees
        self.base_fees = listing.base_fees
        self.close_ns = listing.market.close_ns  # as scheduled; 0 = not known
        self.payout_px: int | None = None  # determined, and not paid yet
        self.said_ns = -LAG_NS  # when a message last said something of it

    @property
    def ended(self) -> bool:
        """Nothing trades any more: its book is not asked for."""
        return self.status in (CLOSED, SETTLED)

    @property
    def over(self) -> bool:
        """It has paid: a tape ends there."""
        return self.status == SETTLED


def rows_of(
    told: Iterable[Told], standings: Sequence[Standing], rules: Sequence[Rules], books: Sequence[Ladder],
    asked_ns: int, local_ns: int,
) -> list[Row]:  # fmt: skip
    """Rows of an answer that was asked for at ``asked_ns`` and came at ``local_ns``: what the reader does not believe.

    STATUS, TICKS, FEES and SETTLE, INFERRED: the moment is not known. Standings and rules are moved on.
    """
    number = {one.listing.market.id: index for index, one in enumerate(rules)}
    rows: list[Row] = []
    for said in told:
        index = number.get(said.market, -1)
        if index >= 0 and not standings[index].over and asked_ns >= standings[index].said_ns + LAG_NS:
            rows += _market_rows(said, index, standings[index], rules[index], books[index], local_ns)
    return rows


def _market_rows(
    said: Told, index: int, standing: Standing, rules: Rules, book: Ladder, local_ns: int
) -> list[Row]:  # fmt: skip
    found: list[tuple[int, int, int]] = []  # kind, qty, px
    standing.close_ns = said.close_ns or standing.close_ns
    standing.base_fees = said.base_fees or standing.base_fees
    if said.status is not None and said.status != standing.status:
        standing.status = said.status
        found.append((STATUS, said.status, 0))
    if said.ticks is not None and said.ticks != standing.ticks:
        standing.ticks = said.ticks
        found.append((TICKS, rules.ticks_index(said.ticks), 0))
    if said.fees is not None and said.fees != standing.fees:
        standing.fees = said.fees
        found.append((FEES, rules.fees_index(said.fees), 0))
    if said.payout_px is not None:
        standing.status = SETTLED
        found.append((SETTLE, 0, said.payout_px))
    rows = [(local_ns, 0, qty, px, -1, INFERRED, index, kind, -1) for kind, qty, px in found]
    if rows and book.known and not book.crossed:
        end_batch(rows)
    book.known = book.known and not standing.over
    return rows


class Crossings:
    """Since when books are crossed, of those that are. Usually there is none."""

    def __init__(self) -> None:
        self.since: dict[int, int] = {}  # by market, local_ns

    def look(self, index: int, book: Ladder, local_ns: int) -> None:
        """A market's book has changed."""
        if book.known and book.crossed:
            self.since.setdefault(index, local_ns)
        elif self.since:
            self.since.pop(index, None)

    def too_long(self, books: Sequence[Ladder], local_ns: int) -> list[int]:
        """Markets whose books have stayed crossed; they are forgotten here, and so are books that were lost since."""
        old = [index for index, since_ns in self.since.items() if local_ns >= since_ns + CROSSED_NS]
        for index in old:
            del self.since[index]
        return [index for index in old if books[index].known]
