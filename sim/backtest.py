"""Compiled strategies inside the event loop: no Python between a market event and the order that answers it.

A strategy is a kernel that looks at every market of an environment and writes the orders it wants, one a side:

    @strategy("joins the touch of both sides", Parameter("size", 10.0, 0.01, 1000.0, "contracts an order"))
    def joiner(screen, orders):
        for market in range(len(screen.seen)):
            seen = screen.seen[market]
            if two_sided(seen):
                quote(seen, orders[market, BID], BID, seen["bid_px"], int(screen.params[0] * 100), 0.0, 0)
                quote(seen, orders[market, ASK], ASK, seen["ask_px"], int(screen.params[0] * 100), 0.0, 0)

It plays on the very engine that the environments play on: same orders, delays, fills and account (docs/strategies.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sim.desk import desk_at
from sim.engine import Engine
from sim.feed import hide_feeds, show_feeds
from sim.kernel import callback, calls_back, hot, inner
from sim.links import LEG, PACKAGE, Links
from sim.loop import ANY_NUMBER, advance_one, clear_step, finish_one, submit_all
from sim.sight import SIGHT, look
from sim.state import FILL_SLOTS
from sim.strategies import Parameter
from sim.types import ASK, BID, DO_NOTHING, FILL, INTENT, SECOND_NS

_BUFFER = 65_536  # fills and marks kept before they are copied away
MEMORY = 8  # float64 a strategy may keep for each market between two calls
MARK = np.dtype([("env", "<i8"), ("ns", "<i8"), ("equity_uusd", "<i8"), ("net_qty", "<i8")])


class Screen(NamedTuple):
    """What a strategy has before it: M markets of L levels."""

    seen: np.ndarray  # (M,) SIGHT: each market now
    book: np.ndarray  # (M, 2 or 6, L) int64: lots that others show, not to be written
    px_of: np.ndarray  # (L,) int64: price of a level
    params: np.ndarray  # float64: the strategy's parameters in their order
    memory: np.ndarray  # (M, MEMORY) float64: the strategy's own, 0 at the start of an episode
    links: Links  # packages that the relations between the markets guarantee; empty without relations


_EXAMPLES = (
    Screen(
        np.zeros(1, SIGHT),
        np.zeros((1, 2, 1), np.int64),
        np.zeros(1, np.int64),
        np.zeros(0),
        np.zeros((1, 1)),
        Links(np.zeros(0, PACKAGE), np.zeros(0, LEG)),
    ),
    np.zeros((1, 2), INTENT),
)


@dataclass(frozen=True)
class CompiledStrategy:
    """A kernel with its parameters.

    ``act(screen, orders)`` looks at a :class:`Screen` and writes what it wants now into ``orders`` (M, 2) INTENT,
    columns BID and ASK, all DO_NOTHING when it is called.
    """

    name: str
    meaning: str
    function: Callable
    parameters: tuple[Parameter, ...] = ()

    @cached_property
    def act(self) -> Callable:
        """The compiled kernel; compiled when it is first asked for."""
        return callback(*_EXAMPLES)(self.function)

    def params(self, values: Mapping[str, float] | None = None) -> np.ndarray:
        """Parameter array: defaults with ``values`` put in. Raises ValueError for a name or value it does not take."""
        given = dict(values or {})
        known = [parameter.name for parameter in self.parameters]
        for key in given:
            if key not in known:
                raise ValueError(f"strategy {self.name}: no parameter {key!r}; it has {', '.join(known) or 'none'}")
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            if not parameter.low <= value <= parameter.high:
                raise ValueError(
                    f"strategy {self.name}: {parameter.name} = {value} lies outside [{parameter.low}, {parameter.high}]"
                )
        return np.array([given.get(parameter.name, parameter.default) for parameter in self.parameters], np.float64)


def strategy(meaning: str, *parameters: Parameter) -> Callable[[Callable], CompiledStrategy]:
    """Compile the decorated kernel as a strategy; see :class:`CompiledStrategy` for what it is given."""

    def make(function: Callable) -> CompiledStrategy:
        return CompiledStrategy(function.__name__, meaning, function, parameters)

    return make


class Result(NamedTuple):
    """What happened in a run."""

    fills: np.ndarray  # (n,) FILL, environment after environment
    fill_env: np.ndarray  # (n,) int64: whose
    marks: np.ndarray  # (m,) MARK
    decisions: int
    messages: int


@calls_back
def _play(
    act, world, state, first, step_ns, max_events, stop_ns, params, memory, seen, orders, fills, fill_env, marks,
    mark_ns, next_mark, counts,
):  # fmt: skip
    """Play the environments from ``first`` on to their episodes' ends or ``stop_ns`` after their starts.

    ``counts`` int64: fills and marks written, decisions, messages. Returns the environment to go on with once the full
    buffers are emptied: their number at the end, or -1 - the environment whose journal overflowed.
    """
    for env in range(first, len(state.account)):
        account = state.account[env]
        while account["done"] == 0 and account["now_ns"] - account["start_ns"] < stop_ns:
            if counts[0] + FILL_SLOTS > len(fills) or counts[1] == len(marks):
                return env
            counts[2] += 1
            _decide(act, world, state, env, params, memory[env], seen, orders)
            counts[3] += account["n_messages"]
            advance_one(world, state, env, step_ns, max_events)
            finish_one(state, env)
            if account["n_fills"] > FILL_SLOTS:
                return -1 - env
            for index in range(account["n_fills"]):
                fills[counts[0]] = account["fills"][index]
                fill_env[counts[0]] = env
                counts[0] += 1
            if account["now_ns"] >= next_mark[env] or account["done"] == 1:
                next_mark[env] = account["now_ns"] + mark_ns
                _mark(state, env, marks[counts[1]])
                counts[1] += 1
    return len(state.account)


@hot
def ask(act, world, state, env, params, memory, seen, orders):
    """Look at every market and let the strategy write what it wants into ``orders`` (M, 2) INTENT."""
    markets = state.clock.shape[1] - 1
    first = env * markets
    show_feeds(state, env, env + 1)
    for index in range(markets):
        look(desk_at(world, state, env, first + index), seen[index])
        orders[index, BID]["do"] = DO_NOTHING
        orders[index, ASK]["do"] = DO_NOTHING
    act(Screen(seen, state.book[first : first + markets], world.px_of, params, memory, world.links), orders)
    hide_feeds(state, env, env + 1)


@hot
def _decide(act, world, state, env, params, memory, seen, orders):
    """Ask the strategy and put its orders on the wire."""
    ask(act, world, state, env, params, memory, seen, orders)
    clear_step(state.account[env])
    submit_all(world, state, env, orders)


@calls_back
def _ask_all(act, world, state, params, memory, seen, wanted):
    for env in range(len(wanted)):
        if state.account[env]["done"] == 0:
            ask(act, world, state, env, params, memory[env], seen, wanted[env])


class Trader:
    """A compiled strategy that decides when it is asked, for all environments of an engine at once."""

    def __init__(self, engine: Engine, chosen: CompiledStrategy, values: Mapping[str, float] | None = None) -> None:
        self.engine, self.chosen, self.params = engine, chosen, chosen.params(values)
        self.memory = np.zeros((engine.num_envs, engine.num_markets, MEMORY))
        self.wanted = np.zeros((engine.num_envs, engine.num_markets, 2), INTENT)
        self.seen = np.zeros(engine.num_markets, SIGHT)  # room to look into

    def begin(self, mask: np.ndarray) -> None:
        """Episodes of the environments in ``mask`` bool ``(N,)`` begin: the strategy remembers nothing of them."""
        self.memory[mask] = 0.0

    def orders(self) -> np.ndarray:
        """What it wants now, ``(N, M, 2)`` INTENT, the same array at every call; finished episodes want nothing."""
        self.wanted["do"] = DO_NOTHING
        _ask_all(
            self.chosen.act, self.engine.world, self.engine.state, self.params, self.memory, self.seen, self.wanted
        )
        return self.wanted


@inner
def _mark(state, env, mark):
    markets = state.clock.shape[1] - 1
    mark["env"] = env
    mark["ns"] = state.account[env]["now_ns"]
    mark["equity_uusd"] = state.account[env]["equity_uusd"]
    mark["net_qty"] = 0
    for slot in range(env * markets, (env + 1) * markets):
        position = state.market[slot]["position"]
        mark["net_qty"] += position["yes_qty"] - position["no_qty"]


def backtest(
    engine: Engine,
    chosen: CompiledStrategy,
    values: Mapping[str, float] | None = None,
    *,
    dt_s: float | None = None,
    every_events: int = 1,
    mark_s: float = 1.0,
    seconds: float = np.inf,
) -> Result:
    """Play one episode of every environment of ``engine`` from its reset on.

    Args:
        engine: where; its delays, fees and fill model hold. It is reset first and left at the episodes' ends.
        chosen: a compiled strategy, and ``values`` for its parameters.
        dt_s: market seconds between two decisions; None = decide after every ``every_events`` market events.
        every_events: see above.
        mark_s: market seconds between two samples of the equity.
        seconds: stop after so much market time.

    Raises ValueError for arguments out of range, and RuntimeError where one step had more fills than its journal holds.
    """
    if dt_s is not None and not round(dt_s * SECOND_NS) > 0:
        raise ValueError(f"backtest: dt_s must be at least a nanosecond, got {dt_s}")
    if every_events < 1 or not mark_s > 0 or not seconds > 0:
        raise ValueError(
            f"backtest: expected every_events >= 1, mark_s > 0 and seconds > 0, got {every_events}, {mark_s}, {seconds}"
        )
    params = chosen.params(values)
    engine.reset()
    step_ns = 0 if dt_s is None else round(dt_s * SECOND_NS)
    max_events = every_events if dt_s is None else ANY_NUMBER
    stop_ns = np.iinfo(np.int64).max if np.isinf(seconds) else round(seconds * SECOND_NS)
    memory = np.zeros((engine.num_envs, engine.num_markets, MEMORY))
    seen, orders = np.zeros(engine.num_markets, SIGHT), np.zeros((engine.num_markets, 2), INTENT)
    fills, fill_env, marks = np.zeros(_BUFFER, FILL), np.zeros(_BUFFER, np.int64), np.zeros(_BUFFER, MARK)
    next_mark, counts = engine.state.account["start_ns"].copy(), np.zeros(4, np.int64)
    kept: list[tuple[np.ndarray, ...]] = []
    env = 0
    while env < engine.num_envs:
        env = _play(
            chosen.act, engine.world, engine.state, env, step_ns, max_events, stop_ns, params, memory, seen, orders,
            fills, fill_env, marks, round(mark_s * SECOND_NS), next_mark, counts,
        )  # fmt: skip
        if env < 0:
            engine.check_journal(-1 - env)
        kept.append((fills[: counts[0]].copy(), fill_env[: counts[0]].copy(), marks[: counts[1]].copy()))
        counts[:2] = 0
    all_fills, all_env, all_marks = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return Result(all_fills, all_env, all_marks, int(counts[2]), int(counts[3]))
