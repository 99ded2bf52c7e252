"""Random recordings: valid, busy near the touch, and with everything that a venue may send."""

from __future__ import annotations

import numpy as np

from reference.dice import Dice
from reference.recording import allowed_prices
from sim.tape import FeeRates, Header, Market, Source, Tape, seal
from sim.types import (
    ASK,
    BID,
    CLEAR,
    CLOSED,
    DELTA,
    END_OF_BATCH,
    EVENT,
    FEES,
    GAP,
    HALTED,
    LEVEL,
    OPEN,
    PAUSED,
    QUOTE,
    REFERENCE,
    SETTLE,
    SIGNAL,
    STATUS,
    TICKS,
    TRADE,
    WIPE,
)

START_NS = 1_700_000_000_000_000_000
TICK_TABLES = (
    ((0, 10_000, 100),),
    ((0, 1000, 10), (1000, 9000, 100), (9000, 10_000, 10)),
    ((0, 10_000, 50),),
    ((0, 1000, 20), (1000, 9000, 50), (9000, 10_000, 20)),
)
LICENCE = Source("made up", "", "", "")
BAND = 7  # prices either side of the middle


def header(venue: str, tick_tables: tuple, rates: list[tuple[int, int]]) -> Header:
    """A header of one market whose trading is expected to end after two minutes."""
    schedules = tuple(FeeRates(f"schedule {i}", venue, taker, maker) for i, (taker, maker) in enumerate(rates))
    market = Market("random", "random", START_NS, START_NS + 120 * 10**9)
    return Header(venue, (market,), tick_tables, schedules, (LICENCE,))


