"""``python -m evaluation export``: a trained policy as a file of ONNX, if that does the same on recorded observations.

    python -m evaluation export checkpoints/<run>
    python -m evaluation export checkpoints/<run> --observations seen.npy

The observations are those of the run's own training environment, recorded markets where it trains on such, as the
policy meets them; or rows of a file, ``(rows, features)`` float32. docs/export.md
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from agents.export import ParityError, Recorded, export_onnx
from agents.policy import choose, load
from configs.build import training_batch
from configs.schema import read_run_config

_ENVS = 64


def main(arguments: list[str]) -> int:
    """Export, and print the outcome as one JSON line; 1 where the file would not do the same."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    try:
        given = options.observations
        recorded = record(options.run, options.steps) if given is None else read_observations(given)
        path, parity = export_onnx(options.run, recorded)
    except ParityError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps({"out": str(path), "bytes": path.stat().st_size, **parity._asdict()}) + "\n")
    return 0


def record(run: Path, steps: int) -> Recorded:
    """What the run's policy sees in ``steps`` steps of `_ENVS` rows of its training environment."""
    config = read_run_config(run)
    env = training_batch(config, num_envs=_ENVS, autoreset_mode=AutoresetMode.SAME_STEP)
    policy = load(run, env.spec_sheet)
    seen, begun, possible = [], [], []
    obs, info = env.reset()
    starts = np.ones(_ENVS, np.bool_)
    for _ in range(steps):
        seen.append(np.array(obs))
        begun.append(starts)
        possible.append(np.array(info["action_mask"]))
        if hasattr(policy, "begin"):
            policy.begin(starts)
        obs, _, terminated, truncated, info = env.step(choose(policy, obs, info["action_mask"]))
        starts = terminated | truncated
    env.close()
    masks = np.stack(possible)
    return Recorded(np.stack(seen), np.stack(begun), masks if masks.size else None)


def read_observations(path: Path) -> Recorded:
    """Rows of a file of NumPy, each as if an episode began there. Raises ValueError for another shape."""
    rows = np.load(path, allow_pickle=False)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"{path}: expected observations (rows, features), got {rows.shape}")
    seen = rows.astype(np.float32)[:, None]
    return Recorded(seen, np.ones((len(seen), 1), np.bool_))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a run folder with a policy")
    parser.add_argument("--observations", type=Path, help="a .npy file of rows instead of the run's own environment")
    parser.add_argument("--steps", type=int, default=64, help=f"of {_ENVS} environments, to record observations")
    return parser
