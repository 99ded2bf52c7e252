"""The only event loop: market events and our messages in time order, for a batch of environments.

One step of a batch is ``submit`` (intents go on the wire) and ``advance`` (everything up to the next decision happens).
At a decision all events up to the clock have been seen, and none later. Of a market event and a message of ours that
fall on the same nanosecond the market event comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from itertools import pairwise

import numpy as np

from sim import state as arrays
from sim.account import mark
from sim.book import fresh_market
from sim.delivery import deliver
from sim.desk import desk_at
from sim.kernel import hot, inner, kernel
from sim.latency import NEVER_NS
from sim.rng import FORK, RESET, below, fold, philox, uniform
from sim.scenarios import Scenario
from sim.scenarios.compiled import PPM
from sim.scenarios.flow import flow_events, start_flow
from sim.scenarios.replay import catch_up, common_start, last_keyframe, start_tape, tape_event
from sim.scenarios.shocks import close_market, shock, start_beliefs
from sim.scenarios.takers import we_took
from sim.state import FILL_SLOTS, MESSAGE_SLOTS, ORDER_SLOTS, State
from sim.types import DO_NOTHING, FILL_MODELS, INTENT, PX_ONE, SECOND_NS, SETTLED, UUSD
from sim.venues.amend import group_reset
from sim.wishes import want


@hot
def _next_event_ns(world, desk):
    """When the market next moves; NEVER_NS when it does not."""
    market = desk.market
    if market["tape"] >= 0:
        if market["cursor"] >= market["cursor_end"]:
            return NEVER_NS
        return world.events[market["cursor"]]["local_ns"]
    return market["event_ns"]


@hot
def _market_events(world, state, env, desk, now, until, last_event):
    """A tape's next event, or all that a synthetic market does up to ``until``, or its close."""
    market = desk.market
    if market["tape"] >= 0:
        event = world.events[market["cursor"]]
        market["cursor"] += 1
        tape_event(desk, event, now)
    elif market["event_ns"] < market["close_ns"]:
        flow_events(desk, min(until, market["close_ns"] - 1), last_event)
    else:
        close_market(world, state, env, desk)


@inner
def _deliver(world, desk, now):
    """What is due of ours at the venue happens; opponents of a synthetic market hear of what we took."""
    before = desk.market["ask_total_qty"] - desk.market["bid_total_qty"]
    deliver(desk, world.tick_ok, now)
    taken = before - (desk.market["ask_total_qty"] - desk.market["bid_total_qty"])  # of a synthetic book; + bought
    if taken != 0 and desk.market["tape"] < 0:
        we_took(desk, taken, now)


@hot
def _soonest(clock, env):
    """The market that moves next, the first of equals; the environment's own clock comes last."""
    best = 0
    for market in range(1, clock.shape[1]):
        if clock[env, market] < clock[env, best]:
            best = market
    return best


@hot
def _others_next(clock, env, index):
    """When the next of the other markets moves."""
    soonest = NEVER_NS
    for market in range(clock.shape[1]):
        if market != index:
            soonest = min(soonest, clock[env, market])
    return soonest


@hot
def advance_env(world, state, env, until, max_events):
    """Run to the stamp ``until`` or through ``max_events`` market events, whichever comes first."""
    account = state.account[env]
    clock = state.clock
    until = min(until, account["end_ns"])
    last_event = account["events"] + max_events
    while account["events"] < last_event and account["gap"] == 0:
        index = _soonest(clock, env)
        now = max(account["now_ns"], clock[env, index])
        if now > until or now == NEVER_NS:
            break
        account["now_ns"] = now
        if index == clock.shape[1] - 1:
            shock(world, state, env)
            continue
        desk = desk_at(world, state, env, env * (clock.shape[1] - 1) + index)
        if _next_event_ns(world, desk) <= desk.market["due_ns"]:
            undisturbed = min(_others_next(clock, env, index) - 1, desk.market["due_ns"])
            _market_events(world, state, env, desk, now, min(until, undisturbed), last_event)
        else:
            _deliver(world, desk, now)
        clock[env, index] = min(_next_event_ns(world, desk), desk.market["due_ns"])
    if account["events"] < last_event and until != NEVER_NS:
        account["now_ns"] = max(account["now_ns"], until)


@hot
def advance_one(world, state, env, step_ns, max_events):
    """One step of an environment that is not done: events, messages, mark."""
    markets = state.clock.shape[1] - 1
    account = state.account[env]
    until = account["now_ns"] + step_ns if step_ns > 0 else NEVER_NS
    account["step"] += 1
    advance_env(world, state, env, until, max_events)
    mark(account, state.pool[env], state.market[env * markets : (env + 1) * markets])
    if account["equity_uusd"] < account["ruin_uusd"]:
        account["ruined"] = 1


