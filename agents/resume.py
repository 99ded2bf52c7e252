"""Everything that decides how a training run goes on, in one file: a run that is killed goes on as if it never was.

``resume.pt`` holds parameters, optimiser, multipliers, unfinished episodes, random generators, the environment's
snapshot, the last observation, and how long the metric files were. It is written atomically after whole updates.
Reading it runs no code: tensors and plain numbers only. Bit for bit holds on one machine, with the same versions and
number of threads.
"""

from __future__ import annotations

import io
import logging
import pickle
import random
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.checkpoint import write_atomically
from agents.config import PPOConfig
from agents.learner import Learner
from agents.trees import pack, unpack

VERSION = 2
_COUNTERS = ("num_timesteps", "_n_updates")
# hyperparameters that nothing which was learnt depends on: a run may go on with others
FORKABLE = (
    "learning_rate", "learning_rate_end", "clip_range", "clip_range_end", "ent_coef", "ent_coef_end", "vf_coef",
    "max_grad_norm", "target_kl", "gae_lambda", "epochs", "minibatches", "margin", "multipliers",
)  # fmt: skip


def save_resume(model: Learner, path: Path, files: dict[str, int]) -> None:
    """Write ``path``; ``files``: bytes that each file which grows had when the state was this."""
    _write(path, _state(model, files))


def _write(path: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def _state(model: Learner, files: dict[str, int]) -> dict[str, Any]:
    return {
        "version": VERSION,
        "files": files,
        "settings": _settings(model),
        "counters": {name: getattr(model, name) for name in _COUNTERS},
        "policy": model.policy.state_dict(),
        "optimizer": model.policy.optimizer.state_dict(),
        "learner": pack(model.learner_state()),
        "recent": [torch.from_numpy(losses.copy()) for losses in model.ledger.recent],
        **model.playing(),
        "torch": torch.get_rng_state(),
        "computes": _computes(model),
        **_gpu_state(model),
        "numpy": _numpy_state(),
        "python": _python_state(),
    }


def _computes(model: Learner) -> str:
    """Where, and how: it decides the last bits."""
    return f"on {model.network.device.type} in {'bfloat16' if model.network.mixed else 'float32'}"


def _gpu_state(model: Learner) -> dict[str, torch.Tensor]:
    """The generator of the GPU that the networks are on; nothing where they are on none."""
    device = model.network.device
    return {"gpu": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}


def fork_resume(source: Path, target: Path, config: PPOConfig) -> None:
    """Write ``target``: the state in ``source``, to go on with the hyperparameters of ``config``.

    Raises ValueError naming those that cannot change on the way: see `FORKABLE`.
    """
    state = _read(source)
    then, now = state["settings"], _hyperparameters(config)
    changed = [name for name, value in now.items() if then.get(name) != value]
    fixed = [name for name in changed if name.removeprefix("agent.").partition(".")[0] not in FORKABLE]
    if fixed:
        raise ValueError(f"{source}: {', '.join(fixed)} cannot change in a run that goes on; {_free()} can")
    state["settings"] = {**then, **now}
    _write(target, state)


def check_forkable(name: str) -> None:
    """Raise ValueError for a key of a config that cannot change in a run that goes on."""
    group, _, rest = name.partition(".")
    if group != "agent" or rest.partition(".")[0] not in FORKABLE or rest == "multipliers.rule":
        raise ValueError(f"{name} cannot change in a run that goes on; {_free()} can")


def _free() -> str:
    return ", ".join(f"agent.{name}{'.*' if name == 'multipliers' else ''}" for name in FORKABLE)


def _hyperparameters(config: PPOConfig) -> dict[str, str]:
    return {f"agent.{entry.name}": repr(getattr(config, entry.name)) for entry in fields(config)}


def _settings(model: Learner) -> dict[str, str]:
    """What must be as it was, by name."""
    config = _hyperparameters(model.config)
    sizes = {"environments": repr(model.n_envs), "costs": repr(model.cost_names), "network": repr(model.policy.spec)}
    return {**config, **sizes, "discount of a step": repr(model.gamma), "seed": repr(model.seed)}


def load_resume(model: Learner, path: Path) -> dict[str, int]:
    """Put a freshly built ``model`` where ``path`` was saved; returns the length of each file that grows.

    Raises FileNotFoundError where there is none, ValueError where it is torn or of other settings.
    """
    state = _read(path)
    _refuse_other_settings(path, state["settings"], _settings(model))
    model.play_on(state, str(path))
    unpack(state["learner"], model.learner_state(), f"{path}, multipliers")
    model.ledger.recent = [losses.numpy() for losses in state["recent"]]
    model.policy.load_state_dict(state["policy"])
    model.policy.optimizer.load_state_dict(state["optimizer"])
    for name in _COUNTERS:
        setattr(model, name, state["counters"][name])
    if state["computes"] != _computes(model):
        said = "%s: a run %s goes on %s; it does not end as it would have, bit for bit"
        logging.getLogger(__name__).warning(said, path, state["computes"], _computes(model))
    torch.set_rng_state(state["torch"])
    if "gpu" in state and model.network.device.type == "cuda":
        torch.cuda.set_rng_state(state["gpu"], model.network.device)
    _restore_generators(state)
    return state["files"]


def _read(path: Path) -> dict[str, Any]:
    """The state in ``path``; raises as `load_resume` does."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: nothing to resume; the run stopped before its first checkpoint")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("no archive")
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: not a checkpoint that can be resumed ({error}); torn, or another file") from None
    version = state.get("version") if isinstance(state, dict) else None
    if version != VERSION:
        raise ValueError(f"{path}: version {version}, this program resumes version {VERSION}")
    return state


def _refuse_other_settings(path: Path, stored: dict[str, str], ours: dict[str, str]) -> None:
    names = [name for name in {**stored, **ours} if stored.get(name) != ours.get(name)]
    if names:
        listed = "; ".join(f"{name} was {stored.get(name)}, is {ours.get(name)}" for name in names)
        raise ValueError(f"{path}: made with other settings: {listed}. Resume with those of the run")


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
