"""Compiled market makers: one that joins the touch, and Avellaneda's and Stoikov's quoter."""

from __future__ import annotations

from sim.backtest import strategy
from sim.kernel import inner
from sim.strategies import Parameter
from sim.strategies.ordering import net_contracts, pull, quote
from sim.strategies.quoting import (
    edge,
    half_spread,
    moved_variance,
    outward_px,
    reservation_price,
    shrunk_size,
)
from sim.types import ASK, BID, LOTS_PER_CONTRACT, PX_ONE, SECOND_NS

TICK_PX = 100
_DOLLAR = 1.0 / PX_ONE


@inner
def two_sided(seen):
    """Whether the market is open and others quote both sides."""
    return seen["open"] == 1 and seen["bid_px"] > 0 and seen["ask_px"] < PX_ONE


@strategy(
    "keeps an order at the touch of each side",
    Parameter("size", 10.0, 0.01, 100_000.0, "contracts an order"),
    Parameter("limit", 50.0, 0.01, 1_000_000.0, "net position, contracts, from which a side is not quoted"),
)
def joiner(screen, orders):
    """The reference quoter: joins, one order a side, cancels when the touch moves."""
    size, limit = int(screen.params[0] * LOTS_PER_CONTRACT), screen.params[1]
    for market in range(len(screen.seen)):
        seen = screen.seen[market]
        net = net_contracts(seen)
        if two_sided(seen) and net < limit:
            quote(seen, orders[market, BID], BID, seen["bid_px"], size, 0.0, 0)
        else:
            pull(seen, orders[market, BID], BID)
        if two_sided(seen) and net > -limit:
            quote(seen, orders[market, ASK], ASK, seen["ask_px"], size, 0.0, 0)
        else:
            pull(seen, orders[market, ASK], ASK)


# what the quoter keeps of a market
_LAST_NS, _LAST_MID2, _VARIANCE = 0, 1, 2


@inner
def _follow(seen, memory, half_life):
    """Keep the variance of the mid up to date; returns it in dollars^2 per second."""
    mid2, now = seen["mid2_px"], seen["now_ns"]
    if memory[_LAST_NS] == 0.0:
        memory[_LAST_NS], memory[_LAST_MID2] = now, mid2
    elapsed = (now - memory[_LAST_NS]) / SECOND_NS
    if elapsed > 0.0 and mid2 != memory[_LAST_MID2]:
        move = (mid2 - memory[_LAST_MID2]) * 0.5 * _DOLLAR
        memory[_VARIANCE] = moved_variance(memory[_VARIANCE], move, elapsed, half_life)
        memory[_LAST_NS], memory[_LAST_MID2] = now, mid2
    return memory[_VARIANCE]


@strategy(
    "quotes around its reservation price, after Avellaneda and Stoikov",
    Parameter("size", 10.0, 0.01, 100_000.0, "contracts an order"),
    Parameter("limit", 50.0, 0.01, 1_000_000.0, "net position, contracts, at which a side shrinks to nothing"),
    Parameter("gamma", 0.1, 0.0, 1000.0, "risk aversion, per dollar"),
    Parameter("kappa", 100.0, 0.1, 10_000.0, "how fast fills thin out with distance, per dollar"),
    Parameter("horizon_s", 60.0, 0.1, 1e6, "longest horizon; the time to the close if that is shorter"),
    Parameter("half_life_s", 30.0, 0.1, 1e6, "of the variance's memory"),
    Parameter("min_edge", 0.0, -1.0, 1.0, "dollars a contract below which a quote is left out, maker fee paid"),
    Parameter("min_life_s", 0.5, 0.0, 3600.0, "a quote is improved no sooner"),
    Parameter("tolerance", 0.0, 0.0, 100.0, "ticks by which a quote may be off"),
)
def avellaneda_stoikov(screen, orders):
    """Reservation price, half-spread, edge filter, size shrink, least quote life, replace tolerance."""
    params = screen.params
    size, limit, gamma, kappa, horizon = params[0], params[1], params[2], params[3], params[4]
    half_life, min_edge, min_life, tolerance = params[5], params[6], params[7], int(params[8]) * TICK_PX
    for market in range(len(screen.seen)):
        seen = screen.seen[market]
        if not two_sided(seen):
            pull(seen, orders[market, BID], BID)
            pull(seen, orders[market, ASK], ASK)
            continue
        variance = _follow(seen, screen.memory[market], half_life)
        seconds = min(horizon, max(0.0, (seen["close_ns"] - seen["now_ns"]) / SECOND_NS))
        mid = seen["mid2_px"] * 0.5 * _DOLLAR
        net = net_contracts(seen)
        center = reservation_price(mid, net, gamma, variance, seconds)
        half = half_spread(gamma, variance, seconds, kappa)
        for side in range(2):
            px = outward_px(center - half if side == BID else center + half, side, TICK_PX)
            # post-only: never at or past the other side's touch
            px = min(px, seen["ask_px"] - TICK_PX) if side == BID else max(px, seen["bid_px"] + TICK_PX)
            price = px * _DOLLAR
            fee = seen["maker_ppm"] * 1e-6 * price * (1.0 - price)
            qty = int(shrunk_size(size, net, limit, side) * LOTS_PER_CONTRACT)
            if 0 < px < PX_ONE and qty > 0 and edge(price, mid, side, fee) >= min_edge:
                quote(seen, orders[market, side], side, px, qty, min_life, tolerance)
            else:
                pull(seen, orders[market, side], side)
