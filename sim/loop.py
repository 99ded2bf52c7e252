"""The only event loop: market events and our messages in time order, for slices of a batch of environments.

At a decision all events up to the clock have been seen, and none later. Of a market event and a message of ours that
fall on the same nanosecond the market event comes first.
"""

from __future__ import annotations

from sim.account import mark
from sim.delivery import deliver
from sim.desk import desk_at
from sim.kernel import hot, inner, kernel
from sim.latency import NEVER_NS
from sim.scenarios.flow import flow_events
from sim.scenarios.replay import tape_event
from sim.scenarios.shocks import close_market, shock
from sim.scenarios.takers import we_took
from sim.sets import answer, return_collateral
from sim.state import FILL_SLOTS
from sim.types import ASK, BID, DO_MERGE, DO_NOTHING, SETTLED
from sim.wishes import want

ANY_NUMBER = 2**62  # of events: an advance that only time ends


@hot
def next_event_ns(world, desk):
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
def _meeting(clock, env, slots, max_events):
    """The next moment at which something in one of an environment's markets may touch another; ``slots`` (K,) MARKET.

    A message of ours arrives and spends cash, a market closes and its group learns of it, a recording moves and may
    break off, or the environment's own clock strikes. Before it, synthetic markets go on without each other. 0 where
    ``max_events`` counts: then they are never without each other.
    """
    if max_events != ANY_NUMBER:
        return 0
    count = clock.shape[1] - 1
    soonest = clock[env, count]
    for index in range(count):
        market = slots[env * count + index]
        if market["tape"] >= 0:
            soonest = min(soonest, clock[env, index])
        elif market["status"] != SETTLED:
            soonest = min(soonest, min(market["due_ns"], market["close_ns"]))
    return soonest


@inner
def _look_at_set(returned, pools, markets, sets, index):
    """A position of market ``index`` changed, or it settled: the collateral of its set is looked at again."""
    markets[index]["moved"] = 0
    return_collateral(returned, pools, markets, sets, sets.set_of[index])


@inner
def _look_at_moved(returned, pools, markets, sets, first, count):
    """As :func:`_look_at_set`, after a shock: news may have brought takers to any of an environment's markets."""
    for index in range(count):
        if markets[first + index]["moved"] == 1:
            _look_at_set(returned, pools, markets[first : first + count], sets, index)


@hot
def advance_env(world, state, env, until, max_events):
    """Run to the stamp ``until`` or through ``max_events`` market events, whichever comes first.

    Events are counted in the order of time. Where they are not, ANY_NUMBER, each market runs by itself up to the next
    :func:`_meeting`: going from one to the other at every event would cost more than the events.
    """
    account = state.account[env]
    clock = state.clock
    first = env * (clock.shape[1] - 1)
    until = min(until, account["end_ns"])
    last_event = account["events"] + max_events
    reached = latest = account["now_ns"]  # nobody is before the one, nobody after the other
    meeting = _meeting(clock, env, state.market, max_events)
    while account["events"] < last_event and account["gap"] == 0:
        index = _soonest(clock, env)
        now = max(reached, clock[env, index])
        if now > until or now == NEVER_NS:
            break
        account["now_ns"] = now
        if index == clock.shape[1] - 1:
            shock(world, state, env)
            _look_at_moved(state.returned[env], state.pool[env], state.market, world.sets, first, index)
        else:
            desk = desk_at(world, state, env, first + index)
            if next_event_ns(world, desk) <= desk.market["due_ns"]:
                apart = meeting if meeting > 0 else _others_next(clock, env, index)
                _market_events(
                    world, state, env, desk, now, min(until, min(apart - 1, desk.market["due_ns"])), last_event
                )
            else:
                _deliver(world, desk, now)
            if desk.market["moved"] == 1:
                markets = state.market[first : first + clock.shape[1] - 1]
                _look_at_set(state.returned[env], state.pool[env], markets, world.sets, index)
            clock[env, index] = min(next_event_ns(world, desk), desk.market["due_ns"])
        latest = max(latest, account["now_ns"])
        if now >= meeting:
            reached = now
            meeting = _meeting(clock, env, state.market, max_events)
    account["now_ns"] = latest
    if account["events"] < last_event and until != NEVER_NS:
        account["now_ns"] = max(latest, until)


@hot
def advance_one(world, state, env, step_ns, max_events):
    """One step of an environment that is not done: events, messages, mark."""
    markets = state.clock.shape[1] - 1
    account = state.account[env]
    until = account["now_ns"] + step_ns if step_ns > 0 else NEVER_NS
    account["step"] += 1
    advance_env(world, state, env, until, max_events)
    mark(account, state.pool[env], state.market[env * markets : (env + 1) * markets], state.returned[env])
    if account["equity_uusd"] < account["ruin_uusd"]:
        account["ruined"] = 1


@kernel
def mark_slice(state, first, last):
    """Mark the accounts of environments ``first`` to ``last`` again, where not the engine has changed them."""
    markets = state.clock.shape[1] - 1
    for env in range(first, last):
        account = state.account[env]
        mark(account, state.pool[env], state.market[env * markets : (env + 1) * markets], state.returned[env])
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
        if DO_NOTHING < sides[side]["do"] < DO_MERGE:
            want(desk, side, sides[side])
    state.clock[env, index] = min(state.clock[env, index], desk.market["due_ns"])


@inner
def submit_all(world, state, env, wanted):
    """Put on the wire what is wanted in every market, ``wanted`` (M, 2) INTENT, and execute requests (sim.sets)."""
    markets = state.clock.shape[1] - 1
    asked = 0
    for index in range(markets):
        most = max(wanted[index, BID]["do"], wanted[index, ASK]["do"])
        if most != DO_NOTHING:
            submit_one(world, state, env, index, wanted[index])
        asked = max(asked, most)
    if asked >= DO_MERGE:
        there = state.market[env * markets : (env + 1) * markets]
        answer(state.account[env], state.pool[env], there, world.sets, wanted)


@kernel
def submit_slice(world, state, first, last, intents):
    """Empty the journals of environments ``first`` to ``last`` and put their ``intents`` on the wire."""
    for env in range(first, last):
        clear_step(state.account[env])
        if state.account[env]["done"] == 0:
            submit_all(world, state, env, intents[env])


@hot
def finish_one(state, env):
    """Hold an environment whose episode is over until its reset. Returns whether it terminated, was truncated."""
    count = state.clock.shape[1] - 1
    account = state.account[env]
    settled = dry = 0  # a recording is dry when it is over; a synthetic market never is
    for slot in range(env * count, (env + 1) * count):
        market = state.market[slot]
        settled += market["status"] == SETTLED
        dry += market["tape"] >= 0 and market["cursor"] >= market["cursor_end"]
    over = account["ruined"] == 1 or settled == count
    cut = account["now_ns"] >= account["end_ns"] or account["gap"] == 1 or dry == count
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
