"""The shield as a stage of an environment's step: orders are certified before they are sent, triggers watched after it.

Without a shield there is no row of limits, and the stages return at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from envs.shield.codes import CRITICAL
from envs.shield.exposure import LEDGER
from envs.shield.judge import TOTALS, certify_one, write_down
from envs.shield.limits import LIMITS, Limits
from envs.shield.regime import assess, lift, start_watch
from sim.kernel import kernel
from sim.links import Exclusive, Link, Same


class Guard(NamedTuple):
    """What a shield judges by, and room to work in. N environments of M markets; all empty without limits."""

    limits: np.ndarray  # (1,) LIMITS; (0,) = no shield
    event_of: np.ndarray  # (M,) int64: the lowest number of a market that links tie this one to
    set_of: np.ndarray  # (M,) int64: the lowest number of a market of the set that it nets in; -1 = none
    ledger: np.ndarray  # (N, M) LEDGER
    totals: np.ndarray  # (N,) TOTALS


def events_of(links: Sequence[Link], num_markets: int) -> np.ndarray:
    """``(M,)`` int64: markets tied together by links, directly or through others, share the lowest of their numbers."""
    event = np.arange(num_markets)
    for link in links:
        tied = (link.first, link.second) if isinstance(link, Same) else link.markets
        numbers = event[list(tied)]
        event[np.isin(event, numbers)] = numbers.min()
    return event


def sets_of(links: Sequence[Link], num_markets: int) -> np.ndarray:
    """``(M,)`` int64: markets that their venue nets as a set share the lowest of their numbers; -1 = in no set."""
    result = np.full(num_markets, -1)
    for link in links:
        if isinstance(link, Exclusive) and link.nets:
            result[list(link.markets)] = min(link.markets)
    return result


def make_guard(limits: Limits | None, links: Sequence[Link], num_envs: int, num_markets: int) -> Guard:
    """The arrays of a shield with ``limits``; None = of none."""
    count = 0 if limits is None else num_envs
    record = np.zeros(0, LIMITS) if limits is None else limits.record()
    event_of, set_of = events_of(links, num_markets), sets_of(links, num_markets)
    return Guard(record, event_of, set_of, np.zeros((count, num_markets), LEDGER), np.zeros(count, TOTALS))


@kernel
def guard_orders(guard, memory, state, fees, first, last, intents, changes, reasons, cuts):
    """Certify ``intents`` (N, M, 2) of environments ``first`` to ``last``, and count their messages.

    ``memory``: `envs.memory.Memory`. Reasons and lots cut go into ``reasons`` and ``cuts`` (N, M, 2), how many orders
    were changed or refused into ``changes`` CHANGE (N,).
    """
    if len(guard.limits) == 0:
        return
    limits = guard.limits[0]
    width = intents.shape[1]
    ledger, totals = guard.ledger[first], guard.totals[first]  # one place to work in for all of them stays in the cache
    for env in range(first, last):
        account, watch = state.account[env], memory.watch[env]
        if account["done"] == 1:
            changes[env]["intervention"] = 0
            reasons[env] = 0
            cuts[env] = 0
            continue
        certify_one(
            limits, watch, account, state.pool[env], state.market[env * width : (env + 1) * width], fees,
            guard.event_of, guard.set_of, ledger, totals, intents[env], reasons[env], cuts[env],
        )  # fmt: skip
        changes[env]["intervention"] = totals["changed"]
        write_down(limits, watch, account, totals)


@kernel
def watch_markets(guard, memory, state, awake, first, last, changes, now):
    """Look at the triggers of environments ``first`` to ``last`` and write regimes into the buffers ``now``.

    The kill in ``changes`` CHANGE (N,) is the first CRITICAL of an episode.

    Environments that are not ``awake`` bool (N,), whose episode had ended before this step, keep their regime.
    """
    if len(guard.limits) == 0:
        return
    width = len(state.market) // len(state.account)
    for env in range(first, last):
        account, watch = state.account[env], memory.watch[env]
        begins = False
        if awake[env]:
            begins = assess(
                guard.limits[0], watch, memory.tariff[env], account, state.pool[env],
                state.market[env * width : (env + 1) * width],
            )  # fmt: skip
        changes[env]["kill"] = int(begins and watch["kills"] == 1)
        now.regime[env] = watch["regime"]
        now.regime_reason[env] = watch["reason"]
        now.overshoot_uusd[env] = watch["overshoot_uusd"]


@kernel
def begin_watch(guard, memory, state, mask):
    """New episodes of the environments in ``mask`` bool ``(N,)``: NORMAL."""
    if len(guard.limits) == 0:
        return
    width = len(state.market) // len(state.account)
    for env in range(len(mask)):
        if mask[env]:
            markets = state.market[env * width : (env + 1) * width]
            start_watch(memory.watch[env], memory.tariff[env], state.account[env], state.pool[env], markets)


@kernel
def lift_latches(memory, state, mask):
    """An operator lifts the latch of the environments in ``mask`` bool ``(N,)``. Returns how many were CRITICAL."""
    lifted = 0
    for env in range(len(mask)):
        if mask[env] and memory.watch[env]["regime"] == CRITICAL:
            lift(memory.watch[env], state.account[env]["equity_uusd"], state.account[env]["now_ns"])
            lifted += 1
    return lifted
