"""``python -m agents.tracking.worker FOLDER``: sends to Weights & Biases what a run has written down.

Started by `agents.tracking.tracker`, which holds the other end of its standard input: the end of that is the end of the
run. Lines of its standard output are for the run's user.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any

import wandb

from agents.tracking.journal import JOURNAL, START, Followed, Rows

_LOOK_S = 1.0  # between two looks at the files
_PROJECT = "shadowbook"
_CRASHED = 255  # exit status of a run that did not say how it ended


class Worker:
    """One tracked run. ``said``: lines for its user."""

    def __init__(self, folder: Path, said: IO[str]) -> None:
        self.folder, self._said = folder, said
        self.start: dict[str, Any] = json.loads((folder / START).read_bytes())
        self._journal = Rows(folder / JOURNAL)
        self._followed = [Followed(Path(path), prefix) for prefix, path in self.start["follow"].items()]
        self._code = _CRASHED

    def work(self, over: Event) -> None:
        """Send what there is until ``over`` is set; then the rest."""
        run = self._open()
        while not over.wait(_LOOK_S):
            self._send(run)
        self._send(run)
        run.finish(exit_code=self._code)

    def _open(self) -> wandb.Run:
        """A W&B run: where the server cannot be had, one in the folder."""
        if self.start["mode"] == "online":
            try:
                run = self._init("online")
                self._say(run.url or "online")
                return run
            except Exception as error:  # noqa: BLE001 - no key, no network, no such project: all the same to a run
                wandb.teardown()
                self._say(
                    f"W&B cannot be had ({_first_line(error)}); kept offline: wandb sync {self.folder}/wandb/*run-*"
                )
        return self._init("offline")

    def _init(self, mode: str) -> wandb.Run:
        start = self.start
        return wandb.init(
            mode=mode,  # type: ignore[arg-type]
            id=start["id"],
            resume="allow" if mode == "online" else None,  # a run that goes on is the same run
            project=start["project"] or os.environ.get("WANDB_PROJECT") or _PROJECT,
            entity=start["entity"],
            name=start["name"],
            group=start["group"],
            job_type=start["job"],
            tags=start["tags"] or None,
            config=start["config"],
            dir=str(self.folder),
            settings=wandb.Settings(
                console="off",
                silent=True,
                init_timeout=start["connect_s"],
                login_timeout=start["connect_s"],
                finish_timeout=max(0.8 * start["finish_s"], 1.0),
                finish_timeout_raises=True,
                program=start["argv"][0],
                x_stats_pid=start["pid"],
                stop_fn=lambda: None,  # nobody stops a run from afar
            ),
        )

    def _send(self, run: wandb.Run) -> None:
        """All that was written since the last time: rows in the order of their steps, then what is of the whole."""
        rows: dict[int, dict[str, Any]] = {}
        summary: dict[str, Any] = {}
        artifacts: list[dict[str, Any]] = []
        for message in self._journal.take():
            kind = message["kind"]
            if kind == "row":
                rows.setdefault(message["step"], {}).update(message["values"])
            elif kind == "summary":
                summary |= message["values"]
            elif kind == "artifact":
                artifacts.append(message)
            elif kind == "end":
                self._code = message["code"]
        for followed in self._followed:
            for step, values in followed.take():
                rows.setdefault(step, {}).update(values)
        for step in sorted(rows):
            run.log(rows[step], step=step)
        run.summary.update(summary)
        for message in artifacts:
            self._send_artifact(run, message["type"], message["files"])

    def _say(self, text: str) -> None:
        self._said.write(f"{text}\n")

    def _send_artifact(self, run: wandb.Run, kind: str, files: dict[str, str]) -> None:
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in f"{self.start['name']}-{kind}")
        try:
            artifact = wandb.Artifact(name, kind)
            for shown, path in files.items():
                artifact.add_file(path, shown, policy="immutable", skip_cache=True)
            run.log_artifact(artifact)
        except Exception as error:  # noqa: BLE001 - the figures go on without it
            self._say(f"{name} was not sent: {_first_line(error)}")


def main(folder: Path) -> int:
    """Track until standard input ends; 1 where not everything could be sent."""
    over = Event()
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as said:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # W&B's processes outlive us, and would hold it open
        return _track(Worker(folder, said), over)


def _track(worker: Worker, over: Event) -> int:
    sys.argv = worker.start["argv"]  # W&B shows the command
    Thread(target=_wait_for_end, args=(over,), daemon=True).start()
    try:
        worker.work(over)
    except Exception:  # noqa: BLE001 - who started us says so
        traceback.print_exc()
        return 1
    return 0


def _wait_for_end(over: Event) -> None:
    sys.stdin.read()
    over.set()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
