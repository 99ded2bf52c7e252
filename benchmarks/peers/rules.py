"""The task once more, as a plain loop over plain arrays: what either engine must fill, row by row.

Three switches are all that lies between the engines' fills, see :class:`Beliefs`. With all off the result must be our
engine's, with all on hftbacktest's.

The quoter: one order a side, post-only, joined at the touch others show. It is left alone while it rests at the touch,
what is left of it too; else it is cancelled and a new one sent, in one go. Until these have arrived the side waits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.kernel import inner, kernel
from sim.types import ASK, BID, LEVEL, TRADE

NONE = -1


class Beliefs(NamedTuple):
    """Where the engines differ."""

    through_whole: bool  # a print through our price fills the order whole; else for no more than the print
    crossed: bool  # a best quote of others that reaches our price fills us whole; else we wait for a print
    meets_own: bool  # a new order may rest where one of ours is met; else the older one is cancelled


OURS = Beliefs(through_whole=False, crossed=False, meets_own=False)
THEIRS = Beliefs(through_whole=True, crossed=True, meets_own=True)


class Rules(NamedTuple):
    """State of the loop; the second axis of an order's arrays is the side."""

    book: np.ndarray  # (2, L) int64 lots
    touch: np.ndarray  # (2,) int64: best bid, best ask
    level: np.ndarray  # (2,) int64: where our order rests
    left: np.ndarray  # (2,) int64 lots, 0 = nothing rests
    ahead: np.ndarray  # (2,) int64 lots
    due_ns: np.ndarray  # (2,) int64: when cancel and new order arrive, 0 = nothing is under way
    wanted: np.ndarray  # (2,) int64: level of the order under way
    log: np.ndarray  # (F, 4) int64: row, side, level, lots
    counts: np.ndarray  # (2,) int64: fills, orders


@inner
def _fill(rules, row, side, lots):
    if lots == 0:
        return
    count = rules.counts[0]
    if count < len(rules.log):
        rules.log[count, 0] = row
        rules.log[count, 1] = side
        rules.log[count, 2] = rules.level[side]
        rules.log[count, 3] = lots
    rules.counts[0] = count + 1
    rules.left[side] -= lots


@inner
def _arrive(rules, beliefs, side, lots):
    """The cancel, then the new order, which is refused where it would cross."""
    level = rules.wanted[side]
    other = 1 - side
    crosses = level >= rules.touch[ASK] if side == BID else level <= rules.touch[BID]
    rules.left[side] = 0 if crosses else lots
    rules.level[side] = level
    rules.ahead[side] = rules.book[side, level]
    rules.due_ns[side] = 0
    meets = rules.level[other] <= level if side == BID else rules.level[other] >= level
    if meets and not crosses and not beliefs.meets_own:
        rules.left[other] = 0


@inner
def _arrivals(rules, beliefs, now, lots):
    """What is due before ``now``: the earlier side first, of two due at once the bid."""
    first = ASK if rules.due_ns[ASK] < rules.due_ns[BID] else BID
    for side in (first, 1 - first):
        if 0 < rules.due_ns[side] < now:
            _arrive(rules, beliefs, side, lots)


@inner
def _find_touch(rules):
    levels = rules.book.shape[1]
    bid = levels - 1
    while bid >= 0 and rules.book[BID, bid] == 0:
        bid -= 1
    ask = 0
    while ask < levels and rules.book[ASK, ask] == 0:
        ask += 1
    rules.touch[BID] = bid
    rules.touch[ASK] = ask


@inner
def _on_level(rules, row, side, level, lots, beliefs):
    rules.book[side, level] = lots
    if rules.left[side] > 0 and rules.level[side] == level:
        rules.ahead[side] = min(rules.ahead[side], lots)
    _find_touch(rules)
    other = 1 - side
    reached = rules.level[other] <= rules.touch[BID] if side == BID else rules.level[other] >= rules.touch[ASK]
    if beliefs.crossed and reached and rules.left[other] > 0:
        _fill(rules, row, other, rules.left[other])


@inner
def _on_print(rules, row, taker_side, level, lots, beliefs):
    side = 1 - taker_side
    if rules.left[side] == 0:
        return
    if rules.level[side] == level:
        past = max(0, lots - rules.ahead[side])
        rules.ahead[side] = max(0, rules.ahead[side] - lots)
        _fill(rules, row, side, min(past, rules.left[side]))
    elif (rules.level[side] > level) == (side == BID):
        _fill(rules, row, side, rules.left[side] if beliefs.through_whole else min(lots, rules.left[side]))


@inner
def _quote(rules, now, delay_ns):
    if rules.touch[BID] < 0 or rules.touch[ASK] >= rules.book.shape[1]:
        return
    for side in range(2):
        rests = rules.left[side] > 0 and rules.level[side] == rules.touch[side]
        if rules.due_ns[side] == 0 and not rests:
            rules.wanted[side] = rules.touch[side]
            rules.due_ns[side] = now + delay_ns
            rules.counts[1] += 1


@kernel
def _play(rules, events, level_of, opening, delay_ns, lots, beliefs):
    for row in range(len(events)):
        event = events[row]
        now = event["local_ns"]
        _arrivals(rules, beliefs, now, lots)
        if event["kind"] == LEVEL:
            _on_level(rules, row, event["side"], level_of[event["px"]], event["qty"], beliefs)
        elif event["kind"] == TRADE:
            _on_print(rules, row, event["side"], level_of[event["px"]], event["qty"], beliefs)
        if row >= opening:
            _quote(rules, now, delay_ns)


def expected_fills(
    events: np.ndarray,
    level_of: np.ndarray,
    levels: int,
    *,
    opening: int,
    delay_ns: int,
    lots: int,
    beliefs: Beliefs,
) -> np.ndarray:
    """``(F, 4)`` int64 rows of (tape row, side, level, lots): the fills on ``events``, EVENT rows with sizes in lots.

    ``level_of`` gives a price's level, of which there are ``levels``. The quoter acts on rows from ``opening`` on, and
    what it sends arrives ``delay_ns`` later. A row that is neither a level nor a print changes nothing: the opening
    book is made of levels.
    """

    def pair() -> np.ndarray:
        return np.zeros(2, np.int64)

    rules = Rules(
        np.zeros((2, levels), np.int64),
        np.array([NONE, levels], np.int64),
        pair(), pair(), pair(), pair(), pair(),
        np.zeros((len(events), 4), np.int64),
        pair(),
    )  # fmt: skip
    _play(rules, events, level_of, opening, delay_ns, lots, beliefs)
    return rules.log[: rules.counts[0]].copy()
