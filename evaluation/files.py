"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds the old bytes or the new ones at any moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> Path:
    """Write plain values as indented JSON, whole; its path. Raises ValueError for a number that JSON does not have."""
    write_whole(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
    return path