@kernel
def advance_slice(world, state, first, last, step_ns, max_events):
    """Let environments ``first`` to ``last`` take their step, and mark their accounts."""
    for env in range(first, last):
        if state.account[env]["done"] == 0:
            advance_one(world, state, env, step_ns, max_events)


@inner
def clear_step(account):
    """Empty the journal of the step before."""
    account["n_fills"] = 0
    account["n_messages"] = 0
    account["n_rejects"] = 0
    account["last_reject"] = 0


@inner
def submit_one(world, state, env, index, sides):
    """Put on the wire what is wanted in one market: ``sides`` (2,) INTENT."""
    desk = desk_at(world, state, env, env * (state.clock.shape[1] - 1) + index)
    for side in range(2):
        if sides[side]["do"] != DO_NOTHING:
            want(desk, side, sides[side])
    state.clock[env, index] = min(state.clock[env, index], desk.market["due_ns"])


@kernel
def submit_slice(world, state, first, last, intents):
    """Empty the journals of environments ``first`` to ``last`` and put their ``intents`` on the wire."""
    markets = state.clock.shape[1] - 1
    for env in range(first, last):
        clear_step(state.account[env])
        if state.account[env]["done"] == 1:
            continue
        for index in range(markets):
            submit_one(world, state, env, index, intents[env, index])


@inner
def _fresh_account(account, pools):
    """A flat account with its starting cash; identity and limits stay."""
    for venue in range(len(pools)):
        pools[venue]["cash_uusd"] = pools[venue]["start_uusd"]
        pools[venue]["reserved_uusd"] = 0
        pools[venue]["counterparty_uusd"] = 0
        pools[venue]["fees_uusd"] = 0
        pools[venue]["escrow_uusd"] = 0
        pools[venue]["paid_until_ns"] = 0
    account["equity_uusd"] = account["start_uusd"]
    account["peak_uusd"] = account["start_uusd"]
    account["step"] = 0
    account["next_id"] = 1
    account["events"] = 0
    account["shocks"] = 1  # block 0 is the first wait
    account["sent_qty"] = 0
    account["shocks"] = 0
    account["gap"] = 0
    account["ruined"] = 0
    account["done"] = 0
    clear_step(account)


@inner
def _nothing_of_ours(market):
    """No position, no order and no message in a market."""
    position = market["position"]
    position["yes_qty"] = 0
    position["no_qty"] = 0
    position["yes_held_qty"] = 0
    position["no_held_qty"] = 0
    position["yes_cost_uusd"] = 0
    position["no_cost_uusd"] = 0
    position["realised_uusd"] = 0
    market["live_orders"] = 0
    market["due_ns"] = NEVER_NS
    group_reset(market["group"])
    for index in range(ORDER_SLOTS):
        market["orders"][index]["id"] = 0
        market["orders"][index]["leaving"] = 0
    for index in range(MESSAGE_SLOTS):
        market["messages"][index]["due_ns"] = 0
        market["messages"][index]["held"] = 0
        market["messages"][index]["leaving"] = 0


@inner
def _place(world, market, index, row):
    """Which market of the environment it is, on which venue, after which row."""
    market["index"] = index
    market["venue"] = world.venue_of[index]
    market["row"] = row * world.row_width + (index if world.row_width > 1 else 0)
    market["tape"] = -1
    market["cursor"] = -1
    market["cursor_end"] = -1
    market["has_prints"] = 1


@inner
def _start_markets(world, state, env):
    """Synthetic markets from their first second on."""
    account = state.account[env]
    account["start_ns"] = SECOND_NS
    markets = state.clock.shape[1] - 1
    for index in range(markets):
        slot = env * markets + index
        _place(world, state.market[slot], index, account["row"])
        desk = desk_at(world, state, env, slot)
        fresh_market(desk.market, desk.book)
        _nothing_of_ours(desk.market)
        desk.market["fee"] = world.fee_of[index]
        desk.market["tick_grid"] = world.tick_of[index]
    start_beliefs(world, state, env)
    for index in range(markets):
        start_flow(desk_at(world, state, env, env * markets + index))


@inner
def _start_recording(world, state, env, second, third):
    """The markets of a recording, all from the same moment on."""
    account = state.account[env]
    markets = state.clock.shape[1] - 1
    state.clock[env, markets] = NEVER_NS
    state.belief[env, :] = 0
    count = len(world.recordings)
    recording = (account["number"] + account["episode"]) % count if world.sequential == 1 else below(second, count)
    key, start = common_start(world, recording)
    if world.sequential == 0:
        key += below(third, world.key_last[world.recordings[recording, 0]] - key)
    start = max(start, world.key_ns[key])
    account["start_ns"] = start
    for index in range(markets):
        slot = env * markets + index
        tape = world.recordings[recording, index]
        key = last_keyframe(world, tape, start)
        state.market[slot] = world.key_market[key]
        _place(world, state.market[slot], index, account["row"])
        _nothing_of_ours(state.market[slot])
        desk = desk_at(world, state, env, slot)
        start_tape(desk, world, tape, key)
        if world.key_ns[key] < start:
            catch_up(desk, world, start)
    account["events"] = 0


