"""The walk over an event stream that :mod:`sim.scenarios.trace` unpacks: a book, and what it does, in plain arrays."""

from __future__ import annotations

from sim.kernel import inner, kernel
from sim.types import (
    ASK,
    BID,
    CLEAR,
    DELTA,
    END_OF_BATCH,
    GAP,
    INFERRED,
    LEVEL,
    OPEN,
    SETTLE,
    STATUS,
    TRADE,
)

MOST_LEVELS = 10  # of depth a side

# Places in the walk's memory
BEST_BID, BEST_ASK, KNOWN, INSIDE, TRADING, NEXT_NS, STATES, MESSAGES, DEPTHS, TRADES, LAST_BID, LAST_ASK, MEMORY = (
    range(13)
)
WEIGHT = 2  # columns of a depth row: bid px, ask px, weight, stamp, bid sizes, ask sizes
STAMP = 3
FIRST_SIZE = 4


@kernel
def walk(
    t, venue_ns, kind, side, at, qty, flags, book, memory, states, messages, trades, depths,
    levels, period_ns, quiet_ns, sample_ns,
):  # fmt: skip
    """Apply every row to ``book`` (2, slots); what it does goes to the rows of ``states``, ``messages`` ...

    ``at`` is a price's place on the ladder of slots; ``t`` must not run back. ``memory[STATES]`` and so on say how many
    rows were written. ``levels`` = 0: no depth; ``sample_ns`` = 0: one sample a batch; ``period_ns`` = 0: no clock.
    """
    look_ns = t[0] if len(t) else 0  # next look at the best prices, where there is a clock
    for row in range(len(t)):
        if row and t[row] - t[row - 1] > quiet_ns:
            _state(memory, states, t[row - 1], 0, 0)
            memory[NEXT_NS] = t[row]
            look_ns = t[row]
        whole = row and flags[row - 1] & END_OF_BATCH and memory[KNOWN]
        if period_ns and t[row] > look_ns:
            if whole:
                _look(memory, book, states, look_ns)
            look_ns += ((t[row] - look_ns - 1) // period_ns + 1) * period_ns
        if levels and sample_ns and t[row] > memory[NEXT_NS]:
            ticks = (t[row] - memory[NEXT_NS] - 1) // sample_ns + 1
            if whole:
                _depth(memory, book, depths, levels, ticks, t[row])
            memory[NEXT_NS] += ticks * sample_ns
        _event(row, t, venue_ns, kind, side, at, qty, flags, book, memory, states, messages, trades)
        if flags[row] & END_OF_BATCH:
            memory[INSIDE] = 0
            if not period_ns:
                _look(memory, book, states, t[row])
            if levels and not sample_ns and memory[KNOWN]:
                _depth(memory, book, depths, levels, 1, t[row])


@inner
def _event(row, t, venue_ns, kind, side, at, qty, flags, book, memory, states, messages, trades):
    """What one row does to the book and the trace."""
    what = kind[row]
    if what in (DELTA, LEVEL):
        if memory[KNOWN]:
            _change(
                t[row], venue_ns[row], what, side[row], at[row], qty[row], flags[row] & INFERRED, book, memory, messages
            )
    elif what == TRADE:
        place = memory[TRADES]
        trades[place, 0] = t[row]
        trades[place, 1] = side[row]
        trades[place, 2] = qty[row]
        memory[TRADES] = place + 1
    elif what in (CLEAR, GAP):
        _clear(book, memory)
        memory[KNOWN] = what == CLEAR
        memory[INSIDE] = 1
        if what == GAP:
            _state(memory, states, t[row], 0, 0)
    elif what in (STATUS, SETTLE):
        memory[TRADING] = what == STATUS and qty[row] == OPEN
        if not memory[TRADING]:
            _state(memory, states, t[row], 0, 0)


@inner
def _clear(book, memory):
    slots = book.shape[1]
    for place in range(slots):
        book[BID, place] = 0
        book[ASK, place] = 0
    memory[BEST_BID] = -1
    memory[BEST_ASK] = slots


@inner
def _change(now_ns, venue_ns, what, side, at, qty, inferred, book, memory, messages):
    """One level's new size; the message, unless it is part of a snapshot or reveals what was there before."""
    slots = book.shape[1]
    before = book[side, at]
    after = before + qty if what == DELTA else qty
    book[side, at] = after
    change = max(after, 0) - max(before, 0)
    best = memory[BEST_BID] if side == BID else memory[BEST_ASK]
    at_touch = at >= best if side == BID else at <= best
    if side == BID:
        if after > 0 and at > best:
            memory[BEST_BID] = at
        while memory[BEST_BID] >= 0 and book[BID, memory[BEST_BID]] <= 0:
            memory[BEST_BID] -= 1
    else:
        if after > 0 and at < best:
            memory[BEST_ASK] = at
        while memory[BEST_ASK] < slots and book[ASK, memory[BEST_ASK]] <= 0:
            memory[BEST_ASK] += 1
    if memory[INSIDE] or change == 0 or (inferred and change > 0):
        return
    place = memory[MESSAGES]
    messages[place, 0] = now_ns
    messages[place, 1] = memory[LAST_BID] + memory[LAST_ASK]
    messages[place, 2] = change if at_touch else 0
    messages[place, 3] = venue_ns
    memory[MESSAGES] = place + 1


@inner
def _look(memory, book, states, now_ns):
    """The best prices now, where both sides are known and do not cross; else that nothing is known."""
    bid = memory[BEST_BID]
    ask = memory[BEST_ASK]
    if memory[KNOWN] and memory[TRADING] and 0 < bid < ask < book.shape[1]:
        _state(memory, states, now_ns, bid, ask)
    else:
        _state(memory, states, now_ns, 0, 0)


@inner
def _state(memory, states, now_ns, bid, ask):
    """Note best prices from ``now_ns`` on, where they are new; a later state of the same stamp replaces the earlier."""
    if bid == memory[LAST_BID] and ask == memory[LAST_ASK]:
        return
    memory[LAST_BID] = bid
    memory[LAST_ASK] = ask
    place = memory[STATES]
    if place and states[place - 1, 0] == now_ns:
        place -= 1
    states[place, 0] = now_ns
    states[place, 1] = bid
    states[place, 2] = ask
    memory[STATES] = place + 1


@inner
def _depth(memory, book, depths, levels, weight, now_ns):
    """One sample of the levels that hold orders, best first, unless the book is one-sided or crossed."""
    bid = memory[BEST_BID]
    ask = memory[BEST_ASK]
    if not memory[TRADING] or bid < 0 or bid >= ask or ask >= book.shape[1]:
        return
    row = memory[DEPTHS]
    depths[row, BID] = bid
    depths[row, ASK] = ask
    depths[row, WEIGHT] = weight
    depths[row, STAMP] = now_ns
    place = FIRST_SIZE
    while bid >= 0 and place < FIRST_SIZE + levels:
        if book[BID, bid] > 0:
            depths[row, place] = book[BID, bid]
            place += 1
        bid -= 1
    place = FIRST_SIZE + MOST_LEVELS
    while ask < book.shape[1] and place < FIRST_SIZE + MOST_LEVELS + levels:
        if book[ASK, ask] > 0:
            depths[row, place] = book[ASK, ask]
            place += 1
        ask += 1
    memory[DEPTHS] = row + 1
