"""The control surface as data: a few bounded numbers say what is to be quoted. ``envs.quotes`` turns them into orders.

An action is a vector in [-1, 1], a number for each coordinate: -1 is its ``low``, 0 its ``default``, 1 its ``high``,
and linear between. So the zero vector is a plain market maker that joins the touch and leans against what it holds.

* ``spread``: ticks each quote stands behind its reference, negative in front of it. The reference is the best quote of
  others on the same side (``touch``), or their mid (``mid``), our own orders left out.
* ``offset``: ticks both quotes are shifted up, and ``skew``: ticks they are shifted down for each 100 contracts held
  net, YES less NO.
* ``bid_size``, ``ask_size``: contracts, rounded to whole steps of 5. What rounds to less than the venue's smallest
  order means: do not quote this side.

Prices are rounded to the tick, halves outwards. A quote never reaches the other side of the book, nor our other quote:
where the two would meet, both step back to their middle. They are post-only, and rest until another step wants
otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sim.types import LOTS_PER_CONTRACT
from sim.venues.fees import MAX_QTY

VERSION = 1
STEP_CONTRACTS = 5  # sizes are whole multiples of it
REFERENCES = ("touch", "mid")


class Coordinate(NamedTuple):
    """One number of an action: what -1, 0 and 1 stand for."""

    name: str
    unit: str
    low: float
    default: float
    high: float


COORDINATES = (
    Coordinate("offset", "ticks", -4.0, 0.0, 4.0),
    Coordinate("spread", "ticks", -2.0, 0.0, 8.0),
    Coordinate("skew", "ticks per 100 contracts", 0.0, 2.0, 10.0),
    Coordinate("bid_size", "contracts", 0.0, 20.0, 100.0),
    Coordinate("ask_size", "contracts", 0.0, 20.0, 100.0),
)
OFFSET, SPREAD, SKEW, BID_SIZE, ASK_SIZE = range(len(COORDINATES))
_SIZES = (BID_SIZE, ASK_SIZE)

# reference, and ranges that differ from the above
SURFACES: dict[str, tuple[str, dict[str, tuple[float, float, float]]]] = {
    "surface": ("touch", {}),
    "surface_mid": ("mid", {"spread": (0.0, 1.0, 8.0)}),
}


class Ranges(NamedTuple):
    """A surface as kernels want it, D coordinates."""

    low: np.ndarray  # (D,) float64
    default: np.ndarray  # (D,) float64
    high: np.ndarray  # (D,) float64
    at_mid: np.ndarray  # (1,) int64: 1 = the reference is the mid
    step_qty: np.ndarray  # (1,) int64: lots that sizes are multiples of


class Surface(NamedTuple):
    """A checked control surface."""

    listed: list[list]  # [name, unit, low, default, high]
    reference: str
    ranges: Ranges
    digest: str  # SHA-256 over version, reference, step and coordinates


def make_surface(
    name: str = "surface", *, reference: str | None = None, ranges: Mapping[str, Sequence[float]] | None = None
) -> Surface:
    """The surface of a name in ``SURFACES``, with another ``reference`` or other ``ranges`` (low, default, high).

    Raises ValueError for an unknown name, reference or coordinate, or a range that is not finite and in order, and for
    sizes below 0 or beyond what an order may have.
    """
    if name not in SURFACES:
        raise ValueError(f"no control surface {name!r}; the surfaces are {', '.join(SURFACES)}")
    own, changed = SURFACES[name]
    reference = own if reference is None else reference
    if reference not in REFERENCES:
        raise ValueError(f"control surface: reference {reference!r} is not one of {', '.join(REFERENCES)}")
    limits: dict[str, Sequence[float]] = {c.name: (c.low, c.default, c.high) for c in COORDINATES}
    for key in ranges or ():
        if key not in limits:
            raise ValueError(f"control surface: no coordinate {key!r}; they are {', '.join(limits)}")
    limits |= {**changed, **(ranges or {})}
    for index, (key, values) in enumerate(limits.items()):
        _check_range(key, values, sizes=index in _SIZES)
    listed = [[c.name, c.unit, *map(float, limits[c.name])] for c in COORDINATES]
    text = json.dumps({"version": VERSION, "reference": reference, "step": STEP_CONTRACTS, "coordinates": listed})
    low, default, high = np.array(list(limits.values()), np.float64).T.copy()
    at_mid, step_qty = np.array([int(reference == "mid")]), np.array([STEP_CONTRACTS * LOTS_PER_CONTRACT])
    coded = Ranges(low, default, high, at_mid, step_qty)
    return Surface(listed, reference, coded, hashlib.sha256(text.encode()).hexdigest())


def _check_range(name: str, values: Sequence[float], *, sizes: bool) -> None:
    if len(values) != 3 or not np.isfinite(values).all() or not values[0] <= values[1] <= values[2]:
        raise ValueError(f"control surface, {name}: expected low <= default <= high, three numbers, got {values}")
    most = MAX_QTY / LOTS_PER_CONTRACT if sizes else 10_000.0
    least = 0.0 if sizes else -most
    if values[0] < least or values[2] > most:
        raise ValueError(f"control surface, {name}: {values} leaves [{least:g}, {most:g}]")


def check_controls(actions: object, num_envs: int, markets: int) -> np.ndarray:
    """``actions`` ``(N, M x D)`` as a contiguous float64 array ``(N x M, D)``.

    Raises ValueError for another shape or type, or naming the first environment and coordinate that is not a number in
    [-1, 1]. Nothing is clipped: who samples from a wider distribution clips first.
    """
    given, shape = np.asarray(actions), (num_envs, markets * len(COORDINATES))
    if given.shape != shape or given.dtype.kind not in "fiu":
        raise ValueError(f"actions: expected numbers in [-1, 1], shape {shape}, got {given.dtype} {given.shape}")
    flat = np.ascontiguousarray(given, np.float64).reshape(num_envs * markets, -1)
    outside = ~((flat >= -1.0) & (flat <= 1.0))  # NaN is outside
    if outside.any():
        slot, index = (int(place) for place in np.argwhere(outside)[0])
        env, market = divmod(slot, markets)
        where = f"environment {env}" if markets == 1 else f"environment {env}, market {market}"
        name = COORDINATES[index].name
        raise ValueError(f"actions: {where}: {name} = {flat[slot, index]} lies outside [-1, 1]; clip it first")
    return flat
