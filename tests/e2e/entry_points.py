"""Entry points as a user starts them, in processes that begin with everything imported.

Imports are most of what a short run costs. Here a server has them done once, and forks for every start: a process of
its own all the same, with its own arguments, working folder, environment, output and exit status. What such a process
leaves is what one from a shell leaves: test_train.py compares the bytes.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = ("train", "evaluate", "shadow", "torch._dynamo", "matplotlib.backends.backend_svg")


def from_a_shell(script, *words, cwd):
    """``python SCRIPT WORDS``, which imports all by itself; what it printed and its exit status."""
    command = [sys.executable, str(ROOT / script), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def call(script: str, *words: str, cwd: Path, environment: Mapping[str, str] | tuple[()] = ()):
    """The same from a process that has everything imported; ``script`` may be ``-m MODULE``.

    ``environment`` is added to that of the caller.
    """
    server = _server()
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        said = {
            "script": script, "words": words, "cwd": str(cwd), "environment": os.environ | dict(environment),
            "out": str(out), "err": str(err),
        }  # fmt: skip
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(json.dumps(said) + "\n")
        server.stdin.flush()
        try:
            status = server.stdout.readline()
        except BaseException:  # a test that ran out of time: the next one must not read its answer
            _end(server)
            _server.cache_clear()
            raise
        assert status, f"the server of processes ended with {server.wait()}"
        return subprocess.CompletedProcess([script, *words], int(status), out.read_text(), err.read_text())


@cache
def _server() -> subprocess.Popen[str]:
    """One for each process that runs tests."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    server = subprocess.Popen([sys.executable, __file__], start_new_session=True, **pipes)
    atexit.register(_end, server)
    return server


def _end(server: subprocess.Popen[str]) -> None:
    """Also if it waits for a child that hangs."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
    server.communicate()


def _serve(orders: IO[str]) -> None:
    """A child for every order, one at a time; its exit status is the answer, negative if a signal ended it."""
    _import_all()
    gc.freeze()  # a child's collector need not look at what is here, and its pages stay shared
    assert set(_threads()) <= {"jemalloc_bg_thd"}, f"what has threads must not fork: {_threads()}"  # jemalloc knows how
    while order := orders.readline():
        child = os.fork()
        if not child:
            _become(**json.loads(order))
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _threads() -> list[str]:
    """Names of the threads but this one, native ones too; none where there is no /proc."""
    tasks = [path for path in Path("/proc/self/task").glob("*") if path.name != str(os.getpid())]
    return [(path / "comm").read_text().strip() for path in tasks]


def _import_all() -> None:
    """What runs import, at once or on their way."""
    sys.path[0] = str(ROOT)  # as of a script that lies there
    for name in IMPORTED:
        import_module(name)


def _become(
    script: str, words: list[str], cwd: str, environment: dict[str, str], out: str, err: str
) -> None:  # fmt: skip
    """Be the process that was asked for: what it raises ends this one, as it would end that."""
    for number, path, how in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        file = os.open(path, how | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = [str(ROOT / script), *words]
    if script.startswith("-m "):
        runpy.run_module(script.removeprefix("-m "), run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(str(ROOT / script), run_name="__main__")


if __name__ == "__main__":
    _serve(sys.stdin)
