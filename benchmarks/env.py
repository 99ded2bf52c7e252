"""Environment steps a second: synthetic market with impact and opponents, random actions, all features."""

from __future__ import annotations

import argparse
import time

import numpy as np
from tqdm import tqdm

from benchmarks.machine import describe, print_result
from envs.vector import TradingVectorEnv
from sim.scenarios import Place, Scenario
from sim.scenarios.row import benchmark_rows


def measure(num_envs: int, seconds: float, seed: int = 0, markets: int = 1) -> dict:
    """Best of the rounds that fit into ``seconds``; a round is 300 steps, one whole episode, resets included."""
    scenario = Scenario(benchmark_rows(), (Place(),) * markets)
    env = TradingVectorEnv(num_envs, scenario=scenario, seed=seed)
    env.reset(seed=seed)
    shape = (300, num_envs) if markets == 1 else (300, num_envs, markets)
    actions = np.random.default_rng(seed).integers(0, len(env.table.listed), shape)
    account = env.engine.state.account
    env.step(actions[0])
    rates, events, steps = [], 0, 0
    start = time.perf_counter()
    with tqdm(total=seconds, unit="s", bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s") as bar:
        while time.perf_counter() - start < seconds:
            begin = time.perf_counter()
            for row in actions:
                before = account["events"].sum()
                env.step(row)
                grown = account["events"].sum() - before
                if grown > 0:  # a reset starts the count again
                    events += grown
                    steps += num_envs
            rates.append(len(actions) * num_envs / (time.perf_counter() - begin))
            bar.update(min(seconds, time.perf_counter() - start) - bar.n)
    return {
        "benchmark": "env",
        "steps_per_s": round(max(rates)),
        "median_steps_per_s": round(float(np.median(rates))),
        "features": len(env.schema.features),
        "markets": markets,
        "events_per_step": round(events / steps, 2),
        "num_envs": num_envs,
        "bytes_per_env": env.bytes_per_env,
        "what": "reset, decode, submit, advance 1 s, reward, cost, observe; uniform random actions",
    }


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks env``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks env", description=__doc__)
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--markets", type=int, default=1, help="of an environment (default 1)")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args(arguments)
    print_result({**measure(options.num_envs, options.seconds, markets=options.markets), **describe()})
    return 0
