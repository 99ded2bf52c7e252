"""Events told by a venue and read again, and what is to be the same of both, for the tests of the wire."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from sim.rebuild import rebuild
from sim.tape import Source, seal
from sim.types import CLEAR, DELTA, END_OF_BATCH, EVENT, GAP, LEVEL, QUOTE, SETTLE, STATUS, TRADE
from sim.validate import validate
from sim.wire import kalshi, kalshi_writer, polymarket, polymarket_writer

SOURCE = Source("made up", "", "", "")
READERS = {"kalshi": kalshi.KalshiReader, "polymarket": polymarket.PolymarketReader}
WRITERS = {"kalshi": kalshi_writer.KalshiWriter, "polymarket": polymarket_writer.PolymarketWriter}
FRAMES = {"kalshi": kalshi_writer.frames_of, "polymarket": polymarket_writer.frames_of}


class Told:
    """``events`` as a venue tells them, and what a reader of it makes of that."""

    def __init__(self, listings, events, **tables):
        venue = listings[0].venue
        self.writer = WRITERS[venue](listings, **tables)
        self.reader = READERS[venue](listings)
        # random tapes stay crossed for as long as they like; that such a book is not believed is tested elsewhere
        self.reader._crossings.too_long = lambda books, local_ns: []
        self.rows = []
        self.places = []  # (rows told, rows read) wherever a frame came of the last row told
        fed = 0

        def feed():
            nonlocal fed
            for row in events.tolist():
                fed += 1
                yield row

        self.frames = []
        for local_ns, frame in FRAMES[venue](self.writer, feed()):
            self.frames.append(frame)
            self.rows += self.reader.take(frame, local_ns).rows
            self.places.append((fed, len(self.rows)))
        self.back = np.array(self.rows, EVENT)

    def tapes(self):
        """A sealed tape of each market, and what validation says of it."""
        for index, rules in enumerate(self.reader.rules):
            own = self.back[self.back["market"] == index]
            own["market"] = 0
            tape = seal(own, rules.header([SOURCE]))
            yield tape, validate(tape)


class Book:
    """A market's book from rows, as simply as can be; None = not known."""

    def __init__(self):
        self.sizes = None
        self.whole = False  # not in the middle of a snapshot

    def apply(self, row):
        qty, px, kind, side = row[2], row[3], row[7], row[8]
        self.whole = bool(row[5] & END_OF_BATCH) or (self.whole and kind != CLEAR)
        if kind == CLEAR:
            self.sizes = ({}, {})
        elif kind == GAP:
            self.sizes = None
        elif kind in (DELTA, LEVEL) and self.sizes is not None:
            qty += self.sizes[side].get(px, 0) if kind == DELTA else 0
            self.sizes[side][px] = qty
            if not qty:
                del self.sizes[side][px]


def books_agree(events, told):
    """Asserts that after each frame every book is that of the events so far; returns how many were compared."""
    ours, theirs = defaultdict(Book), defaultdict(Book)
    rows, fed, read, compared = events.tolist(), 0, 0, 0
    for at, back in told.places:
        for row in rows[fed:at]:
            ours[row[6]].apply(row)
        for row in told.rows[read:back]:
            theirs[row[6]].apply(row)
        fed, read = at, back
        for market, book in ours.items():
            if book.sizes is not None and book.whole:
                assert theirs[market].sizes == book.sizes, (at, back, market)
                compared += 1
    return compared


def best_prices_agree(events, told):
    """Asserts the same of the best prices, rebuilt by the code that validates tapes."""
    markets = len(told.reader.rules)
    known = np.ones(max(len(events), len(told.back)), np.bool_)
    ours, theirs = (rebuild(rows, known[: len(rows)], markets) for rows in (events, told.back))
    assert ours.negative == theirs.negative == 0
    assert theirs.lasting == 0
    for at, back in told.places:
        if back and events["market"][at - 1] == told.back["market"][back - 1]:
            assert (ours.bid[at - 1], ours.ask[at - 1]) == (theirs.bid[back - 1], theirs.ask[back - 1])


def of_kind(events, kind, *fields):
    """The rows of a kind, as tuples of ``fields``."""
    own = events[events["kind"] == kind]
    return list(zip(*(own[name].tolist() for name in ("local_ns", "market", *fields)), strict=True))


def prints(events, stamp_ns):
    """Prints with the venue's stamp as far as the venue tells it."""
    return [(*row[:-1], row[-1] // stamp_ns) for row in of_kind(events, TRADE, "side", "px", "qty", "venue_ns")]


def settlements(events):
    return of_kind(events, SETTLE, "px")


def states(events, told):
    """Changes of state, of those that are told."""
    return [row for row in of_kind(events, STATUS, "qty") if row[-1] in told]


def in_force(events, kind, tables, first):
    """(local_ns, market, table) of each change of ``tables`` by TICKS or FEES rows; a repetition is no change."""
    changes, now = [], dict(enumerate(first))
    for local_ns, market, number in of_kind(events, kind, "qty"):
        table = tables[market][number]
        if table != now[market]:
            changes.append((local_ns, market, table))
            now[market] = table
    return changes


def quotes(events):
    return of_kind(events, QUOTE, "side", "px", "qty")
