"""One step of a batch in one compiled pass, a few environments at a time: their state stays in the cache.

A stage is a kernel of its own over environments ``first`` to ``last``. Going stage by stage over the whole batch would
fetch all of it from memory once a stage.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.actions import Rows
from envs.buffers import Buffers
from envs.costs import write_costs
from envs.decode import decode, write_masks
from envs.links import Bounds
from envs.memory import Memory
from envs.observe import Scratch, observe
from envs.rewards import write_rewards
from envs.rules import Rules
from envs.shaping import shape_rewards
from envs.shield.stage import Guard, guard_orders, watch_markets
from envs.terminations import write_ends
from envs.transition import measure, rest
from sim.feed import hide_feeds, show_feeds
from sim.kernel import kernel
from sim.loop import advance_slice, finish_slice, submit_slice
from sim.state import State
from sim.world import World

TILE = 32  # markets whose stages follow each other; their state fits a cache of 512 KiB


class Terms(NamedTuple):
    """Which rewards and costs are reported; see ``pick_rewards`` and ``pick_costs``."""

    reward_codes: np.ndarray
    reward_weights: np.ndarray
    cost_codes: np.ndarray
    kill_share: float  # drawdown, as a share of the starting cash, that counts as the kill
    gamma: float = 1.0  # discount of a step, for potentials


class Work(NamedTuple):
    """What a step leaves behind between its stages."""

    actions: np.ndarray  # (N x M,) int64: rows of the table
    intents: np.ndarray  # (N, M, 2) INTENT
    changes: np.ndarray  # (N,) CHANGE
    over: np.ndarray  # (N,) bool: the engine's terminated
    cut: np.ndarray  # (N,) bool: the engine's truncated
    awake: np.ndarray  # (N,) bool: the episode had not ended before this step


class Parts(NamedTuple):
    """All that a step reads and writes."""

    world: World
    state: State
    rules: Rules
    rows: Rows  # of the action table; none where actions are no rows
    terms: Terms
    memory: Memory
    guard: Guard
    links: Bounds
    columns: np.ndarray  # (groups,) int64: where the features of each begin; -1 = not shown
    scratch: Scratch  # of the thread
    work: Work
    now: Buffers


@kernel
def play(parts, first, last, by_rows, step_ns, events):
    """Take a step: :func:`prepare` and :func:`proceed`, a few environments at a time.

    Returns an environment that had more fills than its journal holds, or -1.
    """
    tile = max(1, TILE // (parts.state.clock.shape[1] - 1))
    overflow = -1
    while first < last:
        end = min(first + tile, last)
        prepare(parts, first, end, by_rows)
        overflow = max(overflow, proceed(parts, first, end, step_ns, events))
        first = end
    return overflow


@kernel
def prepare(parts, first, last, by_rows):
    """Decode ``work.actions`` and certify the orders of environments ``first`` to ``last``.

    Unless ``by_rows`` the orders that lie in ``work.intents`` are certified as they are. Nothing is sent yet.
    """
    state, rules, guard, work, now = parts.state, parts.rules, parts.guard, parts.work, parts.now
    if not by_rows and len(guard.limits) == 0:
        return
    show_feeds(state, first, last)
    if by_rows:
        decode(
            rules, state.account, state.pool, state.market, parts.rows, first, last, work.actions, work.intents,
            now.reject,
        )  # fmt: skip
    guard_orders(
        guard, parts.memory, state, rules.fees, first, last, work.intents, work.changes, now.shield_reason,
        now.shield_cut,
    )  # fmt: skip
    hide_feeds(state, first, last)


@kernel
def proceed(parts, first, last, step_ns, events):
    """Submit what was prepared, advance, and :func:`judge`.

    Takes environments ``first`` to ``last`` by ``step_ns`` of market time or ``events`` market events. Returns an
    environment that had more fills than its journal holds, or -1.
    """
    state, work = parts.state, parts.work
    submit_slice(parts.world, state, first, last, work.intents)
    advance_slice(parts.world, state, first, last, step_ns, events)
    overflow = finish_slice(state, first, last, work.over, work.cut)
    judge(parts, first, last)
    return overflow


@kernel
def judge(parts, first, last):
    """The second part of :func:`proceed`: measure, cost, terminate, reward, observe, mask.

    Writes the rows ``first`` to ``last`` of ``now``. Episodes that end here are observed as they ended.
    """
    state, rules, terms, memory = parts.state, parts.rules, parts.terms, parts.memory
    guard, links, work, now = parts.guard, parts.links, parts.work, parts.now
    measure(state.account, state.market, memory.past, now.reject, terms.kill_share, first, last, work.changes)
    rest(work.awake, first, last, work.changes)
    if len(guard.limits) > 0:
        show_feeds(state, first, last)
        watch_markets(guard, memory, state, work.awake, first, last, work.changes, now)
        hide_feeds(state, first, last)
    write_costs(work.changes, terms.cost_codes, first, last, now.costs)
    write_ends(
        state.account, state.market, work.over, work.cut, work.awake, first, last, now.terminated, now.truncated,
        now.reason,
    )  # fmt: skip
    _report(state.account, work.changes, first, last, now)
    show_feeds(state, first, last)
    if len(memory.tally) > 0:
        shape_rewards(
            state, rules.px_of, links, terms, memory, work.intents, work.over, work.awake, first, last, work.changes
        )
    write_rewards(work.changes, terms.reward_codes, terms.reward_weights, first, last, now.reward_terms, now.reward)
    observe(rules, state, memory, links, parts.columns, parts.scratch, work.awake, first, last, now.obs)
    write_masks(rules, state.pool, state.market, parts.rows, work.awake, first, last, now.action_mask)
    hide_feeds(state, first, last)


@kernel
def _report(accounts, changes, first, last, now):
    for env in range(first, last):
        now.reward_uusd[env] = changes[env]["pnl_uusd"]
        now.equity_uusd[env] = accounts[env]["equity_uusd"]
        now.venue_reject[env] = accounts[env]["last_reject"]
        now.ended[env] = now.terminated[env] or now.truncated[env]


@kernel
def look(rules, state, rows, memory, links, columns, scratch, wanted, now, first, last):
    """Observe the environments in ``wanted`` bool ``(N,)`` and say what they can do, where an episode has begun."""
    show_feeds(state, first, last)
    observe(rules, state, memory, links, columns, scratch, wanted, first, last, now.obs)
    write_masks(rules, state.pool, state.market, rows, wanted, first, last, now.action_mask)
    hide_feeds(state, first, last)
