"""What a baseline sees of a market: a few plain numbers, rebuilt from a named observation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sim.scales import (
    DISTANCE_HALF,
    EDGE_HALF,
    ERROR_HALF,
    FEE_HALF,
    HOUR_HALF,
    SIGNAL_HALF,
    SIZE_HALF,
    TICK_HALF,
    unpart,
    unsoft,
)  # fmt: skip
from sim.types import LOTS_PER_CONTRACT, PX_ONE

VIEW = np.dtype(
    [
        ("open", "<f8"),  # 1 while the market takes orders
        ("bid", "<f8"),  # dollars; 0 = nobody bids
        ("ask", "<f8"),  # dollars; 1 = nobody asks
        ("mid", "<f8"),  # dollars, of the last two-sided book
        ("tick", "<f8"),  # dollars, at the mid
        ("bid_size", "<f8"),  # contracts at the touch
        ("ask_size", "<f8"),
        ("imbalance", "<f8"),  # (bid size - ask size) / sum, at the touch
        ("fee", "<f8"),  # dollars a taker pays per contract at the mid
        ("seconds_left", "<f8"),  # to the close
        ("yes", "<f8"),  # contracts held
        ("no", "<f8"),
        ("own_bid", "<f8"),  # 1 where an order of ours rests on that side
        ("own_ask", "<f8"),
        ("own_bid_ticks", "<f8"),  # from the touch: + behind it, - in front of it
        ("own_ask_ticks", "<f8"),
        ("signal_live", "<f8"),  # 1 where there is a forecast
        ("signal", "<f8"),  # forecast probability
        ("signal_err", "<f8"),  # its stated standard error
        ("signal_age", "<f8"),  # seconds since it came
    ]
)


class _Source(NamedTuple):
    feature: str
    invert: Callable[[np.ndarray], np.ndarray]


def _same(y: np.ndarray) -> np.ndarray:
    return y


def _price(y: np.ndarray) -> np.ndarray:
    """Inverse of 2 p - 1, on the half of a price unit: exact for prices and mids."""
    return np.round((y + 1.0) * PX_ONE) / (2 * PX_ONE)


def _contracts(y: np.ndarray) -> np.ndarray:
    return np.round(unpart(y, SIZE_HALF) * LOTS_PER_CONTRACT) / LOTS_PER_CONTRACT


def _ticks(y: np.ndarray) -> np.ndarray:
    return unsoft(y, DISTANCE_HALF)


_SOURCES = {
    "open": _Source("market_open", _same),
    "bid": _Source("bid", _price),
    "ask": _Source("ask", _price),
    "mid": _Source("mid", _price),
    "tick": _Source("tick", lambda y: np.round(unpart(y, TICK_HALF) * PX_ONE) / PX_ONE),
    "bid_size": _Source("bid_size_1", _contracts),
    "ask_size": _Source("ask_size_1", _contracts),
    "imbalance": _Source("imbalance", _same),
    "fee": _Source("fee", lambda y: unpart(y, FEE_HALF)),
    "seconds_left": _Source("close_hour", lambda y: unpart(y, HOUR_HALF)),
    "yes": _Source("position_yes", _contracts),
    "no": _Source("position_no", _contracts),
    "own_bid": _Source("own_bid_live", _same),
    "own_ask": _Source("own_ask_live", _same),
    "own_bid_ticks": _Source("own_bid_distance", _ticks),
    "own_ask_ticks": _Source("own_ask_distance", _ticks),
}
_SIGNAL = ("signal_live", "signal_edge", "signal_error", "signal_age")


def view_from_observation(names: Sequence[str], observation: np.ndarray) -> np.ndarray:
    """``(N,)`` VIEW from a float32 observation ``(N, F)`` whose columns are ``names``.

    Inverts the features' formulas: prices come back exactly, sizes to the lot up to about 1,000 contracts (float32).
    An observation without the ``signal`` group gives a view without a forecast; any other feature that is missing
    raises ValueError with its name, as does a shape that does not fit.
    """
    obs = np.asarray(observation)
    if obs.ndim != 2 or obs.shape[1] != len(names):
        raise ValueError(
            f"view: expected an observation of shape (N, {len(names)}), one column a name, got {obs.shape}"
        )
    column = {name: index for index, name in enumerate(names)}
    missing = [source.feature for source in _SOURCES.values() if source.feature not in column]
    if missing:
        raise ValueError(
            f"view: the observation lacks {', '.join(missing)}; "
            "baselines need the groups book, time, portfolio and orders"
        )
    views = np.zeros(len(obs), VIEW)
    for field, source in _SOURCES.items():
        views[field] = source.invert(obs[:, column[source.feature]].astype(np.float64))
    if all(name in column for name in _SIGNAL):
        live, edge, error, age = (obs[:, column[name]].astype(np.float64) for name in _SIGNAL)
        views["signal_live"] = live
        views["signal"] = np.where(live > 0.0, views["mid"] + unsoft(edge, EDGE_HALF), 0.0)
        views["signal_err"] = unpart(error, ERROR_HALF)
        views["signal_age"] = unpart(age, SIGNAL_HALF)
    return views
