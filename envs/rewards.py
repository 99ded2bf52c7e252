"""Reward terms: small named numbers, picked and weighted by config. The reward is their weighted sum.

A term is positive where it is good: penalties are negative, and weights positive.

``edge`` is ``pnl`` less noise where the forecast is nearly exact: then both have the same mean over a life, because
what a position gains from later moves of the forecast has mean 0. It leaves that noise out, and says at once what an
order was worth, which the mid says only when the makers have caught up. Without a forecast it is 0. It flatters whoever
trades on a forecast with a large error: what is bought is what the error made look cheap (the winner's curse). Judge by
``pnl``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim.kernel import inner, kernel
from sim.types import LOTS_PER_CONTRACT, SECOND_NS, UUSD

INVENTORY_UNIT = 100.0 * LOTS_PER_CONTRACT * SECOND_NS  # 100 contracts held for one second

TERMS: dict[str, str] = {
    "pnl": "change of equity, dollars",
    "edge": "what the step's fills gain if the forecast is right, contracts x (forecast - price) - fees, dollars",
    "inventory": "- |net contracts| x seconds / 100",
    "drawdown": "- increase of the episode's largest drawdown, dollars",
    "messages": "- orders and cancels sent",
    "rejects": "- messages refused and actions that could not be sent",
    "left": "- |net contracts| still held when the episode ends",
    "inventory_squared": "- (net contracts / 100) squared x seconds",
}
_CODES = {name: code for code, name in enumerate(TERMS)}


def pick_rewards(weights: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Codes int64 ``(R,)`` and weights float64 ``(R,)`` of the wanted terms.

    Raises ValueError for none, for a name that is not in ``TERMS``, or a weight that is not finite.
    """
    unknown = [name for name in weights if name not in TERMS]
    if unknown or not weights:
        raise ValueError(f"reward: expected weights for some of {', '.join(TERMS)}, got {list(weights) or 'none'}")
    for name, weight in weights.items():
        if not np.isfinite(weight):
            raise ValueError(f"reward: the weight of {name} is {weight}; expected a finite number")
    return np.array([_CODES[name] for name in weights]), np.array(list(weights.values()), np.float64)


@inner
def inventory(change):
    """|net contracts| x seconds / 100, over all markets: one unit is 100 contracts held for a second."""
    return change["net_qty"] * (change["dt_ns"] / INVENTORY_UNIT)


@inner
def _term(change, code):
    if code == 0:
        return change["pnl_uusd"] / UUSD
    if code == 1:
        return change["edge_uusd"] / UUSD
    if code == 2:
        return -inventory(change)
    if code == 3:
        return -change["drawdown_uusd"] / UUSD
    if code == 4:
        return -float(change["messages"])
    if code == 5:
        return -float(change["rejects"])
    if code == 6:
        return -change["left_qty"] / LOTS_PER_CONTRACT
    return -_squared_inventory(change)


@inner
def _squared_inventory(change):
    """What variance a position adds, but for the market's own variance: it grows with its square and with time."""
    hundreds = change["net_qty"] / (100.0 * LOTS_PER_CONTRACT)
    return hundreds * hundreds * (change["dt_ns"] / SECOND_NS)


@kernel
def write_rewards(changes, codes, weights, first, last, terms, reward):
    """``terms`` float64 ``(N, R)``, unweighted, and ``reward`` float64 ``(N,)``, their weighted sum."""
    for env in range(first, last):
        total = 0.0
        for column in range(len(codes)):
            value = _term(changes[env], codes[column])
            terms[env, column] = value
            total += weights[column] * value
        reward[env] = total
