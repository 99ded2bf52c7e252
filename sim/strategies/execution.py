"""Selling what is held over time: the time-weighted schedule that execution is measured by."""

from __future__ import annotations

import math

from sim.backtest import strategy
from sim.kernel import inner
from sim.strategies import Parameter
from sim.strategies.ordering import take
from sim.types import ASK, LOTS_PER_CONTRACT, SECOND_NS

TICK_PX = 100
_BEGUN, _START_NS, _START_QTY = 0, 1, 2  # what it keeps of a market


@inner
def due_qty(start_qty, held_qty, share):
    """Lots to sell now: what is held beyond ``start_qty`` less the ``share`` of the time that is over, rounded up."""
    return held_qty - int(math.floor(start_qty * (1.0 - min(1.0, share))))


@strategy(
    "sells the YES it begins with evenly over time, at the touch",
    Parameter("horizon_s", 110.0, 0.001, 1e6, "seconds after which all is to be sold; the smallest: at once"),
    Parameter("slice", 5.0, 0.01, 1e6, "contracts below which it waits for more to be due, but for the rest"),
    Parameter("reach", 2.0, 0.0, 100.0, "ticks below the best bid that it sells at"),
)
def twap(screen, orders):
    """A straight line from what is held at the first decision to nothing at the horizon; what fails is due again."""
    params = screen.params
    least, reach_px = int(params[1] * LOTS_PER_CONTRACT), int(params[2]) * TICK_PX
    for market in range(len(screen.seen)):
        seen, memory = screen.seen[market], screen.memory[market]
        if memory[_BEGUN] == 0.0:
            memory[_BEGUN], memory[_START_NS], memory[_START_QTY] = 1.0, seen["now_ns"], seen["yes_qty"]
        share = (seen["now_ns"] - memory[_START_NS]) / (params[0] * SECOND_NS)
        due = due_qty(memory[_START_QTY], seen["yes_qty"], share)
        if due <= 0 or (due < least and due < seen["yes_qty"]) or seen["open"] == 0 or seen["bid_px"] == 0:
            continue
        px = seen["bid_px"] - reach_px
        take(seen, orders[market, ASK], ASK, px if px > 0 else seen["bid_px"], due)
