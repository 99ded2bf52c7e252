"""Scenario rows as the kernels want them: integers in the simulator's units, rates as cumulative thresholds."""

from __future__ import annotations

import math

import numpy as np

from sim.fillmodel import COIN_TERMS
from sim.mathematics import exp, log, normal
from sim.types import LOTS_PER_CONTRACT, PX_ONE, SECOND_NS

PPM = 1_000_000
MOST_LEVELS = 20  # the bound of the field `levels`
_Z99 = normal(0.99)  # standard deviations from a normal's median to its 99th percentile

# The kinds of arrivals in the synthetic market, in the order of their thresholds.
ADD = 0
CANCEL = 1
NOISE = 2
INFORMED = 3
REPRICE = 4
FORECAST = 5
MOMENTUM = 6
FRONT = 7
COPY = 8
CASCADE = 9
ARRIVALS = (
    "add_rate", "cancel_rate", "noise_rate", "informed_rate", "maker_rate", "signal_rate", "momentum_rate",
    "front_rate", "copy_rate", "cascade_rate",
)  # fmt: skip

# What happens to an environment's markets from outside, for each of its groups.
NEWS = 0
OUTAGE = 1
STALE = 2
EARLY = 3
NEW_FEES = 4
NEW_TICKS = 5
SHOCKS = ("news_rate", "outage_rate", "stale_rate", "close_rate", "fee_rate", "tick_rate")

