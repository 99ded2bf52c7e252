"""Training on a cluster of two nodes whose nodes are killed, on a problem whose answer is known.

The nodes are raylets on this machine, each with one processor and one env runner, started with ``ray start`` and a
token.

* ``uninterrupted``: five seeds, left alone. Their results are the spread from seed to seed.
* ``node_death``: a third node joins, and the second is killed (SIGKILL to the raylet and all that it started). Training
  goes on with half of the rows until the env runner is replaced on the new one. The result must pass the gate of the
  problem.
* ``restart``: the head, the second node and the driver are killed in the middle; a new process on a new cluster goes on
  from the last checkpoint. Its result must lie within the spread. It is a run of the first of the seeds: where the
  checkpoint holds all that matters it ends with the same parameters, ``restart_equal``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.cluster_nodes import Nodes
from benchmarks.cluster_run import RESULT, ROLLOUTS, RUNNERS
from benchmarks.machine import ROOT, describe, print_result
from evaluation.problems import PROBLEMS, Measured, Problem

PATIENCE_S = 900  # for one run
JOIN_AT, KILL_AT = 0.05, 0.3  # of the steps
LONGER = 2  # than the problem's own runs, so that nodes have the time to join


class Run:
    """A training of ``steps`` in ``folder``, in a process of its own on the cluster of ``nodes``."""

    def __init__(self, problem: str, seed: int, steps: int, folder: Path) -> None:
        self.words = [problem, str(seed), str(steps), str(folder)]
        self.folder, self.steps = folder, steps
        folder.mkdir()

    def start(self, nodes: Nodes) -> subprocess.Popen:
        """Begin, or go on from the checkpoint."""
        command = [sys.executable, "-m", "benchmarks.cluster_run", *self.words]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=nodes.env, stdout=log, stderr=log)

    def rollouts(self) -> list[dict[str, Any]]:
        """What it has played so far."""
        path = self.folder / ROLLOUTS
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def follow(self, process: subprocess.Popen, until: float) -> dict[str, Any]:
        """Wait for the first rollout after ``until`` of the steps. RuntimeError where the run ends before."""
        return self._wait(process, lambda lines: lines and lines[-1]["steps"] >= until * self.steps)

    def follow_rows(self, process: subprocess.Popen, rows: int) -> dict[str, Any]:
        """Wait for a rollout of ``rows``."""
        return self._wait(process, lambda lines: lines and lines[-1]["rows"] == rows)

    def _wait(self, process: subprocess.Popen, done: Any) -> dict[str, Any]:
        began = time.perf_counter()
        while not done(lines := self.rollouts()):
            if process.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                raise RuntimeError(f"{self.folder.name} stopped early:\n{(self.folder / 'log').read_text()[-4000:]}")
            time.sleep(0.05)
        return lines[-1]

    def finish(self, process: subprocess.Popen) -> dict[str, Any]:
        """Wait for the end; what was learnt."""
        if process.wait(PATIENCE_S):
            raise RuntimeError(f"{self.folder.name} failed:\n{(self.folder / 'log').read_text()[-4000:]}")
        return json.loads((self.folder / RESULT).read_text())


@contextlib.contextmanager
def two_nodes(folder: Path) -> Iterator[tuple[Nodes, subprocess.Popen]]:
    """A fresh cluster, and its second node."""
    folder.mkdir()
    nodes = Nodes(folder)
    try:
        nodes.start_head(1)
        yield nodes, nodes.start_node(1)
    finally:
        nodes.close()


def node_death(run: Run, work: Path, rows: int) -> dict[str, Any]:
    """See the module; ``rows`` of a whole rollout."""
    with two_nodes(work) as (nodes, second):
        process = run.start(nodes)
        run.follow(process, JOIN_AT)
        nodes.start_node(1)
        before = run.follow(process, KILL_AT)
        nodes.kill(second)
        alone = run.follow_rows(process, rows // RUNNERS)
        back = run.follow_rows(process, rows)
        result = run.finish(process)
    short = [line for line in run.rollouts() if line["rows"] < rows]
    return {
        **result,
        "nodes_before": len(set(before["nodes"])),
        "killed_at": before["steps"],
        "nodes_left": len(set(alone["nodes"])),
        "rollouts_with_fewer_rows": len(short),
        "whole_again_at": back["steps"],
    }


def restart(run: Run, work: Path) -> dict[str, Any]:
    """See the module."""
    with two_nodes(work / "a") as (nodes, _):
        process = run.start(nodes)
        try:
            killed_at = run.follow(process, KILL_AT)["steps"]
        finally:
            process.kill()
            process.wait()
    with two_nodes(work / "b") as (nodes, _):
        result = run.finish(run.start(nodes))
    return {**result, "killed_at": killed_at}


def measure(name: str, steps: int, seeds: int, folder: Path) -> dict[str, Any]:
    """All runs, and whether they are as they must be."""
    problem = PROBLEMS[name]()
    began = time.perf_counter()
    whole = []
    with two_nodes(folder / "u") as (nodes, _):
        for seed in tqdm(range(seeds), desc="uninterrupted", unit="run"):
            run = Run(name, seed, steps, folder / f"seed{seed}")
            whole.append(run.finish(run.start(nodes)))
    died = node_death(Run(name, 0, steps, folder / "node_death"), folder / "d", problem.num_envs)
    (folder / "r").mkdir()
    again = restart(Run(name, 0, steps, folder / "restart"), folder / "r")
    return {
        "benchmark": "cluster",
        "problem": name,
        "quantity": problem.quantity,
        "optimum": problem.optimum,
        "steps": steps,
        "uninterrupted": whole,
        "uninterrupted_failures": _failures(problem, whole),
        "node_death": died,
        "node_death_failures": _failures(problem, [died]),
        "restart": again,
        "restart_within_spread": all(_within(again, whole, key) for key in ("achieved", "cost")),
        "restart_equal": again["parameters"] == whole[0]["parameters"],
        "seconds": round(time.perf_counter() - began, 1),
    }


def _failures(problem: Problem, results: Sequence[dict[str, Any]]) -> list[str]:
    return problem.failures([Measured(run["achieved"], run["cost"], run["multiplier"]) for run in results])


def _within(found: dict[str, Any], whole: Sequence[dict[str, Any]], key: str) -> bool:
    values = [run[key] for run in whole]
    return found[key] is None or min(values) <= found[key] <= max(values)


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks cluster``; exit status 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problem", choices=sorted(PROBLEMS), default="almgren_chriss")
    parser.add_argument("--steps", type=float, help="of a run; otherwise twice the problem's own")
    parser.add_argument("--seeds", type=int, default=5, help="of the runs that are left alone")
    options = parser.parse_args(arguments)
    steps = int(options.steps or LONGER * PROBLEMS[options.problem]().steps)
    with tempfile.TemporaryDirectory(prefix="sb") as folder:
        result = measure(options.problem, steps, options.seeds, Path(folder))
    print_result({**result, **describe()})
    died = result["node_death"]
    wrong = result["uninterrupted_failures"] or result["node_death_failures"]
    right = result["restart_within_spread"] and result["restart_equal"]
    return 0 if right and not wrong and (died["nodes_before"], died["nodes_left"]) == (2, 1) else 1
