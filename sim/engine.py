"""The only event loop: market events and our messages in time order, for a batch of environments.

One step of a batch is ``submit`` (intents go on the wire) and ``advance`` (everything up to the next decision happens).
At a decision all events up to the clock have been seen, and none later. Of a market event and a message of ours that
fall on the same nanosecond the market event comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from sim import state as arrays
from sim.account import mark, settle
from sim.book import fresh_market
from sim.desk import Desk
from sim.kernel import hot, inner, kernel, pasted
from sim.latency import NEVER_NS, forget_message, next_message, want
from sim.matching import accept_cancel, accept_order
from sim.rng import RESET, below, fold, philox, uniform
from sim.scenarios import Scenario
from sim.scenarios.compiled import PPM
from sim.scenarios.flow import flow_event, outcome, start_flow
from sim.scenarios.replay import start_tape, tape_event
from sim.state import FILL_SLOTS, MESSAGE_SLOTS, ORDER_SLOTS, State
from sim.types import DO_NOTHING, FILL_MODELS, INTENT, OPEN, PX_ONE, SECOND_NS, SETTLED, UUSD


@pasted
def _desk(world, state, env, slot):
    """What the kernels see of an environment and the market in ``slot``."""
    account = state.account[env]
    return Desk(
        account,
        state.market[slot],
        state.book[slot],
        world.rows[account["row"]],
        world.px_of,
        world.level_of,
        world.fees,
    )


@hot
def _next_event_ns(world, desk):
    """When the market next moves; NEVER_NS when it does not."""
    account = desk.account
    if account["tape"] >= 0:
        if account["cursor"] >= account["cursor_end"]:
            return NEVER_NS
        return max(account["now_ns"], world.events[account["cursor"]]["local_ns"])
    if desk.market["status"] != OPEN:
        return NEVER_NS
    return min(account["next_flow_ns"], desk.market["close_ns"])


@hot
def _market_event(world, desk, now):
    account = desk.account
    if account["tape"] >= 0:
        event = world.events[account["cursor"]]
        account["cursor"] += 1
        tape_event(desk, event, now)
    elif account["next_flow_ns"] < desk.market["close_ns"]:
        flow_event(desk)
    else:
        settle(desk, outcome(desk))


@inner
def _deliver(world, desk, now):
    """Our earliest message reaches the venue."""
    index = next_message(desk.account)
    message = desk.account["messages"][index]
    if message["cancel"] == 1:
        accept_cancel(desk, message)
    else:
        accept_order(desk, world.tick_ok, message, now)
    forget_message(desk.account, index)


@hot
def _advance_env(world, desk, until, max_events):
    """Run to the stamp ``until`` or through ``max_events`` market events, whichever comes first."""
    account = desk.account
    until = min(until, account["end_ns"])
    last_event = account["events"] + max_events
    while account["events"] < last_event and account["gap"] == 0:
        event_ns = _next_event_ns(world, desk)
        message_ns = account["next_due_ns"]
        now = min(event_ns, message_ns)
        if now > until or now == NEVER_NS:
            break
        account["now_ns"] = now
        if event_ns <= message_ns:
            _market_event(world, desk, now)
        else:
            _deliver(world, desk, now)
    if account["events"] < last_event and until != NEVER_NS:
        account["now_ns"] = max(account["now_ns"], until)


@kernel
def _advance(world, state, first, last, step_ns, max_events):
    markets = len(state.market) // len(state.account)
    for env in range(first, last):
        account = state.account[env]
        if account["done"] == 1:
            continue
        until = account["now_ns"] + step_ns if step_ns > 0 else NEVER_NS
        account["step"] += 1
        _advance_env(world, _desk(world, state, env, env * markets), until, max_events)
        mark(account, state.market[env * markets : (env + 1) * markets])
        if account["equity_uusd"] < account["ruin_uusd"]:
            account["ruined"] = 1


@inner
def _clear_step(account):
    """Empty the journal of the step before."""
    account["n_fills"] = 0
    account["n_messages"] = 0
    account["n_rejects"] = 0
    account["last_reject"] = 0


@kernel
def _submit(world, state, first, last, intents):
    markets = len(state.market) // len(state.account)
    for env in range(first, last):
        _clear_step(state.account[env])
        if state.account[env]["done"] == 0:
            desk = _desk(world, state, env, env * markets)
            for side in range(2):
                if intents[env, side]["do"] != DO_NOTHING:
                    want(desk, side, intents[env, side])


@inner
def _fresh_account(account):
    """A flat account with its starting cash and nothing on the wire; identity and limits stay."""
    start = account["start_uusd"]
    account["cash_uusd"] = start
    account["equity_uusd"] = start
    account["peak_uusd"] = start
    account["reserved_uusd"] = 0
    account["counterparty_uusd"] = 0
    account["fees_uusd"] = 0
    account["escrow_uusd"] = 0
    account["step"] = 0
    account["next_id"] = 1
    account["next_due_ns"] = NEVER_NS
    account["events"] = 0
    account["sent_qty"] = 0
    account["draws"] = 0
    account["next_flow_ns"] = 0
    account["gap"] = 0
    account["ruined"] = 0
    account["done"] = 0
    _clear_step(account)
    for index in range(MESSAGE_SLOTS):
        account["messages"][index]["due_ns"] = 0
        account["messages"][index]["leaving"] = 0


@inner
def _flat_position(market):
    position = market["position"]
    position["yes_qty"] = 0
    position["no_qty"] = 0
    position["yes_held_qty"] = 0
    position["no_held_qty"] = 0
    position["yes_cost_uusd"] = 0
    position["no_cost_uusd"] = 0
    position["realised_uusd"] = 0
    market["live_orders"] = 0
    for index in range(ORDER_SLOTS):
        market["orders"][index]["id"] = 0
        market["orders"][index]["leaving"] = 0


@inner
def _pick_keyframe(world, account, second, third):
    """The tape an episode replays and the keyframe it starts from."""
    tapes = len(world.tape_first)
    if world.sequential == 1:
        tape = (account["number"] + account["episode"]) % tapes
        return tape, world.key_first[tape]
    tape = below(second, tapes)
    return tape, world.key_first[tape] + below(third, world.key_last[tape] - world.key_first[tape])


@inner
def _reset_env(world, state, env):
    account = state.account[env]
    account["episode"] += 1
    _fresh_account(account)
    first, second, third, fourth = philox(account["seed"], account["episode"], 0, RESET, account["number"], 0)
    account["row"] = below(fourth, len(world.rows))
    account["tape"] = -1
    account["has_prints"] = 1
    account["cursor"] = -1
    account["cursor_end"] = -1
    desk = _desk(world, state, env, env)
    fresh_market(desk.market, desk.book)
    if uniform(first) * PPM >= world.replay_share_ppm:
        start_flow(desk)
    else:
        tape, key = _pick_keyframe(world, account, second, third)
        state.market[env] = world.key_market[key]
        start_tape(desk, world, tape, key)
    _flat_position(desk.market)
    start = account["now_ns"]
    account["end_ns"] = start + account["window_ns"] if account["window_ns"] < NEVER_NS - start else NEVER_NS


@kernel
def _reset(world, state, first, last, mask):
    for env in range(first, last):
        if mask[env]:
            _reset_env(world, state, env)


@kernel
def _finish(state, first, last, terminated, truncated):
    """Say which episodes are over, and hold them until their reset.

    Returns an environment that had more fills than its journal holds, or -1.
    """
    markets = len(state.market) // len(state.account)
    overflow = -1
    for env in range(first, last):
        account = state.account[env]
        over = account["ruined"] == 1 or state.market[env * markets]["status"] == SETTLED
        dry = account["tape"] >= 0 and account["cursor"] >= account["cursor_end"]
        cut = account["now_ns"] >= account["end_ns"] or account["gap"] == 1 or dry
        terminated[env] = over
        truncated[env] = cut and not over
        if over or cut:
            account["done"] = 1
        if account["n_fills"] > FILL_SLOTS:
            overflow = env
    return overflow


class Engine:
    """A batch of simulated venues, each with one agent's account.

    Args:
        scenario: where episodes come from.
        num_envs: how many run side by side.
        seed: 0 to 2**63 - 1; 0 is a seed. With the environment's global number it decides everything random.
        first_env: global number of the first environment, so that a batch can be cut into pieces.
        window_s: market seconds after which an episode is cut off; ``inf`` = play to the end.
        cash_uusd: what the account starts with.
        ruin_uusd: equity below which an episode ends; default the venue's smallest order at $1 a contract.
        fill_model: one of ``sim.types.FILL_MODELS``.
        threads: slices of the batch that run at once. Results do not depend on it.

    Raises ValueError for arguments out of range.
    """

    def __init__(
        self,
        scenario: Scenario,
        num_envs: int,
        *,
        seed: int = 0,
        first_env: int = 0,
        window_s: float = 300.0,
        cash_uusd: int = 10_000 * UUSD,
        ruin_uusd: int | None = None,
        fill_model: str = "queue",
        threads: int = 1,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"engine: num_envs must be at least 1, got {num_envs}")
        if fill_model not in FILL_MODELS:
            raise ValueError(f"engine: no fill model {fill_model!r}; the models are {', '.join(FILL_MODELS)}")
        if not window_s > 0:
            raise ValueError(f"engine: window_s must be positive, got {window_s}")
        if threads < 1:
            raise ValueError(f"engine: threads must be at least 1, got {threads}")
        ruin = scenario.rules.min_qty * PX_ONE if ruin_uusd is None else ruin_uusd
        if cash_uusd <= ruin:
            raise ValueError(
                f"engine: an account of {cash_uusd} micro-dollars is ruined from the start, at {ruin} or less"
            )
        self.scenario = scenario
        self.num_envs = num_envs
        self.grid = scenario.grid
        self.world = scenario.world()
        self.state: State = arrays.allocate(num_envs, len(self.grid.px_of), replay=bool(scenario.tapes))
        account = self.state.account
        account["number"] += first_env
        account["start_uusd"] = cash_uusd
        account["ruin_uusd"] = ruin
        account["window_ns"] = NEVER_NS if np.isinf(window_s) else round(window_s * SECOND_NS)
        account["fill_model"] = FILL_MODELS.index(fill_model)
        account["netting"] = scenario.rules.netting
        account["min_qty"] = scenario.rules.min_qty
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self._everyone = np.ones(num_envs, np.bool_)
        self._slices = _split(num_envs, threads)
        self._workers = ThreadPoolExecutor(threads) if threads > 1 else None
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Start over with another seed: every environment waits for its episode 0."""
        self.state.account["seed"] = fold(seed)
        self.state.account["episode"] = -1
        self.state.account["done"] = 1

    def _run(self, function: Callable[[int, int], None]) -> None:
        """Call ``function(first, last)`` for every slice of the batch."""
        if self._workers is None:
            function(0, self.num_envs)
        else:
            list(self._workers.map(lambda bounds: function(*bounds), self._slices))

    def reset(self, mask: np.ndarray | None = None) -> None:
        """Begin the next episode of every environment in ``mask``, a (N,) bool array; None = of all."""
        chosen = self._everyone if mask is None else mask
        self._run(lambda first, last: _reset(self.world, self.state, first, last, chosen))
        self.terminated[chosen] = False
        self.truncated[chosen] = False

    def submit(self, intents: np.ndarray) -> None:
        """Put ``intents``, a (N, 2) INTENT array with columns BID and ASK, on the wire; the last step's journal goes.

        Raises ValueError for another shape or dtype.
        """
        if intents.shape != (self.num_envs, 2) or intents.dtype != INTENT:
            raise ValueError(
                f"engine: expected INTENT intents of shape {(self.num_envs, 2)}, got {intents.dtype} {intents.shape}"
            )
        self._run(lambda first, last: _submit(self.world, self.state, first, last, intents))

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` of market time pass, then mark the accounts. Finished episodes stand still.

        Raises ValueError where that is not at least a nanosecond.
        """
        if not round(seconds * SECOND_NS) > 0:
            raise ValueError(f"engine: expected to advance by at least a nanosecond, got {seconds} s")
        self._move(round(seconds * SECOND_NS), np.iinfo(np.int64).max // 2)

    def advance_events(self, count: int) -> None:
        """Let ``count`` market events pass, then mark the accounts. Raises ValueError for a count below 1."""
        if count < 1:
            raise ValueError(f"engine: expected to advance by at least one event, got {count}")
        self._move(0, count)

    def _move(self, step_ns: int, max_events: int) -> None:
        def run(first: int, last: int) -> None:
            _advance(self.world, self.state, first, last, step_ns, max_events)
            env = _finish(self.state, first, last, self.terminated, self.truncated)
            if env >= 0:
                count = self.state.account["n_fills"][env]
                raise RuntimeError(
                    f"engine: environment {env} had {count} fills in one step, the journal holds {FILL_SLOTS} "
                    "(one an order and price): use a tighter limit, or a shorter step"
                )

        self._run(run)

    def snapshot(self) -> State:
        """A copy of all state."""
        return arrays.snapshot(self.state)

    def restore(self, saved: State) -> None:
        """Go back to a snapshot of an engine of the same shape."""
        arrays.restore(self.state, saved)
        _finish(self.state, 0, self.num_envs, self.terminated, self.truncated)

    def digest(self, first: int = 0, count: int | None = None) -> str:
        """Hash of the state of ``count`` environments from ``first`` on."""
        return arrays.digest(self.state, first, count)


def _split(count: int, parts: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, count, parts + 1).astype(int)
    return [(int(a), int(b)) for a, b in pairwise(edges) if b > a]
