"""What a step costs with many environments and with many markets an environment, against 1,024 environments of one.

And what a second env runner of the RLlib trainer is worth, on a second core: `benchmarks.runners` says how that is
measured. Its sampling leaves out the update.
"""

from __future__ import annotations

import argparse

from benchmarks import runners
from benchmarks.env import measure
from benchmarks.machine import describe, print_result

SMALL, LARGE = 1024, 65_536
MARKETS = (4, 16)
MOST_FOR_MANY = 1.5  # times the cost of a step at SMALL
MOST_FOR_MARKETS = 1.0  # times M times that cost


def _ns(num_envs: int, markets: int, seconds: float) -> float:
    """Nanoseconds of an environment step, the best round."""
    return 1e9 / measure(num_envs, seconds, markets=markets)["steps_per_s"]


def compare(seconds: float) -> dict:
    """All in one run, the yardstick first and last: the better of both counts."""
    yardstick = [_ns(SMALL, 1, seconds)]
    large = _ns(LARGE, 1, seconds)
    several = {markets: _ns(SMALL // markets, markets, seconds) for markets in MARKETS}
    yardstick.append(_ns(SMALL, 1, seconds))
    one = min(yardstick)
    by_markets = {str(markets): round(ns / (markets * one), 3) for markets, ns in several.items()}
    return {
        "benchmark": "scale",
        "ns_per_step": round(one, 1),
        "many_environments": LARGE,
        "many_environments_ratio": round(large / one, 3),
        "wanted_ratio": MOST_FOR_MANY,
        "cost_per_market_ratio": by_markets,
        "wanted_per_market": MOST_FOR_MARKETS,
        "holds": large <= MOST_FOR_MANY * one and max(by_markets.values()) <= MOST_FOR_MARKETS,
        "what": "cost of a step over that with 1,024 environments of one market; with M markets also over M",
    }


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks scale``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks scale", description=f"{__doc__}\n{runners.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement of steps; 0 = none of them")
    parser.add_argument("--turns", type=int, default=20, help="of one env runner and two; 0 = none")
    parser.add_argument("--num-envs", type=int, default=SMALL, help="that the env runners share")
    options = parser.parse_args(arguments)
    steps = compare(options.seconds) if options.seconds else {"benchmark": "scale", "holds": True}
    shared = runners.measure(options.num_envs, options.turns) if options.turns else {"speedup": runners.WANTED}
    holds = steps["holds"] and shared["speedup"] >= runners.WANTED
    print_result({**steps, **(shared if options.turns else {}), "holds": holds, **describe()})
    return 0 if holds else 1
