"""Kernels of the walk: a ladder with the memory of its recent prints and drops, and orders that stand in its queues.

A level's drop and the print that explains it come in either order. Two memories keep a print from counting twice:

* a print without a drop yet leaves a *credit*; the level's next drop uses it up before anything counts as a cancel;
* a drop without a print yet counts as a cancel at once, and is remembered for ``window_ns``: a print that comes within
  it takes the cancel back from every order that it moved, and only then eats the queue.

What a print tells of the time before an order came is no news to that order. Each order has a number; its state and
its result lie in that row of the arrays, and those still followed are ``[head, tail)``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.kernel import inner
from sim.shares import share_ahead
from sim.types import BID

RING = 16  # drops of one level that are remembered; the oldest is forgotten first

# Places in Walk.mark
HEAD, TAIL, BEST_BID, BEST_ASK, TABLE, TRUSTED, IN_SNAPSHOT, STATUS, MID2, NOW, ROW, COUNTS = range(12)


class Walk(NamedTuple):
    """Everything the walk over one tape changes. L levels, N orders, T sizes, K lives."""

    book: np.ndarray  # (2, L) int64 lots
    credit_qty: np.ndarray  # (2, L) int64 lots printed and not yet seen to leave the level
    credit_ns: np.ndarray  # (2, L) int64 when the last of them was printed
    drop_qty: np.ndarray  # (2, L, RING) int64 lots that left and are not yet explained by a print
    drop_ns: np.ndarray  # (2, L, RING) int64
    drop_row: np.ndarray  # (2, L, RING) int64 row of the tape
    drops: np.ndarray  # (2, L) int64 drops so far; the next goes to this number modulo RING
    mark: np.ndarray  # (COUNTS,) int64
    activity: np.ndarray  # (1,) ACTIVITY, of which prints, lots and the moves of the mid are kept
    side: np.ndarray  # (N,) int64
    level: np.ndarray  # (N,) int64
    entry_ns: np.ndarray  # (N,) int64
    entry_row: np.ndarray  # (N,) int64 the row after which the order came
    ahead: np.ndarray  # (N,) int64 lots of others before us at our price
    before: np.ndarray  # (N,) int64 lots of `ahead` that had been printed when we came, and not yet left the level
    taken: np.ndarray  # (N, RING) int64 what each remembered drop took from ahead of us
    old: np.ndarray  # (N,) int64 scratch: lots of the present print that left before we came
    reach: np.ndarray  # (N,) int64 lots of prints that got to us
    through_ns: np.ndarray  # (N,) int64 first print through our price, -1 = none
    filled_ns: np.ndarray  # (N, T) int64 when `reach` came to each size, -1 = never
    last_at_ns: np.ndarray  # (N, K) int64 last print at our price within each life, before any through it; -1 = none
    followed_ns: np.ndarray  # (N,) int64 how long the order was followed


class Rules(NamedTuple):
    """What an order's fate depends on besides the tape."""

    share: int  # code of sim.shares
    power: float
    window_ns: int  # how long after a level's drop its print may come; 0 = prints always come first
    credit_ns: int  # how long after a print the level's drop may come
    sizes: np.ndarray  # (T,) int64 lots, ascending
    lives: np.ndarray  # (K,) int64 ns, ascending; orders are followed for the last


@inner
def _take_credit(walk, rules, side, level, drop, now):
    """Lots of a drop that prints have announced."""
    if now - walk.credit_ns[side, level] > rules.credit_ns:
        walk.credit_qty[side, level] = 0
    printed = min(walk.credit_qty[side, level], drop)
    walk.credit_qty[side, level] -= printed
    return printed


@inner
def _remember_drop(walk, side, level, qty, now):
    """Place in the ring of a drop that may yet turn out to be a trade."""
    at = walk.drops[side, level] % RING
    walk.drops[side, level] += 1
    walk.drop_qty[side, level, at] = qty
    walk.drop_ns[side, level, at] = now
    walk.drop_row[side, level, at] = walk.mark[ROW]
    return at


@inner
def level_fell(walk, rules, side, level, old, new, now):
    """A level went from ``old`` to ``new`` lots: part was printed before, the rest counts as cancelled."""
    printed = _take_credit(walk, rules, side, level, old - new, now)
    cancelled = old - new - printed
    at = -1
    if cancelled > 0 and rules.window_ns > 0:
        at = _remember_drop(walk, side, level, cancelled, now)
    for order in range(walk.mark[HEAD], walk.mark[TAIL]):
        if walk.side[order] != side or walk.level[order] != level:
            continue
        gone = min(printed, walk.before[order])  # traded before we came, and still on the level when we came
        walk.before[order] -= gone
        ahead = max(0, walk.ahead[order] - gone)
        left = ahead - share_ahead(rules.share, rules.power, ahead, old - printed - ahead, cancelled)
        left = min(left, new)
        walk.ahead[order] = left
        if at >= 0:
            walk.taken[order, at] = ahead - left


@inner
def _explain(walk, side, level, at, part):
    """``part`` lots of the drop in place ``at`` were a trade: undo the cancel, or count it as old news."""
    row = walk.drop_row[side, level, at]
    has = walk.drop_qty[side, level, at]
    for order in range(walk.mark[HEAD], walk.mark[TAIL]):
        if walk.side[order] != side:
            continue
        if row <= walk.entry_row[order]:
            walk.old[order] += part
        elif walk.level[order] == level:
            back = walk.taken[order, at] * part // has
            walk.taken[order, at] -= back
            walk.ahead[order] += back
    walk.drop_qty[side, level, at] = has - part


