"""Grids on a real Ray, and after a kill: nothing is lost, nothing is done twice, and one job's end is not another's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from test_grids import rows_of
from test_train import ROOT, SMALL, call

from agents.checkpoint import read_manifest
from configs.jobs import begun_in, done_in, let_go, take
from configs.launcher import Job, refuse_too_large
from hydra_plugins.shadowbook import RayLauncher

GRID = ("-m", *SMALL, "tracking.mode=off", "seed=0,1,2")
RAY = ("hydra/launcher=ray", "hydra.launcher.cpus=2")
PROGRAM = """
import os, signal, sys
from pathlib import Path
import hydra

@hydra.main(version_base=None, config_path=None)
def main(config):
    print(f"job {config.what} begins", flush=True)
    began = Path(f"{config.what}-began")
    again = began.exists()
    began.touch()
    if config.what == "raises":
        raise ValueError("it cannot be")
    if config.what == "leaves":
        sys.exit("interrupted")
    if config.what == "always_dies" or (config.what == "dies" and not again):
        os.kill(os.getpid(), signal.SIGKILL)
    return config.what

main()
"""


def digests(folder):
    return [read_manifest(begun_in(folder / str(number)))["policy_digest"] for number in range(3)]


def until(condition, process):
    """Wait for ``condition`` while ``process`` works."""
    while not condition():
        assert process.poll() is None, "it ended too early"
        time.sleep(0.05)


@pytest.mark.compiled
def test_jobs_on_ray_are_those_of_the_ordinary_launcher_and_are_not_run_again(tmp_path):
    ours, theirs = tmp_path / "runs" / "ray", tmp_path / "runs" / "one"
    for folder, words in ((ours, RAY), (theirs, ())):
        done = call("train.py", *GRID, *words, f"hydra.sweep.dir={folder}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert digests(ours) == digests(theirs) and len(set(digests(ours))) == 3
    rows = rows_of(ours / "ray_runs.csv")
    assert [(row["job"], row["seed"], row["status"]) for row in rows] == [
        (str(k), str(k), "finished") for k in range(3)
    ]
    timed = {"folder", "run_seconds"}
    assert [{k: v for k, v in row.items() if k not in timed} for row in rows] == [
        {k: v for k, v in row.items() if k not in timed} for row in rows_of(theirs / "one_runs.csv")
    ]
    assert (ours / "1" / "job.log").read_text().count("judged on unseen synthetic episodes") == 1


@pytest.mark.compiled
def test_a_grid_that_was_killed_goes_on_with_the_same_command(tmp_path):
    folder = tmp_path / "runs" / "mine"
    words = [*GRID, "total_steps=6e4", "save_every=2", f"hydra.sweep.dir={folder}"]
    command = [sys.executable, str(ROOT / "train.py"), *words, *RAY, "hydra.launcher.jobs=1"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    until(lambda: done_in(folder / "0") and list((folder / "1").glob("*/policy.zip")), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished, begun = (begun_in(folder / number) for number in "01")
    assert read_manifest(begun)["status"] == "running" and not (folder / "2").exists()
    written = (finished / "manifest.json").stat().st_mtime_ns
    done = call("train.py", *words, cwd=tmp_path)  # with the ordinary launcher, also once Ray has ended its processes
    assert done.returncode == 0, done.stderr
    assert (finished / "manifest.json").stat().st_mtime_ns == written and begun_in(folder / "1") == begun
    assert [row["status"] for row in rows_of(folder / "mine_runs.csv")] == ["finished"] * 3
    steps = [len((begun_in(folder / number) / "metrics.jsonl").read_text().splitlines()) for number in "012"]
    assert steps == [59] * 3  # 6e4 steps are 59 rollouts of 64 x 16, and none is written twice


def test_a_job_that_fails_or_dies_takes_no_other_with_it(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "program.py", "-m", "+what=fine,raises,leaves,dies,always_dies,last", *RAY]
    words = [*command, "hydra.launcher.retries=1", "hydra.sweep.dir=runs", "hydra.output_subdir=null"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "it cannot be" in done.stderr
    assert "Error executing job with overrides: ['+what=raises']" in done.stderr  # the first error ends the program
    lines = [line for line in done.stderr.splitlines() if line.startswith("job ")]
    said = {
        name: [line for line in lines if f"what={name};" in line] for name in ("fine", "last", "dies", "always_dies")
    }
    assert not said["fine"] and not said["last"]
    assert len(said["dies"]) == 1 and "its process died" in said["dies"][0] and "again, 1 of 1" in said["dies"][0]
    assert len(said["always_dies"]) == 2 and "again" not in said["always_dies"][1]
    assert any("what=leaves;" in line and "RuntimeError: ended with interrupted" in line for line in lines)
    logs = [(tmp_path / "runs" / str(number) / "job.log").read_text() for number in range(6)]
    assert logs[0] == "job fine begins\n" and "ValueError: it cannot be" in logs[1]
    assert logs[3] == "job dies begins\n" * 2 and logs[5] == "job last begins\n"


def test_settings_that_cannot_be_meant_are_refused():
    for settings, said in (
        ({"jobs": 0}, "hydra.launcher.jobs = 0: expected at least 1"),
        ({"retries": -1}, "hydra.launcher.retries = -1: expected at least 0"),
        ({"cpus_per_job": 0.0}, "expected cpus_per_job above 0"),
    ):
        with pytest.raises(ValueError, match=said):
            RayLauncher(**{"jobs": None, "cpus_per_job": None, "gpus_per_job": 0.0, "retries": 2, "cpus": 2} | settings)
    job = Job(3, OmegaConf.create({}), Path("runs/3"), [{"CPU": 1.0}, {"CPU": 2.0}])
    for nodes in ([{"CPU": 3.0}], [{"CPU": 1.0}, {"CPU": 2.0}], [{}]):  # the last: it may grow
        refuse_too_large([job], nodes)
    with pytest.raises(ValueError, match=r"job 3 asks for .* Ray has a node of 2 processors and 0 GPUs"):
        refuse_too_large([job], [{"CPU": 2.0}])
    with pytest.raises(ValueError, match=r"Ray has a node of 1 .* a node of 1"):
        refuse_too_large([job], [{"CPU": 1.0}] * 4)


def test_a_job_is_kept_from_other_processes(tmp_path, monkeypatch):
    script = "from pathlib import Path; from configs.jobs import take; take(Path('job')); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout.readline() == "1\n"
        monkeypatch.setattr("configs.jobs._WAIT_S", 0.0)
        with pytest.raises(RuntimeError, match="another process works on this job"):
            take(tmp_path / "job")
        other.kill()
    take(tmp_path / "job")
    let_go()


def test_what_a_job_has_left(tmp_path):
    assert done_in(tmp_path) is None and begun_in(Path(tmp_path / "none")) is None
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text('{"version": 2, "status": "finished"}')
        if name == "a":
            assert begun_in(tmp_path) == tmp_path / "a" and done_in(tmp_path) is None
            (tmp_path / "a" / "evaluation").mkdir()
            (tmp_path / "a" / "evaluation" / "report.html").touch()
            assert done_in(tmp_path) == tmp_path / "a"
    with pytest.raises(ValueError, match="expected the one run of a job, found a, b"):
        begun_in(tmp_path)
