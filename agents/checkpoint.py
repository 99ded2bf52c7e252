"""Run folders: ``checkpoints/<run>/`` with the policy, the resolved config, the manifest and the metrics.

============== ===================================================================================================
policy.zip     SB3's format: parameters, optimiser, hyperparameters
resume.pt      what a killed run goes on from; see `agents.resume`
config.yaml    the resolved config
manifest.json  commit, schemas and their digests, data digests, seeds, versions, steps, date, how the run ended
metrics.jsonl  one object an update
metrics.csv    the same as a table
speed.jsonl    steps a second, an object an update: what no two runs agree on
teacher.npz    after a warm start, what the teacher did; see `agents.trajectories`
cloning.json   after a warm start, how well it was cloned
gate.json      after a phase of a curriculum, what its gate measured
============== ===================================================================================================

A folder is created once and belongs to one run. Each file is written under another name and then renamed, so that a
reader finds the old or the new file and never half of one; the metrics grow by whole lines.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:  # inference reads run folders without SB3
    from agents.learner import Learner

VERSION = 2  # of the manifest
LIBRARIES = ("numpy", "numba", "gymnasium", "torch", "stable-baselines3")
_ADDRESS = re.compile(rb" at 0x[0-9a-f]+(?=>)")
STATUSES = ("running", "finished", "failed", "interrupted")


class RunFolder:
    """A run's folder. Make one with `create`."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def create(cls, root: str | Path, name: str, *, config_yaml: str, manifest: Mapping[str, Any]) -> RunFolder:
        """Make ``root/name`` and write the config and the manifest, with status ``running``, into it.

        Raises FileExistsError where the folder exists, ValueError where ``name`` is not a plain folder name.
        """
        if not name or Path(name).name != name or name.startswith("."):
            raise ValueError(f"run_name = {name!r}: expected a plain folder name, without slashes or a leading dot")
        path, hidden = Path(root) / name, Path(root) / f".{name}.{os.getpid()}.tmp"
        if path.exists():
            raise taken(path)
        hidden.mkdir(parents=True)
        folder = cls(hidden, {"version": VERSION, "run": name, **manifest})
        try:
            (hidden / "config.yaml").write_text(config_yaml, encoding="utf-8", newline="")
            folder.record("running")
            hidden.rename(path)  # a folder that is there can be resumed, whenever its run was killed
        except OSError:
            shutil.rmtree(hidden, ignore_errors=True)
            if path.exists():
                raise taken(path) from None
            raise
        folder.path = path
        return folder

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """The folder of a run that is to go on. What a killed write left half done is removed.

        Raises FileNotFoundError or ValueError where it is no run folder.
        """
        manifest = read_manifest(path)
        for litter in Path(path).glob(".*.tmp"):
            litter.unlink()
        return cls(Path(path), manifest)

    @property
    def policy_path(self) -> Path:
        """Where the policy is saved."""
        return self.path / "policy.zip"

    @property
    def has_trained(self) -> bool:
        """Whether updates have left a policy and metrics: a folder without can begin again and lose nothing."""
        metrics = self.path / "metrics.jsonl"
        return self.policy_path.is_file() and metrics.is_file() and metrics.stat().st_size > 0

    @property
    def resume_path(self) -> Path:
        """Where everything is saved that decides how the run goes on."""
        return self.path / "resume.pt"

    def record(self, status: str, **facts: Any) -> None:
        """Rewrite the manifest with ``status`` and more ``facts``."""
        if status not in STATUSES:
            raise ValueError(f"status {status!r}: expected one of {', '.join(STATUSES)}")
        self.manifest = {**self.manifest, **facts, "status": status}
        write_atomically(self.path / "manifest.json", (json.dumps(self.manifest, indent=2) + "\n").encode())


def taken(path: Path) -> FileExistsError:
    """What is raised where a folder of runs exists already."""
    return FileExistsError(
        f"{path} exists, and a run never writes into another run's folder; choose another name with run_name=NAME, or "
        f"leave run_name out for one with the time in it"
    )


