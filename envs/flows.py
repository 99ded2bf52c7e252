"""Features of a market's recent activity: taker flow, anchors, liquidity, opponents, the volatility of a fair value.

All read ``sim.activity``, which forgets in market time. Each function writes numerators and denominators of its group;
the formulas stand in ``envs.features``.
"""

from __future__ import annotations

import math

from envs.features import ANCHOR_REACH_PX, FAIR_FLOOR
from sim.activity import FAST, HALF_S, SLOW, anchor_px, look_at_anchor, per_life
from sim.kernel import hot
from sim.scales import (
    ANCHOR_HALF,
    EDGE_HALF,
    FLOW_FLOOR,
    MOVE_HALF,
    PRINTS_HALF,
    RESPONSE_HALF,
    SIZE_HALF,
    SPREAD_HALF,
)
from sim.types import ASK, BID, LOTS_PER_CONTRACT, PX_ONE, SECOND_NS

_FLOOR_LOTS = FLOW_FLOOR * LOTS_PER_CONTRACT
_SIZE_LOTS = SIZE_HALF * LOTS_PER_CONTRACT
_ANCHOR_PX2 = 2.0 * ANCHOR_HALF * PX_ONE  # of bid + ask
_MOVE_PX2 = 2.0 * MOVE_HALF * PX_ONE
_SPREAD_PX = SPREAD_HALF * PX_ONE
_HALF_DOLLAR = 0.5 / PX_ONE
_LIVES = 16.0  # of the slow half-life to the fast one
_CENT_PX = PX_ONE // 100
_REACH_PX2 = 2 * ANCHOR_REACH_PX


@hot
def _ratio(num, den, at, top, bottom):
    """``top / bottom``, or 0 where ``bottom`` is 0."""
    num[at] = top if bottom > 0.0 else 0.0
    den[at] = bottom if bottom > 0.0 else 1.0


@hot
def _soft(num, den, at, top, half):
    num[at] = top
    den[at] = abs(top) + half


@hot
def write_flows(activity, num, den, at):
    """Group ``flow``."""
    for life in range(3):
        bought, sold = activity["bought"][life], activity["sold"][life]
        num[at + life] = bought - sold
        den[at + life] = bought + sold + _FLOOR_LOTS


@hot
def _anchor_share(book, level_of, anchor):
    """Of the lots resting within three cents of an anchor, on either side, the share that rests at it."""
    at, around = 0, 0
    for cents in range(-3, 4):
        level = level_of[anchor + cents * _CENT_PX]
        if level >= 0:
            size = book[BID, level] + book[ASK, level]
            around += size
            if cents == 0:
                at = size
    return at / around if around > 0 else 0.0


@hot
def write_anchors(activity, market, book, level_of, spread, quoted, num, den, at):
    """Group ``anchors``."""
    mid2 = market["mid2_px"]
    anchor = anchor_px(mid2 >> 1)
    away = mid2 - 2 * anchor
    _soft(num, den, at, mid2 - 5000, _ANCHOR_PX2)
    _soft(num, den, at + 1, mid2 - 10_000, _ANCHOR_PX2)
    _soft(num, den, at + 2, mid2 - 15_000, _ANCHOR_PX2)
    # (m - s) / (m + s) x h / (h + away), over one denominator
    mean, spread = activity["spread"], max(0, spread)  # a crossed book's would leave [-1, 1]
    _ratio(
        num, den, at + 3, (mean - spread) * _ANCHOR_PX2 if quoted else 0.0,
        (mean + spread) * (_ANCHOR_PX2 + abs(away)),
    )  # fmt: skip
    _ratio(num, den, at + 4, activity["near_volume"], activity["volume"])
    num[at + 5] = activity["near_time"]
    den[at + 5] = 1.0
    # far from an anchor its levels are not looked at: they are not in the cache either
    share = _anchor_share(book, level_of, anchor) if abs(away) <= _REACH_PX2 else 0.0
    look_at_anchor(activity, share)
    num[at + 6] = share
    den[at + 6] = 1.0
    drift = mid2 - activity["mid2_mean"]
    _soft(num, den, at + 7, drift if away >= 0 else -drift, _MOVE_PX2)
    num[at + 8] = activity["anchor_size"]
    den[at + 8] = 1.0


@hot
def write_liquidity(activity, market, spread, quoted, num, den, at):
    """Group ``liquidity``."""
    _soft(num, den, at, market["mid2_px"] - activity["mid2_mean"], _MOVE_PX2)
    num[at + 1] = activity["fall"]
    den[at + 1] = activity["fall"] + _MOVE_PX2
    _soft(num, den, at + 2, spread - activity["spread"] if quoted else 0.0, _SPREAD_PX)
    depth, mean = market["bid_total_qty"] + market["ask_total_qty"], activity["depth"]
    _ratio(num, den, at + 3, mean - depth, mean + depth)
    removed = activity["removed"][BID] + activity["removed"][ASK]
    num[at + 4] = removed
    den[at + 4] = removed + activity["added"][BID] + activity["added"][ASK] + _SIZE_LOTS
    burst = _LIVES * (activity["buys"][FAST] + activity["sells"][FAST])
    steady = burst + activity["buys"][SLOW] + activity["sells"][SLOW] + PRINTS_HALF
    num[at + 5] = burst
    den[at + 5] = steady
    bought, sold = activity["bought"][FAST], activity["sold"][FAST]
    flow, flows = abs(bought - sold), bought + sold + _FLOOR_LOTS
    drop = max(0.0, mean - depth)
    whole = mean + depth if mean + depth > 0.0 else 1.0
    # (drop / whole + burst / steady x flow / flows) / 2, over one denominator
    num[at + 6] = drop * steady * flows + burst * flow * whole
    den[at + 6] = 2.0 * whole * steady * flows


@hot
def write_opponents(activity, num, den, at):
    """Group ``opponents``."""
    traded = activity["own_ns"] > 0
    after, mean = activity["after_spread"], activity["spread"]
    _ratio(num, den, at, after - mean if traded else 0.0, after + mean)
    response = activity["response_ns"]
    num[at + 1] = response if response >= 0.0 else 1.0
    den[at + 1] = response + RESPONSE_HALF * SECOND_NS if response >= 0.0 else 1.0
    after, mean = activity["after_depth"], activity["depth"]
    some = traded and after + mean > 0.0
    num[at + 2] = after if some else 1.0
    den[at + 2] = after + mean if some else 2.0


@hot
def write_fair(market, value, count, num, den, at):
    """Group ``fair``: a fair ``value`` in dollars from ``count`` sources, 0 = not known."""
    known = 1.0 if count > 0.0 else 0.0
    num[at] = known
    den[at] = 1.0
    _soft(num, den, at + 1, known * (value - market["mid2_px"] * _HALF_DOLLAR), EDGE_HALF)
    deviation = math.sqrt(per_life(market["activity"]["squares"][0], 1.0, HALF_S[SLOW])) * _HALF_DOLLAR
    num[at + 2] = max(deviation, FAIR_FLOOR)
    den[at + 2] = max(deviation, FAIR_FLOOR) + MOVE_HALF
    num[at + 3] = count
    den[at + 3] = count + 1.0
