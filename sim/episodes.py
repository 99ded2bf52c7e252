"""How an episode begins: a flat account, and markets from their first second or from a keyframe of a recording."""

from __future__ import annotations

from sim.book import fresh_market
from sim.desk import desk_at
from sim.kernel import inner, kernel
from sim.latency import NEVER_NS
from sim.loop import clear_step, next_event_ns
from sim.rng import RESET, below, chosen, philox, uniform
from sim.scenarios.compiled import PPM
from sim.scenarios.flow import start_flow
from sim.scenarios.replay import catch_up, common_start, last_keyframe, start_tape
from sim.scenarios.shocks import start_beliefs
from sim.state import MESSAGE_SLOTS, ORDER_SLOTS
from sim.types import SECOND_NS
from sim.venues.amend import group_reset


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
    position["converted_qty"] = 0
    market["live_orders"] = 0
    market["moved"] = 0
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
    market["returns"] = world.sets.returns[index]
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
def _reset_env(world, state, env, pinned):
    account = state.account[env]
    account["episode"] += 1
    _fresh_account(account, state.pool[env])
    for index in range(state.returned.shape[1]):
        state.returned[env, index] = 0
    first, second, third, fourth = philox(account["seed"], account["episode"], 0, RESET, account["number"], 0)
    if pinned >= 0:
        account["row"] = pinned
    elif world.sequential == 1 and len(world.recordings) == 0:
        account["row"] = (account["number"] + account["episode"]) % len(world.row_ends)
    else:
        account["row"] = chosen(fourth, world.row_ends)
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
        state.clock[env, index] = next_event_ns(world, desk_at(world, state, env, slot))


@kernel
def reset_slice(world, state, first, last, mask, pinned):
    """Begin the next episode of the environments in ``mask``, a (N,) bool array, from ``first`` to ``last``.

    ``pinned`` (N,) int64: the row that an environment plays, -1 = one as the scenario says.
    """
    for env in range(first, last):
        if mask[env]:
            _reset_env(world, state, env, pinned[env])
