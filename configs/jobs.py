"""The jobs of a grid, each in its folder: what is there says whether a job is done, has begun, or is still to come.

So a grid that was killed goes on with the same command, whichever launcher runs it.
"""

from __future__ import annotations

import fcntl
import math
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from agents.checkpoint import read_manifest
from evaluation import by_entry
from evaluation.montecarlo import report as montecarlo
from evaluation.plan import remove_litter
from evaluation.report import FILES, REPORT

COURSE = "course.json"  # what a curriculum keeps of its rounds
LOCK = ".lock"
_WAIT_S, _POLL_S = 60.0, 0.5  # for a process of a grid that was just killed, which Ray ends within seconds

_held: list[TextIO] = []  # the lock of the job that this process works on


def done_in(folder: Path) -> Path | None:
    """What a job of a grid has left in its ``folder``, the run or the report itself; None where it is not done."""
    if any((folder / name).is_file() for name in (REPORT, by_entry.FILE, montecarlo.FILE)):
        return folder
    begun = begun_in(folder)
    if begun is None or (begun / COURSE).is_file():
        return None  # a curriculum takes its own rounds as they are done
    judged = (begun / "evaluation" / REPORT).is_file()
    return begun if judged and read_manifest(begun)["status"] == "finished" else None


def begun_in(folder: Path) -> Path | None:
    """The run or curriculum that a job of ``train.py`` has begun in its ``folder``; None where there is none.

    Raises ValueError where there are several: a job begins one.
    """
    marks = ("manifest.json", COURSE)
    found = [path for path in sorted(folder.glob("[!.]*")) if any((path / name).is_file() for name in marks)]
    if len(found) > 1:
        raise ValueError(f"{folder}: expected the one run of a job, found {', '.join(path.name for path in found)}")
    return found[0] if found else None


def forget_half_report(folder: Path) -> None:
    """Remove what an evaluation that was killed has left in ``folder`` of a report: it is judged again."""
    if (folder / REPORT).is_file():
        return
    for name in FILES:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def take(folder: Path) -> None:
    """Keep every other process out of the job in ``folder`` until `let_go`, or the end of this process.

    A job that this process held before is let go. Raises RuntimeError where another one keeps it for a minute.
    """
    let_go()
    folder.mkdir(parents=True, exist_ok=True)
    _held.append(_locked(folder / LOCK, _WAIT_S))
    remove_litter(folder)


def let_go() -> None:
    """Let others have the job that this process took."""
    while _held:
        _held.pop().close()


@contextmanager
def kept_out(lock: Path) -> Iterator[int]:
    """Keep other processes out, once those that were here before have ended; the descriptor of ``lock``.

    A process that inherits it keeps others out as long as it lives.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with _locked(lock, math.inf) as file:
        yield file.fileno()


def _locked(path: Path, wait_s: float) -> TextIO:
    """The lock file, open, and ours until it is closed."""
    file, until, said = path.open("a"), time.monotonic() + wait_s, False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > until:
                file.close()
                raise RuntimeError(
                    f"{path.parent}: another process works on this job; let it finish, or end it"
                ) from None
            if not said:
                tqdm.write(f"{path.parent}: waiting for another process that works on this job", file=sys.stderr)
                said = True
            time.sleep(_POLL_S)