@inner
def _explain_drops(walk, rules, side, level, qty, now):
    """Explain remembered drops of a level by a print of ``qty``, oldest first. Returns the lots explained."""
    explained = 0
    made = walk.drops[side, level]
    for number in range(max(0, made - RING), made):
        at = number % RING
        if now - walk.drop_ns[side, level, at] > rules.window_ns:
            walk.drop_qty[side, level, at] = 0
        part = min(walk.drop_qty[side, level, at], qty - explained)
        if part > 0:
            _explain(walk, side, level, at, part)
            explained += part
    return explained


@inner
def _reaches(walk, rules, order, qty, now):
    """``qty`` lots of a print got to the order; sizes that are now complete are stamped."""
    if qty <= 0:
        return
    walk.reach[order] += qty
    for size in range(len(rules.sizes)):
        if walk.filled_ns[order, size] < 0 and walk.reach[order] >= rules.sizes[size]:
            walk.filled_ns[order, size] = now


@inner
def _stand_in_line(walk, rules, order, qty, now):
    """A print at the order's price: it eats those ahead, the rest reaches us."""
    if walk.through_ns[order] < 0:
        for life in range(len(rules.lives)):
            if now - walk.entry_ns[order] <= rules.lives[life]:
                walk.last_at_ns[order, life] = now
    eaten = min(walk.ahead[order], qty)
    walk.ahead[order] -= eaten
    _reaches(walk, rules, order, qty - eaten, now)


@inner
def _credit_print(walk, rules, side, level, qty, now):
    """A print of a known side: drops that came before it are explained, the rest waits for the next drop."""
    for order in range(walk.mark[HEAD], walk.mark[TAIL]):
        walk.old[order] = 0
    explained = _explain_drops(walk, rules, side, level, qty, now)
    if now - walk.credit_ns[side, level] > rules.credit_ns:
        walk.credit_qty[side, level] = 0
    walk.credit_qty[side, level] += qty - explained
    walk.credit_ns[side, level] = now


@inner
def print_hits(walk, rules, side, level, qty, side_known, now):
    """A print at ``level`` against the book's ``side``; without the taker's side only through orders."""
    if side_known:
        _credit_print(walk, rules, side, level, qty, now)
    for order in range(walk.mark[HEAD], walk.mark[TAIL]):
        if walk.side[order] != side:
            continue
        news = qty - walk.old[order] if side_known else qty
        deeper = level - walk.level[order] if side == BID else walk.level[order] - level
        if deeper > 0 or news <= 0 or (deeper == 0 and not side_known):
            continue
        if deeper == 0:
            _stand_in_line(walk, rules, order, news, now)
            continue
        if walk.through_ns[order] < 0:
            walk.through_ns[order] = now
        _reaches(walk, rules, order, news, now)


@inner
def set_size(walk, side, level, qty):
    """Put ``qty`` lots on a level; the best level of the side follows: -1 and L where the side is empty."""
    walk.book[side, level] = qty
    best = walk.mark[BEST_BID + side]
    if side == BID:
        if qty > 0 and level > best:
            walk.mark[BEST_BID] = level
        elif qty == 0 and level == best:
            while best >= 0 and walk.book[BID, best] == 0:
                best -= 1
            walk.mark[BEST_BID] = best
        return
    if qty > 0 and level < best:
        walk.mark[BEST_ASK] = level
    elif qty == 0 and level == best:
        while best < walk.book.shape[1] and walk.book[side, best] == 0:
            best += 1
        walk.mark[BEST_ASK] = best


@inner
def clear(walk):
    """Both sides become empty, nothing is expected of them; orders keep their places until the snapshot is whole."""
    for side in range(2):
        for level in range(walk.book.shape[1]):
            walk.book[side, level] = 0
            walk.credit_qty[side, level] = 0
            walk.drops[side, level] = 0
    walk.mark[BEST_BID] = -1
    walk.mark[BEST_ASK] = walk.book.shape[1]


@inner
def cut_to_shown(walk):
    """A snapshot says nothing of why a level changed: nobody ahead of us can be more than what it shows."""
    for order in range(walk.mark[HEAD], walk.mark[TAIL]):
        walk.ahead[order] = min(walk.ahead[order], walk.book[walk.side[order], walk.level[order]])
        walk.before[order] = 0


@inner
def stop_all(walk, now):
    """The tape stops saying what happens to orders: all are followed up to here only."""
    for order in range(walk.mark[HEAD], walk.mark[TAIL]):
        walk.followed_ns[order] = now - walk.entry_ns[order]
    walk.mark[HEAD] = walk.mark[TAIL]


@inner
def retire(walk, rules, now):
    """Orders whose longest life is over leave; they came in the order of their numbers."""
    longest = rules.lives[len(rules.lives) - 1]
    while walk.mark[HEAD] < walk.mark[TAIL]:
        order = walk.mark[HEAD]
        if now - walk.entry_ns[order] <= longest:
            return
        walk.followed_ns[order] = longest
        walk.mark[HEAD] += 1
