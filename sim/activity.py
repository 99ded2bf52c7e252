"""What a market's public events add up to, forgotten in market time: the one memory of a market.

The flow features, the fill model and the delays of a busy market read it, and so does the fit of the fill model.

Time is cut into buckets of 2**29 ns (0.54 s), the same ones for every market. Within a bucket events are only added up.
The first event of a later bucket, or a look at the market, lets everything fade first, by 2**(-buckets / half-life).
So what is remembered depends on the market's events and on the time, and not on how long a step of an environment is.
Four half-lives of 4, 16, 64 and 512 buckets: 2.1, 8.6, 34 and 275 s. In steady state a sum is rate x half-life over
the logarithm of 2.

Means (mid, spread, depth, time near an anchor) are means over time: each bucket counts with what stood at its end.
The move of the mid over a bucket is booked at the bucket's end. Looks change nothing but the last bits, however long
nobody looked; only the size at an anchor is what those who look have seen.

The factors are looked up, and beyond the tables halved; the fourth and sixteenth power of the slow one give the shorter
half-lives: no exponential at run time.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import numpy as np

from sim.kernel import hot, inner, kernel
from sim.types import ASK, BID, PX_ONE

BUCKET_BITS = 29
BUCKET_S = (1 << BUCKET_BITS) * 1e-9
FAST, MIDDLE, SLOW, LONG = 0, 1, 2, 3
HALF_BUCKETS = (4, 16, 64, 512)
HALF_S = np.array(HALF_BUCKETS) * BUCKET_S
MEMORIES = ("fast", "middle", "slow", "long")
NEAR_PX = 200  # at most this far from 25, 50 or 75 cents counts as near
ANSWER_NS = 1 << 33  # how long after a trade of ours the book is watched for an answer: 8.6 s
_TABLE = 1024
_GONE = 1100 * HALF_BUCKETS[LONG]  # no float is so small: 2**-1100
_NEVER = -(1 << 40)
_NEWEST = 0.25  # weight of the newest answer in the mean response

ACTIVITY = np.dtype(
    [
        ("bucket", "<i8"),  # up to which everything has faded
        ("mid2_px", "<i8"),  # at the end of the bucket before; 0 = there was no two-sided book yet
        ("own_ns", "<i8"),  # our last trade; 0 = none
        ("waiting", "<i8"),  # 1: nobody has changed the book since then
        ("bought", "<f8", (4,)),  # lots that takers bought, by half-life
        ("sold", "<f8", (4,)),
        ("buys", "<f8", (4,)),  # prints of buyers, and half of each whose taker is unknown
        ("sells", "<f8", (4,)),
        ("volume", "<f8"),  # lots printed, slow, also those whose taker is unknown
        ("near_volume", "<f8"),  # those printed near an anchor, slow
        ("added", "<f8", (2,)),  # lots added by others, fast, by side
        ("removed", "<f8", (2,)),
        ("rise", "<f8"),  # upward moves of bid + ask from bucket to bucket, middle
        ("fall", "<f8"),
        ("squares", "<f8", (2,)),  # squared moves of bid + ask from bucket to bucket, slow and long
        ("mid2_mean", "<f8"),  # mean of bid + ask, middle
        ("spread", "<f8"),  # mean of a two-sided book's spread, slow, px; a crossed one's is 0
        ("depth", "<f8"),  # mean of the size resting on both sides, slow, lots
        ("near_time", "<f8"),  # share of the time near an anchor, slow
        ("anchor_size", "<f8"),  # mean share of the size around an anchor that rests at it, slow, as it was looked at
        ("anchor_bucket", "<i8"),  # of that look
        ("after_spread", "<f8"),  # mean spread and depth within ANSWER_NS after our trades, middle
        ("after_depth", "<f8"),
        ("response_ns", "<f8"),  # mean time from our trade to the next change of the book; -1 = not known
    ]
)


def _fading(half_buckets: int) -> np.ndarray:
    """2**(-k / half) for k = 0 to 1023, each the nearest float. ``decimal`` rounds alike on every machine."""
    table = np.zeros(_TABLE)
    with localcontext(Context(prec=40)):
        step, value = Decimal(2) ** (Decimal(-1) / half_buckets), Decimal(1)
        for k in range(_TABLE):
            table[k] = float(value)
            value *= step
    return table


_FADING = _fading(HALF_BUCKETS[SLOW])
_FADING_LONG = _fading(HALF_BUCKETS[LONG])
_LN2 = 0.6931471805599453


@kernel
def per_life(total, life_s, half_s):
    """What a fading sum says to expect within a life: rate x life, rate = total x log 2 / half-life."""
    return total * _LN2 * life_s / half_s


@hot
def anchor_px(px):
    """The nearest of 25, 50 and 75 cents."""
    return 2500 if px < 3750 else (5000 if px < 6250 else 7500)


@kernel
def forget(activity):
    """Nothing has happened yet."""
    activity["bucket"] = _NEVER
    activity["mid2_px"] = 0
    activity["own_ns"] = 0
    activity["waiting"] = 0
    for life in range(4):
        activity["bought"][life] = 0.0
        activity["sold"][life] = 0.0
        activity["buys"][life] = 0.0
        activity["sells"][life] = 0.0
    for side in range(2):
        activity["added"][side] = 0.0
        activity["removed"][side] = 0.0
        activity["squares"][side] = 0.0
    activity["volume"] = 0.0
    activity["near_volume"] = 0.0
    activity["rise"] = 0.0
    activity["fall"] = 0.0
    activity["mid2_mean"] = 0.0
    activity["spread"] = 0.0
    activity["depth"] = 0.0
    activity["near_time"] = 0.0
    activity["anchor_size"] = 0.0
    activity["anchor_bucket"] = _NEVER
    activity["after_spread"] = 0.0
    activity["after_depth"] = 0.0
    activity["response_ns"] = -1.0


@inner
def _halved(factor, times):
    for _ in range(times):
        factor *= 0.5
    return factor


@hot
def _factors(gap):
    """What is left after ``gap`` buckets by the slow and the long half-life."""
    if gap < _TABLE:
        return _FADING[gap], _FADING_LONG[gap]
    if gap >= _GONE:
        return 0.0, 0.0
    slow, long = HALF_BUCKETS[SLOW], HALF_BUCKETS[LONG]
    return _halved(_FADING[gap % slow], gap // slow), _halved(_FADING_LONG[gap % long], gap // long)


@hot
def _fade_takers(activity, life, factor):
    activity["bought"][life] *= factor
    activity["sold"][life] *= factor
    activity["buys"][life] *= factor
    activity["sells"][life] *= factor


@hot
def _book_move(activity, move, ago):
    """The mid's move over the last bucket with news, whose end is ``ago`` buckets before the present one."""
    slow, long = _factors(ago)
    middle = slow * slow * (slow * slow)
    activity["rise"] += max(move, 0) * middle
    activity["fall"] += max(-move, 0) * middle
    activity["squares"][0] += move * move * slow
    activity["squares"][1] += move * move * long