class TapeMaker:
    """Writes the rows of one recording and keeps its book, so that no change leaves a negative size."""

    def __init__(self, dice: Dice, tick_tables: tuple, schedules: int, *, prints: bool) -> None:
        self.dice, self.tick_tables, self.schedules, self.prints = dice, tick_tables, schedules, prints
        prices = sorted(allowed_prices(tick_tables[0]))
        middle = dice.pick((BAND, len(prices) // 2, len(prices) // 3, len(prices) - BAND - 1))
        self.ladder = prices[middle - BAND : middle + BAND + 1]
        self.centre = BAND
        self.shown: list[dict[int, int]] = [{}, {}]  # by place in the ladder
        self.rows: list[tuple] = []
        self.ns = START_NS
        self.paused = False

    def row(self, kind: int, side: int = -1, px: int = 0, qty: int = 0) -> None:
        """Append a row. The stamps of some rows run backwards, as recordings' do."""
        ns = self.ns - self.dice.below(30_000_000) if self.dice.chance(0.02) else self.ns
        self.rows.append((ns, 0, qty, px, -1, 0, 0, kind, side))

    def end_message(self) -> None:
        """The last row of a message says so."""
        if self.rows:
            ns, venue_ns, qty, px, seq, _, market, kind, side = self.rows[-1]
            self.rows[-1] = (ns, venue_ns, qty, px, seq, END_OF_BATCH, market, kind, side)

    def put(self, side: int, place: int, qty: int) -> None:
        """Change a level, as a change or as a new size; new sizes may be finer than a lot."""
        old = self.shown[side].pop(place, 0)
        if qty:
            self.shown[side][place] = qty
        if self.dice.chance(0.5):
            self.row(DELTA, side, self.ladder[place], (qty - old) * 10_000)
        else:
            finer = self.dice.below(10_000) if qty and self.dice.chance(0.3) else 0
            self.row(LEVEL, side, self.ladder[place], qty * 10_000 + finer)

    def best(self, side: int) -> int | None:
        """Place of the best price."""
        places = self.shown[side]
        return None if not places else max(places) if side == BID else min(places)

    def size(self) -> int:
        """Lots, often few."""
        return self.dice.pick((self.dice.between(1, 40), self.dice.between(1, 400), self.dice.between(300, 3000)))

    def free_place(self, side: int) -> int | None:
        """A place near the touch where a quote of a side would not cross."""
        other = self.best(ASK if side == BID else BID)
        away = self.dice.below(4)
        touch = self.centre if other is None else other + (-1 if side == BID else 1)
        place = touch - away if side == BID else touch + away
        return place if 0 <= place < len(self.ladder) else None

    def add(self) -> None:
        """A limit order joins or makes a level."""
        side = self.dice.below(2)
        place = self.free_place(side)
        if place is not None:
            self.put(side, place, self.shown[side].get(place, 0) + self.size())

    def cancel(self) -> None:
        """Part or all of a level near the touch goes."""
        side = self.dice.below(2)
        if self.shown[side]:
            near = sorted(self.shown[side], reverse=side == BID)[:3]
            place = self.dice.pick(near)
            old = self.shown[side][place]
            self.put(side, place, 0 if self.dice.chance(0.3) else old - self.dice.between(1, old))

    def trade(self) -> None:
        """A taker walks one to three levels; prints come before the changes or after them, some without a side."""
        taker = self.dice.below(2)
        side = ASK if taker == BID else BID
        left = self.size()
        changes = []
        unknown = self.dice.chance(0.12)
        late = self.dice.chance(0.25)
        prints = []
        for place in sorted(self.shown[side], reverse=side == BID)[:3]:
            if left:
                size = min(left, self.shown[side][place])
                prints.append((place, size))
                changes.append((place, self.shown[side][place] - size))
                left -= size
        if late:
            self._change(side, changes)
        if self.prints:
            for place, size in prints:
                hidden = self.dice.below(50) if self.dice.chance(0.1) else 0
                finer = self.dice.below(10_000) if self.dice.chance(0.2) else 0
                px = self.ladder[place]
                px += self.dice.between(-30, 30) if self.dice.chance(0.05) else 0
                self.row(TRADE, -1 if unknown else taker, px, (size + hidden) * 10_000 + finer)
        if not late:
            self._change(side, changes)

    def _change(self, side: int, changes: list[tuple[int, int]]) -> None:
        for place, qty in changes:
            self.put(side, place, qty)

    def cross(self) -> None:
        """A bid arrives at the ask and the venue tells of it before it takes the ask away."""
        side = self.dice.below(2)
        other = ASK if side == BID else BID
        place = self.best(other)
        if place is not None:
            self.put(side, place, self.shown[side].get(place, 0) + self.size())
            self.put(other, place, 0)

    def snapshot(self) -> None:
        """The whole book again; some of it has changed meanwhile."""
        self.row(CLEAR)
        for side in (BID, ASK):
            for place in list(self.shown[side]):
                if self.dice.chance(0.25):
                    del self.shown[side][place]
        for side in (BID, ASK):
            if not self.shown[side]:
                place = self.free_place(side)
                if place is not None:
                    self.shown[side][place] = self.size()
            for place, qty in self.shown[side].items():
                self.row(LEVEL, side, self.ladder[place], qty * 10_000)

    def one_sided(self) -> None:
        """All quotes of a side go."""
        side = self.dice.below(2)
        for place in list(self.shown[side]):
            self.put(side, place, 0)

    def rare(self) -> None:
        """What is not about the book."""
        kind = self.dice.pick((TICKS, FEES, STATUS, STATUS, SIGNAL, QUOTE, REFERENCE, FEES, WIPE))
        if kind == TICKS:
            self.row(TICKS, qty=self.dice.below(len(self.tick_tables)))
        elif kind == FEES:
            self.row(FEES, qty=self.dice.below(self.schedules))
        elif kind == STATUS:
            self.paused = True
            self.row(STATUS, qty=self.dice.pick((PAUSED, PAUSED, HALTED)))
        elif kind == WIPE:
            self.row(WIPE)
            self.snapshot()
        elif kind == SIGNAL:
            self.row(SIGNAL, px=self.dice.below(2000), qty=self.dice.below(1_000_001))
        else:
            self.row(kind, self.dice.below(2), self.dice.below(10_001), self.dice.below(10**9))

    def message(self) -> None:
        """One message of the venue, and its stamp."""
        self.ns += self.dice.pick((0, 1, 1_000_000, 20_000_000, 60_000_000, 250_000_000, 200_000_000))
        before = len(self.rows)
        if self.paused and self.dice.chance(0.2):
            self.paused = False
            self.row(STATUS, qty=OPEN)
        else:
            kinds = [self.add] * 32 + [self.cancel] * 24 + [self.trade] * 30
            self.dice.pick([*kinds, self.cross, self.cross, self.snapshot, self.one_sided, self.rare, self.rare])()
        if len(self.rows) > before:
            self.end_message()

    def finish(self) -> None:
        """Some recordings break off, some have a hole, some end with a payout."""
        ending = self.dice.below(6)
        if ending == 0:
            self.row(GAP)
        elif ending <= 3:
            self.row(STATUS, qty=CLOSED)
            self.ns += 10**9
            self.row(SETTLE, px=self.dice.pick((0, 10_000, 3700, 5000, self.dice.below(10_001))))
        self.end_message()


def random_tape(dice: Dice, venue: str, messages: int, *, prints: bool) -> Tape:
    """A recording of about ``messages`` messages."""
    tables = tuple(dice.pick(TICK_TABLES) for _ in range(dice.between(1, 3)))
    if venue == "kalshi":
        rates = [(dice.pick((70_000, 35_000, 0)), dice.pick((0, 17_500, 35_000))) for _ in range(3)]
    else:
        rates = [(dice.pick((50_000, 70_000, 0, 30_000)), 0) for _ in range(3)]
    maker = TapeMaker(dice, tables, len(rates), prints=prints)
    maker.snapshot()
    maker.end_message()
    for _ in range(messages):
        maker.message()
    maker.finish()
    return seal(np.array(maker.rows, EVENT), header(venue, tables, rates))
