"""A recorder killed (SIGKILL) at random moments, again and again: what it has acknowledged must be there.

Each process takes up the session of the one before in a new segment, and prints the number of durable records after
each sync. Frames are a function of their number and do not compress; batches take from a few hundred bytes to 1 MiB:
kills also fall into a write. At the end every segment is read: the records must be number 0, 1, 2 ... without a hole,
each with its own bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.machine import ROOT, describe, print_result
from benchmarks.recorder import header_of
from live.recording.folder import segment_paths
from live.recording.layout import RECEIVED
from live.recording.log import read_log
from live.recording.rotation import MIB, Rotation, SessionWriter

SESSION = "killed"
_BATCH_BYTES = (300, 5_000, 100_000, MIB)
_LONGEST_S = 0.05  # from the first line of a recorder to its end


def frame(number: int) -> bytes:
    """The bytes of a frame: from its number alone, 50 to 650 of them."""
    return hashlib.shake_128(str(number).encode()).digest(50 + number % 7 * 100)


def record(root: str, batch_bytes: int) -> None:
    """What the child does: record for ever."""
    rotation = Rotation(segment_bytes=4 * MIB, batch_bytes=batch_bytes)
    writer = SessionWriter(root, SESSION, header_of(1), time.time_ns, rotation)
    told = -1
    for number in count(writer.durable):
        if writer.durable != told:
            told = writer.durable
            os.write(1, b"%d\n" % told)
        writer.append(time.time_ns(), 1, RECEIVED, frame(number))


def kill_once(root: Path, rng: np.random.Generator) -> tuple[int, int]:
    """Start a recorder and kill it. Returns what it began with and what it has acknowledged."""
    words = f"from benchmarks.recorder_kill import record; record({str(root)!r}, {rng.choice(_BATCH_BYTES)})"
    child = subprocess.Popen([sys.executable, "-c", words], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(rng.uniform(0, _LONGEST_S))
    child.kill()
    rest = child.stdout.read()
    child.stdout.close()
    child.wait()
    acknowledged = [int(line) for line in (first + rest).split()]
    if not acknowledged:
        raise RuntimeError("the recorder ended before it began; its error is above")
    return acknowledged[0], acknowledged[-1]


def measure(kills: int, seed: int, root: Path) -> dict:
    """Kill ``kills`` recorders of one session below ``root``, then read it. Raises AssertionError for a lost record."""
    rng = np.random.default_rng(seed)
    kept = 0
    for _ in tqdm(range(kills), unit="kill"):
        began, acknowledged = kill_once(root, rng)
        assert began >= kept, f"taken up at {began}, after {kept} were acknowledged"
        kept = acknowledged
    return {
        "benchmark": "recorder_kill",
        "kills": kills,
        "seed": seed,
        "acknowledged": kept,
        **check(root, kept),
        "what": "records acknowledged before SIGKILL are all read back, in order, byte for byte",
    }


def check(root: Path, kept: int) -> dict[str, int]:
    """Read the session below ``root``. Raises AssertionError where one of the first ``kept`` records is not there."""
    records = torn = 0
    paths = segment_paths(root / SESSION)
    for path in paths:
        log = read_log(path)
        for number, found in enumerate(log, records):
            assert found.data == frame(number), f"{path}: record {number} has other bytes"
        assert not log.result.damage, f"{path}: {log.result.damage}"
        records += log.result.records
        torn += bool(log.result.torn_bytes)
    assert records >= kept, f"{records} records, but {kept} were acknowledged"
    return {"records": records, "segments": len(paths), "torn_segments": torn}


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks recorder_kill``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks recorder_kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        print_result({**measure(options.kills, options.seed, Path(folder)), **describe()})
    return 0
