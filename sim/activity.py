"""What a market's public events add up to, forgotten in market time: the memory behind the flow features.

Time is cut into buckets of 2**29 ns (0.54 s), the same ones for every market. Within a bucket events are only added up.
The first event of a later bucket, or a look at the market, lets everything fade first, by 2**(-buckets / half-life).
So what is remembered depends on the market's events and on the time, and not on how long a step of an environment is.
Three half-lives of 4, 16 and 64 buckets: 2.1, 8.6 and 34 s.

Means (mid, spread, depth, time near an anchor) are means over time: each bucket counts with what stood at its end.
A market in which nothing happens for 1,023 buckets (9 minutes) is forgotten and starts afresh.

The factor is looked up, and its fourth and sixteenth power give the other half-lives: no exponential at run time.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import numpy as np

from sim.kernel import hot, inner
from sim.types import ASK, BID

BUCKET_BITS = 29
BUCKET_S = (1 << BUCKET_BITS) * 1e-9
FAST, MIDDLE, SLOW = 0, 1, 2  # half-lives of 4, 16 and 64 buckets
SLOW_BUCKETS = 64
NEAR_PX = 200  # at most this far from 25, 50 or 75 cents counts as near
ANSWER_NS = 1 << 33  # how long after a trade of ours the book is watched for an answer: 8.6 s
_LAST = 1023
_NEVER = -(1 << 40)
_NEWEST = 0.25  # weight of the newest answer in the mean response

ACTIVITY = np.dtype(
    [
        ("bucket", "<i8"),  # up to which everything has faded
        ("mid2_px", "<i8"),  # at the end of the bucket before
        ("own_ns", "<i8"),  # our last trade; 0 = none
        ("waiting", "<i8"),  # 1: nobody has changed the book since then
        ("bought", "<f8", (3,)),  # lots that takers bought, by half-life
        ("sold", "<f8", (3,)),
        ("prints", "<f8", (3,)),
        ("volume", "<f8"),  # lots printed, slow, also those whose taker is unknown
        ("near_volume", "<f8"),  # those printed near an anchor, slow
        ("added", "<f8", (2,)),  # lots added by others, fast, by side
        ("removed", "<f8", (2,)),
        ("rise", "<f8"),  # upward moves of bid + ask from bucket to bucket, middle
        ("fall", "<f8"),
        ("squares", "<f8"),  # squared moves of bid + ask from bucket to bucket, slow
        ("mid2_mean", "<f8"),  # mean of bid + ask, middle
        ("spread", "<f8"),  # mean of a two-sided book's spread, slow, px
        ("depth", "<f8"),  # mean of the size resting on both sides, slow, lots
        ("near_time", "<f8"),  # share of the time near an anchor, slow
        ("after_spread", "<f8"),  # mean spread and depth within ANSWER_NS after our trades, middle
        ("after_depth", "<f8"),
        ("response_ns", "<f8"),  # mean time from our trade to the next change of the book; -1 = not known
    ]
)


def _fading() -> np.ndarray:
    """2**(-k / 64) for k = 0 to 1022, each the nearest float, then 0. ``decimal`` rounds alike on every machine."""
    table = np.zeros(_LAST + 1)
    with localcontext(Context(prec=40)):
        step, value = Decimal(2) ** (Decimal(-1) / SLOW_BUCKETS), Decimal(1)
        for k in range(_LAST):
            table[k] = float(value)
            value *= step
    return table


_FADING = _fading()


@hot
def anchor_px(px):
    """The nearest of 25, 50 and 75 cents."""
    return 2500 if px < 3750 else (5000 if px < 6250 else 7500)


@inner
def forget(activity):
    """Nothing has happened yet."""
    activity["bucket"] = _NEVER
    activity["mid2_px"] = 0
    activity["own_ns"] = 0
    activity["waiting"] = 0
    for life in range(3):
        activity["bought"][life] = 0.0
        activity["sold"][life] = 0.0
        activity["prints"][life] = 0.0
    for side in range(2):
        activity["added"][side] = 0.0
        activity["removed"][side] = 0.0
    activity["volume"] = 0.0
    activity["near_volume"] = 0.0
    activity["rise"] = 0.0
    activity["fall"] = 0.0
    activity["squares"] = 0.0
    activity["mid2_mean"] = 0.0
    activity["spread"] = 0.0
    activity["depth"] = 0.0
    activity["near_time"] = 0.0
    activity["after_spread"] = 0.0
    activity["after_depth"] = 0.0
    activity["response_ns"] = -1.0


@hot
def _fade_sums(activity, fast, middle, slow):
    for name in (0, 1):
        activity["added"][name] *= fast
        activity["removed"][name] *= fast
    activity["bought"][FAST] *= fast
    activity["sold"][FAST] *= fast
    activity["prints"][FAST] *= fast
    activity["bought"][MIDDLE] *= middle
    activity["sold"][MIDDLE] *= middle
    activity["prints"][MIDDLE] *= middle
    activity["bought"][SLOW] *= slow
    activity["sold"][SLOW] *= slow
    activity["prints"][SLOW] *= slow
    activity["volume"] *= slow
    activity["near_volume"] *= slow
    activity["rise"] *= middle
    activity["fall"] *= middle
    activity["squares"] *= slow


@inner
def roll(market, px_of, bucket):
    """Let everything fade up to ``bucket``, which is later than the last, and take in what stood until then."""
    activity = market["activity"]
    gap = min(bucket - activity["bucket"], _LAST)
    activity["bucket"] = bucket
    slow = _FADING[gap]
    middle = slow * slow * (slow * slow)
    fast = middle * middle * (middle * middle)
    _fade_sums(activity, fast, middle, slow)
    mid2 = market["mid2_px"]
    move = mid2 - activity["mid2_px"] if gap < _LAST else 0
    activity["mid2_px"] = mid2
    activity["rise"] += max(move, 0)
    activity["fall"] += max(-move, 0)
    activity["squares"] += move * move
    activity["mid2_mean"] += (1.0 - middle) * (mid2 - activity["mid2_mean"])
    depth = market["bid_total_qty"] + market["ask_total_qty"]
    activity["depth"] += (1.0 - slow) * (depth - activity["depth"])
    px = mid2 >> 1
    near = 1.0 if abs(px - anchor_px(px)) <= NEAR_PX else 0.0
    activity["near_time"] += (1.0 - slow) * (near - activity["near_time"])
    if market["best_bid"] >= 0 and market["best_ask"] < len(px_of):
        spread = px_of[market["best_ask"]] - px_of[market["best_bid"]]
        activity["spread"] += (1.0 - slow) * (spread - activity["spread"])
        if activity["own_ns"] > 0 and (bucket << BUCKET_BITS) - activity["own_ns"] < ANSWER_NS:
            activity["after_spread"] += (1.0 - middle) * (spread - activity["after_spread"])
            activity["after_depth"] += (1.0 - middle) * (depth - activity["after_depth"])


@hot
def on_print_seen(market, px_of, taker_side, px, qty, now):
    """A trade of others; ``taker_side`` -1 = unknown."""
    activity = market["activity"]
    if now >> BUCKET_BITS > activity["bucket"]:
        roll(market, px_of, now >> BUCKET_BITS)
    if taker_side == BID:
        activity["bought"][FAST] += qty
        activity["bought"][MIDDLE] += qty
        activity["bought"][SLOW] += qty
    elif taker_side == ASK:
        activity["sold"][FAST] += qty
        activity["sold"][MIDDLE] += qty
        activity["sold"][SLOW] += qty
    activity["prints"][FAST] += 1.0
    activity["prints"][MIDDLE] += 1.0
    activity["prints"][SLOW] += 1.0
    activity["volume"] += qty
    if abs(px - anchor_px(px)) <= NEAR_PX:
        activity["near_volume"] += qty


@hot
def on_change_seen(market, px_of, side, change, now):
    """Others change a level by ``change`` lots."""
    activity = market["activity"]
    if now >> BUCKET_BITS > activity["bucket"]:
        roll(market, px_of, now >> BUCKET_BITS)
    if activity["waiting"] == 1:
        _answer(activity, now)
    if change > 0:
        activity["added"][side] += change
    else:
        activity["removed"][side] -= change


@inner
def _answer(activity, now):
    """The first change of the book after a trade of ours; what happens in the same nanosecond is the trade itself."""
    wait = now - activity["own_ns"]
    if wait > 0:
        activity["waiting"] = 0
        old = activity["response_ns"]
        activity["response_ns"] = wait if old < 0.0 else old + _NEWEST * (wait - old)


@inner
def on_own_trade(market, now):
    """We traded: from here on the market's answer is watched."""
    activity = market["activity"]
    if activity["own_ns"] == 0:
        activity["after_spread"] = activity["spread"]
        activity["after_depth"] = activity["depth"]
    activity["own_ns"] = now
    activity["waiting"] = 1
