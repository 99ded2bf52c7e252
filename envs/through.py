"""Whole episodes of a compiled strategy in one compiled pass, one environment after the other, without observations.

The stages are those of `envs.step`, in their order, and so are the results; but an environment's state stays in the
cache for a whole episode, and nobody looks at features. For Monte Carlo, where only the outcome of an episode counts.
"""

from __future__ import annotations

import numpy as np

from envs.shield.stage import guard_orders, watch_markets
from envs.transition import measure
from sim.backtest import ask
from sim.feed import hide_feeds, show_feeds
from sim.kernel import calls_back, inner
from sim.loop import advance_one, clear_step, finish_one, submit_all
from sim.state import FILL_SLOTS

OUTCOME = np.dtype(
    [
        ("result_uusd", "<i8"),  # final equity less what the account started with
        ("drawdown_uusd", "<i8"),  # largest fall of the equity from its peak, looked at after every step
        ("kill", "<i8"),  # 1 where the kill was charged, see envs.costs
        ("ruined", "<i8"),  # 1 where the account was
        ("steps", "<i8"),  # decisions
    ]
)


@inner
def _step(world, state, fees, kill_share, memory, guard, env, wanted, changes, now, awake, step_ns, events):
    """Certify, submit, advance, measure, watch: one environment, its orders written already."""
    last = env + 1
    if len(guard.limits) > 0:
        show_feeds(state, env, last)
        guard_orders(guard, memory, state, fees, env, last, wanted, changes, now.shield_reason, now.shield_cut)
        hide_feeds(state, env, last)
    clear_step(state.account[env])
    submit_all(world, state, env, wanted[env])
    advance_one(world, state, env, step_ns, events)
    finish_one(state, env)
    measure(state.account, state.market, memory.past, now.reject, kill_share, env, last, changes)
    if len(guard.limits) > 0:
        show_feeds(state, env, last)
        watch_markets(guard, memory, state, awake, env, last, changes, now)
        hide_feeds(state, env, last)


@calls_back
def play_through(
    act, world, state, fees, kill_share, memory, guard, params, kept, seen, wanted, changes, now, awake, step_ns,
    events, outcomes,
):  # fmt: skip
    """Play every environment from where it is to its episode's end and fill ``outcomes`` OUTCOME ``(N,)``.

    ``act``: a strategy's kernel with ``params``, what it keeps ``kept`` (N, M, MEMORY), and ``seen`` (M,) SIGHT to look
    into; ``wanted`` (N, M, 2) INTENT. Returns an environment that had more fills in a step than its journal holds, or
    -1.
    """
    for env in range(len(outcomes)):
        account, outcome = state.account[env], outcomes[env]
        while account["done"] == 0:
            ask(act, world, state, env, params, kept[env], seen, wanted[env])
            _step(world, state, fees, kill_share, memory, guard, env, wanted, changes, now, awake, step_ns, events)
            if account["n_fills"] > FILL_SLOTS:
                return env
            outcome["kill"] = max(outcome["kill"], changes[env]["kill"])
        outcome["result_uusd"] = account["equity_uusd"] - account["start_uusd"]
        outcome["drawdown_uusd"] = memory.past[env]["drawdown_uusd"]
        outcome["ruined"] = account["ruined"]
        outcome["steps"] = account["step"]
    return -1
