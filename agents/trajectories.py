"""Data sets of what a teacher did: whole episodes as arrays, and a manifest that says whose, where, in which schema.

A file is a ZIP of NumPy arrays (``numpy.load`` reads it) and of ``manifest.json``. It is written atomically and never
written again; equal data give equal bytes. Reading it runs no code.

=============== ========= ============================================================================================
array           shape     meaning
=============== ========= ============================================================================================
``obs``         (n, F)    float32, episode after episode, each in the order of time
``actions``     (n, ...)  as the environment takes them: int64 rows ``(n,)`` or ``(n, M)``, or float32 ``(n, D)``
``masks``       (n, ...)  bool ``(n, [M], A)``: rows that could be done, ``actions`` among them; absent for a box
``rewards``     (n,)      float32
``costs``       (n, K)    float32, in the order of the manifest's ``costs``
``lengths``     (E,)      int64, steps of each episode; they sum to n
``terminated``  (E,)      bool; False = the episode was truncated
=============== ========= ============================================================================================

The manifest has ``version``, ``digest`` (SHA-256 of the arrays), and what the recorder says: `FACTS` at least.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.checkpoint import write_atomically

VERSION = 1
SUFFIX = ".npz"
FACTS = (
    "teacher", "parameters", "seed", "observation", "observation_digest", "actions", "action_digest", "costs",
    "scenario_digest",
)  # fmt: skip
_ARRAYS = ("obs", "actions", "masks", "rewards", "costs", "lengths", "terminated")
_KINDS = {"obs": "f4", "masks": "b1", "rewards": "f4", "costs": "f4", "lengths": "i8", "terminated": "b1"}
_DATE = (1980, 1, 1, 0, 0, 0)  # of every file in the ZIP: equal data give equal bytes


@dataclass(frozen=True)
class Trajectories:
    """Episodes of a teacher; see the top of the file. Raises ValueError where arrays do not fit each other."""

    obs: np.ndarray
    actions: np.ndarray
    masks: np.ndarray | None
    rewards: np.ndarray
    costs: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray
    facts: Mapping[str, Any]

    def __post_init__(self) -> None:
        _check(self)

    @property
    def episode(self) -> np.ndarray:
        """``(n,)`` int64: the episode of each row, counted from 0."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def returns(self) -> np.ndarray:
        """``(E,)`` float64: undiscounted return of each episode."""
        return np.bincount(self.episode, self.rewards.astype(np.float64), len(self.lengths))

    @property
    def episode_costs(self) -> np.ndarray:
        """``(E, K)`` float64: sums of each episode."""
        sums = np.zeros((len(self.lengths), self.costs.shape[1]))
        np.add.at(sums, self.episode, self.costs.astype(np.float64))
        return sums

    @property
    def digest(self) -> str:
        """SHA-256 over names, shapes and bytes of the arrays."""
        digest = hashlib.sha256()
        for name, array in self.arrays().items():
            digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name, masks only where there are any."""
        return {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}


def _check(data: Trajectories) -> None:
    missing = [name for name in FACTS if name not in data.facts]
    if missing:
        raise ValueError(f"trajectories: the facts lack {', '.join(missing)}")
    rows, episodes = len(data.obs), len(data.lengths)
    features, costs = len(data.facts["observation"]), len(data.facts["costs"])
    wanted: dict[str, tuple[int, ...]] = {
        "obs": (rows, features),
        "actions": (rows, *data.actions.shape[1:]),
        "rewards": (rows,),
        "costs": (rows, costs),
        "lengths": (episodes,),
        "terminated": (episodes,),
    }
    if data.masks is not None:
        wanted["masks"] = (*data.actions.shape, *data.masks.shape[-1:])
    for name, shape in wanted.items():
        array = getattr(data, name)
        if array.shape != shape:
            raise ValueError(f"trajectories: {name} has shape {array.shape}, expected {shape}")
        _check_numbers(name, array)
    if data.masks is not None:
        _check_masks(data.actions, data.masks)
    if episodes == 0 or (data.lengths < 1).any() or data.lengths.sum() != rows:
        raise ValueError(
            f"trajectories: {episodes} episodes of {data.lengths.sum()} steps in all for {rows} rows: expected at "
            f"least one episode, none of them empty, and a row for each step"
        )


def _check_numbers(name: str, array: np.ndarray) -> None:
    kinds = ("i8", "f4") if name == "actions" else (_KINDS[name],)
    if array.dtype.str[1:] not in kinds:
        raise ValueError(f"trajectories: {name} is {array.dtype}, expected {' or '.join(kinds)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise ValueError(f"trajectories: {name}{list(place)} = {array[place]}, expected a finite number")


def _check_masks(actions: np.ndarray, masks: np.ndarray) -> None:
    rows = masks.shape[-1]
    possible = (actions >= 0) & (actions < rows)
    possible[possible] = np.take_along_axis(masks[possible], actions[possible][:, None], 1)[:, 0]
    if not possible.all():
        place = tuple(np.argwhere(~possible)[0].tolist())
        raise ValueError(
            f"trajectories: actions{list(place)} = {actions[place]} cannot be done by its mask of {rows} rows; record "
            f"what was carried out instead"
        )


def save_trajectories(data: Trajectories, path: Path) -> None:
    """Write ``data`` to ``path``, a new file. Raises FileExistsError where there is one, ValueError for its suffix."""
    if path.suffix != SUFFIX:
        raise ValueError(f"{path}: expected a name that ends in {SUFFIX}")
    if path.exists():
        raise FileExistsError(f"{path} exists, and a data set is never overwritten; choose another name")
    manifest = {"version": VERSION, "digest": data.digest, "rows": len(data.obs), "episodes": len(data.lengths)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, "manifest.json", (json.dumps({**data.facts, **manifest}, indent=2) + "\n").encode())
        for name, array in data.arrays().items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            _add(archive, f"{name}.npy", content.getvalue())
    write_atomically(path, buffer.getvalue())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED, compresslevel=1)


def load_trajectories(path: Path) -> Trajectories:
    """The data set in ``path``. Raises FileNotFoundError; ValueError where it is torn, edited or of another version."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such data set; train.py with agent.warm_start writes teacher{SUFFIX}")
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            _check_version(manifest)
            arrays = {name: _read(archive, name) for name in _ARRAYS if f"{name}.npy" in archive.namelist()}
            data = Trajectories(**{"masks": None, **arrays, "facts": manifest})
    except (zipfile.BadZipFile, KeyError, TypeError, EOFError) as error:
        raise ValueError(f"{path}: not a whole data set of trajectories ({error}); torn, or another file") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if data.digest != manifest["digest"]:
        raise ValueError(f"{path}: the arrays' digest is {data.digest}, the manifest says {manifest['digest']}: edited")
    return data


