"""What an account's past steps say of its next one: whether its actions could be foretold, and its Sharpe ratio."""

from __future__ import annotations

import math

from sim.kernel import inner
from sim.types import ASK, BID, DO_PLACE, UUSD

NOTHING, BUY, SELL, BOTH = 0, 1, 2, 3  # kinds of actions: which sides an order was sent to
KINDS = 4
KEEP = 0.98  # weight of the past in a row of counts: 50 steps
PRIOR = 2.0  # steps of each kind that an opponent takes for granted
ALLOWANCE = 0.5  # of the way from chance to certainty
RATE = 0.01  # weight of a step in the moments of the results: 100 steps
WARM_UP = 30  # steps that only make up the first Sharpe ratio
FLOOR = 1e-5  # of the starting cash: the least deviation that a step's result counts with


@inner
def kind_of(orders):
    """Which of the KINDS the step's ``orders`` (M, 2) INTENT are, over all markets; a cancel alone is nothing."""
    bid = ask = 0
    for index in range(len(orders)):
        if orders[index, BID]["do"] == DO_PLACE:
            bid = BUY
        if orders[index, ASK]["do"] == DO_PLACE:
            ask = SELL
    return bid + ask


@inner
def foretold(tally, action):
    """By how much the model of an opponent foretold ``action`` better than allowed; then it learns from it.

    A first-order Markov chain of the kinds of actions, counted with exponential forgetting:
    p = (count + PRIOR) / (sum of counts + KINDS x PRIOR) after the same last action, and of the way from chance to
    certainty that is (p - 1/4) / (3/4). Doing nothing gives nobody anything to trade against: 0.
    """
    counts, before = tally["counts"], tally["action"]
    total = 0.0
    for kind in range(KINDS):
        total += counts[before, kind]
    share = (counts[before, action] + PRIOR) / (total + KINDS * PRIOR)
    for kind in range(KINDS):
        counts[before, kind] *= KEEP
    counts[before, action] += 1.0
    tally["action"] = action
    skill = (share - 1.0 / KINDS) / (1.0 - 1.0 / KINDS)
    return max(skill - ALLOWANCE, 0.0) if action != NOTHING else 0.0


@inner
def _ratio(tally, floor):
    variance = tally["square"] - tally["mean"] * tally["mean"]
    return tally["mean"] / max(math.sqrt(max(variance, 0.0)), floor)


@inner
def sharper(account, tally, pnl_uusd):
    """Growth of the Sharpe ratio of the episode's steps; 0 in the first WARM_UP steps.

    S = A / sqrt(B - A^2), A and B exponentially weighted means of the steps' results in dollars and of their squares;
    a step weighs 1 / n until that is RATE. The whole difference S_t - S_(t-1), where Moody and Saffell ("Learning to
    trade via direct reinforcement", 2001) take the first order of it, RATE x D_t: results of steps have tails so fat
    that the first order is dozens of times too large where a quiet account moves.
    """
    floor = FLOOR * account["start_uusd"] / UUSD
    old = _ratio(tally, floor)
    tally["steps"] += 1
    rate = max(RATE, 1.0 / tally["steps"])
    result = pnl_uusd / UUSD
    tally["mean"] += rate * (result - tally["mean"])
    tally["square"] += rate * (result * result - tally["square"])
    return _ratio(tally, floor) - old if tally["steps"] > WARM_UP else 0.0
