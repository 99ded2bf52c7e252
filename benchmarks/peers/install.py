"""hftbacktest in a virtual environment of its own, and a process in it that answers commands.

It cannot share ours: it wants an older NumPy. Only what its engine imports is installed (its plots and data tools are
not), a third of the whole.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from benchmarks.machine import ROOT

HFTBACKTEST = "hftbacktest==2.4.4"
COMPILER = ("numba==0.68.1", "numpy==2.2.6")  # the same compiler as ours; the newest NumPy that hftbacktest takes
READY = "ready"  # written last: without it the folder is half an installation
SCRIPT = Path(__file__).with_name("theirs.py")


class PeerError(RuntimeError):
    """The other engine cannot be installed or does not answer; the message says what would help."""


def peer_folder() -> Path:
    """Where the environment lies: below ``$SHADOWBOOK_CACHE``, or else in ``.cache`` of the checkout."""
    base = Path(os.environ.get("SHADOWBOOK_CACHE") or ROOT / ".cache")
    version = f"py{sys.version_info.major}.{sys.version_info.minor}"
    return base / "peers" / f"{HFTBACKTEST.replace('==', '-')}-{version}"


def installed_python(folder: Path) -> Path:
    """Python of the environment in ``folder``, made on first use; pip's progress goes to standard error.

    Raises PeerError where pip fails, and leaves nothing behind.
    """
    python = folder / "bin" / "python"
    if (folder / READY).exists():
        return python
    print(f"installing {HFTBACKTEST} into {folder}, once", file=sys.stderr)
    pip = [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [*pip, *COMPILER],
        [*pip, "--no-deps", HFTBACKTEST],
    ):
        done = subprocess.run(command, stdout=sys.stderr, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise PeerError(
                f"peers: `{' '.join(command[1:])}` ended with {done.returncode}, see above. The first run needs pip to "
                f"reach its package index, and wheels of {HFTBACKTEST} for this Python and platform; later runs need "
                "no network"
            )
    (folder / READY).touch()
    return python


class Peer:
    """A running ``theirs.py``: one process, asked one thing at a time, asleep in between."""

    def __init__(self, python: Path, events: Path, settings: Path) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NUMBA_"))}
        self._process = subprocess.Popen(
            [str(python), "-I", str(SCRIPT), str(events), str(settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**own, "NUMBA_NUM_THREADS": "1"},
        )  # fmt: skip
        self.versions = self._answer()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def ask(self, command: str) -> dict:
        """Send a command, return its answer. Raises PeerError where the process has ended."""
        if self._process.stdin is None or self._process.poll() is not None:
            raise PeerError(f"peers: hftbacktest's process has ended with {self._process.returncode}")
        print(command, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict:
        """The next line that is an answer: hftbacktest prints warnings of its own."""
        for line in self._process.stdout or ():
            if line.startswith("{"):
                return json.loads(line)
        raise PeerError(f"peers: hftbacktest's process ended with {self._process.wait()}, see above")
