"""The simulator as an environment sees it: a step, a beginning and a look, each as one call over the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from envs import memory as memories
from envs.actions import NO_ROWS, ActionTable
from envs.buffers import Buffers
from envs.decode import decode
from envs.features import Schema, shown_columns
from envs.holding import begin_with, check_start, stagger
from envs.links import bounds_of, compile_bounds
from envs.observe import make_scratch
from envs.quotes import decode_controls
from envs.rewards import remembers
from envs.rules import make_rules
from envs.shaping import begin_shaping
from envs.shield.limits import Limits
from envs.shield.stage import begin_watch, lift_latches, make_guard
from envs.step import Parts, Terms, Work, judge, look, play, prepare, proceed
from envs.surface import Surface
from envs.through import OUTCOME, play_through
from envs.transition import CHANGE
from sim.backtest import Trader
from sim.engine import Engine
from sim.feed import hide_feeds, show_feeds
from sim.kernel import Held
from sim.loop import ANY_NUMBER
from sim.state import State
from sim.types import DO_NOTHING, INTENT, SECOND_NS


class Snapshot(NamedTuple):
    """All that decides how the simulator and the environment's memory of it go on."""

    state: State
    memory: memories.Memory


class Core:
    """An engine with what it takes to act in it and to observe it.

    ``dt_s``: market seconds a step takes; ``events``: market events it takes instead, or None. With a ``surface``
    actions are its points, nothing is masked, and the table is for `play_rows` alone. ``hidden``: groups of features
    that stay 0. ``start_qty``: lots of YES that every market begins with.
    """

    def __init__(
        self,
        engine: Engine,
        schema: Schema,
        table: ActionTable,
        terms: Terms,
        surface: Surface | None = None,
        *,
        dt_s: float,
        events: int | None,
        hidden: Sequence[str] = (),
        start_qty: int = 0,
        stagger_first: bool = False,
    ) -> None:
        self.engine, self.schema, self.table, self.terms, self.surface = engine, schema, table, terms, surface
        self._choices = table.rows if surface is None else NO_ROWS
        self.links = compile_bounds(bounds_of(engine.scenario.links or ()), engine.num_markets)
        world = engine.world
        self.rules = make_rules(
            world.px_of,
            world.tick_ok,
            world.fees,
            cross_ticks=table.cross_ticks,
            cancels_first=world.rows["cancel_delay_ns"] <= world.rows["order_delay_ns"],
            sets=world.sets,
        )
        count, markets = engine.num_envs, engine.num_markets
        self.use_limits(None)
        self._columns = shown_columns(schema, hidden)
        self._work = Work(
            actions=np.zeros(count * markets, np.int64),
            intents=np.zeros((count, markets, 2), INTENT),
            changes=np.zeros(count, CHANGE),
            over=engine.terminated,
            cut=engine.truncated,
            awake=np.ones(count, np.bool_),
        )
        sizes = (len(schema.features), len(self.links.low))
        self._scratch = {first: make_scratch(*sizes) for first, _ in engine.slices}
        self._start_qty, self._stagger = start_qty, stagger_first
        self._held = Held()
        self._pace = (round(dt_s * SECOND_NS), ANY_NUMBER) if events is None else (0, events)

    def use_limits(self, limits: Limits | None) -> None:
        """Put a shield with ``limits`` between decisions and venue, None = none; before the first episode begins.

        With a shield its kill switch is the kill, and no drawdown by itself. Raises ValueError where an episode would
        begin past the limits.
        """
        count, markets = self.engine.num_envs, self.engine.num_markets
        guard = make_guard(limits, self.engine.scenario.links or (), count, markets)
        if limits is not None:
            cash, venue_of = self.engine.state.pool["start_uusd"][0], self.engine.world.venue_of
            check_start(limits, self._start_qty, cash, venue_of, guard.event_of)
        self._memory = memories.allocate(
            count, markets, guarded=limits is not None, shaped=remembers(self.terms.reward_codes)
        )
        self._guard = guard
        if limits is not None:
            self.terms = self.terms._replace(kill_share=np.inf)

    def play(self, actions: np.ndarray | None, resting: np.ndarray, now: Buffers) -> None:
        """Take the step of ``actions`` int64 ``(N x M,)``, checked; None = of the orders in ``sent``.

        See ``envs.step.play``. Environments in ``resting`` bool ``(N,)``, whose episode had ended before, stand still
        and are not observed.
        """
        by_rows = self._choose(actions)
        np.logical_not(resting, out=self._work.awake)

        def run(first: int, last: int) -> None:
            self.engine.check_journal(self._run(play, now, first, last, by_rows, *self._pace))

        self.engine.spread(run)

    def prepare(self, actions: np.ndarray, now: Buffers) -> None:
        """The first half of a step: decode and certify ``actions``, as `play` and `play_controls` take them.

        Nothing is sent: what was certified lies in ``sent`` until :meth:`proceed`.
        """
        if self.surface is not None:
            self._decode_controls(actions, now)
        np.equal(self.engine.state.account["done"], 0, out=self._work.awake)  # who has ended is charged no more
        by_rows = self._choose(actions if self.surface is None else None)
        self._run(prepare, now, 0, self.engine.num_envs, by_rows)

    def proceed(self, step_ns: int, now: Buffers) -> None:
        """The second half of a step: send what was prepared, let ``step_ns`` of market time pass, observe."""
        self.engine.check_journal(self._run(proceed, now, 0, self.engine.num_envs, step_ns, ANY_NUMBER))

    def _choose(self, actions: np.ndarray | None) -> int:
        if actions is None:
            return 0
        self._work.actions[:] = actions
        return 1

    def _run(self, stages: Callable, now: Buffers, first: int, last: int, *numbers: int) -> Any:
        """Call a kernel of ``envs.step`` on environments ``first`` to ``last``, a slice of the engine's."""
        engine = self.engine
        parts = Parts(
            engine.world, engine.state, self.rules, self._choices, self.terms, self._memory, self._guard, self.links,
            self._columns, self._scratch[first], self._work, now,
        )  # fmt: skip
        return self._held.call(stages, parts, first, last, *numbers)

    def advance(self, step_ns: int) -> None:
        """The first part of :meth:`proceed`, where something is to happen before :meth:`judge`."""
        self.engine.submit(self._work.intents)
        self.engine.advance(step_ns / SECOND_NS)

    def judge(self, now: Buffers) -> None:
        """The second part of :meth:`proceed`: measure, cost, terminate, reward, observe, mask."""
        self._run(judge, now, 0, self.engine.num_envs)

    def play_orders(self, wanted: np.ndarray, resting: np.ndarray, now: Buffers) -> None:
        """Take a step with orders instead of rows of the table: ``wanted`` (N, M, 2) INTENT, checked."""
        self._work.intents[:] = wanted
        self._work.intents["do"][self.engine.state.account["done"] == 1] = DO_NOTHING  # the engine would drop them
        now.reject[:] = 0
        self.play(None, resting, now)

    def play_controls(self, controls: np.ndarray, resting: np.ndarray, now: Buffers) -> None:
        """Take a step with points of the surface: ``controls`` float64 (N x M, D), checked."""
        self._decode_controls(controls, now)
        self.play(None, resting, now)

    def _decode_controls(self, controls: np.ndarray, now: Buffers) -> None:
        assert self.surface is not None
        ranges = self.surface.ranges

        def run(first: int, last: int) -> None:
            state, intents = self.engine.state, self._work.intents
            decode_controls(self.rules, state, ranges, first, last, controls, intents, now.reject)

        self.engine.spread(run)

    def play_rows(self, actions: np.ndarray, resting: np.ndarray, now: Buffers) -> None:
        """Take a step with rows of the table, int64 (N x M,), checked, whatever form the environment's actions have."""
        if self.surface is None:
            self.play(actions, resting, now)
            return
        state, rows, count = self.engine.state, self.table.rows, self.engine.num_envs
        show_feeds(state, 0, count)
        decode(
            self.rules, state.account, state.pool, state.market, rows, 0, count, actions, self._work.intents, now.reject
        )
        hide_feeds(state, 0, count)
        self.play(None, resting, now)

    def play_through(self, trader: Trader, now: Buffers) -> np.ndarray:
        """Play ``trader`` from where every environment is to its episode's end; ``(N,)`` OUTCOME."""
        engine, work = self.engine, self._work
        outcomes = np.zeros(engine.num_envs, OUTCOME)
        work.awake[:] = True
        full = play_through(
            trader.chosen.act, engine.world, engine.state, self.rules.fees, float(self.terms.kill_share), self._memory,
            self._guard, trader.params, trader.memory, trader.seen, work.intents, work.changes, now, work.awake,
            *self._pace, outcomes,
        )  # fmt: skip
        engine.check_journal(full)
        return outcomes

    def lift(self, mask: np.ndarray) -> int:
        """Lift the kill switch's latch in the environments of ``mask`` bool ``(N,)``; how many had tripped."""
        return lift_latches(self._memory, self.engine.state, mask)

    @property
    def sent(self) -> np.ndarray:
        """``(N, M, 2)`` INTENT: what was submitted in the last step."""
        return self._work.intents

    def begin(self, mask: np.ndarray) -> None:
        """Begin the next episode of the environments in ``mask`` bool ``(N,)``."""
        self.engine.reset(mask)
        if self._stagger:
            stagger(self.engine.state, mask)
        if self._start_qty > 0:
            begin_with(self.engine.state, mask, self._start_qty)
        memories.begin(self._memory, self.engine.state.account, mask)
        begin_watch(self._guard, self._memory, self.engine.state, mask)
        if len(self._memory.tally) > 0:
            begin_shaping(self.engine.state, self.rules.px_of, self.links, self.terms, self._memory, mask)

    def observe(self, mask: np.ndarray, now: Buffers) -> None:
        """Write observations and action masks of the environments in ``mask`` bool ``(N,)``."""
        first = next(iter(self._scratch))
        look(
            self.rules, self.engine.state, self._choices, self._memory, self.links, self._columns,
            self._scratch[first], mask, now, 0, self.engine.num_envs,
        )  # fmt: skip

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

    @property
    def bytes_per_env(self) -> int:
        """Of all arrays that grow with the number of environments, what a step returns left out."""
        parts = (*self.engine.state, *self._memory, *self._work, *self._guard[2:])
        return sum(array.nbytes for array in parts) // self.engine.num_envs
