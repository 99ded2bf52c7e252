"""Everything that decides how a training run goes on, in one file: a run that is killed goes on as if it never was.

``resume.pt`` holds parameters, optimiser, multipliers, unfinished episodes, random generators, the environment's
snapshot, the last observation, and how long the metric files were. It is written atomically after whole updates.
Reading it runs no code: tensors and plain numbers only. Bit for bit holds on one machine, with the same versions and
number of threads.
"""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.checkpoint import write_atomically
from agents.ppo import ConstrainedPPO
from agents.trees import pack, unpack

VERSION = 1
_COUNTERS = ("num_timesteps", "_n_updates")


def save_resume(model: ConstrainedPPO, path: Path, files: dict[str, int]) -> None:
    """Write ``path``; ``files``: bytes that each file which grows had when the state was this."""
    buffer = io.BytesIO()
    torch.save(_state(model, files), buffer)
    write_atomically(path, buffer.getvalue())


def _state(model: ConstrainedPPO, files: dict[str, int]) -> dict[str, Any]:
    env = model.env
    assert env is not None
    return {
        "version": VERSION,
        "files": files,
        "counters": {name: getattr(model, name) for name in _COUNTERS},
        "policy": model.policy.state_dict(),
        "optimizer": model.policy.optimizer.state_dict(),
        "learner": pack(model.learner_state()),
        "recent": [torch.from_numpy(losses.copy()) for losses in model.ledger.recent],
        "last": pack((model._last_obs, model._last_episode_starts)),
        "memory": model._memory.clone(),
        "env": pack(env.snapshot()),  # type: ignore[attr-defined]
        "torch": torch.get_rng_state(),
        "numpy": _numpy_state(),
        "python": _python_state(),
    }


def load_resume(model: ConstrainedPPO, path: Path) -> dict[str, int]:
    """Put a freshly built ``model`` where ``path`` was saved; returns the length of each file that grows.

    Raises FileNotFoundError where there is none, ValueError where it is torn or of other settings.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: nothing to resume; the run stopped before its first checkpoint")
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"{path}: not a checkpoint that can be resumed ({error}); torn, or another file") from None
    if state.get("version") != VERSION:
        raise ValueError(f"{path}: version {state.get('version')}, this program resumes version {VERSION}")
    env = model.env
    assert env is not None
    model._last_obs = env.reset()  # type: ignore[assignment]
    model._last_episode_starts = np.ones(model.n_envs, np.bool_)
    env.restore(unpack(state["env"], env.snapshot(), f"{path}, environment"))  # type: ignore[attr-defined]
    unpack(state["last"], (model._last_obs, model._last_episode_starts), f"{path}, last observation")
    unpack(state["learner"], model.learner_state(), f"{path}, multipliers")
    model.ledger.recent = [losses.numpy() for losses in state["recent"]]
    model.policy.load_state_dict(state["policy"])
    model.policy.optimizer.load_state_dict(state["optimizer"])
    model._memory = state["memory"]
    for name in _COUNTERS:
        setattr(model, name, state["counters"][name])
    torch.set_rng_state(state["torch"])
    _restore_generators(state)
    return state["files"]


def _numpy_state() -> dict[str, Any]:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global generator, as SB3 seeds it
    assert isinstance(state, dict)
    keys = torch.from_numpy(state["state"]["key"].astype(np.int64))
    return {"keys": keys, "rest": [state["state"]["pos"], state["has_gauss"], state["gauss"]]}


def _python_state() -> dict[str, Any]:
    version, keys, gauss = random.getstate()
    return {"version": version, "keys": list(keys), "gauss": gauss}


def _restore_generators(state: dict[str, Any]) -> None:
    position, has_gauss, gauss = state["numpy"]["rest"]
    keys = state["numpy"]["keys"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, position, has_gauss, gauss))  # noqa: NPY002
    python = state["python"]
    random.setstate((python["version"], tuple(python["keys"]), python["gauss"]))
