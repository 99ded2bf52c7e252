"""A training run that is killed again and again, and one that is not: they must end as the same run, bit for bit.

``train.py`` runs twice, as a user runs it, with a memory, budgets and a checkpoint after every second update. The first
run is left alone. The second is killed (SIGKILL) and continued with ``train.py resume=...``, again and again, until it
ends. When it is killed is drawn from ``--seed``:

* ``begin``: when the folder appears, before any checkpoint; this is how it begins;
* ``start``: so long after the process began, before the first checkpoint or while one is read;
* ``update``: so many updates further on, and a moment later;
* ``write``: while a checkpoint is being written, at the first sight of its temporary file.

Compared are ``metrics.jsonl``, ``metrics.csv``, and of ``policy.zip`` parameters and optimiser, byte by byte. (The rest
of it is SB3's pickles of the settings, whose bytes depend on how the settings were read.)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.machine import ROOT, describe, print_result

METRICS = ("metrics.jsonl", "metrics.csv")
PARTS = ("policy.pth", "policy.optimizer.pth")  # of policy.zip
NUM_ENVS, N_STEPS, SAVE_EVERY = 64, 16, 2
SETTINGS = (
    "agent=constrained_ppo", "agent.memory=gru", "agent.memory_size=8", "agent.hidden=[16]", f"agent.n_steps={N_STEPS}",
    "agent.epochs=2", "agent.minibatches=2", "agent.budgets.inventory.limit=10", "agent.budgets.order_rate.limit=10",
    "scenario=synthetic", "scenario.rows.life_s=30", f"num_envs={NUM_ENVS}", f"save_every={SAVE_EVERY}",
    "evaluation.synthetic_episodes=4", "evaluation.baselines=[noop]", "evaluation.fill_models=[queue]",
)  # fmt: skip
STAGES = ("start", "update", "update", "write")  # drawn from


class Run:
    """A run folder's training, in processes of its own."""

    def __init__(self, work: Path, name: str, updates: int) -> None:
        self.folder = work / "checkpoints" / name
        self.work = work
        self.command = (*SETTINGS, f"total_steps={updates * NUM_ENVS * N_STEPS}", f"run_name={name}")

    def start(self) -> subprocess.Popen:
        """Begin, or go on where there is a folder."""
        words = [f"resume={self.folder}"] if self.folder.exists() else list(self.command)
        with (self.work / "log.txt").open("a") as log:
            return subprocess.Popen(
                [sys.executable, str(ROOT / "train.py"), *words], cwd=self.work, stdout=log, stderr=log
            )

    def finish(self) -> None:
        """Run to the end. Raises RuntimeError with the end of its output where that fails."""
        if self.start().wait():
            raise RuntimeError(f"train.py failed:\n{(self.work / 'log.txt').read_text()[-2000:]}")

    def updates(self) -> int:
        """Rows of metrics so far."""
        path = self.folder / "metrics.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def part(self, name: str) -> bytes:
        """A part of the saved policy."""
        with zipfile.ZipFile(self.folder / "policy.zip") as archive:
            return archive.read(name)

    def manifest(self) -> dict[str, Any]:
        """What the run says of itself."""
        return json.loads((self.folder / "manifest.json").read_bytes())


def kill_once(run: Run, stage: str, rng: np.random.Generator, stride: int, boot_s: float) -> bool:
    """Start ``run`` and kill it in ``stage``; False where it ended before."""
    process = run.start()
    if stage == "begin":
        while process.poll() is None and not run.folder.exists():
            time.sleep(0.0005)
        return _kill(process, 0.0)
    if stage == "start":
        return _kill(process, rng.uniform(0.0, 1.2 * boot_s))
    goal = max(run.updates() - SAVE_EVERY, 0) + int(rng.integers(1, stride + 1))  # it goes on a little earlier
    pause = rng.uniform(0.0, 0.1)
    while process.poll() is None:
        if run.updates() >= goal and (stage == "update" or any(run.folder.glob(".resume.pt.*.tmp"))):
            return _kill(process, pause if stage == "update" else 0.0)
        time.sleep(0.0005)
    return False


def _kill(process: subprocess.Popen, after_s: float) -> bool:
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def measure(kills: int, updates: int, seed: int, work: Path) -> dict[str, Any]:
    """Kill ``kills`` times a run of ``updates`` updates in ``work``, and compare it with one that was not."""
    whole, killed = Run(work, "whole", updates), Run(work, "killed", updates)
    Run(work, "warm", SAVE_EVERY).finish()  # compiles what has to be
    begun = time.perf_counter()
    process = whole.start()
    while process.poll() is None and not whole.updates():
        time.sleep(0.01)
    boot_s = time.perf_counter() - begun
    if process.wait():
        raise RuntimeError(f"train.py failed:\n{(work / 'log.txt').read_text()[-2000:]}")
    rng = np.random.default_rng(seed)
    stages = ["begin", *rng.choice(STAGES, kills - 1).tolist()]
    done, before_first = dict.fromkeys(("begin", *STAGES), 0), 0
    for stage in tqdm(stages, unit="kill"):
        done[stage] += kill_once(killed, stage, rng, max(updates // kills, 1), boot_s)
        before_first += not (killed.folder / "resume.pt").exists()
    interrupted_at = killed.updates()
    killed.finish()
    ends = [run.manifest() for run in (whole, killed)]
    same = {name: (whole.folder / name).read_bytes() == (killed.folder / name).read_bytes() for name in METRICS}
    same |= {name: whole.part(name) == killed.part(name) for name in PARTS}
    same["parameters"] = ends[0]["policy_digest"] == ends[1]["policy_digest"]
    return {
        "benchmark": "resume",
        "kills": sum(done.values()),
        "stages": done,
        "before_first_checkpoint": before_first,
        "updates": updates,
        "updates_before_the_last_process": interrupted_at,
        "equal": all(same.values()) and all(end["status"] == "finished" for end in ends),
        "same": same,
        "seed": seed,
        "policy_digest": ends[1]["policy_digest"],
    }


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks resume``; exit status 1 where the runs differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks resume", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which it is killed")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options.kills, options.updates, options.seed, Path(folder))
    print_result({**result, **describe()})
    return 0 if result["equal"] and result["kills"] == options.kills else 1
