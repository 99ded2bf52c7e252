"""Which program this is: a digest of its source."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("sim", "envs", "agents", "evaluation", "curricula", "configs")
_TABLES = (".toml", ".json")  # of sim: fitted rows and fill models


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
