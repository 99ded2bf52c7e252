"""docs/cluster.md, command by command as it stands there, on two nodes of this machine.

The test has process numbers, a network and a home of its own (namespaces), so that `ray stop` stops nobody else's Ray
and the page's ports are free. The block marked ``node`` runs as on another machine: Ray's folder there is its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from agents.checkpoint import read_manifest
from sim.kernel import numba

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "cluster.md"
BLOCK = re.compile(r"^```sh( node)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
APART = ["--pid", "--net", "--mount-proc", "--fork", "--kill-child"]
LIMIT_S = 500
pytestmark = pytest.mark.compiled

# Stops at the first command that fails. Before a job is stopped it is let train, as a reader would
HEAD = """set -euo pipefail
ip link set lo up
run=$SHARED/checkpoints/phase2 seen=0
let_train() {
  until test -s "$run/resume.pt" && test "$(wc -l < "$run/metrics.jsonl")" -gt "$seen"; do
    sleep 0.5
    if ray job status "$1" 2>&1 | grep -q FAILED; then ray job logs "$1"; exit 1; fi
  done
}
PS4='+ $SECONDS s: '
set -x
"""


def _apart():
    """The command that gives a process a world of its own, as root or in a user namespace; skips where none does."""
    for command in (["unshare", *APART], ["unshare", "--map-root-user", *APART]):
        if all(shutil.which(tool) for tool in ("unshare", "ip")):
            if not subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
                return command
    pytest.skip("no namespaces here (unshare, ip): ray stop would stop the Rays of other tests")


def _script():
    lines = [HEAD]
    for node, code in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        stopped = re.findall(r"^ray job stop (\S+)$", code, re.MULTILINE)
        lines += [f"let_train {job}" for job in stopped]
        if node:
            (code,) = code.splitlines()
            lines.append(f'unshare --mount sh -c \'mount --bind "$OTHER" "$RAY_TMPDIR" && exec {code}\'')
        else:
            lines.append(code)
        lines += ['seen=$(wc -l < "$run/metrics.jsonl")'] * bool(stopped)
    return "\n".join(lines)


@pytest.fixture(scope="module")
def folder():
    """After the page's commands: home, a folder for Ray on either node, and the shared one."""
    command = _apart()
    with tempfile.TemporaryDirectory(prefix="sb") as made:
        places = {name: Path(made) / name for name in ("home", "head", "other", "shared")}
        for place in places.values():
            place.mkdir()
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}
        env |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}",
            "HOME": str(places["home"]),
            "HEAD": "127.0.0.1",
            "SHARED": str(places["shared"]),
            "RAY_TMPDIR": str(places["head"]),
            "OTHER": str(places["other"]),
            "SHADOWBOOK_CACHE": str(Path(numba.config.CACHE_DIR).parents[1]),
            # what is there is taken, and left as it is: installing is what made this environment
            "PIP_DRY_RUN": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
        }
        done = subprocess.run(
            [*command, "bash", "-c", _script()], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-6000:]
        yield Path(made)


def _updates(run):
    return [json.loads(line)["steps"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_small_try_ends_as_any_other_run(folder):
    run = folder / "shared" / "checkpoints" / "try"
    manifest = read_manifest(run)
    assert manifest["status"] == "finished" and manifest["trainer"]["kind"] == "rllib"
    assert _updates(run)[-1] == 4096 and (run / "evaluation" / "report.html").exists()


def test_the_other_node_played_with_the_files_that_were_shipped(folder):
    found = (folder / "other").glob("ray/session_*/runtime_resources/working_dir_files/*/train.py")
    trees = [path.parent for path in found]
    assert trees
    shipped = {path.name for tree in trees for path in tree.iterdir()}
    assert {"agents", "configs"} <= shipped and not shipped & {".git", ".venv", ".cache", "keys", "recordings"}


def test_a_stopped_run_goes_on(folder):
    updates = _updates(folder / "shared" / "checkpoints" / "phase2")
    assert updates == [updates[0] * count for count in range(1, len(updates) + 1)] and len(updates) > 1


def test_nobody_else_reads_the_token(folder):
    token = folder / "home" / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o777 == 0o600 and len(token.read_text()) == 64


def test_the_autoscaler_takes_the_example():
    example = ROOT / "docs" / "autoscaler.yaml"
    validate_config(prepare_config(yaml.safe_load(example.read_text(encoding="utf-8"))))
