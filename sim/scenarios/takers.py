"""The synthetic market's takers: how they walk the book, what follows a take, and those who watch ours.

Nobody here creates free money. Makers are the only ones whom these takers meet, and the makers' quotes depend on the
belief and on how much was taken, never on the side of it: what takers do cannot move the middle between the quotes.
Opponents take no deeper than the makers' own quote and less than we did, so whoever lures them onto a resting order
earns less from them than the luring cost. See docs/market.md, "No free money".
"""

from __future__ import annotations

import math

from sim.kernel import hot, inner
from sim.latency import NEVER_NS
from sim.mathematics import log
from sim.queue import on_level, on_print
from sim.rng import BURST, SHOCK, philox, uniform
from sim.scenarios.blocks import EXPO_UNIT, exponential
from sim.scenarios.compiled import CASCADE, COPY, FRONT, MOMENTUM
from sim.scenarios.makers import change, faded, learn, level_behind, widen
from sim.types import ASK, BID, PX_ONE, SECOND_NS

MARKET_BITS = 16  # streams of one market; those of the next lie above


@hot
def draw(desk, purpose, step, stream):
    """A Philox block of a market's own."""
    account = desk.account
    stream += desk.market["index"] << MARKET_BITS
    return philox(account["seed"], account["episode"], step, purpose, account["number"], stream)


@hot
def lots(expo, mean_qty):
    """A size of at least one lot, exponential with about the given mean."""
    return 1 + int(math.floor(expo * EXPO_UNIT * mean_qty))


@hot
def noise_lots(row, kind, expo):
    """Size of a noise taker's order: a mixture of two exponentials, picked by the low half of a word."""
    return lots(expo, row["large_qty"] if (kind & 0xFFFF) < row["large_word"] else row["noise_qty"])


@hot
def next_stop(market):
    """Find out when something other than an arrival happens next to the market, and what its clock says."""
    market["stop_ns"] = min(market["close_ns"], min(market["resume_ns"], market["burst_ns"]))
    market["event_ns"] = min(market["flow_ns"], market["stop_ns"])


@hot
def walk(desk, taker_side, limit_px, qty, now):
    """A taker of the flow walks the book up to a limit: per level a print, then the level's change. Returns lots."""
    side = 1 - taker_side
    left = qty
    while left > 0:
        level = desk.market["best_bid"] if side == BID else desk.market["best_ask"]
        if level < 0 or level >= desk.book.shape[1]:
            break
        px = desk.px_of[level]
        if px > limit_px if taker_side == BID else px < limit_px:
            break
        shown = desk.book[side, level]
        size = min(left, shown)
        on_print(desk, taker_side, px, size, now)
        on_level(desk, side, level, shown - size, now)
        left -= size
    return qty - left


@inner
def take(desk, taker_side, limit_px, qty, now):
    """As :func:`walk`, for takers who come seldom, with what follows."""
    filled = walk(desk, taker_side, limit_px, qty, now)
    if filled > 0 and desk.row["reacts"] == 1:
        react(desk, taker_side, filled, now)
    return filled


@hot
def no_limit(side):
    """The limit of a taker who takes any price."""
    return PX_ONE if side == BID else 0


