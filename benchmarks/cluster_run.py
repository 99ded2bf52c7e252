"""One training of ``python -m benchmarks cluster``, in a process of its own, so that it can be killed.

``python -m benchmarks.cluster_run PROBLEM SEED STEPS FOLDER``: goes on where the folder has a checkpoint. It writes
``rollouts.jsonl`` there, a line a rollout, and in the end what was learnt to ``result.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from tqdm import tqdm

from agents.checkpoint import parameters_digest, write_atomically
from agents.resume import load_resume, save_resume
from evaluation.known_answers import Multipliers, Reader, on_rllib
from evaluation.problems import PROBLEMS

RUNNERS = 2
SAVE_EVERY = 20  # updates
CHECKPOINT, ROLLOUTS, RESULT = "resume.pt", "rollouts.jsonl", "result.json"


class Rollouts(BaseCallback):
    """Saves every so many updates, and writes down how many rows were played in every rollout, and on which nodes."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.last = folder, 0
        self.file = (folder / ROLLOUTS).open("a", buffering=1)
        self.nodes: list[str] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        model: Any = self.model
        if model._n_updates and model._n_updates % SAVE_EVERY == 0:
            save_resume(model, self.folder / CHECKPOINT, {})

    def _on_rollout_end(self) -> None:
        model: Any = self.model
        rows = sum(part.rollout.rows for part in model._parts)
        if rows != self.last:  # somebody has gone, or has come back
            self.last = rows
            self.nodes = sorted(model._on_runners(lambda _: ray.get_runtime_context().get_node_id()[:8]))
        line = {"steps": self.num_timesteps, "update": model._n_updates, "rows": rows, "nodes": self.nodes}
        self.file.write(json.dumps(line) + "\n")


def main() -> None:
    """See the module."""
    name, seed, steps, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    torch.set_num_threads(1)
    problem = PROBLEMS[name]()
    model: Any = on_rllib(problem, seed, RUNNERS)
    model.set_logger(Logger(None, []))
    if (folder / CHECKPOINT).exists():
        load_resume(model, folder / CHECKPOINT)
    resumed_from = model.num_timesteps
    with tqdm(total=steps, initial=resumed_from, unit=" steps", unit_scale=True, desc=f"seed {seed}") as bar:
        watch = Multipliers(bar, steps)
        model.learn(steps - resumed_from, callback=[Rollouts(folder), watch], reset_num_timesteps=False)
    achieved, cost = problem.measure(Reader(model.network))
    result = {
        "achieved": achieved,
        "cost": cost,
        "multiplier": float(np.mean(watch.kept)) if watch.kept else None,
        "steps": model.num_timesteps,
        "resumed_from": resumed_from,
        "parameters": parameters_digest(model),
    }
    write_atomically(folder / RESULT, json.dumps(result).encode())
    model.close()


if __name__ == "__main__":
    main()