@inner
def _reset_env(world, state, env):
    account = state.account[env]
    account["episode"] += 1
    _fresh_account(account, state.pool[env])
    first, second, third, fourth = philox(account["seed"], account["episode"], 0, RESET, account["number"], 0)
    account["row"] = below(fourth, len(world.rows) // world.row_width)
    if uniform(first) * PPM >= world.replay_share_ppm:
        _start_markets(world, state, env)
    else:
        _start_recording(world, state, env, second, third)
    start = account["start_ns"]
    account["now_ns"] = start
    account["end_ns"] = start + account["window_ns"] if account["window_ns"] < NEVER_NS - start else NEVER_NS
    markets = state.clock.shape[1] - 1
    for index in range(markets):
        slot = env * markets + index
        state.clock[env, index] = _next_event_ns(world, desk_at(world, state, env, slot))


@kernel
def _reset(world, state, first, last, mask):
    for env in range(first, last):
        if mask[env]:
            _reset_env(world, state, env)


@inner
def _all_settled(markets):
    settled = 0
    for index in range(len(markets)):
        settled += markets[index]["status"] == SETTLED
    return settled == len(markets)


@inner
def _all_dry(markets):
    """Whether every market's recording is over; a synthetic one never is."""
    dry = 0
    for index in range(len(markets)):
        dry += markets[index]["tape"] >= 0 and markets[index]["cursor"] >= markets[index]["cursor_end"]
    return dry == len(markets)


@inner
def finish_one(state, env):
    """Hold an environment whose episode is over until its reset. Returns whether it terminated, was truncated."""
    count = state.clock.shape[1] - 1
    account = state.account[env]
    markets = state.market[env * count : (env + 1) * count]
    over = account["ruined"] == 1 or _all_settled(markets)
    cut = account["now_ns"] >= account["end_ns"] or account["gap"] == 1 or _all_dry(markets)
    if over or cut:
        account["done"] = 1
    return over, cut and not over


@kernel
def finish_slice(state, first, last, terminated, truncated):
    """Say which episodes are over. Returns an environment that had more fills than its journal holds, or -1."""
    overflow = -1
    for env in range(first, last):
        terminated[env], truncated[env] = finish_one(state, env)
        if state.account[env]["n_fills"] > FILL_SLOTS:
            overflow = env
    return overflow


class Engine:
    """A batch of environments, each an agent's account in M markets on one venue or two.

    Args:
        scenario: where episodes come from.
        num_envs: how many run side by side.
        seed: 0 to 2**63 - 1; 0 is a seed. With the environment's global number it decides everything random.
        first_env: global number of the first environment, so that a batch can be cut into pieces.
        window_s: market seconds after which an episode is cut off; ``inf`` = play to the end.
        cash_uusd: what the account starts with: one number, split evenly over the venues, or one for each venue.
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
        cash_uusd: int | Sequence[int] = 10_000 * UUSD,
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
        venues = scenario.venues
        cash = _purses(cash_uusd, len(venues))
        ruin = min(rules.min_qty for rules in venues) * PX_ONE if ruin_uusd is None else ruin_uusd
        if sum(cash) <= ruin:
            raise ValueError(
                f"engine: an account of {sum(cash)} micro-dollars is ruined from the start, at {ruin} or less"
            )
        self.scenario = scenario
        self.num_envs = num_envs
        self.grid = scenario.grid
        self.world = scenario.world()
        self.num_markets = len(scenario.places)
        self.state: State = arrays.allocate(
            num_envs, len(self.grid.px_of), num_markets=self.num_markets, num_venues=len(venues),
            num_states=int(self.world.first_state[-1]), replay=bool(scenario.tapes),
        )  # fmt: skip
        account = self.state.account
        account["number"] += first_env
        account["start_uusd"] = sum(cash)
        account["ruin_uusd"] = ruin
        account["window_ns"] = NEVER_NS if np.isinf(window_s) else round(window_s * SECOND_NS)
        account["fill_model"] = FILL_MODELS.index(fill_model)
        self.state.pool["start_uusd"] = cash
        self.state.pool["netting"] = [rules.netting for rules in venues]
        self.state.pool["min_qty"] = [rules.min_qty for rules in venues]
        self.state.pool["min_take_uusd"] = [rules.orders.min_take_uusd for rules in venues]
        self.state.pool["lead_ns"] = [rules.orders.lead_ns for rules in venues]
        self.state.pool["early_ns"] = [rules.orders.early_ns for rules in venues]
        self.state.pool["amends"] = [int(rules.amends) for rules in venues]
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self._everyone = np.ones(num_envs, np.bool_)
        self.slices = _split(num_envs, threads)
        self._workers = ThreadPoolExecutor(threads) if threads > 1 else None
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Start over with another seed: every environment waits for its episode 0."""
        index = self.state.market["index"].copy()
        self.state.market[:] = np.zeros(1, self.state.market.dtype)  # no trace of what was, so that digests agree
        self.state.market["index"] = index
        self.state.account["fills"] = 0
        self.state.book[:] = 0
        self.state.account["seed"] = fold(seed)
        self.state.account["episode"] = -1
        self.state.account["done"] = 1

    def spread(self, function: Callable[[int, int], None]) -> None:
        """Call ``function(first, last)`` for every slice of the batch, as many at once as there are threads."""
        if self._workers is None:
            function(0, self.num_envs)
        else:
            list(self._workers.map(lambda bounds: function(*bounds), self.slices))

    def reset(self, mask: np.ndarray | None = None) -> None:
        """Begin the next episode of every environment in ``mask``, a (N,) bool array; None = of all."""
        chosen = self._everyone if mask is None else mask
        self.spread(lambda first, last: _reset(self.world, self.state, first, last, chosen))
        self.terminated[chosen] = False
        self.truncated[chosen] = False

    def submit(self, intents: np.ndarray) -> None:
        """Put ``intents``, a (N, M, 2) INTENT array with columns BID and ASK, on the wire; the last journal goes.

        Raises ValueError for another shape or dtype.
        """
        shape = (self.num_envs, self.num_markets, 2)
        if intents.shape != shape or intents.dtype != INTENT:
            raise ValueError(f"engine: expected INTENT intents of shape {shape}, got {intents.dtype} {intents.shape}")
        self.spread(lambda first, last: submit_slice(self.world, self.state, first, last, intents))

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
            advance_slice(self.world, self.state, first, last, step_ns, max_events)
            self.check_journal(finish_slice(self.state, first, last, self.terminated, self.truncated))

        self.spread(run)

    def check_journal(self, env: int) -> None:
        """Raise RuntimeError for an environment whose fills its journal could not hold; -1 = there is none."""
        if env >= 0:
            count = self.state.account["n_fills"][env]
            raise RuntimeError(
                f"engine: environment {env} had {count} fills in one step, the journal holds {FILL_SLOTS} "
                "(one an order and price): use a tighter limit, or a shorter step"
            )

    def snapshot(self) -> State:
        """A copy of all state."""
        return arrays.snapshot(self.state)

    def restore(self, saved: State) -> None:
        """Go back to a snapshot of an engine of the same shape."""
        arrays.restore(self.state, saved)
        finish_slice(self.state, 0, self.num_envs, self.terminated, self.truncated)

    def fork(self, copies: int, *, split: bool = False) -> Engine:
        """An engine with ``copies`` of every environment side by side: those of environment i start at i x copies.

        A copy goes on bit for bit as the original would. With ``split`` each copy but the first draws its own random
        numbers from here on. Raises ValueError for fewer than one copy.
        """
        if copies < 1:
            raise ValueError(f"engine: expected to fork into at least one copy, got {copies}")
        twin = copy(self)
        twin.num_envs = self.num_envs * copies
        twin.state = arrays.repeat(self.state, copies)
        twin.terminated, twin.truncated = self.terminated.repeat(copies), self.truncated.repeat(copies)
        twin._everyone = np.ones(twin.num_envs, np.bool_)
        twin.slices = _split(twin.num_envs, len(self.slices))
        if split:
            branch = np.arange(twin.num_envs) % copies
            seeds = twin.state.account["seed"]
            for env in np.flatnonzero(branch):
                seeds[env] = philox(int(seeds[env]), 0, int(branch[env]), FORK, 0, 0)[0]
        return twin

    def digest(self, first: int = 0, count: int | None = None) -> str:
        """Hash of the state of ``count`` environments from ``first`` on."""
        return arrays.digest(self.state, first, count)


def _purses(cash_uusd: int | Sequence[int], venues: int) -> list[int]:
    """Starting cash of each venue; an odd micro-dollar goes to the first."""
    if isinstance(cash_uusd, Sequence):
        if len(cash_uusd) != venues:
            raise ValueError(f"engine: expected cash for {venues} venues, got {list(cash_uusd)}")
        return [int(cash) for cash in cash_uusd]
    share = int(cash_uusd) // venues
    return [int(cash_uusd) - share * (venues - 1)] + [share] * (venues - 1)


def _split(count: int, parts: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, count, parts + 1).astype(int)
    return [(int(a), int(b)) for a, b in pairwise(edges) if b > a]
