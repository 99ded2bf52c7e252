"""Adversarial search against a planted weakness: evaluations until it is found, beside random search.

The victim is `benchmarks.planted.careless`, which averages down without a stop on a one-sided book. A row fails where
its mean largest drawdown is more than ``THRESHOLD`` % of the cash, on the chance of the search's generation and again,
with confidence, on chance that the search has not seen (`evaluation.prey`: of searches of a policy without a failure
one in twenty at most declares one). The share of the space in which a failure is detected so is measured by random
search's own points; what fails and goes undetected on 16 episodes is not in it.

Where a search's budget ends first, its count is censored: it goes into the median as "more than the budget", and the
median is printed as such where it falls among those. Two controls: the strategy with its stop put back, searched as
often, which must not be found to fail more often than such alarms explain, and a score without a slope, on which no
search beats random.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.machine import describe, print_result
from benchmarks.planted import careless
from curricula.adversary import Hunt, Space, hunt, load_space, make_searcher
from evaluation.adversary import Player, backtest_player
from evaluation.parity import rate_interval
from evaluation.prey import ALPHA, Prey
from sim.scenarios.row import make_rows

SCORE, THRESHOLD = "drawdown", 3.0
LIFE_S = 60.0
EPISODES, CONFIRM_EPISODES = 16, 256
FACTOR = 5  # random search has to need so many times as many


def hunted(play: Player, seed: int) -> Prey:
    """The victim of the search from ``seed``."""
    return Prey(play, SCORE, THRESHOLD, episodes=EPISODES, confirm_episodes=CONFIRM_EPISODES, seed=seed)


def search(name: str, space: Space, play: Player, seed: int, budget: int) -> Hunt:
    """One search from ``seed``."""
    prey = hunted(play, seed)
    return hunt(
        make_searcher(name, space.dimension, seed),
        lambda points, generation: prey.scores(space.rows(points), generation),
        lambda point: prey.confirm(space.rows(point[None])),
        THRESHOLD,
        budget,
    )


def sampled(space: Space, play: Player, seed: int, count: int) -> np.ndarray:
    """``(count,)`` bool: which points of random search from ``seed`` fail, each as if it were the search's first."""
    searcher = make_searcher("random", space.dimension, seed)
    prey = hunted(play, seed)
    failing: list[bool] = []
    while len(failing) < count:
        rows = space.rows(searcher.ask())
        above = prey.scores(rows, len(failing) // len(rows)) > THRESHOLD
        for index in range(len(rows)):
            failing.append(bool(above[index]) and prey.confirm(rows[index : index + 1]))
            prey.tests = 0  # a share is measured: each point has the whole level of a first test
    return np.array(failing[:count])


def median(counts: list[int | None], budget: int) -> dict[str, Any]:
    """The middle of evaluations until found, ``None`` = not within ``budget``; how many were found."""
    known = sorted(math.inf if count is None else count for count in counts)
    middle = 0.5 * (known[(len(known) - 1) // 2] + known[len(known) // 2])
    found = [count for count in counts if count is not None]
    return {
        "median": f"> {budget}" if math.isinf(middle) else middle,
        "found": f"{len(found)} of {len(counts)}",
        "budget": budget,
        "all": [f"> {budget}" if math.isinf(count) else count for count in known],
    }


def share(hits: int, tried: int, level: float = 0.95) -> dict[str, float]:
    """A share with its exact binomial interval."""
    found = rate_interval(hits, tried, level)
    return {"share": found.value, "low": found.low, "high": found.high, "hits": hits, "tried": tried}


def slopeless(volume: float, dimension: int, seeds: int, budget: int) -> dict[str, Any]:
    """A box of ``volume`` in the cube, score 1 inside and 0 outside: nothing to climb."""
    side = volume ** (1.0 / dimension)

    def score(points: np.ndarray, _: int) -> np.ndarray:
        return (points > 1.0 - side).all(axis=1).astype(np.float64)

    out = {}
    for name in ("random", "cem", "cmaes"):
        runs = [hunt(make_searcher(name, dimension, s), score, lambda _: True, 0.5, budget) for s in range(seeds)]
        out[name] = median([run.evaluations if run.point is not None else None for run in runs], budget)
        del out[name]["all"]
    return out


def main(arguments: list[str]) -> int:
    """Print one JSON line; 1 where the claim does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks adversary", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=int, default=2000, help="evaluations of CEM and CMA-ES")
    parser.add_argument("--random-budget", type=int, default=10_000, help="evaluations of random search")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    space = load_space("market", make_rows(1, life_s=LIFE_S))
    play, mended = backtest_player(careless), backtest_player(careless, {"stop": 1.0})
    result: dict[str, Any] = {
        "benchmark": "adversary", "score": SCORE, "threshold": THRESHOLD, "fields": space.dimension,
        "episodes": EPISODES, "confirm_episodes": CONFIRM_EPISODES, "seeds": options.seeds,
    }  # fmt: skip
    for name in ("cem", "cmaes"):
        runs = [search(name, space, play, s, options.budget) for s in tqdm(range(options.seeds), desc=name)]
        counts = [run.evaluations if run.point is not None else None for run in runs]
        result[name] = median(counts, options.budget) | {"not_confirmed": sum(run.rejected for run in runs)}
    failing = [sampled(space, play, s, options.random_budget) for s in tqdm(range(options.seeds), desc="random")]
    first = [int(np.argmax(run)) + 1 if run.any() else None for run in failing]
    result["random"] = median(first, options.random_budget)
    volume = share(int(np.sum(failing)), options.seeds * options.random_budget)
    result["detected_volume"] = volume
    result["random"]["median_by_volume"] = [
        round(math.log(2.0) / volume[end]) if volume[end] > 0.0 else None for end in ("high", "share", "low")
    ]
    for name in ("cem", "cmaes"):
        alarms = [
            search(name, space, mended, s, options.budget).point is not None
            for s in tqdm(range(options.seeds), desc=f"{name}, mended")
        ]
        result.setdefault("mended", {})[name] = share(sum(alarms), options.seeds)
    result["slopeless"] = slopeless(
        volume["share"] or volume["high"], space.dimension, options.seeds, 20 * options.budget
    )
    result["holds"] = all(
        _five_times(result[name], result["random"], options.budget) and result["mended"][name]["low"] <= ALPHA
        for name in ("cem", "cmaes")
    )
    print_result({**result, "seconds": round(time.perf_counter() - began), **describe()})
    return 0 if result["holds"] else 1


def _five_times(one: dict[str, Any], random: dict[str, Any], budget: int) -> bool:
    """Found within the budget at the median, and random search's median is at least five times that."""
    if isinstance(one["median"], str) or one["median"] > budget:
        return False
    floor = random["budget"] if isinstance(random["median"], str) else random["median"]
    return bool(floor >= FACTOR * one["median"])
