"""Cold start: a fresh process imports, makes an environment, resets and steps; first without compiled kernels."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile

from benchmarks.machine import ROOT, describe, print_result

# Runs by itself in a fresh interpreter; whatever it imports is on the clock
PROBE = """
import json, resource, sys, time
wall = time.perf_counter()
marks = {}

def mark(name):
    used = resource.getrusage(resource.RUSAGE_SELF)
    marks[name] = [round(time.perf_counter() - wall, 2), round(used.ru_utime + used.ru_stime, 2)]

import gymnasium as gym
import envs
mark("import")
env = gym.make_vec("shadowbook/Directional-v0", num_envs=int(sys.argv[1]))
mark("make")
env.reset(seed=0)
mark("reset")
env.action_space.seed(0)
env.step(env.action_space.sample())
mark("step")
print(json.dumps(marks))
"""


def start(cache: str, num_envs: int) -> dict[str, list[float]]:
    """Import, make, reset and step in a fresh process that keeps its kernels in ``cache``.

    Returns ``[wall seconds, CPU seconds]`` since the process started to work, at the end of each stage; CPU seconds
    count from the start of the interpreter.
    """
    place = {"SHADOWBOOK_CACHE": cache, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(num_envs)],
        env=os.environ | place, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def measure(num_envs: int, repeats: int) -> dict:
    """One start with an empty cache, then the quickest of ``repeats`` starts from what it left there."""
    with tempfile.TemporaryDirectory() as cache:
        uncompiled = start(cache, num_envs)
        cached = min((start(cache, num_envs) for _ in range(repeats)), key=lambda marks: marks["step"][0])
    return {
        "benchmark": "cold",
        "uncompiled_wall_s": uncompiled["step"][0],
        "uncompiled_cpu_s": uncompiled["step"][1],
        "cached_wall_s": cached["step"][0],
        "cached_cpu_s": cached["step"][1],
        "uncompiled_stages": uncompiled,
        "cached_stages": cached,
        "load": round(os.getloadavg()[0], 2),
        "what": "import, make_vec, reset, first step in a fresh process; stages: [wall s, CPU s] at their end",
    }


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks cold``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks cold", description=__doc__)
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3, help="starts from the cache; the quickest counts")
    options = parser.parse_args(arguments)
    print_result({**measure(options.num_envs, options.repeats), **describe()})
    return 0
