"""Compiled strategies (sim.backtest) beside agents and baselines: they write orders of their own, at every step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.policy import BASELINE, FIXED, parse_baseline
from sim.backtest import CompiledStrategy, Trader
from sim.strategies import STRATEGIES
from sim.strategies.arbitrage import arbitrageur
from sim.strategies.execution import twap
from sim.strategies.hedger import hedger
from sim.strategies.market_makers import avellaneda_stoikov, joiner

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv

COMPILED: dict[str, CompiledStrategy] = {
    one.name: one for one in (arbitrageur, hedger, joiner, avellaneda_stoikov, twap)
}


def trader(spec: str | Path, env: TradingVectorEnv) -> Trader | None:
    """The compiled strategy that ``baseline:NAME``, ``baseline:NAME?key=value`` or ``baseline:NAME@FILE.json`` names.

    None where ``spec`` names none of ``COMPILED``. Raises ValueError for a parameter it does not take.
    """
    name = _named(spec)
    if name not in COMPILED:
        return None
    _, values = parse_baseline(str(spec).removeprefix(BASELINE))
    return Trader(env.engine, COMPILED[name], values)


def check_names(specs: Mapping[str, Any]) -> None:
    """Raise ValueError for a ``baseline:NAME`` that neither kind of strategy has, before anything is played."""
    for spec in specs.values():
        name = _named(spec)
        if name is not None and name not in (known := (*STRATEGIES, *COMPILED, FIXED)):
            raise ValueError(f"no baseline {name!r}; the baselines are {', '.join(known)}")


def _named(spec: str | Path) -> str | None:
    """The NAME in ``baseline:NAME...``; None for what is no baseline, such as a run's folder."""
    text = str(spec)
    return text.removeprefix(BASELINE).split("?")[0].split("@")[0] if text.startswith(BASELINE) else None