def _check_version(manifest: Any) -> None:
    found = manifest.get("version") if isinstance(manifest, dict) else type(manifest).__name__
    if found != VERSION:
        raise ValueError(f"trajectories of version {found}, this program reads version {VERSION}")


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)


def check_schema(name: str, facts: Mapping[str, Any], sheet: Mapping[str, Any]) -> None:
    """Raise ValueError where a data set's observation, actions or costs are not those of an environment's ``sheet``."""
    for what, entries in (("observation", "features"), ("action", "rows")):
        ours, theirs = facts[f"{what}_digest"], sheet[f"{what}_digest"]
        if ours != theirs:
            key = "observation" if what == "observation" else "actions"
            raise ValueError(
                f"{name}: recorded with {what} schema {ours}, the environment has {theirs}; "
                f"{_only(entries, facts[key], sheet[key])}. Use the recording's environment config, or record again"
            )
    if list(facts["costs"]) != list(sheet["costs"]):
        raise ValueError(
            f"{name}: recorded with the costs {', '.join(facts['costs']) or 'none'}, the environment charges "
            f"{', '.join(sheet['costs']) or 'none'}: record again"
        )


def _only(entries: str, ours: list, theirs: list) -> str:
    """Which of the named entries are on one side alone."""
    mine, others = [json.dumps(entry) for entry in ours], [json.dumps(entry) for entry in theirs]
    missing = ", ".join(entry for entry in mine if entry not in others)
    extra = ", ".join(entry for entry in others if entry not in mine)
    if not missing and not extra:
        return f"the {entries} have the same names, but their order, definition or version differs"
    return f"{entries} only in the data set: {missing or 'none'}; only in the environment: {extra or 'none'}"
