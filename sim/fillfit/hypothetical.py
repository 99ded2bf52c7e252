"""Hypothetical orders: placed on a tape at stated moments, each followed for its life by the rule of sim/queue.py.

At every moment one order a side is placed at each distance from the touch: 0 joins it, d > 0 stands d ticks behind it,
-1 improves it by a tick where the spread leaves room. Nobody sees these orders, they do not see each other, and each is
followed whatever happens to the rest. An order's size matters only for when it is complete: what reaches it is kept,
and compared with every size asked for. The rule:

* at entry the size shown at the price is ahead; prints at the price eat it, then reach us; prints through it reach us;
* a drop that no print explains was cancelled, part of it ahead of us (:mod:`sim.shares`); a print and the drop that
  tells of it are one event, whichever comes first (:mod:`sim.fillfit.walker`);
* ahead is never more than the level shows; a snapshot only cuts it to that.

An order is followed until its longest life is over, or until the tape cannot say more: a gap, a pause, the close, the
end (``followed_ns`` is then shorter, and the order must not be counted for a longer life).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from sim.activity import ACTIVITY, forget
from sim.fillfit.playing import NOTES, Found, Placing, walk_tape
from sim.fillfit.walker import BEST_ASK, BEST_BID, COUNTS, MID2, RING, STATUS, TRUSTED, Rules, Walk
from sim.shares import RULE_NAMES
from sim.tape import Tape
from sim.types import CLEAR, DELTA, LEVEL, MICRO_PER_LOT, OPEN, PX_ONE, SECOND_NS, TRADE
from sim.venues.rules import tick_prices


def make_rules(
    sizes: Sequence[int],
    lives_s: Sequence[float],
    *,
    share: str = "proportional",
    power: float = 1.0,
    window_ms: float = 250.0,
    credit_ms: float = 1000.0,
) -> Rules:
    """Rules of a walk: sizes in lots and lives in seconds, both ascending; a share rule by name.

    ``window_ms``: how long after a level's drop its print may come; ``credit_ms``: how long after a print its drop may.
    Raises ValueError for an unknown rule, a power that is not positive, negative times, or lists that do not ascend.
    """
    if share not in RULE_NAMES:
        raise ValueError(f"make_rules: no share rule {share!r}; the rules are {', '.join(RULE_NAMES)}")
    if not power > 0.0:
        raise ValueError(f"make_rules: power must be positive, got {power}")
    if window_ms < 0.0 or credit_ms < 0.0:
        raise ValueError(f"make_rules: window_ms and credit_ms must be 0 or more, got {window_ms} and {credit_ms}")
    for name, values in (("sizes", sizes), ("lives_s", lives_s)):
        if not len(values) or values[0] <= 0 or any(b <= a for a, b in pairwise(values)):
            raise ValueError(f"make_rules: {name} must be positive and ascend, got {list(values)}")
    lives = np.array([round(life * SECOND_NS) for life in lives_s], np.int64)
    milli = SECOND_NS // 1000
    return Rules(
        RULE_NAMES.index(share), float(power), round(window_ms * milli), round(credit_ms * milli),
        np.array(sizes, np.int64), lives,
    )  # fmt: skip


def walk(
    tape: Tape,
    rows: np.ndarray,
    rules: Rules,
    *,
    distances: Sequence[int] = (-1, 0, 1, 2, 3),
) -> Found:
    """Place hypothetical orders after ``rows`` of a one-market tape and follow them.

    ``rows`` (M,) int64, ascending. Sizes finer than a lot are floored, as in the engine.
    Raises ValueError for a tape of several markets, rows that do not ascend or lie off the tape, distances below -1,
    a price off the ladder, or a change that makes a size negative.
    """
    placing = _placing(tape, rows, distances)
    events = _in_lots(tape, placing.level_of)
    count = 2 * len(placing.rows) * len(placing.distances)
    state = _fresh(len(placing.px_of), count, rules, starts_known=not (events["kind"] == CLEAR).any())
    found = Found(
        state.side, state.entry_ns, np.zeros((count, NOTES), np.int64), np.zeros(count, ACTIVITY), state.followed_ns,
        state.filled_ns, state.through_ns, state.last_at_ns,
    )  # fmt: skip
    placed = int(walk_tape(events, state, rules, placing, found))
    if placed < 0:
        event = tape.events[-1 - placed]
        raise ValueError(
            f"{tape.header.markets[0].id}: row {-1 - placed} takes {-int(event['qty'])} (1e-6 contract) at px "
            f"{event['px']}, more than the level shows; `python -m sim.tape validate` says what is wrong with the tape"
        )
    return Found(*(column[:placed] for column in found))


def _placing(tape: Tape, rows: np.ndarray, distances: Sequence[int]) -> Placing:
    if len(tape.header.markets) != 1:
        raise ValueError(f"walk: expected a tape of one market, got one of {len(tape.header.markets)}")
    rows = np.asarray(rows, np.int64)
    if len(rows) and (rows[0] < 0 or rows[-1] >= len(tape.events) or (np.diff(rows) <= 0).any()):
        raise ValueError(f"walk: rows must ascend within [0, {len(tape.events)}), got {rows[:3]} ... {rows[-3:]}")
    if not len(distances) or min(distances) < -1:
        raise ValueError(
            f"walk: distances are -1 (a tick inside) or more ticks behind the touch, got {list(distances)}"
        )
    allowed = np.zeros((len(tape.header.tick_tables), PX_ONE + 1), np.bool_)
    for index, table in enumerate(tape.header.tick_tables):
        allowed[index, tick_prices(table)] = True
    px_of = np.flatnonzero(allowed.any(axis=0))
    level_of = np.full(PX_ONE + 1, -1, np.int64)
    level_of[px_of] = np.arange(len(px_of))
    tick_ok = np.ascontiguousarray(allowed[:, px_of])
    return Placing(rows, np.array(distances, np.int64), px_of, level_of, tick_ok)


def _in_lots(tape: Tape, level_of: np.ndarray) -> np.ndarray:
    """The tape's rows with sizes in lots, floored. Raises ValueError where a level's price is off the ladder."""
    events = tape.events.copy()
    sized = np.isin(events["kind"], (DELTA, LEVEL, TRADE))
    levels = np.isin(events["kind"], (DELTA, LEVEL))
    off = levels & (level_of[np.clip(events["px"], 0, PX_ONE)] < 0)
    if off.any():
        row = int(np.argmax(off))
        raise ValueError(
            f"{tape.header.markets[0].id}: row {row} has px {events['px'][row]}, which no tick table allows"
        )
    finer = (events["kind"] == DELTA) & (events["qty"] % MICRO_PER_LOT != 0)
    if finer.any():
        raise ValueError(
            f"{tape.header.markets[0].id}: row {int(np.argmax(finer))} changes a level by a part of a lot "
            f"({MICRO_PER_LOT} x 1e-6 contract), which cannot be floored without drift"
        )
    events["qty"][sized] //= MICRO_PER_LOT
    return events


def _fresh(levels: int, count: int, rules: Rules, starts_known: bool) -> Walk:
    """State before the first row: an empty book, no orders."""
    places = np.zeros(COUNTS, np.int64)
    places[[BEST_BID, BEST_ASK, MID2, STATUS]] = -1, levels, -1, OPEN
    places[TRUSTED] = starts_known

    activity = np.zeros(1, ACTIVITY)
    forget(activity[0])

    def ints(*shape: int, value: int = 0) -> np.ndarray:
        return np.full(shape, value, np.int64)

    return Walk(
        book=ints(2, levels), credit_qty=ints(2, levels), credit_ns=ints(2, levels),
        drop_qty=ints(2, levels, RING), drop_ns=ints(2, levels, RING), drop_row=ints(2, levels, RING),
        drops=ints(2, levels), mark=places, activity=activity,
        side=ints(count), level=ints(count), entry_ns=ints(count), entry_row=ints(count),
        ahead=ints(count), before=ints(count), taken=ints(count, RING), old=ints(count), reach=ints(count),
        through_ns=ints(count, value=-1), filled_ns=ints(count, len(rules.sizes), value=-1),
        last_at_ns=ints(count, len(rules.lives), value=-1), followed_ns=ints(count),
    )  # fmt: skip
