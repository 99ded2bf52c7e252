"""Two nodes of a real cluster, one of them killed while a learner trains on both. `benchmarks.cluster` has a gate."""

import json
import tempfile
from pathlib import Path

import pytest

from benchmarks.cluster import Run, two_nodes
from benchmarks.cluster_run import RESULT
from evaluation.problems import PROBLEMS

STEPS = 400_000  # that many are not over before the node is dead
ROWS = PROBLEMS["kelly"]().num_envs
pytestmark = pytest.mark.compiled


def test_a_run_outlives_a_node_and_goes_on_with_the_rows_that_are_left():
    with tempfile.TemporaryDirectory(prefix="sb") as made:  # short: Ray's sockets lie in it
        run = Run("kelly", 0, STEPS, Path(made) / "run")
        with two_nodes(Path(made) / "n") as (nodes, second):
            process = run.start(nodes)
            run.follow_rows(process, ROWS)
            nodes.kill(second)
            run.follow_rows(process, ROWS // 2)
            result = run.finish(process)
        rollouts = run.rollouts()
        assert result == json.loads((run.folder / RESULT).read_text())
    assert len(set(rollouts[0]["nodes"])) == 2  # an env runner on either
    assert rollouts[-1]["rows"] == ROWS // 2 and len(rollouts[-1]["nodes"]) == 1
    assert result["steps"] == rollouts[-1]["steps"] >= STEPS  # not fewer for it: more rollouts
