"""Fixtures that tests of every package may use, and what the marker ``compiled`` does."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numba
import pytest
from hypothesis import settings

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the same everywhere; before torch is imported
os.environ["WANDB_MODE"] = "disabled"  # nothing is tracked but where a test asks for it
settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

_REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_finish() -> None:
    """What imports and collection have left stays: no garbage collector looks at it again, a fifth of all time."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With the compiler off, tests marked ``compiled`` are skipped."""
    if not numba.config.DISABLE_JIT:
        return
    skip = pytest.mark.skip(reason="too slow with interpreted kernels (NUMBA_DISABLE_JIT=1)")
    for item in items:
        if item.get_closest_marker("compiled"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Folder of third-party recordings: $SHADOWBOOK_DATA, else ``../shared/data``; skips where there is none."""
    folder = Path(os.environ.get("SHADOWBOOK_DATA") or _REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}; set SHADOWBOOK_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def venue_samples() -> Path:
    """Folder of the venues' real payloads: $SHADOWBOOK_SAMPLES, else ``../shared/venue_samples``; skips without."""
    folder = Path(os.environ.get("SHADOWBOOK_SAMPLES") or _REPOSITORY.parent / "shared" / "venue_samples")
    if not folder.is_dir():
        pytest.skip(f"no payloads at {folder}; set SHADOWBOOK_SAMPLES to their folder")
    return folder
