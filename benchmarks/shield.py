"""``python -m benchmarks shield``: random, adversarial and malformed orders against the shield, judged by other code.

Every order that the shield lets through is checked by ``benchmarks.shield_checker``; certifying what came out once more
must change nothing. One JSON line; ``--cost`` measures an environment's step with and without a shield instead.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from tqdm import tqdm

from benchmarks.machine import describe, print_result
from benchmarks.shield_checker import BOOK, BROKEN, check
from benchmarks.shield_states import (
    SCHEDULES,
    WORDS,
    Crowd,
    fill_crowd,
    fill_orders,
    make_crowd,
    random_floats,
    random_limits,
)
from envs.shield import ORDER_REASONS, PRESETS, REGIMES, Limits
from envs.shield.exposure import LEDGER
from envs.shield.judge import TOTALS, certify_one
from envs.vector import TradingVectorEnv
from sim.kernel import kernel
from sim.scenarios import Scenario
from sim.scenarios.row import benchmark_rows
from sim.types import INTENT

_CHUNK = 10  # steps timed together
ENVS, MARKETS, ROUNDS = 256, 4, 8  # accounts of a crowd, their markets, orders asked of each crowd
_NO_SETS = np.full(MARKETS, -1)  # no market's collateral is returned


@kernel
def _certify_all(limits, crowd, fees, event_of, set_of, ledger, totals, wanted, reasons, cuts, counts):
    """Certify in place; ``counts`` int64 (regimes, reasons) by regime and reason."""
    width = wanted.shape[1]
    for env in range(len(wanted)):
        watch = crowd.watch[env]
        certify_one(
            limits[0], watch, crowd.account[env], crowd.pool[env], crowd.market[env * width : (env + 1) * width], fees,
            event_of, set_of, ledger, totals[0], wanted[env], reasons, cuts,
        )  # fmt: skip
        for index in range(width):
            for side in range(2):
                counts[watch["regime"], reasons[index, side]] += 1


class Proof:
    """Counts of a run."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.crowd: Crowd = make_crowd(ENVS, MARKETS)
        self.found = np.zeros(len(BROKEN), np.int64)
        self.counts = np.zeros((len(REGIMES), len(ORDER_REASONS)), np.int64)
        self.intents = self.passed = self.restless = self.set_of_limits = 0
        self._room = (np.zeros(MARKETS, LEDGER), np.zeros(1, TOTALS))
        self._out = (np.zeros((MARKETS, 2), np.int32), np.zeros((MARKETS, 2), np.int64))

    def round(self) -> None:
        """One crowd, one set of limits, several decisions of every account."""
        rng = self.rng
        limits = random_limits(rng) if self.set_of_limits % 8 else list(PRESETS.values())[self.set_of_limits // 8 % 4]
        self.set_of_limits += 1
        fill_crowd(self.crowd, rng.integers(0, 2**32, (ENVS * (MARKETS + 1), WORDS), np.uint32), _start(rng))
        event_of = np.minimum(np.arange(MARKETS), rng.integers(0, MARKETS, MARKETS))
        event_of = event_of[event_of]
        for _ in range(ROUNDS):
            self._decide(limits, event_of)

    def _decide(self, limits: Limits, event_of: np.ndarray) -> None:
        shape = (ENVS, MARKETS, 2)
        wanted = np.zeros(shape, INTENT)
        words = self.rng.integers(0, 2**32, (ENVS * MARKETS * 2, 24), np.uint32)
        fill_orders(self.crowd, words, random_floats(self.rng, shape), wanted)
        safe, record = wanted.copy(), limits.record()
        _certify_all(record, self.crowd, SCHEDULES, event_of, _NO_SETS, *self._room, safe, *self._out, self.counts)
        crowd = self.crowd
        self.passed += check(
            record, crowd.watch, crowd.account, crowd.pool, crowd.market, SCHEDULES, event_of, np.zeros(MARKETS, BOOK),
            wanted, safe, self.found,
        )  # fmt: skip
        again = safe.copy()
        _certify_all(record, crowd, SCHEDULES, event_of, _NO_SETS, *self._room, again, *self._out, self.counts * 0)
        self.restless += int((again != safe).sum())
        self.intents += wanted.size


def _start(rng: np.random.Generator) -> int:
    """Starting cash in micro-dollars: 50 dollars to 5 million."""
    return int(10 ** rng.uniform(7.7, 12.7))


def prove(intents: int, seed: int = 0) -> dict:
    """Ask for ``intents`` orders at least; the counts."""
    proof = Proof(seed)
    started = time.perf_counter()
    with tqdm(total=intents, unit="order", unit_scale=True) as bar:
        while proof.intents < intents:
            before = proof.intents
            proof.round()
            bar.update(proof.intents - before)
    reasons = proof.counts.sum(axis=0)
    return {
        "benchmark": "shield",
        "intents": proof.intents,
        "violations": int(proof.found.sum()),
        "broken": {name: int(count) for name, count in zip(BROKEN, proof.found, strict=True) if count},
        "not_idempotent": proof.restless,
        "orders_let_through": int(proof.passed),
        "by_regime": dict(zip(REGIMES, proof.counts.sum(axis=1).tolist(), strict=True)),
        "by_reason": dict(zip(ORDER_REASONS, reasons.tolist(), strict=True)),
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 1),
    }


