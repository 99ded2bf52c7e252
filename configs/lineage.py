"""Which runs a policy comes from, so that nothing any of them trained on is taken for unseen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.checkpoint import read_manifest

_WHOLE = ("finished", "interrupted")  # states of a run whose policy is whole


def lineage(init_from: str | None) -> list[dict[str, Any]]:
    """The run that training begins with and those it began with, oldest first; for a manifest.

    Raises FileNotFoundError or ValueError where it is no run, or one that is under way or has failed.
    """
    if init_from is None:
        return []
    manifest, policy = read_manifest(init_from), Path(init_from) / "policy.zip"
    if manifest["status"] not in _WHOLE:
        raise ValueError(f"from={init_from}: that run is {manifest['status']}; expected one of {', '.join(_WHOLE)}")
    if not policy.is_file():
        raise FileNotFoundError(f"{policy}: no policy to begin with")
    own = {
        "run": str(init_from),
        "policy_sha256": hashlib.sha256(policy.read_bytes()).hexdigest(),
        "seed": manifest["seed"],
        "train": manifest["data"].get("train", {}),
    }
    return [*manifest.get("ancestors", []), own]


def refuse_leak(ancestors: Sequence[Mapping[str, Any]], data: Mapping[str, Mapping[str, str]], seed: int) -> None:
    """Raise ValueError where an ancestor trained on what this run would call unseen.

    ``data``: digests of the tapes of ``train`` and ``held_out``; ``seed``: of the rows and worlds that are judged on.
    """
    unseen = {digest: name for name, digest in data["held_out"].items() if digest not in data["train"].values()}
    for one in ancestors:
        seen = [unseen[digest] for digest in one["train"].values() if digest in unseen]
        if seen:
            raise ValueError(
                f"from: {one['run']} trained on {', '.join(seen[:4])}, which this run holds out to be judged on"
            )
        if one["seed"] == seed:
            raise ValueError(
                f"from: {one['run']} trained with seed {seed}, which is evaluation.seed here: use another one"
            )
