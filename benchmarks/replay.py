"""Events a second when a tape is replayed: from memory (book rebuilt, no agent), and from the file on."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import describe, print_result
from configs.tapes import sample_tapes
from sim.engine import Engine
from sim.scenarios import replay
from sim.types import INTENT


def _rate(engine: Engine, rounds: int) -> tuple[float, int]:
    """Best events a second over ``rounds`` whole replays of every tape, and the events of one."""
    intents = np.zeros((engine.num_envs, 1, 2), INTENT)
    best, events = 0.0, 0
    for _ in range(rounds):
        engine.reset()
        first = engine.state.market["cursor"].sum()
        engine.submit(intents)
        begin = time.perf_counter()
        engine.advance(1e9)
        elapsed = time.perf_counter() - begin
        events = int(engine.state.market["cursor"].sum() - first)
        best = max(best, events / elapsed)
    return best, events


def measure(folder: Path, rounds: int = 20) -> dict:
    """Replay every tape of ``folder``, one environment a tape."""
    begin = time.perf_counter()
    scenario = replay([folder], sequential=True)
    read = time.perf_counter() - begin
    engine = Engine(scenario, len(scenario.tapes), window_s=np.inf)
    _rate(engine, 1)  # compiles
    rate, events = _rate(engine, rounds)
    total = sum(len(tape.events) for tape in scenario.tapes)
    return {
        "benchmark": "replay",
        "events_per_s": round(rate),
        "events": events,
        "tapes": len(scenario.tapes),
        "levels": len(engine.grid.px_of),
        "file_events_per_s": round(total / read),
        "file_to_book_events_per_s": round(total / (read + events / rate)),
        "what": "book, marks, counters from EVENT rows in memory; file = Parquet to EVENT rows, digest checked",
    }


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks replay``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks replay", description=__doc__)
    parser.add_argument("--tapes", type=Path, help="folder of tapes; default: resolvedkit's sample, imported")
    options = parser.parse_args(arguments)
    print_result({**measure(options.tapes or sample_tapes()), **describe()})
    return 0
