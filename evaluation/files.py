"""What the judges leave behind, as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sim.files import write_whole


def write_json(path: Path, value: Any) -> Path:
    """Write plain values as indented JSON, whole; its path. Raises ValueError for a number that JSON does not have."""
    write_whole(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
    return path
