"""What a policy is given beside a venue: its own environment, with a shield, and a baseline next to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.config import discount
from agents.policy import BASELINE, Policy, load, parse_baseline
from configs.build import make_env, settled
from configs.schema import DirectionalConfig, read_run_config
from envs.rewards import POTENTIALS
from envs.vector import TradingVectorEnv
from evaluation.promotion.registry import current
from sim.scenarios import Scenario

PROMOTED = "promoted"
LIMITS = "balanced"  # of a policy whose environment had none: here nothing decides without a shield


def spec_of(checkpoint: str, registry: str) -> str:
    """What to load for ``checkpoint``: a run folder, ``baseline:NAME``, or ``promoted``, the policy in use.

    Raises FileNotFoundError or ValueError where it is none of them.
    """
    if checkpoint == PROMOTED:
        return str(current(registry))
    if not checkpoint.startswith(BASELINE) and not (Path(checkpoint) / "manifest.json").is_file():
        raise FileNotFoundError(
            f"checkpoint = {checkpoint}: no run is there; expected checkpoints/RUN, {BASELINE}NAME, or {PROMOTED}"
        )
    return checkpoint


def digest_of(spec: str) -> str:
    """Of what was loaded: of a run the SHA-256 of its manifest, of a baseline its name and parameters."""
    if spec.startswith(BASELINE):
        name, values = parse_baseline(spec.removeprefix(BASELINE))
        told = "&".join(f"{key}={value!r}" for key, value in sorted(values.items()))
        return f"{name}?{told}" if told else name
    return hashlib.sha256((Path(spec) / "manifest.json").read_bytes()).hexdigest()


def live_env(spec: str, limits: Any) -> tuple[DirectionalConfig, dict[str, Any]]:
    """The environment a policy was trained in, as it is beside a venue, and other settings of `make_env`.

    Accounts begin flat, episodes have no end of their own, and a shield there is in any case: ``limits``, else the
    run's, else "balanced".
    """
    settings: dict[str, Any] = {}
    if spec.startswith(BASELINE):
        env = DirectionalConfig(actions="full")  # every baseline finds what it wants there
    else:
        config = read_run_config(Path(spec))
        env = settled(config.env, config.scenario)
        if any(name in POTENTIALS for name in env.reward):
            settings["shaping_gamma"] = discount(config.agent.gamma_per_s, env.dt_s)
    chosen = limits if limits is not None else env.limits if env.limits is not None else LIMITS
    return replace(env, limits=chosen, window_s=float("inf"), start_contracts=0.0), settings


def maker_of(
    spec: str, limits: Any, seed: int
) -> tuple[DirectionalConfig, Callable[[Scenario, int, float | None], TradingVectorEnv]]:
    """The environment's config, and what makes it: on a scenario, of so many accounts, with so many dollars each.

    None = dollars as configured.
    """
    env, settings = live_env(spec, limits)

    def make(scenario: Scenario, accounts: int, cash: float | None) -> TradingVectorEnv:
        funded = env if cash is None else replace(env, cash=cash)
        return make_env(funded, scenario, num_envs=accounts, seed=seed, **settings)

    return env, make


def policy_of(spec: str, sheet: dict[str, Any], seed: int) -> Policy:
    """A policy that takes its most likely action, fast for one observation at a time where its network allows it.

    Raises what `agents.policy.load` raises, and ValueError for one that chooses rows where others quote by a surface.
    """
    try:
        policy = load(spec, sheet, seed=seed, backend="numpy")
    except ValueError as error:
        if "backend=torch" not in str(error):
            raise
        policy = load(spec, sheet, seed=seed)
    if sheet["action_form"] == "surface" and getattr(policy, "chooses_rows", False):
        raise ValueError(
            f"{spec} chooses rows of a table, and this environment's actions are points of a control surface; beside "
            f"such a policy only another point of it can stand: baseline=fixed"
        )
    return policy
