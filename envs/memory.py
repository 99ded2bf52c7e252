"""What an environment remembers beside the simulator's state: past mids for the features, last equity for the reward.

Plain arrays with the environment as the leading axis, like ``sim.state``: saved, restored and hashed with it.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from envs.shield.regime import WATCH

MIDS = 32  # past mids kept; a return may look back MIDS - 1 observations

PAST = np.dtype(
    [
        ("equity_uusd", "<i8"),  # at the last step
        ("drawdown_uusd", "<i8"),  # largest of the episode
        ("now_ns", "<i8"),  # at the last step
        ("killed", "<i8"),  # 1 once the drawdown has passed the limit
    ]
)

TRACK = np.dtype(
    [
        ("seen", "<i8"),  # observations of this episode
        ("variance", "<f8"),  # exponentially weighted mean of the mid's squared moves, dollars squared
        ("covariance", "<f8"),  # of its moves with those of the market it is linked to
        ("move", "<f8"),  # since the last observation, dollars
    ]
)


TALLY = np.dtype(
    [
        ("potential", "<f8", (3,)),  # of the last state, by `envs.potentials.POTENTIALS`
        ("bucket", "<i8"),  # of `sim.activity`, in which the episode began
        ("action", "<i8"),  # the account's last one, see `envs.habits`
        ("counts", "<f8", (4, 4)),  # what followed each kind of action, fading
        ("steps", "<i8"),  # of this episode
        ("mean", "<f8"),  # of the steps' results, dollars
        ("square", "<f8"),  # of their squares
    ]
)

LOTS = np.dtype(
    [
        ("net_qty", "<i8"),  # YES less NO
        ("anchored_qty", "<f8", (3,)),  # what of it was taken near 25, 50 and 75 cents
        ("squares", "<f8", (2,)),  # the market's sums of squared moves when the episode began, see `sim.activity`
    ]
)


class Memory(NamedTuple):
    """Memory of N environments of M markets."""

    past: np.ndarray  # (N,) PAST
    track: np.ndarray  # (N, M) TRACK
    mids: np.ndarray  # (N, M, MIDS) int32: bid + ask at observation n, at n % MIDS
    watch: np.ndarray  # (N,) WATCH of a shield; (0,) without one
    tariff: np.ndarray  # (N, M) int64: fee schedules that it last saw; (0, M) without one
    tally: np.ndarray  # (N,) TALLY of reward terms that remember; (0,) without one of them
    lots: np.ndarray  # (N, M) LOTS, the same; (0, M)


def allocate(num_envs: int, num_markets: int = 1, *, guarded: bool = False, shaped: bool = False) -> Memory:
    """Zeroed memory; ``guarded``: there is a shield; ``shaped``: there are reward terms that remember."""
    guards, shapes = num_envs if guarded else 0, num_envs if shaped else 0
    return Memory(
        np.zeros(num_envs, PAST),
        np.zeros((num_envs, num_markets), TRACK),
        np.zeros((num_envs, num_markets, MIDS), np.int32),
        np.zeros(guards, WATCH),
        np.zeros((guards, num_markets), np.int64),
        np.zeros(shapes, TALLY),
        np.zeros((shapes, num_markets), LOTS),
    )


def begin(memory: Memory, account: np.ndarray, mask: np.ndarray) -> None:
    """Forget the last episode of the environments in ``mask`` and take up the first equity of the new one."""
    rows = np.flatnonzero(mask)
    memory.mids[rows] = 0
    memory.track[rows] = 0
    memory.past[rows] = 0
    if len(memory.tally) > 0:
        memory.tally[rows] = 0
        memory.lots[rows] = 0
    memory.past["equity_uusd"][rows] = account["equity_uusd"][rows]
    memory.past["now_ns"][rows] = account["now_ns"][rows]


def snapshot(memory: Memory) -> Memory:
    """A deep copy."""
    return Memory(*(array.copy() for array in memory))


def restore(memory: Memory, saved: Memory) -> None:
    """Copy ``saved`` back into ``memory``. Raises ValueError where shapes differ."""
    for name, array, other in zip(Memory._fields, memory, saved, strict=True):
        if array.shape != other.shape:
            raise ValueError(f"memory.{name}: cannot restore shape {other.shape} into {array.shape}")
        array[...] = other


def digest(memory: Memory, rows: slice, *others: str | np.ndarray) -> str:
    """SHA-256 over the memory of the environments in ``rows`` and what else makes up their state: digests or arrays."""
    result = hashlib.sha256()
    for part in (*(array[rows] for array in memory), *others):
        result.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes())
    return result.hexdigest()
