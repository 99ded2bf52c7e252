"""What plays and judges: the program of today, which need not be the one that trained."""

from __future__ import annotations

from typing import Any

from agents.checkpoint import git_state, versions
from evaluation.source import ROOT, source_digest


def evaluator() -> dict[str, Any]:
    """Commit, versions of the libraries that decide numbers, and the digest of the source, for plans and cards."""
    return {"commit": git_state(ROOT)["commit"], "versions": versions(), "source": source_digest(ROOT)}
