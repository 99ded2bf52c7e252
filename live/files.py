"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from sim.tape import sync_folder


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds the old bytes or the new ones at any moment, crashes included."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
