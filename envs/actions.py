"""Action tables as data. ``envs.decode`` says what can be done of them and turns a choice into intents.

A row says a wanted state: ``[verb, leg, contracts, style]``. In YES space

* ``buy YES`` and ``sell NO`` are orders on the bid side, ``buy NO`` and ``sell YES`` on the ask side;
* ``cross`` is an immediate-or-cancel order with a limit of the best opposite quote plus ``cross_ticks`` ticks, or as
  many as the tick table has; ``passive`` joins the touch of its own side, post-only, and rests;
* an order replaces what of ours rests on its side or is under way to rest there; the engine keeps one of the same
  price and size in its queue. An immediate order under way is not taken back: one a step is as many orders;
* ``sell`` only reduces: its size is the smaller of the row's and of what is held and not promised elsewhere;
* ``cancel`` takes back the order that gains from a leg: YES the one on the bid side, NO on the ask side, BOTH both;
* ``merge`` turns all pairs of YES and NO of the market that no order has promised into a dollar each;
* ``convert`` turns NO into dollars and YES of the others (docs/portfolios.md): all markets of a set that choose it in a
  step are converted together, each as many lots as the one of them has that has fewest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sim.strategies.decision import CROSS, Decision, rows_from_table, table_from_rows
from sim.types import LOTS_PER_CONTRACT
from sim.venues.fees import MAX_QTY

VERSION = 1
SIZES = (5, 10, 25, 50, 100)
BARRED = -1  # verb of a row that is not offered: never done, always masked
_HOLD = ("hold", "YES", 0, "cross")


def _trades(style: str) -> list[tuple]:
    return [(verb, leg, size, style) for verb in ("buy", "sell") for leg in ("YES", "NO") for size in SIZES]


TABLES: dict[str, list[tuple]] = {
    "taker21": [_HOLD, *_trades("cross")],
    "maker21": [_HOLD, *_trades("passive")],
    "full": [
        _HOLD,
        *_trades("cross"),
        *_trades("passive"),
        *(("cancel", leg, 0, "passive") for leg in ("YES", "NO", "BOTH")),
    ],
}
TABLES["portfolio"] = [*TABLES["full"], ("merge", "BOTH", 0, "cross"), ("convert", "NO", 0, "cross")]
TABLES["seller"] = [
    _HOLD,
    *(("sell", "YES", size, style) for style in ("cross", "passive") for size in SIZES),
    ("cancel", "NO", 0, "passive"),
]


class Rows(NamedTuple):
    """The rows of a table as kernels want them, A entries each."""

    verb: np.ndarray  # int64
    leg: np.ndarray  # int64
    qty: np.ndarray  # int64 lots
    cross: np.ndarray  # int64: 1 = takes, 0 = joins the touch
    kind: np.ndarray  # int64: rows of one kind differ in size only
    smallest: np.ndarray  # (kinds,) int64: the row of a kind with the smallest size
    largest: np.ndarray  # (kinds,) int64


_NONE = np.zeros(0, np.int64)
NO_ROWS = Rows(*[_NONE] * len(Rows._fields))  # of who does not choose rows: nothing to mask


class ActionTable(NamedTuple):
    """A checked action table."""

    listed: list[list]  # [verb, leg, contracts, style]
    rows: Rows
    cross_ticks: int
    digest: str  # SHA-256 over version, rows and cross_ticks


def make_table(
    table: str | Sequence[Sequence], *, cross_ticks: int = 2, sizes: Sequence[float] | None = None
) -> ActionTable:
    """The table of a name in ``TABLES``, or of rows ``[verb, leg, contracts, style]``.

    ``sizes``: contracts of the orders that are offered, None = all. The other orders stay where they are in the table,
    and its digest is the same, but they cannot be done: a policy learns with few sizes and goes on with more.

    Raises ValueError for an unknown name, a bad row (see ``table_from_rows``), a size that is not a whole number of
    0.01 contract, ``cross_ticks`` below 0, or ``sizes`` that the table does not have.
    """
    if isinstance(table, str):
        if table not in TABLES:
            raise ValueError(f"no action table {table!r}; the tables are {', '.join(TABLES)}")
        table = TABLES[table]
    if cross_ticks < 0:
        raise ValueError(f"action table: cross_ticks must be 0 or more, got {cross_ticks}")
    checked = table_from_rows(table)
    qty = np.rint(checked.contracts * LOTS_PER_CONTRACT).astype(np.int64)
    if (qty > MAX_QTY).any():
        row = int(np.argmax(qty))
        raise ValueError(f"action table, row {row}: {checked.contracts[row]} contracts, the most are {MAX_QTY / 100:g}")
    odd = np.abs(qty - checked.contracts * LOTS_PER_CONTRACT) > 1e-6
    if odd.any():
        row = int(np.argmax(odd))
        raise ValueError(f"action table, row {row}: {checked.contracts[row]} contracts is not a whole number of 0.01")
    listed = rows_from_table(checked)
    text = json.dumps({"version": VERSION, "rows": listed, "cross_ticks": cross_ticks})
    rows = _code(checked._replace(verb=_offered(checked, sizes)), qty)
    return ActionTable(listed, rows, cross_ticks, hashlib.sha256(text.encode()).hexdigest())


def _offered(table: Decision, sizes: Sequence[float] | None) -> np.ndarray:
    """Verbs of the rows, `BARRED` in the place of orders whose size is not among ``sizes``."""
    if sizes is None:
        return table.verb
    there = sorted(set(table.contracts[table.contracts > 0.0].tolist()))
    missing = [size for size in sizes if size not in there]
    if missing or not sizes:
        raise ValueError(f"sizes: expected some of {', '.join(f'{size:g}' for size in there)}, got {list(sizes)}")
    return np.where((table.contracts > 0.0) & ~np.isin(table.contracts, list(sizes)), BARRED, table.verb)


def _code(table: Decision, qty: np.ndarray) -> Rows:
    keys = np.stack([table.verb, table.leg, table.style], axis=1)
    kinds, kind = np.unique(keys, axis=0, return_inverse=True)
    members = [np.flatnonzero(kind == index) for index in range(len(kinds))]
    smallest = np.array([rows[np.argmin(qty[rows])] for rows in members])
    largest = np.array([rows[np.argmax(qty[rows])] for rows in members])
    cross = (table.style == CROSS).astype(np.int64)
    return Rows(table.verb, table.leg, qty, cross, kind.astype(np.int64), smallest, largest)


def check_actions(actions: object, shape: tuple[int, ...], num_rows: int) -> np.ndarray:
    """``actions`` of ``shape`` (N,) or (N, M) as a contiguous int64 array ``(N x M,)``.

    Raises ValueError for another shape or type, or naming the first environment whose action is outside the table.
    """
    given = np.asarray(actions)
    if given.shape != shape or given.dtype.kind not in "iu":
        each = "" if len(shape) == 1 else f" for each of {shape[1]} markets"
        raise ValueError(f"actions: expected {shape[0]} integers{each}, shape {shape}, got {given.dtype} {given.shape}")
    flat = np.ascontiguousarray(given.reshape(-1), np.int64)
    outside = flat.view(np.uint64) >= num_rows  # what is negative is very large there
    if np.count_nonzero(outside):
        slot = int(np.argmax(outside))
        env, market = divmod(slot, flat.size // shape[0])
        where = f"environment {env}" if len(shape) == 1 else f"environment {env}, market {market},"
        raise ValueError(f"actions: {where} chose {given.reshape(-1)[slot]}; the table has rows 0 to {num_rows - 1}")
    return flat
