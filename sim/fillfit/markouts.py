"""Adverse selection: what a maker's fill is worth some seconds later, and how sure that is.

The markout of a fill at a horizon is mid(fill + horizon) - price for a bid that was hit, price - mid for an ask, in
cents: positive is good for the maker. Fills of one market share its fate, so intervals count markets, not fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sim.importers import common
from sim.types import ASK, BID, PX_ONE, SECOND_NS

HORIZONS_S = (1, 5, 30, 60)
SPLIT_DAY = "2026-05-19"  # of the real maker's fills: before it is early
_Z = 1.959963984540054
_CENTS = 100.0 / PX_ONE


class Markout(NamedTuple):
    """Mean markout at one horizon, cents, with its 95 % interval."""

    horizon_s: float
    mean: float
    low: float
    high: float
    fills: int
    clusters: int


def markouts(
    fill_ns: np.ndarray,
    side: np.ndarray,
    px: np.ndarray,
    mid_ns: np.ndarray,
    mid2_px: np.ndarray,
    horizons_s: Sequence[float] = HORIZONS_S,
    end_ns: int | None = None,
) -> np.ndarray:
    """(F, H) float64 cents: markouts of a quoter's F fills in one market at H horizons.

    ``side`` is that of our order: BID bought YES. ``px`` is the fill's price, 1e-4 dollar, YES space. ``mid_ns`` (M,)
    ascending and ``mid2_px`` (M,) are the path of bid + ask, a value holding until the next. NaN where the path is not
    known at fill + horizon: that is after ``end_ns`` (default: the last of ``mid_ns``) or before its first value.
    Raises ValueError for lengths that differ, an empty path, one that does not ascend, or another side.
    """
    fill_ns, side, px = (np.asarray(values, np.int64) for values in (fill_ns, side, px))
    mid_ns, mid2_px = np.asarray(mid_ns, np.int64), np.asarray(mid2_px, np.int64)
    if not len(fill_ns) == len(side) == len(px):
        raise ValueError(f"markouts: {len(fill_ns)} stamps, {len(side)} sides, {len(px)} prices; expected one a fill")
    if len(mid_ns) != len(mid2_px) or not len(mid_ns) or (np.diff(mid_ns) < 0).any():
        raise ValueError(
            f"markouts: expected a path of ascending stamps, a mid each; got {len(mid_ns)} stamps, {len(mid2_px)} mids"
        )
    if not np.isin(side, (BID, ASK)).all():
        raise ValueError(f"markouts: a side is {BID} (bid) or {ASK} (ask), got {sorted(set(side.tolist()))}")
    last = int(mid_ns[-1]) if end_ns is None else int(end_ns)
    out = np.full((len(fill_ns), len(horizons_s)), np.nan)
    for column, horizon in enumerate(horizons_s):
        at = fill_ns + round(horizon * SECOND_NS)
        place = np.searchsorted(mid_ns, at, side="right") - 1
        known = (place >= 0) & (at <= last)
        gain = 0.5 * mid2_px[place[known]] - px[known]
        out[known, column] = np.where(side[known] == BID, gain, -gain) * _CENTS
    return out


def summarise(values: np.ndarray, cluster: np.ndarray, horizons_s: Sequence[float] = HORIZONS_S) -> list[Markout]:
    """Mean of each column of (F, H) markouts, NaN left out, with cluster-robust intervals.

    The standard error of a mean over n fills in C clusters is sqrt(C / (C - 1) x sum over clusters of (sum of
    deviations) ** 2) / n, the interval 1.96 of them either way; NaN with fewer than two clusters.
    """
    if values.shape != (len(cluster), len(horizons_s)):
        raise ValueError(f"summarise: expected ({len(cluster)}, {len(horizons_s)}) markouts, got {values.shape}")
    return [_mean(values[:, index], cluster, float(horizon)) for index, horizon in enumerate(horizons_s)]


def _mean(values: np.ndarray, cluster: np.ndarray, horizon_s: float) -> Markout:
    known = ~np.isnan(values)
    values = values[known]
    if not len(values):
        return Markout(horizon_s, float("nan"), float("nan"), float("nan"), 0, 0)
    names, member = np.unique(cluster[known], return_inverse=True)
    mean = float(values.mean())
    half = float("nan")
    if len(names) > 1:
        sums = np.bincount(member, values - mean)
        half = _Z * float(np.sqrt(len(names) / (len(names) - 1) * np.sum(sums**2))) / len(values)
    return Markout(horizon_s, mean, mean - half, mean + half, len(values), len(names))


def real_maker(path: str | Path, split_day: str = SPLIT_DAY) -> dict[str, list[Markout]]:
    """Markouts of a real post-only maker's recorded fills: ``all``, ``early`` (before ``split_day``, UTC) and ``late``.

    The file is Parquet with ``ts``, ``ticker`` and ``markout_1s`` ... in cents, positive good for the maker; clusters
    are markets. Raises TapeError where the file or a column is missing, ValueError where one part has no fills.
    """
    names = [f"markout_{horizon}s" for horizon in HORIZONS_S]
    frame = common.read_frame(Path(path), ("ts", "ticker", *names))
    late = (frame["ts"] >= np.datetime64(split_day)).to_numpy() if frame["ts"].dt.tz is None else None
    if late is None:
        late = (frame["ts"].dt.tz_convert("UTC").dt.tz_localize(None) >= np.datetime64(split_day)).to_numpy()
    values = frame[names].to_numpy(np.float64)
    cluster = frame["ticker"].to_numpy(str)
    if late.all() or not late.any():
        raise ValueError(f"{path}: all fills lie on one side of {split_day}; choose another day to split at")
    parts = {"all": np.ones(len(frame), np.bool_), "early": ~late, "late": late}
    return {name: summarise(values[part], cluster[part]) for name, part in parts.items()}
