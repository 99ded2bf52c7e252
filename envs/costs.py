"""Costs: what a constrained learner keeps within budgets. An array ``(N, K)`` with names, never part of the reward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.rewards import inventory
from sim.kernel import inner, kernel
from sim.types import LOTS_PER_CONTRACT, UUSD

TERMS: dict[str, str] = {
    "drawdown": "increase of the episode's largest drawdown, dollars",
    "kill": "1 in the step in which the drawdown first passes the kill limit, or the shield's kill switch trips",
    "inventory": "|net contracts| x seconds / 100",
    "order_rate": "orders and cancels sent",
    "loss": "- change of equity, dollars; signed: an episode's sum is what it lost",
    "left": "|net contracts| still held when the episode ends",
    "intervention": "orders that the shield changed or refused",
}
_CODES = {name: code for code, name in enumerate(TERMS)}


def pick_costs(names: Sequence[str]) -> np.ndarray:
    """Codes int64 ``(K,)`` of the wanted costs, K may be 0. Raises ValueError for a name unknown or given twice."""
    unknown = [name for name in names if name not in TERMS]
    if unknown or len(set(names)) != len(names):
        raise ValueError(f"costs: expected some of {', '.join(TERMS)}, each once, got {list(names)}")
    return np.array([_CODES[name] for name in names], np.int64)


@inner
def _term(change, code):
    if code == 0:
        return change["drawdown_uusd"] / UUSD
    if code == 1:
        return float(change["kill"])
    if code == 2:
        return inventory(change)
    if code == 3:
        return float(change["messages"])
    if code == 4:
        return -change["pnl_uusd"] / UUSD
    if code == 5:
        return change["left_qty"] / LOTS_PER_CONTRACT
    return float(change["intervention"])


@kernel
def write_costs(changes, codes, first, last, out):
    """``out`` float32 ``(N, K)``."""
    for env in range(first, last):
        for column in range(len(codes)):
            out[env, column] = _term(changes[env], codes[column])
