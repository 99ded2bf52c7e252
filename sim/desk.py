"""What a kernel sees of an environment and one of its markets: records by pointer, the ladder, the rules."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.kernel import pasted


class Desk(NamedTuple):
    """One environment's account, one market of it and the cash on its venue. L ladder levels, F fee schedules."""

    account: np.void  # ACCOUNT record, written through
    pool: np.void  # POOL record of the market's venue, written through
    market: np.void  # MARKET record, written through
    book: np.ndarray  # (2 or 6, L) int64, see sim.state
    row: np.void  # COMPILED_ROW of the market's scenario
    px_of: np.ndarray  # (L,) int64
    level_of: np.ndarray  # (10001,) int64
    fees: np.ndarray  # (F,) FEE
    ticks: np.ndarray  # (G, 2, 10001) int16, see sim.book.Grid


@pasted
def desk_at(world, state, env, slot):
    """What the kernels see of an environment and the market in ``slot``."""
    market = state.market[slot]
    return Desk(
        state.account[env],
        state.pool[env, market["venue"]],
        market,
        state.book[slot],
        world.rows[market["row"]],
        world.px_of,
        world.level_of,
        world.fees,
        world.ticks,
    )
