"""As a new user does it: a fake venue, the recorder beside it, tapes; and no key in anything that is left behind."""

import contextlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from live.record import main
from sim.tape import read
from sim.validate import validate

ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def fake(*words):
    """A fake venue in a process of its own: the lines that it begins with."""
    command = [sys.executable, "-m", "live.fake", *words, "--port", "0", "--markets", "2", "--speed", "10"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip())
                if line.startswith("Ctrl-C"):
                    break
            yield lines
        finally:
            process.terminate()


def run(words, environ=()):
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, env=os.environ | dict(environ)
    )


def recorded(tmp_path, lines, environ=()):
    """What the fake's own line does: the recording's folder and what was printed."""
    (line,) = [line for line in lines if line.startswith("python -m live.record")]
    done = run([*shlex.split(line)[2:], "minutes=0.04", f"out={tmp_path}/out", "name=one"], environ)
    assert done.returncode == 0, done.stderr
    checked = run(["live.recording", "validate", f"{tmp_path}/out/one", "--replay"])
    assert checked.returncode == 0, checked.stdout
    return tmp_path / "out" / "one", done.stdout + done.stderr + checked.stdout


def check_tapes(folder):
    tapes = [read(path) for path in sorted((folder / "tapes").glob("*.parquet"))]
    assert len(tapes) == 2
    for tape in tapes:
        assert not validate(tape).errors
    assert sum(len(tape.events) for tape in tapes) > 100


def test_kalshi_with_a_key_which_is_in_nothing_that_is_left(tmp_path):
    keys = tmp_path / "keys"
    with fake("kalshi", "--key-out", str(keys)) as lines:
        environ = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
        folder, printed = recorded(tmp_path, lines, environ)
    check_tapes(folder)
    pem = (keys / "kalshi-key.pem").read_text()
    secrets = [part.encode() for part in pem.splitlines() if part and "-----" not in part]
    left = [printed.encode(), *(path.read_bytes() for path in folder.rglob("*") if path.is_file())]
    assert len(left) > 3 and secrets
    for secret in [*secrets, environ["SHADOWBOOK_KALSHI_KEY_ID"].encode(), b"KALSHI-ACCESS"]:
        assert not any(secret in each for each in left)


def test_kalshi_without_a_key(tmp_path):
    with fake("kalshi") as lines:
        folder, _ = recorded(tmp_path, lines)
    assert len(list((folder / "tapes").glob("*.parquet"))) == 2


def test_polymarket(tmp_path):
    with fake("polymarket") as lines:
        folder, _ = recorded(tmp_path, lines)
    check_tapes(folder)


def test_a_handshake_that_is_refused_is_no_recording(tmp_path):
    keys = tmp_path / "keys"
    with fake("kalshi", "--key-out", str(keys)) as lines:
        environ = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
        (line,) = [line for line in lines if line.startswith("python -m live.record")]
        words = [*shlex.split(line)[2:], "minutes=0.1", f"out={tmp_path}/out", "name=one"]
        done = run(words, environ | {"SHADOWBOOK_KALSHI_KEY_ID": "another"})
    assert done.returncode == 1 and "error: " in done.stderr
    assert not list(tmp_path.glob("out/one/tapes/*"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["venue=kalshi"], "missing required field `markets`"),
        (["venue=kalsi", "markets=A"], "expected venue=kalshi|polymarket"),
        (["venue=kalshi", "market=A"], "'market=A' is not a key"),
        (["venue=kalshi", "markets=A", "markets=B"], "is given twice"),
        (["venue=kalshi", "markets"], "has no ="),
        (["venue=kalshi", "markets="], "expected a market"),
        (["venue=kalshi", "markets=A", "minutes=-1"], "and 0 or more"),
        (["venue=kalshi", "markets=A", "minutes=soon"], "Expected `float`"),
    ],
)
def test_command_lines_that_cannot_be_read(words, says, capsys):
    assert main(words) == 2
    assert says in capsys.readouterr().err


def test_help_says_what_there_is(capsys):
    assert main(["--help"]) == 0
    assert "keyless=true|false" in capsys.readouterr().out


def test_without_a_key_the_way_out_is_said(monkeypatch, capsys):
    monkeypatch.delenv("SHADOWBOOK_KALSHI_KEY_ID", raising=False)
    assert main(["venue=kalshi", "markets=A"]) == 1
    assert "SHADOWBOOK_KALSHI_PRIVATE_KEY_FILE" in capsys.readouterr().err
