"""What linked markets say of each other: broken bounds, arbitrage at the touch, and a fair value from outside.

A bound is judged once an environment and look, so the work grows with the number of legs and not with its square.
"""

from __future__ import annotations

import math

from envs.features import FAIR_OUTLIER, FAIR_STALE_S
from sim.kernel import hot, inner
from sim.scales import EDGE_HALF, SIZE_HALF
from sim.types import ASK, BID, LOTS_PER_CONTRACT, OPEN, PX_ONE, SECOND_NS, SETTLED

MID_SUM, BROKEN, GAIN, SETS = 0, 1, 2, 3
VERDICTS = 4  # of a bound: weighted mids and payouts, dollars it is broken by, best gain of a set, how many of them
NO_QUOTE = -1e9  # dollars: the gain where a leg has no quote
_DOLLAR = 1.0 / PX_ONE
_STALE_NS = FAIR_STALE_S * SECOND_NS


@hot
def worth(market):
    """Dollars a YES contract is worth: the mid of the last two-sided book, the payout once the market has settled."""
    if market["status"] == SETTLED:
        return market["payout_px"] * _DOLLAR
    return market["mid2_px"] * (0.5 * _DOLLAR)


@inner
def _price(px_of, market, side, levels):
    """Best price of a side in dollars; -1 = none."""
    if side == BID:
        return px_of[market["best_bid"]] * _DOLLAR if market["best_bid"] >= 0 else -1.0
    return px_of[market["best_ask"]] * _DOLLAR if market["best_ask"] < levels else -1.0


@inner
def _trade(px_of, fees, book, markets, slot0, links, bound, selling):
    """Dollars a set of a bound's legs brings (selling) or costs (buying) at the touch after fees, and how many sets."""
    value = 0.0
    sets = math.inf
    for leg in range(links.first[bound], links.first[bound + 1]):
        slot = slot0 + links.market[leg]
        market, weight = markets[slot], links.weight[leg]
        side = BID if selling == (weight > 0.0) else ASK
        price = _price(px_of, market, side, book.shape[2])
        if price < 0.0 or market["status"] != OPEN:
            return 0.0, -1.0
        level = market["best_bid"] if side == BID else market["best_ask"]
        fee = abs(weight) * fees[market["fee"]]["taker_ppm"] * 1e-6 * price * (1.0 - price)
        value += weight * price + (-fee if selling else fee)
        sets = min(sets, book[slot, side, level] / (abs(weight) * LOTS_PER_CONTRACT))
    return value, sets


@inner
def mid_sum(markets, slot0, links, bound):
    """Weighted sum in dollars of what a bound's markets are worth."""
    total = 0.0
    for leg in range(links.first[bound], links.first[bound + 1]):
        total += links.weight[leg] * worth(markets[slot0 + links.market[leg]])
    return total


@inner
def judge_bounds(px_of, fees, book, markets, slot0, links, out):
    """Fill ``out`` float64 ``(C, VERDICTS)`` for the environment whose markets begin at ``slot0``."""
    for bound in range(len(links.low)):
        low, high = links.low[bound], links.high[bound]
        total = mid_sum(markets, slot0, links, bound)
        out[bound, MID_SUM] = total
        out[bound, BROKEN] = max(0.0, total - high, low - total)
        gain, sets = NO_QUOTE, 0.0
        brings, many = _trade(px_of, fees, book, markets, slot0, links, bound, True)
        if many >= 0.0 and high < math.inf:
            gain, sets = brings - high, many
        costs, many = _trade(px_of, fees, book, markets, slot0, links, bound, False)
        if many >= 0.0 and low > -math.inf and low - costs > gain:
            gain, sets = low - costs, many
        out[bound, GAIN] = gain
        out[bound, SETS] = sets if gain > 0.0 else 0.0


@inner
def healthy(market, levels, now):
    """Whether a market's mid says something now: open, two-sided, changed not long ago."""
    quoted = market["best_bid"] >= 0 and market["best_ask"] < levels
    return quoted and market["status"] == OPEN and now - market["book_ns"] <= _STALE_NS


