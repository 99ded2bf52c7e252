"""What the tests of fill fitting share: small tapes by hand, and the queue rule for one order, slow and obvious."""

from __future__ import annotations

import numpy as np

from sim.tape import FeeRates, Header, Market, seal
from sim.types import (
    ASK,
    BID,
    CLEAR,
    DELTA,
    END_OF_BATCH,
    EVENT,
    GAP,
    LEVEL,
    MICRO_PER_LOT,
    SETTLE,
    TRADE,
)

MS = 1_000_000
RING = 16


def tape_of(rows, close_ns=0):
    """Tape of (ms, kind, side, px, lots) tuples, every row the end of a batch unless a sixth value says 0."""
    events = np.zeros(len(rows), EVENT)
    for index, (ms, kind, side, px, lots, *flags) in enumerate(rows):
        sized = kind in (DELTA, LEVEL, TRADE)
        events[index] = (
            ms * MS, ms * MS, lots * (MICRO_PER_LOT if sized else 1), px, -1,
            flags[0] if flags else END_OF_BATCH, 0, kind, side,
        )  # fmt: skip
    header = Header(
        venue="kalshi", markets=(Market("M", "by hand", 0, close_ns),), tick_tables=(((0, 10_000, 100),),),
        fee_schedules=(FeeRates("free", "kalshi", 0),), sources=(),
    )  # fmt: skip
    return seal(events, header)


def opening(bid_lots=100, ask_lots=100):
    """A snapshot with a bid at 50 and an ask at 52 cents, and one level behind each."""
    return [
        (0, CLEAR, -1, 0, 0, 0), (0, LEVEL, BID, 5000, bid_lots, 0), (0, LEVEL, BID, 4900, 70, 0),
        (0, LEVEL, ASK, 5200, ask_lots, 0), (0, LEVEL, ASK, 5300, 70),
    ]  # fmt: skip


class Order:
    """One order, followed from the first row of the tape on."""

    def __init__(self, rules, share_ahead):
        self.rules, self.share_ahead = rules, share_ahead
        self.book = {BID: {}, ASK: {}}
        self.drops = {}  # (side, px): list of [lots, ns, row]
        self.credit = {}  # (side, px): [lots, ns]
        self.here = False
        self.followed_ns = None

    def follow(self, tape, entry_row, side, px):
        """Returns (filled_ns by size, through_ns, last_at_ns by life, followed_ns)."""
        sizes, lives = self.rules.sizes.tolist(), self.rules.lives.tolist()
        self.side, self.px = side, px
        self.filled, self.last_at, self.through = [-1] * len(sizes), [-1] * len(lives), -1
        now, trusted, quiet = 0, not (tape.events["kind"] == CLEAR).any(), False
        for row, event in enumerate(tape.events):
            now = max(now, int(event["local_ns"]))
            if self.here and self.followed_ns is None and now - self.entry_ns > lives[-1]:
                self.followed_ns = lives[-1]
            kind, at = event["kind"], (int(event["side"]), int(event["px"]))
            lots = int(event["qty"]) // MICRO_PER_LOT
            if kind in (DELTA, LEVEL) and trusted:
                self.level(at, lots, kind == DELTA, now, row, quiet)
            elif kind == TRADE:
                self.trade(at, lots, now)
            elif kind == CLEAR:
                self.book, self.drops, self.credit = {BID: {}, ASK: {}}, {}, {}
                trusted = quiet = True
            elif kind in (GAP, SETTLE):
                self.stop(now)
                trusted = trusted and kind != GAP
            if event["flags"] & END_OF_BATCH and trusted:
                if quiet and self.active():
                    self.ahead, self.before = min(self.ahead, self.book[side].get(px, 0)), 0
                quiet = False
            if row == entry_row:
                self.enter(now, row)
        self.stop(now)
        return self.filled, self.through, self.last_at, self.followed_ns

    def active(self):
        return self.here and self.followed_ns is None

    def stop(self, now):
        if self.active():
            self.followed_ns = now - self.entry_ns

    def enter(self, now, row):
        self.here, self.entry_ns, self.entry_row = True, now, row
        self.ahead = self.book[self.side].get(self.px, 0)
        lots, since = self.credit.get((self.side, self.px), (0, -(10**18)))
        self.before = lots if now - since <= self.rules.credit_ns else 0
        self.reach = 0

    def level(self, at, lots, signed, now, row, quiet):
        side, px = at
        old = self.book[side].get(px, 0)
        new = old + lots if signed else lots
        self.book[side][px] = new
        if quiet or new >= old:
            return
        lots, since = self.credit.get(at, (0, -(10**18)))
        if now - since > self.rules.credit_ns:
            lots = 0
        printed = min(lots, old - new)
        self.credit[at] = (lots - printed, since)
        cancelled = old - new - printed
        taken = 0
        if self.active() and at == (self.side, self.px):
            gone = min(printed, self.before)
            self.before -= gone
            ahead = max(0, self.ahead - gone)
            took = self.share_ahead(self.rules.share, self.rules.power, ahead, old - printed - ahead, cancelled)
            self.ahead = min(ahead - took, new)
            taken = ahead - self.ahead
        if cancelled > 0 and self.rules.window_ns > 0:
            self.drops.setdefault(at, []).append([cancelled, now, row, taken])
            self.drops[at] = self.drops[at][-RING:]

    def trade(self, at, lots, now):
        taker, px = at
        for side in (BID, ASK):
            if taker == side:
                continue
            news = lots
            if taker >= 0:
                news -= self.explain((side, px), lots, now)
            if not self.active() or side != self.side or news <= 0:
                continue
            deeper = px < self.px if side == BID else px > self.px
            if deeper:
                self.through = now if self.through < 0 else self.through
                self.reached(news, now)
            elif px == self.px and taker >= 0:
                if self.through < 0:
                    for index, life in enumerate(self.rules.lives.tolist()):
                        if now - self.entry_ns <= life:
                            self.last_at[index] = now
                eaten = min(self.ahead, news)
                self.ahead -= eaten
                self.reached(news - eaten, now)

    def explain(self, at, lots, now):
        """Match a print with the drops before it; returns the lots that left before the order came."""
        old_news = matched = 0
        for drop in self.drops.get(at, []):
            if now - drop[1] > self.rules.window_ns:
                drop[0] = 0
            part = min(drop[0], lots - matched)
            if part <= 0:
                continue
            matched += part
            if self.active() and at[0] == self.side:
                if drop[2] <= self.entry_row:
                    old_news += part
                elif at[1] == self.px:
                    back = drop[3] * part // drop[0]
                    drop[3] -= back
                    self.ahead += back
            drop[0] -= part
        have, since = self.credit.get(at, (0, -(10**18)))
        have = have if now - since <= self.rules.credit_ns else 0
        self.credit[at] = (have + lots - matched, now)
        return old_news

    def reached(self, lots, now):
        if lots <= 0:
            return
        self.reach += lots
        for index, size in enumerate(self.rules.sizes.tolist()):
            if self.filled[index] < 0 and self.reach >= size:
                self.filled[index] = now


