"""A second opinion on features: a tape's rows one by one, dictionaries for the book, the formulas of docs/features.md.

Shares nothing with the environment's kernels but units and the halves of `sim.scales`. It sees what an account without
orders and positions sees, in a market without links.
"""

from __future__ import annotations

import math

import numpy as np

from evaluation.promotion.slow_memory import FAIR_STALE_NS, TAKERS, SlowMemory
from sim import scales as s
from sim.tape import Tape
from sim.types import (
    ASK,
    BID,
    CLEAR,
    DELTA,
    END_OF_BATCH,
    FEES,
    GAP,
    LEVEL,
    LOTS_PER_CONTRACT,
    MICRO_PER_LOT,
    OPEN,
    PX_ONE,
    SECOND_NS,
    SETTLE,
    SETTLED,
    SIGNAL,
    STATUS,
    TICKS,
    TRADE,
    UUSD,
)

DEPTH = 5
SCAN = 64  # levels of the ladder that are searched from the touch
FROM_PRINTS = (
    "flow", "prints", "since_trade", "anchor_volume", "taker_burst", "cascade",
    *(f"taker_imbalance_{name}" for name in TAKERS),
)  # fmt: skip
LINKS = ("link_correlation", "link_violation", "link_edge", "link_size", "link_basis")


