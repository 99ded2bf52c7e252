"""A policy on the table of failures, in the environment that it is judged in."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from gymnasium.vector import AutoresetMode

from configs.build import make_env
from configs.schema import DirectionalConfig
from curricula.adversary import LIBRARY, load_cases
from curricula.adversary.failures import Case
from envs.vector import TradingVectorEnv
from evaluation.adversary import Player, env_player
from evaluation.compare import PolicySource
from evaluation.regression import replay_cases
from evaluation.workers import Workers
from sim.scenarios import Scenario

_FACTS = (
    "actions", "dt_s", "events_per_step", "window_s", "cash", "kill_drawdown", "cross_ticks", "start_contracts",
    "limits",
)  # fmt: skip


def player_of(
    policy: PolicySource, env: DirectionalConfig, venue: str, fill_model: str, workers: Workers | None = None
) -> Player:
    """Plays ``policy`` on rows in the environment that a config describes, one generated market at ``venue``."""
    return env_player(policy, partial(_make, env, fill_model), venue, workers=workers)


def _make(env: DirectionalConfig, fill_model: str, scenario: Scenario, num_envs: int, seed: int) -> TradingVectorEnv:
    return make_env(
        env, scenario, num_envs=num_envs, seed=seed, fill_model=fill_model, autoreset_mode=AutoresetMode.DISABLED
    )


def env_facts(env: DirectionalConfig) -> dict[str, float | str]:
    """What of an environment decides scores, for a case: numbers and texts; what is None is left out."""
    known = {name: value for name, value in asdict(env).items() if name in _FACTS and value is not None}
    plain = (bool, int, float, str)
    return {
        name: value if isinstance(value, plain) and value != math.inf else json.dumps(value, sort_keys=True)
        for name, value in known.items()
    }


def known_failures(table: str | None, markets: int) -> tuple[Case, ...]:
    """The cases that a policy of so many ``markets`` is to play: of one market all, of several none.

    ``table``: a file; "library" is the one that comes with the project, None = none is played. Raises ValueError for a
    file that is no table, FileNotFoundError for one that is not there.
    """
    if table is None or markets > 1:
        return ()
    path = LIBRARY if table == "library" else Path(table)
    if table != "library" and not path.is_file():
        raise FileNotFoundError(
            f"evaluation.failures = {table}: no such file; expected a table of failures, library or null"
        )
    return load_cases(path)


def replay_failures(policy: PolicySource, env: DirectionalConfig, cases: Sequence[Case]) -> list[dict[str, Any]]:
    """What became of ``policy`` on every case; see `evaluation.regression.replay_cases`."""
    facts = env_facts(env)

    def player(case: Case) -> Player:
        return player_of(policy, env, case.venue, case.fill_model)

    return replay_cases(cases, player, facts)
