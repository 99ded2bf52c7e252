"""The face of tracking for entry points: `Tracker` writes down what is to be sent, and a worker process sends it.

A run only ever writes to its own folder. What the network, the server or W&B's own processes do to the worker, the run
does not notice; when it is over it waits `TrackingConfig.finish_s` at most.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import IO, Any

from tqdm import tqdm

from agents.checkpoint import write_atomically
from agents.tracking.board import Board
from agents.tracking.config import TrackingConfig, check_tracking, settled_mode
from agents.tracking.journal import FOLDER, JOURNAL, LOG, START, shown

_KILL_S = 5.0  # for a process that was told to end


class Tracker:
    """What one run, evaluation or session tracks. A context manager: how it is left says how it ended.

    Nothing here raises: what cannot be tracked is said once, and goes on untracked.
    """

    def __init__(
        self,
        folder: Path,
        config: TrackingConfig,
        *,
        name: str,
        job: str,
        about: Mapping[str, Any],
        group: str | None = None,
        follow: Mapping[str, Path] | None = None,
        run_id: str | None = None,
        tensorboard: bool = False,
    ) -> None:
        """Of ``folder``; where that was tracked before it goes on as the same W&B run.

        ``job``: what it is, such as train. ``about``: its config, plain values. ``follow``: files of metrics by the
        prefix of their names, sent as they grow. ``run_id``: of a W&B run that is to be joined. ``tensorboard``: rows
        and summary are also written as event files.

        Raises ValueError for settings that cannot be meant.
        """
        check_tracking(config)
        self._mode = settled_mode(config)
        self._folder = folder / FOLDER
        self._config = config
        self._start = {
            "name": name, "job": job, "group": config.group or group, "config": about,
            "follow": {prefix: str(path.resolve()) for prefix, path in (follow or {}).items()},
        }  # fmt: skip
        self._run_id = run_id
        self._board = Board(folder, about) if tensorboard else None
        self._worker: subprocess.Popen[str] | None = None
        self._relay: Thread | None = None
        self._silent = False

    def __enter__(self) -> Tracker:
        if self._mode != "off":
            self._guarded(self._begin)
        if self._board is not None:
            self._guarded(self._board.open)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker is not None:
            code = error.code if isinstance(error, SystemExit) else 0 if kind is None else 1
            self._write({"kind": "end", "code": code if isinstance(code, int) else int(code is not None)})
            self._guarded(self._end)
        if self._board is not None:
            self._guarded(self._board.close)

    def attempt(self, work: Callable[[], None]) -> None:
        """Do what gathers and sends; nothing where nothing is tracked."""
        if self._mode != "off" or self._board is not None:
            self._guarded(work)

    def row(self, values: Mapping[str, Any], step: int) -> None:
        """Values of a moment; ``step`` grows."""
        self._write({"kind": "row", "values": shown(values), "step": step})
        if self._board is not None:
            self._guarded(partial(self._board.write, values, step))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Values of the whole."""
        self._write({"kind": "summary", "values": shown(values)})
        if self._board is not None:
            self._guarded(partial(self._board.write, values, 0))

    def artifact(self, kind: str, files: Mapping[str, Path]) -> None:
        """Files by their name, as one artefact of a ``kind``; those that are not there are left out."""
        found = {name: str(path.resolve()) for name, path in files.items() if path.is_file()}
        if found:
            self._write({"kind": "artifact", "type": kind, "files": found})

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._config
        start = {
            "id": _known_id(self._folder) or self._run_id or secrets.token_hex(4),
            "mode": self._mode,
            "project": config.project,
            "entity": config.entity,
            "tags": list(config.tags),
            "connect_s": config.connect_s,
            "finish_s": config.finish_s,
            "pid": os.getpid(),
            "argv": sys.argv,
            **self._start,
        }
        write_atomically(self._folder / START, (json.dumps(start, indent=2, default=str) + "\n").encode())
        (self._folder / JOURNAL).write_bytes(b"")
        with (self._folder / LOG).open("a", encoding="utf-8") as log:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "agents.tracking.worker", str(self._folder.resolve())],
                stdin=subprocess.PIPE,  # its end is how the worker learns of ours
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is ours
            )
        assert self._worker.stdout is not None
        self._relay = Thread(target=_say_all, args=(self._worker.stdout,), daemon=True)
        self._relay.start()

    def _end(self) -> None:
        """Let the worker send what is left, for as long as it may."""
        assert self._worker is not None and self._worker.stdin is not None and self._relay is not None
        self._worker.stdin.close()
        try:
            status = self._worker.wait(self._config.finish_s)
        except subprocess.TimeoutExpired:
            self._worker.kill()
            self._worker.wait(_KILL_S)
            status = None
        self._relay.join()
        if status is None:
            _say(f"not everything was sent within {self._config.finish_s:g} s; {_later(self._folder)}")
        elif status:
            _say(f"the process that sends ended with status {status}, see {self._folder / LOG}; {_later(self._folder)}")

    def _write(self, message: Mapping[str, Any]) -> None:
        if self._worker is not None:
            self._guarded(partial(self._append, message))

    def _append(self, message: Mapping[str, Any]) -> None:
        with (self._folder / JOURNAL).open("a", encoding="utf-8") as file:
            file.write(json.dumps(message) + "\n")

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason to end a run
            if not self._silent:
                self._silent = True
                _say(f"cannot track: {type(error).__name__}: {error}; the run goes on")


def _environment() -> dict[str, str]:
    """The worker's: it finds this package, and W&B sends no reports of its own errors elsewhere."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"WANDB_ERROR_REPORTING": "false", **os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _known_id(folder: Path) -> str | None:
    """Of the W&B run that this folder was tracked as."""
    path = folder / START
    return json.loads(path.read_bytes())["id"] if path.is_file() else None


def _later(folder: Path) -> str:
    return f"`wandb sync {folder}/wandb/*run-*` sends what is there"


def _say_all(lines: IO[str]) -> None:
    with lines:
        for line in lines:
            _say(line.rstrip())


def _say(text: str) -> None:
    tqdm.write(f"tracking   {text}", file=sys.stderr)
