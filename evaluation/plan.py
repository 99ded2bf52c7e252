"""The plan of a run that may be interrupted: written when it begins, and compared when it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim.files import write_whole

PLAN = "plan.json"


def agree(folder: Path, facts: Mapping[str, Any], *, alone: bool = True) -> None:
    """Write ``facts``, plain JSON values, as the plan in ``folder``; or compare them with the one that is there.

    What a killed process left half-made in the folder is removed where this one is ``alone`` in it. Raises ValueError
    naming what is not as it was.
    """
    path = folder / PLAN
    now = json.loads(json.dumps(facts))
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(now, indent=2) + "\n").encode())
        return
    then, now = _flat(json.loads(path.read_text(encoding="utf-8"))), _flat(now)
    changed = [key for key in {**then, **now} if then.get(key) != now.get(key)]
    if changed:
        key = changed[0]
        raise ValueError(
            f"{path}: begun with {key} = {then.get(key)}, not {now.get(key)}: go on with what it was begun with, or "
            "name another folder"
        )
    if alone:
        remove_litter(folder)


def remove_litter(folder: Path) -> None:
    """Remove what a killed process left half-made in ``folder``; no other process may write there."""
    for litter in sorted(folder.rglob(".*.tmp")):
        if litter.is_dir():
            shutil.rmtree(litter)
        else:
            litter.unlink(missing_ok=True)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as one, keys joined by dots: so that what differs can be named."""
    out: dict[str, Any] = {}
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            out |= _flat(value, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = value
    return out
