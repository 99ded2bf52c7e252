"""The simulator as an environment sees it: each stage of a step as one call over the whole batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs import memory as memories
from envs.actions import ActionTable
from envs.buffers import Buffers
from envs.costs import write_costs
from envs.decode import decode, write_masks
from envs.features import Schema
from envs.observe import observe
from envs.rewards import write_rewards
from envs.rules import make_rules
from envs.terminations import write_ends
from envs.transition import CHANGE, measure
from sim.engine import Engine
from sim.state import State
from sim.types import INTENT


class Terms(NamedTuple):
    """Which rewards and costs are reported; see ``pick_rewards`` and ``pick_costs``."""

    reward_codes: np.ndarray
    reward_weights: np.ndarray
    cost_codes: np.ndarray
    kill_share: float  # drawdown, as a share of the starting cash, that counts as the kill


class Snapshot(NamedTuple):
    """All that decides how the simulator and the environment's memory of it go on."""

    state: State
    memory: memories.Memory


class Core:
    """An engine with what it takes to act in it and to observe it. All arrays are those of ``Buffers``."""

    def __init__(self, engine: Engine, schema: Schema, table: ActionTable, terms: Terms) -> None:
        self.engine, self.schema, self.table, self.terms = engine, schema, table, terms
        world = engine.world
        self.rules = make_rules(
            world.px_of,
            world.tick_ok,
            world.fees,
            cross_ticks=table.cross_ticks,
            cancels_first=world.rows["cancel_delay_ns"] <= world.rows["order_delay_ns"],
        )
        self._count = engine.num_envs
        self._memory = memories.allocate(self._count)
        self._columns = np.array(schema.columns)
        self._intents = np.zeros((self._count, 1, 2), INTENT)
        self._changes = np.zeros(self._count, CHANGE)
        self._verdicts = np.zeros(len(table.listed), np.int64)

    def decode(self, actions: np.ndarray, now: Buffers) -> None:
        """Turn actions int64 ``(N,)``, checked, into intents."""
        state, rows = self.engine.state, self.table.rows
        arrays = (state.account, state.pool, state.market)
        decode(self.rules, *arrays, rows, 0, self._count, actions, self._intents[:, 0], now.reject)

    def submit(self) -> None:
        """Put the intents on the wire."""
        self.engine.submit(self._intents)

    def measure(self, now: Buffers) -> None:
        """Find out what the step changed, and remember where it left us."""
        state = self.engine.state
        measure(
            state.account, state.market, self._memory, now.reject, self.terms.kill_share, 0, self._count, self._changes
        )
        now.reward_uusd[:] = self._changes["pnl_uusd"]
        now.equity_uusd[:] = state.account["equity_uusd"]

    def reward(self, now: Buffers) -> None:
        """Write reward terms and reward."""
        codes, weights = self.terms.reward_codes, self.terms.reward_weights
        write_rewards(self._changes, codes, weights, 0, self._count, now.reward_terms, now.reward)

    def cost(self, now: Buffers) -> None:
        """Write costs."""
        write_costs(self._changes, self.terms.cost_codes, 0, self._count, now.costs)

    def terminate(self, resting: np.ndarray, now: Buffers) -> None:
        """Write which episodes ended in this step, and why; ``resting`` bool ``(N,)`` ones ended before it."""
        engine, ends = self.engine, (now.terminated, now.truncated, now.reason)
        account, market = engine.state.account, engine.state.market
        write_ends(account, market, engine.terminated, engine.truncated, resting, 0, self._count, *ends)
        np.logical_or(now.terminated, now.truncated, out=now.ended)

    def begin(self, mask: np.ndarray) -> None:
        """Begin the next episode of the environments in ``mask`` bool ``(N,)``."""
        self.engine.reset(mask)
        memories.begin(self._memory, self.engine.state.account, mask)

    def observe(self, mask: np.ndarray, out: np.ndarray) -> None:
        """Write the observations of the environments in ``mask`` bool ``(N,)`` into ``out`` float32 ``(N, F)``."""
        state = self.engine.state
        arrays = (state.account, state.pool, state.market, state.book)
        observe(self.rules, *arrays, self._memory, self._columns, mask, 0, self._count, out)

    def mask(self, now: Buffers) -> None:
        """Write which actions can be done."""
        state, rows = self.engine.state, self.table.rows
        write_masks(self.rules, state.pool, state.market, rows, 0, self._count, self._verdicts, now.action_mask)

    def snapshot(self) -> Snapshot:
        """A copy of simulator and memory."""
        return Snapshot(self.engine.snapshot(), memories.snapshot(self._memory))

    def restore(self, saved: Snapshot) -> None:
        """Go back to a snapshot. Raises ValueError where shapes differ."""
        self.engine.restore(saved.state)
        memories.restore(self._memory, saved.memory)

    def digest(self, first: int, count: int | None, resting: np.ndarray) -> str:
        """Hash of ``count`` environments from ``first`` on, with who rests."""
        rows = slice(first, None if count is None else first + count)
        return memories.digest(self._memory, rows, self.engine.digest(first, count), resting[rows])
