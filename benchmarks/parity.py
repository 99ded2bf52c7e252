"""Random scenarios played three ways: compiled, bounds-checked and interpreted end in the same state, bit for bit.

Every environment draws a row of its own from all over the market's parameters, opponents, delays, queue rules and
venue rules included, and trades at random in one to four markets of two venues. Compared are the digest of the whole
state, the observations, rewards, costs and masks of every step. The ways run in processes of their own.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from gymnasium.vector import AutoresetMode
from tqdm import tqdm

from benchmarks.machine import describe, print_result
from envs.vector import TradingVectorEnv
from sim.kernel import how_kernels_run
from sim.scenarios import Place, Scenario
from sim.scenarios.row import FIELDS, ROW, make_rows
from sim.types import FILL_MODELS

PER_BATCH = 50
STEPS = 12
WAYS = {"interpreted": {"NUMBA_DISABLE_JIT": "1"}, "bounds_checked": {"NUMBA_BOUNDSCHECK": "1"}, "compiled": {}}
_VENUES = ("kalshi", "polymarket")
_TO = {  # top of a field that is 0 by default
    "1/s": 0.5,
    "dollar": 0.03,
    "1": 0.4,
    "1/tick": 0.5,
    "ms": 400.0,
    "contracts": 30.0,
    "logit": 1.0,
    "probability": 0.01,
}


def random_rows(count: int, random: np.random.Generator) -> np.ndarray:
    """``(count,)`` ROW: a third to three times each default; fields that are off by default are on in every second."""
    values: dict[str, np.ndarray] = {}
    for name, field in FIELDS.items():
        if field.unit in ("code", "flag"):
            values[name] = random.integers(round(field.low), round(field.high) + 1, count).astype(float)
        elif field.default == 0.0:
            values[name] = random.uniform(field.low, min(field.high, _TO[field.unit]), count) * random.integers(
                0, 2, count
            )
        else:
            low, high = sorted((field.default / 3, field.default * 3))
            values[name] = random.uniform(max(field.low, low), min(field.high, high), count)
    values["life_s"] = random.uniform(3.0, 20.0, count)
    for low, high in (("belief_low", "belief_high"), ("signal_err_low", "signal_err_high")):
        values[low], values[high] = np.minimum(values[low], values[high]), np.maximum(values[low], values[high])
    values["front_share"], values["copy_share"] = random.uniform(0.0, 0.45, (2, count))
    values["rate_limit"] = random.choice([0.0, 0.0, 3.0], count)
    for name in ("feed", "order", "cancel"):
        values[f"{name}_tail99_ms"] = values[f"{name}_tail_ms"] * random.choice([0.0, 5.0], count)
    return make_rows(count, **values)


def play(batch: int) -> str:
    """Hash of everything that a batch of random scenarios shows and leaves behind."""
    random = np.random.default_rng([batch, PER_BATCH])
    markets = int(random.integers(1, 5))
    places = tuple(Place(str(random.choice(_VENUES))) for _ in range(markets))
    rows = random_rows(4 * PER_BATCH * markets, random).reshape(-1, markets)
    env = TradingVectorEnv(
        PER_BATCH, scenario=Scenario(rows, places), actions="full", fill_model=FILL_MODELS[batch % len(FILL_MODELS)],
        seed=batch, dt_s=float(random.choice([0.2, 0.5])), autoreset_mode=AutoresetMode.SAME_STEP,
    )  # fmt: skip
    digest = hashlib.sha256()
    obs, info = env.reset()
    for _ in range(STEPS):
        actions = random.integers(0, env.single_action_space.nvec, (PER_BATCH, markets)) if markets > 1 else (
            random.integers(0, env.single_action_space.n, PER_BATCH)
        )  # fmt: skip
        obs, reward, over, cut, info = env.step(actions)
        for shown in (obs, reward, over, cut, info["costs"], info["action_mask"]):
            digest.update(np.ascontiguousarray(shown).tobytes())
    digest.update(env.engine.digest().encode())
    env.close()
    return digest.hexdigest()


def _answers(way: str, batches: int, bar: tqdm) -> list[str]:
    """Hashes of all batches, played in a process that runs the kernels this ``way``."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    variables = {**ours, "PYTHONPATH": str(Path(__file__).resolve().parent.parent), **WAYS[way]}
    if "NUMBA_BOUNDSCHECK" in variables:  # Numba would take unchecked kernels from the cache for checked ones
        base = Path(variables.get("SHADOWBOOK_CACHE") or Path.home() / ".cache")
        variables["SHADOWBOOK_CACHE"] = str(base / "bounds-checked")
    command = [sys.executable, "-m", "benchmarks.parity", str(batches)]
    answers = []
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        lines = (line.strip() for line in process.stdout or ())
        ran = next(lines, "not running")
        for line in lines:
            answers.append(line)
            bar.update(PER_BATCH)
    if ran != way:
        raise RuntimeError(f"parity: the kernels of the {way} run were {ran}")
    if process.returncode != 0 or len(answers) != batches:
        raise RuntimeError(f"parity: the {way} run ended with {process.returncode} after {len(answers)} batches")
    return answers


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks parity``; returns 0 where all ways agree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks parity", description=__doc__)
    parser.add_argument("--scenarios", type=int, default=10_000)
    options = parser.parse_args(arguments)
    batches = -(-options.scenarios // PER_BATCH)
    started = time.perf_counter()
    with tqdm(total=batches * PER_BATCH * len(WAYS), unit="scenario") as bar:
        answers = {way: _answers(way, batches, bar) for way in WAYS}
    differ = [batch for batch in range(batches) if len({hashes[batch] for hashes in answers.values()}) > 1]
    result = {
        "benchmark": "parity", "scenarios": batches * PER_BATCH, "steps": STEPS, "fields": len(ROW.names or ()),
        "differing_batches": differ, "holds": not differ, "seconds": round(time.perf_counter() - started),
    }  # fmt: skip
    print_result({**result, **describe()})
    return 0 if not differ else 1


if __name__ == "__main__":
    print(how_kernels_run(), flush=True)
    for number in range(int(sys.argv[1])):
        print(play(number), flush=True)
