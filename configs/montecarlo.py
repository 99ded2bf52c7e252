"""A shard of a Monte Carlo run as configs say it: as many environments as episodes, each with a row of its own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from gymnasium.vector import AutoresetMode

from configs.build import Generated, generated, library_digests, make_env, settled
from configs.schema import DirectionalConfig, MixConfig, ScenarioConfig, SyntheticConfig
from configs.tapes import split_tapes
from curricula.phase import ranges_of
from envs.vector import TradingVectorEnv
from sim.tape import read_header


def shards_of(
    env: DirectionalConfig, wanted: ScenarioConfig, fill_model: str
) -> Callable[[int, int], TradingVectorEnv]:
    """``make_env(episodes, seed)`` for `evaluation.montecarlo`; of a mix the generated markets.

    Raises ValueError for a scenario that only plays recordings.
    """
    plain = replace(settled(env, wanted), reward={"pnl": 1.0}, costs=["kill"])
    return partial(make_shard, plain, _generated_part(wanted), fill_model)


def make_shard(
    env: DirectionalConfig, wanted: Generated, fill_model: str, episodes: int, seed: int
) -> TradingVectorEnv:
    """``episodes`` environments on rows drawn for each of them with ``seed``."""
    scenario = generated(replace(wanted, row_count=episodes), None, seed, at_random=True)
    return make_env(
        env,
        replace(scenario, sequential=True),
        num_envs=episodes,
        seed=seed,
        fill_model=fill_model,
        autoreset_mode=AutoresetMode.DISABLED,
    )


def facts_of(
    env: DirectionalConfig, wanted: ScenarioConfig, fill_model: str, policies: Mapping[str, str]
) -> dict[str, Any]:
    """What a Monte Carlo run must agree with to go on, beside its numbers: plain JSON values."""
    scenario = {**asdict(wanted), "rows": ranges_of(wanted.rows)}
    return {
        "env": plain_env(settled(env, wanted)),
        "scenario": scenario,
        "fill_model": fill_model,
        **library_digests(wanted),
        "digests": digests_of(policies),
    }


def digests_of(policies: Mapping[str, str]) -> dict[str, str]:
    """Of the file of every policy that has one."""
    files = {name: Path(source) / "policy.zip" for name, source in policies.items()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if path.is_file()}


def plain_env(env: DirectionalConfig) -> dict[str, Any]:
    """The settings of an environment as plain JSON values."""
    return _without_infinity(asdict(env))


def _without_infinity(value: Any) -> Any:
    """JSON has no infinity: "inf"."""
    if isinstance(value, dict):
        return {key: _without_infinity(one) for key, one in value.items()}
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _generated_part(wanted: ScenarioConfig) -> Generated:
    if isinstance(wanted, Generated):
        return wanted
    if not isinstance(wanted, MixConfig):
        raise ValueError(
            f"scenario.kind = {wanted.kind}: suite=montecarlo plays generated markets; of recordings there are few: "
            "add scenario=synthetic, or another one that is generated"
        )
    venue = read_header(split_tapes(wanted.tapes, wanted.held_out).train[0]).venue
    return SyntheticConfig(rows=wanted.rows, row_count=wanted.row_count, fill_set=wanted.fill_set, venue=venue)
