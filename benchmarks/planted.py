"""A quoter with a planted weakness: on a one-sided book its position limit is not looked at."""

from __future__ import annotations

from sim.backtest import strategy
from sim.kernel import inner
from sim.strategies import Parameter
from sim.strategies.market_makers import TICK_PX, two_sided
from sim.strategies.ordering import net_contracts, pull, quote
from sim.types import BID, LOTS_PER_CONTRACT, PX_ONE


@inner
def _left_alone(seen, side, gap, share):
    """Whether others have left a side: a spread of ``gap`` ticks, and under ``share`` of what the other side shows."""
    wide = seen["ask_px"] - seen["bid_px"] >= gap * TICK_PX
    here = seen["bid_qty"] if side == BID else seen["ask_qty"]
    there = seen["ask_qty"] if side == BID else seen["bid_qty"]
    return wide and here < share * there


@strategy(
    "keeps an order at the touch of each side, and on a one-sided book stands in for the side that is gone",
    Parameter("size", 50.0, 0.01, 100_000.0, "contracts an order"),
    Parameter("limit", 100.0, 0.01, 1_000_000.0, "net position, contracts, from which a side is not quoted"),
    Parameter("gap", 5.0, 1.0, 100.0, "ticks of spread from which a book can be one-sided"),
    Parameter("share", 0.5, 0.0, 1.0, "of the other side's size, below which a side is gone"),
    Parameter("stop", 0.0, 0.0, 1.0, "1 = the limit holds on a one-sided book too: the weakness mended"),
)
def careless(screen, orders):
    """Where others have left a side, it doubles there what it holds, a tick before them: averaging down, no stop."""
    size, limit = screen.params[0], screen.params[1]
    for market in range(len(screen.seen)):
        seen = screen.seen[market]
        net = net_contracts(seen)
        for side in range(2):
            alone = _left_alone(seen, side, screen.params[2], screen.params[3])
            held = net if side == BID else -net
            px = seen["bid_px"] if side == BID else seen["ask_px"]
            if alone:
                px += TICK_PX if side == BID else -TICK_PX
            contracts = max(size, held) if alone and screen.params[4] == 0.0 else size
            within = held < limit or (alone and screen.params[4] == 0.0)
            if two_sided(seen) and within and 0 < px < PX_ONE:
                quote(seen, orders[market, side], side, px, int(contracts * LOTS_PER_CONTRACT), 0.0, 0)
            else:
                pull(seen, orders[market, side], side)
