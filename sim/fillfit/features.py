"""Hypothetical orders to rows of a regression: the terms of :mod:`sim.fillmodel`, and whether the order was filled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.fillfit.playing import (
    AHEAD_QTY,
    BETTER_QTY,
    DISTANCE,
    FACING_QTY,
    MID2_PX,
    PX,
    SPREAD_PX,
    TICK_PX,
    TOUCH_QTY,
    Found,
)
from sim.fillmodel import TERMS, Standing, flow_of, terms_of
from sim.kernel import kernel
from sim.types import BID, SECOND_NS

LABELS = ("first", "full")
DISTANCE_NAMES = ("inside", "touch", "1 tick", "2 ticks", "3 ticks")


class Sample(NamedTuple):
    """Rows of a regression: R orders (times sizes), K terms."""

    terms: np.ndarray  # (R, K) float64, in the order of sim.fillmodel.TERMS
    filled: np.ndarray  # (R,) float64, 0 or 1: within the life
    through: np.ndarray  # (R,) float64, 0 or 1: a print went through the price within the life
    exposure: np.ndarray  # (R,) float64 in [0, 1]: last print at the price within the life and before one through it
    filled_at: np.ndarray  # (R,) float64, 0 or 1: filled within the life by a print at the price, before one through it
    exposure_at: np.ndarray  # (R,) float64 in [0, 1]: as exposure, of a filled_at order the print that filled it
    distance: np.ndarray  # (R,) int64 ticks behind the touch, -1 = inside
    cluster: np.ndarray  # (R,) of str


def sample(
    found: Found,
    cluster: str,
    *,
    life_s: float,
    life: int,
    sizes: np.ndarray,
    memory: int,
    move_memory: int,
    label: str = "first",
    close_ns: int = 0,
) -> Sample:
    """Rows of the orders of one tape that were followed for at least ``life_s``, the walk's life number ``life``.

    ``label`` ``first``: the first lot of a print reached the order (``sizes[0]``, the smallest; own size counts as 0).
    ``full``: complete within the life, one row for each further size. ``close_ns`` = 0: no close is known.
    ``memory`` and ``move_memory`` (2 or 3) number the half-lives of :mod:`sim.activity`, for takers and for the mid.
    Raises ValueError for an unknown label, or ``full`` without a second size.
    """
    if label not in LABELS:
        raise ValueError(f"sample: no label {label!r}; the labels are {', '.join(LABELS)}")
    if label == "full" and len(sizes) < 2:
        raise ValueError(f"sample: the label 'full' needs sizes besides the smallest, got {sizes.tolist()}")
    life_ns = round(life_s * SECOND_NS)
    kept = np.flatnonzero(found.followed_ns >= life_ns)
    chosen = (0,) if label == "first" else tuple(range(1, len(sizes)))
    parts = []
    for size in chosen:
        own = 0 if label == "first" else int(sizes[size])
        left = np.where(close_ns > 0, (close_ns - found.entry_ns) / SECOND_NS, -1.0)
        terms = np.empty((len(found.side), len(TERMS)))
        _fill_terms(
            found.noted, found.activity, found.side, left, float(own), float(life_s), memory, move_memory, terms
        )
        parts.append((terms[kept], *_outcome(found, size, life, life_ns, kept), found.noted[kept, DISTANCE]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Sample(*[*columns, np.full(len(columns[1]), cluster)])


def _outcome(found: Found, size: int, life: int, life_ns: int, kept: np.ndarray) -> tuple[np.ndarray, ...]:
    """What became of the kept orders: filled, through, exposure, filled_at, exposure_at of :class:`Sample`."""
    entry = found.entry_ns[kept]
    filled_in, through_in, last_in = (
        np.where(stamp >= 0, (stamp - entry) / life_ns, np.inf)
        for stamp in (found.filled_ns[kept, size], found.through_ns[kept], found.last_at_ns[kept, life])
    )
    filled = filled_in <= 1.0
    filled_at = filled & (filled_in < through_in)
    exposure = np.where(np.isfinite(last_in), last_in, 0.0)
    exposure_at = np.where(filled_at, filled_in, exposure)
    return filled * 1.0, (through_in <= 1.0) * 1.0, exposure, filled_at * 1.0, exposure_at


def join(samples: list[Sample]) -> Sample:
    """One sample of many. Raises ValueError where there is no row."""
    samples = [part for part in samples if len(part.filled)]
    if not samples:
        raise ValueError("no hypothetical order was followed for its life: the recording is too short for this life")
    return Sample(*(np.concatenate(column) for column in zip(*samples, strict=True)))


@kernel
def _fill_terms(noted, activities, sides, left, own_qty, life_s, memory, move_memory, terms):
    """Terms of every order: the same functions as the engine calls."""
    for order in range(len(sides)):
        side = sides[order]
        note = noted[order]
        gap = 0.5 * note[MID2_PX] - note[PX]
        standing = Standing(
            float(note[DISTANCE]), float(note[AHEAD_QTY]), float(note[BETTER_QTY]), float(note[TICK_PX]),
            float(note[SPREAD_PX]), gap if side == BID else -gap, float(note[TOUCH_QTY]), float(note[FACING_QTY]),
        )  # fmt: skip
        flow = flow_of(activities[order], side, memory, move_memory, life_s)
        found = terms_of(standing, flow, own_qty, left[order])
        for term in range(len(found)):
            terms[order, term] = found[term]