@hot
def fade(activity, bucket, mid2):
    """Let all sums fade up to ``bucket``, later than the last; ``mid2`` stood at the last one's end, 0 = not known yet.

    Returns the slow factor.
    """
    gap = bucket - activity["bucket"]
    activity["bucket"] = bucket
    slow, long = _factors(gap)
    middle = slow * slow * (slow * slow)
    fast = middle * middle * (middle * middle)
    for side in range(2):
        activity["added"][side] *= fast
        activity["removed"][side] *= fast
    _fade_takers(activity, FAST, fast)
    _fade_takers(activity, MIDDLE, middle)
    _fade_takers(activity, SLOW, slow)
    _fade_takers(activity, LONG, long)
    activity["volume"] *= slow
    activity["near_volume"] *= slow
    activity["rise"] *= middle
    activity["fall"] *= middle
    activity["squares"][0] *= slow
    activity["squares"][1] *= long
    last = activity["mid2_px"]
    if last > 0 and mid2 != last:
        _book_move(activity, mid2 - last, gap - 1)
    activity["mid2_px"] = mid2
    return slow


@inner
def _roll(market, px_of, bucket):
    """Let everything fade up to ``bucket``, which is later than the last, and take in what stood until then."""
    activity = market["activity"]
    since = activity["bucket"]
    mid2 = market["mid2_px"]
    quoted = market["best_bid"] >= 0 and market["best_ask"] < len(px_of)
    known = quoted or activity["mid2_px"] > 0 or mid2 != PX_ONE  # a fresh market says one half before it is quoted
    slow = fade(activity, bucket, mid2 if known else 0)
    middle = slow * slow * (slow * slow)
    activity["mid2_mean"] += (1.0 - middle) * (mid2 - activity["mid2_mean"])
    depth = market["bid_total_qty"] + market["ask_total_qty"]
    activity["depth"] += (1.0 - slow) * (depth - activity["depth"])
    px = mid2 >> 1
    near = 1.0 if abs(px - anchor_px(px)) <= NEAR_PX else 0.0
    activity["near_time"] += (1.0 - slow) * (near - activity["near_time"])
    if quoted:
        spread = max(0, px_of[market["best_ask"]] - px_of[market["best_bid"]])  # a recorded book may be crossed
        activity["spread"] += (1.0 - slow) * (spread - activity["spread"])
        # buckets that ended within ANSWER_NS of our trade, which itself let everything fade
        watched = min(bucket, (activity["own_ns"] + ANSWER_NS - 1) >> BUCKET_BITS) - since
        if activity["own_ns"] > 0 and watched > 0:
            slow, _ = _factors(watched)
            middle = slow * slow * (slow * slow)
            activity["after_spread"] += (1.0 - middle) * (spread - activity["after_spread"])
            activity["after_depth"] += (1.0 - middle) * (depth - activity["after_depth"])


