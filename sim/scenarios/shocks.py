"""What comes to synthetic markets from outside, on the environment's own clock: news, halts, standstills, early closes.

A group of markets shares one belief: probabilities of S outcome states, whole ppm that sum to a million. News moves
mass between two states by the same amount up or down, so every market's expected payout is a martingale. The group's
event is decided, or void, when the first of its markets closes; from then on everyone knows which. See docs/market.md.
"""

from __future__ import annotations

from sim.account import settle
from sim.desk import desk_at
from sim.feed import freeze
from sim.kernel import hot, inner
from sim.latency import NEVER_NS
from sim.resting import change_fees, change_status
from sim.rng import OUTCOME, RESET, SHOCK, below, philox, uniform
from sim.scenarios.blocks import exponential
from sim.scenarios.compiled import EARLY, NEW_FEES, NEW_TICKS, NEWS, OUTAGE, PPM, STALE
from sim.scenarios.flow import wait_ns
from sim.scenarios.makers import quote, step_aside
from sim.scenarios.takers import next_stop, take_news
from sim.types import DECIDED, OPEN, PAUSED, PX_ONE, SECOND_NS, SETTLED, UNKNOWN, VOID


@hot
def _shock_row(world, account):
    """The row of an environment's own clock: that of its first market."""
    return world.rows[account["row"] * world.row_width]


@inner
def start_beliefs(world, state, env):
    """First beliefs of every group, the markets' expected payouts, and when the first shock comes."""
    account = state.account[env]
    for group in range(len(world.first_state) - 1):
        low = world.first_state[group]
        high = world.first_state[group + 1]
        if high - low == 2:
            first_slot = env * (state.clock.shape[1] - 1) + world.first_market[group]
            row = world.rows[state.market[first_slot]["row"]]
            word, _, _, _ = philox(account["seed"], account["episode"], 2 + group, RESET, account["number"], 0)
            belief = row["belief_low_ppm"] + below(word, row["belief_high_ppm"] - row["belief_low_ppm"] + 1)
            state.belief[env, low] = belief
            state.belief[env, low + 1] = PPM - belief
        else:
            _first_beliefs(account, state.belief[env, low:high], group)
        _refresh_group(world, state, env, group)
    word, _, _, _ = philox(account["seed"], account["episode"], 0, SHOCK, account["number"], 0)
    row = _shock_row(world, account)
    state.clock[env, state.clock.shape[1] - 1] = _next_shock(row, len(world.first_state) - 1, word, SECOND_NS)


@inner
def _first_beliefs(account, belief, group):
    """Uniform over all beliefs of S states: exponential weights over their sum, the rest to the first state."""
    total = 0
    for index in range(len(belief)):
        word, _, _, _ = philox(account["seed"], account["episode"], 2 + group, RESET, account["number"], index)
        belief[index] = 1 + exponential(word)
        total += belief[index]
    rest = PPM
    for index in range(len(belief)):
        belief[index] = belief[index] * PPM // total
        rest -= belief[index]
    belief[0] += rest


@hot
def _next_shock(row, groups, word, now):
    if row["shock_ns"] == 0.0:
        return NEVER_NS
    return now + wait_ns(exponential(word), row["shock_ns"] / groups)


@hot
def _void_ppm(void_px, row, index):
    """What YES of market ``index`` pays where its group is void."""
    return 100 * void_px[index] if void_px[index] >= 0 else row["void_payout_ppm"]


@hot
def _expected(pays, index, belief):
    """Expected payout in ppm of market ``index``, its event not void."""
    total = 0
    for outcome in range(len(belief)):
        total += pays[index, outcome] * belief[outcome]
    return total // PX_ONE


@hot
def refresh(markets, belief, pays, void_px, row):
    """Write the expected payout of a group's open ``markets``: what their makers and informed takers believe."""
    void = row["void_share_ppm"]
    for index in range(len(markets)):
        if markets[index]["status"] == SETTLED:
            continue
        expected = _expected(pays, markets[index]["index"], belief)
        fate = markets[index]["fate"]
        if fate == VOID:
            expected = _void_ppm(void_px, row, markets[index]["index"])
        elif fate == UNKNOWN and void > 0:
            expected = ((PPM - void) * expected + void * _void_ppm(void_px, row, markets[index]["index"])) // PPM
        markets[index]["latent_ppm"] = expected


