"""Reward terms: small named numbers, picked and weighted by config. The reward is their weighted sum.

A term is positive where it is good: penalties are negative, and weights positive. What each is for, its formula and its
source: docs/rewards.md.

``edge`` is ``pnl`` less noise where the forecast is nearly exact: then both have the same mean over a life, because
what a position gains from later moves of the forecast has mean 0. It leaves that noise out, and says at once what an
order was worth, which the mid says only when the makers have caught up. Without a forecast it is 0. It flatters whoever
trades on a forecast with a large error: what is bought is what the error made look cheap (the winner's curse). Judge by
``pnl``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sim.kernel import inner, kernel
from sim.links import Link
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
    "downside": "- the step's loss, dollars",
    "anchor": "growth of the potential of lots taken at an anchor that the mid has left their way, dollars",
    "expansion": "growth of the potential of a position while volatility expands, 100 contracts",
    "violation": "growth of the potential of packages held against a violated link, dollars",
    "predictability": "- how much better than allowed a model of the account foretold its action",
    "sharpe": "growth of the steps' Sharpe ratio, exponentially weighted",
}
_CODES = {name: code for code, name in enumerate(TERMS)}
POTENTIALS = ("anchor", "expansion", "violation")
ANCHOR, EXPANSION, VIOLATION = (_CODES[name] for name in POTENTIALS)
PREDICTABILITY, SHARPE = _CODES["predictability"], _CODES["sharpe"]


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


def check_shaping(weights: Mapping[str, float], gamma: float, links: Sequence[Link] | None) -> float:
    """``gamma`` as a float. Raises ValueError where it is no discount, and for ``violation`` without any links."""
    if not 0.0 < gamma <= 1.0:
        raise ValueError(f"reward: shaping_gamma = {gamma}; expected the learner's discount of a step, in (0, 1]")
    if "violation" in weights and not links:
        raise ValueError(
            "reward: violation is about links between markets, and the scenario has none: leave the term out, or play "
            "a scenario with links, see docs/portfolios.md"
        )
    return float(gamma)


def remembers(codes: np.ndarray) -> bool:
    """Whether one of the terms in ``codes`` needs more than the step itself: see ``envs.shaping``."""
    return bool(np.isin(codes, (ANCHOR, EXPANSION, VIOLATION, PREDICTABILITY, SHARPE)).any())


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
    if code == 7:
        return -_squared_inventory(change)
    return _shaped(change, code)


@inner
def _shaped(change, code):
    if code == ANCHOR:
        return change["anchor"]
    if code == EXPANSION:
        return change["expansion"]
    if code == VIOLATION:
        return change["violation"]
    if code == PREDICTABILITY:
        return -change["predictability"]
    if code == SHARPE:
        return change["sharpe"]
    return min(change["pnl_uusd"], 0) / UUSD  # downside


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