@hot
def informed_side(desk, edge):
    """What one who knows the belief does: the side that is mispriced by more than ``edge`` ppm, and his limit.

    A price of p ppm-dollars is p / 100 price units; the limit is rounded against the taker.
    """
    belief = desk.market["latent_ppm"]
    highest = (belief - edge) // 100
    best = desk.market["best_ask"]
    if best < desk.book.shape[1] and desk.px_of[best] <= highest:
        return BID, highest
    return ASK, -((-belief - edge) // 100)


@inner
def take_news(desk, number, now):
    """A taker who knows of news number ``number`` comes with it: what the makers still quote is mispriced to him."""
    coin, expo, _, _ = draw(desk, SHOCK, number, 1)
    if (coin & 0xFFFF) < desk.row["news_take_word"]:
        side, limit = informed_side(desk, desk.row["informed_edge_ppm"])
        take(desk, side, limit, lots(exponential(expo), desk.row["informed_qty"]), now)


@inner
def react(desk, taker_side, filled, now):
    """What a take of others brings about: makers react, followers come, a cascade begins."""
    market, row = desk.market, desk.row
    _makers_react(desk, taker_side, filled, now)
    if row["excite_jump"] > 0.0:
        market["burst_side"] = taker_side
        excite(desk, row["excite_jump"], now)
    if 0 < row["cascade_qty"] <= filled and now >= market["cascade_until_ns"]:
        start_cascade(desk, taker_side, now)


@inner
def _makers_react(desk, taker_side, filled, now):
    """Wider quotes, a pulled touch."""
    market, row = desk.market, desk.row
    if row["widen_ppm"] > 0.0:
        widen(market, row, filled, now)
    if row["pull"] > 0.0:
        side = 1 - taker_side
        level = market["best_bid"] if side == BID else market["best_ask"]
        if 0 <= level < desk.book.shape[1]:
            shown = desk.book[side, level]
            change(desk, side, level, shown - int(math.floor(shown * row["pull"])), now)


@inner
def excite(desk, jump, now):
    """The followers' rate grows by ``jump``; when the next comes is drawn anew, which its exponential law allows.

    With rate x and decay life T the next comes after ``-T log(1 - E / (x T))``, E standard exponential, and not at all
    where the bracket is not positive. Source: A. Dassios, H. Zhao, "Exact simulation of Hawkes process with
    exponentially decaying intensity", Electronic Communications in Probability 18, 2013: the part of an arrival's time
    that the excitation brings.
    """
    market = desk.market
    life = desk.row["excite_life_ns"]
    rate = faded(market["excess"], now - market["excess_ns"], life) + jump
    market["excess"] = rate
    market["excess_ns"] = now
    market["burst_ns"] = NEVER_NS
    first, _, _, _ = draw(desk, BURST, market["bursts"], 0)
    market["bursts"] += 1
    if rate > 0.0:
        left = 1.0 - exponential(first) * EXPO_UNIT / (rate * (life / SECOND_NS))
        if left > 0.0:
            market["burst_ns"] = now + 1 + int(math.floor(-log(left) * life))
    next_stop(market)


@inner
def follow(desk):
    """The follower who is due takes at any price: the cascade's side while there is one."""
    market, row = desk.market, desk.row
    now = market["burst_ns"]
    _, expo, kind, coin = draw(desk, BURST, market["bursts"] - 1, 0)
    side = market["burst_side"]
    if now < market["cascade_until_ns"]:
        side = market["cascade_side"]
    elif uniform(coin) >= row["excite_same"]:
        side = 1 - side
    market["burst_ns"] = -1
    take(desk, side, no_limit(side), noise_lots(row, kind, exponential(expo)), now)
    if market["burst_ns"] < 0:
        excite(desk, 0.0, now)


@inner
def start_cascade(desk, side, now):
    """Liquidity goes: the makers pull a share of every level and stay away, takers of one side follow."""
    market, row = desk.market, desk.row
    market["cascade_until_ns"] = now + row["cascade_life_ns"]
    market["cascade_side"] = side
    for book_side in range(2):
        for steps in range(row["levels"]):
            level = level_behind(desk, book_side, steps)
            if level >= 0:
                shown = desk.book[book_side, level]
                change(desk, book_side, level, shown - int(math.floor(shown * row["cascade_pull"])), now)
    if row["cascade_follow"] > 0.0:
        excite(desk, row["cascade_follow"], now)


@inner
def we_took(desk, signed_qty, now):
    """We took ``signed_qty`` lots, + bought: the makers keep more distance, and opponents will hear of it."""
    market, row = desk.market, desk.row
    if row["widen_ppm"] > 0.0:
        widen(market, row, abs(signed_qty), now)
    if row["watched"] == 1:
        learn(market, row, now)
        if market["unseen_all_qty"] == 0:  # the delay is the first take's: who takes all the time is seen, too
            market["unseen_ns"] = now + row["watch_delay_ns"]
        market["unseen_net_qty"] += signed_qty
        market["unseen_all_qty"] += abs(signed_qty)


@inner
def _momentum(desk, expo, now):
    """Takes the side to which the mid has left its average."""
    market, row = desk.market, desk.row
    elapsed = now - market["trend_ns"]
    mid2 = market["mid2_px"]
    market["trend2_px"] += (mid2 - market["trend2_px"]) * (elapsed / (elapsed + row["momentum_life_ns"]))
    market["trend_ns"] = now
    away = mid2 - market["trend2_px"]
    if abs(away) > row["momentum_px"]:
        side = BID if away > 0.0 else ASK
        take(desk, side, no_limit(side), lots(expo, row["momentum_qty"]), now)


@inner
def _opponent_takes(desk, allowance, now):
    """An opponent takes up to ``allowance`` lots, + buys, at the makers' own quote. Returns what it took, signed.

    Nobody follows an opponent: who lures one with a lot could else set off followers of any size.
    """
    side = BID if allowance > 0.0 else ASK
    level = level_behind(desk, 1 - side, 0)
    qty = int(math.floor(abs(allowance)))
    if level < 0 or qty == 0:
        return 0
    filled = walk(desk, side, desk.px_of[level], qty, now)
    if filled > 0 and desk.row["reacts"] == 1:
        _makers_react(desk, side, filled, now)
    return filled if side == BID else -filled


@inner
def _front(desk, now):
    """The front-runner acts where our takes were many and one-sided."""
    market, row = desk.market, desk.row
    learn(market, row, now)
    net, total = market["ours_net_qty"], market["ours_all_qty"]
    predictable = total >= row["front_min_qty"] and abs(net) > row["front_bias"] * total
    if predictable and net * market["front_qty"] > 0.0:
        market["front_qty"] -= _opponent_takes(desk, market["front_qty"], now)


@inner
def _copy(desk, now):
    market = desk.market
    learn(market, desk.row, now)
    if market["copy_qty"] != 0.0:
        market["copy_qty"] -= _opponent_takes(desk, market["copy_qty"], now)


@inner
def seldom(desk, kind, place, expo, now):
    """Arrivals that are rare or absent: momentum takers, opponents, cascades."""
    threshold = desk.row["threshold"]
    if kind < threshold[MOMENTUM]:
        _momentum(desk, expo, now)
    elif kind < threshold[FRONT]:
        _front(desk, now)
    elif kind < threshold[COPY]:
        _copy(desk, now)
    elif kind < threshold[CASCADE]:
        if now >= desk.market["cascade_until_ns"]:
            start_cascade(desk, place & 1, now)