def cost(num_envs: int, rounds: int, seed: int = 0) -> dict:
    """Steps a second with and without a shield, in turns, the best of each; for random actions and for holding."""
    scenario = Scenario(benchmark_rows())
    envs = [TradingVectorEnv(num_envs, scenario=scenario, seed=seed, limits=name) for name in (None, "balanced")]
    actions = np.random.default_rng(seed).integers(0, 21, (300, num_envs))
    result: dict = {"benchmark": "shield_cost", "num_envs": num_envs, "rounds": rounds}
    for what, rows in (("random", actions), ("hold", actions * 0)):
        seconds = np.array([_seconds(envs, rows, seed) for _ in tqdm(range(rounds), unit="round", desc=what)])
        # the same steps of both lie side by side in time; the least of each chunk is what the machine can do
        plain, shielded = seconds.min(axis=0).sum(axis=1)
        result[f"{what}_steps_per_s"] = round(rows.size / plain)
        result[f"{what}_steps_per_s_shielded"] = round(rows.size / shielded)
        result[f"{what}_cost"] = round(shielded / plain - 1, 4)
        result[f"{what}_cost_median"] = round(float(np.median(seconds[:, 1] / seconds[:, 0])) - 1, 4)
    return result


def _seconds(envs: list[TradingVectorEnv], rows: np.ndarray, seed: int) -> np.ndarray:
    """``(2, chunks)`` seconds of CPU: both environments take the same steps in turns, a chunk at a time."""
    for env in envs:
        env.reset(seed=seed)
    seconds = np.zeros((len(envs), len(rows) // _CHUNK))
    for chunk in range(seconds.shape[1]):
        for place, env in enumerate(envs):
            begin = time.process_time()
            for row in rows[chunk * _CHUNK : (chunk + 1) * _CHUNK]:
                env.step(row)
            seconds[place, chunk] = time.process_time() - begin
    return seconds


def main(arguments: list[str]) -> int:
    """Command line; 0 where nothing was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks shield", description=__doc__)
    parser.add_argument("--intents", type=float, default=1e8, help="orders asked for (default 1e8)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cost", action="store_true", help="measure the step with and without a shield instead")
    parser.add_argument("--num-envs", type=int, default=1024, help="of --cost (default 1024)")
    parser.add_argument("--rounds", type=int, default=8, help="of --cost (default 8)")
    options = parser.parse_args(arguments)
    if options.cost:
        print_result({**cost(options.num_envs, options.rounds, options.seed), **describe()})
        return 0
    result = prove(int(options.intents), options.seed)
    print_result({**result, **describe()})
    return int(result["violations"] > 0 or result["not_idempotent"] > 0)