def make_manifest(
    *,
    date: str,
    sheet: Mapping[str, Any],
    network: Mapping[str, Any],
    data: Mapping[str, Mapping[str, str]],
    seed: int,
    total_steps: int,
    repository: Path,
) -> dict[str, Any]:
    """What a run must remember to be understood and repeated.

    ``sheet`` is the environment's spec sheet; ``network`` says what the parameters alone do not (the activation);
    ``data`` maps each use (training, ...) to the digests of its tapes by name; ``date`` is the start of the
    run as the entry point says it, since nothing here reads the clock.
    """
    return {
        "date": date,
        "git": git_state(repository),
        "seed": seed,
        "total_steps": total_steps,
        "sheet": dict(sheet),
        "network": dict(network),
        "data": dict(data),
        "versions": versions(),
    }


def refuse_changed(run: RunFolder, sheet: Mapping[str, Any], data: Mapping[str, Mapping[str, str]]) -> None:
    """Raise ValueError where a run that is to go on would meet other data, another environment or other libraries.

    ``sheet`` and ``data`` are those of now, as in `make_manifest`.
    """
    now = json.loads(json.dumps({"sheet": dict(sheet), "data": dict(data), "versions": versions()}))
    for what, value in now.items():
        then = run.manifest[what]
        names = [name for name in {**then, **value} if then.get(name) != value.get(name)]
        if names:
            raise ValueError(
                f"{run.path}: {what} changed since the run began, in {', '.join(names)}: it would not go on as the run "
                f"it is. Put back what it was made with, or start another run"
            )


def versions() -> dict[str, str]:
    """The versions of the libraries that decide numbers, by name."""
    return {name: version(name) for name in LIBRARIES}


def read_manifest(run: str | Path) -> dict[str, Any]:
    """The manifest of a run folder. Raises FileNotFoundError or ValueError that say what was expected."""
    path = Path(run) / "manifest.json"
    if not path.is_file():
        raise FileNotFoundError(f"{run}: not a run folder (no manifest.json); expected one that train.py wrote")
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); the file is torn or edited") from None
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        found = manifest.get("version") if isinstance(manifest, dict) else type(manifest).__name__
        raise ValueError(f"{path}: manifest version {found}, this program reads version {VERSION}")
    return manifest


def git_state(repository: Path) -> dict[str, Any]:
    """The commit and whether the tree differs from it; both None outside a git checkout."""
    commit = _git(repository, "rev-parse", "HEAD")
    changes = _git(repository, "status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(repository: Path, *arguments: str) -> str | None:
    """Output of a git command, None where there is no git, no repository or no commit."""
    try:
        done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds the old bytes or the new ones at any moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)  # the new name, too, outlives a power cut
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def save_policy(model: Learner, path: Path) -> None:
    """Save ``model`` in SB3's format, less what differs between equal models: times, and the addresses of objects that
    SB3 lists for human readers."""
    stamped, plain = io.BytesIO(), io.BytesIO()
    model.save(stamped)
    with zipfile.ZipFile(stamped) as source, zipfile.ZipFile(plain, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(zipfile.ZipInfo(name), _ADDRESS.sub(b"", content) if name == "data" else content)
    write_atomically(path, plain.getvalue())


def parameters_digest(model: Learner) -> str:
    """`digest_of_parameters` of a model's policy."""
    return digest_of_parameters(model.policy.state_dict())


def digest_of_parameters(parameters: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names and bytes of a policy's parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in parameters.items():
        digest.update(name.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def load_parameters(run: str | Path) -> dict[str, torch.Tensor]:
    """Parameters and buffers of a run's policy by name. Reads tensors only: a policy file cannot run code here."""
    path = Path(run) / "policy.zip"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no policy; the run stopped before its first checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read("policy.pth")
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{path}: not a policy that SB3 saved ({error}); the file is torn or another kind") from None
    return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
