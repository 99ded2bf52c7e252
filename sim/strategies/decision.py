"""What a strategy says, and the row of an action table that says it.

A decision has four parts: a verb, the leg it acts on, a number of contracts and a style. ``buy`` opens or adds,
``sell`` only reduces what is held, ``cancel`` takes back the order that gains from a leg (``YES``: the one on the bid
side, ``NO``: on the ask side, ``BOTH``), ``hold`` leaves everything as it is. ``passive`` joins the touch, ``cross``
takes. ``merge`` turns all pairs of YES and NO of a market into dollars (leg ``BOTH``), ``convert`` NO of some markets
of a set into dollars and YES of the others (leg ``NO``); both take all they can, so their rows say 0 contracts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sim.kernel import kernel
from sim.types import NO, YES

HOLD = 0
BUY = 1
SELL = 2
CANCEL = 3
MERGE = 4
CONVERT = 5
VERBS = ("hold", "buy", "sell", "cancel", "merge", "convert")

BOTH = 2
LEGS = ("YES", "NO", "BOTH")
LEG_CODES = (YES, NO, BOTH)

PASSIVE = 0
CROSS = 1
STYLES = ("passive", "cross")


class Decision(NamedTuple):
    """Decisions of a batch, or the rows of an action table: one entry each."""

    verb: np.ndarray  # int64: a code above
    leg: np.ndarray  # int64: YES, NO or BOTH
    contracts: np.ndarray  # float64
    style: np.ndarray  # int64: PASSIVE or CROSS


def empty_decisions(count: int) -> Decision:
    """``count`` times hold."""
    whole = np.zeros((3, count), np.int64)
    return Decision(whole[0], whole[1], np.zeros(count), whole[2])


def _code(row: int, column: str, word: object, words: Sequence[str]) -> int:
    if word not in words:
        raise ValueError(f"action table, row {row}: {column} {word!r} is not one of {', '.join(words)}")
    return words.index(word)


def _check_leg(index: int, row: Sequence, verb: int, leg: int) -> None:
    if leg == BOTH and verb not in (CANCEL, MERGE):
        raise ValueError(f"action table, row {index}: leg BOTH goes with cancel and merge only, not with {row[0]}")
    own = {MERGE: BOTH, CONVERT: NO}.get(verb, leg)
    if leg != own:
        raise ValueError(f"action table, row {index}: {row[0]} goes with leg {LEGS[own]} only, not with {row[1]}")


def table_from_rows(rows: Sequence[Sequence]) -> Decision:
    """Action table from rows ``[verb, leg, contracts, style]``, as ``spec_sheet["actions"]`` lists them.

    Raises ValueError naming the row for a word that is not known, a size that is not positive, a row that stands twice,
    ``BOTH`` with anything but cancel and merge, a merge or a convert with another leg than its own, or a table without
    a ``hold`` row.
    """
    table = empty_decisions(len(rows))
    seen: dict[tuple, int] = {}
    for index, row in enumerate(rows):
        if len(row) != 4:
            raise ValueError(f"action table, row {index}: expected [verb, leg, contracts, style], got {list(row)}")
        verb = _code(index, "verb", row[0], VERBS)
        leg = _code(index, "leg", row[1], LEGS)
        contracts = float(row[2])
        style = _code(index, "style", row[3], STYLES)
        trades = verb in (BUY, SELL)
        if trades != (contracts > 0.0) or not np.isfinite(contracts):
            raise ValueError(
                f"action table, row {index}: {row[0]} with {row[2]} contracts; buy and sell need more than 0, others 0"
            )
        _check_leg(index, row, verb, leg)
        key = (verb, leg, contracts, style)
        if key in seen:
            raise ValueError(f"action table, row {index}: the same as row {seen[key]}: {list(row)}")
        seen[key] = index
        table.verb[index], table.leg[index] = verb, leg
        table.contracts[index], table.style[index] = contracts, style
    if HOLD not in table.verb:
        raise ValueError("action table: expected a row with verb hold, found none")
    return table


def rows_from_table(table: Decision) -> list[list]:
    """Inverse of :func:`table_from_rows`: plain lists that JSON can hold."""
    return [
        [VERBS[verb], LEGS[leg], int(contracts) if contracts == int(contracts) else float(contracts), STYLES[style]]
        for verb, leg, contracts, style in zip(*table, strict=True)
    ]


@kernel
def _nearest(t_verb, t_leg, t_contracts, t_style, verb, leg, contracts, style, out):
    hold = 0
    while t_verb[hold] != HOLD:
        hold += 1
    for i in range(len(verb)):
        best = hold
        best_gap = np.inf
        for row in range(len(t_verb)):
            if verb[i] == HOLD or t_verb[row] != verb[i] or t_leg[row] != leg[i]:
                continue
            if verb[i] != CANCEL and t_style[row] != style[i]:
                continue
            gap = abs(t_contracts[row] - contracts[i])
            if gap < best_gap:
                best = row
                best_gap = gap
        out[i] = best


def nearest_actions(table: Decision, decisions: Decision) -> np.ndarray:
    """Row of ``table`` for each decision, int64 ``(N,)``: same verb, leg and style, nearest size, the first of equals.

    Where the table has no such row, a crossing order in a passive table for instance, the answer is its hold row.
    """
    out = np.zeros(len(decisions.verb), np.int64)
    _nearest(*table, *decisions, out)
    return out
