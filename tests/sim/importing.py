"""What the importers' tests share: tapes by name, rows as tuples, reports added up."""

from __future__ import annotations

import os

from sim.importers import convert
from sim.types import (
    END_OF_BATCH,
    INFERRED,
    KIND_NAMES,
)
from sim.validate import Report, validate

MICRO = 1_000_000
LOT = 10_000  # 1e-2 contract in 1e-6 contract
MS = 1_000_000
END = END_OF_BATCH
BOTH = END_OF_BATCH | INFERRED
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"


def all_tapes(source, format_name=None):
    return dict(convert(source, format_name).tapes)


def seen(tape, *names):
    """Rows as readable tuples: kind, side, px, qty, flags, and the fields asked for."""
    fields = ("side", "px", "qty", "flags", *names)
    return [(KIND_NAMES[row["kind"]], *(int(row[name]) for name in fields)) for row in tape.events]


def validated(tapes):
    total = Report()
    for tape in tapes.values():
        total = total.plus(validate(tape))
    return total
