"""The clairvoyant of the signal: takes what the true belief says is mispriced, row by row of the action table."""

from __future__ import annotations

import numpy as np

from envs.vector import TradingVectorEnv
from sim.account import leg_price
from sim.kernel import kernel
from sim.strategies.decision import BUY, CROSS, table_from_rows
from sim.types import ASK, BID, LOTS_PER_CONTRACT, YES
from sim.venues.fees import charge

_PPM_PER_PX = 100


@kernel
def _walk_value(state, px_of, fees, env, leg, qty, reach, belief_ppm):
    """Expected profit, micro-dollars, of taking up to ``qty`` lots of a leg within ``reach`` levels of the touch."""
    market = state.market[env]
    book = state.book[env]
    levels = len(px_of)
    worth = belief_ppm if leg == YES else 1_000_000 - belief_ppm
    side = ASK if leg == YES else BID
    level = market["best_ask"] if leg == YES else market["best_bid"]
    step = 1 if leg == YES else -1
    value = 0
    for _ in range(reach + 1):
        if level < 0 or level >= levels or qty == 0:
            break
        size = min(qty, book[side, level])
        if size > 0:
            price = leg_price(leg, px_of[level])
            fee, _ = charge(fees, market["fee"], price, size, True, False, 0)
            value += size * worth // _PPM_PER_PX - size * price - fee
            qty -= size
        level += step
    return value


@kernel
def _best_rows(state, px_of, fees, verb, leg, qty, style, reach, margin_uusd, out):
    for env in range(len(out)):
        best, chosen = 0, 0
        for row in range(len(verb)):
            if verb[row] != BUY or style[row] != CROSS:
                continue
            belief = state.market[env]["latent_ppm"]
            value = _walk_value(state, px_of, fees, env, leg[row], qty[row], reach, belief)
            value -= margin_uusd * qty[row] // LOTS_PER_CONTRACT
            if value > best:
                best, chosen = value, row
        out[env] = chosen


class Clairvoyant:
    """Policy face of the clairvoyant. ``margin`` in dollars a contract; row 0 of the table must be hold."""

    def __init__(self, env: TradingVectorEnv, margin: float, cross_levels: int = 2) -> None:
        self.env, self.reach, self.margin = env, cross_levels, round(margin * 1e6)
        table = table_from_rows(env.spec_sheet["actions"])
        self.verb, self.leg, self.style = table.verb, table.leg, table.style
        self.qty = np.rint(np.asarray(table.contracts) * LOTS_PER_CONTRACT).astype(np.int64)

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Actions ``(N,)`` int64; looks at the market's truth, not at ``obs``."""
        out = np.zeros(len(obs), np.int64)
        engine = self.env.engine
        _best_rows(
            engine.state, engine.grid.px_of, engine.world.fees, self.verb, self.leg, self.qty, self.style, self.reach,
            self.margin, out,
        )  # fmt: skip
        return out
