"""Reward terms that remember, as a stage of an environment's step; without one of them there is no memory and no stage.

The stage runs while feeds show what they show (`sim.feed`): a potential is of the market as the agent sees it, and
looking again a moment later changes nothing, so no reward has any influence on what happens.
"""

from __future__ import annotations

from envs.habits import foretold, kind_of, sharper
from envs.potentials import anchored, expanding, follow_fills, net_lots, violated
from envs.rewards import ANCHOR, EXPANSION, PREDICTABILITY, SHARPE, VIOLATION
from sim.activity import BUCKET_BITS, fade_until
from sim.feed import hide_feeds, show_feeds
from sim.kernel import inner, kernel


@inner
def _potential(state, px_of, links, memory, env, code):
    """The potential that a term is made of, in the state as it is."""
    account, lots = state.account[env], memory.lots[env]
    width = len(lots)
    markets = state.market[env * width : (env + 1) * width]
    if code == ANCHOR:
        return anchored(lots, markets)
    if code == EXPANSION:
        return expanding(account, lots, markets, px_of, memory.tally[env]["bucket"])
    return violated(state.market, env * width, links)


@inner
def _growth(state, px_of, links, terms, memory, over, env, code):
    """gamma x the potential now, 0 where the episode has terminated, less the potential before."""
    now = 0.0 if over[env] else _potential(state, px_of, links, memory, env, code)
    before = memory.tally[env]["potential"][code - ANCHOR]
    memory.tally[env]["potential"][code - ANCHOR] = now
    return terms.gamma * now - before


@inner
def _forget(change):
    change["anchor"] = 0.0
    change["expansion"] = 0.0
    change["violation"] = 0.0
    change["predictability"] = 0.0
    change["sharpe"] = 0.0


@inner
def _shape(state, px_of, links, terms, memory, orders, over, env, code, change):
    if code == ANCHOR:
        change["anchor"] = _growth(state, px_of, links, terms, memory, over, env, code)
    elif code == EXPANSION:
        change["expansion"] = _growth(state, px_of, links, terms, memory, over, env, code)
    elif code == VIOLATION:
        change["violation"] = _growth(state, px_of, links, terms, memory, over, env, code)
    elif code == PREDICTABILITY:
        change["predictability"] = foretold(memory.tally[env], kind_of(orders))
    elif code == SHARPE:
        change["sharpe"] = sharper(state.account[env], memory.tally[env], change["pnl_uusd"])


@kernel
def shape_rewards(state, px_of, links, terms, memory, intents, over, awake, first, last, changes):
    """Write into ``changes`` CHANGE ``(N,)`` what the chosen terms that remember are made of, and remember.

    ``intents`` (N, M, 2) INTENT: the step's orders. ``over`` bool ``(N,)``: the episode has terminated. Environments
    that are not ``awake`` bool ``(N,)``, whose episode had ended before, get zeros.
    """
    width = memory.lots.shape[1]
    for env in range(first, last):
        _forget(changes[env])
        if not awake[env]:
            continue
        markets = state.market[env * width : (env + 1) * width]
        follow_fills(state.account[env], memory.lots[env], markets)
        for column in range(len(terms.reward_codes)):
            code = terms.reward_codes[column]
            _shape(state, px_of, links, terms, memory, intents[env], over, env, code, changes[env])


@inner
def _begin(state, px_of, links, terms, memory, env):
    account, tally, lots = state.account[env], memory.tally[env], memory.lots[env]
    tally["bucket"] = account["now_ns"] >> BUCKET_BITS
    for index in range(len(lots)):
        market = state.market[env * len(lots) + index]
        fade_until(market, px_of, account["now_ns"])
        lots[index]["net_qty"] = net_lots(market)
        lots[index]["squares"][0] = market["activity"]["squares"][0]
        lots[index]["squares"][1] = market["activity"]["squares"][1]
    for column in range(len(terms.reward_codes)):
        code = terms.reward_codes[column]
        if ANCHOR <= code <= VIOLATION:
            tally["potential"][code - ANCHOR] = _potential(state, px_of, links, memory, env, code)


@kernel
def begin_shaping(state, px_of, links, terms, memory, mask):
    """Forget the last episode of the environments in ``mask`` bool ``(N,)``, and take up the potentials of the new."""
    show_feeds(state, 0, len(mask))
    for env in range(len(mask)):
        if mask[env]:
            _begin(state, px_of, links, terms, memory, env)
    hide_feeds(state, 0, len(mask))
