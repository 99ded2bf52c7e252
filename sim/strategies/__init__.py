"""Baselines written once, as kernels: noop, random, taker of imbalance, taker of the signal, two-sided quoter.

A strategy sees a :data:`VIEW`, rebuilt from an observation, and answers with a decision that any action table can
express or hold on. Its parameters are a small float64 array with names and bounds, so that a search can tune it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sim.strategies import rules
from sim.strategies.decision import Decision, empty_decisions, nearest_actions, rows_from_table, table_from_rows
from sim.strategies.rules import UNIFORMS
from sim.strategies.view import VIEW, view_from_observation

__all__ = [
    "STRATEGIES",
    "UNIFORMS",
    "VIEW",
    "Decision",
    "Parameter",
    "Strategy",
    "decide",
    "find_strategy",
    "nearest_actions",
    "rows_from_table",
    "strategy_params",
    "table_from_rows",
    "view_from_observation",
]


class Parameter(NamedTuple):
    """One number a strategy can be tuned by."""

    name: str
    default: float
    low: float
    high: float
    meaning: str


@dataclass(frozen=True)
class Strategy:
    """A baseline: its code in the kernels, its parameters in their order, and whether it needs a forecast."""

    code: int
    meaning: str
    parameters: tuple[Parameter, ...] = ()
    needs_signal: bool = False


_SIZE = "contracts an order"
_LIMIT = "largest net position, contracts"

STRATEGIES: dict[str, Strategy] = {
    "noop": Strategy(rules.NOOP_CODE, "does nothing"),
    "random": Strategy(
        rules.RANDOM_CODE,
        "trades at random",
        (
            Parameter("rate", 0.2, 0.0, 1.0, "probability of an order a step"),
            Parameter("passive", 0.0, 0.0, 1.0, "share of orders that join the touch instead of taking"),
        ),
    ),
    "imbalance": Strategy(
        rules.IMBALANCE_CODE,
        "takes toward the heavier side of the touch",
        (
            Parameter("threshold", 0.6, 0.0, 1.0, "(bid size - ask size) / sum from which it trades"),
            Parameter("size", 10.0, 5.0, 100.0, _SIZE),
            Parameter("limit", 100.0, 5.0, 1000.0, _LIMIT),
        ),
    ),
    "signal": Strategy(
        rules.SIGNAL_CODE,
        "takes what the forecast says is mispriced by more than fee and error",
        (
            Parameter("size", 25.0, 5.0, 100.0, _SIZE),
            Parameter("margin", 0.0, 0.0, 0.1, "dollars of edge it wants beyond fee and error"),
            Parameter("caution", 1.0, 0.0, 3.0, "stated standard errors taken off the edge"),
            Parameter("limit", 200.0, 5.0, 1000.0, _LIMIT),
            Parameter("max_age_s", 1.0, 0.0, 600.0, "seconds after which it ignores a forecast"),
        ),
        needs_signal=True,
    ),
    "quoter": Strategy(
        rules.QUOTER_CODE,
        "keeps an order at the touch of each side",
        (
            Parameter("size", 10.0, 5.0, 100.0, _SIZE),
            Parameter("min_ticks", 1.0, 0.0, 10.0, "ticks of spread below which it does not quote"),
            Parameter("limit", 50.0, 5.0, 1000.0, _LIMIT),
            Parameter("lean", 0.8, 0.0, 1.0, "imbalance against a side from which it does not quote it"),
            Parameter("stop_s", 10.0, 0.0, 600.0, "seconds before the close from which it does not quote"),
        ),
    ),
}


def find_strategy(name: str) -> Strategy:
    """The strategy of a name; ValueError with the list of names otherwise."""
    if name not in STRATEGIES:
        raise ValueError(f"no strategy {name!r}; the strategies are {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def strategy_params(name: str, values: Mapping[str, float] | None = None) -> np.ndarray:
    """Parameter array of a strategy, float64: defaults with ``values`` put in.

    Raises ValueError for a name that is not a parameter, or a value outside its bounds (NaN included).
    """
    parameters = find_strategy(name).parameters
    known = [parameter.name for parameter in parameters]
    given = dict(values or {})
    for key in given:
        if key not in known:
            raise ValueError(f"strategy {name}: no parameter {key!r}; it has {', '.join(known) or 'none'}")
    params = np.array([given.get(parameter.name, parameter.default) for parameter in parameters], np.float64)
    for parameter, value in zip(parameters, params, strict=True):
        if not parameter.low <= value <= parameter.high:
            raise ValueError(
                f"strategy {name}: {parameter.name} = {value} lies outside [{parameter.low}, {parameter.high}]"
            )
    return params


def decide(name: str, views: np.ndarray, params: np.ndarray, uniforms: np.ndarray) -> Decision:
    """Decisions of a batch.

    Args:
        name: which strategy.
        views: ``(N,)`` VIEW.
        params: its parameters, from :func:`strategy_params`.
        uniforms: ``(N, UNIFORMS)`` float64 in [0, 1); only ``random`` reads them.

    Raises ValueError where a name, a dtype or a shape is not as expected.
    """
    strategy = find_strategy(name)
    if views.dtype != VIEW or views.ndim != 1:
        raise ValueError(
            f"strategy {name}: expected views of dtype VIEW and shape (N,), got {views.dtype}, {views.shape}"
        )
    if params.shape != (len(strategy.parameters),) or params.dtype != np.float64:
        raise ValueError(
            f"strategy {name}: expected {len(strategy.parameters)} float64 parameters, "
            f"got {params.dtype}, {params.shape}"
        )
    if uniforms.shape != (len(views), UNIFORMS) or uniforms.dtype != np.float64:
        raise ValueError(
            f"strategy {name}: expected float64 uniforms of shape ({len(views)}, {UNIFORMS}), "
            f"got {uniforms.dtype}, {uniforms.shape}"
        )
    decisions = empty_decisions(len(views))
    rules.decide_batch(strategy.code, views, np.ascontiguousarray(params), np.ascontiguousarray(uniforms), *decisions)
    return decisions
