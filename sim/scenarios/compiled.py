"""Scenario rows as the kernels want them: integers in the simulator's units, rates as cumulative thresholds."""

from __future__ import annotations

import numpy as np

from sim.mathematics import log, normal
from sim.types import LOTS_PER_CONTRACT, SECOND_NS

PPM = 1_000_000
_Z99 = normal(0.99)  # standard deviations from a normal's median to its 99th percentile

# The kinds of arrivals in the synthetic market, in the order of their thresholds.
NEWS = 0
REPRICE = 1
LIMIT = 2
CANCEL = 3
NOISE = 4
INFORMED = 5
FORECAST = 6
ARRIVALS = ("news_rate", "maker_rate", "add_rate", "cancel_rate", "noise_rate", "informed_rate", "signal_rate")

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
        ("fill_base", "<f8"),
        ("fill_queue", "<f8"),
        ("fill_spread", "<f8"),
        ("fill_activity", "<f8"),
        ("fill_time", "<f8"),
        ("fill_size", "<f8"),
        ("cancel_rule", "<i8"),
        ("cancel_power", "<f8"),
        ("late_print_ns", "<i8"),
        ("drop_split", "<i8"),
        ("feed_delay_ns", "<i8"),
        ("feed_tail_ns", "<f8"),  # exponential: the mean; log-normal: the median
        ("feed_sigma", "<f8"),  # 0 = exponential
        ("order_tail_ns", "<f8"),
        ("order_sigma", "<f8"),
        ("cancel_tail_ns", "<f8"),
        ("cancel_sigma", "<f8"),
        ("delay_activity", "<f8"),
        ("delay_spread", "<f8"),
        ("fifo", "<i8"),
        ("taker_delay_ns", "<i8"),
        ("self_trade", "<i8"),
        ("group_limit_qty", "<i8"),
        ("pause_keeps", "<i8"),
        ("message_gap_ns", "<i8"),  # 0 = no rate limit
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
        "cancel_share", "trade_share", "fill_base", "fill_queue", "fill_spread", "fill_activity",
        "fill_time", "fill_size",
    ):  # fmt: skip
        compiled[name] = rows[name]
    compiled["levels"] = _whole(rows["levels"], 1)
    _compile_venue_side(rows, compiled)
    return compiled


def _compile_venue_side(rows: np.ndarray, compiled: np.ndarray) -> None:
    """The queue, the delays and what the venue does with our orders."""
    for name in ("cancel_power", "delay_activity", "delay_spread"):
        compiled[name] = rows[name]
    for name in ("cancel_rule", "drop_split", "fifo", "self_trade", "pause_keeps"):
        compiled[name] = _whole(rows[name], 1)
    for name in ("late_print", "feed_delay", "taker_delay"):
        compiled[f"{name}_ns"] = _whole(rows[f"{name}_ms"], SECOND_NS / 1000)
    for name in ("feed", "order", "cancel"):
        compiled[f"{name}_tail_ns"], compiled[f"{name}_sigma"] = _tail(
            rows[f"{name}_tail_ms"], rows[f"{name}_tail99_ms"]
        )
    compiled["group_limit_qty"] = _whole(rows["group_limit"], LOTS_PER_CONTRACT)
    limited = rows["rate_limit"] > 0
    compiled["message_gap_ns"][limited] = np.rint(SECOND_NS / rows["rate_limit"][limited])


def _tail(median_ms: np.ndarray, tail_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale in ns and sigma of a random delay: a log-normal's median, or with sigma 0 an exponential's mean."""
    scale = median_ms * (SECOND_NS / 1000)
    sigma = np.zeros(len(scale))
    for index in np.flatnonzero(tail_ms > 0):
        sigma[index] = log(tail_ms[index] / median_ms[index]) / _Z99
    scale[sigma == 0] /= log(2.0)
    return scale, sigma
