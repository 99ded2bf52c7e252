"""Nodes of a Ray cluster on this machine, started as users do, with a token, and killed as a power cut does."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import ROOT

RAY = Path(sys.executable).with_name("ray")
START_S = 120  # to wait for a node, on a busy machine too
STORE = 100_000_000  # bytes of a node's object store; Ray takes no less than 75 MB


class Nodes:
    """The nodes of one cluster; ``folder`` is theirs, and short: sockets lie in it, whose paths may have 107 letters.

    ``env`` is that of a driver. Close them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, 0
        self.processes: list[subprocess.Popen] = []
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        self.env = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(ROOT),
        }

    def start_head(self, cpus: int) -> subprocess.Popen:
        """Start the head; from now on ``env`` names the cluster. It is up when this returns."""
        self.env.pop("RAY_ADDRESS", None)
        client = f"--ray-client-server-port={_free_port()}"
        words = ["--head", f"--port={_free_port()}", "--include-dashboard=false", client]
        head, self.env["RAY_ADDRESS"] = self._start(words, cpus)
        return head

    def start_node(self, cpus: int) -> subprocess.Popen:
        """Start another node; it has joined when this returns."""
        return self._start([f"--address={self.env['RAY_ADDRESS']}"], cpus)[0]

    def _start(self, words: list[str], cpus: int) -> tuple[subprocess.Popen, str]:
        """The process, and the address of the head, which listens on the machine's own address."""
        self.started += 1
        place = self.folder / str(self.started)
        command = [
            RAY, "start", *words, f"--num-cpus={cpus}", f"--object-store-memory={STORE}", "--block",
            "--dashboard-agent-listen-port=0", f"--temp-dir={place}",
        ]  # fmt: skip
        log = self.folder / f"{self.started}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(command, env=self.env, stdout=file, stderr=file, start_new_session=True)
        self.processes.append(process)
        began, address = time.perf_counter(), place / "ray_current_cluster"  # written when all is up
        while not (address.exists() and address.read_text()):
            if process.poll() is not None or time.perf_counter() - began > START_S:
                raise RuntimeError(f"a node has not started in {START_S} s:\n{log.read_text()}")
            time.sleep(0.1)
        return process, address.read_text().strip()

    def kill(self, process: subprocess.Popen) -> None:
        """SIGKILL the node of ``process`` with all that it started: raylet, agents, workers."""
        for pid in [process.pid, *descendants(process.pid)]:
            _kill(pid)
        process.wait()
        self.processes.remove(process)

    def close(self) -> None:
        """Kill every node."""
        for process in [*self.processes]:
            self.kill(process)


def _free_port() -> int:
    with socket.create_server(("", 0)) as free:
        return free.getsockname()[1]


def descendants(pid: int) -> list[int]:
    """Processes that ``pid`` has started, and those that they have started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue  # it ended meanwhile
        children.setdefault(parent, []).append(int(entry.parent.name))
    found, waiting = [], [pid]
    while waiting:
        fresh = children.get(waiting.pop(), [])
        found += fresh
        waiting += fresh
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended with the one before
        os.kill(pid, signal.SIGKILL)
