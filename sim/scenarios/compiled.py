"""Scenario rows as the kernels want them: integers in the simulator's units, rates as cumulative thresholds."""

from __future__ import annotations

import numpy as np

from sim.types import LOTS_PER_CONTRACT, SECOND_NS

PPM = 1_000_000

# The kinds of arrivals in the synthetic market, in the order of their thresholds.
ADD = 0
CANCEL = 1
NOISE = 2
INFORMED = 3
REPRICE = 4
NEWS = 5
FORECAST = 6
ARRIVALS = ("add_rate", "cancel_rate", "noise_rate", "informed_rate", "maker_rate", "news_rate", "signal_rate")

COMPILED_ROW = np.dtype(
    [
        ("interval_ns", "<f8"),  # mean time between arrivals of any kind
        ("threshold", "<i8", (len(ARRIVALS),)),  # a 32-bit word is of the first kind whose threshold exceeds it
        ("life_ns", "<i8"),
        ("belief_low_ppm", "<i8"),
        ("belief_high_ppm", "<i8"),
        ("news_size_ppm", "<i8"),
        ("half_spread_ppm", "<i8"),
        ("levels", "<i8"),
        ("depth_qty", "<f8"),
        ("add_qty", "<f8"),
        ("cancel_share", "<f8"),
        ("noise_qty", "<f8"),
        ("informed_qty", "<f8"),
        ("informed_edge_ppm", "<i8"),
        ("signal_err_low_ppm", "<i8"),
        ("signal_err_high_ppm", "<i8"),
        ("order_delay_ns", "<i8"),
        ("cancel_delay_ns", "<i8"),
        ("used_life_ns", "<i8"),
        ("fill_life_ns", "<i8"),
        ("trade_share", "<f8"),
        ("cancel_ahead", "<f8"),
        ("fill_base", "<f8"),
        ("fill_queue", "<f8"),
        ("fill_spread", "<f8"),
        ("fill_activity", "<f8"),
        ("fill_time", "<f8"),
        ("fill_size", "<f8"),
    ]
)


def _whole(values: np.ndarray, scale: float) -> np.ndarray:
    return np.rint(values * scale).astype(np.int64)


def compile_rows(rows: np.ndarray) -> np.ndarray:
    """``(R,)`` COMPILED_ROW of checked ``rows``."""
    compiled = np.zeros(len(rows), COMPILED_ROW)
    rates = np.stack([rows[name] for name in ARRIVALS], axis=1)
    total = rates.sum(axis=1)
    compiled["interval_ns"] = SECOND_NS / total
    compiled["threshold"] = np.rint(np.cumsum(rates, axis=1) / total[:, None] * 2**32).astype(np.int64)
    for name in (
        "belief_low",
        "belief_high",
        "news_size",
        "half_spread",
        "informed_edge",
        "signal_err_low",
        "signal_err_high",
    ):
        compiled[f"{name}_ppm"] = _whole(rows[name], PPM)
    for name in ("depth", "noise", "informed", "add"):
        source = name if name == "depth" else f"{name}_size"
        compiled[f"{name}_qty"] = rows[source] * LOTS_PER_CONTRACT
    for name in ("order_delay", "cancel_delay"):
        compiled[f"{name}_ns"] = _whole(rows[f"{name}_ms"], SECOND_NS / 1000)
    for name in ("life", "used_life", "fill_life"):
        compiled[f"{name}_ns"] = _whole(rows[f"{name}_s"], SECOND_NS)
    for name in (
        "cancel_share", "trade_share", "cancel_ahead", "fill_base", "fill_queue", "fill_spread", "fill_activity",
        "fill_time", "fill_size",
    ):  # fmt: skip
        compiled[name] = rows[name]
    compiled["levels"] = _whole(rows["levels"], 1)
    return compiled
