"""Fixtures of the live side's tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of real payloads: $SHADOWBOOK_SAMPLES, else ``../shared/venue_samples``; skips where there is none."""
    folder = Path(os.environ.get("SHADOWBOOK_SAMPLES") or _REPOSITORY.parent / "shared" / "venue_samples")
    if not folder.is_dir():
        pytest.skip(f"no payloads at {folder}; set SHADOWBOOK_SAMPLES to their folder")
    return folder