class SlowMarket:
    """One recorded market as its rows leave it, seen once a step by an account that holds nothing.

    ``ladder``: prices that levels may have, ascending.
    """

    def __init__(self, tape: Tape, ladder: list[int]) -> None:
        market, self.header = tape.header.markets[0], tape.header
        self.place = {px: index for index, px in enumerate(ladder)}
        # what the formulas name, in plain numbers
        self.rows: list[tuple] = tape.events[["kind", "side", "px", "qty", "local_ns", "flags"]].tolist()
        self.cursor, self.now = 0, 0
        self.status, self.close_ns, self.ticks, self.fees = OPEN, market.close_ns, 0, 0
        self.book: list[dict[int, int]] = [{}, {}]
        self.mid2, self.in_snapshot, self.gap = PX_ONE, False, False
        self.book_ns = self.trade_ns = self.signal_ns = 0
        self.signal, self.signal_err = -1, 0
        self.mids: list[int] = []  # at every look
        self.memory = SlowMemory()
        self.happened = 0  # level changes and prints, all of them
        self._count_anew()

    def begin(self) -> None:
        """Go on to where an episode begins: the end of the first whole message with a book, while open."""
        trusted = True
        while self.cursor < len(self.rows):
            kind, flags = self.rows[self.cursor][0], self.rows[self.cursor][5]
            trusted = (trusted or kind == CLEAR) and kind != GAP
            self._next()
            if flags & END_OF_BATCH and trusted and self.status == OPEN:
                break
        self.gap = self.in_snapshot = False
        self.start_ns, self.variance = self.now, 0.0
        self._count_anew()

    def advance(self, until_ns: int, events: int | None = None) -> None:
        """Every row up to a stamp, and none later; or until so many changes and prints have happened by then."""
        enough = None if events is None else self.happened + events
        while self.cursor < len(self.rows) and not self.gap and max(self.now, self.rows[self.cursor][4]) <= until_ns:
            if self.happened == enough:
                break
            self._next()
        self.now = max(self.now, until_ns)

    def look(self, end_ns: int) -> dict[str, float]:
        """Features by name, of an episode whose window ends at ``end_ns``; to be called once a step."""
        self.memory.fade(self.now, self.book, self.mid2)
        self.mids.append(self.mid2)
        if len(self.mids) > 1:
            self.variance = 0.9 * self.variance + 0.1 * ((self.mids[-1] - self.mids[-2]) / 2 / PX_ONE) ** 2
        seen = {
            **self._quotes(), **self._sizes(), **self._moves(), **self._time(end_ns), **self._account(),
            **self._signal(), **self.memory.look(self.book, self.mid2), **dict.fromkeys(LINKS, 0.0),
        }  # fmt: skip
        self._count_anew()
        return seen

    # rows

    def _next(self) -> None:
        kind, side, px, qty, ns, flags = self.rows[self.cursor]
        self.cursor += 1
        self.now = max(self.now, ns)
        if kind in (DELTA, LEVEL):
            self._level(side, px, qty // MICRO_PER_LOT + (self.book[side].get(px, 0) if kind == DELTA else 0))
        elif kind == TRADE:
            self._print(side, px, qty // MICRO_PER_LOT)
        elif kind == CLEAR:
            self.memory.fade(self.now, self.book, self.mid2)
            self.book, self.in_snapshot, self.book_ns = [{}, {}], True, self.now
        else:
            self._rule(kind, px, qty)
        if flags & END_OF_BATCH:
            self.in_snapshot = False

    def _rule(self, kind: int, px: int, qty: int) -> None:
        if kind == STATUS:
            self.status = qty
        elif kind == SETTLE:
            self.status = SETTLED
        elif kind == TICKS:
            self.ticks = qty
        elif kind == FEES:
            self.fees = qty
        elif kind == SIGNAL:
            self.signal, self.signal_err, self.signal_ns = qty, px * 100, self.now
        elif kind == GAP:
            self.gap = True

    def _level(self, side: int, px: int, qty: int) -> None:
        old = self.book[side].get(px, 0)
        if qty != old and not self.in_snapshot:
            self.memory.fade(self.now, self.book, self.mid2)
            self.memory.change(qty - old)
            self.book_ns = self.now
            self.happened += 1
            self.changed[side] += qty - old
        self.book[side].pop(px, None)
        if qty:
            self.book[side][px] = qty
        bid, ask = self._best()
        if bid is not None and ask is not None:
            self.mid2 = bid + ask if bid < ask else self.mid2
        elif bid is not None:
            self.mid2 = max(self.mid2, 2 * bid)
        elif ask is not None:
            self.mid2 = min(self.mid2, 2 * ask)

    def _print(self, side: int, px: int, qty: int) -> None:
        self.memory.fade(self.now, self.book, self.mid2)
        self.memory.trade(side, px, qty)
        self.trade_ns = self.now
        self.happened += 1
        self.prints += 1
        if side in (BID, ASK):
            self.traded[side] += qty

    def _count_anew(self) -> None:
        self.prints, self.traded, self.changed = 0, [0, 0], [0, 0]

    def _best(self) -> tuple[int | None, int | None]:
        return max(self.book[BID], default=None), min(self.book[ASK], default=None)

    # features

    def _quotes(self) -> dict[str, float]:
        bid, ask = self._best()
        bid_px, ask_px = 0 if bid is None else bid, PX_ONE if ask is None else ask
        quoted = bid is not None and ask is not None
        return {
            "bid": 2 * bid_px / PX_ONE - 1, "ask": 2 * ask_px / PX_ONE - 1, "mid": self.mid2 / PX_ONE - 1,
            "spread": _soft((ask_px - bid_px) / PX_ONE, s.SPREAD_HALF) if quoted else 1.0,
            "tick": _part(self._tick() / PX_ONE, s.TICK_HALF),
        }  # fmt: skip

    def _tick(self) -> int:
        """Distance of the legal prices around the mid; beyond the table's ends its first or last one."""
        table = self.header.tick_tables[self.ticks]
        legal = sorted({px for low, high, step in table for px in range(low, high + 1, step)} - {0, PX_ONE})
        below = max((index for index, px in enumerate(legal) if px <= self.mid2 >> 1), default=0)
        upper = min(below + 1, len(legal) - 1)
        return legal[upper] - legal[upper - 1]

    def _sizes(self) -> dict[str, float]:
        result, touch, total = {}, [0, 0], [0, 0]
        for side, name in ((BID, "bid"), (ASK, "ask")):
            prices = sorted(self.book[side], reverse=side == BID)
            near = [px for px in prices if abs(self.place[px] - self.place[prices[0]]) < SCAN][:DEPTH]
            sizes = [self.book[side][px] for px in near] + [0] * (DEPTH - len(near))
            touch[side], total[side] = sizes[0], sum(sizes)
            for index, lots in enumerate(sizes):
                result[f"{name}_size_{index + 1}"] = _part(lots / LOTS_PER_CONTRACT, s.SIZE_HALF)
        result["imbalance"] = _lean(*touch)
        result["depth_imbalance"] = _lean(*total)
        bid, ask = self._best()
        tilt = 0.0
        if bid is not None and ask is not None:
            # (b ask + a bid) / (b + a) - (ask + bid) / 2, in dollars
            tilt = ((touch[BID] * ask + touch[ASK] * bid) / sum(touch) - (ask + bid) / 2) / PX_ONE
        return result | {"micro": _soft(tilt, s.MOVE_HALF)}

    def _moves(self) -> dict[str, float]:
        newest = len(self.mids) - 1
        moves = {n: (self.mids[-1] - self.mids[max(newest - n, 0)]) / 2 / PX_ONE for n in (1, 5, 30)}
        bought, sold = self.traded[BID], self.traded[ASK]
        change = self.changed[BID] - self.changed[ASK]
        return {
            **{f"return_{n}": _soft(move, s.MOVE_HALF) for n, move in moves.items()},
            "volatility": _part(math.sqrt(self.variance), s.MOVE_HALF),
            "flow": _soft((bought - sold) / LOTS_PER_CONTRACT, s.SIZE_HALF),
            "order_flow": _soft(change / LOTS_PER_CONTRACT, s.SIZE_HALF),
            "prints": _part(self.prints, s.PRINTS_HALF),
        }

    def _time(self, end_ns: int) -> dict[str, float]:
        left, elapsed = max(self.close_ns - self.now, 0) / SECOND_NS, self.now - self.start_ns
        return {
            "close_minute": _part(left, s.MINUTE_HALF), "close_hour": _part(left, s.HOUR_HALF),
            "window_used": elapsed / max(1, elapsed + max(end_ns - self.now, 0)),
            "since_trade": self._since(self.trade_ns, s.TRADE_HALF),
            "since_book": self._since(self.book_ns, s.BOOK_HALF),
            "market_open": float(self.status == OPEN),
        }  # fmt: skip

    def _since(self, then: int, half: float) -> float:
        return _part((self.now - then) / SECOND_NS, half) if then > 0 else 1.0

    def _account(self) -> dict[str, float]:
        """Nothing is held and nothing rests: all cash is free, and only the fee says something of the market."""
        nothing = dict.fromkeys(
            (
                "position_yes", "position_no", "cost_yes", "cost_no", "unrealised", "realised", "equity_change",
                "drawdown", "exposure",
            ),
            0.0,
        )  # fmt: skip
        for side in ("bid", "ask"):
            nothing |= {f"own_{side}_{what}": 0.0 for what in ("live", "distance", "size", "queue", "age")}
        mid, rate = self.mid2 / 2 / PX_ONE, self.header.fee_schedules[self.fees].rate_ppm / UUSD
        return {**nothing, "cash_free": 0.5, "fee": _part(rate * mid * (1 - mid), s.FEE_HALF)}

    def _signal(self) -> dict[str, float]:
        names = (
            "signal_live",
            "signal_edge",
            "signal_error",
            "signal_age",
            "fair_available",
            "fair_edge",
            "fair_sources",
        )
        if self.signal < 0:
            return dict.fromkeys(names, 0.0)
        edge = _soft(self.signal / UUSD - self.mid2 / 2 / PX_ONE, s.EDGE_HALF)
        fresh = self.now - self.signal_ns <= FAIR_STALE_NS
        return {
            "fair_available": float(fresh), "fair_edge": edge * fresh, "fair_sources": 0.5 * fresh,
            "signal_live": 1.0, "signal_edge": edge,
            "signal_error": _part(self.signal_err / UUSD, s.ERROR_HALF),
            "signal_age": _part((self.now - self.signal_ns) / SECOND_NS, s.SIGNAL_HALF),
        }  # fmt: skip


def has_prints(tape: Tape) -> bool:
    """Whether the feed tells trades; without them the environment infers some, and this page does not."""
    return bool(np.any(tape.events["kind"] == TRADE))


def _part(x: float, half: float) -> float:
    return x / (x + half)


def _soft(x: float, half: float) -> float:
    return x / (abs(x) + half)


def _lean(bids: int, asks: int) -> float:
    return (bids - asks) / max(1, bids + asks)