COMPILED_ROW = np.dtype(
    [
        ("interval_ns", "<f8"),  # mean time between arrivals of any kind
        ("clump", "<f8"),  # power of their gaps
        ("clump_ns", "<f8"),  # the gap of an exponential variate of 1, where the power is not 1
        ("threshold", "<i8", (len(ARRIVALS),)),  # a 32-bit word is of the first kind whose threshold exceeds it
        ("reacts", "<i8"),  # 1: a taker of others may change more than the book
        ("watched", "<i8"),  # 1: opponents remember what we take
        ("touch_word", "<i8"),  # 16 bits: below it an order comes to the touch
        ("large_word", "<i8"),  # 16 bits: below it a noise taker's order is large
        ("large_qty", "<f8"),
        ("shock_ns", "<f8"),  # mean time between shocks of any kind to one group; 0 = none
        ("shock", "<i8", (len(SHOCKS),)),  # thresholds, as above
        ("life_ns", "<i8"),
        ("belief_low_ppm", "<i8"),
        ("belief_high_ppm", "<i8"),
        ("news_size_ppm", "<i8"),
        ("news_large_ppm", "<i8"),
        ("news_large_word", "<i8"),
        ("news_take_word", "<i8"),  # 16 bits: below it a taker comes with news
        ("scalar", "<i8"),
        ("void_share_ppm", "<i8"),
        ("void_payout_ppm", "<i8"),
        ("outage_ns", "<f8"),
        ("stale_ns", "<f8"),
        ("profile", "<f8", (MOST_LEVELS,)),  # mean size of a new level by ticks behind the quote, in units of depth_qty
        ("presence_word", "<i8"),
        ("anchor_strength", "<f8"),
        ("anchor_width_ppm", "<i8"),
        ("anchor_depth", "<f8"),
        ("widen_ppm", "<f8"),  # per lot
        ("widen_max_ppm", "<f8"),
        ("resilience_ns", "<f8"),
        ("pull", "<f8"),
        ("momentum_qty", "<f8"),
        ("momentum_px", "<f8"),
        ("momentum_life_ns", "<f8"),
        ("excite_jump", "<f8"),  # 1/s that a taker adds
        ("excite_life_ns", "<f8"),
        ("excite_same", "<f8"),
        ("cascade_qty", "<i8"),
        ("cascade_life_ns", "<i8"),
        ("cascade_pull", "<f8"),
        ("cascade_widen_ppm", "<f8"),
        ("cascade_follow", "<f8"),
        ("front_share", "<f8"),
        ("front_bias", "<f8"),
        ("front_min_qty", "<f8"),
        ("copy_share", "<f8"),
        ("fade_spread_ppm", "<f8"),  # per lot
        ("fade_depth", "<f8"),  # per lot
        ("watch_ns", "<f8"),
        ("watch_delay_ns", "<i8"),
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
        ("fill_memory", "<i8"),  # which half-life of sim.activity
        ("fill_move_memory", "<i8"),
        ("fill_base", "<f8"),
        ("fill_terms", "<f8", (len(COIN_TERMS),)),  # coefficients
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
    compiled["clump"] = rows["clump"]
    # E^k has the mean gamma(1 + k). Rounded: the last bits of the C library's gamma differ between machines
    compiled["clump_ns"] = [
        each / round(math.gamma(1.0 + k), 9) for each, k in zip(SECOND_NS / total, rows["clump"], strict=True)
    ]
    compiled["threshold"] = np.rint(np.cumsum(rates, axis=1) / total[:, None] * 2**32).astype(np.int64)
    compiled["profile"] = [_profile(row) for row in rows]
    _compile_shocks(rows, compiled)
    _compile_reactions(rows, compiled)
    for name in (
        "belief_low", "belief_high", "news_size", "news_large", "half_spread", "informed_edge", "signal_err_low",
        "signal_err_high", "anchor_width", "void_share", "void_payout",
    ):  # fmt: skip
        compiled[f"{name}_ppm"] = _whole(rows[name], PPM)
    for name in ("depth", "noise", "informed", "add", "large", "momentum"):
        source = name if name == "depth" else f"{name}_size"
        compiled[f"{name}_qty"] = rows[source] * LOTS_PER_CONTRACT
    for name in ("order_delay", "cancel_delay", "watch_delay"):
        compiled[f"{name}_ns"] = _whole(rows[f"{name}_ms"], SECOND_NS / 1000)
    for name in ("life", "used_life", "fill_life", "cascade_life"):
        compiled[f"{name}_ns"] = _whole(rows[f"{name}_s"], SECOND_NS)
    for name in (
        "anchor_strength", "anchor_depth", "pull", "excite_same", "cascade_pull",
        "cascade_follow", "front_share", "front_bias", "copy_share", "cancel_share", "trade_share", "fill_base",
    ):  # fmt: skip
        compiled[name] = rows[name]
    for index, term in enumerate(COIN_TERMS):
        compiled["fill_terms"][:, index] = rows[f"fill_{term}"]
    for name in ("levels", "scalar", "fill_memory", "fill_move_memory"):
        compiled[name] = _whole(rows[name], 1)
    _compile_venue_side(rows, compiled)
    return compiled


def _profile(row: np.void) -> list[float]:
    """Mean size of a new level by ticks behind the quote, in units of ``depth``."""
    slope, decay = float(row["depth_slope"]), float(row["depth_decay"])
    behind = [(1.0 + slope * steps) * exp(-decay * steps) for steps in range(1, MOST_LEVELS)]
    return [float(row["depth_touch"]), *behind]


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


def _word16(share: np.ndarray) -> np.ndarray:
    """16 bits lie below it with probability ``share``."""
    return _whole(share, 2**16)


def _compile_shocks(rows: np.ndarray, compiled: np.ndarray) -> None:
    """What comes on the environment's clock."""
    rates = np.stack([rows[name] for name in SHOCKS], axis=1)
    total = rates.sum(axis=1)
    some = total > 0.0
    compiled["shock_ns"][some] = SECOND_NS / total[some]
    shares = np.cumsum(rates[some], axis=1) / total[some, None]
    compiled["shock"][some] = np.rint(shares * 2**32).astype(np.int64)
    compiled["news_large_word"] = _word16(rows["news_large_share"])
    compiled["news_take_word"] = _word16(rows["news_take"])
    for name in ("outage", "stale"):
        compiled[f"{name}_ns"] = rows[f"{name}_s"] * SECOND_NS


def _compile_reactions(rows: np.ndarray, compiled: np.ndarray) -> None:
    """What makers, followers and opponents do about takers."""
    for name in ("touch", "large", "presence"):
        compiled[f"{name}_word"] = _word16(rows[name if name == "presence" else f"{name}_share"])
    for name in ("resilience", "momentum_life", "excite_life", "watch"):
        compiled[f"{name}_ns"] = rows[f"{name}_s"] * SECOND_NS
    hundred = 100.0 * LOTS_PER_CONTRACT
    for name in ("widen", "fade_spread"):
        compiled[f"{name}_ppm"] = rows[name] * PPM / hundred
    compiled["fade_depth"] = rows["fade_depth"] / hundred
    for name in ("widen_max", "cascade_widen"):
        compiled[f"{name}_ppm"] = rows[name] * PPM
    compiled["momentum_px"] = rows["momentum_edge"] * 2 * PX_ONE
    compiled["excite_jump"] = rows["excite"] / rows["excite_life_s"]
    compiled["cascade_qty"] = _whole(rows["cascade_size"], LOTS_PER_CONTRACT)
    compiled["front_min_qty"] = rows["front_min"] * LOTS_PER_CONTRACT
    reacts = (rows["widen"] > 0) | (rows["excite"] > 0) | (rows["pull"] > 0) | (rows["cascade_size"] > 0)
    compiled["reacts"] = reacts
    watched = (rows["front_rate"] > 0) | (rows["copy_rate"] > 0) | (rows["fade_spread"] > 0) | (rows["fade_depth"] > 0)
    compiled["watched"] = watched