@inner
def _refresh_group(world, state, env, group):
    base = env * (state.clock.shape[1] - 1)
    markets = state.market[base + world.first_market[group] : base + world.first_market[group + 1]]
    belief = state.belief[env, world.first_state[group] : world.first_state[group + 1]]
    refresh(markets, belief, world.pays, world.void_px, _shock_row(world, state.account[env]))


@hot
def _undecided(markets):
    """Whether one of these markets has not settled yet."""
    undecided = 0
    for index in range(len(markets)):
        undecided += markets[index]["status"] != SETTLED
    return undecided > 0


@hot
def _news(belief, row, place, size):
    """Mass moves between two states of a group, either way with equal chances."""
    states = len(belief)
    pair = below(size, states * (states - 1))
    one = pair // (states - 1)
    other = pair % (states - 1)
    other += other >= one
    low, high = min(one, other), max(one, other)
    mass = belief[low] + belief[high]
    if mass == 0:
        return
    part = row["news_large_ppm"] if (size & 0xFFFF) < row["news_large_word"] else row["news_size_ppm"]
    jump = part * 4 * belief[low] // mass * belief[high] // PPM
    if place & 1 == 0:
        jump = -jump
    belief[low] += jump
    belief[high] -= jump


@hot
def shock(world, state, env):
    """What is due on the environment's own clock happens to one of its groups.

    Inlined, and with few arguments below: a call that takes world and state copies 40 arrays.
    """
    account = state.account[env]
    last = state.clock.shape[1] - 1
    now = state.clock[env, last]
    row = _shock_row(world, account)
    number = account["shocks"]
    wait, kind, place, size = philox(account["seed"], account["episode"], number, SHOCK, account["number"], 0)
    account["shocks"] = number + 1
    groups = len(world.first_state) - 1
    state.clock[env, last] = _next_shock(row, groups, wait, now)
    group = below(place, groups)
    if kind >= row["shock"][NEWS]:
        _strike_group(world, state, env, group, kind, exponential(size), now)
        return
    markets = state.market[env * last + world.first_market[group] : env * last + world.first_market[group + 1]]
    if markets[0]["fate"] == UNKNOWN:
        belief = state.belief[env, world.first_state[group] : world.first_state[group + 1]]
        _news(belief, row, place, size)
        refresh(markets, belief, world.pays, world.void_px, row)
        _take_news(world, state, env, group, number, now)


@inner
def _take_news(world, state, env, group, number, now):
    """Takers who know of the news come to every open market of its group before the makers do."""
    last = state.clock.shape[1] - 1
    for index in range(world.first_market[group], world.first_market[group + 1]):
        slot = env * last + index
        if state.market[slot]["status"] == OPEN and world.rows[state.market[slot]["row"]]["news_take_word"] > 0:
            take_news(desk_at(world, state, env, slot), number, now)
            state.clock[env, index] = min(state.market[slot]["event_ns"], state.market[slot]["due_ns"])


@inner
def _strike_group(world, state, env, group, kind, expo, now):
    """A shock that is no news, to every open market of a group."""
    last = state.clock.shape[1] - 1
    row = _shock_row(world, state.account[env])
    for index in range(world.first_market[group], world.first_market[group + 1]):
        slot = env * last + index
        if state.market[slot]["status"] == OPEN:
            if row["shock"][OUTAGE] <= kind < row["shock"][STALE] and state.market[slot]["stale_until_ns"] <= now:
                freeze(state, slot)
            _strike(world, desk_at(world, state, env, slot), row["shock"], kind, expo, now)
            state.clock[env, index] = min(state.market[slot]["event_ns"], state.market[slot]["due_ns"])


