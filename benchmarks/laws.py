"""``python -m benchmarks laws``: the laws of the simulated market, measured at length. One JSON line for each."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks.families import manipulators, random_makers, random_takers
from benchmarks.machine import describe, print_result
from benchmarks.outcomes import resolution
from benchmarks.quoters import fill_rates, post_and_cancel, quoter_earnings
from benchmarks.resolvedkit import resolvedkit_result
from benchmarks.takers import no_free_lunch, planted_edge

# What is run at length; the tests run the same functions on smaller samples with fixed seeds.
LAWS: tuple[tuple[Callable[..., dict], dict], ...] = (
    (no_free_lunch, {"num_envs": 1024, "episodes": 8, "crossed": True}),
    (planted_edge, {"num_envs": 1024, "episodes": 2}),
    (quoter_earnings, {"num_envs": 1024, "steps": 600, "fill_model": "queue"}),
    (quoter_earnings, {"num_envs": 1024, "steps": 600, "fill_model": "optimistic"}),
    (fill_rates, {"num_envs": 1024, "rounds": 50}),
    (post_and_cancel, {"num_envs": 1024, "rounds": 30}),
    (resolution, {"num_envs": 4096, "episodes": 8}),
    (random_takers, {"policies": 200, "num_envs": 128}),
    (random_makers, {"policies": 200, "num_envs": 128}),
    (manipulators, {"policies": 200, "num_envs": 128}),
)


def main(arguments: list[str]) -> int:
    """Run every law; returns 0 where all hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks laws", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the markets and of the policies (default 0)")
    options = parser.parse_args(arguments)
    all_hold = True
    for law, size in LAWS:
        started = time.perf_counter()
        result = law(seed=options.seed, **size)
        print_result({**result, "seed": options.seed, "seconds": round(time.perf_counter() - started, 1), **describe()})
        all_hold &= result["holds"]
    started = time.perf_counter()
    result = resolvedkit_result()
    print_result({**result, "seconds": round(time.perf_counter() - started, 1), **describe()})
    return 0 if all_hold and result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