def random_tape(seed, rows=220):
    """Levels, cancels and trades on four prices a side, prints before and after the drops they explain, gaps."""
    stream = np.random.default_rng(seed)
    book = {(BID, px): 0 for px in (4700, 4800, 4900, 5000)} | {(ASK, px): 0 for px in (5100, 5200, 5300, 5400)}
    out, ms = [], 0

    def snapshot():
        out.append((ms, CLEAR, -1, 0, 0, 0))
        for at in book:
            book[at] = int(stream.integers(0, 60))
            out.append((ms, LEVEL, *at, book[at], 0))
        out[-1] = (*out[-1][:5], END_OF_BATCH)

    snapshot()
    while len(out) < rows:
        ms += int(stream.choice([0, 1, 20, 120, 400]))
        at = list(book)[stream.integers(len(book))]
        what = stream.random()
        if what < 0.03:
            out.append((ms, GAP, -1, 0, 0))
            snapshot()
        elif what < 0.06:
            snapshot()
        elif what < 0.1:
            out.append((ms, TRADE, -1, at[1], int(stream.integers(1, 30))))
        elif what < 0.45:
            book[at] += int(stream.integers(1, 40))
            out.append((ms, LEVEL, *at, book[at]))
        elif book[at] > 0:
            gone = int(stream.integers(1, book[at] + 1))
            book[at] -= gone
            drop = (DELTA, *at, -gone)
            part = gone if stream.random() < 0.5 else int(stream.integers(1, gone + 1))
            trade = (TRADE, ASK if at[0] == BID else BID, at[1], part)
            late = int(stream.choice([0, 5, 90, 300]))
            order = {0: [drop], 1: [trade, drop], 2: [drop, trade]}[int(stream.integers(3))]
            for index, row in enumerate(order):
                out.append((ms + late * index, *row))
            ms += late * (len(order) - 1)
    return tape_of(out)
