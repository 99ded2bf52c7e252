"""Potentials: numbers of a state. A reward of their growth, discounted, leaves the best policy what it is.

A. Ng, D. Harada, S. Russell, "Policy invariance under reward transformations", 1999: with F = gamma x Phi(s') - Phi(s)
an episode's discounted sum of F is gamma^T Phi(s_T) - Phi(s_0), whatever was done. Phi is 0 where an episode terminates
and, from a flat account, where it begins. What is remembered to tell Phi is part of the state.
"""

from __future__ import annotations

import math

from envs.crossing import mid_sum
from envs.features import ANCHOR_REACH_PX
from sim.activity import BUCKET_BITS, NEAR_PX, anchor_px, fade_until, mean_squares
from sim.kernel import inner
from sim.state import FILL_SLOTS
from sim.types import LOTS_PER_CONTRACT, PX_ONE

ANCHORS = 3
MOST_EXPANSION = 1.0  # volatility that has doubled counts in full
_ANCHOR_STEP_PX = PX_ONE // 4  # 25, 50, 75 cents
_MOST_PX = float(ANCHOR_REACH_PX - NEAR_PX)
_HUNDRED = 100.0 * LOTS_PER_CONTRACT
_FLOOR_PX2 = 1.0  # squared move of bid + ask: the calmest a market counts as


@inner
def net_lots(market):
    """YES less NO held."""
    return market["position"]["yes_qty"] - market["position"]["no_qty"]


@inner
def _hold(lots, after):
    """The position becomes ``after``; of one that shrinks every part shrinks alike. Returns how much was opened."""
    before = lots["net_qty"]
    lots["net_qty"] = after
    goes_on = (before > 0 and after > 0) or (before < 0 and after < 0)
    if goes_on and abs(after) >= abs(before):
        return after - before
    share = after / before if goes_on else 0.0
    for place in range(ANCHORS):
        lots["anchored_qty"][place] *= share
    return 0 if goes_on else after


@inner
def follow_fills(account, lots, markets):
    """Take the step's fills into ``lots`` (M,) LOTS: what was opened while the mid was near an anchor is remembered.

    Whatever else changed a position (settlement, merging, conversion) opens nothing at an anchor.
    """
    for row in range(min(account["n_fills"], FILL_SLOTS)):
        fill = account["fills"][row]
        mine = lots[fill["market"]]
        opened = _hold(mine, mine["net_qty"] + fill["qty"])
        anchor = anchor_px(fill["mid2_px"] >> 1)
        if abs(fill["mid2_px"] - 2 * anchor) <= 2 * NEAR_PX:
            mine["anchored_qty"][anchor // _ANCHOR_STEP_PX - 1] += opened
    for index in range(len(markets)):
        _hold(lots[index], net_lots(markets[index]))


@inner
def anchored(lots, markets):
    """Dollars: contracts taken at an anchor x how far the mid has left it their way, past what counts as near it.

    At most 8 cents a contract: beyond ten cents from an anchor a move is about something else.
    """
    total = 0.0
    for index in range(len(markets)):
        for place in range(ANCHORS):
            qty = lots[index]["anchored_qty"][place]
            away = 0.5 * markets[index]["mid2_px"] - (place + 1) * _ANCHOR_STEP_PX
            left = (away if qty > 0.0 else -away) - NEAR_PX
            total += abs(qty) * min(max(left, 0.0), _MOST_PX)
    return total / (PX_ONE * LOTS_PER_CONTRACT)


@inner
def expanding(account, lots, markets, px_of, bucket):
    """Hundreds of contracts: |net| x (volatility of the last half minute / of the last minutes - 1), 0 to 1.

    Both are of this episode alone, which began in ``bucket``; half-lives of 34 and 275 s.
    """
    total = 0.0
    gap = (account["now_ns"] >> BUCKET_BITS) - bucket
    for index in range(len(markets)):
        market = markets[index]
        fade_until(market, px_of, account["now_ns"])  # as whoever observes will do: it changes nothing for them
        slow, long = mean_squares(market["activity"], lots[index]["squares"], gap)
        growth = math.sqrt((slow + _FLOOR_PX2) / (long + _FLOOR_PX2)) - 1.0
        total += abs(net_lots(market)) * min(max(growth, 0.0), MOST_EXPANSION)
    return total / _HUNDRED


@inner
def _package(markets, slot0, links, bound, sign):
    """Sets of a bound's legs held, in contracts: bought (``sign`` 1) or sold (-1); the leg with least decides."""
    least = math.inf
    for leg in range(links.first[bound], links.first[bound + 1]):
        least = min(least, sign * net_lots(markets[slot0 + links.market[leg]]) / links.weight[leg])
    return max(least, 0.0) / LOTS_PER_CONTRACT


@inner
def violated(markets, slot0, links):
    """Dollars: of every violated bound the sets held against the violation x what the mids break it by.

    So much they gain at least, at the mids, once the bound holds again.
    """
    total = 0.0
    for bound in range(len(links.low)):
        mids = mid_sum(markets, slot0, links, bound)
        if mids > links.high[bound]:
            total += _package(markets, slot0, links, bound, -1.0) * (mids - links.high[bound])
        elif mids < links.low[bound]:
            total += _package(markets, slot0, links, bound, 1.0) * (links.low[bound] - mids)
    return total
