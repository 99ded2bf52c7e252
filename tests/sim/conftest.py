"""What the tests of sim share: a process that runs kernels the other way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numba
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run_other_way() -> Callable[[str], str]:
    """Runs Python source and returns what it printed: interpreted if this process compiles its kernels, else compiled.

    Every warning is an error there.
    """

    def run(source: str) -> str:
        disable = "0" if numba.config.DISABLE_JIT else "1"
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disable, "PYTHONPATH": str(ROOT)}
        environment.pop("COVERAGE_PROCESS_START", None)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", source],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
