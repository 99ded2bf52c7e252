"""Random actions for millions of steps: no exception, nothing that is not finite, no cash out of thin air."""

from __future__ import annotations

import argparse
import time

import numpy as np
from tqdm import tqdm

from benchmarks.machine import describe, print_result
from benchmarks.parity import random_rows
from configs.tapes import sample_tapes
from envs.vector import TradingVectorEnv
from sim.scenarios import mix
from sim.types import FILL_MODELS

NUM_ENVS = 1024


def check(env: TradingVectorEnv, outputs: tuple) -> None:
    """Raise RuntimeError naming the environment where an output is not finite or money was made or lost."""
    obs, reward, _, _, info = outputs
    for name, values in (("observation", obs), ("reward", reward), ("costs", info["costs"])):
        if not np.isfinite(values).all():
            rows = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))
            raise RuntimeError(f"soak: {name} of environment {rows[0]} is not finite: {values[rows[0]]}")
    account = env.engine.state.pool
    total = account["cash_uusd"] + account["counterparty_uusd"] + account["fees_uusd"] + account["escrow_uusd"]
    if (total != account["start_uusd"]).any():
        rows = np.flatnonzero(total != account["start_uusd"])
        raise RuntimeError(
            f"soak: cash of environment {rows[0]} and everyone else grew by {(total - account['start_uusd'])[rows[0]]}"
        )
    if (account["cash_uusd"] < account["reserved_uusd"]).any():
        raise RuntimeError(
            f"soak: environment {int((account['cash_uusd'] < account['reserved_uusd']).argmax())} owes cash"
        )


def measure(steps: int, seed: int = 0) -> dict:
    """``steps`` environment steps, shared among the fill models and two action tables."""
    scenario = mix([sample_tapes()], random_rows(64, np.random.default_rng(seed)), replay_share=0.2)
    actions = np.random.default_rng(seed)
    begin = time.perf_counter()
    done = 0
    settings = [(model, table) for model in FILL_MODELS for table in ("taker21", "full")]
    with tqdm(total=steps, unit="step", unit_scale=True) as bar:
        for model, table in settings:
            env = TradingVectorEnv(NUM_ENVS, scenario=scenario, fill_model=model, actions=table, seed=seed, cash=500.0)
            env.reset()
            while done < steps * (settings.index((model, table)) + 1) / len(settings):
                check(env, env.step(actions.integers(0, env.single_action_space.n, NUM_ENVS)))
                done += NUM_ENVS
                bar.update(NUM_ENVS)
    return {"benchmark": "soak", "steps": done, "seconds": round(time.perf_counter() - begin), "problems": 0}


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks soak``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000_000)
    options = parser.parse_args(arguments)
    print_result({**measure(options.steps), **describe()})
    return 0