@hot
def fade_until(market, px_of, now):
    """Let everything fade up to ``now``: before a look, and before anything changes the book."""
    if now >> BUCKET_BITS > market["activity"]["bucket"]:
        _roll(market, px_of, now >> BUCKET_BITS)


@hot
def look_at_anchor(activity, share):
    """``share`` stands since the last look: books are wide, so only who looks reads this part of them."""
    slow, _ = _factors(activity["bucket"] - activity["anchor_bucket"])
    activity["anchor_bucket"] = activity["bucket"]
    activity["anchor_size"] += (1.0 - slow) * (share - activity["anchor_size"])


@hot
def count_print(activity, taker_side, qty):
    """A trade of ``qty`` lots, after what was before has faded; ``taker_side`` -1 = unknown: half a print a side."""
    buy = 1.0 if taker_side == BID else (0.0 if taker_side == ASK else 0.5)
    bought = qty if taker_side == BID else 0
    sold = qty if taker_side == ASK else 0
    for life in range(4):
        activity["bought"][life] += bought
        activity["sold"][life] += sold
        activity["buys"][life] += buy
        activity["sells"][life] += 1.0 - buy


@hot
def on_print_seen(market, px_of, taker_side, px, qty, now):
    """A trade of others; ``taker_side`` -1 = unknown."""
    fade_until(market, px_of, now)
    activity = market["activity"]
    count_print(activity, taker_side, qty)
    activity["volume"] += qty
    if abs(px - anchor_px(px)) <= NEAR_PX:
        activity["near_volume"] += qty


@inner
def print_rate(market, now):
    """Prints a second, by the memory of 8.6 s; nothing is changed."""
    activity = market["activity"]
    slow, _ = _factors(max(0, (now >> BUCKET_BITS) - activity["bucket"]))
    prints = (activity["buys"][MIDDLE] + activity["sells"][MIDDLE]) * (slow * slow * (slow * slow))
    return per_life(prints, 1.0, HALF_S[MIDDLE])


@inner
def mean_squares(activity, before, gap):
    """Mean squared move of bid + ask from bucket to bucket over the last ``gap`` buckets, slow and long.

    ``before``: ``activity["squares"]`` of then. What was before is left out of both means: those of a young episode
    differ by nothing but how they weigh it. (0, 0) where no bucket has passed.
    """
    if gap <= 0:
        return 0.0, 0.0
    slow, long = _factors(gap)
    # the weights of the buckets, 1, f, f^2, ..., add up to (1 - f^gap) / (1 - f)
    return (
        max(0.0, activity["squares"][0] - before[0] * slow) * (1.0 - _FADING[1]) / (1.0 - slow),
        max(0.0, activity["squares"][1] - before[1] * long) * (1.0 - _FADING_LONG[1]) / (1.0 - long),
    )


@hot
def on_change_seen(market, px_of, side, change, now):
    """Others change a level by ``change`` lots."""
    fade_until(market, px_of, now)
    activity = market["activity"]
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
def on_own_trade(market, px_of, now):
    """We traded: from here on the market's answer is watched."""
    fade_until(market, px_of, now)
    activity = market["activity"]
    if activity["own_ns"] == 0:
        activity["after_spread"] = activity["spread"]
        activity["after_depth"] = activity["depth"]
    activity["own_ns"] = now
    activity["waiting"] = 1