@inner
def _strike(world, desk, threshold, kind, expo, now):
    """A shock that is no news, to one market."""
    market = desk.market
    index = market["index"]
    if kind < threshold[OUTAGE]:
        length = wait_ns(expo, desk.row["outage_ns"])
        change_status(desk, PAUSED)
        market["resume_ns"] = now + length
        market["flow_ns"] += length  # arrivals have no memory: what was left to wait is waited afterwards
        if market["burst_ns"] < NEVER_NS:
            market["burst_ns"] += length
    elif kind < threshold[STALE]:
        market["stale_until_ns"] = max(market["stale_until_ns"], now + wait_ns(expo, desk.row["stale_ns"]))
    elif kind < threshold[EARLY]:
        market["close_ns"] = now
    elif kind < threshold[NEW_FEES]:
        first = world.fee_of[index]
        change_fees(desk, world.later_fee[index] if market["fee"] == first else first)
    elif kind < threshold[NEW_TICKS]:
        first = world.tick_of[index]
        market["tick_grid"] = world.later_tick[index] if market["tick_grid"] == first else first
        quote(desk, desk.row["half_spread_ppm"])
    next_stop(market)


@inner
def close_market(world, state, env, desk):
    """The market closes, and pays what its group's state says; that is decided when the first of them closes."""
    market, account = desk.market, desk.account
    account["now_ns"] = market["event_ns"]
    group = world.group_of[market["index"]]
    news = market["fate"] == UNKNOWN
    if news:
        _decide(world, state, env, group)
    if market["fate"] == VOID:
        worth = _void_ppm(world.void_px, _shock_row(world, account), market["index"])
    else:
        belief = state.belief[env, world.first_state[group] : world.first_state[group + 1]]
        worth = _expected(world.pays, market["index"], belief)
    settle(desk, (worth + 50) // 100)
    market["stop_ns"] = NEVER_NS
    market["event_ns"] = NEVER_NS
    _refresh_group(world, state, env, group)
    if news:
        _step_aside(world, state, env, group, account["now_ns"])
    last = state.clock.shape[1] - 1
    if not _undecided(state.market[env * last : (env + 1) * last]):
        state.clock[env, last] = NEVER_NS  # nothing is left to strike: an advance without end must come to one


@inner
def _step_aside(world, state, env, group, now):
    """The makers of a decided group's open markets know it too: a quote left standing would be a certain profit."""
    base = env * (state.clock.shape[1] - 1)
    for index in range(world.first_market[group], world.first_market[group + 1]):
        if state.market[base + index]["status"] != SETTLED:
            step_aside(desk_at(world, state, env, base + index), now)


@inner
def _decide(world, state, env, group):
    """Draw whether the group's event is void, and its state; from then on everyone knows, and no news comes."""
    account = state.account[env]
    row = _shock_row(world, account)
    first, second, _, _ = philox(account["seed"], account["episode"], group, OUTCOME, account["number"], 0)
    fate = VOID if uniform(second) * PPM < row["void_share_ppm"] else DECIDED
    if fate == DECIDED:
        belief = state.belief[env, world.first_state[group] : world.first_state[group + 1]]
        if row["scalar"] == 1:
            _round_belief(belief)
        else:
            _draw_state(belief, uniform(first) * PPM)
    base = env * (state.clock.shape[1] - 1)
    for index in range(world.first_market[group], world.first_market[group + 1]):
        state.market[base + index]["fate"] = fate


@inner
def _draw_state(belief, height):
    """One state, by the belief, gets all of it."""
    drawn = len(belief) - 1
    below_it = 0
    for outcome in range(len(belief)):
        below_it += belief[outcome]
        if height < below_it:
            drawn = outcome
            break
    for outcome in range(len(belief)):
        belief[outcome] = PPM if outcome == drawn else 0


@inner
def _round_belief(belief):
    """Round to whole px so that they still add up to a dollar: what markets pay then keeps every bound of theirs."""
    exact = 0
    rounded = 0
    for outcome in range(len(belief)):
        exact += belief[outcome]
        belief[outcome] = (exact + 50) // 100 * 100 - rounded
        rounded += belief[outcome]