@inner
def _others_healthy(markets, slot0, links, leg, levels, now):
    """Whether all legs of a bound but one are healthy, or have settled: a payout is as good as a price can be."""
    bound = links.bound_of[leg]
    for other in range(links.first[bound], links.first[bound + 1]):
        market = markets[slot0 + links.market[other]]
        if other != leg and market["status"] != SETTLED and not healthy(market, levels, now):
            return False
    return True


@inner
def implied(markets, slot0, links, leg, verdicts):
    """Dollars a leg should be worth by what the others are, where its bound is an equality."""
    bound = links.bound_of[leg]
    weight = links.weight[leg]
    own = worth(markets[slot0 + links.market[leg]])
    return (links.low[bound] - verdicts[bound, MID_SUM] + weight * own) / weight


@inner
def write_links(markets, slot0, index, links, track, verdicts, num, den, at):
    """The five features of group ``links`` of market ``index``."""
    own = worth(markets[slot0 + index])
    broken = sets = basis = 0.0
    gain = NO_QUOTE
    for member in range(links.member_first[index], links.member_first[index + 1]):
        leg = links.member[member]
        bound = links.bound_of[leg]
        broken = max(broken, verdicts[bound, BROKEN])
        if verdicts[bound, GAIN] > gain:
            gain, sets = verdicts[bound, GAIN], verdicts[bound, SETS]
        if links.low[bound] == links.high[bound] and basis == 0.0:
            basis = own - implied(markets, slot0, links, leg, verdicts)
    partner = links.partner[index]
    spread = 0.0 if partner < 0 else math.sqrt(track[index]["variance"] * track[partner]["variance"])
    together = min(1.0, max(-1.0, track[index]["covariance"] / spread)) if spread > 0.0 else 0.0
    alone = partner < 0
    num[at] = together
    den[at] = 1.0
    num[at + 1] = broken
    den[at + 1] = broken + EDGE_HALF
    num[at + 2] = 0.0 if alone else (-1.0 if gain == NO_QUOTE else gain)
    den[at + 2] = 1.0 if gain == NO_QUOTE else abs(gain) + EDGE_HALF
    num[at + 3] = sets
    den[at + 3] = sets + SIZE_HALF
    num[at + 4] = basis
    den[at + 4] = abs(basis) + EDGE_HALF


@inner
def _insert(values, count, value):
    """Put ``value`` into the sorted ``values[:count]``."""
    place = count
    while place > 0 and values[place - 1] > value:
        values[place] = values[place - 1]
        place -= 1
    values[place] = value


@hot
def fair_forecast(market, now):
    """Fair value in dollars and the number of its sources, of a market without links: a forecast that is not stale."""
    fresh = market["signal_ppm"] >= 0 and now - market["signal_ns"] <= _STALE_NS
    return (market["signal_ppm"] * 1e-6, 1.0) if fresh else (0.0, 0.0)


@inner
def fair_value(markets, slot0, index, links, levels, now, verdicts, values):
    """Fair value in dollars and the number of healthy sources, 0 = not known. ``values`` float64 is scratch.

    The mean of those sources that are no further than FAIR_OUTLIER from the median of all that are fresh.
    """
    values[0], known = fair_forecast(markets[slot0 + index], now)
    count = 1 if known > 0.0 else 0
    for member in range(links.member_first[index], links.member_first[index + 1]):
        leg = links.member[member]
        bound = links.bound_of[leg]
        if links.low[bound] == links.high[bound] and _others_healthy(markets, slot0, links, leg, levels, now):
            _insert(values, count, implied(markets, slot0, links, leg, verdicts))
            count += 1
    if count <= 1:
        return (values[0], 1.0) if count == 1 else (0.0, 0.0)
    middle = 0.5 * (values[(count - 1) // 2] + values[count // 2])
    total = kept = 0.0
    for source in range(count):
        if abs(values[source] - middle) <= FAIR_OUTLIER:
            total += values[source]
            kept += 1.0
    return (total / kept, kept) if kept > 0.0 else (0.0, 0.0)
