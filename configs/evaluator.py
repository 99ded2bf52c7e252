"""What plays and judges: the program of today, which need not be the one that trained."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from agents.checkpoint import git_state, versions

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("sim", "envs", "agents", "evaluation", "curricula", "configs")
_TABLES = (".toml", ".json")  # of sim: fitted rows and fill models


def evaluator() -> dict[str, Any]:
    """Commit, versions of the libraries that decide numbers, and the digest of the source, for plans and cards."""
    return {"commit": git_state(ROOT)["commit"], "versions": versions(), "source": source_digest(ROOT)}


@cache
def source_digest(root: Path) -> str:
    """Hash of every module of the packages, and of the simulator's tables, committed or not."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix == ".py" or (package == "sim" and path.suffix in _TABLES):
                digest.update(path.relative_to(root).as_posix().encode() + b"\0")
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
